use super::{BLOCK, Iv};
use crate::caps::{Caps, CapsError};
use crate::limits::{MAX_NAME, MAX_SALT};
use crate::packet::Map;
use crate::rencodeplus::Value;

macro_rules! names {
    ($(#[$doc:meta])* $type:ident: $($(#[$variant_doc:meta])* $variant:ident = $name:literal;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)*
                }
            }

            /// From the name on the wire.
            pub fn parse(name: &str) -> Option<$type> {
                $type::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

names! {
    /// A mode of AES.
    Mode:
    /// Cipher block chaining with PKCS#7 padding. Not authenticated.
    Cbc = "CBC";
    /// Counter. Not authenticated.
    Ctr = "CTR";
    /// Cipher feedback of whole blocks. Not authenticated.
    Cfb = "CFB";
    /// Galois counter: every record is authenticated (`docs/wire-gcm.md`).
    Gcm = "GCM";
}

names! {
    /// The hash in the key derivation.
    KeyHash:
    /// The default of the stock clients. Sound inside PBKDF2-HMAC.
    Sha1 = "SHA1";
    /// SHA-224.
    Sha224 = "SHA224";
    /// SHA-256.
    Sha256 = "SHA256";
    /// SHA-384.
    Sha384 = "SHA384";
    /// SHA-512.
    Sha512 = "SHA512";
}

impl Mode {
    /// Can a receiver tell that a record was changed on the way?
    pub fn is_authenticated(self) -> bool {
        match self {
            Mode::Gcm => true,
            Mode::Cbc | Mode::Ctr | Mode::Cfb => false,
        }
    }
}

/// Bits of an AES key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeySize {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl KeySize {
    /// All of them.
    pub const ALL: &'static [KeySize] = &[KeySize::Aes128, KeySize::Aes192, KeySize::Aes256];

    /// Bytes of the longest.
    pub const MAX: usize = 32;

    /// From the number of bytes.
    pub fn new(bytes: usize) -> Option<KeySize> {
        KeySize::ALL
            .iter()
            .copied()
            .find(|size| size.bytes() == bytes)
    }

    /// The number of bytes.
    pub fn bytes(self) -> usize {
        match self {
            KeySize::Aes128 => 16,
            KeySize::Aes192 => 24,
            KeySize::Aes256 => KeySize::MAX,
        }
    }
}

/// How often PBKDF2 hashes. Fewer than the least makes guessing cheap; more
/// than the most lets a peer that has proved nothing spend our time (SHA-1:
/// 0.2 ms a thousand).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Iterations(u32);

impl Iterations {
    /// What the stock clients of 6.2 and later accept as the least.
    pub const MIN: Iterations = Iterations(1000);
    /// A fifth of what they accept: 40 ms.
    pub const MAX: Iterations = Iterations(200_000);
    /// What a peer means that does not say.
    pub const DEFAULT: Iterations = Iterations(10_000);

    /// The number, if it is within the bounds.
    pub fn new(count: u32) -> Option<Iterations> {
        let iterations = Iterations(count);
        (Iterations::MIN..=Iterations::MAX)
            .contains(&iterations)
            .then_some(iterations)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The salt of a key derivation: 16 to 256 bytes. Stock peers send 64.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Salt(Vec<u8>);

impl Salt {
    /// Bytes of the shortest that is worth something.
    pub const MIN: usize = 16;
    /// Bytes of the longest.
    pub const MAX: usize = 256;

    /// These bytes, if they are neither too few nor too many.
    pub fn new(bytes: Vec<u8>) -> Option<Salt> {
        (Salt::MIN..=Salt::MAX)
            .contains(&bytes.len())
            .then_some(Salt(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where records begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One context for all records of a direction, started at the offer's
    /// vector (`stream: true`; the stock clients).
    Stream,
    /// Each record brings 16 bytes of vector before its ciphertext
    /// (`stream: false`; the HTML5 client).
    PerRecord,
}

/// How a key is derived from key data: all that travels in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyParameters {
    /// New for each hello.
    pub salt: Salt,
    /// The hash in PBKDF2-HMAC.
    pub hash: KeyHash,
    /// How long the key is.
    pub size: KeySize,
    /// How often it hashes.
    pub iterations: Iterations,
}

/// What one side says about the records that it will receive: the map
/// `encryption` in a hello or in a challenge (protocol "Negotiation").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CipherOffer {
    /// Which mode.
    pub mode: Mode,
    /// One context for all records, or one for each.
    pub framing: Framing,
    /// Where the context starts.
    pub iv: Iv,
    /// How its key is derived.
    pub key: KeyParameters,
}

/// Why an offer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Not `AES`.
    #[error("encryption: cipher {0:?}: only AES is supported")]
    Cipher(String),
    /// No mode that we know.
    #[error("encryption: AES mode {0:?} is not supported")]
    Mode(String),
    /// GCM of Xpra 6.1 and older.
    #[error(
        "encryption: this client's GCM does not verify what it receives (Xpra 6.1 and older): \
         use CBC or CTR there, or a newer client"
    )]
    OldGcm,
    /// The vector is not 16 characters of Latin-1.
    #[error("encryption: the iv is not {BLOCK} characters")]
    Iv,
    /// The salt is absent, too short or too long.
    #[error(
        "encryption: the key salt does not have {} to {} bytes",
        Salt::MIN,
        Salt::MAX
    )]
    Salt,
    /// Not 16, 24 or 32.
    #[error("encryption: keys of {0} bytes do not exist")]
    KeySize(i64),
    /// No hash that we know.
    #[error("encryption: key hash {0:?} is not supported")]
    Hash(String),
    /// Not PBKDF2.
    #[error("encryption: key stretching {0:?} is not supported")]
    Stretch(String),
    /// Too few or too many.
    #[error(
        "encryption: {count} iterations are not between {} and {}",
        Iterations::MIN.get(),
        Iterations::MAX.get()
    )]
    Iterations {
        /// What the peer wants.
        count: i64,
    },
    /// Not PKCS#7.
    #[error("encryption: padding {0:?} is not supported")]
    Padding(String),
    /// As clients before Xpra 4.3 said it.
    #[error("encryption: this client is older than Xpra 4.3: use a newer one")]
    Flat,
    /// Something is larger than we accept.
    #[error("encryption: {0}")]
    Caps(#[from] CapsError),
}

/// The key under which GCM as `docs/wire-gcm.md` has it is announced, and its
/// only version.
const GCM_VERSION: (&str, i64) = ("gcm", 1);

impl CipherOffer {
    /// Reads the map. `Ok(None)`: it names no cipher, so there is no offer.
    pub fn parse(caps: &Caps<'_>) -> Result<Option<CipherOffer>, OfferError> {
        let text = |key, default: &str| -> Result<String, OfferError> {
            Ok(caps.text(key, MAX_NAME)?.unwrap_or_else(|| default.into()))
        };
        let number = |key, default: i64| caps.int::<i64>(key).unwrap_or(default);
        // The map itself stands for the name where it is a scalar.
        let cipher = match text("cipher", "")? {
            name if name.is_empty() => text("", "")?,
            name => name,
        };
        if cipher.is_empty() {
            return Ok(None);
        }
        if cipher != "AES" {
            return Err(OfferError::Cipher(cipher));
        }
        let mode = text("mode", Mode::Cbc.name())?;
        let mode = Mode::parse(&mode).ok_or(OfferError::Mode(mode))?;
        let (gcm, version) = GCM_VERSION;
        if mode == Mode::Gcm && caps.int(gcm) != Some(version) {
            return Err(OfferError::OldGcm);
        }
        let stretch = text("key_stretch", "PBKDF2")?;
        if stretch != "PBKDF2" {
            return Err(OfferError::Stretch(stretch));
        }
        let padding = text("padding", "PKCS#7")?;
        if padding != "PKCS#7" {
            return Err(OfferError::Padding(padding));
        }
        let hash = text("key_hash", KeyHash::Sha1.name())?;
        let size = number("key_size", 32);
        let iterations = number("key_stretch_iterations", Iterations::DEFAULT.get().into());
        Ok(Some(CipherOffer {
            mode,
            framing: if mode == Mode::Gcm || caps.bool("stream", true) {
                Framing::Stream
            } else {
                Framing::PerRecord
            },
            iv: latin1(&caps.text("iv", MAX_NAME)?.unwrap_or_default()).ok_or(OfferError::Iv)?,
            key: KeyParameters {
                salt: caps
                    .bytes("key_salt", MAX_SALT)?
                    .and_then(Salt::new)
                    .ok_or(OfferError::Salt)?,
                hash: KeyHash::parse(&hash).ok_or(OfferError::Hash(hash))?,
                size: usize::try_from(size)
                    .ok()
                    .and_then(KeySize::new)
                    .ok_or(OfferError::KeySize(size))?,
                iterations: u32::try_from(iterations)
                    .ok()
                    .and_then(Iterations::new)
                    .ok_or(OfferError::Iterations { count: iterations })?,
            },
        }))
    }

    /// The map.
    pub fn into_map(self) -> Map {
        let iv: String = self.iv.iter().map(|byte| char::from(*byte)).collect();
        let size = i64::try_from(self.key.size.bytes()).unwrap_or(i64::MAX);
        let mut map: Map = [
            ("cipher", Value::from("AES")),
            ("mode", self.mode.name().into()),
            ("iv", iv.into()),
            ("key_salt", Value::Bytes(self.key.salt.0)),
            ("key_size", Value::Int(size)),
            ("key_hash", self.key.hash.name().into()),
            ("key_stretch", "PBKDF2".into()),
            (
                "key_stretch_iterations",
                Value::Int(self.key.iterations.0.into()),
            ),
            ("padding", "PKCS#7".into()),
            ("padding.options", Value::list(["PKCS#7"])),
            ("always-pad", false.into()),
            ("stream", (self.framing == Framing::Stream).into()),
        ]
        .into_iter()
        .map(|(key, value)| (key.into(), value))
        .collect();
        if self.mode == Mode::Gcm {
            let (gcm, version) = GCM_VERSION;
            map.push((gcm.into(), Value::Int(version)));
        }
        map
    }
}

fn latin1(text: &str) -> Option<Iv> {
    let mut iv = Iv::default();
    let mut chars = text.chars();
    for byte in &mut iv {
        *byte = u8::try_from(u32::from(chars.next()?)).ok()?;
    }
    chars.next().is_none().then_some(iv)
}
