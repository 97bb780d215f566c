use super::{DisplayCaps, Keymap};
use crate::caps::{Caps, CapsError};
use crate::challenge::Digest;
use crate::cipher::{CipherOffer, OfferError};
use crate::limits::{
    MAX_IDENTITY, MAX_NAME, MAX_NAMES, MAX_REQUEST_ARGS, MAX_RESPONSE, MAX_SALT, MAX_TEXT,
};
use crate::packet::{Coding, Map, Metadata, Modifiers, Packet, RgbFormat};
use crate::rencodeplus::Value;

/// What a client says of itself (protocol "What the clients send"). What it
/// does not say is off.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientHello {
    /// Who it is.
    pub identity: Identity,
    /// How it wants to be spoken to.
    pub network: NetworkCaps,
    /// How it authenticates.
    pub auth: AuthCaps,
    /// It wants one answer, not a session.
    pub request: Option<Request>,
    /// It has a user interface. False for command line tools.
    pub ui_client: bool,
    /// It shares the session with other clients.
    pub share: bool,
    /// It locks the session against other clients.
    pub lock: bool,
    /// It may take the session from another client.
    pub steal: bool,
    /// It shows windows.
    pub windows: bool,
    /// Keys of window metadata that it takes.
    pub metadata_supported: Vec<String>,
    /// It has a keyboard.
    pub keyboard: bool,
    /// Its keymap, as far as the hello tells.
    pub keymap: Keymap,
    /// Milliseconds: delay and interval of key repeat.
    pub key_repeat: Option<(u32, u32)>,
    /// It sends presses and releases as they are.
    pub keyboard_sync: bool,
    /// Modifiers that are held.
    pub modifiers: Modifiers,
    /// Its screens.
    pub display: DisplayCaps,
    /// What it can draw.
    pub encoding: EncodingCaps,
    /// What cursors it takes.
    pub cursor: CursorCaps,
    /// It rings the bell.
    pub bell: bool,
    /// It shows tray icons.
    pub system_tray: bool,
    /// It takes `show-desktop`.
    pub show_desktop: bool,
    /// It wants `server-event` packets.
    pub events: bool,
    /// Groups of server capabilities that it wants.
    pub wants: Vec<String>,
}

/// Who a client is. Nothing of it is proved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Its version. Never a reason to refuse it.
    pub version: String,
    /// `Python/GTK3`, `python`, `HTML5`.
    pub client_type: String,
    /// Of the user on that machine, in hex.
    pub uuid: String,
    /// Of this connection, in hex.
    pub session_id: String,
    /// Of the machine, in hex.
    pub machine_id: String,
    /// The name to log in with.
    pub username: String,
    /// Its host.
    pub hostname: String,
}

/// How a client wants to be spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkCaps {
    /// It takes rencodeplus. No other encoding is spoken.
    pub rencodeplus: bool,
    /// It takes LZ4.
    pub lz4: bool,
    /// It takes raw chunks.
    pub chunks: bool,
    /// How it wants what it receives to be encrypted, if at all; or why that cannot be.
    pub encryption: Result<Option<CipherOffer>, OfferError>,
    /// It answers pings.
    pub ping: bool,
    /// Packet types that it handles, if it says so.
    pub packet_types: Vec<String>,
}

/// How a client authenticates.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AuthCaps {
    /// Digests that it offers and that we know.
    pub digests: Vec<Digest>,
    /// Salt digests that it offers and that we know.
    pub salt_digests: Vec<Digest>,
    /// A small hello: the full one will answer a challenge.
    pub wants_challenge: bool,
    /// The response to our challenge.
    pub response: Option<Vec<u8>>,
    /// The client's half of the salt.
    pub client_salt: Option<Vec<u8>>,
    /// The values of those capabilities that the reader has asked for by name, in that order; not
    /// written.
    pub named: Vec<Option<String>>,
}

/// Responses are shown by their length.
impl std::fmt::Debug for AuthCaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthCaps")
            .field("digests", &self.digests)
            .field("salt_digests", &self.salt_digests)
            .field("wants_challenge", &self.wants_challenge)
            .field("response", &self.response.as_ref().map(Vec::len))
            .field("client_salt", &self.client_salt.as_ref().map(Vec::len))
            .field("named", &self.named.len())
            .finish()
    }
}

/// What a client wants instead of a session (protocol "One-shot requests").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The server's version.
    Version,
    /// What the session is.
    Id,
    /// This text back.
    ConnectTest(String),
    /// Everything about the session.
    Info,
    /// A picture of the session.
    Screenshot,
    /// Disconnect the others.
    Detach,
    /// End the server, not the applications.
    Exit,
    /// End the session.
    Stop,
    /// A control command and its arguments.
    Command(Vec<String>),
    /// Start a program: its name and arguments.
    Run(Vec<String>),
    /// Anything else, by its name.
    Other(String),
}

/// What a client can draw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodingCaps {
    /// Codings that it takes and that we know.
    pub core: Vec<Coding>,
    /// Pixel formats of raw pixels.
    pub rgb_formats: Vec<RgbFormat>,
    /// Raw pixels may be LZ4.
    pub rgb_lz4: bool,
    /// It can show transparency.
    pub transparency: bool,
    /// 0 to 100.
    pub quality: Option<u8>,
    /// 0 to 100.
    pub min_quality: Option<u8>,
    /// 0 to 100.
    pub speed: Option<u8>,
    /// 0 to 100.
    pub min_speed: Option<u8>,
    /// Milliseconds of quiet before a lossless refresh.
    pub auto_refresh_delay: Option<u32>,
    /// Encodings of `window-icon`: `png`, `BGRA`, `default`.
    pub icon_encodings: Vec<String>,
    /// Pixels that it likes icons to have.
    pub icon_size: Option<(u16, u16)>,
    /// Pixels that icons may have.
    pub icon_max_size: Option<(u16, u16)>,
}

/// What cursors a client takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CursorCaps {
    /// It takes cursors at all.
    pub enabled: bool,
    /// Encodings: `raw`, `png`, `default`.
    pub encodings: Vec<String>,
    /// It takes the legacy `cursor` packet; if not, `cursor-data`.
    pub legacy: bool,
    /// Pixels that a cursor may have.
    pub max_size: Option<(u16, u16)>,
}

/// Why a hello was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// A capability that is too large.
    #[error("hello: {0}")]
    Caps(#[from] CapsError),
}

impl ClientHello {
    /// Reads the map of a client's hello.
    pub fn parse(map: &[(Value, Value)]) -> Result<ClientHello, HelloError> {
        let caps = &Caps::new(map);
        let ui_client = caps.bool("ui_client", true);
        let keymap = caps.get("keymap").and_then(Caps::of).unwrap_or(*caps);
        Ok(ClientHello {
            identity: Identity::parse(caps)?,
            network: NetworkCaps::parse(caps)?,
            auth: AuthCaps::parse(caps)?,
            request: Request::parse(caps)?,
            ui_client,
            share: caps.bool("share", false),
            lock: caps.bool("lock", false),
            steal: caps.bool("steal", true),
            windows: match caps.get("window") {
                Some(Value::Dict(_)) => caps.bool("window.enabled", true),
                _ => caps.bool("windows", ui_client),
            },
            metadata_supported: caps.texts("metadata.supported", MAX_NAMES, MAX_NAME)?,
            keyboard: caps.bool("keyboard", ui_client),
            keymap: Keymap::parse(&keymap)?,
            key_repeat: caps.pair("key_repeat"),
            keyboard_sync: caps.bool("keyboard_sync", true),
            modifiers: Modifiers::from_values(caps.list("modifiers", MAX_NAMES)?),
            display: DisplayCaps::parse_hello(caps)?,
            encoding: EncodingCaps::parse(caps)?,
            cursor: CursorCaps::parse(caps)?,
            bell: caps.bool("bell", false),
            system_tray: caps.bool("system_tray", false),
            show_desktop: caps.bool("show-desktop", false),
            events: caps.bool("events", false)
                || caps
                    .list("wants", MAX_NAMES)?
                    .iter()
                    .any(|w| w.is_key("events")),
            wants: caps.texts("wants", MAX_NAMES, MAX_NAME)?,
        })
    }

    /// Whether the client takes this property of a window. The HTML5 client
    /// lists `size-constraints` by its old name.
    pub fn takes_metadata(&self, metadata: &Metadata) -> bool {
        let key = metadata.key();
        self.metadata_supported
            .iter()
            .any(|name| name == key || (key == "size-constraints" && name == "size-hints"))
    }

    /// A hello that offers nothing: a command line tool before it says what
    /// it wants.
    pub fn command_line(identity: Identity, request: Option<Request>) -> ClientHello {
        ClientHello {
            identity,
            network: NetworkCaps {
                rencodeplus: true,
                lz4: true,
                chunks: true,
                encryption: Ok(None),
                ping: false,
                packet_types: Vec::new(),
            },
            auth: AuthCaps {
                digests: Digest::offered(false),
                salt_digests: Digest::offered(false),
                ..AuthCaps::default()
            },
            request,
            ui_client: false,
            share: false,
            lock: false,
            steal: true,
            windows: false,
            metadata_supported: Vec::new(),
            keyboard: false,
            keymap: Keymap {
                sync: true,
                ..Keymap::default()
            },
            key_repeat: None,
            keyboard_sync: true,
            modifiers: Modifiers::NONE,
            display: DisplayCaps::default(),
            encoding: EncodingCaps::default(),
            cursor: CursorCaps {
                legacy: true,
                ..CursorCaps::default()
            },
            bell: false,
            system_tray: false,
            show_desktop: false,
            events: false,
            wants: Vec::new(),
        }
    }

    /// The map of a hello.
    pub fn into_map(self) -> Map {
        let mut map: Map = Vec::new();
        self.identity.write(&mut map);
        self.network.write(&mut map);
        self.auth.write(&mut map);
        if let Some(request) = self.request {
            request.write(&mut map);
        }
        put(&mut map, "ui_client", self.ui_client);
        put(&mut map, "share", self.share);
        put(&mut map, "lock", self.lock);
        put(&mut map, "steal", self.steal);
        put(&mut map, "windows", self.windows);
        put(
            &mut map,
            "metadata.supported",
            Value::list(self.metadata_supported),
        );
        put(&mut map, "keyboard", self.keyboard);
        put(&mut map, "keymap", Value::Dict(self.keymap.into_map()));
        if let Some((delay, interval)) = self.key_repeat {
            put(&mut map, "key_repeat", Value::list([delay, interval]));
        }
        put(&mut map, "keyboard_sync", self.keyboard_sync);
        put(&mut map, "modifiers", self.modifiers);
        map.extend(self.display.into_hello_map());
        self.encoding.write(&mut map);
        self.cursor.write(&mut map);
        put(&mut map, "bell", self.bell);
        put(&mut map, "system_tray", self.system_tray);
        put(&mut map, "show-desktop", self.show_desktop);
        put(&mut map, "events", self.events);
        put(&mut map, "wants", Value::list(self.wants));
        map
    }

    /// The packet.
    pub fn into_packet(self) -> Packet {
        Packet::new("hello", vec![Value::Dict(self.into_map())])
    }
}

fn put(map: &mut Map, key: &str, value: impl Into<Value>) {
    map.push((key.into(), value.into()));
}

impl Identity {
    fn parse(caps: &Caps<'_>) -> Result<Identity, CapsError> {
        let text = |key| Ok(caps.text(key, MAX_IDENTITY)?.unwrap_or_default());
        Ok(Identity {
            version: text("version")?,
            client_type: text("client_type")?,
            uuid: text("uuid")?,
            session_id: text("session-id")?,
            machine_id: text("machine_id")?,
            username: text("username")?,
            hostname: text("hostname")?,
        })
    }

    fn write(self, map: &mut Map) {
        for (key, value) in [
            ("version", self.version),
            ("client_type", self.client_type),
            ("uuid", self.uuid),
            ("session-id", self.session_id),
            ("machine_id", self.machine_id),
            ("username", self.username),
            ("hostname", self.hostname),
        ] {
            put(map, key, value);
        }
    }
}

/// The name is in the list, or a truthy key of its own.
fn listed(caps: &Caps<'_>, list: &str, name: &str) -> Result<bool, CapsError> {
    let in_list = caps.list(list, MAX_NAMES)?.iter().any(|x| x.is_key(name));
    Ok(in_list || caps.bool(name, false))
}

impl NetworkCaps {
    fn parse(caps: &Caps<'_>) -> Result<NetworkCaps, CapsError> {
        Ok(NetworkCaps {
            rencodeplus: listed(caps, "encoders", "rencodeplus")?,
            lz4: listed(caps, "compressors", "lz4")?,
            chunks: caps.bool("chunks", true),
            encryption: match CipherOffer::parse(&caps.map("encryption")) {
                Ok(None) if caps.has("cipher") => Err(OfferError::Flat),
                offer => offer,
            },
            ping: caps.bool("ping", false),
            packet_types: caps.texts("packet-types", MAX_NAMES, MAX_NAME)?,
        })
    }

    fn write(self, map: &mut Map) {
        let names = |on: bool, name: &'static str| Value::list(on.then_some(name));
        put(map, "encoders", names(self.rencodeplus, "rencodeplus"));
        put(map, "rencodeplus", self.rencodeplus);
        put(map, "compressors", names(self.lz4, "lz4"));
        put(map, "lz4", self.lz4);
        put(map, "chunks", self.chunks);
        if let Ok(Some(offer)) = self.encryption {
            put(map, "encryption", Value::Dict(offer.into_map()));
        }
        put(map, "ping", self.ping);
        put(map, "packet-types", Value::list(self.packet_types));
    }
}

impl AuthCaps {
    fn parse(caps: &Caps<'_>) -> Result<AuthCaps, CapsError> {
        let digests = |key| {
            let names = caps.texts(key, MAX_NAMES, MAX_NAME)?;
            Ok(names
                .iter()
                .filter_map(|name| Digest::parse(name))
                .collect())
        };
        Ok(AuthCaps {
            digests: digests("digest")?,
            salt_digests: digests("salt-digest")?,
            wants_challenge: caps.bool("challenge", false),
            response: caps.bytes("challenge_response", MAX_RESPONSE)?,
            client_salt: caps.bytes("challenge_client_salt", MAX_SALT)?,
            named: Vec::new(),
        })
    }

    /// The values of these capabilities, as texts: numbers and truth values as Python writes
    /// them. What is anything else, or longer than an identity, is none.
    pub fn named(map: &[(Value, Value)], names: &[String]) -> Vec<Option<String>> {
        let caps = Caps::new(map);
        let text = |name: &String| {
            let value = caps.get(name)?.scalar();
            let text = match value {
                Value::Int(number) => Some(number.to_string()),
                Value::Bool(true) => Some("True".to_owned()),
                Value::Bool(false) => Some("False".to_owned()),
                _ => value.to_text(),
            };
            text.filter(|text| text.len() <= MAX_IDENTITY)
        };
        names.iter().map(text).collect()
    }

    fn write(self, map: &mut Map) {
        let names = |digests: Vec<Digest>| Value::list(digests.into_iter().map(Digest::name));
        put(map, "digest", names(self.digests));
        put(map, "salt-digest", names(self.salt_digests));
        if self.wants_challenge {
            put(map, "challenge", true);
        }
        if let Some(response) = self.response {
            put(map, "challenge_response", Value::Bytes(response));
        }
        if let Some(salt) = self.client_salt {
            put(map, "challenge_client_salt", Value::Bytes(salt));
        }
    }
}

impl Request {
    fn parse(caps: &Caps<'_>) -> Result<Option<Request>, CapsError> {
        let Some(name) = caps.text("request", MAX_NAME)? else {
            return Ok(None);
        };
        let words = |key| caps.texts(key, MAX_REQUEST_ARGS, MAX_TEXT);
        Ok(Some(match name.as_str() {
            "" => return Ok(None),
            "version" => Request::Version,
            "id" => Request::Id,
            "connect_test" => Request::ConnectTest(
                caps.text("connect_test_request", MAX_TEXT)?
                    .unwrap_or_default(),
            ),
            "info" => Request::Info,
            "screenshot" => Request::Screenshot,
            "detach" => Request::Detach,
            "exit" => Request::Exit,
            "stop" => Request::Stop,
            "command" => Request::Command(words("command_request")?),
            "run" => Request::Run(words("run")?),
            _ => Request::Other(name),
        }))
    }

    fn write(self, map: &mut Map) {
        let name = match self {
            Request::Version => "version",
            Request::Id => "id",
            Request::ConnectTest(text) => {
                put(map, "connect_test_request", text);
                "connect_test"
            }
            Request::Info => "info",
            Request::Screenshot => "screenshot",
            Request::Detach => "detach",
            Request::Exit => "exit",
            Request::Stop => "stop",
            Request::Command(words) => {
                put(map, "command_request", Value::list(words));
                "command"
            }
            Request::Run(words) => {
                put(map, "run", Value::list(words));
                "run"
            }
            Request::Other(name) => return put(map, "request", name),
        };
        put(map, "request", name);
    }
}

impl EncodingCaps {
    fn parse(caps: &Caps<'_>) -> Result<EncodingCaps, CapsError> {
        let percent = |key| caps.int::<u8>(key).filter(|n| *n <= 100);
        let first = |keys: [&str; 2]| -> Result<Vec<String>, CapsError> {
            let [one, other] = keys;
            let names = caps.texts(one, MAX_NAMES, MAX_NAME)?;
            if names.is_empty() {
                return caps.texts(other, MAX_NAMES, MAX_NAME);
            }
            Ok(names)
        };
        let mut core = Vec::new();
        let mut names = first(["encodings.core", "encoding.core"])?;
        if names.is_empty() {
            names = caps.texts("encodings", MAX_NAMES, MAX_NAME)?;
        }
        for name in names {
            match name.as_str() {
                "rgb" => core.extend([Coding::Rgb24, Coding::Rgb32]),
                name => core.extend(Coding::parse(name)),
            }
        }
        let mut unique: Vec<Coding> = Vec::new();
        for coding in core {
            if !unique.contains(&coding) {
                unique.push(coding);
            }
        }
        Ok(EncodingCaps {
            core: unique,
            rgb_formats: first(["encoding.rgb_formats", "encodings.rgb_formats"])?
                .iter()
                .filter_map(|name| RgbFormat::parse(name))
                .collect(),
            rgb_lz4: caps.bool("encoding.rgb_lz4", false),
            transparency: caps.bool("encoding.transparency", false),
            quality: percent("encoding.quality"),
            min_quality: percent("encoding.min-quality"),
            speed: percent("encoding.speed"),
            min_speed: percent("encoding.min-speed"),
            auto_refresh_delay: caps.int("auto_refresh_delay"),
            icon_encodings: first(["encoding.window-icon", "encodings.window-icon"])?,
            icon_size: caps.pair("encoding.icons.size"),
            icon_max_size: caps.pair("encoding.icons.max_size"),
        })
    }

    fn write(self, map: &mut Map) {
        let core = Value::list(self.core.iter().map(|coding| coding.name()));
        put(
            map,
            "encodings",
            Value::dict([("", core.clone()), ("core", core.clone())]),
        );
        let mut encoding: Map = Vec::new();
        put(&mut encoding, "core", core);
        put(
            &mut encoding,
            "rgb_formats",
            Value::list(self.rgb_formats.into_iter().map(RgbFormat::name)),
        );
        put(&mut encoding, "rgb_lz4", self.rgb_lz4);
        put(&mut encoding, "transparency", self.transparency);
        for (key, value) in [
            ("quality", self.quality),
            ("min-quality", self.min_quality),
            ("speed", self.speed),
            ("min-speed", self.min_speed),
        ] {
            if let Some(value) = value {
                put(&mut encoding, key, value);
            }
        }
        put(
            &mut encoding,
            "window-icon",
            Value::list(self.icon_encodings),
        );
        let mut icons: Map = Vec::new();
        for (key, value) in [("size", self.icon_size), ("max_size", self.icon_max_size)] {
            if let Some((width, height)) = value {
                put(&mut icons, key, Value::list([width, height]));
            }
        }
        put(&mut encoding, "icons", Value::Dict(icons));
        put(map, "encoding", Value::Dict(encoding));
        if let Some(delay) = self.auto_refresh_delay {
            put(map, "auto_refresh_delay", delay);
        }
    }
}

impl CursorCaps {
    fn parse(caps: &Caps<'_>) -> Result<CursorCaps, CapsError> {
        let mut encodings = caps.texts("cursor.encodings", MAX_NAMES, MAX_NAME)?;
        if encodings.is_empty() {
            encodings = caps.texts("encodings.cursor", MAX_NAMES, MAX_NAME)?;
        }
        Ok(CursorCaps {
            enabled: caps.bool("cursors", false),
            encodings,
            legacy: caps.bool("cursor.backwards-compatible", true),
            max_size: caps.pair("cursor.max"),
        })
    }

    fn write(self, map: &mut Map) {
        put(map, "cursors", self.enabled);
        let mut cursor: Map = Vec::new();
        put(&mut cursor, "encodings", Value::list(self.encodings));
        put(&mut cursor, "backwards-compatible", self.legacy);
        if let Some((width, height)) = self.max_size {
            put(&mut cursor, "max", Value::list([width, height]));
        }
        put(map, "cursor", Value::Dict(cursor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::challenge::Hash;
    use crate::packet::{Size, SizeConstraints};

    fn list(names: &[&str]) -> Value {
        Value::list(names.iter().copied())
    }

    /// The keys of the HTML5 client, as it writes them.
    #[test]
    fn the_browsers_hello() {
        let Value::Dict(map) = Value::dict([
            ("version", Value::from("22")),
            ("client_type", "HTML5".into()),
            ("rencodeplus", true.into()),
            ("lz4", true.into()),
            (
                "digest",
                list(&["xor", "keycloak", "hmac+sha256", "hmac+sha1"]),
            ),
            ("salt-digest", list(&["xor", "keycloak", "hmac+sha256"])),
            ("challenge_client_salt", "\u{e9}\u{ff}x".into()),
            ("challenge_response", "0123".into()),
            (
                "display",
                Value::dict([
                    ("refresh-rate", Value::from(60)),
                    ("desktop_size", Value::list([800, 600])),
                    (
                        "monitors",
                        Value::Dict(vec![(
                            0.into(),
                            Value::dict([("geometry", Value::list([0, 0, 800, 600]))]),
                        )]),
                    ),
                ]),
            ),
            (
                "dpi",
                Value::dict([("x", Value::from(96)), ("y", 96.into())]),
            ),
            ("windows", true.into()),
            ("window.pre-map", true.into()),
            ("metadata.supported", list(&["title", "size-hints"])),
            (
                "encodings",
                Value::dict([
                    ("", list(&["jpeg", "rgb"])),
                    ("core", list(&["jpeg", "rgb", "rgb24", "new"])),
                    ("rgb_formats", list(&["RGBX", "RGBA", "RGB"])),
                    ("window-icon", list(&["png"])),
                    ("cursor", list(&["png"])),
                ]),
            ),
            ("encoding", Value::dict([("rgb_lz4", Value::Bool(true))])),
            ("cursors", true.into()),
            ("wants", list(&["audio", "packet-types"])),
        ]) else {
            panic!();
        };
        let hello = ClientHello::parse(&map).unwrap();
        assert!(hello.network.rencodeplus && hello.network.lz4 && hello.network.chunks);
        assert_eq!(
            hello.auth.digests,
            [Digest::Xor, Digest::Keycloak, Digest::Hmac(Hash::Sha256)]
        );
        // Text is latin1.
        assert_eq!(
            hello.auth.client_salt.as_deref(),
            Some(&[0xe9, 0xff, b'x'][..])
        );
        assert_eq!(hello.auth.response.as_deref(), Some(&b"0123"[..]));
        assert_eq!(hello.display.desktop_size, Size::new(800, 600));
        assert_eq!(hello.display.dpi, Some((96, 96)));
        assert_eq!(hello.display.refresh_rate, Some(60));
        assert_eq!(hello.display.monitors.len(), 1);
        assert!(hello.ui_client && hello.windows && hello.steal && !hello.events);
        assert_eq!(
            hello.encoding.core,
            [Coding::Jpeg, Coding::Rgb24, Coding::Rgb32]
        );
        assert_eq!(hello.encoding.rgb_formats.len(), 3);
        assert!(hello.encoding.rgb_lz4);
        assert_eq!(hello.encoding.icon_encodings, ["png"]);
        assert_eq!(hello.cursor.encodings, ["png"]);
        assert!(hello.cursor.enabled && hello.cursor.legacy);
        let constraints = Metadata::SizeConstraints(SizeConstraints::default());
        assert!(hello.takes_metadata(&constraints));
        assert!(hello.takes_metadata(&Metadata::Title(String::new())));
        assert!(!hello.takes_metadata(&Metadata::Modal(true)));
    }

    #[test]
    fn nothing_said_is_nothing_wanted() {
        let hello = ClientHello::parse(&[]).unwrap();
        assert!(!hello.network.rencodeplus && !hello.network.lz4);
        assert_eq!(hello.network.encryption, Ok(None));
        assert!(hello.auth.digests.is_empty() && hello.auth.response.is_none());
        assert!(!hello.share && !hello.lock && !hello.bell && !hello.cursor.enabled);
        assert!(hello.encoding.core.is_empty() && hello.metadata_supported.is_empty());
        assert_eq!(hello.request, None);
    }

    #[test]
    fn windows_are_wanted_or_not() {
        let wanted = |pairs: &[(&str, Value)]| {
            let map: Map = pairs
                .iter()
                .map(|(key, value)| ((*key).into(), value.clone()))
                .collect();
            ClientHello::parse(&map).unwrap().windows
        };
        let window = |on: bool| ("window", Value::dict([("enabled", Value::Bool(on))]));
        assert!(wanted(&[]));
        assert!(!wanted(&[("ui_client", false.into())]));
        assert!(!wanted(&[("windows", false.into())]));
        assert!(!wanted(&[("windows", true.into()), window(false)]));
        assert!(wanted(&[window(true)]));
    }

    #[test]
    fn encryption_is_noticed() {
        for value in [
            Value::dict([("cipher", Value::from("AES"))]),
            Value::dict([("", Value::from("AES"))]),
        ] {
            let hello = ClientHello::parse(&[("encryption".into(), value)]).unwrap();
            // It has no salt.
            assert!(hello.network.encryption.is_err());
        }
        let old = ClientHello::parse(&[("cipher".into(), Value::from("AES"))]).unwrap();
        assert_eq!(old.network.encryption, Err(OfferError::Flat));
        let none = ClientHello::parse(&[("encryption".into(), Value::Dict(vec![]))]).unwrap();
        assert_eq!(none.network.encryption, Ok(None));
    }

    #[test]
    fn responses_are_not_shown() {
        let mut hello = ClientHello::command_line(Identity::default(), Some(Request::Id));
        hello.auth.response = Some(b"hunter2".to_vec());
        let shown = format!("{hello:?}");
        assert!(
            !shown.contains("104, 117") && shown.contains("Some(7)"),
            "{shown}"
        );
    }
}
