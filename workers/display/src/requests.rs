//! What clients ask for, through their `network`. What a read-only client may not do is dropped
//! here.

use crate::client::{SETTLE, View};
use crate::region::Region;
use crate::session::{Session, XResult, answer};
use crate::window::Place;
use ipc::display::{
    Attach, DisplayToNetwork, DisplayToSupervisor, Geometry, MAX_HELD, NetworkToDisplay, Purpose,
    Signal, WindowState,
};
use ipc::verdict::Peer;
use ipc::{ConnectionId, Position, Size, WindowId};
use std::time::Instant;
use x11rb::protocol::res::{ClientIdMask, ClientIdSpec, ConnectionExt as _};

/// What a peer did wrong.
type Rules = Result<(), &'static str>;

/// May a client that only watches say this?
const fn is_harmless(message: &NetworkToDisplay) -> bool {
    use NetworkToDisplay as N;
    matches!(
        message,
        N::Attach(_) | N::Map { .. } | N::Unmap { .. } | N::SetCursors(_) | N::SetBell(_)
    )
}

impl Session {
    /// Handles a message of a client's `network`; the inner error is what it did wrong.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn handle_network(
        &mut self,
        id: ConnectionId,
        message: NetworkToDisplay,
    ) -> XResult<Rules> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(Ok(()));
        };
        if client.attached == matches!(message, NetworkToDisplay::Attach(_)) {
            return Ok(Err("Attach is the first message and comes once"));
        }
        if client.purpose == Purpose::Screenshot {
            client.attached = true;
            return Ok(Ok(()));
        }
        if client.rights.readonly && !is_harmless(&message) {
            return Ok(Ok(()));
        }
        let once = message.is_once();
        match message {
            NetworkToDisplay::Attach(attach) => return self.attach(id, attach),
            NetworkToDisplay::Map {
                window,
                geometry,
                states,
            } => {
                self.map(id, window, geometry, &states)?;
            }
            NetworkToDisplay::Unmap { window, iconified } => self.unmap(id, window, iconified)?,
            NetworkToDisplay::Configure {
                window,
                geometry,
                resize_counter,
                states,
            } => {
                let seen = self.windows.get(window).map_or(0, |w| w.counter);
                // It does not know yet that the application has changed the size.
                let current = resize_counter == 0 || resize_counter >= seen;
                self.arrange(id, window, geometry.filter(|_| current), &states)?;
            }
            NetworkToDisplay::Close(window) => self.close(window)?,
            NetworkToDisplay::Focus(window) => {
                if window.is_none() {
                    self.release_keys(id)?;
                }
                self.focus_from(id, window)?;
            }
            NetworkToDisplay::Signal { window, signal } => {
                self.signal(window, signal)?;
            }
            NetworkToDisplay::Key(key) => self.key(id, &key)?,
            NetworkToDisplay::Motion(pointer) => {
                self.motion(id, pointer)?;
            }
            NetworkToDisplay::Button {
                pointer,
                button,
                pressed,
            } => {
                self.button(id, pointer, button, pressed)?;
            }
            NetworkToDisplay::Keymap(keymap) => {
                if client.keymap != keymap {
                    client.keymap = keymap;
                    if self.driver() == Some(id) {
                        self.keymap_pace.want();
                    }
                }
            }
            NetworkToDisplay::KeyboardSync(sync) => client.keyboard_sync = sync,
            NetworkToDisplay::DesktopSize(size) => {
                client.desktop = Some(size);
                if self.driver() == Some(id) {
                    self.screen_pace.want();
                }
            }
            NetworkToDisplay::SetCursors(on) => {
                client.cursors = on;
                if let Some(link) = client.encoder.as_mut().filter(|_| on) {
                    link.cursor = true;
                }
            }
            NetworkToDisplay::SetBell(on) => client.bell = on,
        }
        if once {
            self.count_done(id)?;
        }
        Ok(Ok(()))
    }

    /// The client that decides keyboard, screen size and geometry: the one that has been here
    /// longest.
    #[must_use]
    pub fn driver(&self) -> Option<ConnectionId> {
        self.clients.values().find(|c| c.may_act()).map(|c| c.id)
    }

    /// Does what the client that decides has asked for and what takes long, when it is time.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn catch_up(&mut self) -> XResult<()> {
        let now = Instant::now();
        if self.keymap_pace.take(now) {
            self.choose_keyboard(self.driver())?;
        }
        if self.screen_pace.take(now)
            && let Some(driver) = self.driver()
        {
            self.follow_driver(driver)?;
        }
        Ok(())
    }

    fn follow_driver(&mut self, id: ConnectionId) -> XResult<()> {
        let client = self.clients.get(&id).filter(|_| self.driver() == Some(id));
        match client.and_then(|c| Some((c.desktop?, c.dpi))) {
            Some((desktop, dpi)) => self.follow(desktop, dpi),
            None => Ok(()),
        }
    }

    fn attach(&mut self, id: ConnectionId, attach: Attach) -> XResult<Rules> {
        if attach.held.len() > MAX_HELD {
            return Ok(Err("it claims to hold too many windows"));
        }
        let mut lost = Vec::new();
        let mut known = Vec::new();
        for held in attach.held {
            let present = self.windows.id(held.xid());
            let told = |w: WindowId| self.clients.values().any(|c| c.views.contains_key(&w));
            let told = present.is_some_and(told);
            if self.windows.rename(held, told) {
                self.renamed(present, held);
                known.push(held);
            } else {
                lost.push(held);
            }
        }
        let windows = &self.windows;
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(Ok(()));
        };
        client.attached = true;
        client.cursors = attach.cursors;
        client.bell = attach.bell;
        client.keyboard_sync = attach.keyboard_sync;
        client.key_repeat = attach.key_repeat;
        client.keymap = attach.keymap;
        client.desktop = attach.desktop;
        client.dpi = attach.dpi;
        client.lost.extend(lost);
        for window in windows.iter() {
            let mut view = View::new(window);
            if known.contains(&window.id) {
                // It will not say again that it shows it.
                (view.known_before, view.shown) = (true, true);
            }
            client.views.insert(window.id, view);
        }
        self.choose_keyboard(None)?;
        self.follow_driver(id)?;
        let done = self.adopt_done(id, attach.said)?;
        let attached = DisplayToNetwork::Attached {
            root: self.size,
            max_root: self.max_size,
            modifier_keys: self.keyboard.modifier_keys(),
            done,
        };
        let client = self.clients.get_mut(&id);
        let sent = client.map(|client| client.network.send(&attached, vec![]));
        if let Some(Err(error)) = sent {
            self.channel_failed(Peer::Network(id), &error)?;
        }
        Ok(Ok(()))
    }

    /// A window has the id by which a client has always known it.
    fn renamed(&mut self, from: Option<WindowId>, to: WindowId) {
        if self.focus.is_some() && self.focus == from {
            self.focus = Some(to);
        }
        if self.take_focus.is_some() && self.take_focus == from {
            self.take_focus = Some(to);
        }
    }

    fn map(
        &mut self,
        id: ConnectionId,
        window: WindowId,
        geometry: Geometry,
        states: &[(WindowState, bool)],
    ) -> XResult<()> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        let may_act = client.may_act();
        let (Some(view), Some(known)) = (client.views.get_mut(&window), self.windows.get(window))
        else {
            return Ok(());
        };
        view.shown = true;
        view.region = Region::whole(known.place.geometry().size);
        let current = view.counter == known.counter;
        view.counter = known.counter;
        if !may_act {
            return Ok(());
        }
        if self.driver() == Some(id) && !states.contains(&(WindowState::Iconic, true)) {
            self.set_state(window, WindowState::Iconic, false, Some(id))?;
        }
        // The application has resized it meanwhile: the client is about to hear of it.
        self.arrange(id, window, Some(geometry).filter(|_| current), states)
    }

    fn unmap(&mut self, id: ConnectionId, window: WindowId, iconified: bool) -> XResult<()> {
        let view = self
            .clients
            .get_mut(&id)
            .and_then(|c| c.views.get_mut(&window));
        let Some(view) = view else { return Ok(()) };
        view.shown = false;
        if iconified && self.driver() == Some(id) {
            self.set_state(window, WindowState::Iconic, true, Some(id))?;
        }
        Ok(())
    }

    /// The client that decides has moved a window or changed its state.
    fn arrange(
        &mut self,
        id: ConnectionId,
        window: WindowId,
        geometry: Option<Geometry>,
        states: &[(WindowState, bool)],
    ) -> XResult<()> {
        let known = self.windows.get(window).filter(|w| !w.override_redirect);
        let Some(known) = known.filter(|_| self.driver() == Some(id)) else {
            return Ok(());
        };
        let old = known.place;
        for (state, on) in states.iter().take(32) {
            // The focus has its own message.
            if *state != WindowState::Focused {
                self.set_state(window, *state, *on, Some(id))?;
            }
        }
        let Some(geometry) = geometry else {
            return Ok(());
        };
        let (width, height) = self.fit(id, window, geometry.size);
        let Position { x, y } = geometry.position;
        let (x, y) = (
            visible(x, width, self.size.width()),
            visible(y, height, self.size.height()),
        );
        let moved = (i32::from(x), i32::from(y)) != (geometry.position.x, geometry.position.y);
        let place = Place {
            x,
            y,
            width,
            height,
            border: 0,
        };
        if moved && place != old {
            // Not where the client has it: everybody is told, this one too.
            return self.set_place(window, place, None);
        }
        self.set_place(window, place, Some(id))
    }

    /// The size that a window gets when a client asks for this one. The client is told of it when
    /// it may have given its own window another.
    fn fit(&mut self, id: ConnectionId, window: WindowId, asked: Size) -> (u16, u16) {
        let asked = (asked.width(), asked.height());
        let Some(known) = self.windows.get(window) else {
            return asked;
        };
        let size = known.fitted(asked);
        // The stock client asks for whole steps whatever size its window has.
        let uncertain = size != asked || known.constraints().increment.is_some();
        let view = self.clients.get_mut(&id).map(|c| &mut c.views);
        if uncertain && let Some(view) = view.and_then(|views| views.get_mut(&window)) {
            view.settle = Some(Instant::now() + SETTLE);
        }
        size
    }

    /// Asks for a signal to the process that has a window's connection, as the X server knows it:
    /// what applications say of themselves (`_NET_WM_PID`) is not believed.
    fn signal(&mut self, window: WindowId, signal: Signal) -> XResult<()> {
        if self.windows.get(window).is_none() || !self.has_resources {
            return Ok(());
        }
        let mask = ClientIdMask::LOCAL_CLIENT_PID;
        let client = window.xid();
        let asked = self
            .x
            .res_query_client_ids(&[ClientIdSpec { client, mask }])?;
        let ids = answer(asked.reply())?.map(|reply| reply.ids);
        let pid = ids.into_iter().flatten().find_map(|id| {
            let told = id.spec.mask == mask;
            id.value.first().copied().filter(|_| told)
        });
        if let Some(pid) = pid {
            self.send_supervisor(&DisplayToSupervisor::Signal { pid, signal });
        }
        Ok(())
    }

    /// A client has gone: what it held down is let go, and what it decided is for others to
    /// decide.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn drop_client(&mut self, id: ConnectionId) -> XResult<()> {
        self.release_keys(id)?;
        self.release_buttons(id)?;
        let Some(client) = self.clients.remove(&id) else {
            return Ok(());
        };
        self.done.remove(&id);
        if let Some(link) = client.encoder {
            self.free_buffers(link)?;
        }
        self.focus_of = self.focus_of.filter(|(by, _)| *by != id);
        if client.attached && self.driver() != self.keyboard.owner {
            self.choose_keyboard(None)?;
            if let Some(driver) = self.driver() {
                self.follow_driver(driver)?;
            }
        }
        Ok(())
    }
}

/// A window that would lie outside the screen altogether is put where it can be seen.
fn visible(at: i32, side: u16, screen: u16) -> i16 {
    let (length, screen) = (i32::from(side), i32::from(screen));
    let outside = at >= screen || at.saturating_add(length) <= 0;
    let at = if outside {
        at.clamp(0, (screen - length).max(0))
    } else {
        at
    };
    i16::try_from(at).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stay_reachable() {
        assert_eq!(visible(-50, 100, 1000), -50);
        assert_eq!(visible(950, 100, 1000), 950);
        assert_eq!(visible(1000, 100, 1000), 900);
        assert_eq!(visible(i32::MAX, 100, 1000), 900);
        assert_eq!(visible(-100, 100, 1000), 0);
        assert_eq!(visible(i32::MIN, 16384, 1000), 0);
        assert_eq!(visible(5000, 2000, 1000), 0);
    }
}
