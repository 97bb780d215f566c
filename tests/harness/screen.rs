//! X servers as the tests see them: the client's own screen, and a look at the session's.

use crate::eventually;
use crate::process::Process;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, ImageFormat, MapState, Window};
use x11rb::rust_connection::{DefaultStream, RustConnection};

/// A picture as the X server gives it: rows of 4-byte pixels, blue first, the fourth byte zeroed.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: u16,
    /// In pixels.
    pub height: u16,
    /// `width * height * 4` bytes.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// How many pixels differ, or `None` when the sizes do.
    pub fn difference(&self, other: &Self) -> Option<usize> {
        if (self.width, self.height) != (other.width, other.height) {
            return None;
        }
        let pairs = self
            .pixels
            .chunks_exact(4)
            .zip(other.pixels.chunks_exact(4));
        Some(pairs.filter(|(a, b)| a != b).count())
    }

    /// How many different pixel values there are.
    pub fn colours(&self) -> usize {
        self.pixels
            .chunks_exact(4)
            .collect::<std::collections::HashSet<_>>()
            .len()
    }
}

/// A connection that looks at an X server.
pub struct Screen {
    connection: RustConnection,
    root: Window,
}

impl Screen {
    /// Connects to display `number`, with the cookie of an Xauthority file where one is needed.
    pub fn connect(number: u32, xauthority: Option<&Path>) -> Option<Self> {
        let cookie = xauthority.map(last_cookie).unwrap_or_default();
        let stream = UnixStream::connect(format!("/tmp/.X11-unix/X{number}")).ok()?;
        let (stream, _) = DefaultStream::from_unix_stream(stream).ok()?;
        let name = if cookie.is_empty() {
            Vec::new()
        } else {
            b"MIT-MAGIC-COOKIE-1".to_vec()
        };
        let connection =
            RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie).ok()?;
        let root = connection.setup().roots.first()?.root;
        Some(Self { connection, root })
    }

    /// The connection, for requests of a test's own.
    pub fn connection(&self) -> &RustConnection {
        &self.connection
    }

    /// The root window.
    pub fn root(&self) -> Window {
        self.root
    }

    /// Every window below `top`, top level first.
    fn tree(&self, top: Window) -> Vec<Window> {
        let mut all = Vec::new();
        let mut next = vec![top];
        while let Some(window) = next.pop() {
            let children = self
                .connection
                .query_tree(window)
                .ok()
                .and_then(|c| c.reply().ok());
            for child in children.map(|reply| reply.children).unwrap_or_default() {
                all.push(child);
                next.push(child);
            }
        }
        all
    }

    /// The text of a property.
    pub fn text(&self, window: Window, atom: AtomEnum) -> Option<String> {
        let cookie = self
            .connection
            .get_property(false, window, atom, AtomEnum::ANY, 0, 1024);
        let reply = cookie.ok()?.reply().ok()?;
        (!reply.value.is_empty()).then(|| String::from_utf8_lossy(&reply.value).into_owned())
    }

    /// The viewable window with this `WM_NAME`.
    pub fn window_named(&self, name: &str) -> Option<Window> {
        self.windows_named(name).into_iter().next()
    }

    /// The viewable windows with this `WM_NAME`.
    pub fn windows_named(&self, name: &str) -> Vec<Window> {
        let named = |w: &Window| self.text(*w, AtomEnum::WM_NAME).as_deref() == Some(name);
        let mut windows = self.tree(self.root);
        windows.retain(|w| named(w) && self.viewable(*w));
        windows
    }

    /// Viewable override-redirect windows that are children of the root.
    pub fn popups(&self) -> Vec<Window> {
        let children = self
            .connection
            .query_tree(self.root)
            .ok()
            .and_then(|c| c.reply().ok());
        let children = children.map(|reply| reply.children).unwrap_or_default();
        let popup = |w: &Window| {
            let cookie = self.connection.get_window_attributes(*w).ok()?;
            let a = cookie.reply().ok()?;
            Some(a.override_redirect && a.map_state == MapState::VIEWABLE)
        };
        children
            .into_iter()
            .filter(|w| popup(w) == Some(true))
            .collect()
    }

    /// The window that has the keyboard.
    pub fn focus(&self) -> Option<Window> {
        Some(self.connection.get_input_focus().ok()?.reply().ok()?.focus)
    }

    /// The codes of the keys that are down.
    ///
    /// # Panics
    /// When the X server has gone.
    pub fn keys_down(&self) -> Vec<u8> {
        let reply = self.connection.query_keymap().unwrap().reply().unwrap();
        let down = |code: &u8| reply.keys[usize::from(code / 8)] & 1 << (code % 8) != 0;
        (0..=u8::MAX).filter(down).collect()
    }

    /// The modifiers (the lower byte) and buttons that are down.
    ///
    /// # Panics
    /// When the X server has gone.
    pub fn pointer_mask(&self) -> u16 {
        let cookie = self.connection.query_pointer(self.root).unwrap();
        cookie.reply().unwrap().mask.into()
    }

    fn viewable(&self, window: Window) -> bool {
        let reply = self
            .connection
            .get_window_attributes(window)
            .ok()
            .and_then(|c| c.reply().ok());
        reply.is_some_and(|a| a.map_state == MapState::VIEWABLE)
    }

    /// Position on the root window, width and height.
    pub fn geometry(&self, window: Window) -> Option<(i16, i16, u16, u16)> {
        let g = self.connection.get_geometry(window).ok()?.reply().ok()?;
        let at = self
            .connection
            .translate_coordinates(window, self.root, 0, 0)
            .ok()?
            .reply()
            .ok()?;
        Some((at.dst_x, at.dst_y, g.width, g.height))
    }

    /// Position on the root window, width and height, all with the border.
    pub fn outer_geometry(&self, window: Window) -> Option<(i16, i16, u16, u16)> {
        let border = self
            .connection
            .get_geometry(window)
            .ok()?
            .reply()
            .ok()?
            .border_width;
        let (x, y, width, height) = self.geometry(window)?;
        let half = i16::try_from(border).ok()?;
        Some((x - half, y - half, width + 2 * border, height + 2 * border))
    }

    /// What a window shows.
    pub fn picture(&self, window: Window) -> Option<Picture> {
        let (_, _, width, height) = self.geometry(window)?;
        let format = ImageFormat::Z_PIXMAP;
        let cookie = self
            .connection
            .get_image(format, window, 0, 0, width, height, u32::MAX);
        let mut pixels = cookie.ok()?.reply().ok()?.data;
        pixels.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
        Some(Picture {
            width,
            height,
            pixels,
        })
    }
}

/// The cookie of the last entry of an Xauthority file (Xau(3)): family, then four counted
/// strings, all numbers big-endian.
fn last_cookie(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut rest = &bytes[..];
    let mut cookie = Vec::new();
    while rest.len() > 2 {
        rest = &rest[2..];
        for field in 0..4 {
            let Some((len, tail)) = rest.split_first_chunk::<2>() else {
                return cookie;
            };
            let (value, tail) =
                tail.split_at(usize::from(u16::from_be_bytes(*len)).min(tail.len()));
            if field == 3 {
                cookie = value.to_vec();
            }
            rest = tail;
        }
    }
    cookie
}

/// An X server of a test's own, with a window manager, for a client to show its windows on.
pub struct ClientScreen {
    _window_manager: Process,
    _server: Process,
    /// Its display number.
    pub number: u32,
    /// A look at it.
    pub screen: Screen,
}

impl ClientScreen {
    /// Starts one of this size.
    ///
    /// # Panics
    /// When Xvfb or openbox do not start.
    pub fn start(width: u16, height: u16) -> Self {
        let geometry = format!("{width}x{height}x24");
        let server = Process::start(Command::new("Xvfb").args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &geometry,
            "-nolisten",
            "tcp",
            "-noreset",
        ]));
        let number =
            server.wait_for_line(Duration::from_secs(20), |line| line.parse::<u32>().is_ok());
        let number: u32 = number.parse().unwrap();
        let screen = eventually("connect to our own Xvfb", Duration::from_secs(10), || {
            Screen::connect(number, None)
        });
        let display = format!(":{number}");
        let mut wm = Command::new("openbox");
        let window_manager = Process::start(wm.env("DISPLAY", display));
        let atom = |name: &[u8]| {
            screen
                .connection
                .intern_atom(false, name)
                .unwrap()
                .reply()
                .unwrap()
                .atom
        };
        let check = atom(b"_NET_SUPPORTING_WM_CHECK");
        eventually(
            "openbox manages our own Xvfb",
            Duration::from_secs(20),
            || {
                let c = &screen.connection;
                let cookie = c
                    .get_property(false, screen.root, check, AtomEnum::ANY, 0, 1)
                    .ok()?;
                (!cookie.reply().ok()?.value.is_empty()).then_some(())
            },
        );
        Self {
            _window_manager: window_manager,
            _server: server,
            number,
            screen,
        }
    }

    /// `DISPLAY` for its clients.
    pub fn display(&self) -> String {
        format!(":{}", self.number)
    }

    /// Gives a window of this title the focus, when it is there.
    ///
    /// # Panics
    /// When xdotool fails.
    pub fn activate(&self, title: &str) {
        let search = ["search", "--sync", "--onlyvisible", "--name", title];
        self.xdotool(&[&search[..], &["windowactivate", "--sync"]].concat());
    }

    /// Runs xdotool on it.
    ///
    /// # Panics
    /// When xdotool fails.
    pub fn xdotool(&self, args: &[&str]) {
        let mut command = Command::new("xdotool");
        let output = command
            .args(args)
            .env("DISPLAY", self.display())
            .output()
            .unwrap();
        assert!(output.status.success(), "xdotool {args:?}: {output:?}");
    }
}
