//! The edges `network`–`display` and `supervisor`–`display`: windows and input.

use crate::channel::{MAX_MESSAGE, Message};
use crate::geometry::{Position, Size};
use crate::ids::{ConnectionId, WindowId};
use crate::input::{Key, Keymap, Pointer};
use crate::verdict::{Rights, Violation};
use serde::{Deserialize, Serialize};

/// Most windows a client may claim to hold when it attaches (after `display` was restarted).
pub const MAX_HELD: usize = 1024;

/// Position and size of a window on the root window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Top left corner.
    pub position: Position,
    /// Extent without the client's decorations.
    pub size: Size,
}

/// `_NET_WM_WINDOW_TYPE` (EWMH).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of EWMH")]
pub enum WindowType {
    Normal,
    Dialog,
    Menu,
    DropdownMenu,
    PopupMenu,
    Tooltip,
    Notification,
    Combo,
    Dnd,
    Dock,
    Desktop,
    Toolbar,
    Utility,
    Splash,
}

/// `WM_NORMAL_HINTS` (ICCCM 4.1.2.3). Zero sides are allowed in hints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeConstraints {
    /// Smallest width and height.
    pub minimum: Option<(u16, u16)>,
    /// Largest width and height.
    pub maximum: Option<(u16, u16)>,
    /// Size that increments are counted from.
    pub base: Option<(u16, u16)>,
    /// Steps of width and height.
    pub increment: Option<(u16, u16)>,
    /// Smallest ratio, numerator and denominator.
    pub minimum_aspect: Option<(u32, u32)>,
    /// Largest ratio, numerator and denominator.
    pub maximum_aspect: Option<(u32, u32)>,
    /// Window gravity 1–10 (X11 protocol).
    pub gravity: Option<u8>,
}

/// A state that a window has or not (EWMH `_NET_WM_STATE`, ICCCM `WM_STATE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of EWMH")]
pub enum WindowState {
    Iconic,
    Fullscreen,
    Maximized,
    Above,
    Below,
    Shaded,
    Sticky,
    SkipTaskbar,
    SkipPager,
    Modal,
    Focused,
}

/// One property of a window. All text is from the application: at most 1024 bytes, no NUL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metadata {
    /// `_NET_WM_NAME` or `WM_NAME`.
    Title(String),
    /// `_NET_WM_ICON_NAME` or `WM_ICON_NAME`.
    IconTitle(String),
    /// `WM_CLASS`: class, then instance (the wire and X11 have them the other way round).
    ClassInstance(String, String),
    /// `WM_WINDOW_ROLE`.
    Role(String),
    /// `WM_COMMAND`.
    Command(String),
    /// `WM_CLIENT_MACHINE`.
    ClientMachine(String),
    /// `_NET_WM_PID` as the application tells it.
    Pid(u32),
    /// `_NET_WM_WINDOW_TYPE`, most specific first, at most 8.
    WindowType(Vec<WindowType>),
    /// `WM_NORMAL_HINTS`.
    SizeConstraints(SizeConstraints),
    /// `WM_TRANSIENT_FOR`.
    TransientFor(WindowId),
    /// `WM_HINTS` window group leader.
    GroupLeader(u32),
    /// The window has an alpha channel.
    HasAlpha(bool),
    /// `_NET_WM_WINDOW_OPACITY`.
    Opacity(u32),
    /// `_MOTIF_WM_HINTS` decorations; -1 is the default.
    Decorations(i32),
    /// A state was set or cleared.
    State(WindowState, bool),
    /// Where the application asked to be.
    RequestedPosition(Position),
    /// Whether that is to be honoured even at the origin.
    SetInitialPosition(bool),
    /// The X11 window id, for people who look at `xwininfo`.
    Xid(u32),
}

/// `network` tells `display` (only what the client's rights allow is obeyed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkToDisplay {
    /// First message on every channel, also after `display` was restarted.
    Attach(Attach),
    /// The client has put a window on its screen.
    Map {
        /// Which.
        window: WindowId,
        /// Where.
        geometry: Geometry,
        /// States it gave the window.
        states: Vec<(WindowState, bool)>,
    },
    /// The client has taken a window off its screen.
    Unmap {
        /// Which.
        window: WindowId,
        /// It is iconified, not hidden.
        iconified: bool,
    },
    /// The client has moved or resized a window, or changed its state.
    Configure {
        /// Which.
        window: WindowId,
        /// Where it is now; `None` when only the state changed.
        geometry: Option<Geometry>,
        /// The counter of the last resize by the server that the client has seen; 0 for none.
        resize_counter: u32,
        /// States it gave the window.
        states: Vec<(WindowState, bool)>,
    },
    /// The person asked to close a window.
    Close(WindowId),
    /// The client's focus; `None` when no window of the session has it.
    Focus(Option<WindowId>),
    /// A signal for the application behind a window.
    Signal {
        /// Which window.
        window: WindowId,
        /// Which signal.
        signal: Signal,
    },
    /// A key.
    Key(Key),
    /// The pointer moved.
    Motion(Pointer),
    /// A button 1–255 went down or up; the wheel is buttons 4–7.
    Button {
        /// Where.
        pointer: Pointer,
        /// X11 button number.
        button: u8,
        /// Down or up.
        pressed: bool,
    },
    /// The client's keyboard changed.
    Keymap(Box<Keymap>),
    /// Press-and-hold is the server's business (`true`) or the client repeats itself.
    KeyboardSync(bool),
    /// The client's screen changed its size.
    DesktopSize(Size),
    /// Cursor updates on or off.
    SetCursors(bool),
    /// Bell on or off.
    SetBell(bool),
}

/// Signals that a client may send to an application (`window-signal`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of signal(7)")]
pub enum Signal {
    Int,
    Term,
    Quit,
    Cont,
    Usr1,
    Usr2,
}

/// What a client brings along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Window ids the client still holds, at most [`MAX_HELD`]; empty for a new client. Windows
    /// among them that still exist keep their id.
    pub held: Vec<WindowId>,
    /// The client's screen; `None` leaves the session's as it is.
    pub desktop: Option<Size>,
    /// Dots per inch, when the client says.
    pub dpi: Option<u16>,
    /// Press-and-hold is the server's business.
    pub keyboard_sync: bool,
    /// Delay before and interval between repeats in milliseconds; `None` for no repeat.
    pub key_repeat: Option<(u16, u16)>,
    /// The client's keyboard as far as its hello tells it.
    pub keymap: Box<Keymap>,
    /// It wants cursors.
    pub cursors: bool,
    /// It wants the bell.
    pub bell: bool,
    /// How many messages that must be done once ([`NetworkToDisplay::is_once`]) have been said
    /// for it to this or an earlier `display`.
    pub said: u64,
}

impl NetworkToDisplay {
    /// Must it be done once, not never and not twice, when `display` ends and is replaced? The
    /// others say how things are now, and can be said again.
    #[must_use]
    pub const fn is_once(&self) -> bool {
        matches!(
            self,
            Self::Key(_) | Self::Button { .. } | Self::Close(_) | Self::Signal { .. }
        )
    }

    /// May it be as long as any message can be?
    #[must_use]
    pub const fn is_large(&self) -> bool {
        matches!(self, Self::Keymap(_) | Self::Attach(_))
    }
}

impl Message for NetworkToDisplay {
    const NAME: &'static str = "network>display";
    fn limit(&self) -> usize {
        if self.is_large() { MAX_MESSAGE } else { 1024 }
    }
}

/// `display` tells `network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisplayToNetwork {
    /// The answer to [`NetworkToDisplay::Attach`]: facts for the client's hello. A
    /// [`DisplayToNetwork::NewWindow`] for every window follows, then [`DisplayToNetwork::Synced`].
    Attached {
        /// Size of the root window now.
        root: Size,
        /// Largest it can get.
        max_root: Size,
        /// Keycodes and keysym names of each modifier, in the order of
        /// [`Modifiers::NAMES`](crate::input::Modifiers::NAMES); at most 32 each.
        modifier_keys: [Vec<(u8, String)>; 8],
        /// How many of those in [`Attach::said`] have been done. The others are to be said again,
        /// in their order and before any other.
        done: u64,
    },
    /// Every window that exists has been told.
    Synced,
    /// A window that the client can show. For an id that the client already holds: what it is
    /// like now.
    NewWindow {
        /// Its id from now on.
        window: WindowId,
        /// Where it is.
        geometry: Geometry,
        /// Menus, tooltips: no decorations, the application places it.
        override_redirect: bool,
        /// What is known of it.
        metadata: Vec<Metadata>,
    },
    /// A window is gone.
    LostWindow(WindowId),
    /// The application moved or resized a window.
    MoveResize {
        /// Which.
        window: WindowId,
        /// Where it is now.
        geometry: Geometry,
        /// Goes up with every change by the server; to be given back in `Configure`.
        resize_counter: u32,
    },
    /// The size that a window has after the client has resized it, when that may not be the one
    /// it has given the window: the application's hints have been applied.
    Resize {
        /// Which.
        window: WindowId,
        /// What it is now.
        size: Size,
        /// See [`DisplayToNetwork::MoveResize`].
        resize_counter: u32,
    },
    /// Properties changed.
    Metadata {
        /// Which window.
        window: WindowId,
        /// The ones that changed.
        metadata: Vec<Metadata>,
    },
    /// The application asks for its window to be raised.
    Raise(WindowId),
    /// The application asks the window manager to start a move or resize
    /// (EWMH `_NET_WM_MOVERESIZE`).
    InitiateMoveResize {
        /// Which window.
        window: WindowId,
        /// Pointer position on the root window.
        position: Position,
        /// Direction 0–11.
        direction: u8,
        /// Button 0–255.
        button: u8,
    },
    /// XkbBell.
    Bell {
        /// The window it is about, if any.
        window: Option<WindowId>,
        /// Volume 0–100.
        percent: u8,
        /// Hertz.
        pitch: u16,
        /// Milliseconds.
        duration: u16,
    },
    /// The root window has a new size.
    DesktopSize {
        /// Size now.
        root: Size,
        /// Largest it can get.
        max_root: Size,
    },
}

impl Message for DisplayToNetwork {
    const NAME: &'static str = "display>network";
    fn limit(&self) -> usize {
        match self {
            Self::NewWindow { .. } | Self::Metadata { .. } | Self::Attached { .. } => 32 * 1024,
            _ => 256,
        }
    }
}

/// What a client is connected to `display` for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To see and use the session.
    Session,
    /// For one picture of the whole screen: no input, no windows, one capture.
    Screenshot,
}

/// The supervisor tells `display`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToDisplay {
    /// First message. Descriptors: a connected socket to the X server; a sealed memfd with the
    /// 16 bytes of its MIT-MAGIC-COOKIE-1.
    Start {
        /// X11 display number, for messages.
        display: u32,
        /// Name for the window manager's `_NET_WM_NAME`.
        name: String,
        /// Whether the screen follows the client's size.
        resize: bool,
    },
    /// A client that may use the session. Descriptors: channel to its `network`, channel to its
    /// `encoder`.
    Client {
        /// Which.
        connection: ConnectionId,
        /// What it may do; never changes.
        rights: Rights,
        /// What it is for.
        purpose: Purpose,
    },
    /// A client's `encoder` was started anew. Descriptor: channel to it.
    Encoder(ConnectionId),
    /// A client has gone.
    Gone(ConnectionId),
    /// Asks for [`DisplayToSupervisor::Description`].
    Describe {
        /// Given back in the answer.
        token: u64,
    },
    /// Answer with [`DisplayToSupervisor::Pong`], to show that you live.
    Ping,
}

impl Message for SupervisorToDisplay {
    const NAME: &'static str = "supervisor>display";
    fn descriptors(&self) -> usize {
        match self {
            Self::Start { .. } | Self::Client { .. } => 2,
            Self::Encoder(_) => 1,
            Self::Gone(_) | Self::Describe { .. } | Self::Ping => 0,
        }
    }
}

/// One window in an answer to `info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowDescription {
    /// Its id.
    pub window: WindowId,
    /// Its title, at most 128 bytes.
    pub title: String,
    /// Where it is.
    pub geometry: Geometry,
    /// It is a menu or the like.
    pub override_redirect: bool,
}

/// `display` tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisplayToSupervisor {
    /// The X server answers, the session's windows are known.
    Ready,
    /// The X server cannot be used; the process ends.
    Failed {
        /// One line that says what and what to do.
        reason: String,
    },
    /// The X server closed the connection; the process ends.
    XClosed,
    /// A peer broke the rules.
    Violation(Violation),
    /// A client that may act asks for a signal to the application behind a window.
    Signal {
        /// The process that has the window's X11 connection, as the X server knows it.
        pid: u32,
        /// Which signal.
        signal: Signal,
    },
    /// How many windows there are, whenever it changes (for `--exit-with-windows`).
    Windows(u32),
    /// The answer to [`SupervisorToDisplay::Describe`].
    Description {
        /// From the question.
        token: u64,
        /// Size of the root window.
        root: Size,
        /// At most 64 windows.
        windows: Vec<WindowDescription>,
    },
    /// The answer to [`SupervisorToDisplay::Ping`].
    Pong,
}

impl Message for DisplayToSupervisor {
    const NAME: &'static str = "display>supervisor";
    fn limit(&self) -> usize {
        match self {
            Self::Description { .. } => 32 * 1024,
            _ => 1024,
        }
    }
}
