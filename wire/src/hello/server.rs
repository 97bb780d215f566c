use crate::packet::{Map, Modifiers, Size, accepted_names};
use crate::rencodeplus::Value;

/// What a server says of itself to a client that was let in, in the flat form
/// (protocol "What the server must put in its hello").
///
/// A feature that does not exist is absent, because that is how clients are
/// told: without `clipboard`, `notifications`, `file` and `webcam` they send no
/// packet of these. (`clipboard` must be a map if it is there at all.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello {
    /// A version that clients can parse, at least 3.0: `6.5`.
    pub version: String,
    /// Such as `:10`.
    pub display: String,
    /// For the user.
    pub session_name: String,
    /// Of the session, in hex.
    pub uuid: String,
    /// Of the machine, in hex.
    pub machine_id: String,
    /// The server's host.
    pub hostname: String,
    /// Seconds since 1970: when the session started.
    pub start_time: u64,
    /// Seconds since 1970: now.
    pub current_time: u64,
    /// Pixels: the X server's screen.
    pub desktop_size: Size,
    /// Pixels: the largest that it can have.
    pub max_desktop_size: Size,
    /// The screen can be resized to any size.
    pub resize: bool,
    /// This client's input is ignored; it sends none.
    pub readonly: bool,
    /// Other clients may share the session.
    pub sharing: bool,
    /// Clients may change `sharing` for themselves.
    pub sharing_toggle: bool,
    /// Clients may lock the session.
    pub lock: bool,
    /// Clients may change `lock` for themselves.
    pub lock_toggle: bool,
    /// Clients may end the session.
    pub client_shutdown: bool,
    /// The bell is forwarded.
    pub bell: bool,
    /// Cursors are forwarded.
    pub cursors: bool,
    /// Pixels: width and height of a cursor.
    pub cursor_size: u16,
    /// Milliseconds: delay and interval of key repeat.
    pub key_repeat: (u32, u32),
    /// The server's modifier keys.
    pub modifier_keycodes: ModifierKeycodes,
    /// Seconds between the server's pings.
    pub ping: u32,
    /// The client takes LZ4 and so do we.
    pub lz4: bool,
}

/// Modifiers, each with its keys: X11 key code and keysym name.
pub type ModifierKeycodes = Vec<(Modifiers, Vec<(u8, String)>)>;

impl ServerHello {
    /// The map of the hello.
    pub fn into_map(self) -> Map {
        let elapsed = self.current_time.saturating_sub(self.start_time);
        let (delay, interval) = self.key_repeat;
        let (keycodes, names) = modifiers(self.modifier_keycodes);
        let compressors: &[&str] = if self.lz4 {
            &["lz4", "none"]
        } else {
            &["none"]
        };
        let signals: &[&str] = if self.readonly { &[] } else { &WINDOW_SIGNALS };
        let pairs: Vec<(&str, Value)> = vec![
            // Network.
            ("version", self.version.into()),
            ("protocol", Value::list([5, 1])),
            ("encoders", Value::list(["rencodeplus"])),
            ("rencodeplus", true.into()),
            ("compressors", Value::list(compressors.iter().copied())),
            ("lz4", self.lz4.into()),
            ("chunks", true.into()),
            ("flush", true.into()),
            (
                "packet-types",
                Value::list(accepted_names().iter().copied().filter(|n| advertised(n))),
            ),
            ("ping", self.ping.into()),
            ("ping-echo-sourceid", true.into()),
            // The session.
            ("server_type", "base".into()),
            ("server.mode", "seamless".into()),
            ("session-type", "seamless".into()),
            ("session_name", self.session_name.into()),
            ("display", self.display.into()),
            ("uuid", self.uuid.into()),
            ("machine_id", self.machine_id.clone().into()),
            ("machine-id", self.machine_id.into()),
            ("hostname", self.hostname.into()),
            ("platform", "linux".into()),
            ("start_time", self.start_time.into()),
            ("current_time", self.current_time.into()),
            ("elapsed_time", elapsed.into()),
            // Who may do what.
            ("readonly", self.readonly.into()),
            ("sharing", self.sharing.into()),
            ("sharing-toggle", self.sharing_toggle.into()),
            ("lock", self.lock.into()),
            ("lock-toggle", self.lock_toggle.into()),
            ("client-shutdown", self.client_shutdown.into()),
            // The screen.
            ("desktop_size", self.desktop_size.into()),
            ("actual_desktop_size", self.desktop_size.into()),
            ("root_window_size", self.desktop_size.into()),
            ("max_desktop_size", self.max_desktop_size.into()),
            ("resize_screen", self.resize.into()),
            ("resize_exact", self.resize.into()),
            // Windows.
            ("windows", true.into()),
            (
                "window",
                Value::dict([
                    ("frame-extents", Value::Bool(true)),
                    ("configure.delta", true.into()),
                    ("signals", Value::list(signals.iter().copied())),
                    ("states", Value::list(WINDOW_STATES)),
                ]),
            ),
            ("bell", self.bell.into()),
            ("cursors", self.cursors.into()),
            (
                "cursor",
                Value::dict([
                    ("default_size", Value::from(self.cursor_size)),
                    (
                        "sizes",
                        Value::dict([(
                            "default",
                            Value::list([self.cursor_size, self.cursor_size]),
                        )]),
                    ),
                ]),
            ),
            // Input.
            ("keyboard", true.into()),
            ("key_repeat", Value::list([delay, interval])),
            ("key_repeat_modifiers", true.into()),
            ("keyboard.fast-switching", true.into()),
            ("modifier_keycodes", keycodes),
            ("modifiers-keynames", names),
            (
                "pointer",
                Value::dict([("grabs", Value::Bool(true)), ("relative", true.into())]),
            ),
            ("pointer.relative", true.into()),
            ("pointer.optional", true.into()),
            ("input-devices", "xtest".into()),
            // The clients read one or the other.
            ("wheel.precise", false.into()),
            ("wheel", Value::dict([("precise", Value::Bool(false))])),
            ("force_ungrab", true.into()),
            // What does not exist, where absence would not say so.
            ("audio", Value::Dict(Vec::new())),
            ("mmap", Value::Dict(Vec::new())),
            ("start-new-commands", false.into()),
            ("server-commands-signals", Value::List(Vec::new())),
            ("server-commands-info", false.into()),
            (
                "remote-logging",
                Value::dict([("receive", Value::Bool(false)), ("send", false.into())]),
            ),
            ("file-transfer", false.into()),
            ("printing", false.into()),
            ("open-files", false.into()),
        ];
        pairs.into_iter().map(|(k, v)| (k.into(), v)).collect()
    }
}

/// Signals that a client that may act can have sent to the application behind a window.
const WINDOW_SIGNALS: [&str; 6] = [
    "SIGINT", "SIGTERM", "SIGQUIT", "SIGCONT", "SIGUSR1", "SIGUSR2",
];

/// States that a client may change on a window.
const WINDOW_STATES: [&str; 10] = [
    "iconified",
    "focused",
    "fullscreen",
    "maximized",
    "above",
    "below",
    "sticky",
    "shaded",
    "skip-taskbar",
    "skip-pager",
];

/// What clients are told that we handle. Not `keyboard-config`: with it the
/// HTML5 client sends another packet than the one that all others send.
fn advertised(name: &str) -> bool {
    name != "keyboard-config"
}

/// The two maps of modifiers: to key codes with keysyms, and to keysyms.
fn modifiers(all: ModifierKeycodes) -> (Value, Value) {
    let mut keycodes = Vec::new();
    let mut names = Vec::new();
    for (modifier, keys) in all {
        for name in modifier.names() {
            let pairs = keys
                .iter()
                .map(|(code, keysym)| Value::List(vec![(*code).into(), keysym.as_str().into()]));
            keycodes.push((name, Value::list(pairs)));
            let keysyms = keys.iter().map(|(_, keysym)| keysym.as_str());
            names.push((name, Value::list(keysyms)));
        }
    }
    (Value::dict(keycodes), Value::dict(names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::Caps;

    fn sample() -> ServerHello {
        ServerHello {
            version: "6.5".into(),
            display: ":10".into(),
            session_name: "xterm".into(),
            uuid: "00".into(),
            machine_id: "11".into(),
            hostname: "host".into(),
            start_time: 1000,
            current_time: 1060,
            desktop_size: Size::new(1920, 1080).unwrap(),
            max_desktop_size: Size::new(8192, 4096).unwrap(),
            resize: true,
            readonly: false,
            sharing: false,
            sharing_toggle: false,
            lock: false,
            lock_toggle: false,
            client_shutdown: false,
            bell: true,
            cursors: true,
            cursor_size: 24,
            key_repeat: (500, 30),
            modifier_keycodes: vec![(
                Modifiers::from_mask(1),
                vec![(50, "Shift_L".into()), (62, "Shift_R".into())],
            )],
            ping: 5,
            lz4: true,
        }
    }

    #[test]
    fn what_clients_cannot_do_without() {
        let map = sample().into_map();
        let caps = Caps::new(&map);
        // The desktop client reads these at the top level only if this is text.
        assert!(matches!(caps.get("display"), Some(Value::Text(_))));
        for key in [
            "desktop_size",
            "actual_desktop_size",
            "root_window_size",
            "max_desktop_size",
            "key_repeat",
        ] {
            assert!(caps.pair::<u16>(key).is_some(), "{key}");
        }
        for key in [
            "rencodeplus",
            "lz4",
            "bell",
            "windows",
            "cursors",
            "keyboard",
        ] {
            assert_eq!(caps.get(key), Some(&Value::Bool(true)), "{key}");
        }
        assert_eq!(caps.texts("encoders", 9, 99).unwrap(), ["rencodeplus"]);
        assert_eq!(caps.int("elapsed_time"), Some(60));
        // The HTML5 client reads the dotted key, the desktop client the map.
        for key in ["wheel.precise", "client-shutdown", "start-new-commands"] {
            assert_eq!(caps.get(key), Some(&Value::Bool(false)), "{key}");
        }
        assert_eq!(caps.map("wheel").get("precise"), Some(&Value::Bool(false)));
        let names = caps.texts("packet-types", 999, 99).unwrap();
        for name in [
            "pointer",
            "pointer-button",
            "configure-display",
            "window-ack",
        ] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
        assert!(!names.iter().any(|n| n == "keyboard-config"));
        assert_eq!(
            caps.get("modifier_keycodes.shift"),
            Some(&Value::List(vec![
                Value::List(vec![50.into(), "Shift_L".into()]),
                Value::List(vec![62.into(), "Shift_R".into()]),
            ]))
        );
        assert_eq!(
            caps.texts("modifiers-keynames.shift", 9, 99).unwrap(),
            ["Shift_L", "Shift_R"]
        );
    }

    #[test]
    fn features_that_do_not_exist() {
        let map = sample().into_map();
        let caps = Caps::new(&map);
        // Absent: a false `clipboard` is no map, an empty one is a server
        // without selections, for clients.
        for key in [
            "clipboard",
            "notifications",
            "file",
            "printer",
            "webcam",
            "shell",
            "encryption",
            "av-sync",
            "xdg-menu",
        ] {
            assert!(!caps.has(key), "{key}");
        }
        for key in ["audio", "mmap"] {
            assert_eq!(caps.get(key), Some(&Value::Dict(Vec::new())), "{key}");
        }
    }

    /// The HTML5 client can read neither floats nor none, nor integers above
    /// 2^53.
    #[test]
    fn the_browser_can_read_it() {
        fn check(value: &Value) {
            match value {
                Value::Float(_) | Value::None | Value::Big(_) => panic!("{value:?}"),
                Value::Int(n) => assert!(n.unsigned_abs() <= 1 << 53),
                Value::List(items) => items.iter().for_each(check),
                Value::Dict(pairs) => pairs.iter().for_each(|(k, v)| {
                    check(k);
                    check(v);
                }),
                _ => {}
            }
        }
        check(&Value::Dict(sample().into_map()));
    }

    #[test]
    fn no_key_twice() {
        let map = sample().into_map();
        for (at, (key, _)) in map.iter().enumerate() {
            assert!(!map[..at].iter().any(|(k, _)| k == key), "{key:?}");
        }
    }
}
