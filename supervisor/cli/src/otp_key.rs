//! A new key of one-time codes: in a file for `auth=otp`, and as a picture for the person's device.

use crate::error::{Error, Result, reason};
use crate::options::OtpKeyArgs;
use qrcode::{Color, QrCode};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use zeroize::Zeroizing;

/// Bytes of a key, as many as the hash has (RFC 4226 section 4, R6).
const KEY: usize = 20;
/// Empty modules around a code, without which many devices find none.
const QUIET: usize = 4;

/// Makes the key, writes the file, and prints the picture.
///
/// # Errors
/// There is such a file already, or it cannot be written.
pub fn run(args: &OtpKeyArgs) -> Result<()> {
    let mut bytes = Zeroizing::new([0_u8; KEY]);
    getrandom::fill(&mut *bytes)
        .map_err(|error| Error::new(format!("no random numbers: {error}")))?;
    let key = base32(&bytes);
    let shown = args.file.display();
    let fail = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(format!(
            "{shown} exists: a new key would lock out who has the old one; remove it first"
        )),
        _ => Error::new(format!("{shown}: {}", reason(&error))),
    };
    // Never through a link, and nobody else's to read at any time.
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file)
        .map_err(fail)?;
    let line = Zeroizing::new(format!("{}\n", *key));
    file.write_all(line.as_bytes()).map_err(fail)?;
    let uri = uri(&key, &args.issuer_name, &args.account);
    let code = QrCode::new(uri.as_bytes())
        .map_err(|error| Error::usage(format!("these names do not fit into a code: {error}")))?;
    let dark: Vec<bool> = code
        .to_colors()
        .iter()
        .map(|one| *one == Color::Dark)
        .collect();
    let terminal = std::io::stdout().is_terminal();
    let picture = Zeroizing::new(picture(&dark, code.width(), terminal));
    let text = Zeroizing::new(format!(
        "{}\n{}\n\nkey file {shown}: who sees the picture or the line above has the key\n",
        *picture, *uri
    ));
    crate::print(&text)
}

/// Base32 (RFC 4648) of what needs no padding.
fn base32(bytes: &[u8; KEY]) -> Zeroizing<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(KEY / 5 * 8));
    for part in bytes.chunks_exact(5) {
        let number = part
            .iter()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        for at in (0..8).rev() {
            let letter = usize::try_from(number >> (5 * at) & 31).unwrap_or(0);
            text.push(char::from(LETTERS[letter]));
        }
    }
    text
}

/// What authenticator applications read: codes of six digits, for thirty seconds each, by
/// HMAC-SHA-1, which is what they take without being told.
fn uri(key: &str, issuer: &str, account: &str) -> Zeroizing<String> {
    let (issuer, account) = (escaped(issuer), escaped(account));
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={key}&issuer={issuer}"
    ))
}

/// Percent-encoded, but for what may stand everywhere in an address (RFC 3986 section 2.3).
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Two rows of modules in a line; the light ones are written, for a dark terminal. `colours` are
/// set where a terminal might have others.
fn picture(dark: &[bool], width: usize, colours: bool) -> String {
    let light = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET), y.checked_sub(QUIET)) else {
            return true;
        };
        x >= width || dark.get(y * width + x) != Some(&true)
    };
    let side = width + 2 * QUIET;
    let (start, end) = if colours {
        ("\x1b[97;40m", "\x1b[0m")
    } else {
        ("", "")
    };
    let mut text = String::new();
    for y in (0..side).step_by(2) {
        text.push_str(start);
        for x in 0..side {
            text.push(match (light(x, y), y + 1 < side && light(x, y + 1)) {
                (true, true) => '\u{2588}',
                (true, false) => '\u{2580}',
                (false, true) => '\u{2584}',
                (false, false) => ' ',
            });
        }
        text.push_str(end);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_everybody_reads_it() {
        assert_eq!(
            base32(b"12345678901234567890").as_str(),
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        );
        assert_eq!(base32(&[0xff; KEY]).as_str(), "7".repeat(32));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(
            uri("KEY", "a b", "ann@host/x&secret=y").as_str(),
            "otpauth://totp/a%20b:ann%40host%2Fx%26secret%3Dy?secret=KEY&issuer=a%20b"
        );
    }

    #[test]
    fn a_picture_has_a_light_border_and_its_modules() {
        let text = picture(&[true, false, false, true], 2, false);
        let lines: Vec<_> = text.lines().collect();
        let full = "\u{2588}".repeat(10);
        assert_eq!(lines.len(), 5);
        assert!([0, 1, 3, 4].iter().all(|line| lines[*line] == full));
        assert_eq!(
            lines[2],
            "\u{2588}".repeat(4) + "\u{2584}\u{2580}" + &"\u{2588}".repeat(4)
        );
        assert!(picture(&[true], 1, true).starts_with("\x1b[97;40m"));
    }
}
