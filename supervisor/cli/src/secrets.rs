//! Secrets on their way to `auth`: opened or put into a sealed memfd here, never read again,
//! and wiped from where they were typed.

use crate::auth::{Module, OtpKey, What};
use crate::error::{Error, Result};
use crate::syntax::SECRET_OPTIONS;
use accounts::file::{HEADER, MAX_FILE, Passwords};
pub use files::MAX_SECRET;
use files::{Ids, Spot, check_len, check_owner, reason};
use ipc::spec::{FileIdentity, FileKind, NamedFile};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A secret in a descriptor, and what the user should know about it.
#[derive(Debug)]
pub struct Secret {
    /// Holds nothing but the secret.
    pub fd: OwnedFd,
    /// What to warn about.
    pub warnings: Vec<String>,
    /// It is the user's file, and not a copy of ours.
    pub in_place: bool,
    /// Its name, if another file that gets it is to count.
    pub named: Option<NamedFile>,
}

/// Puts bytes into memory that can only be read from now on.
///
/// # Errors
/// What the kernel says.
pub fn sealed(bytes: &[u8]) -> Result<OwnedFd> {
    sealed_with(|file| file.write_all(bytes))
}

/// Has the kernel copy a file into such memory; its bytes do not come into this process. What is
/// written into the file later does not count.
///
/// # Errors
/// It is longer than a secret may be, or what the kernel says.
pub fn sealed_copy(from: &File) -> Result<OwnedFd> {
    sealed_with(|file| {
        let len = io::copy(&mut from.take(MAX_SECRET + 1), file)?;
        check_len(len).map_err(io::Error::other)
    })
}

fn sealed_with(fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<OwnedFd> {
    let make = || -> io::Result<OwnedFd> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create(c"bulkhead", flags)?);
        fill(&mut file)?;
        let seals = SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        // The offset is shared by everybody who gets the descriptor.
        io::Seek::rewind(&mut file)?;
        Ok(OwnedFd::from(file))
    };
    make().map_err(|error| {
        Error::new(format!(
            "cannot make a sealed memory file: {}",
            reason(&error)
        ))
    })
}

/// Memory of a session's own, as a name of it that can only be opened: who has it and opens it holds a lock no
/// longer than it lives.
///
/// # Errors
/// What the kernel says.
pub fn memory() -> Result<OwnedFd> {
    let make = || -> io::Result<OwnedFd> {
        let memory = memfd_create(c"bulkhead", MFdFlags::MFD_CLOEXEC)?;
        let name = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        Ok(nix::fcntl::open(name.as_str(), flags, Mode::empty())?)
    };
    make().map_err(|error| Error::new(format!("cannot make a memory file: {}", reason(&error))))
}

/// Opens a password file. `user` is the session's in a start as root.
///
/// # Errors
/// It cannot be read, is empty or too long, or others own it or may write it.
pub fn file(path: &Path, user: Option<Ids>) -> Result<Secret> {
    open(path, user, Use::Decides(FileKind::Password))
}

/// Opens the password file of a client, which says who it is itself.
///
/// # Errors
/// See [`file`].
pub fn answer(path: &Path) -> Result<Secret> {
    open(path, None, Use::Answer)
}

/// Opens a key file. `user` is the session's in a start as root.
///
/// # Errors
/// It cannot be read, is empty or too long, or others may read or write it.
pub fn key_file(path: &Path, user: Option<Ids>) -> Result<Secret> {
    open(path, user, Use::Decides(FileKind::Key))
}

/// Opens a key file, and keeps what is in it now: whatever is done to the file later.
///
/// # Errors
/// See [`key_file`].
pub fn key_copy(path: &Path, user: Option<Ids>) -> Result<Secret> {
    let secret = key_file(path, user)?;
    if !secret.in_place {
        return Ok(secret);
    }
    let copy = sealed_copy(&File::from(secret.fd));
    Ok(Secret {
        fd: copy.map_err(|error| error.at(format!("key file {}", path.display())))?,
        in_place: false,
        named: None,
        warnings: secret.warnings,
    })
}

/// Where the system has the rules of tcp-wrappers.
pub const HOSTS_ALLOW: &str = "/etc/hosts.allow";
/// See [`HOSTS_ALLOW`].
pub const HOSTS_DENY: &str = "/etc/hosts.deny";

/// Opens a file of rules, which is no secret. `user` is the session's in a start as root.
///
/// # Errors
/// It cannot be read, is too long, or others may write it.
pub fn rule_file(path: &Path, user: Option<Ids>) -> Result<Secret> {
    open(path, user, Use::Decides(FileKind::Rules))
}

/// What is in a file of rules, or of users of certificates, now. It is read where it is: who has the descriptor
/// too reads all of it.
///
/// # Errors
/// What the kernel says.
pub fn contents(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(fd.try_clone()?);
    let mut bytes = vec![0; usize::try_from(MAX_SECRET).unwrap_or_default()];
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, len as u64)? {
            0 => break,
            count => len += count,
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// Opens a file of rules that need not be there.
///
/// # Errors
/// See [`rule_file`].
pub fn default_rule_file(path: &Path, user: Option<Ids>) -> Result<Secret> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Secret {
            fd: sealed(b"")?,
            warnings: vec![format!(
                "there is no {}: one that is made later does not count in this session",
                path.display()
            )],
            in_place: false,
            named: None,
        }),
        _ => rule_file(path, user),
    }
}

/// Opens a database of users, and tells how it keeps their passwords. `user` is the session's in a
/// start as root.
///
/// # Errors
/// It cannot be read, is none, or others may write it.
pub fn database(path: &Path, user: Option<Ids>) -> Result<(Secret, Passwords)> {
    let shown = path.display();
    let spot = Spot::new(path, user);
    let fail = |why: String| Error::new(format!("database {shown}: {why}{}", spot.rights()));
    let file = spot
        .act(|path| {
            File::options()
                .read(true)
                .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
                .open(path)
        })
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => fail(format!(
                "there is none: bulkhead passwd add USER --database {shown}"
            )),
            _ => fail(reason(&error)),
        })?;
    let meta = file.metadata().map_err(|error| fail(reason(&error)))?;
    if !meta.is_file() {
        return Err(fail("is no ordinary file".into()));
    }
    check_owner(path, &meta, user).map_err(fail)?;
    let mode = meta.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(fail(format!(
            "others may write it (mode {mode:o}): chmod 600 {shown}"
        )));
    }
    if meta.len() > MAX_FILE {
        return Err(fail(format!("is larger than {} MiB", MAX_FILE >> 20)));
    }
    let mut header = Vec::with_capacity(HEADER);
    (&file)
        .take(HEADER as u64)
        .read_to_end(&mut header)
        .map_err(|error| fail(reason(&error)))?;
    let passwords = accounts::file::passwords(&header).map_err(|why| fail(why.to_string()))?;
    let real = spot.act(|path| own_database(path, user));
    let real = real.map_err(|error| fail(reason(&error)))?;
    if is_half_written(&real, user).map_err(|error| fail(reason(&error)))? {
        return Err(fail(format!(
            "somebody writes it, or was killed while writing: bulkhead passwd list --database {shown} puts it right"
        )));
    }
    // Who may read it may also lock it, and keep others from changing it.
    if mode & 0o044 != 0 {
        return Err(fail(format!(
            "others may read it (mode {mode:o}): chmod 600 {shown}"
        )));
    }
    let secret = Secret {
        fd: OwnedFd::from(file),
        warnings: Vec::new(),
        in_place: true,
        named: None,
    };
    Ok((secret, passwords))
}

/// Where a database is that nobody else can put an older one, or somebody else's, in the place of.
fn own_database(path: &Path, user: Option<Ids>) -> io::Result<PathBuf> {
    let own = user.map_or_else(|| nix::unistd::geteuid().as_raw(), |user| user.uid);
    let real = files::own_path(&std::path::absolute(path)?, own)?;
    files::check_own(real.parent().unwrap_or(Path::new("/")), own)?;
    Ok(real)
}

/// Is there a journal beside a database with what was there before a change? One that was done with
/// may be left, and begins with zeros then (sqlite.org/fileformat2.html, section 3).
fn is_half_written(path: &Path, user: Option<Ids>) -> io::Result<bool> {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    let journal = Spot::new(Path::new(&journal), user);
    let mut first = [0];
    let read = journal.act(|path| files::ordinary(path)?.read(&mut first));
    match read {
        Ok(len) => Ok(len > 0 && first != [0]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io::Error::other(format!(
            "{}: {}",
            journal.path.display(),
            reason(&error)
        ))),
    }
}

/// Opens the secret of a module that has one.
///
/// # Errors
/// It cannot be read, is empty or too long; or the module has none.
pub fn of_module(module: &Module, user: Option<Ids>) -> Result<Secret> {
    match &module.what {
        What::File { filename } => file(filename, user),
        What::Env { name } => Ok(Secret {
            fd: variable("auth=env", name)?,
            warnings: Vec::new(),
            in_place: false,
            named: None,
        }),
        What::Password { value } => Ok(Secret {
            fd: literal("auth=password", value)?,
            warnings: vec![
                "auth=password: a password on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; use auth=file or auth=env".into(),
            ],
            in_place: false,
            named: None,
        }),
        What::Capability { value, .. } => Ok(Secret {
            fd: literal("auth=capability", value)?,
            warnings: Vec::new(),
            in_place: false,
            named: None,
        }),
        What::HttpHeader(header) => Ok(Secret {
            fd: literal("auth=http-header", &header.value)?,
            warnings: match header.is_usual() {
                true => Vec::new(),
                false => vec![
                    "auth=http-header: a value on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; what keeps clients out is the proxy's address".into(),
                ],
            },
            in_place: false,
            named: None,
        }),
        What::MultiFile { filename } => open(filename, user, Use::Decides(FileKind::Users)),
        What::Otp {
            key: OtpKey::File(filename),
            ..
        } => open(filename, user, Use::Decides(FileKind::Key)),
        What::Otp {
            key: OtpKey::Value(value),
            ..
        } => Ok(Secret {
            fd: literal("auth=otp", value)?,
            warnings: vec![
                "auth=otp: a key on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; use filename=".into(),
            ],
            in_place: false,
            named: None,
        }),
        _ => Err(Error::new(format!("auth={} has no secret", module.name()))),
    }
}

/// What a file of a person's is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It decides who is let in.
    Decides(FileKind),
    /// It is what a client sends: whoever can change it gains nothing.
    Answer,
}

fn open(path: &Path, user: Option<Ids>, what: Use) -> Result<Secret> {
    let shown = path.display();
    let kind = match what {
        Use::Decides(kind) => kind,
        Use::Answer => FileKind::Password,
    };
    let spot = Spot::of_existing(path, user);
    let fail = |why: String| {
        let noun = files::noun(kind);
        Error::new(format!("{noun} {shown}: {why}{}", spot.rights()))
    };
    // A person may hand a pipe over; another user's is not waited for.
    let pipes = spot.user.is_none();
    let wait = if pipes { 0 } else { libc::O_NONBLOCK };
    let file = spot
        .act(|path| {
            File::options()
                .read(true)
                .custom_flags(libc::O_NOCTTY | wait)
                .open(path)
        })
        .map_err(|error| fail(reason(&error)))?;
    let meta = file.metadata().map_err(|error| fail(reason(&error)))?;
    if meta.is_dir() {
        return Err(fail("is a directory".into()));
    }
    if !meta.is_file() && !pipes {
        return Err(fail("is no ordinary file".into()));
    }
    if what != Use::Answer {
        check_owner(path, &meta, user).map_err(fail)?;
    }
    // Line ends around a key do not count.
    let line_end = |ends: bool| match kind {
        FileKind::Password => newline(&shown, ends),
        FileKind::Users | FileKind::Key | FileKind::Rules | FileKind::Authorities => Vec::new(),
    };
    if !meta.is_file() {
        // A pipe can be read once: keep what came.
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_SECRET + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fail(reason(&error)))?;
        check_len(bytes.len() as u64).map_err(fail)?;
        return Ok(Secret {
            fd: sealed(&bytes)?,
            warnings: line_end(bytes.ends_with(b"\n")),
            in_place: false,
            named: None,
        });
    }
    files::check_file(path, &meta, kind).map_err(fail)?;
    let mut warnings = Vec::new();
    if meta.mode() & 0o044 != 0 && kind != FileKind::Rules {
        warnings.push(format!(
            "password file {shown}: others may read it (mode {:o}): chmod 600 {shown}",
            meta.mode() & 0o777
        ));
    }
    if kind == FileKind::Password {
        let mut last = [0_u8];
        file.read_exact_at(&mut last, meta.len() - 1)
            .map_err(|error| fail(reason(&error)))?;
        warnings.extend(line_end(last == *b"\n"));
        last.zeroize();
    }
    // To the launcher it would be another descriptor.
    let named = match files::is_of_a_process(path) {
        true => None,
        false => {
            let named = named(path, kind, files::identity(&meta));
            Some(named.map_err(|error| fail(reason(&error)))?)
        }
    };
    Ok(Secret {
        fd: OwnedFd::from(file),
        warnings,
        in_place: true,
        named,
    })
}

/// What is to be known of a file to see that another one has its name.
///
/// # Errors
/// There is no current directory.
pub fn named(path: &Path, kind: FileKind, identity: FileIdentity) -> io::Result<NamedFile> {
    let path = std::path::absolute(path)?;
    Ok(NamedFile {
        path,
        kind,
        identity,
    })
}

fn newline(shown: &dyn std::fmt::Display, ends: bool) -> Vec<String> {
    match ends {
        true => vec![format!(
            "password file {shown}: the line end at its end is part of the password; write it with printf %s"
        )],
        false => Vec::new(),
    }
}

/// Takes a secret from an environment variable. `place`: who wants it, for messages.
///
/// # Errors
/// It is not set, empty or too long.
pub fn variable(place: &str, name: &str) -> Result<OwnedFd> {
    let value = std::env::var_os(name)
        .map(|value| Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value)))
        .ok_or_else(|| Error::new(format!("{place}: the variable {name} is not set")))?;
    check_len(value.len() as u64)
        .map_err(|why| Error::new(format!("{place}: the variable {name} {why}")))?;
    sealed(&value)
}

/// Takes a secret from the command line. `place`: who wants it, for messages.
///
/// # Errors
/// It is empty or too long.
pub fn literal(place: &str, value: &str) -> Result<OwnedFd> {
    check_len(value.len() as u64).map_err(|why| Error::new(format!("{place}: the value {why}")))?;
    sealed(value.as_bytes())
}

/// Is this a variable that holds a secret by its name?
#[must_use]
pub fn is_secret_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    (name.starts_with("XPRA_") || name.starts_with("BULKHEAD_"))
        && ["PASS", "SECRET", "KEY", "TOKEN"]
            .iter()
            .any(|part| name.contains(part))
}

/// Overwrites, in this process's own command line and environment as others see them in `/proc`,
/// the values of secret options and those of the named variables. Best effort: the memory is ours,
/// but a kernel may not offer `/proc/self/mem`.
pub fn scrub(variables: &[String]) {
    let _ = try_scrub(variables);
}

fn try_scrub(variables: &[String]) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // After the command's name in parentheses comes field 3; proc(5) counts from 1.
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let address = |field: usize| -> io::Result<u64> {
        fields
            .get(field - 3)
            .and_then(|f| f.trim().parse().ok())
            .ok_or_else(|| Errno::EINVAL.into())
    };
    let memory = File::options()
        .read(true)
        .write(true)
        .open("/proc/self/mem")?;
    for (start, end, environment) in [
        (address(48)?, address(49)?, false),
        (address(50)?, address(51)?, true),
    ] {
        let Some(len) = end
            .checked_sub(start)
            .and_then(|len| usize::try_from(len).ok())
        else {
            continue;
        };
        let mut bytes = Zeroizing::new(vec![0_u8; len]);
        memory.read_exact_at(&mut bytes, start)?;
        let wiped = match environment {
            true => wipe_variables(&bytes, variables),
            false => wipe_values(&bytes),
        };
        if !bool::from(wiped.ct_eq(&bytes)) {
            memory.write_all_at(&wiped, start)?;
        }
    }
    Ok(())
}

fn wipe_values(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(bytes.to_vec());
    for key in SECRET_OPTIONS {
        let mut at = 0;
        while let Some(found) = out[at..]
            .windows(key.len())
            .position(|window| window == key.as_bytes())
        {
            let start = at + found + key.len();
            let end = out[start..]
                .iter()
                .position(|b| *b == 0)
                .map_or(out.len(), |len| start + len);
            out[start..end].fill(b'*');
            at = end;
        }
    }
    out
}

fn wipe_variables(bytes: &[u8], variables: &[String]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(bytes.to_vec());
    for entry in out.split_mut(|byte| *byte == 0) {
        let Some(equals) = entry.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let name = String::from_utf8_lossy(&entry[..equals]).into_owned();
        if is_secret_variable(&name) || variables.contains(&name) {
            entry[equals + 1..].fill(b'*');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn write(mode: u32, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password.txt");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn content(fd: OwnedFd) -> Vec<u8> {
        let mut bytes = Vec::new();
        File::from(fd).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_sealed_file_can_only_be_read() {
        let fd = sealed(b"secret").unwrap();
        let file = File::from(fd);
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert_eq!(content(OwnedFd::from(file)), b"secret");
    }

    #[test]
    fn password_files_are_checked() {
        let (_dir, path) = write(0o600, b"secret");
        let secret = file(&path, None).unwrap();
        assert_eq!(
            (secret.warnings, content(secret.fd)),
            (vec![], b"secret".to_vec())
        );
        let (_dir, path) = write(0o644, b"secret\n");
        let secret = file(&path, None).unwrap();
        assert!(secret.warnings[0].contains("others may read it (mode 644)"));
        assert!(secret.warnings[1].contains("part of the password"));
        for (mode, bytes, part) in [
            (0o666, &b"x"[..], "others may write it"),
            (0o600, b"", "is empty"),
            (0o600, &[0; 70_000], "longer than 65536"),
        ] {
            let (_dir, path) = write(mode, bytes);
            let error = file(&path, None).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("password.txt"),
                "{error}"
            );
        }
        if needs::root("give a file to somebody else") {
            let (_dir, path) = write(0o600, b"secret\n");
            let somebody = Ids {
                uid: 65534,
                gid: 65534,
            };
            let chown = |uid: u32| nix::unistd::chown(&path, Some(uid.into()), None).unwrap();
            // Root's is everybody's, and what is the session's user's is that one's only.
            assert!(key_file(&path, None).is_ok());
            chown(somebody.uid);
            std::fs::set_permissions(_dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
            assert!(key_file(&path, Some(somebody)).is_ok() && answer(&path).is_ok());
            for open in [file, key_file, rule_file] {
                let error = open(&path, None).unwrap_err().to_string();
                let part =
                    "password.txt: belongs to the user 65534, who could change it: chown 0 /";
                assert!(error.contains(part), "{error}");
            }
            chown(65533);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let error = file(&path, Some(somebody)).unwrap_err().to_string();
            assert!(error.contains("chown 65534 /"), "{error}");
        }
        // Others may not even read a key, and line ends around it do not count.
        let (_dir, path) = write(0o600, b"key\n");
        assert_eq!(key_file(&path, None).unwrap().warnings, [""; 0]);
        for (mode, bytes, part) in [
            (0o640, &b"x"[..], "others may read it"),
            (0o604, b"x", "others may read it"),
            (0o620, b"x", "others may write it"),
            (0o600, b"", "is empty"),
        ] {
            let (_dir, path) = write(mode, bytes);
            let error = key_file(&path, None).unwrap_err().to_string();
            assert!(
                error.starts_with("key file /") && error.contains(part),
                "{error}"
            );
        }
        let error = file(Path::new("/nonexistent/p"), None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "password file /nonexistent/p: no such file or directory"
        );
        assert!(
            file(Path::new("/proc"), None)
                .unwrap_err()
                .to_string()
                .contains("is a directory")
        );
    }

    #[test]
    fn values_and_variables_are_wiped_and_nothing_else() {
        let line =
            b"bulkhead\0--bind-tcp=:1,auth=password,value=secret,stop=no\0password(value=x)\0";
        let wiped = wipe_values(line);
        assert_eq!(
            wiped.as_slice(),
            b"bulkhead\0--bind-tcp=:1,auth=password,value=**************\0password(value=**\0"
        );
        let env = b"HOME=/root\0XPRA_PASSWORD=abc\0OTHER=q=r\0PATH=/bin\0";
        let wiped = wipe_variables(env, &["OTHER".into()]);
        assert_eq!(
            wiped.as_slice(),
            b"HOME=/root\0XPRA_PASSWORD=***\0OTHER=***\0PATH=/bin\0"
        );
    }

    /// To another process that is another file.
    #[test]
    fn a_descriptor_s_name_is_not_looked_at_again() {
        let (_tmp, path) = write(0o600, b"secret");
        assert!(file(&path, None).unwrap().named.is_some());
        let open = File::open(&path).unwrap();
        let passed = PathBuf::from(format!("/dev/fd/{}", open.as_raw_fd()));
        let passed = file(&passed, None).unwrap();
        assert_eq!((passed.named, passed.in_place), (None, true));
    }

    #[test]
    fn variables_with_secrets_are_known_by_name() {
        assert!(is_secret_variable("XPRA_PASSWORD"));
        assert!(is_secret_variable("XPRA_KEYCLOAK_CLIENT_SECRET_KEY"));
        assert!(!is_secret_variable("XPRA_SOCKET_HOSTNAME"));
        assert!(!is_secret_variable("PATH"));
    }
}
