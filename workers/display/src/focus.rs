//! Who has the keyboard (ICCCM 4.1.7, EWMH `_NET_ACTIVE_WINDOW`).

use crate::session::{Session, XResult, answer};
use crate::window::Key;
use ipc::display::WindowState;
use ipc::{ConnectionId, WindowId};
use x11rb::protocol::xproto::{
    AtomEnum, ConfigureWindowAux, ConnectionExt as _, InputFocus, PropMode, StackMode,
};
use x11rb::wrapper::ConnectionExt as _;

impl Session {
    /// A client's window has got or lost its focus.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn focus_from(&mut self, by: ConnectionId, window: Option<WindowId>) -> XResult<()> {
        let Some(id) = window else {
            if self.focus_of.is_none_or(|(client, _)| client == by) {
                self.focus_of = None;
                self.unfocus()?;
            }
            return Ok(());
        };
        let Some(window) = self.windows.get(id) else {
            return Ok(());
        };
        if window.override_redirect || !window.mapped {
            return Ok(());
        }
        let xid = window.xid;
        self.focus_of = Some((by, id));
        let raise = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
        self.x.configure_window(xid, &raise)?;
        self.top = Some(xid);
        let (input, take_focus) = (window.input, window.take_focus);
        if input {
            self.give_focus(xid)?;
        }
        if take_focus {
            self.take_focus = Some(id);
            self.ask_time()?;
        }
        self.focused(id)
    }

    /// No window has the keyboard.
    fn unfocus(&mut self) -> XResult<()> {
        self.give_focus(self.own)?;
        self.change_focus(None)
    }

    fn give_focus(&mut self, xid: u32) -> XResult<()> {
        let x = self.x.clone();
        let given = x.set_input_focus(InputFocus::POINTER_ROOT, xid, x11rb::CURRENT_TIME)?;
        self.focus_given = given.sequence_number();
        Ok(())
    }

    /// A window has got the keyboard.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn focused(&mut self, id: WindowId) -> XResult<()> {
        self.change_focus(Some(id))
    }

    fn change_focus(&mut self, to: Option<WindowId>) -> XResult<()> {
        if self.focus == to {
            return Ok(());
        }
        let from = std::mem::replace(&mut self.focus, to);
        for (id, on) in [(from, false), (to, true)] {
            let Some(id) = id else { continue };
            self.set_state(id, WindowState::Focused, on, None)?;
            // A client that asked is told even when others had it already.
            for view in self
                .clients
                .values_mut()
                .filter_map(|c| c.views.get_mut(&id))
            {
                view.changed.insert(Key::State(WindowState::Focused));
            }
        }
        self.write_active()
    }

    /// Writes `_NET_ACTIVE_WINDOW`.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn write_active(&self) -> XResult<()> {
        let xid = self.focus.map_or(x11rb::NONE, WindowId::xid);
        let (atom, kind) = (self.atoms._NET_ACTIVE_WINDOW, AtomEnum::WINDOW);
        self.x
            .change_property32(PropMode::REPLACE, self.root, atom, kind, &[xid])?;
        Ok(())
    }

    /// Learns which window has the keyboard now.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn adopt_focus(&mut self) -> XResult<()> {
        let reply = answer(self.x.get_input_focus()?.reply())?;
        match reply.and_then(|r| self.windows.id(r.focus)) {
            Some(id) => self.focused(id),
            None => self.write_active(),
        }
    }

    /// `WM_TAKE_FOCUS` must carry the X server's time: a property that does not change tells it.
    fn ask_time(&self) -> XResult<()> {
        let (atom, kind) = (self.atoms._BULKHEAD_TIME, AtomEnum::INTEGER);
        self.x
            .change_property8(PropMode::APPEND, self.own, atom, kind, &[])?;
        Ok(())
    }

    /// The X server has told its time.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn time_known(&mut self, time: u32) -> XResult<()> {
        let window = self.take_focus.take().and_then(|id| self.windows.get(id));
        match window {
            Some(window) => self.send_protocol(window.xid, self.atoms.WM_TAKE_FOCUS, time),
            None => Ok(()),
        }
    }
}
