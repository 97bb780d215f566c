//! An X11 application of a test's own in a session.

use crate::screen::Screen;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
    ImageFormat, PropMode, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

/// Width and height of its windows.
pub const SIZE: (u16, u16) = (240, 160);

/// The application.
pub struct Application {
    /// Its connection to the X server.
    pub screen: Screen,
}

impl Application {
    /// The connection to the X server.
    pub fn x(&self) -> &impl Connection {
        self.screen.connection()
    }

    /// An atom.
    pub fn atom(&self, name: &str) -> Atom {
        let cookie = self.x().intern_atom(false, name.as_bytes()).unwrap();
        cookie.reply().unwrap().atom
    }

    /// Waits until the server has done everything so far.
    pub fn sync(&self) {
        self.x().sync().unwrap();
    }

    /// A window that is not shown yet.
    pub fn create(&self, (x, y): (i16, i16), (width, height): (u16, u16), menu: bool) -> Window {
        let window = self.x().generate_id().unwrap();
        let root = self.screen.root();
        let values = CreateWindowAux::new()
            .background_pixel(0x0040_8060)
            .override_redirect(u32::from(menu));
        let class = WindowClass::INPUT_OUTPUT;
        self.x()
            .create_window(0, window, root, x, y, width, height, 0, class, 0, &values)
            .unwrap();
        window
    }

    /// Gives a window a title.
    pub fn title(&self, window: Window, title: &str) {
        let (name, kind) = (AtomEnum::WM_NAME, AtomEnum::STRING);
        let replace = PropMode::REPLACE;
        self.x()
            .change_property8(replace, window, name, kind, title.as_bytes())
            .unwrap();
        let (name, kind) = (self.atom("_NET_WM_NAME"), self.atom("UTF8_STRING"));
        self.x()
            .change_property8(replace, window, name, kind, title.as_bytes())
            .unwrap();
    }

    /// A window that is shown.
    pub fn window(&self, title: &str) -> Window {
        let window = self.create((20, 20), SIZE, false);
        self.title(window, title);
        self.x().map_window(window).unwrap();
        self.sync();
        window
    }

    /// Fills a window with pixels that no coding makes small.
    pub fn noise(&self, window: Window, seed: u32) {
        let gc = self.x().generate_id().unwrap();
        self.x().create_gc(gc, window, &CreateGCAux::new()).unwrap();
        let mut state = seed;
        let pixels: Vec<u8> = (0..usize::from(SIZE.0) * usize::from(SIZE.1) * 4)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        let format = ImageFormat::Z_PIXMAP;
        self.x()
            .put_image(format, window, gc, SIZE.0, SIZE.1, 0, 0, 0, 24, &pixels)
            .unwrap();
        self.x().free_gc(gc).unwrap();
        self.sync();
    }

    /// Gives a window an icon of this size, with so many pixels behind it.
    pub fn icon(&self, window: Window, (width, height): (u32, u32), pixels: usize) {
        let mut icon = vec![width, height];
        icon.extend(
            (0..pixels)
                .map(|n| 0xff00_0000 | u32::try_from(n).unwrap_or(0).wrapping_mul(0x0001_0305)),
        );
        let (name, kind) = (self.atom("_NET_WM_ICON"), AtomEnum::CARDINAL);
        self.x()
            .change_property32(PropMode::REPLACE, window, name, kind, &icon)
            .unwrap();
        self.sync();
    }

    /// Gives a window a cursor: a glyph of the cursor font.
    pub fn cursor(&self, window: Window, glyph: u16) {
        let (font, cursor) = (
            self.x().generate_id().unwrap(),
            self.x().generate_id().unwrap(),
        );
        self.x().open_font(font, b"cursor").unwrap();
        let (on, off) = (0xffff, 0);
        self.x()
            .create_glyph_cursor(cursor, font, font, glyph, glyph + 1, on, 0, 0, off, on, on)
            .unwrap();
        let values = ChangeWindowAttributesAux::new().cursor(cursor);
        self.x().change_window_attributes(window, &values).unwrap();
        self.sync();
    }
}
