//! What `display` says: the windows and the screen.

use super::{Attached, CURSOR_SIZE, PING_INTERVAL, Rule, Window};
use crate::VERSION;
use crate::connection::{Effect, Output};
use crate::translate;
use ipc::display::{DisplayToNetwork, Geometry, MAX_HELD, Metadata, NetworkToDisplay};
use ipc::frames::Coding;
use ipc::network::NetworkToSupervisor;
use ipc::{Size, WindowId};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wire::hello::ServerHello;
use wire::packet::{self as p, ServerPacket};
use wire::rencodeplus::Value;

/// Most windows of a session.
const MAX_WINDOWS: usize = 4096;
/// Delay and interval of key repeat in milliseconds for clients that do not say (X11's default).
const KEY_REPEAT: (u32, u32) = (660, 40);

impl Attached {
    /// There is no `display` any more; another one will come.
    pub fn display_lost(&mut self) {
        self.answered = false;
    }

    /// A new `display` took the place of the last one.
    pub fn display_restarted(&mut self, out: &mut Output) {
        while self.windows.len() > MAX_HELD
            && let Some((window, _)) = self.windows.pop_last()
        {
            lost(window, out);
        }
        self.attach.said = self.once.said();
        self.attach.held = self.windows.keys().copied().collect();
        self.missing = Some(self.windows.keys().copied().collect());
        self.answered = false;
        out.tell(Effect::Display(NetworkToDisplay::Attach(
            self.attach.clone(),
        )));
    }

    /// A message of `display`.
    ///
    /// # Errors
    /// The rule that it broke.
    pub fn display(&mut self, now: Instant, message: DisplayToNetwork, out: &mut Output) -> Rule {
        match message {
            DisplayToNetwork::Attached {
                root,
                max_root,
                modifier_keys,
                done,
            } => {
                if std::mem::replace(&mut self.answered, true) {
                    return Err("a second answer to the attachment");
                }
                if self.is_greeted() {
                    for message in self.once.after(done) {
                        out.tell(Effect::Display(message.clone()));
                    }
                    self.resized(root, max_root, out);
                } else {
                    self.heard = now;
                    self.greet(root, max_root, modifier_keys, out);
                }
                return Ok(());
            }
            _ if !self.answered => return Err("a message before the answer to the attachment"),
            DisplayToNetwork::Synced => self.synced(out),
            DisplayToNetwork::DesktopSize { root, max_root } => self.resized(root, max_root, out),
            DisplayToNetwork::Bell {
                window,
                percent,
                pitch,
                duration,
            } if self.attach.bell => {
                out.packet(ServerPacket::Bell(p::Bell {
                    window: window.and_then(translate::wire_window),
                    device: 0,
                    percent: percent.into(),
                    pitch: pitch.into(),
                    duration: duration.into(),
                    class: 0,
                    id: 0,
                    name: String::new(),
                }));
            }
            DisplayToNetwork::Bell { .. } => {}
            message if self.hello.windows => return self.window(message, out),
            _ => {}
        }
        Ok(())
    }

    /// A message of `display` about a window.
    fn window(&mut self, message: DisplayToNetwork, out: &mut Output) -> Rule {
        match message {
            DisplayToNetwork::NewWindow {
                window,
                geometry,
                override_redirect,
                metadata,
            } => {
                return self.new_window(window, geometry, override_redirect, metadata, out);
            }
            DisplayToNetwork::LostWindow(window) => {
                if self.windows.remove(&window).is_some() {
                    lost(window, out);
                }
            }
            DisplayToNetwork::MoveResize {
                window,
                geometry,
                resize_counter,
            } => {
                if let Some(known) = self.windows.get_mut(&window) {
                    known.geometry = geometry;
                    moved(window, known, resize_counter, out);
                }
            }
            DisplayToNetwork::Resize {
                window,
                size,
                resize_counter,
            } => {
                let known = self.windows.get_mut(&window);
                if let (Some(known), Some(window), Some(wire_size)) = (
                    known,
                    translate::wire_window(window),
                    translate::wire_size(size),
                ) {
                    known.geometry.size = size;
                    out.packet(ServerPacket::WindowResized {
                        window,
                        size: wire_size,
                        resize_counter: resize_counter.into(),
                    });
                }
            }
            DisplayToNetwork::Metadata { window, metadata } => {
                if self.knows(window) {
                    self.tell_metadata(window, metadata, out);
                }
            }
            DisplayToNetwork::Raise(window) => {
                if let (true, Some(window)) = (self.knows(window), translate::wire_window(window)) {
                    out.packet(ServerPacket::RaiseWindow(window));
                }
            }
            DisplayToNetwork::InitiateMoveResize {
                window,
                position,
                direction,
                button,
            } => {
                if direction > 11 {
                    return Err("a direction above 11");
                }
                if let (true, Some(window)) = (self.knows(window), translate::wire_window(window)) {
                    out.packet(ServerPacket::InitiateMoveResize(p::MoveResize {
                        window,
                        x_root: position.x,
                        y_root: position.y,
                        direction,
                        button,
                        source: 1,
                    }));
                }
            }
            DisplayToNetwork::Attached { .. }
            | DisplayToNetwork::Synced
            | DisplayToNetwork::DesktopSize { .. }
            | DisplayToNetwork::Bell { .. } => {}
        }
        Ok(())
    }

    /// The client's hello and what comes right after it (protocol "Sequence").
    fn greet(
        &mut self,
        root: Size,
        max_root: Size,
        modifier_keys: [Vec<(u8, String)>; 8],
        out: &mut Output,
    ) {
        let (Some(size), Some(max)) = (translate::wire_size(root), translate::wire_size(max_root))
        else {
            return;
        };
        let facts = &self.facts;
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let modifiers = (0..8).map(|bit| p::Modifiers::from_mask(1 << bit));
        let hello = ServerHello {
            version: VERSION.to_owned(),
            display: format!(":{}", facts.display),
            session_name: facts.session_name.clone(),
            uuid: facts.uuid.clone(),
            machine_id: facts.machine_id.clone(),
            hostname: facts.hostname.clone(),
            start_time: facts.start_time,
            current_time: since_1970.as_secs(),
            desktop_size: size,
            max_desktop_size: max,
            resize: facts.resize,
            readonly: facts.readonly,
            sharing: facts.sharing,
            sharing_toggle: false,
            lock: false,
            lock_toggle: false,
            client_shutdown: !facts.readonly,
            bell: true,
            cursors: true,
            cursor_size: CURSOR_SIZE,
            key_repeat: self.hello.key_repeat.unwrap_or(KEY_REPEAT),
            modifier_keycodes: modifiers.zip(modifier_keys).collect(),
            ping: u32::try_from(PING_INTERVAL.as_secs()).unwrap_or(0),
            lz4: self.hello.network.lz4,
        };
        out.hello(hello.into_map());
        out.tell(Effect::Supervisor(NetworkToSupervisor::Attached));
        self.screen = Some((root, max_root));
        self.event("handshake-complete", Vec::new(), out);
        if self.hello.windows {
            out.packet(ServerPacket::Encodings(encodings(
                &self.pictures.caps().codings,
            )));
        }
    }

    fn event(&self, name: &str, args: Vec<Value>, out: &mut Output) {
        if self.hello.events {
            out.packet(ServerPacket::ServerEvent {
                name: name.to_owned(),
                args,
            });
        }
    }

    /// Every window has been told.
    fn synced(&mut self, out: &mut Output) {
        if let Some(missing) = self.missing.take() {
            for window in missing {
                if self.windows.remove(&window).is_some() {
                    lost(window, out);
                }
            }
            self.remind(out);
        }
        if !std::mem::replace(&mut self.started, true) {
            if self.hello.ui_client {
                out.packet(ServerPacket::StartupComplete);
            }
            let uuid = Value::from(self.hello.identity.uuid.as_str());
            self.event("startup-complete", vec![uuid], out);
        }
    }

    fn resized(&mut self, root: Size, max_root: Size, out: &mut Output) {
        if self.screen == Some((root, max_root)) {
            return;
        }
        self.screen = Some((root, max_root));
        if let (true, Some(size), Some(max)) = (
            self.hello.windows,
            translate::wire_size(root),
            translate::wire_size(max_root),
        ) {
            out.packet(ServerPacket::DesktopSize(p::DesktopSize { size, max }));
        }
    }

    fn new_window(
        &mut self,
        window: WindowId,
        geometry: Geometry,
        override_redirect: bool,
        metadata: Vec<Metadata>,
        out: &mut Output,
    ) -> Rule {
        if let Some(missing) = &mut self.missing {
            missing.remove(&window);
        }
        let count = self.windows.len();
        match self.windows.get_mut(&window) {
            // The client holds it: what it is like now.
            Some(known) if known.override_redirect == override_redirect => {
                if known.geometry != geometry {
                    known.geometry = geometry;
                    moved(window, known, 0, out);
                }
                self.tell_metadata(window, metadata, out);
                return Ok(());
            }
            Some(_) => lost(window, out),
            None if count >= MAX_WINDOWS => return Err("too many windows"),
            None => {}
        }
        let (Some(id), Some(place)) = (
            translate::wire_window(window),
            translate::wire_geometry(geometry),
        ) else {
            return Err("a window that cannot be told");
        };
        let mut metadata = self.metadata.apply(metadata);
        if override_redirect {
            metadata.extend(self.metadata.override_redirect());
        }
        let new = p::NewWindow {
            window: id,
            geometry: place,
            metadata,
            client_properties: Vec::new(),
        };
        out.packet(if override_redirect {
            ServerPacket::NewOverrideRedirect(new)
        } else {
            ServerPacket::NewWindow(new)
        });
        self.windows.insert(
            window,
            Window {
                geometry,
                override_redirect,
                shown: false,
            },
        );
        Ok(())
    }

    fn tell_metadata(&self, window: WindowId, metadata: Vec<Metadata>, out: &mut Output) {
        let metadata = self.metadata.apply(metadata);
        if let (false, Some(window)) = (metadata.is_empty(), translate::wire_window(window)) {
            out.packet(ServerPacket::WindowMetadata { window, metadata });
        }
    }
}

fn lost(window: WindowId, out: &mut Output) {
    if let Some(window) = translate::wire_window(window) {
        out.packet(ServerPacket::LostWindow(window));
    }
}

fn moved(window: WindowId, known: &Window, resize_counter: u32, out: &mut Output) {
    let place = translate::wire_geometry(known.geometry);
    if let (Some(window), Some(geometry)) = (translate::wire_window(window), place) {
        out.packet(if known.override_redirect {
            ServerPacket::ConfigureOverrideRedirect { window, geometry }
        } else {
            let resize_counter = resize_counter.into();
            ServerPacket::WindowMoveResize {
                window,
                geometry,
                resize_counter,
            }
        });
    }
}

/// The `encodings` packet: what we make of what the client can show.
fn encodings(codings: &[Coding]) -> p::Map {
    let names = |wanted: &dyn Fn(&Coding) -> bool| {
        let chosen = codings.iter().filter(|coding| wanted(coding));
        Value::list(chosen.map(|coding| translate::wire_coding(*coding)))
    };
    let all = || names(&|_| true);
    let lossless = names(&|coding| !matches!(coding, Coding::Jpeg));
    let lossy = names(&|coding| matches!(coding, Coding::Jpeg | Coding::Webp));
    let both = names(&|coding| matches!(coding, Coding::Webp));
    let inner = Value::dict([
        ("", all()),
        ("core", all()),
        ("allowed", all()),
        ("lossless", lossless),
        ("with_speed", lossy.clone()),
        ("with_quality", lossy),
        ("with_lossless_mode", both),
        ("min-quality", 1.into()),
        ("min-speed", 1.into()),
    ]);
    vec![("encodings".into(), inner)]
}
