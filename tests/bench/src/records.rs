//! How fast records are sealed and opened, beside `openssl speed` with the same cipher.

use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};
use test_client::wire::cipher::{
    Direction, Framing, KeySize, Mode, Opener, Sealer, SessionKey, Suite,
};
use test_client::wire::limits::HEADER_SIZE;
use test_client::wire::record::{Compression, Header, Kind, seal};

/// Bytes of a record.
const RECORD: usize = 16 * 1024;
/// Records that are sealed, then opened, in one go: so few that they stay in a core's cache, as what
/// has just been read from a socket is, and as the one block of `openssl speed` is.
const BATCH: usize = 16;
/// How long one thing is done.
const TIME: Duration = Duration::from_secs(1);

/// One way with one cipher, in bytes per second, at each time.
pub struct Speed {
    /// The mode, with a key of 256 bits.
    pub mode: Mode,
    /// Sealed, or opened.
    pub seals: bool,
    /// Our records.
    pub ours: Vec<f64>,
    /// What `openssl speed` says.
    pub openssl: Vec<f64>,
}

/// Measures each in turn, so often.
///
/// # Errors
/// Something does not work.
pub fn measure(times: usize) -> Result<Vec<Speed>, Box<dyn Error>> {
    let mut all = Vec::new();
    for mode in Mode::ALL {
        let [mut sealed, mut opened] = [true, false].map(|seals| Speed {
            mode: *mode,
            seals,
            ours: Vec::new(),
            openssl: Vec::new(),
        });
        for _ in 0..times {
            let (seals, opens) = ours(*mode)?;
            sealed.ours.push(seals);
            opened.ours.push(opens);
            sealed.openssl.push(openssl(*mode, true)?);
            opened.openssl.push(openssl(*mode, false)?);
        }
        all.extend([sealed, opened]);
    }
    Ok(all)
}

fn ours(mode: Mode) -> Result<(f64, f64), Box<dyn Error>> {
    let suite = Suite {
        mode,
        framing: Framing::Stream,
        iv: [1; 16],
        key: SessionKey::new(&[2; 32]).ok_or("no key")?,
        direction: Direction::ServerToClient,
    };
    let header = Header {
        encrypted: false,
        kind: Kind::Main { flush: false },
        compression: Compression::None,
        size: u32::try_from(RECORD)?,
    };
    debug_assert_eq!(suite.key.size(), KeySize::Aes256);
    let payload = vec![3; RECORD];
    let (mut sealer, mut opener) = (Sealer::new(&suite, [4; 32])?, Opener::new(suite)?);
    let (mut sealing, mut opening) = (Duration::ZERO, Duration::ZERO);
    let mut records = Vec::with_capacity(BATCH * (RECORD + 256));
    let mut ends = Vec::with_capacity(BATCH);
    let mut bytes = 0.0;
    while sealing < TIME || opening < TIME {
        records.clear();
        ends.clear();
        let start = Instant::now();
        for _ in 0..BATCH {
            seal(&mut sealer, header, &payload, &mut records)?;
            ends.push(records.len());
        }
        sealing += start.elapsed();
        let start = Instant::now();
        let mut begin = 0;
        for end in &ends {
            let (header, sealed) = records[begin..*end]
                .split_first_chunk::<HEADER_SIZE>()
                .ok_or("no header")?;
            black_box(opener.open(&Header::parse(*header)?, sealed)?);
            begin = *end;
        }
        opening += start.elapsed();
        bytes += (BATCH * RECORD) as f64;
    }
    Ok((bytes / sealing.as_secs_f64(), bytes / opening.as_secs_f64()))
}

/// `+F:NUMBER:NAME:BYTES PER SECOND` is the last line that it prints.
fn openssl(mode: Mode, seals: bool) -> Result<f64, Box<dyn Error>> {
    let cipher = match mode {
        Mode::Cbc => "aes-256-cbc",
        Mode::Ctr => "aes-256-ctr",
        Mode::Cfb => "aes-256-cfb",
        Mode::Gcm => "aes-256-gcm",
    };
    let mut command = Command::new("openssl");
    command.args(["speed", "-mr", "-seconds", "1", "-bytes", "16384", "-evp"]);
    command.arg(cipher);
    if !seals {
        command.arg("-decrypt");
    }
    let said = String::from_utf8(command.output()?.stdout)?;
    let line = said.lines().find(|line| line.starts_with("+F:"));
    let number = line.and_then(|line| line.rsplit(':').next());
    Ok(number.ok_or("openssl speed says nothing")?.parse()?)
}
