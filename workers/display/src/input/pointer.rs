//! The pointer: motion, buttons, wheel (buttons 4–7).

use crate::session::{Session, XResult, answer};
use ipc::input::{Modifiers, Pointer};
use ipc::{ConnectionId, WindowId};
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConfigureWindowAux, ConnectionExt as _,
    MOTION_NOTIFY_EVENT, StackMode,
};
use x11rb::protocol::xtest::ConnectionExt as _;

/// Modifiers that travel with pointer events although some clients leave them out there.
const UNRELIABLE: u8 = 0b1011_0010;

impl Session {
    /// The pointer moved. `false` when it is over a window that we do not know (any more).
    ///
    /// # Errors
    /// The X server is gone.
    pub fn motion(&mut self, id: ConnectionId, pointer: Pointer) -> XResult<bool> {
        let window = match pointer.window {
            Some(window) => match self.windows.get(window) {
                Some(found) => Some((window, found.place)),
                None => return Ok(false),
            },
            None => None,
        };
        // What counts is the place within the window: it may be elsewhere on the client's screen.
        let (x, y) = match (window, pointer.relative) {
            (Some((_, place)), Some(relative)) => (
                i32::from(place.x).saturating_add(relative.x),
                i32::from(place.y).saturating_add(relative.y),
            ),
            _ => (pointer.position.x, pointer.position.y),
        };
        if let Some((window, _)) = window {
            self.uncover(window, x, y)?;
        }
        let bound = |v: i32, side: u16| i16::try_from(v.clamp(0, i32::from(side) - 1)).unwrap_or(0);
        let (x, y) = (bound(x, self.size.width()), bound(y, self.size.height()));
        self.x
            .xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0)?;
        let changed = self
            .clients
            .get(&id)
            .is_some_and(|c| c.modifiers != pointer.modifiers);
        if changed {
            self.agree_pointer(id, pointer.modifiers)?;
        }
        Ok(true)
    }

    fn agree_pointer(&mut self, id: ConnectionId, modifiers: Modifiers) -> XResult<()> {
        self.agree(id, modifiers, UNRELIABLE, false)
    }

    /// Makes a window the one that is under the pointer in the X server too: there another one
    /// may lie above it.
    fn uncover(&mut self, id: WindowId, x: i32, y: i32) -> XResult<()> {
        if self.top == Some(id.xid()) {
            return Ok(());
        }
        let above = |w: &crate::window::Window| w.id != id && w.mapped && w.place.holds(x, y);
        if self.windows.iter().any(above) {
            let raise = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
            self.x.configure_window(id.xid(), &raise)?;
            self.top = Some(id.xid());
        }
        Ok(())
    }

    /// A button went down or up.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn button(
        &mut self,
        id: ConnectionId,
        pointer: Pointer,
        button: u8,
        pressed: bool,
    ) -> XResult<()> {
        let known = self.motion(id, pointer)?;
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        if !pressed {
            // Also when its window has gone: a button must not stay down.
            if client.held.buttons.remove(&button) {
                self.fake_button(button, false)?;
            }
            return Ok(());
        }
        if !known || button == 0 || client.held.buttons.len() >= 16 {
            return Ok(());
        }
        if client.held.buttons.insert(button) {
            self.agree_pointer(id, pointer.modifiers)?;
            self.fake_button(button, true)?;
        }
        Ok(())
    }

    fn fake_button(&self, button: u8, pressed: bool) -> XResult<()> {
        let kind = if pressed {
            BUTTON_PRESS_EVENT
        } else {
            BUTTON_RELEASE_EVENT
        };
        self.x
            .xtest_fake_input(kind, button, 0, x11rb::NONE, 0, 0, 0)?;
        Ok(())
    }

    /// Lets go of every button that is down because of a client.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn release_buttons(&mut self, id: ConnectionId) -> XResult<()> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        for button in std::mem::take(&mut client.held.buttons) {
            self.fake_button(button, false)?;
        }
        Ok(())
    }

    /// Lets go of everything that a process before us may have left down.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn release_everything(&mut self) -> XResult<()> {
        if let Some(keys) = answer(self.x.query_keymap()?.reply())? {
            for keycode in 8..=u8::MAX {
                if keys.keys[usize::from(keycode / 8)] & 1 << (keycode % 8) != 0 {
                    self.fake_key(keycode, false)?;
                }
            }
        }
        // The X server tells of five buttons only; a release of one that is up does nothing.
        for button in 1..=9 {
            self.fake_button(button, false)?;
        }
        Ok(())
    }
}
