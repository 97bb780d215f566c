//! The AES layer of one connection: what the client offers is checked, `keys` is asked for its
//! keys, and what seals and opens the records is made of them (protocol "AES layer").
//!
//! Every hello renews both directions: what we send is sealed as the client's newest hello says,
//! and what it sends is opened as our newest challenge or hello says.

use ipc::keys::{AesMode, Derivation, KeyHash as Hash, KeysToNetwork, NetworkToKeys};
use wire::cipher::{
    CipherOffer, Direction, Iterations, KeyHash, KeyParameters, KeySize, Mode, Opener, Salt,
    Sealer, SessionKey, Suite,
};
use wire::hello::ClientHello;
use wire::packet::Map;
use wire::rencodeplus::Value;

/// Checks what a client's hello offers against what its socket demands: the offer that the keys
/// are to be derived for, if the socket is encrypted.
///
/// # Errors
/// What to tell the client, and the log.
pub fn demanded(
    mode: Option<AesMode>,
    hello: &ClientHello,
) -> Result<Option<Box<CipherOffer>>, String> {
    let offer = match (mode, &hello.network.encryption) {
        (None, Ok(None)) => return Ok(None),
        (None, _) => {
            return Err(
                "this socket is not encrypted with AES: attach without --encryption".to_owned(),
            );
        }
        (Some(mode), Ok(None)) => {
            return Err(format!(
                "this socket is encrypted: attach with --encryption={} --encryption-keyfile=FILE",
                mode.name()
            ));
        }
        (Some(_), Err(error)) => return Err(error.to_string()),
        (Some(_), Ok(Some(offer))) => offer,
    };
    let wanted = mode.map(wire_mode);
    match wanted {
        Some(wanted) if wanted != offer.mode => Err(format!(
            "this socket wants AES-{}, and the client has AES-{}: attach with --encryption=AES-{}",
            wanted.name(),
            offer.mode.name(),
            wanted.name()
        )),
        _ => Ok(Some(Box::new(offer.clone()))),
    }
}

/// What `keys` is asked for an offer.
pub fn question(offer: &CipherOffer) -> NetworkToKeys {
    let KeyParameters {
        salt,
        hash,
        size,
        iterations,
    } = &offer.key;
    NetworkToKeys::Derive {
        theirs: Derivation {
            salt: salt.as_bytes().to_vec(),
            hash: match hash {
                KeyHash::Sha1 => Hash::Sha1,
                KeyHash::Sha224 => Hash::Sha224,
                KeyHash::Sha256 => Hash::Sha256,
                KeyHash::Sha384 => Hash::Sha384,
                KeyHash::Sha512 => Hash::Sha512,
            },
            // 16, 24 or 32.
            size: u8::try_from(size.bytes()).unwrap_or_default(),
            iterations: iterations.get(),
        },
    }
}

/// Both directions, renewed.
#[derive(Debug)]
pub struct Renewed {
    /// For everything from now on.
    pub sealer: Sealer,
    /// For what the client sends once it has read the offer.
    pub next: Next,
}

/// What the client sends after it has been told.
#[derive(Debug)]
pub struct Next {
    offer: CipherOffer,
    opener: Opener,
}

impl Next {
    /// What the client is told, and what opens its records from then on.
    pub fn tell(self) -> (Map, Opener) {
        (self.offer.into_map(), self.opener)
    }
}

/// Why there are no keys.
#[derive(Debug)]
pub enum NoKeys {
    /// `keys` refuses: the text for the client.
    Refused(String),
    /// `keys` answers nonsense.
    Nonsense(&'static str),
}

/// Makes of the answer of `keys` what seals and opens records. `theirs`: what was asked for.
///
/// # Errors
/// [`NoKeys`].
pub fn renew(theirs: &CipherOffer, answer: KeysToNetwork) -> Result<Renewed, NoKeys> {
    let (send, receive, ours, iv, seed) = match answer {
        KeysToNetwork::Refused { text } => return Err(NoKeys::Refused(text)),
        KeysToNetwork::Signed { .. } => {
            return Err(NoKeys::Nonsense("a signature that nobody asked for"));
        }
        KeysToNetwork::Derived {
            send,
            receive,
            ours,
            iv,
            seed,
        } => (send, receive, ours, iv, seed),
    };
    let key = |bytes: &[u8]| {
        SessionKey::new(bytes)
            .filter(|key| key.size() == theirs.key.size)
            .ok_or(NoKeys::Nonsense("a key of another size"))
    };
    let offer = CipherOffer {
        mode: theirs.mode,
        framing: theirs.framing,
        iv,
        key: parameters(ours)?,
    };
    let suite = |offer: &CipherOffer, key, direction| Suite {
        mode: offer.mode,
        framing: offer.framing,
        iv: offer.iv,
        key,
        direction,
    };
    let out = suite(theirs, key(&send.0)?, Direction::ServerToClient);
    let back = suite(&offer, key(&receive.0)?, Direction::ClientToServer);
    let broken = "keys that the library refuses";
    Ok(Renewed {
        sealer: Sealer::new(&out, seed).map_err(|_| NoKeys::Nonsense(broken))?,
        next: Next {
            opener: Opener::new(back).map_err(|_| NoKeys::Nonsense(broken))?,
            offer,
        },
    })
}

/// The map as challenges carry it: under `encryption` for the stock clients, and as it is for the
/// HTML5 client, which looks for it there (protocol "html5").
pub fn challenge_caps(map: Map) -> Map {
    let mut caps = map.clone();
    caps.push(("encryption".into(), Value::Dict(map)));
    caps
}

fn parameters(ours: Derivation) -> Result<KeyParameters, NoKeys> {
    let Derivation {
        salt,
        hash,
        size,
        iterations,
    } = ours;
    Ok(KeyParameters {
        salt: Salt::new(salt).ok_or(NoKeys::Nonsense("a salt that is too short or too long"))?,
        hash: match hash {
            Hash::Sha1 => KeyHash::Sha1,
            Hash::Sha224 => KeyHash::Sha224,
            Hash::Sha256 => KeyHash::Sha256,
            Hash::Sha384 => KeyHash::Sha384,
            Hash::Sha512 => KeyHash::Sha512,
        },
        size: KeySize::new(size.into()).ok_or(NoKeys::Nonsense("a key size"))?,
        iterations: Iterations::new(iterations).ok_or(NoKeys::Nonsense("iterations"))?,
    })
}

fn wire_mode(mode: AesMode) -> Mode {
    match mode {
        AesMode::Cbc => Mode::Cbc,
        AesMode::Ctr => Mode::Ctr,
        AesMode::Cfb => Mode::Cfb,
        AesMode::Gcm => Mode::Gcm,
    }
}
