//! The window: an ordinary one, so that whoever is attached sees it too. It takes no keyboard.

use crate::page::{PAGE_HEIGHT, PAGE_WIDTH, Page, TIME, time};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::properties::{WmHints, WmSizeHints};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, PropMode, Rectangle,
    WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;
use xstream::XStream;

/// Most events before somebody else gets a turn.
const EVENTS_AT_A_TIME: usize = 500;
/// Most rectangles in one request.
const RECTANGLES: usize = 2000;
/// What it is called.
pub const TITLE: &str = "Bulkhead: a code for a login";
/// Its class, by which a window manager may know it (ICCCM 4.1.2.5).
const CLASS: &[u8] = b"bulkhead-otpscreen\0Bulkhead\0";
/// So far several windows are apart.
const STEP: i32 = 28;

x11rb::atom_manager! {
    /// Numbers of names.
    Atoms: AtomsCookie {
        UTF8_STRING,
        WM_PROTOCOLS,
        WM_DELETE_WINDOW,
        _NET_WM_NAME,
        _NET_WM_STATE,
        _NET_WM_STATE_ABOVE,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_DIALOG,
    }
}

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The X server is gone.
    #[error("the connection to the X server is lost: {0}")]
    Connection(#[from] ConnectionError),
    /// It does not do what it is asked.
    #[error("the X server refuses a window: {0}")]
    Refused(#[from] ReplyError),
    /// There is no number for a window.
    #[error("the X server gives out no more ids")]
    Ids,
}

impl From<ReplyOrIdError> for ShowError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::IdsExhausted => Self::Ids,
            ReplyOrIdError::ConnectionError(error) => Self::Connection(error),
            ReplyOrIdError::X11Error(error) => Self::Refused(ReplyError::X11Error(error)),
        }
    }
}

/// What has happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Nothing that matters.
    Nothing,
    /// It can be seen.
    Mapped,
    /// Somebody has closed it, or an application has destroyed it.
    Closed,
}

/// A window with a page.
pub struct Dialog {
    x: RustConnection<XStream>,
    window: u32,
    gc: u32,
    atoms: Atoms,
    page: Vec<Rectangle>,
    /// It has to be drawn.
    stale: bool,
    /// The time that it shows.
    seconds: Option<u64>,
}

impl Dialog {
    /// Makes the window and asks for it to be shown. `place` tells several apart.
    ///
    /// # Errors
    /// [`ShowError`].
    pub fn open(x: RustConnection<XStream>, page: &Page, place: u8) -> Result<Self, ShowError> {
        let atoms = Atoms::new(&x)?;
        let (window, gc) = (x.generate_id()?, x.generate_id()?);
        let atoms = atoms.reply()?;
        // The connection was not opened without a screen.
        let screen = x.setup().roots.first().ok_or(ShowError::Ids)?;
        let (root, white, black) = (screen.root, screen.white_pixel, screen.black_pixel);
        let free = |side: u16, own: u16| i32::from(side.saturating_sub(own));
        let step = STEP * i32::from(place);
        let left = free(screen.width_in_pixels, PAGE_WIDTH);
        let above = free(screen.height_in_pixels, PAGE_HEIGHT);
        let at =
            |start: i32, most: i32| i16::try_from((start + step).min(most)).unwrap_or_default();
        let attributes = CreateWindowAux::new()
            .background_pixel(white)
            .border_pixel(black)
            .event_mask(EventMask::EXPOSURE | EventMask::STRUCTURE_NOTIFY);
        let made = x.create_window(
            x11rb::COPY_DEPTH_FROM_PARENT,
            window,
            root,
            at(left / 2, left),
            at(above / 3, above),
            PAGE_WIDTH,
            PAGE_HEIGHT,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &attributes,
        )?;
        made.check()?;
        let drawn = CreateGCAux::new().foreground(black).graphics_exposures(0);
        x.create_gc(gc, window, &drawn)?.check()?;
        let dialog = Self {
            x,
            window,
            gc,
            atoms,
            page: page.rectangles(),
            stale: true,
            seconds: None,
        };
        dialog.describe()?;
        dialog.x.map_window(window)?.check()?;
        Ok(dialog)
    }

    /// Tells window managers what it is.
    fn describe(&self) -> Result<(), ShowError> {
        let (x, window, atoms) = (&self.x, self.window, &self.atoms);
        let text = |name: u32, kind: u32, value: &[u8]| {
            x.change_property8(PropMode::REPLACE, window, name, kind, value)
        };
        let string = AtomEnum::STRING.into();
        text(AtomEnum::WM_NAME.into(), string, TITLE.as_bytes())?;
        text(AtomEnum::WM_CLASS.into(), string, CLASS)?;
        text(atoms._NET_WM_NAME, atoms.UTF8_STRING, TITLE.as_bytes())?;
        let list = |name, value| {
            x.change_property32(PropMode::REPLACE, window, name, AtomEnum::ATOM, &[value])
        };
        list(atoms.WM_PROTOCOLS, atoms.WM_DELETE_WINDOW)?;
        list(atoms._NET_WM_STATE, atoms._NET_WM_STATE_ABOVE)?;
        list(atoms._NET_WM_WINDOW_TYPE, atoms._NET_WM_WINDOW_TYPE_DIALOG)?;
        // Whoever is typing somewhere goes on typing there.
        let hints = WmHints {
            input: Some(false),
            ..WmHints::default()
        };
        hints.set(x, window)?;
        let size = (PAGE_WIDTH.into(), PAGE_HEIGHT.into());
        let sizes = WmSizeHints {
            min_size: Some(size),
            max_size: Some(size),
            ..WmSizeHints::default()
        };
        sizes.set_normal_hints(x, window)?;
        Ok(())
    }

    /// The connection, to wait for.
    #[must_use]
    pub fn stream(&self) -> &XStream {
        self.x.stream()
    }

    /// Handles what has happened.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn hear(&mut self) -> Result<Happened, ShowError> {
        let mut happened = Happened::Nothing;
        for _ in 0..EVENTS_AT_A_TIME {
            match self.x.poll_for_event() {
                Ok(Some(Event::Expose(_))) => self.stale = true,
                Ok(Some(Event::MapNotify(event))) if event.window == self.window => {
                    happened = Happened::Mapped;
                }
                Ok(Some(Event::DestroyNotify(event))) if event.window == self.window => {
                    return Ok(Happened::Closed);
                }
                Ok(Some(Event::ClientMessage(message))) => {
                    let [what, ..] = message.data.as_data32();
                    if message.type_ == self.atoms.WM_PROTOCOLS
                        && what == self.atoms.WM_DELETE_WINDOW
                    {
                        return Ok(Happened::Closed);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) if self.x.stream().has_more() => {}
                Ok(None) => break,
                Err(ConnectionError::ParseError(error)) => tracing::debug!("X event: {error}"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(happened)
    }

    /// Is there something to be drawn, beside the time?
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Draws what is to be drawn, with the time that is left.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn draw(&mut self, seconds: u64) -> Result<(), ShowError> {
        if self.stale {
            self.x.clear_area(false, self.window, 0, 0, 0, 0)?;
            self.fill(&self.page)?;
        } else if self.seconds != Some(seconds) {
            let (y, height) = TIME;
            self.x
                .clear_area(false, self.window, 0, y, PAGE_WIDTH, height)?;
        }
        if self.stale || self.seconds != Some(seconds) {
            self.fill(&time(seconds))?;
        }
        self.stale = false;
        self.seconds = Some(seconds);
        self.x.flush()?;
        Ok(())
    }

    fn fill(&self, rectangles: &[Rectangle]) -> Result<(), ConnectionError> {
        for some in rectangles.chunks(RECTANGLES) {
            self.x.poly_fill_rectangle(self.window, self.gc, some)?;
        }
        Ok(())
    }
}
