//! What the X server tells us.

use crate::client::Bell;
use crate::session::{Session, XResult};
use crate::window::Group;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ConnectionExt as _, NotifyDetail, NotifyMode};

impl Session {
    /// Handles one event.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn handle_event(&mut self, event: Event, sequence: u64) -> XResult<()> {
        // An application can send any event, also one about a window of another. Of those only
        // what ICCCM says is sent counts; the rest only the X server can know.
        let sendable = matches!(event, Event::ClientMessage(_) | Event::UnmapNotify(_));
        if event.sent_event() && !sendable {
            return Ok(());
        }
        match event {
            Event::MapRequest(event) => self.map_request(event.window),
            Event::MapNotify(event) => {
                self.top = None;
                if event.override_redirect {
                    self.consider(event.window, false)?;
                }
                if let Some(window) = self.windows.by_xid_mut(event.window) {
                    window.mapped = true;
                    let id = window.id;
                    self.forget_pixels(id)?;
                }
                Ok(())
            }
            Event::UnmapNotify(event) => {
                let synthetic = event.response_type & 0x80 != 0;
                let Some(window) = self.windows.by_xid_mut(event.window) else {
                    return Ok(());
                };
                let id = window.id;
                if !synthetic {
                    window.mapped = false;
                }
                if !synthetic && window.expected_unmaps > 0 {
                    window.expected_unmaps -= 1;
                    return self.forget_pixels(id);
                }
                self.lose(id, false)
            }
            Event::DestroyNotify(event) => match self.windows.id(event.window) {
                Some(id) => self.lose(id, true),
                None => Ok(()),
            },
            Event::ReparentNotify(event) => match self.windows.id(event.window) {
                Some(id) if event.parent != self.root => self.lose(id, false),
                _ => Ok(()),
            },
            Event::ConfigureRequest(event) => self.configure_request(&event),
            Event::ConfigureNotify(event) => self.configure_notify(&event),
            Event::CirculateRequest(event) => {
                self.x.circulate_window(
                    match event.place {
                        x11rb::protocol::xproto::Place::ON_TOP => {
                            x11rb::protocol::xproto::Circulate::RAISE_LOWEST
                        }
                        _ => x11rb::protocol::xproto::Circulate::LOWER_HIGHEST,
                    },
                    event.window,
                )?;
                self.top = None;
                Ok(())
            }
            Event::ClientMessage(event) => self.client_message(&event),
            Event::PropertyNotify(event) => {
                if event.window == self.own {
                    return self.time_known(event.time);
                }
                if let Some(group) = Group::of(event.atom, &self.atoms)
                    && let Some(window) = self.windows.by_xid_mut(event.window)
                {
                    window.stale.insert(group);
                }
                Ok(())
            }
            Event::FocusIn(event) => {
                let real = matches!(event.mode, NotifyMode::NORMAL | NotifyMode::WHILE_GRABBED)
                    && event.detail != NotifyDetail::POINTER;
                match self.windows.id(event.event) {
                    Some(id) if real && sequence >= self.focus_given => self.focused(id),
                    _ => Ok(()),
                }
            }
            Event::DamageNotify(event) => {
                if let Some(window) = self.windows.by_xid_mut(event.drawable) {
                    window.drawn = true;
                }
                Ok(())
            }
            Event::XfixesCursorNotify(_) => {
                self.cursor = None;
                for link in self.clients.values_mut().filter_map(|c| c.encoder.as_mut()) {
                    link.cursor = true;
                }
                Ok(())
            }
            Event::XkbBellNotify(event) => {
                let bell = Bell {
                    window: self.windows.id(event.window),
                    percent: event.percent.min(100),
                    pitch: event.pitch,
                    duration: event.duration,
                };
                for client in self
                    .clients
                    .values_mut()
                    .filter(|c| c.is_present() && c.bell)
                {
                    client.ring = Some(bell);
                }
                Ok(())
            }
            Event::Error(error) => {
                // Windows vanish at any time: what we ask about them fails then.
                tracing::debug!("X request {sequence}: {:?}", error.error_kind);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn map_request(&mut self, xid: u32) -> XResult<()> {
        match self.windows.id(xid) {
            // It comes back from being an icon.
            Some(id) => self.set_state(id, ipc::display::WindowState::Iconic, false, None),
            None => {
                self.consider(xid, true)?;
                if self.windows.id(xid).is_none() {
                    // Not one of ours to show, but the application may have it.
                    self.x.map_window(xid)?;
                }
                Ok(())
            }
        }
    }
}
