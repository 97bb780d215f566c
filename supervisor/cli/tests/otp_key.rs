//! `bulkhead otp-key` with other people's programs: one that reads QR codes, and one that makes
//! codes of the clock.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn otp_key(directory: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .args(["otp-key", "key.txt"])
        .args(more)
        .current_dir(directory)
        .output()
        .unwrap()
}

/// The picture as a camera would see it: four pixels for each module.
fn photograph(lines: &[&str]) -> Vec<u8> {
    let rows = lines.iter().flat_map(|line| {
        let upper = line.chars().map(|c| "\u{2588}\u{2580}".contains(c));
        let lower = line.chars().map(|c| "\u{2588}\u{2584}".contains(c));
        [upper.collect::<Vec<_>>(), lower.collect()]
    });
    let rows: Vec<_> = rows.collect();
    let width = rows[0].len() * 4;
    let mut image = format!("P5 {width} {} 255\n", rows.len() * 4).into_bytes();
    for row in rows {
        let line: Vec<u8> = row
            .iter()
            .flat_map(|light| [if *light { 255 } else { 0 }; 4])
            .collect();
        image.extend(line.repeat(4));
    }
    image
}

#[test]
fn the_picture_and_the_file_have_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let output = otp_key(
        directory.path(),
        &["--account=ann@host", "--issuer-name=My Xpra"],
    );
    assert!(output.status.success(), "{output:?}");
    let path = directory.path().join("key.txt");
    let key = std::fs::read_to_string(&path).unwrap();
    assert!(
        key.len() == 33 && key.ends_with('\n'),
        "{} bytes",
        key.len()
    );
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let said = String::from_utf8(output.stdout).unwrap();
    let uri = format!(
        "otpauth://totp/My%20Xpra:ann%40host?secret={}&issuer=My%20Xpra",
        key.trim()
    );
    assert!(said.contains(&uri));

    let lines: Vec<_> = said.lines().take_while(|line| !line.is_empty()).collect();
    let image = directory.path().join("photograph.pgm");
    std::fs::write(&image, photograph(&lines)).unwrap();
    let read = Command::new("zbarimg")
        .args(["--quiet", "--raw", "--nodbus"])
        .arg(&image)
        .output()
        .expect("zbarimg is installed (Debian's package zbar-tools)");
    assert_eq!(
        String::from_utf8_lossy(&read.stdout).trim(),
        uri,
        "{read:?}"
    );
    let codes = Command::new("oathtool")
        .args(["--totp", "--base32", key.trim()])
        .output()
        .unwrap();
    assert!(codes.status.success(), "{codes:?}");

    // What is there is never overwritten: somebody's device has that key.
    let again = otp_key(directory.path(), &[]);
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && error.contains("key.txt exists"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
}
