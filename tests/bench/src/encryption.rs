//! What encryption costs, each part by itself.

use crate::keys::Keys;
use crate::pipe::{self, Carrier};
use crate::records::{self, Speed};
use crate::signing::{self, Signing};
use crate::table::{median, short, spread, verdict};
use std::error::Error;
use std::fmt::Write;
use test_client::wire::cipher::Mode;

/// Of a cipher's speed elsewhere, our records have at least this part.
const RECORDS: f64 = 0.8;
/// Of the speed of a socket in clear, a connection with AES has at least this part.
const AES: f64 = 0.5;
/// Of the speed of OpenSSL's programs, a connection with TLS has at least this part.
const TLS: f64 = 0.8;

/// What was measured.
pub struct Encryption {
    records: Vec<Speed>,
    /// Bytes per second, at each time.
    pipes: Vec<(Carrier, Vec<f64>)>,
    /// The same of OpenSSL's programs.
    openssl: Vec<f64>,
    signing: Vec<Signing>,
}

/// Measures each thing in turn, so often.
///
/// # Errors
/// Something does not work.
pub fn measure(times: usize) -> Result<Encryption, Box<dyn Error>> {
    let mut keys = Keys::start()?;
    let signing = signing::measure(&mut keys)?;
    let mut pipes = Carrier::ALL.map(|carrier| (carrier, Vec::new())).to_vec();
    let mut openssl = Vec::new();
    for _ in 0..times {
        for (carrier, speeds) in &mut pipes {
            speeds.push(pipe::ours(*carrier, &mut keys)?);
        }
        openssl.push(pipe::openssl(&keys)?);
    }
    keys.stop();
    Ok(Encryption {
        records: records::measure(times)?,
        pipes,
        openssl,
        signing,
    })
}

/// The tables.
pub fn document(measured: &Encryption) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_document(&mut text, measured);
    text
}

fn write_document(out: &mut String, measured: &Encryption) -> std::fmt::Result {
    let version = std::process::Command::new("openssl")
        .arg("version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let version = version.split_whitespace().nth(1).unwrap_or("?");
    writeln!(
        out,
        "| | Bulkhead | OpenSSL {version} | of it | target | |\n|---|---|---|---|---|---|"
    )?;
    for speed in &measured.records {
        let part = median(&speed.ours) / median(&speed.openssl);
        writeln!(
            out,
            "| {} records of 16 KiB, {} | {} MiB/s | {} MiB/s | {} | {} |",
            if speed.seals { "sealing" } else { "opening" },
            name(speed.mode),
            mebibytes(&speed.ours),
            mebibytes(&speed.openssl),
            short(part),
            target(part, RECORDS)
        )?;
    }
    for (carrier, speeds) in &measured.pipes {
        if *carrier == Carrier::Tls {
            let part = median(speeds) / median(&measured.openssl);
            writeln!(
                out,
                "| pictures through `network`, {} | {} MiB/s | {} MiB/s | {} | {} |",
                carrier.name(),
                mebibytes(speeds),
                mebibytes(&measured.openssl),
                short(part),
                target(part, TLS)
            )?;
        }
    }
    signing::rows(out, &measured.signing)?;
    writeln!(
        out,
        "\n| pictures through `network` | | of plain TCP | target | |\n|---|---|---|---|---|"
    )?;
    let plain = measured
        .pipes
        .iter()
        .find(|(carrier, _)| *carrier == Carrier::Plain)
        .map_or(f64::NAN, |(_, speeds)| median(speeds));
    for (carrier, speeds) in &measured.pipes {
        let part = median(speeds) / plain;
        let wanted = match carrier {
            Carrier::Aes(_) => target(part, AES),
            Carrier::Plain | Carrier::Tls => "|".to_owned(),
        };
        writeln!(
            out,
            "| {} | {} MiB/s | {} | {wanted} |",
            carrier.name(),
            mebibytes(speeds),
            short(part),
        )?;
    }
    Ok(())
}

fn name(mode: Mode) -> String {
    format!("AES-256-{}", mode.name())
}

fn mebibytes(speeds: &[f64]) -> String {
    let speeds: Vec<f64> = speeds.iter().map(|speed| speed / 1_048_576.0).collect();
    spread(&speeds)
}

fn target(part: f64, wanted: f64) -> String {
    format!("≥ {wanted} | {}", verdict(part >= wanted))
}
