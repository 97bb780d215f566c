//! The AES layer from the client's side (protocol "AES layer").

use crate::Error;
use std::io::Read;
use wire::caps::Caps;
use wire::cipher::{
    CipherOffer, Direction, Framing, Iterations, KeyHash, KeyParameters, KeySize, Mode, Salt,
    Sealer, Suite, derive,
};
use wire::limits::HEADER_SIZE;
use wire::record::{Header, seal};

/// What the client encrypts with.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// The mode of AES.
    pub mode: Mode,
    /// Contents of the key file.
    pub key_data: Vec<u8>,
    /// Length of the keys.
    pub size: KeySize,
}

impl Encryption {
    /// What a hello offers, and how what comes after it is opened.
    pub(crate) fn offer(&self) -> Result<(CipherOffer, Suite), Error> {
        let iv = random::<16>()?.map(|byte| b'A' + byte % 26);
        let offer = CipherOffer {
            mode: self.mode,
            framing: Framing::Stream,
            iv,
            key: KeyParameters {
                salt: Salt::new(random::<64>()?.to_vec()).ok_or(Error::Encryption)?,
                hash: KeyHash::Sha512,
                size: self.size,
                iterations: Iterations::DEFAULT,
            },
        };
        let suite = self.suite(&offer, Direction::ServerToClient);
        Ok((offer, suite))
    }

    /// How to seal after a challenge or hello with these capabilities.
    pub(crate) fn wanted(&self, caps: &Caps<'_>) -> Result<Suite, Error> {
        let offer = CipherOffer::parse(&caps.map("encryption"))
            .ok()
            .flatten()
            .ok_or(Error::Encryption)?;
        Ok(self.suite(&offer, Direction::ClientToServer))
    }

    fn suite(&self, offer: &CipherOffer, direction: Direction) -> Suite {
        Suite {
            mode: offer.mode,
            framing: offer.framing,
            iv: offer.iv,
            key: derive(&self.key_data, &offer.key),
            direction,
        }
    }
}

/// One record, sealed.
pub(crate) fn sealed(sealer: &mut Sealer, record: &[u8]) -> Result<Vec<u8>, Error> {
    let (header, payload) = record
        .split_first_chunk::<HEADER_SIZE>()
        .ok_or(Error::Encryption)?;
    let header = Header::parse(*header).map_err(|_| Error::Encryption)?;
    let mut out = Vec::with_capacity(record.len() + 64);
    seal(sealer, header, payload, &mut out).map_err(|_| Error::Encryption)?;
    Ok(out)
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
