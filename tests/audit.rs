//! `bulkhead audit` on running sessions: nothing differs from the policies.

use bulkhead_tests::commands::{bin_dir, test_user};
use bulkhead_tests::process::Process;
use bulkhead_tests::processes;
use bulkhead_tests::session::{ENCRYPTED, Session, Start};
use bulkhead_tests::twins::two_clients;
use policy::{Role, StartMode};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().unwrap_or_else(|| panic!("{value}"));
    all.iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

fn entries(report: &Value) -> &Vec<Value> {
    report["processes"].as_array().unwrap()
}

fn role_of(entry: &Value) -> Role {
    Role::from_name(entry["role"].as_str().unwrap()).unwrap()
}

/// The audit of a session by its user, or in a start as root by root; and by root in any case,
/// where we are root.
fn audits(session: &Session) -> (Value, Option<Value>) {
    let audit = ["audit", "--json", &format!(":{}", session.display)];
    let own = session.bulkhead(&audit);
    assert!(own.status.success(), "{own:?}");
    let sessions = session.session_dir();
    let root = nix::unistd::Uid::effective().is_root().then(|| {
        let output = audit_by_root(sessions.parent().unwrap(), session.display);
        assert!(output.status.success(), "{output:?}");
        json(&output)
    });
    (json(&own), root)
}

fn audit_by_root(sessions: &Path, display: u32) -> Output {
    Command::new(bin_dir().join("bulkhead"))
        .args(["audit", "--json"])
        .arg(format!("--sessions-dir={}", sessions.display()))
        .arg(format!(":{display}"))
        .output()
        .unwrap()
}

/// Every process of ours is shown, and of each what the policy says for this start mode.
fn is_as_the_policies_say(report: &Value, session: &Session, mode: StartMode) {
    assert_eq!(report["display"], session.display);
    assert_eq!(report["mode"], mode.name());
    assert_eq!(texts(&report["differences"]), [""; 0]);
    // SAFETY: with this flag the call makes nothing and reads no memory.
    let abi = unsafe {
        let nothing = std::ptr::null::<libc::c_void>();
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, 1)
    };
    assert_eq!(report["landlock_abi"], abi);
    let rights = policy::landlock_rights();
    let unknown = rights.iter().filter(|(since, _)| i64::from(*since) > abi);
    let unknown: Vec<_> = unknown.map(|(_, name)| *name).collect();
    assert_eq!(texts(&report["landlock_rights_unknown_to_kernel"]), unknown);

    let live: BTreeSet<(u64, String)> = processes::workers(session.process().id())
        .into_iter()
        .map(|worker| (worker.pid.into(), worker.role))
        .collect();
    let shown = |entry: &Value| (entry["pid"].as_u64().unwrap(), role_of(entry).to_string());
    assert_eq!(live, entries(report).iter().map(shown).collect());
    let outside: u64 = processes::status(std::process::id(), "Seccomp_filters")
        .map_or(0, |count| count.parse().unwrap());
    for entry in entries(report) {
        let role = role_of(entry);
        let policy = policy::of(role);
        let confined = policy.unconfined.is_none();
        let pid = u32::try_from(entry["pid"].as_u64().unwrap()).unwrap();
        let status = |name| processes::status(pid, name);
        assert_eq!(texts(&entry["differences"]), [""; 0], "{role}");
        assert_eq!(entry["confined"], confined, "{role}");
        let uid = status("Uid").unwrap();
        let uid = uid.split('\t').next().unwrap();
        assert_eq!(entry["uid"].to_string(), uid, "{role}");
        // Of a process of root nobody can say; nobody attaches to that but root.
        let hidden = uid == "0";
        assert_eq!(
            entry["dumpable"].as_bool(),
            (!hidden).then_some(false),
            "{role}"
        );
        let label = fs::read_to_string(format!("/proc/{pid}/attr/current")).ok();
        let label = label.map(|text| text.trim_end_matches(['\0', '\n']).to_owned());
        assert_eq!(entry["label"].as_str().map(str::to_owned), label, "{role}");
        if !confined {
            assert_eq!(role, Role::Launcher);
            continue;
        }
        let filters = |role| 1 + policy::of(role).refusals.len() as u64;
        let inherited = role.is_worker().then(|| filters(Role::Supervisor));
        let own = filters(role) + inherited.unwrap_or(0);
        assert_eq!(entry["seccomp"], "filter", "{role}");
        assert_eq!(entry["seccomp_filters"], outside + own, "{role}");
        assert_eq!(entry["no_new_privs"], true, "{role}");
        let capabilities = match policy.capabilities(mode) {
            [] => "none".to_owned(),
            some => some.join(","),
        };
        assert_eq!(entry["capabilities"], capabilities, "{role}");
        // What this user may not know of is named, and root may know everything.
        let (seen, hidden) = (&entry["namespaces"], &entry["namespaces_not_readable"]);
        let namespaces: BTreeSet<String> =
            [texts(seen), texts(hidden)].concat().into_iter().collect();
        let declared = policy.namespaces(mode).iter();
        let declared: BTreeSet<String> = declared.map(|one| one.name().to_owned()).collect();
        assert_eq!(namespaces, declared, "{role}");
        for name in ["user", "mnt", "net"].map(str::to_owned) {
            assert_eq!(
                texts(seen).contains(&name),
                declared.contains(&name),
                "{role}: {name}"
            );
        }
        assert_eq!(
            texts(&entry["not_readable"]).is_empty(),
            texts(hidden).is_empty() && entry["descriptors"].is_u64(),
            "{role}"
        );
    }
}

/// What one report has and another user may not know.
fn without_what_is_hidden(report: &Value) -> Value {
    let mut report = report.clone();
    report["root_command"] = Value::Null;
    for entry in report["processes"].as_array_mut().unwrap() {
        let names = [&entry["namespaces"], &entry["namespaces_not_readable"]].map(texts);
        let mut names = names.concat();
        names.sort();
        // Which namespaces the launcher is in, an ordinary user may not know: none are its own.
        entry["namespaces"] = names.into();
        entry["namespaces_not_readable"] = Value::Null;
        entry["not_readable"] = Value::Null;
        entry["descriptors"] = Value::Null;
    }
    report
}

/// The table for people has a line for each process with the same words.
fn the_table_says_the_same(table: &str, report: &Value) {
    let row = |line: &str| {
        line.split("  ")
            .filter(|cell| !cell.is_empty())
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let header = table
        .lines()
        .position(|line| line.starts_with("ROLE"))
        .expect("a header");
    let names = row(table.lines().nth(header).unwrap());
    for (entry, line) in entries(report).iter().zip(table.lines().skip(header + 1)) {
        let cells: BTreeMap<String, String> = names.iter().cloned().zip(row(line)).collect();
        let names = |key: &str| texts(&entry[key]);
        let hidden = names("namespaces_not_readable");
        let mut namespaces = names("namespaces");
        namespaces.extend(hidden.iter().map(|name| format!("{name}?")));
        let filters = format!("{} filters", entry["seccomp_filters"]);
        let attach = match entry["dumpable"].as_bool() {
            Some(true) => "possible",
            Some(false) => "refused",
            None => "?",
        };
        let confined = entry["confined"] == true;
        let expected = [
            ("ROLE", entry["role"].as_str().unwrap().to_owned()),
            ("PID", entry["pid"].to_string()),
            ("UID", entry["uid"].to_string()),
            ("SECCOMP", if confined { filters } else { "none".into() }),
            (
                "NNP",
                if entry["no_new_privs"] == true {
                    "yes"
                } else {
                    "no"
                }
                .into(),
            ),
            ("CAPS", entry["capabilities"].as_str().unwrap().to_owned()),
            ("ATTACH", attach.into()),
            (
                "NAMESPACES",
                if namespaces.is_empty() {
                    "none".into()
                } else {
                    namespaces.join(",")
                },
            ),
            (
                "FDS",
                entry["descriptors"]
                    .as_u64()
                    .map_or("?".into(), |count| count.to_string()),
            ),
            ("LABEL", entry["label"].as_str().unwrap_or("-").to_owned()),
            (
                "RESULT",
                if confined {
                    "as its policy"
                } else {
                    "unconfined by design"
                }
                .into(),
            ),
        ];
        let expected = expected.map(|(name, cell)| (name.to_owned(), cell));
        assert_eq!(cells, BTreeMap::from(expected), "{table}");
    }
    let landlock = format!(
        "Landlock: version {} of the running kernel",
        report["landlock_abi"]
    );
    assert!(table.contains(&landlock), "{table}");
}

fn nothing_differs(start: Start, mode: StartMode) {
    let options = [&ENCRYPTED[..], &["--sharing=yes", "--start=xterm"]].concat();
    let session = Session::start_as(start, &options);
    let _clients = two_clients(&session);
    let (own, root) = audits(&session);
    is_as_the_policies_say(&own, &session, mode);
    if let Some(root) = root {
        is_as_the_policies_say(&root, &session, mode);
        let hidden = |entry: &Value| texts(&entry["not_readable"]);
        assert_eq!(
            entries(&root).iter().flat_map(hidden).collect::<Vec<_>>(),
            [""; 0]
        );
        assert_eq!(without_what_is_hidden(&own), without_what_is_hidden(&root));
    }
    let table = session.bulkhead(&["audit", &format!(":{}", session.display)]);
    assert!(table.status.success(), "{table:?}");
    the_table_says_the_same(&String::from_utf8_lossy(&table.stdout), &own);
}

#[test]
fn of_a_user() {
    nothing_differs(Start::User, StartMode::User);
}

#[test]
fn started_by_root() {
    if needs::root("start a session for somebody else") {
        nothing_differs(Start::Root, StartMode::Root);
    }
}

/// The audit's status when something is not as the policies say (docs/usage.md).
const DIFFERENT: i32 = 3;

/// A kernel that lacks a layer: no session without being told so, and then all that is missing is
/// named, by each process and by the audit.
fn a_layer_is_missing(kernel: &str, layer: &str, refused: &str, differs: &[&str]) {
    let wrapper = ["lesser-kernel", kernel];
    let best = "--sandbox=best-effort";
    let options = [&ENCRYPTED[..], &["--sharing=yes", "--start=xterm", best]].concat();
    let session = Session::start_under(&wrapper, Start::User, &options);
    let _clients = two_clients(&session);
    for role in ["network", "auth", "keys", "display", "encoder"] {
        let named = |line: &str| line.contains(role) && line.contains(layer);
        let line = session.process().wait_for_line(LONG, named);
        assert!(line.contains("best effort: without"), "{line}");
    }
    let display = format!(":{}", session.display);
    let audit = session.bulkhead(&["audit", &display]);
    let table = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert_eq!(audit.status.code(), Some(DIFFERENT), "{audit:?}");
    for what in differs {
        assert!(table.contains(what), "{what}: {table}");
    }
    // The same without being told, and a program that would end such a session at once.
    let start = ["seamless", "--daemon=no", "--exit-with-children=yes"];
    let strict = session.bulkhead(&[&start[..], &["--start-child=true"]].concat());
    assert!(!strict.status.success(), "{strict:?}");
    let said = String::from_utf8_lossy(&strict.stderr).into_owned();
    // Once by each process that was started before the first one had ended the session.
    let lines = said.lines().filter(|line| line.contains(refused));
    let roles = lines.clone().map(|line| line.split("\"role\":").nth(1));
    let roles: BTreeSet<_> = roles
        .map(|rest| rest.and_then(|rest| rest.split(',').next()))
        .collect();
    assert!(!roles.is_empty() && roles.len() == lines.count(), "{said}");
    let stop = session.bulkhead(&["stop", best, &display]);
    assert!(stop.status.success(), "{stop:?}");
}

#[test]
fn without_landlock() {
    let differs = ["Landlock"];
    a_layer_is_missing("no-landlock", "Landlock", "offers no Landlock", &differs);
}

#[test]
fn without_user_namespaces() {
    let names = "namespaces (user, mnt, net, ipc, uts, cgroup)";
    let refused = "refused new namespaces";
    a_layer_is_missing("no-userns", names, refused, &["namespace"]);
}

/// A session directory that somebody has made up, in a directory for `--sessions-dir`.
struct Forged {
    directory: tempfile::TempDir,
    display: u32,
}

impl Forged {
    /// One of this user's, which says that this process is the supervisor.
    fn new(owner: u32, display: u32, supervisor: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let forged = Self { directory, display };
        fs::create_dir_all(forged.path("x11")).unwrap();
        fs::write(forged.path("server.pid"), format!("{supervisor}\n")).unwrap();
        for name in ["", "x11", "server.pid"] {
            chown(forged.path(name), Some(owner), None).unwrap();
        }
        chown(forged.directory.path(), Some(owner), None).unwrap();
        forged
    }

    fn path(&self, name: &str) -> PathBuf {
        let session = self.directory.path().join(self.display.to_string());
        session.join(name)
    }

    /// Root's audit does not believe it, and says why.
    fn is_refused(&self, why: &str) {
        let output = audit_by_root(self.directory.path(), self.display);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert!(said.contains(why), "{why}: {said}");
    }
}

/// What a user writes into a directory of theirs is not root's knowledge of somebody else.
#[test]
fn root_does_not_believe_what_a_user_can_write() {
    const NOBODY: u32 = 65534;
    if !needs::root("have processes of other users") {
        return;
    }
    let user = test_user().uid.as_raw();
    let of_root = Session::start_as(Start::Root, &["--start=xterm"]);
    let of_user = Session::start_as(Start::User, &["--start=xterm"]);
    let supervisor = |session: &Session| session.process().id();

    // A session that root has started, for the same user: not that user's word.
    let forged = Forged::new(user, of_root.display, supervisor(&of_root));
    forged.is_refused("is not believed about it");
    // Another user's, whoever is said to be its user.
    let forged = Forged::new(NOBODY, of_user.display, supervisor(&of_user));
    forged.is_refused("is not believed about it");
    chown(forged.path("x11"), Some(user), None).unwrap();
    forged.is_refused("x11: belongs to the user");
    // Another session of the same user, under another number.
    let forged = Forged::new(user, of_user.display + 1, supervisor(&of_user));
    forged.is_refused("has no supervisor");
    // What root would wait at, or look at in another's place.
    let forged = Forged::new(user, of_user.display, supervisor(&of_user));
    let pid_file = forged.path("server.pid");
    fs::remove_file(&pid_file).unwrap();
    symlink(of_user.session_dir().join("server.pid"), &pid_file).unwrap();
    forged.is_refused("does not say a process id");
    fs::remove_file(&pid_file).unwrap();
    nix::unistd::mkfifo(&pid_file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    forged.is_refused("does not say a process id");
    // The control: the same directory with nothing made up.
    let honest = Forged::new(user, of_user.display, supervisor(&of_user));
    let output = audit_by_root(honest.directory.path(), honest.display);
    assert!(output.status.success(), "{output:?}");
    fs::remove_dir_all(forged.path("")).unwrap();
    symlink(
        of_user.session_dir(),
        forged
            .path("")
            .parent()
            .unwrap()
            .join(forged.display.to_string()),
    )
    .unwrap();
    forged.is_refused("is no directory");
}

/// A process can call itself what it likes; that it has no sandbox is seen all the same.
#[test]
fn a_name_is_no_sandbox() {
    if !needs::root("have processes of other users") {
        return;
    }
    let user = test_user();
    let place = tempfile::tempdir().unwrap();
    let display = 7;
    chown(place.path(), Some(user.uid.as_raw()), None).unwrap();
    // It makes a socket of its first argument's name in its working directory.
    let impostor = Process::start(
        Command::new(bin_dir().join("hostile-neighbour"))
            .arg0("bulkhead-supervisor")
            .arg(format!(":{display}"))
            .current_dir(place.path())
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw()),
    );
    let forged = Forged::new(user.uid.as_raw(), display, impostor.id());
    let output = audit_by_root(forged.directory.path(), display);
    assert_eq!(output.status.code(), Some(DIFFERENT), "{output:?}");
    let report = json(&output);
    let said = texts(&entries(&report)[0]["differences"]).join("\n");
    for what in [
        "no system-call filter",
        "no_new_privs",
        "it is dumpable",
        "limit core",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let said = texts(&report["differences"]).join("\n");
    assert!(said.contains("0 processes of the role launcher"), "{said}");
}
