//! PEM (RFC 7468): what is between the lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text between two lines is no base64, or there is no second line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// What the sections with one of these labels hold, in their order, each with the place of its label. All
/// else in the text is left alone.
///
/// # Errors
/// [`Damaged`].
pub fn sections(pem: &[u8], labels: &[&str]) -> Result<Vec<(usize, Vec<u8>)>, Damaged> {
    let mut found = Vec::new();
    let mut inside: Option<(usize, Vec<u8>)> = None;
    for line in pem.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        let label = |word: &str| {
            let rest = line.strip_prefix(b"-----")?.strip_prefix(word.as_bytes())?;
            let label = rest.strip_prefix(b" ")?.strip_suffix(b"-----")?;
            labels.iter().position(|known| known.as_bytes() == label)
        };
        match &mut inside {
            None => inside = label("BEGIN").map(|place| (place, Vec::new())),
            Some((place, text)) if label("END") == Some(*place) => {
                let der = STANDARD.decode(&*text).map_err(|_| Damaged)?;
                found.push((*place, der));
                inside = None;
            }
            Some((_, text)) => text.extend_from_slice(line),
        }
    }
    match inside {
        Some(_) => Err(Damaged),
        None => Ok(found),
    }
}
