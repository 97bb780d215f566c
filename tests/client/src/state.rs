//! What the client knows of the session.

use crate::framebuffer::Framebuffer;
use std::collections::BTreeMap;
use std::time::Instant;
use wire::packet::{Cursor, Geometry, Map, Metadata, ServerPacket, WindowIcon, WindowId};

/// A window.
#[derive(Clone, Debug)]
pub struct Window {
    /// Where it is.
    pub geometry: Geometry,
    /// A menu or tooltip.
    pub override_redirect: bool,
    /// Its properties; of each kind the newest.
    pub metadata: Vec<Metadata>,
    /// Its pixels.
    pub pixels: Framebuffer,
    /// Pictures that were drawn.
    pub draws: u64,
    /// Its icon.
    pub icon: Option<WindowIcon>,
}

impl Window {
    /// Its title.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.metadata.iter().find_map(|metadata| match metadata {
            Metadata::Title(title) => Some(title.as_str()),
            _ => None,
        })
    }

    pub(crate) fn learn(&mut self, news: Vec<Metadata>) {
        self.metadata
            .retain(|old| news.iter().all(|new| new.key() != old.key()));
        self.metadata.extend(news);
    }
}

/// The session as the client has it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The server's hello.
    pub hello: Map,
    /// Windows that exist.
    pub windows: BTreeMap<WindowId, Window>,
    /// All windows were told once.
    pub startup_complete: bool,
    /// The pointer's shape, `None` for the default one.
    pub cursor: Option<Cursor>,
    /// Bells.
    pub bells: u64,
    /// Size of the server's screen, when it was told after the hello.
    pub desktop: Option<(u16, u16)>,
    /// Pictures of all windows.
    pub draws: u64,
    /// Bytes of all pictures.
    pub draw_bytes: u64,
    /// Packets that were well formed but made no sense.
    pub complaints: Vec<String>,
}

impl State {
    /// The first window with this title.
    #[must_use]
    pub fn titled(&self, title: &str) -> Option<WindowId> {
        self.windows
            .iter()
            .find(|(_, window)| window.title() == Some(title))
            .map(|(id, _)| *id)
    }
}

/// Something that happened.
#[derive(Debug)]
pub struct Event {
    /// When its last byte came.
    pub at: Instant,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Debug)]
pub enum Happening {
    /// A picture was drawn.
    Drawn {
        /// On which window.
        window: WindowId,
        /// Left, top, width and height.
        area: (i32, i32, u16, u16),
        /// How it was coded.
        coding: wire::packet::Coding,
        /// Encoded bytes.
        bytes: usize,
        /// It changed at least one pixel.
        changed: bool,
    },
    /// Any other packet.
    Packet(Box<ServerPacket>),
}
