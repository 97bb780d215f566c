//! What it costs that the private key is elsewhere.

use crate::channel;
use crate::keys::{Keys, Signer};
use crate::table::{short, verdict};
use bulkhead_keys::private_key::PrivateKey;
use ipc::keys::{KeysToNetwork, NetworkToKeys};
use ipc::tls::Handshake;
use std::error::Error;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Signatures of each kind.
const COUNT: usize = 300;
/// Milliseconds that a signature takes longer because the key is elsewhere, at most.
const MORE: f64 = 1.0;

/// Medians of one kind of key.
pub struct Signing {
    /// Which, for people.
    name: &'static str,
    /// A signature by `keys`, from the question to the answer.
    asked: Duration,
    /// The same where the key is.
    own: Duration,
}

/// Measures both in turn, with each kind of key.
///
/// # Errors
/// A signature could not be had.
pub fn measure(keys: &mut Keys) -> Result<Vec<Signing>, Box<dyn Error>> {
    let signers = keys.signers().to_vec();
    signers
        .iter()
        .map(|signer| {
            one(keys, signer)
                .map_err(|error| format!("a signature, {}: {error}", signer.name).into())
        })
        .collect()
}

fn one(keys: &mut Keys, signer: &Signer) -> Result<Signing, Box<dyn Error>> {
    let key = PrivateKey::read(signer.kind, signer.pem.as_bytes(), None, &signer.public)?;
    let (mut asked, mut own) = (Vec::new(), Vec::new());
    for _ in 0..COUNT {
        // A channel is good for one handshake.
        let mut channel = keys.channel(signer.listener)?;
        let question = NetworkToKeys::Sign {
            scheme: signer.scheme,
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
        black_box(key.sign(signer.scheme, &text)).ok_or("the key does not sign")?;
        own.push(start.elapsed());
    }
    Ok(Signing {
        name: signer.name,
        asked: median(asked),
        own: median(own),
    })
}

/// The rows.
pub fn rows(out: &mut String, measured: &[Signing]) -> std::fmt::Result {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    for Signing { name, asked, own } in measured {
        let more = milliseconds(*asked) - milliseconds(*own);
        writeln!(
            out,
            "| a signature by `keys`, {name} | {} ms | | {} ms more than where the key is | ≤ {MORE} ms more | {} |",
            short(milliseconds(*asked)),
            short(more),
            verdict(more <= MORE)
        )?;
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
