//! The modules that are let in, and what each needs.

use crate::Kind;

/// A module that can do its work in a process that may read a few files and do nothing else.
#[derive(Debug)]
pub struct Module {
    /// Its file's name.
    pub name: &'static str,
    /// For which kinds of lines. For the others it is not let in.
    pub kinds: &'static [Kind],
    /// It asks for the password and knows whether it is right: one such module has to be there.
    pub decides: bool,
    /// It reads the passwords of the system's users: `/etc/shadow`.
    pub shadow: bool,
    /// Arguments that name a file that it reads.
    pub files: &'static [&'static str],
    /// What arguments begin with, in small letters, with which it would need more, or say yes because
    /// it cannot find out; each with the reason.
    pub refused: &'static [(&'static str, &'static str)],
}

/// Most rows have these.
const PLAIN: Module = Module {
    name: "",
    kinds: &[Kind::Auth, Kind::Account],
    decides: false,
    shadow: false,
    files: &[],
    refused: &[],
};

/// All of them. A new one needs a test that asks it (`tests/pam.rs`).
pub static TABLE: [Module; 13] = [
    Module {
        name: "pam_unix.so",
        kinds: &[Kind::Auth, Kind::Account, Kind::Session],
        decides: true,
        shadow: true,
        refused: &[
            ("nis", "it would need a network"),
            (
                "broken_shadow",
                "accounts about which nothing can be found out would be good ones",
            ),
        ],
        ..PLAIN
    },
    Module {
        name: "pam_pwdfile.so",
        kinds: &[Kind::Auth],
        decides: true,
        files: &["pwdfile"],
        ..PLAIN
    },
    Module {
        name: "pam_permit.so",
        kinds: &[Kind::Auth, Kind::Account, Kind::Session],
        ..PLAIN
    },
    Module {
        name: "pam_deny.so",
        kinds: &[Kind::Auth, Kind::Account, Kind::Session],
        ..PLAIN
    },
    Module {
        name: "pam_nologin.so",
        files: &["file"],
        ..PLAIN
    },
    Module {
        name: "pam_shells.so",
        ..PLAIN
    },
    Module {
        name: "pam_localuser.so",
        files: &["file"],
        ..PLAIN
    },
    Module {
        name: "pam_listfile.so",
        files: &["file"],
        refused: &[(
            "onerr=succeed",
            "a list that cannot be read would let everybody in",
        )],
        ..PLAIN
    },
    Module {
        name: "pam_succeed_if.so",
        refused: &[
            (
                "use_uid",
                "it would be about a process of ours, not about the user",
            ),
            ("innetgr", "it would need a network"),
            ("notinnetgr", "it would need a network"),
        ],
        ..PLAIN
    },
    // These do nothing when somebody is asked who they are; Debian's services name them.
    Module {
        name: "pam_faildelay.so",
        kinds: &[Kind::Auth],
        ..PLAIN
    },
    Module {
        name: "pam_env.so",
        kinds: &[Kind::Auth],
        ..PLAIN
    },
    Module {
        name: "pam_group.so",
        kinds: &[Kind::Auth],
        ..PLAIN
    },
    Module {
        name: "pam_cap.so",
        kinds: &[Kind::Auth],
        ..PLAIN
    },
];

/// The row of a module.
#[must_use]
pub fn find(name: &str) -> Option<&'static Module> {
    TABLE.iter().find(|module| module.name == name)
}
