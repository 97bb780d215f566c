//! `encryption=`: which mode of AES a socket demands, and where its key data comes from (protocol
//! "AES layer").

use crate::error::{Error, Result};
use crate::hidden::Hidden;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipc::keys::AesMode;
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Environment variable that holds the key data when no option names it.
pub const VARIABLE: &str = "XPRA_ENCRYPTION_KEY";

/// Bytes of a key when nothing is said.
const KEY_SIZE: u8 = 32;

/// What a socket demands of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// The mode.
    pub mode: AesMode,
    /// Bytes of the keys that are derived: 16, 24 or 32.
    pub key_size: u8,
    /// Where the key data is.
    pub source: Source,
}

/// Where key data is.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// On the command line.
    Data(Hidden<Vec<u8>>),
    /// In a file.
    File(PathBuf),
    /// Nothing was said: in [`VARIABLE`], if that is set; else it is the password of the socket.
    Default,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(_) => f.write_str("keydata"),
            Self::File(path) => write!(f, "keyfile {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The options of one socket that concern encryption, as they were written.
#[derive(Default)]
pub struct Written {
    mode: Option<String>,
    file: Option<PathBuf>,
    data: Option<Zeroizing<Vec<u8>>>,
    key_size: Option<u8>,
}

impl Written {
    /// Takes an option, if it is one of these.
    ///
    /// # Errors
    /// Its value is wrong.
    pub fn take(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "encryption" => self.mode = Some(value.to_owned()),
            "keyfile" | "encryption-keyfile" if value.is_empty() => {
                return Err(Error::usage(format!("`{key}=` is empty")));
            }
            "keyfile" | "encryption-keyfile" => self.file = Some(PathBuf::from(value)),
            "keydata" | "encryption-keydata" => {
                self.data = Some(decoded(value).map_err(|error| error.at(key))?);
            }
            "encryption-key-size" => {
                self.key_size = match value {
                    "128" => Some(16),
                    "192" => Some(24),
                    "256" => Some(32),
                    _ => {
                        return Err(Error::usage(format!(
                            "`{key}={value}`: AES has keys of 128, 192 and 256 bits"
                        )));
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What they say together. `None`: nothing about encryption.
    ///
    /// # Errors
    /// No such mode, or a key for nothing.
    pub fn finish(self) -> Result<Option<Encryption>> {
        let Some(mode) = self.mode else {
            return match (self.file, self.data, self.key_size) {
                (None, None, None) => Ok(None),
                _ => Err(Error::usage(
                    "a key without `encryption=`: nothing would be encrypted; add encryption=AES-CTR",
                )),
            };
        };
        let source = match (self.data, self.file) {
            (Some(_), Some(_)) => {
                return Err(Error::usage("keydata= and keyfile=: which of them?"));
            }
            (Some(data), None) => Source::Data(data.into()),
            (None, Some(file)) => Source::File(file),
            (None, None) => Source::Default,
        };
        Ok(Some(Encryption {
            mode: mode_of(&mode)?,
            key_size: self.key_size.unwrap_or(KEY_SIZE),
            source,
        }))
    }
}

fn mode_of(text: &str) -> Result<AesMode> {
    Ok(match text.to_ascii_uppercase().as_str() {
        // As the manuals have it.
        "AES" | "AES-CBC" => AesMode::Cbc,
        "AES-CTR" => AesMode::Ctr,
        "AES-CFB" => AesMode::Cfb,
        "AES-GCM" => AesMode::Gcm,
        _ => {
            return Err(Error::usage(format!(
                "`encryption={text}`: there are AES (the same as AES-CBC), AES-CBC, AES-CTR, AES-CFB and AES-GCM"
            )));
        }
    })
}

/// What to warn of.
#[must_use]
pub fn warning(encryption: &Encryption) -> Option<String> {
    let name = encryption.mode.name();
    match encryption.mode {
        AesMode::Gcm => None,
        AesMode::Cbc | AesMode::Ctr | AesMode::Cfb => Some(format!(
            "{name} keeps what is sent secret, and does not notice changes: who can change bytes on the way can type into the session"
        )),
    }
}

/// The key data that `keydata=` means: `0x` and hexadecimal digits, `b64:` or `base64:`, else
/// hexadecimal if it is that, else base64 if it is that, as the stock client reads it (protocol
/// "Key data"); else the text itself, which the stock client takes for nothing.
fn decoded(value: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = encoded(value)?.unwrap_or_else(|| value.as_bytes().to_vec().into());
    if bytes.is_empty() {
        return Err(Error::usage("the key is empty"));
    }
    Ok(bytes)
}

/// What is written as `0x` and hexadecimal digits, `b64:` or `base64:`, or without any of these; `None`: it is neither.
///
/// # Errors
/// It is not what it says that it is.
pub fn encoded(value: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let prefixed = |prefix: &str| {
        let head = value.get(..prefix.len())?;
        let is_it = head.eq_ignore_ascii_case(prefix);
        is_it.then(|| value.get(prefix.len()..)).flatten()
    };
    if let Some(digits) = prefixed("0x") {
        let bytes = hex(digits);
        let bytes =
            bytes.ok_or_else(|| Error::usage("0x is followed by pairs of hexadecimal digits"))?;
        return Ok(Some(bytes));
    }
    if let Some(text) = prefixed("b64:").or_else(|| prefixed("base64:")) {
        let bytes = base64(text).ok_or_else(|| Error::usage("this is not base64"))?;
        return Ok(Some(bytes));
    }
    Ok(hex(value).or_else(|| base64(value)))
}

fn hex(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        let value = |digit: u8| char::from(digit).to_digit(16);
        bytes.push(u8::try_from(value(*high)? * 16 + value(*low)?).ok()?);
    }
    Some(bytes)
}

/// As the stock client does it: what is not of the alphabet is skipped, the padding must be there.
fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let kept: Zeroizing<String> = Zeroizing::new(
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c))
            .collect(),
    );
    STANDARD.decode(kept.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Option<Encryption>> {
        let mut written = Written::default();
        for (key, value) in options {
            assert!(written.take(key, value)?, "{key}");
        }
        written.finish()
    }

    #[test]
    fn every_mode_by_its_name() {
        let mode = |text| read(&[("encryption", text)]).map(|read| read.unwrap().mode);
        for known in [AesMode::Cbc, AesMode::Ctr, AesMode::Cfb, AesMode::Gcm] {
            assert_eq!(mode(known.name()), Ok(known));
        }
        assert_eq!(mode("AES"), Ok(AesMode::Cbc));
        assert_eq!(mode("aes-ctr"), Ok(AesMode::Ctr));
        for text in ["", "yes", "no", "DES", "AES-", "AES-ECB", "AES-256", "ssl"] {
            let error = mode(text).unwrap_err().to_string();
            assert!(error.contains("there are AES"), "{error}");
        }
    }

    #[test]
    fn key_data_as_the_stock_client_reads_it() {
        for (text, bytes) in [
            ("0x0aFF", &b"\x0a\xff"[..]),
            ("0X0a", b"\x0a"),
            ("b64:aGVsbG8=", b"hello"),
            ("BASE64:aGVsbG8=", b"hello"),
            ("0aff", b"\x0a\xff"),
            ("aGVsbG8=", b"hello"),
            // Eight letters are base64.
            ("password", b"\xa5\xab\x2c\xc2\x8a\xdd"),
            ("hello world", b"hello world"),
            ("pass-word-1", b"pass-word-1"),
        ] {
            assert_eq!(decoded(text).unwrap().as_slice(), bytes, "{text}");
        }
        for text in ["", "0x", "0x0", "0xzz", "b64:", "b64:a", "base64:!!"] {
            assert!(decoded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_belongs_together() {
        let gcm = read(&[("encryption", "AES-GCM"), ("keyfile", "k")]);
        let gcm = gcm.unwrap().unwrap();
        assert_eq!((gcm.key_size, &gcm.source), (32, &Source::File("k".into())));
        let small = [("encryption", "AES"), ("encryption-key-size", "128")];
        assert_eq!(read(&small).unwrap().unwrap().key_size, 16);
        assert_eq!(read(&[]), Ok(None));
        for (options, part) in [
            (&[("keyfile", "k")][..], "a key without"),
            (&[("keydata", "0x00")], "a key without"),
            (&[("encryption-key-size", "256")], "a key without"),
            (&[("encryption", "AES"), ("keyfile", "")], "is empty"),
            (
                &[("encryption", "AES"), ("encryption-key-size", "64")],
                "128, 192 and 256",
            ),
            (
                &[
                    ("encryption", "AES"),
                    ("keyfile", "k"),
                    ("encryption-keydata", "0x00"),
                ],
                "which of them",
            ),
        ] {
            let error = read(options).unwrap_err().to_string();
            assert!(error.contains(part), "{options:?}: {error}");
        }
    }

    #[test]
    fn key_data_is_not_shown() {
        let read = read(&[("encryption", "AES"), ("keydata", "hunter two")]);
        assert!(!format!("{read:?}").contains("hunter"));
    }
}
