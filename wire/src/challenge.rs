//! Challenge and response (protocol "Exact computation"): what both sides
//! compute from a password and two salts. Nothing here is compared or kept;
//! the verifier compares in constant time and never accepts a combined salt
//! twice.

use crate::security_key::Protocol;
use hmac::{KeyInit, Mac};

/// Why a challenge cannot be answered or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// A salt digest that is no hash: it would hide nothing.
    #[error("challenge: only a hash can mix salts")]
    NoHash,
}

macro_rules! hashes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $hash:ty;)*) => {
        /// A hash that a digest may be made of, best first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Hash {
            $($(#[$doc])* $variant,)*
        }

        impl Hash {
            /// All of them, in the order in which a server chooses.
            pub const ALL: &'static [Hash] = &[$(Hash::$variant,)*];

            /// The digest's name on the wire.
            pub fn digest_name(self) -> &'static str {
                match self {
                    $(Hash::$variant => concat!("hmac+", $name),)*
                }
            }

            /// HMAC in lower case hex.
            fn hmac_hex(self, key: &[u8], message: &[u8]) -> String {
                match self {
                    $(Hash::$variant => hmac_hex::<hmac::SimpleHmac<$hash>>(key, message),)*
                }
            }
        }
    };
}

hashes! {
    /// SHA-512.
    Sha512 = "sha512", sha2::Sha512;
    /// SHA-384.
    Sha384 = "sha384", sha2::Sha384;
    /// SHA-256.
    Sha256 = "sha256", sha2::Sha256;
    /// SHA-224.
    Sha224 = "sha224", sha2::Sha224;
    /// SHA3-512.
    Sha3_512 = "sha3_512", sha3::Sha3_512;
    /// SHA3-384.
    Sha3_384 = "sha3_384", sha3::Sha3_384;
    /// SHA3-256.
    Sha3_256 = "sha3_256", sha3::Sha3_256;
    /// SHA3-224.
    Sha3_224 = "sha3_224", sha3::Sha3_224;
}

fn hmac_hex<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> String {
    // HMAC takes keys of every length: the error does not occur.
    let Ok(mac) = <M as KeyInit>::new_from_slice(key) else {
        return String::new();
    };
    let code = mac.chain_update(message).finalize().into_bytes();
    code.iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}

/// How a password is proved, or how two salts are mixed. Digests that are too
/// weak (md5, sha1, des) or not supported do not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// The password is never sent.
    Hmac(Hash),
    /// The password can be read by the server. Only for modules that need it,
    /// and only on connections that nobody else can read.
    Xor,
    /// There is no password: a security key signs the server's salt (see
    /// [`crate::security_key`]).
    SecurityKey(Protocol),
    /// A ticket of Kerberos', sent as a password is with [`Digest::Xor`].
    Token(Token),
    /// What a client brings back from an OpenID Connect provider, sent in the same way. The server's
    /// salt is the address where it goes.
    Keycloak,
}

/// How a client is asked for a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// `kerberos`: it is sent in base64.
    Kerberos,
    /// `gss`: it is sent as it is.
    Gss,
}

impl Token {
    /// Both.
    pub const ALL: [Token; 2] = [Token::Kerberos, Token::Gss];

    /// The name in a hello.
    pub const fn digest_name(self) -> &'static str {
        match self {
            Token::Kerberos => "kerberos",
            Token::Gss => "gss",
        }
    }

    /// The name in a challenge: with what it is for.
    pub fn challenge_name(self, service: &str) -> String {
        format!("{}:{service}", self.digest_name())
    }

    /// From the name in a challenge, and what it is for.
    pub fn of_challenge(name: &str) -> Option<(Token, &str)> {
        let (name, service) = name.split_once(':')?;
        let mut all = Token::ALL.into_iter();
        let token = all.find(|token| token.digest_name() == name)?;
        Some((token, service))
    }
}

impl Digest {
    /// From the name on the wire, as a hello has it.
    pub fn parse(name: &str) -> Option<Digest> {
        let others = [
            Digest::Xor,
            Digest::SecurityKey(Protocol::U2f),
            Digest::SecurityKey(Protocol::Fido2),
            Digest::Token(Token::Kerberos),
            Digest::Token(Token::Gss),
            Digest::Keycloak,
        ];
        if let Some(other) = others.into_iter().find(|other| other.name() == name) {
            return Some(other);
        }
        Hash::ALL
            .iter()
            .find(|hash| hash.digest_name() == name)
            .map(|hash| Digest::Hmac(*hash))
    }

    /// From the name in a challenge.
    pub fn of_challenge(name: &str) -> Option<Digest> {
        let keys = [Protocol::U2f, Protocol::Fido2];
        if let Some(key) = keys.into_iter().find(|key| key.challenge_name() == name) {
            return Some(Digest::SecurityKey(key));
        }
        if let Some((token, _)) = Token::of_challenge(name) {
            return Some(Digest::Token(token));
        }
        Digest::parse(name)
            .filter(|digest| !matches!(digest, Digest::SecurityKey(_) | Digest::Token(_)))
    }

    /// The name on the wire, as a hello has it.
    pub fn name(self) -> &'static str {
        match self {
            Digest::Hmac(hash) => hash.digest_name(),
            Digest::Xor => "xor",
            Digest::SecurityKey(key) => key.digest_name(),
            Digest::Token(token) => token.digest_name(),
            Digest::Keycloak => "keycloak",
        }
    }

    /// All digests that can be answered with a password, for a client's hello;
    /// `xor` only if the connection may carry it.
    pub fn offered(xor: bool) -> Vec<Digest> {
        let hashes = Hash::ALL.iter().map(|hash| Digest::Hmac(*hash));
        hashes.chain(xor.then_some(Digest::Xor)).collect()
    }
}

/// The best hash that a client offers. A server uses it for both the digest
/// and the salt digest; none means that the client cannot be authenticated by
/// a hash.
pub fn choose(offered: &[Digest]) -> Option<Hash> {
    Hash::ALL
        .iter()
        .copied()
        .find(|hash| offered.contains(&Digest::Hmac(*hash)))
}

/// Mixes the two salts: lower case hex, as ASCII.
pub fn combined_salt(
    salt_digest: Digest,
    server_salt: &[u8],
    client_salt: &[u8],
) -> Result<String, ChallengeError> {
    match salt_digest {
        Digest::Hmac(hash) => Ok(hash.hmac_hex(client_salt, server_salt)),
        Digest::Xor | Digest::SecurityKey(_) | Digest::Token(_) | Digest::Keycloak => {
            Err(ChallengeError::NoHash)
        }
    }
}

/// The response to a hash challenge: what a client sends, and what a server
/// expects. Lower case hex, as ASCII.
pub fn hmac_response(hash: Hash, password: &[u8], combined_salt: &str) -> Vec<u8> {
    hash.hmac_hex(password, combined_salt.as_bytes())
        .into_bytes()
}

/// The response to a `xor` challenge, and the way back from a response to the
/// password: as long as `data`. The salt covers its first bytes (128 at most),
/// the rest is sent as it is.
pub fn xor_response(data: &[u8], combined_salt: &str) -> Vec<u8> {
    let salt = combined_salt.as_bytes().iter().copied();
    data.iter()
        .zip(salt.chain(std::iter::repeat(0)))
        .map(|(byte, salt)| byte ^ salt)
        .collect()
}

/// The response by any digest that a password answers; to the others it is empty, and wrong.
pub fn response(digest: Digest, password: &[u8], combined_salt: &str) -> Vec<u8> {
    match digest {
        Digest::Hmac(hash) => hmac_response(hash, password, combined_salt),
        Digest::Xor | Digest::Token(_) | Digest::Keycloak => xor_response(password, combined_salt),
        Digest::SecurityKey(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_security_key_has_one_name_in_a_hello_and_another_in_a_challenge() {
        let key = |key| Some(Digest::SecurityKey(key));
        for (name, digest) in [("u2f", key(Protocol::U2f)), ("fido2", key(Protocol::Fido2))] {
            let challenge = format!("{name}:xor");
            assert_eq!(Digest::parse(name), digest);
            assert_eq!(Digest::parse(&challenge), None);
            assert_eq!(Digest::of_challenge(&challenge), digest);
            assert_eq!(Digest::of_challenge(name), None);
        }
        assert_eq!(Digest::of_challenge("xor"), Some(Digest::Xor));
        assert_eq!(Digest::of_challenge("u2f:"), None);
    }

    #[test]
    fn a_challenge_for_a_ticket_says_for_what() {
        for token in Token::ALL {
            let name = token.digest_name();
            let challenge = token.challenge_name("xpra@here");
            assert_eq!(Digest::parse(name), Some(Digest::Token(token)));
            assert_eq!(Digest::parse(&challenge), None);
            assert_eq!(Digest::of_challenge(name), None);
            assert_eq!(Digest::of_challenge(&challenge), Some(Digest::Token(token)));
            assert_eq!(Token::of_challenge(&challenge), Some((token, "xpra@here")));
        }
    }
}
