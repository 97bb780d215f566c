//! The window manager: windows that come, change and go (ICCCM 4, EWMH).

use crate::client::{Drag, View};
use crate::session::{Session, XResult, answer};
use crate::window::{Group, Key, Place, Window};
use ipc::display::WindowState;
use ipc::{ConnectionId, Position, WindowId};
use x11rb::connection::Connection;
use x11rb::errors::ConnectionError;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConfigureNotifyEvent,
    ConfigureRequestEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, GetPropertyReply,
    MapState, PropMode, StackMode, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

/// `WM_STATE` values (ICCCM 4.1.3.1).
const NORMAL: u32 = 1;
const ICONIC: u32 = 3;

/// An item of a client message that is a signed number.
const fn signed(item: u32) -> i32 {
    item.cast_signed()
}

/// A coordinate that the X server takes.
fn coordinate(value: i32) -> i16 {
    i16::try_from(value.clamp(i16::MIN.into(), i16::MAX.into())).unwrap_or(0)
}

impl Session {
    /// Takes over the windows that exist.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn adopt(&mut self) -> XResult<()> {
        let Some(tree) = answer(self.x.query_tree(self.root)?.reply())? else {
            return Ok(());
        };
        for xid in tree.children {
            self.consider(xid, false)?;
        }
        Ok(())
    }

    /// Looks at a window that exists, and takes it over if it is one for us. `asked` says that
    /// it asked to be mapped.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn consider(&mut self, xid: u32, asked: bool) -> XResult<()> {
        if xid == self.own || self.windows.id(xid).is_some() {
            return Ok(());
        }
        let x = self.x.clone();
        let attributes = x.get_window_attributes(xid)?;
        let geometry = x.get_geometry(xid)?;
        let wm_state =
            x.get_property(false, xid, self.atoms.WM_STATE, self.atoms.WM_STATE, 0, 2)?;
        let hints = x.get_property(false, xid, AtomEnum::WM_HINTS, AtomEnum::ANY, 0, 9)?;
        let state = x.get_property(false, xid, self.atoms._NET_WM_STATE, AtomEnum::ATOM, 0, 64)?;
        let (attributes, geometry) = (answer(attributes.reply())?, answer(geometry.reply())?);
        let first = |reply: Option<GetPropertyReply>| {
            reply.and_then(|r| r.value32().and_then(|mut items| items.next()))
        };
        let wm_state = first(answer(wm_state.reply())?);
        let hints = answer(hints.reply())?.map(Into::into).unwrap_or_default();
        let hints = crate::properties::hints(&hints);
        let state = answer(state.reply())?;
        let (Some(attributes), Some(geometry)) = (attributes, geometry) else {
            return Ok(());
        };
        if attributes.class == WindowClass::INPUT_ONLY || geometry.root != self.root {
            return Ok(());
        }
        let override_redirect = attributes.override_redirect;
        let mapped = attributes.map_state != MapState::UNMAPPED;
        let iconic = if asked {
            hints.iconic
        } else {
            !mapped && wm_state == Some(ICONIC)
        };
        let ours = if override_redirect {
            mapped
        } else {
            mapped || iconic || asked
        };
        if !ours {
            return Ok(());
        }
        let border = if override_redirect {
            geometry.border_width
        } else {
            0
        };
        let place = Place {
            x: geometry.x,
            y: geometry.y,
            width: geometry.width,
            height: geometry.height,
            border,
        };
        let Some(id) = self.windows.add(xid, |id| {
            Window::new(id, override_redirect, geometry.depth, place)
        }) else {
            tracing::warn!("too many windows: {xid:#x} is not shown");
            return Ok(());
        };
        let watched = EventMask::PROPERTY_CHANGE | EventMask::FOCUS_CHANGE;
        x.change_window_attributes(xid, &ChangeWindowAttributesAux::new().event_mask(watched))?;
        if let Some(window) = self.windows.get_mut(id) {
            window.mapped = mapped;
            let known = self.atoms.states();
            let atoms = state
                .iter()
                .filter_map(GetPropertyReply::value32)
                .flatten()
                .take(64);
            window.states = atoms
                .filter_map(|atom| {
                    known
                        .iter()
                        .find(|(a, _)| *a == atom)
                        .map(|(_, state)| *state)
                })
                .filter(|state| !matches!(state, WindowState::Iconic | WindowState::Focused))
                .collect();
            if iconic {
                window.states.insert(WindowState::Iconic);
            }
        }
        if !override_redirect {
            self.manage(id, geometry.border_width, asked)?;
        }
        self.watch(id)?;
        // What is known of it must be complete when clients are told.
        self.read_stale_properties()?;
        if let Some(window) = self.windows.get(id) {
            for client in self.clients.values_mut().filter(|c| c.is_present()) {
                client.views.insert(id, View::new(window));
            }
        }
        Ok(())
    }

    /// Puts a window under our management: no border, the properties of a window manager.
    fn manage(&mut self, id: WindowId, border: u16, asked: bool) -> XResult<()> {
        let Some(window) = self.windows.get(id) else {
            return Ok(());
        };
        let (xid, iconic) = (window.xid, window.states.contains(&WindowState::Iconic));
        let place = self.bounded(window.place);
        if border != 0 || place != window.place {
            let changes = ConfigureWindowAux::new()
                .border_width(0)
                .width(u32::from(place.width))
                .height(u32::from(place.height));
            self.x.configure_window(xid, &changes)?;
        }
        if let Some(window) = self.windows.get_mut(id) {
            window.place = place;
        }
        let atoms = &self.atoms;
        let cardinal = AtomEnum::CARDINAL;
        self.x.change_property32(
            PropMode::REPLACE,
            xid,
            atoms._NET_FRAME_EXTENTS,
            cardinal,
            &[0; 4],
        )?;
        self.x.change_property32(
            PropMode::REPLACE,
            xid,
            atoms._NET_WM_DESKTOP,
            cardinal,
            &[0],
        )?;
        self.write_states(id)?;
        if asked && !iconic {
            self.x.map_window(xid)?;
            if let Some(window) = self.windows.get_mut(id) {
                // Whatever we ask of it next finds it so.
                window.mapped = true;
            }
        }
        self.list_changed = true;
        Ok(())
    }

    /// A window's place with sides that we handle.
    fn bounded(&self, place: Place) -> Place {
        let side = |v: u16| v.clamp(1, ipc::geometry::MAX_SIDE);
        Place {
            width: side(place.width),
            height: side(place.height),
            ..place
        }
    }

    /// Has the X server tell us when something is drawn on a window.
    fn watch(&mut self, id: WindowId) -> XResult<()> {
        let x = self.x.clone();
        let Some(window) = self.windows.get_mut(id) else {
            return Ok(());
        };
        if !matches!(window.depth, 24 | 32) {
            tracing::debug!("window {id} of depth {} cannot be captured", window.depth);
            return Ok(());
        }
        if let Ok(damage) = x.generate_id() {
            x.damage_create(damage, window.xid, ReportLevel::NON_EMPTY)?;
            window.damage = Some(damage);
        }
        Ok(())
    }

    /// A window is gone, or withdrawn.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn lose(&mut self, id: WindowId, destroyed: bool) -> XResult<()> {
        let Some(window) = self.windows.remove(id) else {
            return Ok(());
        };
        if let Some(named) = window.named {
            self.x.free_pixmap(named.pixmap)?;
        }
        // A damage object goes with its window.
        if let Some(damage) = window.damage.filter(|_| !destroyed) {
            self.x.damage_destroy(damage)?;
        }
        if !destroyed {
            let nothing = ChangeWindowAttributesAux::new().event_mask(EventMask::NO_EVENT);
            self.x.change_window_attributes(window.xid, &nothing)?;
        }
        if !window.override_redirect {
            if !destroyed {
                self.x.delete_property(window.xid, self.atoms.WM_STATE)?;
                self.x
                    .delete_property(window.xid, self.atoms._NET_WM_STATE)?;
            }
            self.list_changed = true;
        }
        for client in self.clients.values_mut() {
            client.lose(id);
        }
        if self.focus == Some(id) {
            self.focus = None;
            self.write_active()?;
        }
        self.focus_of = self.focus_of.filter(|(_, window)| *window != id);
        self.top = self.top.filter(|xid| *xid != window.xid);
        Ok(())
    }

    /// Reads every property that has changed, all in one round trip.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn read_stale_properties(&mut self) -> XResult<()> {
        let x = self.x.clone();
        let mut cookies = Vec::new();
        for window in self.windows.iter_mut() {
            for group in std::mem::take(&mut window.stale) {
                let (first, second) = group.atoms(&self.atoms);
                let get =
                    |atom| x.get_property(false, window.xid, atom, AtomEnum::ANY, 0, group.limit());
                cookies.push((window.id, group, get(first)?, second.map(get).transpose()?));
            }
        }
        for (id, group, first, second) in cookies {
            let first = answer(first.reply())?.map(Into::into).unwrap_or_default();
            let second = match second {
                Some(cookie) => answer(cookie.reply())?.map(Into::into).unwrap_or_default(),
                None => Default::default(),
            };
            let ids = &self.windows;
            let targets: Vec<_> = first_target(group, &first)
                .and_then(|xid| Some((xid, ids.id(xid)?)))
                .into_iter()
                .collect();
            let find = |xid: u32| targets.iter().find(|(x, _)| *x == xid).map(|(_, id)| *id);
            let Some(window) = self.windows.get_mut(id) else {
                continue;
            };
            let (changed, icon) = window.learn(group, (&first, &second), &self.atoms, &find);
            let has_icon = window.icon.is_some();
            for view in self
                .clients
                .values_mut()
                .filter_map(|c| c.views.get_mut(&id))
            {
                view.changed.extend(changed.iter().copied());
                view.icon |= icon && has_icon;
            }
        }
        if std::mem::take(&mut self.list_changed) {
            self.write_list()?;
        }
        Ok(())
    }

    fn write_list(&self) -> XResult<()> {
        let managed = self.windows.iter().filter(|w| !w.override_redirect);
        let list: Vec<u32> = managed.map(|w| w.xid).collect();
        let (atom, kind) = (self.atoms._NET_CLIENT_LIST, AtomEnum::WINDOW);
        self.x
            .change_property32(PropMode::REPLACE, self.root, atom, kind, &list)?;
        Ok(())
    }

    /// Writes `WM_STATE` and `_NET_WM_STATE`.
    fn write_states(&self, id: WindowId) -> XResult<()> {
        let Some(window) = self.windows.get(id) else {
            return Ok(());
        };
        let atoms = &self.atoms;
        let iconic = window.states.contains(&WindowState::Iconic);
        let wm_state = [if iconic { ICONIC } else { NORMAL }, 0];
        let replace = PropMode::REPLACE;
        self.x.change_property32(
            replace,
            window.xid,
            atoms.WM_STATE,
            atoms.WM_STATE,
            &wm_state,
        )?;
        let states = atoms.states();
        let list: Vec<u32> = states
            .iter()
            .filter(|(_, s)| window.states.contains(s))
            .map(|(atom, _)| *atom)
            .collect();
        self.x.change_property32(
            replace,
            window.xid,
            atoms._NET_WM_STATE,
            AtomEnum::ATOM,
            &list,
        )?;
        Ok(())
    }

    /// Sets or clears a state, for whoever asked: `by` is the client that has it already.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn set_state(
        &mut self,
        id: WindowId,
        state: WindowState,
        on: bool,
        by: Option<ConnectionId>,
    ) -> XResult<()> {
        let x = self.x.clone();
        let Some(window) = self.windows.get_mut(id) else {
            return Ok(());
        };
        let changed = if on {
            window.states.insert(state)
        } else {
            window.states.remove(&state)
        };
        if !changed || window.override_redirect {
            return Ok(());
        }
        if state == WindowState::Iconic {
            if !on {
                x.map_window(window.xid)?;
                window.mapped = true;
            } else if window.mapped {
                window.expected_unmaps += 1;
                x.unmap_window(window.xid)?;
            }
        }
        self.write_states(id)?;
        for client in self.clients.values_mut().filter(|c| Some(c.id) != by) {
            if let Some(view) = client.views.get_mut(&id) {
                view.changed.insert(Key::State(state));
            }
        }
        Ok(())
    }

    /// Moves or resizes a managed window. `by` is the client that has done so already; without
    /// one it is the application's wish, and every client is told.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn set_place(
        &mut self,
        id: WindowId,
        place: Place,
        by: Option<ConnectionId>,
    ) -> XResult<()> {
        let place = Place {
            border: 0,
            ..self.bounded(place)
        };
        let Some(window) = self.windows.get(id) else {
            return Ok(());
        };
        if window.place == place {
            return Ok(());
        }
        let changes = ConfigureWindowAux::new()
            .x(i32::from(place.x))
            .y(i32::from(place.y))
            .width(u32::from(place.width))
            .height(u32::from(place.height));
        self.x.configure_window(window.xid, &changes)?;
        self.placed(id, place, by)
    }

    /// A window has another place now.
    fn placed(&mut self, id: WindowId, place: Place, by: Option<ConnectionId>) -> XResult<()> {
        let Some(window) = self.windows.get_mut(id) else {
            return Ok(());
        };
        let resized = window.place.geometry().size != place.geometry().size;
        window.place = place;
        if by.is_none() {
            window.counter = window.counter.saturating_add(1);
        }
        if resized {
            self.forget_pixels(id)?;
        }
        for client in self.clients.values_mut().filter(|c| Some(c.id) != by) {
            if let Some(view) = client.views.get_mut(&id) {
                view.moved = true;
            }
        }
        Ok(())
    }

    /// The application asks for another place or another position in the stack.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn configure_request(&mut self, event: &ConfigureRequestEvent) -> XResult<()> {
        let Some(window) = self.windows.by_xid_mut(event.window) else {
            // Not shown yet: as it likes.
            let changes = ConfigureWindowAux::from_configure_request(event);
            self.x.configure_window(event.window, &changes)?;
            return Ok(());
        };
        use x11rb::protocol::xproto::ConfigWindow;
        let asked = |what: ConfigWindow| event.value_mask.contains(what);
        let (id, old) = (window.id, window.place);
        let place = Place {
            x: if asked(ConfigWindow::X) {
                event.x
            } else {
                old.x
            },
            y: if asked(ConfigWindow::Y) {
                event.y
            } else {
                old.y
            },
            width: if asked(ConfigWindow::WIDTH) {
                event.width
            } else {
                old.width
            },
            height: if asked(ConfigWindow::HEIGHT) {
                event.height
            } else {
                old.height
            },
            border: 0,
        };
        let place = self.bounded(place);
        if asked(ConfigWindow::STACK_MODE) {
            let mut changes = ConfigureWindowAux::new().stack_mode(event.stack_mode);
            if asked(ConfigWindow::SIBLING) {
                changes = changes.sibling(event.sibling);
            }
            self.x.configure_window(event.window, &changes)?;
            self.top = None;
            if event.stack_mode == StackMode::ABOVE && !asked(ConfigWindow::SIBLING) {
                self.raise_at_clients(id);
            }
        }
        if place == old {
            return self.confirm_place(id);
        }
        self.set_place(id, place, None)
    }

    /// Tells an application where its window is when nothing has changed (ICCCM 4.1.5).
    fn confirm_place(&self, id: WindowId) -> XResult<()> {
        let Some(window) = self.windows.get(id) else {
            return Ok(());
        };
        let Place {
            x,
            y,
            width,
            height,
            border,
        } = window.place;
        let event = ConfigureNotifyEvent {
            response_type: x11rb::protocol::xproto::CONFIGURE_NOTIFY_EVENT,
            sequence: 0,
            event: window.xid,
            window: window.xid,
            above_sibling: x11rb::NONE,
            x,
            y,
            width,
            height,
            border_width: border,
            override_redirect: false,
        };
        self.x
            .send_event(false, window.xid, EventMask::STRUCTURE_NOTIFY, event)?;
        Ok(())
    }

    /// The X server says where a window is now.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn configure_notify(&mut self, event: &ConfigureNotifyEvent) -> XResult<()> {
        if event.window == self.root {
            return self.root_resized(event.width, event.height);
        }
        if self.top != Some(event.window) {
            self.top = None;
        }
        let Some(window) = self.windows.by_xid_mut(event.window) else {
            return Ok(());
        };
        // Managed windows move only when we move them, and then we know already.
        if !window.override_redirect {
            return Ok(());
        }
        let place = Place {
            x: event.x,
            y: event.y,
            width: event.width,
            height: event.height,
            border: event.border_width,
        };
        if window.place == place {
            return Ok(());
        }
        let id = window.id;
        self.placed(id, place, None)
    }

    /// Asks clients to raise a window.
    fn raise_at_clients(&mut self, id: WindowId) {
        for view in self
            .clients
            .values_mut()
            .filter_map(|c| c.views.get_mut(&id))
        {
            view.raise = true;
        }
    }

    /// A message to the window manager.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn client_message(&mut self, event: &ClientMessageEvent) -> XResult<()> {
        if event.format != 32 {
            return Ok(());
        }
        let data = event.data.as_data32();
        let atoms = &self.atoms;
        if event.type_ == atoms._NET_REQUEST_FRAME_EXTENTS {
            let (atom, kind) = (atoms._NET_FRAME_EXTENTS, AtomEnum::CARDINAL);
            self.x
                .change_property32(PropMode::REPLACE, event.window, atom, kind, &[0; 4])?;
            return Ok(());
        }
        let Some(window) = self.windows.by_xid_mut(event.window) else {
            return Ok(());
        };
        let (id, place) = (window.id, window.place);
        if window.override_redirect {
            return Ok(());
        }
        if event.type_ == atoms._NET_WM_STATE {
            self.state_message(id, data)
        } else if event.type_ == atoms.WM_CHANGE_STATE {
            if data[0] == ICONIC {
                self.set_state(id, WindowState::Iconic, true, None)
            } else {
                Ok(())
            }
        } else if event.type_ == atoms._NET_ACTIVE_WINDOW {
            self.set_state(id, WindowState::Iconic, false, None)?;
            self.raise_at_clients(id);
            Ok(())
        } else if event.type_ == atoms._NET_CLOSE_WINDOW {
            self.close(id)
        } else if event.type_ == atoms._NET_MOVERESIZE_WINDOW {
            let side = |bit: u32, item: u32, old: u16| {
                if data[0] & bit == 0 {
                    old
                } else {
                    u16::try_from(item).unwrap_or(u16::MAX)
                }
            };
            let edge = |bit: u32, item: u32, old: i16| {
                if data[0] & bit == 0 {
                    old
                } else {
                    coordinate(signed(item))
                }
            };
            let (width, height) = window.fitted((
                side(1 << 10, data[3], place.width),
                side(1 << 11, data[4], place.height),
            ));
            let place = Place {
                x: edge(1 << 8, data[1], place.x),
                y: edge(1 << 9, data[2], place.y),
                width,
                height,
                border: 0,
            };
            self.set_place(id, place, None)
        } else if event.type_ == atoms._NET_WM_MOVERESIZE {
            self.drag_message(id, data);
            Ok(())
        } else {
            Ok(())
        }
    }

    fn state_message(&mut self, id: WindowId, data: [u32; 5]) -> XResult<()> {
        let known = self.atoms.states();
        let mut states: Vec<WindowState> = data[1..3]
            .iter()
            .filter_map(|atom| {
                known
                    .iter()
                    .find(|(a, _)| a == atom)
                    .map(|(_, state)| *state)
            })
            .collect();
        states.dedup();
        for state in states {
            // Those are the clients' to say.
            if matches!(state, WindowState::Focused | WindowState::Iconic) {
                continue;
            }
            let is = self
                .windows
                .get(id)
                .is_some_and(|w| w.states.contains(&state));
            let on = match data[0] {
                0 => false,
                1 => true,
                2 => !is,
                _ => continue,
            };
            self.set_state(id, state, on, None)?;
        }
        Ok(())
    }

    fn drag_message(&mut self, id: WindowId, data: [u32; 5]) {
        let Ok(direction) = u8::try_from(data[2]) else {
            return;
        };
        if direction > 11 {
            return;
        }
        let position = Position {
            x: coordinate(signed(data[0])).into(),
            y: coordinate(signed(data[1])).into(),
        };
        let drag = Drag {
            position,
            direction,
            button: u8::try_from(data[3]).unwrap_or(0),
        };
        // The person who drags is the one whose button is down.
        let dragging = self
            .clients
            .values()
            .find(|c| !c.held.buttons.is_empty())
            .map(|c| c.id);
        for client in self
            .clients
            .values_mut()
            .filter(|c| dragging.is_none_or(|id| c.id == id))
        {
            if let Some(view) = client.views.get_mut(&id) {
                view.drag = Some(drag);
            }
        }
    }

    /// Asks the application to close a window, or ends it when it does not take part.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn close(&mut self, id: WindowId) -> XResult<()> {
        let Some(window) = self.windows.get(id) else {
            return Ok(());
        };
        if window.delete {
            self.send_protocol(window.xid, self.atoms.WM_DELETE_WINDOW, x11rb::CURRENT_TIME)
        } else {
            self.x.kill_client(window.xid)?;
            Ok(())
        }
    }

    /// Sends a message of `WM_PROTOCOLS`.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn send_protocol(&self, xid: u32, protocol: u32, time: u32) -> Result<(), ConnectionError> {
        let data = [protocol, time, 0, 0, 0];
        let message = ClientMessageEvent::new(32, xid, self.atoms.WM_PROTOCOLS, data);
        self.x
            .send_event(false, xid, EventMask::NO_EVENT, message)?;
        Ok(())
    }
}

/// The window that `WM_TRANSIENT_FOR` names.
fn first_target(group: Group, property: &crate::properties::Property) -> Option<u32> {
    (group == Group::Transient)
        .then(|| property.number())
        .flatten()
}
