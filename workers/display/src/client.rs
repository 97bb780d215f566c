//! One attached client: its channels, what it has been told, what is still to be told.
//!
//! Nothing queues up for a client: what it must be told is state ("this title has changed"), and
//! the message is made when its channel takes it. A client that does not read costs nothing.

use crate::region::Region;
use crate::window::{Key, Window};
use ipc::capture::{DisplayToEncoder, EncoderToDisplay};
use ipc::display::{DisplayToNetwork, NetworkToDisplay, Purpose};
use ipc::input::{Keymap, Modifiers};
use ipc::verdict::Rights;
use ipc::{Channel, ConnectionId, Position, Size, WindowId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::pool::Pool;

/// The channel to a client's `network`.
pub type Network = Channel<DisplayToNetwork, NetworkToDisplay>;
/// The channel to a client's `encoder`.
pub type Encoder = Channel<DisplayToEncoder, EncoderToDisplay>;

/// How long a client has not resized a window when it is told which size the application's hints
/// left of the one it asked for. Told at once, the window would jump about under the person's
/// hand; a person who pauses waits for a quarter of a second.
pub const SETTLE: Duration = Duration::from_millis(250);

/// A request of `_NET_WM_MOVERESIZE`.
#[derive(Clone, Copy, Debug)]
pub struct Drag {
    /// Pointer on the root window.
    pub position: Position,
    /// Direction 0–11.
    pub direction: u8,
    /// Button.
    pub button: u8,
}

/// What a bell sounds like.
#[derive(Clone, Copy, Debug)]
pub struct Bell {
    /// The window it is about.
    pub window: Option<WindowId>,
    /// Volume 0–100.
    pub percent: u8,
    /// Hertz.
    pub pitch: u16,
    /// Milliseconds.
    pub duration: u16,
}

/// One window as one client knows it.
#[derive(Debug, Default)]
pub struct View {
    /// The client has been told of it.
    pub told: bool,
    /// The client knew it before it attached.
    pub known_before: bool,
    /// The client shows it.
    pub shown: bool,
    /// The count of the application's changes of geometry when the client was told of the window
    /// or last placed it: what it says with its next `Map` may be out of date after another one.
    pub counter: u32,
    /// Metadata to tell.
    pub changed: BTreeSet<Key>,
    /// The geometry is to be told.
    pub moved: bool,
    /// When the client is to be told which size the window got; see [`SETTLE`].
    pub settle: Option<Instant>,
    /// To be raised.
    pub raise: bool,
    /// To be moved or resized by the person.
    pub drag: Option<Drag>,
    /// The icon is to be sent.
    pub icon: bool,
    /// What is damaged.
    pub region: Region,
}

impl View {
    /// A window that the client has not been told of.
    #[must_use]
    pub fn new(window: &Window) -> Self {
        let size = window.place.geometry().size;
        Self {
            shown: window.override_redirect,
            icon: window.icon.is_some(),
            region: Region::whole(size),
            ..Self::default()
        }
    }
}

/// The channel to a client's encoder, and what goes over it.
pub struct Link {
    /// The channel.
    pub channel: Encoder,
    /// Frames that the encoder has asked for.
    pub pulls: u8,
    /// The client wants frames.
    pub active: bool,
    /// The capture buffers.
    pub pool: Pool,
    /// The window captured last.
    pub last: Option<WindowId>,
    /// More of that window was announced.
    pub more: bool,
    /// Windows the encoder has heard of.
    pub seen: BTreeSet<WindowId>,
    /// Windows to be forgotten.
    pub lost: BTreeSet<WindowId>,
    /// The cursor is to be sent.
    pub cursor: bool,
    /// For a screenshot: the windows still to be captured, bottom up, and what of each.
    pub screenshot: Option<VecDeque<(WindowId, Region)>>,
    /// The screenshot is complete.
    pub done: bool,
}

impl Link {
    /// A channel over which nothing has gone yet.
    #[must_use]
    pub fn new(channel: Encoder) -> Self {
        Self {
            channel,
            pulls: 0,
            active: true,
            pool: Pool::default(),
            last: None,
            more: false,
            seen: BTreeSet::new(),
            lost: BTreeSet::new(),
            cursor: true,
            screenshot: None,
            done: false,
        }
    }
}

/// Keys and buttons that are down because of one client.
#[derive(Debug, Default)]
pub struct Held {
    /// What the client calls the key, and the keycode that was pressed for it.
    pub keys: BTreeMap<u32, u8>,
    /// Modifier keys pressed because the client's modifiers said so.
    pub modifiers: BTreeSet<u8>,
    /// Buttons.
    pub buttons: BTreeSet<u8>,
}

/// One client.
pub struct Client {
    /// Its number.
    pub id: ConnectionId,
    /// What it may do.
    pub rights: Rights,
    /// What it is for.
    pub purpose: Purpose,
    /// The channel to its `network`.
    pub network: Network,
    /// The channel to its `encoder`, while there is one.
    pub encoder: Option<Link>,
    /// Its first message has come.
    pub attached: bool,
    /// It has been told of every window that existed.
    pub synced: bool,
    /// The windows, as it knows them.
    pub views: BTreeMap<WindowId, View>,
    /// Windows that are gone, to be told.
    pub lost: BTreeSet<WindowId>,
    /// It wants cursors.
    pub cursors: bool,
    /// It wants the bell.
    pub bell: bool,
    /// The bell to be told.
    pub ring: Option<Bell>,
    /// The size of the root window is to be told.
    pub root: bool,
    /// Press-and-hold is our business.
    pub keyboard_sync: bool,
    /// Delay and interval of repeats in milliseconds.
    pub key_repeat: Option<(u16, u16)>,
    /// Its keyboard.
    pub keymap: Box<Keymap>,
    /// Its screen.
    pub desktop: Option<Size>,
    /// Its resolution.
    pub dpi: Option<u16>,
    /// What it holds down.
    pub held: Held,
    /// The modifiers it had with its last input.
    pub modifiers: Modifiers,
}

impl Client {
    /// A client that has not said anything yet.
    #[must_use]
    pub fn new(
        id: ConnectionId,
        rights: Rights,
        purpose: Purpose,
        network: Network,
        encoder: Encoder,
    ) -> Self {
        Self {
            id,
            rights,
            purpose,
            network,
            encoder: Some(Link::new(encoder)),
            attached: false,
            synced: false,
            views: BTreeMap::new(),
            lost: BTreeSet::new(),
            cursors: false,
            bell: false,
            ring: None,
            root: false,
            keyboard_sync: true,
            key_repeat: None,
            keymap: Box::default(),
            desktop: None,
            dpi: None,
            held: Held::default(),
            modifiers: Modifiers::default(),
        }
    }

    /// Is it here to see and use the session, and has it said so?
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.attached && self.purpose == Purpose::Session
    }

    /// May it change anything?
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.is_present() && !self.rights.readonly
    }

    /// Forgets a window that is gone, and remembers to tell.
    pub fn lose(&mut self, id: WindowId) {
        if self.views.remove(&id).is_some_and(|view| view.told) {
            self.lost.insert(id);
        }
        if let Some(link) = &mut self.encoder
            && link.seen.remove(&id)
        {
            link.lost.insert(id);
        }
    }
}
