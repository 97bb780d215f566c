//! What the terminal hears of a start in the background.

use crate::error::{Error, Result, one_line};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Waits for the line that says what became of the start.
pub fn wait(pipe: OwnedFd, log: Option<&File>, path: &Path, hint: &str) -> Result<()> {
    let mut line = String::new();
    let mut pipe = BufReader::new(File::from(pipe));
    let _ = pipe.by_ref().take(4096).read_line(&mut line);
    let line = one_line(line.trim());
    if let Some(display) = line.strip_prefix("ready ") {
        println!("session {display} is ready; attach with: {hint}");
        return Ok(());
    }
    // The attempt is over when nobody holds the other end any more: then it can be made again.
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    let why = line
        .strip_prefix("failed ")
        .map(str::to_owned)
        .or_else(|| log.and_then(last_line))
        .unwrap_or_else(|| "nothing was logged".into());
    // The launcher names its own, and one of an attempt that never came so far is removed.
    let log = match why.contains("(log: ") || !path.exists() {
        true => String::new(),
        false => format!(" (log: {})", path.display()),
    };
    Err(Error::new(format!("the session did not start: {why}{log}")))
}

/// The last line of a log, or of its last JSON record the message.
fn last_line(file: &File) -> Option<String> {
    let len = file.metadata().ok()?.len();
    let tail = len.min(16 * 1024);
    let mut bytes = vec![0_u8; usize::try_from(tail).ok()?];
    file.read_exact_at(&mut bytes, len - tail).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let record: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let message = record
        .as_ref()
        .and_then(|record| record.get("message")?.as_str());
    Some(one_line(message.unwrap_or(line).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one\n{\"message\":\"two\"}\n\n").unwrap();
        assert_eq!(last_line(&File::open(&path).unwrap()).unwrap(), "two");
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(last_line(&File::open(&path).unwrap()).unwrap(), "one");
        std::fs::write(&path, "").unwrap();
        assert_eq!(last_line(&File::open(&path).unwrap()), None);
    }
}
