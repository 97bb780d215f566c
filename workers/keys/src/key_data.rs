//! What the operator gave for each listener: key data, of which the descriptor is read for each
//! derivation, or the private key of a certificate, read once.

use crate::private_key::{KeyError, PrivateKey};
use ipc::ListenerId;
use ipc::spec::{KeyData, KeysSpec, ListenerKey};
use ipc::tls::Version;
use runtime::secret::{Buffer, SecretError, SecretFile};
use std::fs::File;
use zeroize::Zeroizing;

/// The key of every encrypted listener.
#[derive(Debug)]
pub struct Listeners {
    keys: Vec<Option<Key>>,
    /// `None`: what has its name now cannot be used.
    secrets: Vec<Option<SecretFile>>,
}

#[derive(Debug)]
enum Key {
    Aes(KeyData),
    /// What signs handshakes, and of which versions.
    Tls(PrivateKey, Vec<Version>),
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
    /// The private key is of no use.
    #[error("the TLS key {name} {error}")]
    Key {
        /// Its file.
        name: String,
        /// What is wrong with it.
        error: KeyError,
    },
}

impl Listeners {
    /// Checks that the key data of every encrypted listener is there and can be read, and reads the
    /// private keys. `again`: a predecessor has done so, and key data that cannot be read any more keeps out who
    /// needs it.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(
        spec: KeysSpec,
        files: Vec<File>,
        buffer: &mut Buffer,
        again: bool,
    ) -> Result<Listeners, StartError> {
        let secrets: Vec<_> = files.into_iter().map(SecretFile::new).map(Some).collect();
        let mut keys = Vec::with_capacity(spec.listeners.len());
        for (listener, key) in spec.listeners.into_iter().enumerate() {
            let secret = |index: u16| {
                let secret = secrets.get(usize::from(index)).and_then(Option::as_ref);
                secret.ok_or(StartError::Missing(listener))
            };
            let unreadable = |error| StartError::Secret { listener, error };
            keys.push(match key {
                None => None,
                Some(ListenerKey::Aes(data)) => {
                    let secret = secret(data.secret)?;
                    match read(&data, secret, buffer, |_| ()) {
                        Err(error) if !again => return Err(unreadable(error)),
                        Ok(()) | Err(_) => {}
                    }
                    Some(Key::Aes(data))
                }
                Some(ListenerKey::Tls(wanted)) => {
                    let mut pass_phrase = None;
                    if let Some(index) = wanted.pass_phrase {
                        let read = secret(index)?.read(buffer).map_err(unreadable)?;
                        pass_phrase = Some(Zeroizing::new(trimmed(read.bytes()).to_vec()));
                    }
                    let pass_phrase = pass_phrase.as_ref().map(|it| it.as_slice());
                    let pem = secret(wanted.secret)?.read(buffer).map_err(unreadable)?;
                    let name = wanted.name;
                    let pem = pem.bytes();
                    let key = PrivateKey::read(wanted.kind, pem, pass_phrase, &wanted.public)
                        .map_err(|error| StartError::Key { name, error })?;
                    Some(Key::Tls(key, wanted.versions))
                }
            });
        }
        Ok(Listeners { keys, secrets })
    }

    /// What `with` makes of the key data of a listener; it is wiped afterwards. `None`: the
    /// listener has none.
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
        Some(match self.secret(data)? {
            Some(secret) => read(data, secret, buffer, with),
            None => Err(SecretError::Gone),
        })
    }

    /// Bytes of the keys of a listener.
    #[must_use]
    pub fn key_size(&self, listener: ListenerId) -> Option<u8> {
        Some(self.data(listener)?.key_size)
    }

    /// What signs the handshakes of a listener, if they are signed.
    #[must_use]
    pub fn private_key(&self, listener: ListenerId) -> Option<&PrivateKey> {
        match self.key(listener)? {
            Key::Tls(key, _) => Some(key),
            Key::Aes(_) => None,
        }
    }

    /// Of which versions handshakes of a listener are signed.
    #[must_use]
    pub fn versions(&self, listener: ListenerId) -> &[Version] {
        match self.key(listener) {
            Some(Key::Tls(_, versions)) => versions,
            Some(Key::Aes(_)) | None => &[],
        }
    }

    fn data(&self, listener: ListenerId) -> Option<&KeyData> {
        match self.key(listener)? {
            Key::Aes(data) => Some(data),
            Key::Tls(..) => None,
        }
    }

    fn key(&self, listener: ListenerId) -> Option<&Key> {
        self.keys.get(usize::from(listener.0))?.as_ref()
    }

    fn secret(&self, data: &KeyData) -> Option<Option<&SecretFile>> {
        self.secrets
            .get(usize::from(data.secret))
            .map(Option::as_ref)
    }

    /// Another file has taken the place of one with key data, or, with `None`, nothing that can be used.
    pub fn replace(&mut self, index: u16, file: Option<File>) {
        if let Some(secret) = self.secrets.get_mut(usize::from(index)) {
            *secret = file.map(SecretFile::new);
        }
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
    let bytes = match data.trim {
        // As the stock clients read their key files (protocol "Key data").
        true => trimmed(secret.bytes()),
        false => secret.bytes(),
    };
    if bytes.is_empty() {
        return Err(SecretError::Empty);
    }
    Ok(with(bytes))
}

/// Without the line ends around it.
fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b'\n'] | [b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
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
        let listeners = vec![None, Some(ListenerKey::Aes(data))];
        let mut buffer = Buffer::new().unwrap();
        Listeners::new(KeysSpec { listeners }, vec![file], &mut buffer, false)
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
            listeners: vec![Some(ListenerKey::Aes(data))],
        };
        let files = vec![tempfile::tempfile().unwrap()];
        let mut buffer = Buffer::new().unwrap();
        let error = Listeners::new(spec, files, &mut buffer, false).unwrap_err();
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
                listeners: vec![Some(ListenerKey::Aes(data))],
            };
            let copy = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(copy.path(), "key").unwrap();
            let mut buffer = Buffer::new().unwrap();
            let listeners =
                Listeners::new(spec, vec![copy.reopen().unwrap()], &mut buffer, false).unwrap();
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
