//! What the operator gave as key data: one descriptor per listener, read for each derivation.

use ipc::ListenerId;
use ipc::spec::{KeyData, KeysSpec};
use runtime::secret::{Buffer, SecretError, SecretFile};
use std::fs::File;

/// The key data of every encrypted listener.
#[derive(Debug)]
pub struct Listeners {
    data: Vec<Option<KeyData>>,
    secrets: Vec<SecretFile>,
}

/// Why the session must not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spec names a descriptor that was not passed.
    #[error("the key data of listener {0} was not passed")]
    Missing(usize),
    /// Unreadable, empty or too large.
    #[error("the key data of listener {listener} {error}")]
    Secret {
        /// Its number.
        listener: usize,
        /// What is wrong with it.
        error: SecretError,
    },
}

impl Listeners {
    /// Checks that the key data of every encrypted listener is there and can be read.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(
        spec: KeysSpec,
        files: Vec<File>,
        buffer: &mut Buffer,
    ) -> Result<Listeners, StartError> {
        let listeners = Listeners {
            data: spec.listeners,
            secrets: files.into_iter().map(SecretFile::new).collect(),
        };
        for (listener, data) in listeners.data.iter().enumerate() {
            let Some(data) = data else { continue };
            let secret = listeners
                .secret(data)
                .ok_or(StartError::Missing(listener))?;
            if let Err(error) = read(data, secret, buffer, |_| ()) {
                return Err(StartError::Secret { listener, error });
            }
        }
        Ok(listeners)
    }

    /// What `with` makes of the key data of a listener; it is wiped afterwards. `None`: the
    /// listener is not encrypted.
    ///
    /// # Errors
    /// [`SecretError`]: it cannot be read any more.
    pub fn read<R>(
        &self,
        listener: ListenerId,
        buffer: &mut Buffer,
        with: impl FnOnce(&[u8]) -> R,
    ) -> Option<Result<R, SecretError>> {
        let data = self.data(listener)?;
        Some(read(data, self.secret(data)?, buffer, with))
    }

    /// Bytes of the keys of a listener.
    #[must_use]
    pub fn key_size(&self, listener: ListenerId) -> Option<u8> {
        Some(self.data(listener)?.key_size)
    }

    fn data(&self, listener: ListenerId) -> Option<&KeyData> {
        self.data.get(usize::from(listener.0))?.as_ref()
    }

    fn secret(&self, data: &KeyData) -> Option<&SecretFile> {
        self.secrets.get(usize::from(data.secret))
    }
}

fn read<R>(
    data: &KeyData,
    secret: &SecretFile,
    buffer: &mut Buffer,
    with: impl FnOnce(&[u8]) -> R,
) -> Result<R, SecretError> {
    if data.in_place {
        secret.check_name()?;
    }
    let secret = secret.read(buffer)?;
    let mut bytes = secret.bytes();
    if data.trim {
        // As the stock clients read their key files (protocol "Key data").
        while let [rest @ .., b'\r' | b'\n'] | [b'\r' | b'\n', rest @ ..] = bytes {
            bytes = rest;
        }
    }
    if bytes.is_empty() {
        return Err(SecretError::Empty);
    }
    Ok(with(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn listeners(trim: bool, content: &[u8]) -> Result<Listeners, StartError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let data = KeyData {
            secret: 0,
            trim,
            in_place: false,
            key_size: 32,
        };
        let listeners = vec![None, Some(data)];
        let mut buffer = Buffer::new().unwrap();
        Listeners::new(KeysSpec { listeners }, vec![file], &mut buffer)
    }

    fn content(listeners: &Listeners) -> Vec<u8> {
        let mut buffer = Buffer::new().unwrap();
        let read = listeners.read(ListenerId(1), &mut buffer, <[u8]>::to_vec);
        read.unwrap().unwrap()
    }

    #[test]
    fn line_ends_around_a_key_do_not_count() {
        let data = b"\nkey \n \r\n\n";
        assert_eq!(content(&listeners(true, data).unwrap()), b"key \n ");
        assert_eq!(content(&listeners(false, data).unwrap()), data);
    }

    #[test]
    fn no_key_data_is_no_start() {
        for content in [&b""[..], b"\r\n\n"] {
            let error = listeners(true, content).unwrap_err().to_string();
            assert!(error.contains("listener 1 is empty"), "{error}");
        }
        let data = KeyData {
            secret: 1,
            trim: true,
            in_place: false,
            key_size: 32,
        };
        let spec = KeysSpec {
            listeners: vec![Some(data)],
        };
        let files = vec![tempfile::tempfile().unwrap()];
        let mut buffer = Buffer::new().unwrap();
        let error = Listeners::new(spec, files, &mut buffer).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the key data of listener 0 was not passed"
        );
    }

    #[test]
    fn a_key_file_that_was_replaced_is_of_no_use() {
        for (in_place, usable) in [(true, false), (false, true)] {
            let data = KeyData {
                secret: 0,
                trim: true,
                in_place,
                key_size: 32,
            };
            let spec = KeysSpec {
                listeners: vec![Some(data)],
            };
            let copy = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(copy.path(), "key").unwrap();
            let mut buffer = Buffer::new().unwrap();
            let listeners =
                Listeners::new(spec, vec![copy.reopen().unwrap()], &mut buffer).unwrap();
            copy.close().unwrap();
            let read = listeners.read(ListenerId(0), &mut buffer, <[u8]>::to_vec);
            assert_eq!(read.unwrap().is_ok(), usable);
        }
    }

    #[test]
    fn other_listeners_have_none() {
        let listeners = listeners(true, b"key").unwrap();
        let mut buffer = Buffer::new().unwrap();
        for other in [0, 2, u16::MAX] {
            let read = listeners.read(ListenerId(other), &mut buffer, |_| ());
            assert!(read.is_none());
            assert_eq!(listeners.key_size(ListenerId(other)), None);
        }
    }
}
