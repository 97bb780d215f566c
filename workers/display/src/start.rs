//! The start: from the supervisor's first message to a managed screen.

use crate::atoms::Atoms;
use crate::input::keyboard::Keyboard;
use crate::pace::Pace;
use crate::picture::DEFAULT_CURSOR;
use crate::session::{End, Session, Supervisor, X, answer};
use crate::window::Windows;
use ipc::display::{DisplayToSupervisor, SupervisorToDisplay};
use ipc::{ChannelError, Size};
use runtime::{Interest, PollSet};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, CreateGCAux,
    CreateWindowAux, EventMask, PropMode, WindowClass,
};
use x11rb::protocol::{composite, damage, res, shm, xfixes, xkb, xtest};
use x11rb::wrapper::ConnectionExt as _;
use xstream::XStream;

/// Why the X server cannot be used.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the supervisor said nothing that starts a session")]
    Supervisor,
    #[error("the cookie of the X server cannot be read")]
    Cookie,
    #[error("the X server refuses the connection: {0}")]
    Connect(#[from] ConnectError),
    #[error("the connection to the X server is lost: {0}")]
    Connection(#[from] ConnectionError),
    #[error("the X server refuses what a window manager needs: {0}")]
    Refused(#[from] ReplyError),
    #[error("the X server has no extension {0}; use Xvfb or another X server that has it")]
    Extension(&'static str),
    #[error("the X server's screen has a depth of {0} bits; start it with 24")]
    Depth(u8),
    #[error("another window manager is running on this display; end it first")]
    OtherManager,
    #[error("the X server gives out no more ids")]
    Ids,
}

impl From<ReplyOrIdError> for StartError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::IdsExhausted => Self::Ids,
            ReplyOrIdError::ConnectionError(error) => Self::Connection(error),
            ReplyOrIdError::X11Error(error) => Self::Refused(ReplyError::X11Error(error)),
        }
    }
}

/// Serves a session until the supervisor closes the channel (0) or the X server cannot be used
/// (1). Returns the exit code.
#[must_use]
pub fn run(mut supervisor: Supervisor) -> i32 {
    let started = match first_message(&mut supervisor) {
        Ok(Some(start)) => start.open(),
        Ok(None) => return 0,
        Err(error) => Err(error),
    };
    let start = match started {
        Ok(start) => start,
        Err(error) => return failed(supervisor, &error),
    };
    let x = Rc::new(start.x);
    let prepared = match prepare(&x, &start.name) {
        Ok(prepared) => prepared,
        Err(error) => return failed(supervisor, &error),
    };
    let mut session = Session {
        root: prepared.root,
        size: prepared.size,
        max_size: prepared.size,
        resize: start.resize,
        has_resources: prepared.has_resources,
        atoms: prepared.atoms,
        own: prepared.own,
        region: prepared.region,
        windows: Windows::default(),
        clients: BTreeMap::new(),
        done: BTreeMap::new(),
        supervisor,
        keyboard: Keyboard::default(),
        keymap_pace: Pace::default(),
        screen_pace: Pace::default(),
        focus: None,
        focus_of: None,
        focus_given: 0,
        take_focus: None,
        top: None,
        cursor: None,
        told_windows: None,
        list_changed: true,
        x,
    };
    let end = match session.begin() {
        Ok(()) => session.run(),
        Err(error) => End::X(error),
    };
    match end {
        End::Supervisor => 0,
        End::X(error) => {
            tracing::error!("the connection to the X server is lost: {error}");
            let _ = session
                .supervisor
                .send(&DisplayToSupervisor::XClosed, vec![]);
            1
        }
    }
}

fn failed(mut supervisor: Supervisor, error: &StartError) -> i32 {
    tracing::error!("{error}");
    let reason = crate::properties::shorten(&error.to_string(), 512);
    let _ = supervisor.send(&DisplayToSupervisor::Failed { reason }, vec![]);
    1
}

/// What the supervisor's first message brings.
struct Start {
    name: String,
    resize: bool,
    socket: OwnedFd,
    cookie: OwnedFd,
}

/// An open connection.
struct Opened {
    x: X,
    name: String,
    resize: bool,
}

/// Waits for it. `None` when the supervisor has gone.
fn first_message(supervisor: &mut Supervisor) -> Result<Option<Start>, StartError> {
    loop {
        match supervisor.flush().and_then(|()| supervisor.receive()) {
            Ok(Some((
                SupervisorToDisplay::Start {
                    display: number,
                    name,
                    resize,
                },
                fds,
            ))) => {
                tracing::debug!("display :{number}");
                let mut fds = fds.into_iter();
                let (Some(socket), Some(cookie)) = (fds.next(), fds.next()) else {
                    return Err(StartError::Supervisor);
                };
                return Ok(Some(Start {
                    name,
                    resize,
                    socket,
                    cookie,
                }));
            }
            Ok(Some(_)) => return Err(StartError::Supervisor),
            Ok(None) => {
                let mut set = PollSet::new();
                set.add(
                    supervisor.as_fd(),
                    Interest::read_and(supervisor.wants_write()),
                );
                set.wait(None).map_err(|_| StartError::Supervisor)?;
            }
            Err(ChannelError::Closed) => return Ok(None),
            Err(_) => return Err(StartError::Supervisor),
        }
    }
}

impl Start {
    fn open(self) -> Result<Opened, StartError> {
        let mut cookie = [0; 16];
        let read = nix::sys::uio::pread(&self.cookie, &mut cookie, 0);
        if read != Ok(cookie.len()) {
            return Err(StartError::Cookie);
        }
        let x = X::connect_to_stream_with_auth_info(
            XStream::new(self.socket),
            0,
            b"MIT-MAGIC-COOKIE-1".to_vec(),
            cookie.to_vec(),
        )?;
        Ok(Opened {
            x,
            name: self.name,
            resize: self.resize,
        })
    }
}

/// What a session needs of the X server.
struct Prepared {
    has_resources: bool,
    root: u32,
    size: Size,
    atoms: Atoms,
    own: u32,
    region: u32,
}

fn prepare(x: &X, name: &str) -> Result<Prepared, StartError> {
    // x11rb has checked that there is a first screen.
    let screen = &x.setup().roots[0];
    let root = screen.root;
    if !matches!(screen.root_depth, 24 | 32) {
        return Err(StartError::Depth(screen.root_depth));
    }
    extensions(x)?;
    let atoms = Atoms::new(x)?.reply()?;
    become_manager(x, root)?;
    let own = own_window(x, root, &atoms, name)?;
    own_cursor(x, root)?;
    redirect(x, root)?;
    let region = x.generate_id()?;
    xfixes::create_region(x, region, &[])?;
    xfixes::select_cursor_input(x, root, xfixes::CursorNotifyMask::DISPLAY_CURSOR)?;
    let bell = xkb::SelectEventsAuxBellNotify {
        affect_bell: 1,
        bell_details: 1,
    };
    let none = xkb::EventType::from(0u16);
    let nothing = xkb::MapPart::from(0u16);
    let details = xkb::SelectEventsAux::new().bell_notify(bell);
    xkb::select_events(x, 0x100, none, none, nothing, nothing, &details)?;
    let geometry = x.get_geometry(root)?.reply()?;
    let size = Size::new(geometry.width.into(), geometry.height.into());
    let size = size.ok_or(StartError::Extension("screens of this size"))?;
    Ok(Prepared {
        has_resources: has_resources(x)?,
        root,
        size,
        atoms,
        own,
        region,
    })
}

/// Redirects the windows of the session into pixmaps.
fn redirect(x: &X, root: u32) -> Result<(), StartError> {
    let redirected = composite::redirect_subwindows(x, root, composite::Redirect::MANUAL)?;
    redirected.check().map_err(|_| StartError::OtherManager)
}

/// Does the X server tell which process has a connection?
fn has_resources(x: &X) -> Result<bool, StartError> {
    if x.extension_information(res::X11_EXTENSION_NAME)?.is_none() {
        return Ok(false);
    }
    let version = answer(res::query_version(x, 1, 2)?.reply())?;
    Ok(version.is_some_and(|v| (v.server_major, v.server_minor) >= (1, 2)))
}

fn extensions(x: &X) -> Result<(), StartError> {
    let needed = [
        composite::X11_EXTENSION_NAME,
        damage::X11_EXTENSION_NAME,
        shm::X11_EXTENSION_NAME,
        xfixes::X11_EXTENSION_NAME,
        xkb::X11_EXTENSION_NAME,
        xtest::X11_EXTENSION_NAME,
    ];
    for name in needed {
        x.prefetch_extension_information(name)?;
    }
    for name in needed {
        x.extension_information(name)?
            .ok_or(StartError::Extension(name))?;
    }
    let composite = composite::query_version(x, 0, 4)?;
    let damage = damage::query_version(x, 1, 1)?;
    let xfixes = xfixes::query_version(x, 5, 0)?;
    let shm = shm::query_version(x)?;
    let xkb = xkb::use_extension(x, 1, 0)?;
    composite.reply()?;
    damage.reply()?;
    xfixes.reply()?;
    let shm = shm.reply()?;
    if (shm.major_version, shm.minor_version) < (1, 2) {
        return Err(StartError::Extension("MIT-SHM 1.2"));
    }
    if !xkb.reply()?.supported {
        return Err(StartError::Extension(xkb::X11_EXTENSION_NAME));
    }
    Ok(())
}

/// Takes the right to manage windows. A process before us may still be going away: the X server
/// needs a moment to notice.
fn become_manager(x: &X, root: u32) -> Result<(), StartError> {
    const TRIES: usize = 40;
    const PAUSE: Duration = Duration::from_millis(50);
    let mask = EventMask::SUBSTRUCTURE_REDIRECT
        | EventMask::SUBSTRUCTURE_NOTIFY
        | EventMask::STRUCTURE_NOTIFY;
    let attributes = ChangeWindowAttributesAux::new().event_mask(mask);
    for _ in 0..TRIES {
        if answer(x.change_window_attributes(root, &attributes)?.check())?.is_some() {
            return Ok(());
        }
        // Nothing to wait for but time.
        let _ = PollSet::new().wait(Some(PAUSE));
    }
    Err(StartError::OtherManager)
}

/// Our own window, and the properties that say what we are.
fn own_window(x: &X, root: u32, atoms: &Atoms, name: &str) -> Result<u32, StartError> {
    let own = x.generate_id()?;
    let attributes = CreateWindowAux::new()
        .override_redirect(1)
        .event_mask(EventMask::PROPERTY_CHANGE);
    let class = WindowClass::INPUT_ONLY;
    x.create_window(
        0,
        own,
        root,
        -1,
        -1,
        1,
        1,
        0,
        class,
        x11rb::COPY_FROM_PARENT,
        &attributes,
    )?;
    x.map_window(own)?;
    let replace = PropMode::REPLACE;
    let name = crate::properties::shorten(name, 256);
    x.change_property8(
        replace,
        own,
        atoms._NET_WM_NAME,
        atoms.UTF8_STRING,
        name.as_bytes(),
    )?;
    for window in [own, root] {
        let check = atoms._NET_SUPPORTING_WM_CHECK;
        x.change_property32(replace, window, check, AtomEnum::WINDOW, &[own])?;
    }
    x.change_property32(
        replace,
        root,
        atoms._NET_SUPPORTED,
        AtomEnum::ATOM,
        &atoms.supported(),
    )?;
    for (atom, value) in [
        (atoms._NET_NUMBER_OF_DESKTOPS, &[1][..]),
        (atoms._NET_CURRENT_DESKTOP, &[0]),
        (atoms._NET_DESKTOP_VIEWPORT, &[0, 0]),
    ] {
        x.change_property32(replace, root, atom, AtomEnum::CARDINAL, value)?;
    }
    x.set_selection_owner(own, atoms.WM_S0, x11rb::CURRENT_TIME)?;
    let data = [x11rb::CURRENT_TIME, atoms.WM_S0, own, 0, 0];
    let manager = ClientMessageEvent::new(32, root, atoms.MANAGER, data);
    x.send_event(false, root, EventMask::STRUCTURE_NOTIFY, manager)?;
    Ok(own)
}

/// Gives the root window a cursor that we recognise: applications that set none show it.
fn own_cursor(x: &X, root: u32) -> Result<(), StartError> {
    let (bitmap, cursor, gc) = (x.generate_id()?, x.generate_id()?, x.generate_id()?);
    x.create_pixmap(1, bitmap, root, 1, 1)?;
    x.create_gc(gc, bitmap, &CreateGCAux::new().foreground(0))?;
    let pixel = x11rb::protocol::xproto::Rectangle {
        x: 0,
        y: 0,
        width: 1,
        height: 1,
    };
    x.poly_fill_rectangle(bitmap, gc, &[pixel])?;
    x.create_cursor(cursor, bitmap, bitmap, 0, 0, 0, 0, 0, 0, 0, 0)?;
    xfixes::set_cursor_name(x, cursor, DEFAULT_CURSOR)?;
    x.change_window_attributes(root, &ChangeWindowAttributesAux::new().cursor(cursor))?;
    x.free_cursor(cursor)?;
    x.free_gc(gc)?;
    x.free_pixmap(bitmap)?;
    Ok(())
}

impl Session {
    /// Releases what was held, takes over what exists, and says that all is ready.
    fn begin(&mut self) -> Result<(), ConnectionError> {
        self.read_done()?;
        self.release_everything()?;
        self.program_keyboard(None)?;
        self.learn_max_size()?;
        self.write_size()?;
        self.adopt()?;
        self.adopt_focus()?;
        self.x.flush()?;
        if let Err(error) = self.supervisor.send(&DisplayToSupervisor::Ready, vec![]) {
            tracing::debug!("supervisor: {error}");
        }
        Ok(())
    }
}
