//! What a client says of itself, and what it does on its own.

use crate::encryption::Encryption;
use crate::keyboard::keycodes;
use crate::security_key::SecurityKey;
use std::fmt;
use std::sync::Arc;
use wire::challenge::{Digest, Token};
use wire::cipher::{KeySize, Mode};
use wire::hello::{
    AuthCaps, ClientHello, CursorCaps, DisplayCaps, EncodingCaps, Identity, Keymap, Screen,
    XkbQuery,
};
use wire::packet::{Coding, Metadata, Modifiers, RgbFormat, Size};

/// From an address, or a question, to what a person brings back.
type Brings = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// What a person brings back from an address, where they have logged in, or says to a question.
#[derive(Clone)]
pub struct Visit(pub Arc<Brings>);

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visit")
    }
}

/// Bytes that are sent as they are, in the place of what this client would say.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// The user's name.
    pub username: Option<Vec<u8>>,
    /// The answer to a challenge.
    pub response: Option<Vec<u8>>,
}

/// How to attach.
#[derive(Clone, Debug)]
pub struct Options {
    /// The hello; challenges are answered on top of it.
    pub hello: ClientHello,
    /// What answers a challenge.
    pub password: Option<Vec<u8>>,
    /// Answers to the challenges after the first; the last one is repeated.
    pub next_passwords: Vec<Vec<u8>>,
    /// What answers a challenge for security keys.
    pub security_key: Option<SecurityKey>,
    /// What answers a challenge that sends it somewhere.
    pub visit: Option<Visit>,
    /// What answers a challenge for what a screen shows.
    pub reads: Option<Visit>,
    /// What everything is encrypted with.
    pub encryption: Option<Encryption>,
    /// Send the password itself to who asks for it (`xor`).
    pub xor: bool,
    /// Call oneself this, and answer challenges with that, whatever it is.
    pub raw: Raw,
    /// Acknowledge every picture at once.
    pub acknowledge: bool,
    /// Map every new window where the server has it.
    pub map: bool,
    /// Decode pictures. Without, only their arrival is noted.
    pub decode: bool,
}

impl Options {
    /// Like the stock GTK client on a screen of 1920×1080, with the codings that can be decoded
    /// here.
    #[must_use]
    pub fn gtk() -> Self {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let identity = Identity {
            version: "6.5".into(),
            client_type: "Python/GTK3".into(),
            uuid: "7e57c11e0000000000000000000000ff".into(),
            username: user,
            ..Identity::default()
        };
        let mut hello = ClientHello::command_line(identity, None);
        hello.ui_client = true;
        hello.windows = true;
        hello.keyboard = true;
        hello.bell = true;
        hello.network.ping = true;
        hello.metadata_supported = Metadata::KEYS.iter().map(|key| (*key).to_owned()).collect();
        hello.keymap = Keymap {
            layout: "us".into(),
            layouts: vec!["us".into()],
            variants: vec![String::new()],
            model: "pc105".into(),
            query: Some(XkbQuery {
                rules: "evdev".into(),
                model: "pc105".into(),
                layout: "us".into(),
                ..XkbQuery::default()
            }),
            sync: true,
            mod_meanings: [
                ("Shift_L", 1),
                ("Shift_R", 1),
                ("Caps_Lock", 2),
                ("Control_L", 4),
                ("Alt_L", 8),
            ]
            .map(|(name, bit)| (name.to_owned(), Modifiers::from_mask(bit)))
            .to_vec(),
            keycodes: keycodes(),
            ..Keymap::default()
        };
        hello.key_repeat = Some((660, 40));
        if let Some(size) = Size::new(1920, 1080) {
            hello.display = DisplayCaps {
                desktop_size: Some(size),
                screens: vec![Screen {
                    name: ":0.0".into(),
                    size,
                    width_mm: 508,
                    height_mm: 286,
                }],
                dpi: Some((96, 96)),
                refresh_rate: Some(60),
                ..DisplayCaps::default()
            };
        }
        hello.encoding = EncodingCaps {
            core: vec![
                Coding::Webp,
                Coding::Png,
                Coding::Rgb24,
                Coding::Rgb32,
                Coding::Jpeg,
            ],
            rgb_formats: vec![RgbFormat::Bgrx, RgbFormat::Bgra],
            rgb_lz4: true,
            transparency: false,
            auto_refresh_delay: Some(150),
            icon_encodings: vec!["png".into(), "BGRA".into(), "default".into()],
            icon_size: Some((64, 64)),
            icon_max_size: Some((256, 256)),
            ..EncodingCaps::default()
        };
        hello.cursor = CursorCaps {
            enabled: true,
            encodings: vec!["raw".into(), "default".into(), "png".into()],
            legacy: true,
            max_size: Some((128, 128)),
        };
        hello.auth = AuthCaps {
            digests: Digest::offered(false),
            salt_digests: Digest::offered(false),
            ..AuthCaps::default()
        };
        Self {
            hello,
            password: None,
            next_passwords: Vec::new(),
            security_key: None,
            visit: None,
            reads: None,
            encryption: None,
            xor: false,
            raw: Raw::default(),
            acknowledge: true,
            map: true,
            decode: true,
        }
    }

    /// With a password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.as_bytes().to_vec());
        self
    }

    /// With the answer to the challenge after the last one.
    #[must_use]
    pub fn next_password(mut self, password: &str) -> Self {
        self.next_passwords.push(password.as_bytes().to_vec());
        self
    }

    /// The password itself is sent to who asks for it.
    #[must_use]
    pub fn xor(mut self) -> Self {
        self.xor = true;
        self.offer(Digest::Xor);
        self
    }

    /// With a security key.
    #[must_use]
    pub fn security_key(mut self, key: SecurityKey) -> Self {
        self.security_key = Some(key);
        for digest in SecurityKey::digests() {
            self.offer(digest);
        }
        self
    }

    /// It goes where the server says, and brings back what this gives for the address.
    #[must_use]
    pub fn visit(mut self, visit: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.visit = Some(Visit(Arc::new(visit)));
        self.offer(Digest::Keycloak);
        self
    }

    /// It reads on a screen what it is asked for: this gives it for the question.
    #[must_use]
    pub fn reads(mut self, reads: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.reads = Some(Visit(Arc::new(reads)));
        self
    }

    fn offer(&mut self, digest: Digest) {
        let offered = &mut self.hello.auth.digests;
        if !offered.contains(&digest) {
            offered.push(digest);
        }
    }

    /// The answer is a ticket, for who asks for one.
    #[must_use]
    pub fn ticket(mut self, ticket: &[u8]) -> Self {
        self.password = Some(ticket.to_vec());
        for token in Token::ALL {
            self.offer(Digest::Token(token));
        }
        self
    }

    /// Encrypted in this mode with the contents of a key file.
    #[must_use]
    pub fn encrypted(mut self, mode: Mode, key_data: &[u8]) -> Self {
        // Nobody else can read what it sends, so it may send the password itself.
        self.offer(Digest::Xor);
        self.encryption = Some(Encryption {
            mode,
            key_data: key_data.to_vec(),
            size: KeySize::Aes256,
        });
        self
    }

    /// With another user name.
    #[must_use]
    pub fn username(mut self, name: &str) -> Self {
        self.hello.identity.username = name.into();
        self
    }

    /// With only these codings.
    #[must_use]
    pub fn codings(mut self, codings: &[Coding]) -> Self {
        self.hello.encoding.core = codings.to_vec();
        self
    }
}
