//! What the shipped policies must say, checked on the data.

use policy::{
    Condition, Namespace, Resource, Role, Rule, RulePath, StartMode, Test, denied, explain, filter,
    of,
};

fn confined() -> impl Iterator<Item = Role> {
    Role::ALL
        .into_iter()
        .filter(|role| of(*role).unconfined.is_none())
}

#[test]
fn every_role_has_its_file_and_no_file_is_left_over() {
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/roles"))
        .expect("roles/ is there")
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    let mut wanted: Vec<_> = Role::ALL
        .iter()
        .map(|role| format!("{role}.toml"))
        .collect();
    files.sort();
    wanted.sort();
    assert_eq!(files, wanted);
    for role in Role::ALL {
        assert_eq!(of(role).role, role);
        assert_eq!(Role::from_name(role.name()), Some(role));
        assert_eq!(role.executable(), format!("bulkhead-{role}"));
    }
}

#[test]
fn every_role_has_its_own_id() {
    let mut ids = Role::ALL.map(|role| role.id(60_000));
    assert_eq!(ids[0], 60_000);
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    // What the command line keeps free for each session.
    assert!(ids.len() <= 32);
}

/// Security goal G1. Tighten when a trace allows it, never widen without a reason in the log.
#[test]
fn system_call_budgets_hold() {
    for role in confined() {
        let budget = match role {
            Role::Launcher => unreachable!("it is not confined"),
            // Every start of a worker must fit inside of it. The last is madvise, with which the library
            // of TLS has its random numbers wiped in a copy of the process.
            Role::Supervisor => 61,
            Role::Network | Role::Ctl => 20,
            Role::Auth | Role::Keys => 24,
            Role::Display => 28,
            Role::Encoder => 18,
            Role::AuthLdap => 14,
            Role::AuthPam => 18,
            Role::AuthSqlite => 15,
            Role::AuthSql => 14,
            Role::AuthFido => 10,
            Role::AuthKerberos => 24,
            Role::AuthCertificate => 13,
            Role::AuthKeycloak => 14,
            Role::AuthOtpscreen => 11,
            Role::AuthNames => 11,
        };
        let calls = of(role).calls();
        println!("{role}: {} of {budget}: {calls:?}", calls.len());
        assert!(calls.len() <= budget, "{role} has {} calls", calls.len());
    }
}

/// Filters add up, and a worker inherits the supervisor's: whatever a worker's filter allows must
/// be allowed there too, or the rule is a lie.
#[test]
fn the_supervisor_allows_what_the_workers_need() {
    for role in Role::WORKERS {
        for rule in of(role).rules {
            let covered = of(Role::Supervisor)
                .rules
                .iter()
                .any(|wide| wide.refused.is_none() && rule.implies(wide));
            assert!(covered, "{role}: {} {:?}", rule.call, rule.conditions);
        }
    }
}

/// Security goal G14: no role has both the network and X11, X11 and picture codecs, or a secret
/// and the network.
#[test]
fn nobody_parses_hostile_bytes_and_holds_something_precious() {
    let apart = [
        ("client-socket", "x11"),
        ("client-socket", "x-cookie"),
        ("client-socket", "passwords"),
        ("client-socket", "key-data"),
        ("client-socket", "private-keys"),
        ("client-socket", "picture-codecs"),
        ("client-socket", "pixels"),
        ("client-socket", "listening-sockets"),
        ("client-socket", "child-processes"),
        ("client-socket", "user-environment"),
        ("server-socket", "passwords"),
        ("server-socket", "x11"),
        ("x11", "picture-codecs"),
        ("x11", "passwords"),
        ("x11", "key-data"),
        ("x11", "private-keys"),
        ("x11", "child-processes"),
        ("picture-codecs", "passwords"),
        ("picture-codecs", "key-data"),
        ("picture-codecs", "private-keys"),
        ("passwords", "key-data"),
        ("passwords", "private-keys"),
        ("listening-sockets", "passwords"),
        ("listening-sockets", "key-data"),
        ("listening-sockets", "private-keys"),
        ("listening-sockets", "x11"),
        ("listening-sockets", "pixels"),
        ("backend-socket", "client-socket"),
        ("backend-socket", "passwords"),
        ("backend-socket", "key-data"),
        ("backend-socket", "x11"),
        ("backend-socket", "listening-sockets"),
        ("login-password", "client-socket"),
        ("login-password", "x11"),
        ("shown-code", "client-socket"),
        ("shown-code", "passwords"),
        // Who judges certificates has nothing that a forged one could be after.
        ("authorities", "client-socket"),
        ("authorities", "passwords"),
        ("authorities", "login-password"),
        ("authorities", "private-keys"),
    ];
    for role in Role::ALL {
        let holds = of(role).holds;
        assert!(!holds.is_empty(), "{role}");
        for (one, other) in apart {
            assert!(
                !(holds.contains(&one) && holds.contains(&other)),
                "{role}: {one}, {other}"
            );
        }
    }
}

#[test]
fn the_channels_are_the_declared_graph() {
    let mut edges = Vec::new();
    for role in Role::ALL {
        for other in of(role).channels {
            assert!(of(*other).channels.contains(&role), "{role}–{other}");
            if role < *other {
                edges.push((role, *other));
            }
        }
    }
    edges.sort();
    assert_eq!(
        edges,
        [
            (Role::Supervisor, Role::Launcher),
            (Role::Supervisor, Role::Network),
            (Role::Supervisor, Role::Auth),
            (Role::Supervisor, Role::Keys),
            (Role::Supervisor, Role::Display),
            (Role::Supervisor, Role::Encoder),
            (Role::Supervisor, Role::AuthLdap),
            (Role::Supervisor, Role::AuthSqlite),
            (Role::Supervisor, Role::AuthSql),
            (Role::Supervisor, Role::AuthFido),
            (Role::Supervisor, Role::AuthCertificate),
            (Role::Supervisor, Role::AuthKeycloak),
            (Role::Supervisor, Role::AuthOtpscreen),
            (Role::Supervisor, Role::AuthNames),
            (Role::Network, Role::Auth),
            (Role::Network, Role::Keys),
            (Role::Network, Role::Display),
            (Role::Network, Role::Encoder),
            (Role::Auth, Role::AuthLdap),
            (Role::Auth, Role::AuthPam),
            (Role::Auth, Role::AuthSqlite),
            (Role::Auth, Role::AuthSql),
            (Role::Auth, Role::AuthFido),
            (Role::Auth, Role::AuthKerberos),
            (Role::Auth, Role::AuthCertificate),
            (Role::Auth, Role::AuthKeycloak),
            (Role::Auth, Role::AuthOtpscreen),
            (Role::Auth, Role::AuthNames),
            (Role::Display, Role::Encoder),
        ]
    );
}

#[test]
fn workers_are_bare() {
    for role in Role::WORKERS {
        let policy = of(role);
        for mode in StartMode::ALL {
            assert!(policy.capabilities(mode).is_empty(), "{role}");
            assert_eq!(policy.namespaces(mode).len(), 6, "{role}");
            assert_eq!(policy.namespaces(mode)[0], Namespace::User, "{role}");
        }
        assert!(policy.dies_with_parent, "{role}");
        assert!(policy.landlock.paths.is_empty(), "{role}");
        assert_eq!(policy.limit(Resource::Processes), Some(0), "{role}");
        assert_eq!(policy.limit(Resource::Core), Some(0), "{role}");
        let makes_files = policy.rules.iter().any(|rule| rule.call == "memfd_create");
        assert_eq!(
            policy.limit(Resource::FileSize) == Some(0),
            !makes_files,
            "{role}"
        );
        // No way to a file, a process, a program or a socket.
        for call in [
            "open",
            "openat",
            "openat2",
            "execve",
            "execveat",
            "clone",
            "fork",
            "kill",
            "tgkill",
            "socket",
            "connect",
            "bind",
            "listen",
            "accept",
            "accept4",
            "prctl",
            "seccomp",
            "unshare",
            "chroot",
            "mprotect",
            "prlimit64",
            "setrlimit",
            "dup3",
            "pidfd_open",
        ] {
            assert!(
                policy.rules.iter().all(|rule| rule.call != call),
                "{role}: {call}"
            );
        }
    }
    assert_eq!(
        of(Role::Supervisor).capabilities(StartMode::Root),
        ["CAP_KILL", "CAP_SETGID", "CAP_SETUID"]
    );
}

#[test]
fn only_the_launcher_is_unconfined() {
    for role in Role::ALL {
        assert_eq!(of(role).unconfined.is_some(), role == Role::Launcher);
        assert_eq!(filter(role).is_empty(), role == Role::Launcher);
        assert_eq!(of(role).rules.is_empty(), role == Role::Launcher);
    }
}

/// The last instruction of a filter is the default, the third what a foreign architecture gets.
#[test]
fn the_default_is_to_kill_the_process() {
    for role in confined() {
        let filter = filter(role);
        let kill = libc::SECCOMP_RET_KILL_PROCESS;
        assert_eq!(
            filter.last().map(|last| (last.code, last.k)),
            Some((0x06, kill))
        );
        assert_eq!((filter[2].code, filter[2].k), (0x06, kill));
        for instruction in filter.iter().filter(|instruction| instruction.code == 0x06) {
            let allow = libc::SECCOMP_RET_ALLOW;
            assert!(
                [kill, allow].contains(&instruction.k),
                "{role}: {:#x}",
                instruction.k
            );
        }
    }
}

/// What is answered with errors is compiled apart: those filters allow all else, and the strictest of all
/// filters wins.
#[test]
fn refusals_answer_with_the_errors_of_their_rules() {
    for role in Role::ALL {
        let policy = of(role);
        let refused = policy.rules.iter().filter_map(|rule| rule.refused);
        let mut errors: Vec<_> = refused.map(|refused| refused.errno).collect();
        errors.sort_unstable();
        errors.dedup();
        assert_eq!(policy.refusals.len(), errors.len(), "{role}");
        for (filter, errno) in policy.refusals.iter().zip(errors) {
            let answers = filter.iter().filter(|one| one.code == 0x06).skip(1);
            let mut answers: Vec<_> = answers.map(|one| one.k).collect();
            answers.sort_unstable();
            answers.dedup();
            let errno = libc::SECCOMP_RET_ERRNO | u32::from(errno);
            assert_eq!(answers, [errno, libc::SECCOMP_RET_ALLOW], "{role}");
        }
    }
}

#[test]
fn a_policy_can_be_read() {
    for role in Role::ALL {
        let text = explain(role);
        assert!(text.contains(of(role).purpose));
        for rule in of(role).rules {
            assert!(
                text.contains(rule.call) && text.contains(rule.why),
                "{role}: {}",
                rule.call
            );
        }
        for line in text.lines() {
            assert_eq!(line.trim_end(), line);
        }
    }
    assert!(explain(Role::Launcher).contains("UNCONFINED"));
}

#[test]
fn what_a_role_may_not_do_follows_from_its_rules() {
    for role in [Role::Network, Role::Auth, Role::Display, Role::Encoder] {
        let text = explain(role);
        assert!(!text.contains("0x"), "{role}");
        for words in [
            "open or create files",
            "make sockets",
            "start programs",
            "start processes or threads",
            "send signals",
            "make memory executable",
        ] {
            assert!(text.contains(&format!("\n  {words}\n")), "{role}: {words}");
        }
    }
    let text = explain(Role::Supervisor);
    for words in ["send signals", "start programs", "accept connections"] {
        assert!(!text.contains(&format!("\n  {words}\n")), "{words}");
    }
    assert!(text.contains("\n  see into other processes\n"));
    assert!(explain(Role::Network).contains("It never holds: "));

    // A rule more is a line less.
    let rule = |call, conditions| Rule {
        call,
        number: 0,
        conditions,
        why: "",
        justification: None,
        path: RulePath::Always,
        refused: None,
    };
    for (call, words) in [
        ("openat", "open or create files"),
        ("ioctl", "give devices commands (ioctl)"),
        ("mprotect", "make memory executable"),
    ] {
        assert!(denied(&[]).contains(&words));
        assert!(!denied(&[rule(call, &[])]).contains(&words), "{call}");
    }
    const READ_ONLY: &[Condition] = &[Condition {
        argument: 2,
        wide: true,
        test: Test::Within(1),
        text: "",
    }];
    assert!(denied(&[rule("mprotect", READ_ONLY)]).contains(&"make memory executable"));
}

#[test]
fn marks_are_used_sparingly() {
    for role in confined() {
        let rules = of(role).rules;
        let marked = rules
            .iter()
            .filter(|rule| rule.path != RulePath::Always)
            .count();
        assert!(marked <= 3, "{role}: {marked}");
    }
}
