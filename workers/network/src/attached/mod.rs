//! A client in a session: its packets become messages to `display` and `encoder`, and theirs
//! become packets.

mod client;
mod display;
mod encoder;
mod once;

use self::once::Once;
use crate::connection::{Effect, Next, Output};
use crate::pictures::Pictures;
use crate::translate::{self, MetadataFilter};
use ipc::display::{Attach, Geometry, NetworkToDisplay};
use ipc::frames::NetworkToEncoder;
use ipc::network::SessionFacts;
use ipc::{Size, WindowId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use wire::hello::ClientHello;
use wire::packet::{self as p, ServerPacket, reason};

/// A client that has been silent for so long is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A client that has been silent for so long is gone (protocol "Ping and events").
const PING_TIMEOUT: Duration = Duration::from_secs(60);
/// Width and height of the session's cursors in pixels.
const CURSOR_SIZE: u16 = 24;

/// A window that the client has been told of.
#[derive(Debug)]
struct Window {
    geometry: Geometry,
    override_redirect: bool,
    /// The client has it on its screen.
    shown: bool,
}

/// The phase.
#[derive(Debug)]
pub struct Attached {
    facts: Box<SessionFacts>,
    hello: Box<ClientHello>,
    /// What the client brings along, kept up to date for a `display` that starts anew.
    attach: Attach,
    metadata: MetadataFilter,
    pictures: Pictures,
    windows: BTreeMap<WindowId, Window>,
    /// What a `display` that starts anew may have to be told again.
    once: Once,
    /// The client's focus.
    focus: Option<WindowId>,
    /// The session's screen and the largest it can get; none until the client has had its hello.
    screen: Option<(Size, Size)>,
    /// The client knows all windows.
    started: bool,
    /// The current `display` has answered.
    answered: bool,
    /// After a restart of `display`: the windows that it has not told of again.
    missing: Option<BTreeSet<WindowId>>,
    quality: Option<u8>,
    speed: Option<u8>,
    active: bool,
    heard: Instant,
    pinged: Instant,
    /// The start of our clock for pings.
    epoch: Instant,
}

type Rule = Result<(), &'static str>;

impl Attached {
    /// The session is granted: `display` and `encoder` are told who comes.
    pub fn new(
        now: Instant,
        facts: Box<SessionFacts>,
        hello: Box<ClientHello>,
        out: &mut Output,
    ) -> Self {
        let attach = translate::attach(&hello);
        let pictures = Pictures::new(translate::picture_caps(&hello));
        out.tell(Effect::Encoder(NetworkToEncoder::Start(
            pictures.caps().clone(),
        )));
        if !hello.windows {
            out.tell(Effect::Encoder(NetworkToEncoder::Active(false)));
        }
        out.tell(Effect::Display(NetworkToDisplay::Attach(attach.clone())));
        Self {
            facts,
            attach,
            metadata: MetadataFilter::new(&hello.metadata_supported),
            windows: BTreeMap::new(),
            once: Once::default(),
            focus: None,
            screen: None,
            started: false,
            answered: false,
            missing: None,
            quality: pictures.caps().quality,
            speed: pictures.caps().speed,
            active: hello.windows,
            pictures,
            hello,
            heard: now,
            pinged: now,
            epoch: now,
        }
    }

    /// Has the client had its hello?
    pub fn is_greeted(&self) -> bool {
        self.screen.is_some()
    }

    /// May the client be heard? Not while too much waits for a `display` that is not there.
    pub fn hears_client(&self) -> bool {
        self.answered || !self.once.is_full()
    }

    /// Has the client been told of this window?
    pub fn knows(&self, window: WindowId) -> bool {
        self.windows.contains_key(&window)
    }

    /// When [`Attached::tick`] has something to do.
    pub fn deadline(&self) -> Instant {
        let ping = self.heard.max(self.pinged) + PING_INTERVAL;
        ping.min(self.heard + PING_TIMEOUT)
    }

    /// Asks a silent client whether it is there, and gives up one that is not.
    pub fn tick(&mut self, now: Instant, out: &mut Output) -> Next {
        if now >= self.heard + PING_TIMEOUT {
            out.outbox.cut();
            return Next::disconnect(reason::CLIENT_PING_TIMEOUT, "");
        }
        if now >= self.heard.max(self.pinged) + PING_INTERVAL {
            self.pinged = now;
            if self.answered {
                self.once.forget(now);
            }
            // One question is enough for a client that has not read the last one.
            if self.is_greeted() && out.outbox.is_empty() {
                let since = now.saturating_duration_since(self.epoch).as_millis();
                out.packet(ServerPacket::Ping(p::Ping {
                    time: i64::try_from(since).unwrap_or(i64::MAX),
                    wall_time: None,
                    source: String::new(),
                }));
            }
        }
        Next::Stay
    }
}
