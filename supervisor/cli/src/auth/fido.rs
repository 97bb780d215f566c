//! `auth=u2f` and `auth=fido2`: which security keys are known, and for what they were registered.

use crate::auth::Options;
use crate::error::{Error, Result, reason};
use crate::session::Owner;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use files::{Ids, Spot};
use ipc::spec::Fido as Protocol;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What keys are registered for when nobody says (protocol "Modules").
const APP_ID: &str = "Xpra";
/// Longest `app_id=` and `origin=`, in bytes.
const MAX_TEXT: usize = 256;
/// Most keys of one module.
const MAX_KEYS: usize = 16;
/// Longest file of a key, in bytes.
const MAX_FILE: u64 = 4096;

/// Which security keys let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Fido {
    /// By which name the client knows that a key is meant.
    pub protocol: Protocol,
    /// What the keys were registered for.
    pub app_id: String,
    /// What the client has to call its origin, if that matters.
    pub origin: Option<String>,
    /// The key has to know who touched it.
    pub verify: bool,
    /// Where the public keys are.
    pub keys: Keys,
}

/// Where public keys are.
#[derive(Clone, PartialEq, Eq)]
pub enum Keys {
    /// On the command line.
    Value(Point),
    /// In one file, a line for each.
    File(PathBuf),
    /// In all files of that kind in the directories of the session's user.
    Directories,
}

/// The options of `u2f`.
pub const U2F: &[&str] = &["app_id", "origin", "public_key", "public-key-file"];
/// The options of `fido2`.
pub const FIDO2: &[&str] = &[
    "app_id",
    "origin",
    "public_key",
    "public-key-file",
    "verify",
];

impl Fido {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn read(options: &mut Options<'_>, protocol: Protocol) -> Result<Self> {
        let mut text = |key| match options.take(key) {
            Some(text)
                if text.is_empty() || text.len() > MAX_TEXT || text.contains(char::is_control) =>
            {
                let allowed = format!("printable texts of 1 to {MAX_TEXT} bytes");
                Err(options.wrong(key, "…", &allowed))
            }
            text => Ok(text),
        };
        let (app_id, origin) = (text("app_id")?, text("origin")?);
        let keys = match (options.take("public_key"), options.take("public-key-file")) {
            (Some(_), Some(_)) => {
                return Err(Error::usage(format!(
                    "auth={}: either `public_key=` or `public-key-file=`",
                    name(protocol)
                )));
            }
            (Some(text), None) => Keys::Value(Point::from_hex(text.as_bytes()).map_err(|why| {
                Error::usage(format!("auth={}: public_key= {why}", name(protocol)))
            })?),
            (None, Some(path)) if path.is_empty() => {
                return Err(options.wrong("public-key-file", "", "names of files"));
            }
            (None, Some(path)) => Keys::File(path.into()),
            (None, None) => Keys::Directories,
        };
        Ok(Self {
            protocol,
            app_id: app_id.unwrap_or_else(|| APP_ID.to_owned()),
            origin,
            verify: options.flag("verify", false)?,
            keys,
        })
    }

    /// The public keys, each with where it is from, in the order of the names of their files.
    ///
    /// # Errors
    /// There is none; or a file cannot be read, is none of a key, or others can change it.
    pub fn public_keys(&self, owner: &Owner) -> Result<Vec<(String, Point)>> {
        let module = name(self.protocol);
        let found = match &self.keys {
            Keys::Value(point) => Ok(vec![("public_key=".to_owned(), point.clone())]),
            Keys::File(path) => read(path, owner.user.uid, owner.ids()),
            // Root has not named them, and the session's programs can write there.
            Keys::Directories if owner.switch.is_some() => Err(Error::usage(
                "in a session that root starts, say whose keys: public-key-file= or public_key=; every program of the session could put one into its user's directories",
            )),
            Keys::Directories => {
                let directories = directories(&owner.user.home);
                let found = find(&directories, module, owner.user.uid)?;
                match found.is_empty() {
                    true => Err(no_key(module, &directories)),
                    false => Ok(found),
                }
            }
        };
        let mut keys = found.map_err(|error| error.at(format!("auth={module}")))?;
        if keys.len() > MAX_KEYS {
            return Err(Error::usage(format!(
                "auth={module}: there are more than {MAX_KEYS} keys"
            )));
        }
        // The same key in two files is one.
        let mut known = Vec::new();
        keys.retain(|(_, point)| {
            let new = !known.contains(point);
            known.push(point.clone());
            new
        });
        Ok(keys)
    }
}

fn no_key(module: &str, directories: &[PathBuf]) -> Error {
    let names: Vec<_> = directories
        .iter()
        .map(|it| it.display().to_string())
        .collect();
    Error::new(format!(
        "there is no key: no file {module}*{SUFFIX} in {}; `bulkhead {module} FILE` makes one of what the key's registration gave, or say public_key= or public-key-file=",
        names.join(", ")
    ))
}

/// The keys in the files of a module in these directories, which need not be there. `own`: whose they
/// have to be, if not root's.
fn find(directories: &[PathBuf], module: &str, own: u32) -> Result<Vec<(String, Point)>> {
    let mut keys = Vec::new();
    for directory in directories {
        let fail = |error: io::Error| {
            Error::new(format!(
                "directory {}: {}",
                directory.display(),
                reason(&error)
            ))
        };
        match files::check_own(directory, own) {
            Ok(_) => {}
            Err(error)
                if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory]
                    .contains(&error.kind()) =>
            {
                continue;
            }
            Err(error) => return Err(fail(error)),
        }
        let names = directory.read_dir().map_err(fail)?;
        let names = names.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>().map_err(fail)?;
        names.retain(|file| {
            let file = file.as_bytes();
            file.starts_with(module.as_bytes()) && file.ends_with(SUFFIX.as_bytes())
        });
        names.sort();
        for file in names.into_iter().take(MAX_KEYS + 1) {
            keys.extend(read(&directory.join(file), own, None)?);
        }
    }
    Ok(keys)
}

/// How the name of a file with a public key ends; it begins with that of the module.
pub const SUFFIX: &str = "-pub.hex";

/// The name of a module.
#[must_use]
pub fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::U2f => "u2f",
        Protocol::Fido2 => "fido2",
    }
}

/// Where the files of keys of a user are, who is the one that asks; those of Xpra's are there too.
#[must_use]
pub fn directories(home: &Path) -> [PathBuf; 3] {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|directory| directory.is_absolute())
        .unwrap_or_else(|| home.join(".config"));
    [
        config.join("bulkhead"),
        config.join("xpra"),
        home.join(".xpra"),
    ]
}

/// Reads the public keys in a file, one in a line. No secrets, but whoever can change it, or put another in
/// its place, decides who is let in: nobody but root and `own` may. `user` is the session's in a start as
/// root.
fn read(path: &Path, own: u32, user: Option<Ids>) -> Result<Vec<(String, Point)>> {
    let shown = path.display();
    let spot = Spot::new(path, user);
    let text = spot.act(|path| own_text(path, own)).map_err(|error| {
        Error::new(format!("file {shown}: {}{}", reason(&error), spot.rights()))
    })?;
    let lines = text.trim_ascii().split(|byte| *byte == b'\n');
    lines
        .enumerate()
        .map(|(number, line)| match Point::from_hex(line) {
            Ok(point) if number == 0 => Ok((shown.to_string(), point)),
            Ok(point) => Ok((format!("{shown}, line {}", number + 1), point)),
            Err(why) => Err(Error::new(format!(
                "file {shown}, line {}: {why}",
                number + 1
            ))),
        })
        .collect()
}

/// What an ordinary file holds that only root and `own` can change.
///
/// # Errors
/// What others could change, and what to do; or what the kernel says.
pub fn own_text(path: &Path, own: u32) -> io::Result<Vec<u8>> {
    let real = files::own_path(&std::path::absolute(path)?, own)?;
    files::check_own(real.parent().unwrap_or(Path::new("/")), own)?;
    let file = files::ordinary(&real)?;
    let meta = file.metadata()?;
    if ![0, own].contains(&meta.uid()) {
        return Err(io::Error::other(format!(
            "belongs to the user {}, who could change it: chown {own} it",
            meta.uid()
        )));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!(
            "others may write it (mode {:o}): chmod go-w it",
            meta.mode() & 0o777
        )));
    }
    // The kernel's own files say that they are empty, and hold what somebody has put there.
    if meta.len() == 0 || meta.len() > MAX_FILE {
        return Err(io::Error::other(format!(
            "is empty or longer than {MAX_FILE} bytes"
        )));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}

/// The public key of a security key: a point of P-256 (SEC 1 section 2.3.3, without compression).
#[derive(Clone, PartialEq, Eq)]
pub struct Point([u8; POINT]);

/// Bytes of a point.
const POINT: usize = 65;
/// What stands in front of a point in an X.509 public key (RFC 5480).
const X509: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why something is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Other characters, or an odd number.
    #[error("is not hexadecimal")]
    NotHex,
    /// Another length, curve or form.
    #[error("is no public key of P-256 (65 bytes that begin with 04, or 91 as X.509 has it)")]
    Form,
    /// Nobody has the private key.
    #[error("is no point of the curve P-256")]
    Point,
}

impl Point {
    /// From bytes, alone or as X.509 has them.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, BadKey> {
        let bytes = bytes.strip_prefix(&X509).unwrap_or(bytes);
        let point: [u8; POINT] = bytes.try_into().map_err(|_| BadKey::Form)?;
        if point.first() != Some(&4) {
            return Err(BadKey::Form);
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| BadKey::Point)?;
        Ok(Self(point))
    }

    /// From the same in hexadecimal, with white space around it.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_hex(text: &[u8]) -> std::result::Result<Self, BadKey> {
        Self::from_bytes(&hex(text.trim_ascii()).ok_or(BadKey::NotHex)?)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes that a text in hexadecimal means.
#[must_use]
pub fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    pairs.iter().map(byte).collect()
}

/// The other way round.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn new_key() -> String {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        to_hex(pair.public_key().as_ref())
    }

    fn me() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Two directories, of which the first is not there.
    fn place() -> (tempfile::TempDir, [PathBuf; 2]) {
        let place = tempfile::tempdir().unwrap();
        let keys = place.path().join("keys");
        fs::create_dir(&keys).unwrap();
        mode(&keys, 0o755);
        let directories = [place.path().join("missing"), keys];
        (place, directories)
    }

    fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        mode(&path, 0o644);
        path
    }

    #[test]
    fn every_file_of_the_kind_is_found_in_order() {
        let (_place, directories) = place();
        let keys = &directories[1];
        let texts = [new_key(), new_key(), new_key()];
        write(
            keys,
            "u2f-pub.hex",
            &format!("{}\r\n{}\n", texts[1], texts[2]),
        );
        write(keys, "u2f-ann-pub.hex", &texts[0]);
        for other in [
            "fido2-pub.hex",
            "u2f-keyhandle.hex",
            "u2f-pub.hex.bak",
            "xu2f-pub.hex",
        ] {
            write(keys, other, "rubbish");
        }
        let found = find(&directories, "u2f", me()).ok().unwrap();
        let points: Vec<_> = found
            .iter()
            .map(|(_, point)| to_hex(point.bytes()))
            .collect();
        assert_eq!(points, texts);
        let names: Vec<_> = found
            .iter()
            .map(|(name, _)| name.rsplit('/').next())
            .collect();
        let expected = ["u2f-ann-pub.hex", "u2f-pub.hex", "u2f-pub.hex, line 2"];
        assert_eq!(names, expected.map(Some));
        assert!(
            find(&directories[..1], "u2f", me())
                .ok()
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_somebody_else_could_have_put_there_is_refused() {
        let refused = |spoil: &dyn Fn(&Path), part: &str| {
            let (_place, directories) = place();
            write(&directories[1], "u2f-pub.hex", &new_key());
            spoil(&directories[1]);
            let error = find(&directories, "u2f", me())
                .err()
                .expect(part)
                .to_string();
            assert!(error.contains(part), "{part}: {error}");
        };
        refused(&|keys| mode(keys, 0o777), "others may write");
        refused(
            &|keys| mode(keys.parent().unwrap(), 0o777),
            "others may write",
        );
        refused(
            &|keys| mode(&keys.join("u2f-pub.hex"), 0o666),
            "others may write it",
        );
        refused(&|keys| _ = write(keys, "u2f-x-pub.hex", ""), "is empty");
        refused(
            &|keys| _ = write(keys, "u2f-x-pub.hex", "04"),
            "line 1: is no public key",
        );
        refused(
            &|keys| _ = write(keys, "u2f-x-pub.hex", &format!("{}\nx", new_key())),
            "line 2: is not hexadecimal",
        );
        // The kernel's file belongs to whoever it is about, and says that it is empty.
        refused(
            &|keys| symlink("/proc/self/cmdline", keys.join("u2f-x-pub.hex")).unwrap(),
            "",
        );
        refused(
            &|keys| {
                let fifo = keys.join("u2f-x-pub.hex");
                nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            "",
        );
        refused(
            &|keys| {
                let elsewhere = keys.parent().unwrap().join("open");
                fs::create_dir(&elsewhere).unwrap();
                let file = write(&elsewhere, "key", &new_key());
                mode(&elsewhere, 0o777);
                symlink(file, keys.join("u2f-x-pub.hex")).unwrap();
            },
            "others may write",
        );
        if me() == 0 {
            let nobody = nix::unistd::Uid::from_raw(65534);
            let give = |path: &Path| nix::unistd::chown(path, Some(nobody), None).unwrap();
            refused(&|keys| give(keys), "belongs to the user 65534");
            refused(
                &|keys| give(&keys.join("u2f-pub.hex")),
                "belongs to the user 65534",
            );
        }
    }
}
