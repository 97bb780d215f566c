//! A service: its file, with what it includes.

use crate::line::{self, Kind, Line, MAX_FILE, Malformed};
use crate::modules;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the system's services are.
pub const SYSTEM: &str = "/etc/pam.d";
/// So deep files may include each other; PAM's own limit is 32.
const MAX_DEPTH: usize = 16;
/// Most lines of a service, with those that are included.
const MAX_LINES: usize = 512;
/// Nobody's service: PAM takes its lines where a service has none of a kind.
const DEFAULT: &str = "other";

/// Why a service cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a name.
    #[error(
        "`{0}` is no name of a service: small letters, digits, `-`, `_` and `.` make one, and `other` is everybody's"
    )]
    Name(String),
    /// There is no such file, or it cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// Others may change it.
    #[error(
        "{0}: others can write into it, or it is somebody else's file: chown it to root and chmod go-w"
    )]
    Writable(PathBuf),
    /// It is too long.
    #[error("{0}: longer than {MAX_FILE} bytes")]
    Long(PathBuf),
    /// Not text as PAM reads it.
    #[error("{0}: {1}")]
    Line(PathBuf, Malformed),
    /// Files include each other.
    #[error("{0}: includes are nested too deeply, or there are more than {MAX_LINES} lines")]
    Deep(PathBuf),
    /// A kind of question to which nobody would answer, but the service `other`.
    #[error("has no `{0}` line")]
    None(Kind),
    /// It says who is let in without anybody's password.
    #[error("has no `auth` line with a module that asks for a password ({0})")]
    Open(String),
    /// A module that is not let in.
    #[error(
        "`{0} {1}` cannot be asked from a process that may only read a few files; there are {2}"
    )]
    Module(Kind, String, String),
    /// An argument of a module.
    #[error("`{0} {1}`: {2}")]
    Argument(String, String, &'static str),
    /// A file of an argument.
    #[error("`{0} {1}`: the file needs its whole path, beginning with /")]
    Relative(String, String),
}

/// A service that can be asked.
#[derive(Debug)]
pub struct Service {
    /// It reads the passwords of the system's users.
    pub shadow: bool,
    /// The files that it is read from: its own and those that are included.
    pub sources: Vec<PathBuf>,
    /// Other files that its modules read.
    pub files: Vec<PathBuf>,
    /// Its modules, each once.
    pub modules: Vec<&'static str>,
}

impl Service {
    /// Reads a service, and whether it can be asked. Its files are root's or `owner`'s; where owners
    /// cannot be told (in a user namespace), there is none.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn read(
        directory: &Path,
        service: &str,
        session: bool,
        owner: Option<u32>,
    ) -> Result<Self, Error> {
        // PAM makes them lower case.
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        let begins = service.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || service.len() > 64 || !service.chars().all(is_name) || service == DEFAULT {
            return Err(Error::Name(service.to_owned()));
        }
        let mut reader = Reader {
            directory,
            owner,
            modules: Vec::new(),
            sources: Vec::new(),
        };
        reader.file(service, None, 0)?;
        let kinds = [Kind::Auth, Kind::Account, Kind::Session];
        let asked = &kinds[..if session { 3 } else { 2 }];
        let service = check(&reader.modules, asked)?;
        Ok(Self {
            sources: reader.sources,
            ..service
        })
    }
}

type Asked = (Kind, String, Vec<String>);

struct Reader<'d> {
    directory: &'d Path,
    owner: Option<u32>,
    modules: Vec<Asked>,
    sources: Vec<PathBuf>,
}

impl Reader<'_> {
    /// The lines of a file, of one kind or of all.
    fn file(&mut self, name: &str, only: Option<Kind>, depth: usize) -> Result<(), Error> {
        // As PAM finds it; a path stays one.
        let path = self.directory.join(name);
        if depth > MAX_DEPTH {
            return Err(Error::Deep(path));
        }
        let text = self.text(&path)?;
        self.sources.push(path.clone());
        let lines = line::lines(&text).map_err(|error| Error::Line(path.clone(), error))?;
        let wanted = |kind: Kind| only.is_none_or(|only| only == kind);
        for line in lines {
            match line {
                Line::IncludeAll(file) => self.file(&file, only, depth + 1)?,
                Line::Include(kind, file) if wanted(kind) => {
                    self.file(&file, Some(kind), depth + 1)?;
                }
                Line::Module {
                    kind,
                    module,
                    arguments,
                } if wanted(kind) => self.modules.push((kind, module, arguments)),
                Line::Include(..) | Line::Module { .. } => {}
            }
            if self.modules.len() > MAX_LINES {
                return Err(Error::Deep(path));
            }
        }
        Ok(())
    }

    fn text(&self, path: &Path) -> Result<String, Error> {
        let failed = |error| Error::File(path.to_owned(), error);
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        let known = |owner| about.uid() == 0 || about.uid() == owner;
        let known = self.owner.is_none_or(known);
        if !known || about.mode() & 0o022 != 0 {
            return Err(Error::Writable(path.to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() > MAX_FILE {
            return Err(Error::Long(path.to_owned()));
        }
        String::from_utf8(bytes).map_err(|_| failed(io::ErrorKind::InvalidData.into()))
    }
}

fn check(lines: &[Asked], kinds: &[Kind]) -> Result<Service, Error> {
    let mut service = Service {
        shadow: false,
        sources: Vec::new(),
        files: Vec::new(),
        modules: Vec::new(),
    };
    let mut decides = false;
    for kind in kinds {
        if !lines.iter().any(|(of, ..)| of == kind) {
            return Err(Error::None(*kind));
        }
    }
    for (kind, name, arguments) in lines.iter().filter(|(kind, ..)| kinds.contains(kind)) {
        let module = modules::find(name)
            .filter(|module| module.kinds.contains(kind))
            .ok_or_else(|| Error::Module(*kind, name.clone(), known(*kind)))?;
        for argument in arguments {
            // Modules compare beginnings, and some do not look at the case.
            let small = argument.to_ascii_lowercase();
            let mut refused = module.refused.iter();
            let refused = refused.find(|(word, _)| small.starts_with(word));
            if let Some((_, why)) = refused {
                return Err(Error::Argument(name.clone(), argument.clone(), why));
            }
            let Some((key, path)) = argument.split_once('=') else {
                continue;
            };
            if module.files.contains(&key) {
                if !path.starts_with('/') {
                    return Err(Error::Relative(name.clone(), argument.clone()));
                }
                service.files.push(path.into());
            }
        }
        service.shadow |= module.shadow;
        decides |= *kind == Kind::Auth && module.decides;
        if !service.modules.contains(&module.name) {
            service.modules.push(module.name);
        }
    }
    if !decides {
        let decide = modules::TABLE.iter().filter(|module| module.decides);
        let names: Vec<_> = decide.map(|module| module.name).collect();
        return Err(Error::Open(names.join(", ")));
    }
    Ok(service)
}

/// The modules that can be asked in lines of a kind.
fn known(kind: Kind) -> String {
    let known = modules::TABLE
        .iter()
        .filter(|module| module.kinds.contains(&kind));
    let names: Vec<_> = known.map(|module| module.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn uid() -> u32 {
        fs::metadata("/proc/self").unwrap().uid()
    }

    fn read(files: &[(&str, &str)], session: bool) -> Result<Service, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        }
        Service::read(directory.path(), "x", session, Some(uid()))
            .map_err(|error| error.to_string())
    }

    const UNIX: &str = "auth required pam_unix.so\naccount required pam_unix.so\n";

    #[test]
    fn a_service_that_can_be_asked() {
        let service = read(&[("x", UNIX)], false).unwrap();
        assert!(service.shadow && service.files.is_empty());
        assert_eq!(service.modules, ["pam_unix.so"]);
        // As Debian's services are made; what is not asked is not looked at.
        let service = read(
            &[
                (
                    "x",
                    "auth requisite pam_nologin.so\nsession required pam_loginuid.so\n@include a\n\
                     account include b\npassword required pam_cracklib.so\n",
                ),
                (
                    "a",
                    "auth [success=1 default=ignore] pam_pwdfile.so pwdfile=/a/b\n",
                ),
                (
                    "b",
                    "account required pam_permit.so\nauth required pam_rootok.so\n",
                ),
            ],
            false,
        )
        .unwrap();
        assert!(!service.shadow);
        assert_eq!(service.files, [Path::new("/a/b")]);
    }

    #[test]
    fn what_could_say_yes_to_everybody_is_refused() {
        for (text, part) in [
            ("", "no `auth` line"),
            ("auth required pam_unix.so\n", "no `account` line"),
            ("account required pam_unix.so\n", "no `auth` line"),
            (
                "auth sufficient pam_rootok.so\nauth required pam_unix.so\naccount required pam_unix.so\n",
                "`auth pam_rootok.so` cannot be asked",
            ),
            (
                "auth required pam_permit.so\naccount required pam_permit.so\n",
                "asks for a password",
            ),
            (
                "auth required pam_unix.so\naccount required pam_unix.so broken_shadow\n",
                "broken_shadow",
            ),
            (
                "auth required pam_succeed_if.so use_uid uid = 0\n@include u\n",
                "use_uid",
            ),
            (
                "auth required pam_succeed_if.so user NotInNetgr x\n@include u\n",
                "NotInNetgr",
            ),
            (
                "auth required pam_unix.so\naccount required pam_unix.so broken_shadow=1\n",
                "broken_shadow",
            ),
            (
                "auth required pam_listfile.so item=user sense=deny file=/x onerr=succeed\n@include u\n",
                "let everybody in",
            ),
            (
                "auth required /lib/security/pam_unix.so\naccount required pam_unix.so\n",
                "cannot be asked",
            ),
            (
                "auth required pam_pwdfile.so pwdfile=users\naccount required pam_permit.so\n",
                "whole path",
            ),
            (
                "auth required pam_sss.so\naccount required pam_unix.so\n",
                "pam_sss.so",
            ),
            ("@include x\n", "nested too deeply"),
            ("@include missing\n", "missing"),
            ("what is this\n", "line 1"),
        ] {
            let error = read(&[("x", text), ("u", UNIX)], false).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = "#".repeat(MAX_FILE + 1);
        assert!(read(&[("x", &long)], false).unwrap_err().contains("longer"));
        assert!(
            read(&[("x", UNIX)], true)
                .unwrap_err()
                .contains("no `session` line")
        );
        let session = format!("{UNIX}session required pam_unix.so\n");
        assert!(read(&[("x", &session)], true).is_ok());
    }

    #[test]
    fn names_and_files_of_others_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs::write(&path, UNIX).unwrap();
        let read = |name: &str, owner| {
            Service::read(directory.path(), name, false, Some(owner))
                .map_err(|error| error.to_string())
        };
        for name in [
            "", "Login", ".", "..", "a/b", "../x", "-x", "other", "x\n", "x\0",
        ] {
            assert!(
                read(name, uid()).unwrap_err().contains("no name"),
                "{name:?}"
            );
        }
        assert!(read("y", uid()).unwrap_err().contains("No such file"));
        for mode in [0o664, 0o646] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert!(read("x", uid()).unwrap_err().contains("others can write"));
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(read("x", uid()).is_ok());
        if uid() != 0 {
            assert!(read("x", 77).unwrap_err().contains("somebody else"));
        }
    }
}
