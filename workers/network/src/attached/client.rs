//! What the client says.

use super::Attached;
use crate::VERSION;
use crate::connection::{Effect, Next, Output};
use crate::translate;
use ipc::WindowId;
use ipc::display::NetworkToDisplay;
use ipc::frames::NetworkToEncoder;
use ipc::network::{NetworkToSupervisor, Request};
use std::time::Instant;
use wire::packet::{self as p, ClientPacket, ServerPacket, Tunable};
use wire::rencodeplus::Value;

impl Attached {
    /// A packet of a client that has had its hello.
    pub fn packet(&mut self, now: Instant, packet: ClientPacket, out: &mut Output) -> Next {
        self.heard = now;
        match packet {
            ClientPacket::Ping(ping) => out.packet(ServerPacket::PingEcho(p::PingEcho {
                time: ping.time,
                load: [0; 3],
                latency: -1,
                source: ping.source,
            })),
            ClientPacket::PingEcho(_) => {}
            ClientPacket::DrawAck(ack) => self.acknowledged(&ack, out),
            ClientPacket::InfoRequest(_) => {
                out.packet(ServerPacket::InfoResponse(self.info()));
            }
            ClientPacket::ShutdownServer => self.request(Request::Stop, out),
            ClientPacket::ExitServer { .. } => self.request(Request::Exit, out),
            ClientPacket::BufferRefresh(refresh) => self.refresh(&refresh, out),
            ClientPacket::Encoding { name, .. } => {
                let coding = translate::coding_named(&name);
                let coding = coding.filter(|coding| self.pictures.caps().codings.contains(coding));
                out.tell(Effect::Encoder(NetworkToEncoder::Prefer(coding)));
            }
            ClientPacket::Tuning(tunings) => self.tune(&tunings, out),
            ClientPacket::Suspend(which) if which.ui || which.windows.is_empty() => {
                self.set_active(false, out);
            }
            ClientPacket::Resume(which) if which.ui || which.windows.is_empty() => {
                self.set_active(true, out);
            }
            ClientPacket::Hello => return Next::out_of_order("another hello"),
            ClientPacket::Ignored { name } => tracing::debug!(name, "a packet ignored"),
            packet => {
                if let Some(message) = self.input(packet) {
                    self.remember(&message);
                    if self.answered {
                        self.once.forget(now);
                    }
                    self.once.say(now, &message);
                    // What is to be done once waits for the answer, behind what came before it.
                    if self.answered || !message.is_once() {
                        out.tell(Effect::Display(message));
                    }
                }
            }
        }
        Next::Stay
    }

    fn request(&mut self, request: Request, out: &mut Output) {
        out.tell(Effect::Supervisor(NetworkToSupervisor::Request(request)));
    }

    fn set_active(&mut self, active: bool, out: &mut Output) {
        let active = active && self.hello.windows;
        if self.active != active {
            self.active = active;
            out.tell(Effect::Encoder(NetworkToEncoder::Active(active)));
        }
    }

    fn acknowledged(&mut self, ack: &p::DrawAck, out: &mut Output) {
        if let Some(sequence) = self.pictures.acknowledge(ack.sequence) {
            let bounded = ack.decode_time.clamp(i32::MIN.into(), i32::MAX.into());
            let decode_us = i32::try_from(bounded).unwrap_or(0);
            out.tell(Effect::Encoder(NetworkToEncoder::Ack {
                sequence,
                decode_us,
            }));
        }
    }

    fn refresh(&mut self, refresh: &p::BufferRefresh, out: &mut Output) {
        let window = match refresh.window {
            Some(window) => match self.known(window) {
                Some(window) => Some(window),
                None => return,
            },
            None => None,
        };
        if refresh.refresh_now {
            let quality = refresh.quality.unwrap_or(100).max(1);
            out.tell(Effect::Encoder(NetworkToEncoder::Refresh {
                window,
                quality,
            }));
        }
    }

    fn tune(&mut self, tunings: &[p::Tuning], out: &mut Output) {
        let before = (self.quality, self.speed);
        for tuning in tunings {
            let value = tuning.value.map(|value| value.max(1));
            match tuning.what {
                Tunable::Quality => self.quality = value,
                Tunable::Speed => self.speed = value,
                Tunable::MinQuality
                | Tunable::MaxQuality
                | Tunable::MinSpeed
                | Tunable::MaxSpeed => {}
            }
        }
        let (quality, speed) = (self.quality, self.speed);
        if (quality, speed) != before {
            out.tell(Effect::Encoder(NetworkToEncoder::Quality {
                quality,
                speed,
            }));
        }
    }

    /// Keeps what a `display` that starts anew must be told again.
    fn remember(&mut self, message: &NetworkToDisplay) {
        match message {
            NetworkToDisplay::Map {
                window, geometry, ..
            } => {
                if let Some(known) = self.windows.get_mut(window) {
                    known.shown = true;
                    known.geometry = *geometry;
                }
            }
            NetworkToDisplay::Configure {
                window,
                geometry: Some(geometry),
                ..
            } => {
                if let Some(known) = self.windows.get_mut(window) {
                    known.geometry = *geometry;
                }
            }
            NetworkToDisplay::Unmap { window, .. } => {
                if let Some(known) = self.windows.get_mut(window) {
                    known.shown = false;
                }
            }
            NetworkToDisplay::Focus(window) => self.focus = *window,
            _ => {}
        }
    }

    /// Tells a `display` that started anew what the client shows, and where its focus is.
    pub(super) fn remind(&self, out: &mut Output) {
        for (window, known) in self.windows.iter().filter(|(_, known)| known.shown) {
            out.tell(Effect::Display(NetworkToDisplay::Map {
                window: *window,
                geometry: known.geometry,
                states: Vec::new(),
            }));
        }
        if let Some(window) = self.focus.filter(|window| self.knows(*window)) {
            out.tell(Effect::Display(NetworkToDisplay::Focus(Some(window))));
        }
    }

    /// The window, if it is one that the client has been told of.
    fn known(&self, window: p::WindowId) -> Option<WindowId> {
        translate::our_window(window).filter(|window| self.knows(*window))
    }

    /// The window under the pointer or with the focus: `None` when the client names one that is
    /// gone, `Some(None)` when it names none.
    fn place(&self, window: Option<p::WindowId>) -> Option<Option<WindowId>> {
        match window {
            Some(window) => self.known(window).map(Some),
            None => Some(None),
        }
    }

    /// What a packet means to `display`; none for packets about windows that are gone and for
    /// what we do not have.
    fn input(&mut self, packet: ClientPacket) -> Option<NetworkToDisplay> {
        Some(match packet {
            ClientPacket::MapWindow(map) => NetworkToDisplay::Map {
                window: self.known(map.window)?,
                geometry: translate::our_geometry(map.geometry),
                states: translate::states(&map.state),
            },
            ClientPacket::UnmapWindow(unmap) => NetworkToDisplay::Unmap {
                window: self.known(unmap.window)?,
                iconified: unmap.iconified,
            },
            ClientPacket::ConfigureWindow(configure) => NetworkToDisplay::Configure {
                window: self.known(configure.window)?,
                geometry: configure
                    .geometry
                    .filter(|_| !configure.skip_geometry)
                    .map(translate::our_geometry),
                resize_counter: configure
                    .resize_counter
                    .map_or(0, |counter| u32::try_from(counter).unwrap_or(u32::MAX)),
                states: translate::states(&configure.state),
            },
            ClientPacket::CloseWindow(window) => NetworkToDisplay::Close(self.known(window)?),
            ClientPacket::Focus { window, .. } => NetworkToDisplay::Focus(self.place(window)?),
            ClientPacket::WindowSignal { window, signal } => NetworkToDisplay::Signal {
                window: self.known(window)?,
                signal: translate::signal(&signal)?,
            },
            ClientPacket::Key(key) => {
                // What was pressed is released, even when its window is gone.
                let window = match self.place(key.window) {
                    Some(window) => window,
                    None if key.pressed => return None,
                    None => None,
                };
                NetworkToDisplay::Key(translate::key(key, window)?)
            }
            ClientPacket::PointerMotion(motion) => {
                let window = self.place(motion.window)?;
                NetworkToDisplay::Motion(translate::pointer(
                    motion.position,
                    motion.modifiers,
                    window,
                ))
            }
            ClientPacket::PointerButton(button) => {
                let window = match self.place(button.window) {
                    Some(window) => window,
                    None if button.pressed => return None,
                    None => None,
                };
                NetworkToDisplay::Button {
                    pointer: translate::pointer(button.position, button.modifiers, window),
                    button: button.button,
                    pressed: button.pressed,
                }
            }
            ClientPacket::LayoutChanged(layout) => {
                let keymap = &mut self.attach.keymap;
                let before = keymap.clone();
                keymap.layout = translate::shorten(&layout.layout, 64);
                keymap.variant = translate::shorten(&layout.variant, 64);
                keymap.options = translate::shorten(&layout.options, 64);
                if *keymap == before {
                    return None;
                }
                NetworkToDisplay::Keymap(keymap.clone())
            }
            ClientPacket::KeymapChanged { keymap, .. } => {
                *self.attach.keymap = translate::keymap(&keymap);
                NetworkToDisplay::Keymap(self.attach.keymap.clone())
            }
            ClientPacket::KeyboardSync(sync) => {
                self.attach.keyboard_sync = sync;
                NetworkToDisplay::KeyboardSync(sync)
            }
            ClientPacket::ConfigureDisplay(display) => {
                let size = translate::our_size(display.desktop_size?);
                self.attach.desktop = Some(size);
                NetworkToDisplay::DesktopSize(size)
            }
            ClientPacket::SetCursors(on) => {
                self.attach.cursors = on && self.hello.cursor.enabled;
                NetworkToDisplay::SetCursors(self.attach.cursors)
            }
            ClientPacket::SetBell(on) => {
                self.attach.bell = on && self.hello.bell;
                NetworkToDisplay::SetBell(self.attach.bell)
            }
            _ => return None,
        })
    }

    /// The small answer to `info-request`.
    fn info(&self) -> p::Map {
        let (root, _) = self.screen.unzip();
        let size = root.map(|root| Value::list([root.width(), root.height()]));
        let server = Value::dict([
            ("version", Value::from(VERSION)),
            ("pid", self.facts.pid.into()),
            ("mode", "seamless".into()),
            ("uuid", self.facts.uuid.as_str().into()),
        ]);
        let mut map = vec![("server".into(), server)];
        if let Some(size) = size {
            map.push(("display".into(), Value::dict([("size", size)])));
        }
        map.push(("windows".into(), Value::from(self.windows.len() as u64)));
        map
    }
}
