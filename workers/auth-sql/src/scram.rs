//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without channel binding.

use crate::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What the mechanism is called.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// Random bytes of ours.
pub const NONCE: usize = 18;
/// Rounds that a server may ask for (RFC 7677 and PostgreSQL's default: 4096). With fewer, who is in the
/// server's place could guess faster.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=200_000;
/// Longest salt in bytes.
const MAX_SALT: usize = 256;

/// No channel binding, no other identity.
const HEADER: &str = "n,,";

/// Our first message has been sent.
pub struct First {
    nonce: String,
}

/// Our last message has been sent; the server has to prove that it knows the password too.
pub struct Last {
    signature: Zeroizing<[u8; 32]>,
}

fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // Every length is a key's.
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key);
    let mac = mac.map(|mut mac| {
        mac.update(message);
        mac.finalize().into_bytes().into()
    });
    Zeroizing::new(mac.unwrap_or_default())
}

impl First {
    /// With random bytes; and the message.
    #[must_use]
    pub fn new(random: &[u8; NONCE]) -> (Self, String) {
        let nonce = BASE64.encode(random);
        // PostgreSQL takes the name from the start of the connection.
        let message = format!("{HEADER}n=,r={nonce}");
        (Self { nonce }, message)
    }

    /// The answer to the server's first message.
    ///
    /// # Errors
    /// [`Failure::Malformed`].
    pub fn answer(self, server: &[u8], password: &[u8]) -> Result<(Last, String), Failure> {
        let server = std::str::from_utf8(server).map_err(|_| Failure::Malformed)?;
        let mut parts = server.split(',');
        let mut part = |name| {
            let value = parts.next().and_then(|part| part.strip_prefix(name));
            value.ok_or(Failure::Malformed)
        };
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        let salt = BASE64.decode(salt).map_err(|_| Failure::Malformed)?;
        let rounds: u32 = rounds.parse().map_err(|_| Failure::Malformed)?;
        if !nonce.starts_with(&self.nonce)
            || nonce.len() <= self.nonce.len()
            || parts.next().is_some()
            || !ROUNDS.contains(&rounds)
            || !(1..=MAX_SALT).contains(&salt.len())
        {
            return Err(Failure::Malformed);
        }
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, rounds, &mut salted[..]);
        let key = hmac(&salted[..], b"Client Key");
        let stored: [u8; 32] = Sha256::digest(&key[..]).into();
        let without_proof = format!("c={},r={nonce}", BASE64.encode(HEADER));
        let all = format!("n=,r={},{server},{without_proof}", self.nonce);
        let signature = hmac(&stored, all.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&signature[..]).map(|(a, b)| a ^ b).collect();
        let server_key = hmac(&salted[..], b"Server Key");
        let last = Last {
            signature: hmac(&server_key[..], all.as_bytes()),
        };
        Ok((last, format!("{without_proof},p={}", BASE64.encode(proof))))
    }
}

impl Last {
    /// Is the server's last message that of somebody who knows the password?
    ///
    /// # Errors
    /// [`Failure::Impostor`].
    pub fn check(&self, server: &[u8]) -> Result<(), Failure> {
        let signature = server.strip_prefix(b"v=").unwrap_or_default();
        let signature = BASE64.decode(signature).unwrap_or_default();
        match signature.ct_eq(&self.signature[..]).into() {
            true => Ok(()),
            false => Err(Failure::Impostor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3, but for the name, which PostgreSQL does not take from here.
    #[test]
    fn a_server_and_a_client_prove_what_they_know() {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        let first = || First {
            nonce: nonce.to_owned(),
        };
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, answer) = first().answer(server.as_bytes(), b"pencil").unwrap();
        assert!(
            answer.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")
        );
        let right = format!("v={}", BASE64.encode(&last.signature[..]));
        assert!(last.check(right.as_bytes()).is_ok());
        for wrong in ["", "v=", "v=AAAA", "e=other-error", &right[1..]] {
            let checked = last.check(wrong.as_bytes());
            assert!(matches!(checked, Err(Failure::Impostor)), "{wrong}");
        }
        for bad in [
            "",
            "r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=y",
            "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=AA==,i=1",
        ] {
            assert!(first().answer(bad.as_bytes(), b"pencil").is_err(), "{bad}");
        }
        assert!(first().answer(b"\xff", b"pencil").is_err());
    }
}
