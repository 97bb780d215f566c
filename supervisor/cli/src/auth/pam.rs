//! `auth=pam`: which service is asked, and whether it can be.

use crate::auth::Options;
use crate::error::{Error, Result, reason};
use crate::session::Owner;
use services::{SYSTEM, Service};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Upstream's, protocol "Modules".
const SERVICE: &str = "login";
/// The passwords of the system's users.
const SHADOW: &str = "/etc/shadow";
/// Where modules are: pam(8), and where distributions put them.
const MODULES: [&str; 6] = [
    "/lib/x86_64-linux-gnu/security",
    "/usr/lib/x86_64-linux-gnu/security",
    "/lib/security",
    "/usr/lib/security",
    "/lib64/security",
    "/usr/lib64/security",
];

/// `pam` and `sys`: PAM's modules decide.
#[derive(Clone, PartialEq, Eq)]
pub struct Pam {
    /// The service.
    pub service: String,
    /// Where the files of services are.
    pub directory: Option<PathBuf>,
    /// A session is opened and closed too.
    pub session: bool,
    /// Seconds that it may take.
    pub timeout: u16,
}

/// The options of `pam` and `sys`.
pub const OPTIONS: &[&str] = &[
    "service",
    "service-dir",
    "check-account",
    "open-session",
    "timeout",
];

impl Pam {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn read(options: &mut Options<'_>) -> Result<Self> {
        if !options.flag("check-account", true)? {
            return Err(Error::usage(
                "auth=pam: check-account=no would let users in whose accounts have expired: leave it out",
            ));
        }
        let directory = options.take("service-dir").map(PathBuf::from);
        if let Some(directory) = directory.as_deref().filter(|it| !it.is_absolute()) {
            let text = directory.display().to_string();
            return Err(options.wrong("service-dir", &text, "whole paths, beginning with /"));
        }
        Ok(Self {
            service: options
                .take("service")
                .unwrap_or_else(|| SERVICE.to_owned()),
            directory,
            session: options.flag("open-session", false)?,
            timeout: options.timeout()?,
        })
    }

    /// Looks whether the service can be asked in this session, and gives the supplementary groups
    /// that its process needs.
    ///
    /// # Errors
    /// Why it cannot, and what to do.
    pub fn check(&self, owner: &Owner) -> Result<Vec<u32>> {
        let directory = self.directory.as_deref().unwrap_or(Path::new(SYSTEM));
        let at = |error: &dyn std::fmt::Display| {
            Error::new(format!(
                "auth=pam: the service `{}` ({}): {error}",
                self.service,
                directory.join(&self.service).display()
            ))
        };
        // Whose files are believed.
        let believed = match owner.switch {
            Some(_) => 0,
            None => owner.user.uid,
        };
        let service = Service::read(directory, &self.service, self.session, Some(believed))
            .map_err(|error| at(&error))?;
        // Whoever can change one of these decides who is let in; PAM loads what the lines of `other` name
        // as well, and in a start as root with the right to read the passwords of all.
        let other = directory.join("other");
        let own = [directory, &other].into_iter();
        let own = own.chain(service.sources.iter().map(PathBuf::as_path));
        for path in own.chain(service.files.iter().map(PathBuf::as_path)) {
            match files::check_own(path, believed) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(at(&format!("{}: {}", path.display(), reason(&error))));
                }
                _ => {}
            }
        }
        for module in &service.modules {
            if !MODULES
                .iter()
                .any(|dir| Path::new(dir).join(module).is_file())
            {
                return Err(at(&format!("{module} is not installed")));
            }
        }
        let groups = match (&owner.switch, service.shadow) {
            (_, false) => Vec::new(),
            (Some(_), true) => vec![shadow_group().map_err(|error| at(&error))?],
            (None, true) => {
                return Err(at(
                    &"pam_unix.so reads the passwords of all users: only a session that root starts (--uid=USER) can ask it; a service with pam_pwdfile.so needs no root (service-dir=)",
                ));
            }
        };
        // In a start as root it has a user id of its own; else ours.
        if owner.switch.is_some() {
            for file in &service.files {
                readable(file, &groups).map_err(|error| at(&error))?;
            }
        }
        Ok(groups)
    }
}

/// The group that may read the passwords of the system's users.
fn shadow_group() -> std::result::Result<u32, String> {
    let about =
        std::fs::metadata(SHADOW).map_err(|error| format!("{SHADOW}: {}", reason(&error)))?;
    match about.gid() {
        gid if gid != 0 && about.mode() & 0o040 != 0 => Ok(gid),
        _ => Err(format!(
            "{SHADOW} cannot be read by a group of its own: chgrp shadow and chmod g+r make it so"
        )),
    }
}

/// Can it be read by a user who is nobody, with these groups?
fn readable(path: &Path, groups: &[u32]) -> std::result::Result<(), String> {
    let name = path.display();
    let about = std::fs::metadata(path).map_err(|error| format!("{name}: {}", reason(&error)))?;
    let by_group = groups.contains(&about.gid()) && about.mode() & 0o040 != 0;
    match by_group || about.mode() & 0o004 != 0 {
        true => Ok(()),
        false => Err(format!(
            "{name} cannot be read by the process that asks, which has a user id of its own: chmod o+r"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{self, What};
    use crate::syntax::RawModule;
    use crate::users;
    use ipc::spec::SessionUser;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn pam(text: &str) -> Result<Pam> {
        let module = auth::chain(&[RawModule::parse(text)?], &[])?.remove(0);
        match module.what {
            What::Pam(pam) => Ok(pam),
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn options_and_their_defaults() {
        for name in ["pam", "sys"] {
            let it = pam(name).unwrap();
            assert_eq!((it.service.as_str(), it.timeout), ("login", 10));
            assert!(it.directory.is_none() && !it.session);
        }
        let it = pam("pam(service=x,service-dir=/d,open-session=yes,check-account=yes,timeout=7)");
        let it = it.unwrap();
        assert_eq!((it.service.as_str(), it.timeout), ("x", 7));
        assert!(it.directory.as_deref() == Some(Path::new("/d")) && it.session);
        for (text, part) in [
            (
                "pam(check-account=no)",
                "check-account=no would let users in",
            ),
            ("pam(service-dir=d)", "whole paths"),
            ("pam(timeout=51)", "1 to 50 seconds"),
            ("pam(open-session=x)", "open-session"),
            ("pam(filename=x)", "no option `filename`"),
        ] {
            let error = pam(text).err().expect(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = pam("win32").err().unwrap().to_string();
        assert_eq!(error, "auth=win32 needs MS Windows; use sys or pam");
    }

    #[test]
    fn a_service_that_cannot_be_asked_is_refused_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
            path.display().to_string()
        };
        let check = |service: &str, root: bool| {
            let user = users::user("root").unwrap();
            let switch = root.then_some(SessionUser {
                uid: 1,
                gid: 1,
                groups: vec![],
            });
            let text = format!(
                "pam(service={service},service-dir={})",
                directory.path().display()
            );
            pam(&text).unwrap().check(&Owner { user, switch })
        };
        let of_root = fs::metadata(directory.path()).unwrap().uid() == 0;
        if !of_root {
            return;
        }
        let account = "account required pam_permit.so\n";
        let unix = format!("auth required pam_unix.so\n{account}");
        write("unix", &unix);
        let shadow = fs::metadata(SHADOW).unwrap().gid();
        assert_eq!(check("unix", true).unwrap(), [shadow]);
        let error = check("unix", false).unwrap_err().to_string();
        assert!(error.contains("only a session that root starts"), "{error}");
        // Never the service `other`, which answers for those that there are not.
        write("other", &unix);
        for name in ["missing", "other"] {
            let error = check(name, true).unwrap_err().to_string();
            assert!(error.contains(&format!("the service `{name}`")), "{error}");
        }
        let users = write("users", "");
        let listfile = format!("auth required pam_listfile.so file={users}\n");
        write("listfile", &format!("{listfile}{unix}"));
        assert_eq!(check("listfile", true).unwrap(), [shadow]);
        fs::set_permissions(&users, PermissionsExt::from_mode(0o640)).unwrap();
        let error = check("listfile", true).unwrap_err().to_string();
        assert!(error.contains("cannot be read by the process"), "{error}");
    }
}
