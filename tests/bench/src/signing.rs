//! What it costs that the private key is elsewhere.

use crate::channel;
use crate::keys::{Keys, TLS};
use ipc::keys::{KeysToNetwork, NetworkToKeys};
use ipc::tls::{Handshake, Scheme};
use rcgen::SigningKey;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Signatures of each kind.
const COUNT: usize = 300;

/// Medians.
pub struct Signing {
    /// A signature by `keys`, from the question to the answer: the key is read from its file for each.
    pub asked: Duration,
    /// The same where the key is.
    pub own: Duration,
}

/// Measures both in turn.
///
/// # Errors
/// A signature could not be had.
pub fn measure(keys: &mut Keys) -> Result<Signing, Box<dyn Error>> {
    let (mut asked, mut own) = (Vec::new(), Vec::new());
    for _ in 0..COUNT {
        // A channel is good for one handshake.
        let mut channel = keys.channel(TLS)?;
        let question = NetworkToKeys::Sign {
            scheme: Scheme::EcdsaP256Sha256,
            handshake: Handshake::Tls13 {
                transcript: vec![7; 32],
            },
        };
        let start = Instant::now();
        channel.send(&question, Vec::new())?;
        let answer = channel::next(&mut channel)?;
        asked.push(start.elapsed());
        let KeysToNetwork::Signed { .. } = answer else {
            return Err(format!("keys says {answer:?}").into());
        };
        // RFC 8446, section 4.4.3.
        let context = b"TLS 1.3, server CertificateVerify\0";
        let text = [&[b' '; 64], &context[..], &[7; 32]].concat();
        let start = Instant::now();
        black_box(keys.pair.sign(&text)?);
        own.push(start.elapsed());
    }
    Ok(Signing {
        asked: median(asked),
        own: median(own),
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
