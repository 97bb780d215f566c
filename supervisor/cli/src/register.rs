//! `bulkhead u2f` and `bulkhead fido2`: make a security key known, by a file with its public key.
//!
//! No key is touched here: what its registration gave comes from a program that has it plugged in.

use crate::auth::fido::{self, Point, SUFFIX};
use crate::error::{Error, Result, reason};
use crate::options::RegisterArgs;
use crate::users;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ipc::spec::Fido as Protocol;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest thing that is looked at, in bytes: a registration with its certificate.
const MAX_INPUT: u64 = 16 * 1024;
/// Names that are tried for a file.
const MAX_FILES: u32 = 100;

/// Writes the file.
///
/// # Errors
/// It is no public key, or known already, or the file cannot be made.
pub fn run(args: &RegisterArgs, protocol: Protocol) -> Result<()> {
    let shown = args.file.display();
    let fail = |why: &dyn std::fmt::Display| Error::new(format!("{shown}: {why}"));
    let bytes = input(&args.file).map_err(|error| fail(&reason(&error)))?;
    let found = Registered::read(&bytes).map_err(|why| fail(&why))?;
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => default_directory()?,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(|error| Error::new(format!("{}: {}", directory.display(), reason(&error))))?;
    let own = nix::unistd::geteuid().as_raw();
    std::path::absolute(&directory)
        .and_then(|directory| files::check_own(&directory, own))
        .map_err(|error| Error::new(format!("{}: {}", directory.display(), reason(&error))))?;
    let path = write(&directory, protocol, args.label.as_deref(), &found.point)?;
    let name = fido::name(protocol);
    let module = match &args.directory {
        Some(_) => format!("{name}(public-key-file={})", path.display()),
        None => name.to_owned(),
    };
    let mut text = format!(
        "{} lets in who has this key, from the next start of a session with auth={module} on\n",
        path.display()
    );
    if let Some(handle) = &found.handle {
        text += &format!(
            "its key handle, for the client ({name}-keyhandle.hex in ~/.config/xpra there): {}\n",
            fido::to_hex(handle)
        );
    }
    crate::print(&text)
}

fn input(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path.as_os_str() == "-" {
        true => io::stdin().take(MAX_INPUT + 1).read_to_end(&mut bytes),
        false => File::open(path)?
            .take(MAX_INPUT + 1)
            .read_to_end(&mut bytes),
    }?;
    Ok(bytes)
}

fn default_directory() -> Result<PathBuf> {
    let uid = nix::unistd::geteuid();
    if uid.is_root() {
        return Err(Error::usage(
            "root has no session of its own: run it as the session's user, or say --directory=",
        ));
    }
    let home = match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => users::user(&uid.to_string())?.home,
    };
    let [directory, ..] = fido::directories(&home);
    Ok(directory)
}

/// Makes the file, and no other one: never through a link.
fn write(
    directory: &Path,
    protocol: Protocol,
    label: Option<&str>,
    point: &Point,
) -> Result<PathBuf> {
    let name = fido::name(protocol);
    if let Some(label) = label {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
        if label.is_empty() || label.len() > 64 || !label.chars().all(plain) {
            return Err(Error::usage(format!(
                "--label={label}: letters, digits and ._@- only, at most 64"
            )));
        }
    }
    let names: Vec<String> = match label {
        Some(label) => vec![format!("{name}-{label}{SUFFIX}")],
        None => std::iter::once(format!("{name}{SUFFIX}"))
            .chain((2..MAX_FILES).map(|number| format!("{name}-{number}{SUFFIX}")))
            .collect(),
    };
    for file in names {
        let path = directory.join(file);
        let fail = |error: &io::Error| Error::new(format!("{}: {}", path.display(), reason(error)));
        let made = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Ok(mut file) => {
                let line = format!("{}\n", fido::to_hex(point.bytes()));
                if let Err(error) = file.write_all(line.as_bytes()) {
                    // Half a key would be a mistake at every start.
                    let _ = std::fs::remove_file(&path);
                    return Err(fail(&error));
                }
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let own = nix::unistd::geteuid().as_raw();
                let there = fido::own_text(&path, own).map_err(|error| fail(&error))?;
                if Point::from_hex(&there).is_ok_and(|there| there == *point) {
                    return Err(Error::new(format!(
                        "{} has this key already",
                        path.display()
                    )));
                }
                if label.is_some() {
                    return Err(Error::new(format!(
                        "{} exists: another key has this name; remove it first",
                        path.display()
                    )));
                }
            }
            Err(error) => return Err(fail(&error)),
        }
    }
    Err(Error::new(format!(
        "{}: there are {MAX_FILES} files of keys already",
        directory.display()
    )))
}

/// What a registration gave.
#[derive(PartialEq, Eq)]
pub struct Registered {
    /// The public key.
    pub point: Point,
    /// By which the client asks the key for this one of its private keys.
    pub handle: Option<Vec<u8>>,
}

impl Registered {
    /// A public key or the answer to a U2F registration; as they are, in hexadecimal or base64, or
    /// as PEM.
    ///
    /// # Errors
    /// It is none, in words.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, String> {
        if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_INPUT) {
            return Err(format!("is longer than {MAX_INPUT} bytes"));
        }
        let text = match pem(bytes) {
            Some(text) => text,
            None => bytes.to_vec(),
        };
        let text: Vec<u8> = text
            .into_iter()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let forms = [Some(bytes.to_vec()), fido::hex(&text), base64(&text)];
        let mut found = forms.iter().flatten().map(|form| Self::from_bytes(form));
        found.find_map(std::result::Result::ok).ok_or_else(|| {
            "is neither a public key of P-256 (hexadecimal, base64, PEM or DER) nor the answer to a U2F registration"
                .to_owned()
        })
    }

    fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, fido::BadKey> {
        match registration(bytes) {
            Some((point, handle)) => Ok(Self {
                point: Point::from_bytes(point)?,
                handle: Some(handle.to_vec()),
            }),
            None => Ok(Self {
                point: Point::from_bytes(bytes)?,
                handle: None,
            }),
        }
    }
}

/// The public key and the key handle in the answer to a registration (U2F raw message formats,
/// section 4.3): 5, the key, the length of the handle, the handle, a certificate, a signature.
/// The last two say what model the key is, and are not looked at.
fn registration(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[5])?;
    let (point, rest) = rest.split_at_checked(65)?;
    let (len, rest) = rest.split_first()?;
    let (handle, rest) = rest.split_at_checked(usize::from(*len))?;
    // A certificate is a sequence.
    (rest.first() == Some(&0x30)).then_some((point, handle))
}

/// What is between the lines of a public key in PEM.
fn pem(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (inside, _) = rest.split_once("-----END PUBLIC KEY-----")?;
    Some(inside.as_bytes().to_vec())
}

/// Either alphabet, with padding or without.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabets = [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE];
    alphabets
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    /// The base point of the curve (SEC 2 section 2.4.2).
    const BASE: &str = "046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296\
                        4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5";
    const X509: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

    fn read(bytes: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let found = Registered::read(bytes).unwrap();
        (found.point.bytes().to_vec(), found.handle)
    }

    #[test]
    fn a_public_key_is_read_in_every_form() {
        let point = fido::hex(BASE.as_bytes()).unwrap();
        let x509 = [&fido::hex(X509.as_bytes()).unwrap()[..], &point].concat();
        let standard = base64::engine::general_purpose::STANDARD;
        let encoded = standard.encode(&x509);
        let pem = format!(
            "# mine\n-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n",
            &encoded[..64],
            &encoded[64..]
        );
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&point);
        for text in [
            BASE.to_owned(),
            format!(" {}\r\n", BASE.to_lowercase()),
            format!("{X509}{BASE}\n"),
            encoded,
            pem,
            url,
        ] {
            assert_eq!(read(text.as_bytes()), (point.clone(), None), "{text}");
        }
        assert_eq!(read(&point), (point.clone(), None));
        assert_eq!(read(&x509), (point.clone(), None));
        // What a registration gave.
        let handle = vec![7; 64];
        let answer = [&[5][..], &point, &[64], &handle, &[0x30, 0x82, 1, 1, 9, 9]].concat();
        let expected = (point, Some(handle));
        assert_eq!(read(&answer), expected);
        assert_eq!(read(fido::to_hex(&answer).as_bytes()), expected);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let point = fido::hex(BASE.as_bytes()).unwrap();
        let mut off = point.clone();
        off[64] ^= 1;
        let cut = [&[5][..], &point, &[64], &[7; 63]].concat();
        let bare = [&[5][..], &point, &[0]].concat();
        let long = vec![b'0'; 20_000];
        for wrong in [
            &b""[..],
            b"04",
            b"hunter2",
            &off,
            &point[..64],
            &cut,
            &bare,
            &long,
        ] {
            assert!(Registered::read(wrong).is_err());
        }
        assert!(Point::from_hex(b"0g").is_err_and(|why| why == fido::BadKey::NotHex));
        assert!(Point::from_hex(b"040").is_err_and(|why| why == fido::BadKey::NotHex));
    }

    #[test]
    fn each_key_has_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let new = || {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
            Point::from_bytes(pair.public_key().as_ref()).unwrap()
        };
        let write = |label, point| write(directory.path(), Protocol::U2f, label, point);
        let (first, second) = (new(), new());
        let name = |path: Result<PathBuf>| {
            let path = path.ok().unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(name(write(None, &first)), "u2f-pub.hex");
        assert_eq!(name(write(None, &second)), "u2f-2-pub.hex");
        assert_eq!(
            name(write(Some("ann@home"), &first)),
            "u2f-ann@home-pub.hex"
        );
        for (label, point, part) in [
            (None, &second, "has this key already"),
            (Some("ann@home"), &second, "another key has this name"),
            (Some("../x"), &second, "letters, digits"),
            (Some(""), &second, "letters, digits"),
        ] {
            let error = write(label, point).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
