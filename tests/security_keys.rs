//! `auth=u2f` and `auth=fido2` in real sessions: the stock client with a key made of software, and ours
//! with answers that are wrong in every way.

use bulkhead_tests::door::Door;
use bulkhead_tests::security_keys::{KeyFiles, StockKey};
use bulkhead_tests::session::{Session, free_port};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_client::wire::security_key::{PRESENT, VERIFIED};
use test_client::{Address, Client, Options, SecurityKey};

const LONG: Duration = Duration::from_secs(30);

/// A session with one more TCP socket, which nothing encrypts.
fn session(modules: &str) -> (Session, u16) {
    let (session, [port]) = Session::with_sockets([modules], &["--sharing=yes"]);
    (session, port)
}

/// The stock registration tool, our command, the stock client.
#[test]
fn the_stock_client_logs_in_with_its_key() {
    let key = StockKey::new();
    let files = KeyFiles::new();
    let first = Session::start(&[]);
    let public = files.write("from-the-client.hex", &key.register(&first));
    let directory = format!("--directory={}", files.path().display());
    for (command, file) in [("u2f", "u2f-ann-pub.hex"), ("fido2", "fido2-ann-pub.hex")] {
        let words = [
            command,
            &public.display().to_string(),
            "--label=ann",
            &directory,
        ];
        let output = first.bulkhead(&words);
        assert!(output.status.success(), "{output:?}");
        let path = files.path().join(file);
        assert!(String::from_utf8_lossy(&output.stdout).starts_with(&path.display().to_string()));
        assert!(!first.bulkhead(&words).status.success());
    }
    drop(first);
    for module in ["u2f", "fido2"] {
        let path = files.path().join(format!("{module}-ann-pub.hex"));
        let door = Door::new(
            &format!("{module}(public-key-file={})", path.display()),
            false,
        );
        let comes = |key: &StockKey| key.plugged_into(door.visitor("ann"));
        assert!(comes(&key).is_answered());
        door.logged("-ann-pub.hex");
        door.recorded(&[&format!("is let in as `{}` by {module}", owner())]);
        // Another key, and none.
        assert!(!comes(&StockKey::new()).is_shown());
        door.logged("none of the known keys has signed this challenge");
        door.recorded(&[&format!("is refused by {module}: authentication failed")]);
        assert!(!comes(&key).by("prompt").is_answered());
        assert!(comes(&key).is_shown());
        // It has signed before, and says that it has not.
        key.set_counter(0);
        assert!(!comes(&key).is_answered());
        door.logged("has not counted on since its last signature: cloned?");
    }
}

fn owner() -> String {
    bulkhead_tests::commands::test_user().name
}

fn log_in(port: u16, key: SecurityKey) -> Result<Client, test_client::Error> {
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    Client::connect(&address, &Options::gtk().security_key(key), LONG)
}

/// Told what everybody is told.
fn refused(port: u16, key: SecurityKey) {
    match log_in(port, key) {
        Err(error) => assert!(
            error.to_string().contains("authentication failed"),
            "{error}"
        ),
        Ok(_) => panic!("let in"),
    }
}

type Answer = Arc<Mutex<Option<(Vec<u8>, Vec<u8>)>>>;

/// Every wrong answer, two in a session: who fails more often is not heard for a while.
#[test]
fn every_wrong_answer_is_refused_with_the_same_words() {
    let key = SecurityKey::new();
    let files = KeyFiles::new();
    let changed = |change: fn(&mut Vec<u8>, &mut Vec<u8>)| key.clone().changed(change);
    let seen: Answer = Arc::default();
    let (seeing, replaying) = (seen.clone(), seen.clone());
    let recorded = key.clone().changed(move |response, origin| {
        *seeing.lock().unwrap() = Some((response.clone(), origin.clone()));
    });
    let replayed = key.clone().changed(move |response, origin| {
        let (then, there) = replaying.lock().unwrap().clone().unwrap();
        (*response, *origin) = (then, there);
    });
    let wrong: [(&str, SecurityKey); 14] = [
        ("none of the known keys", SecurityKey::new()),
        ("none of the known keys", key.clone().app_id("xpra")),
        ("none of the known keys", replayed),
        ("nobody was at the key", key.clone().flags(0)),
        ("nobody was at the key", key.clone().flags(VERIFIED)),
        ("says more about itself", key.clone().flags(PRESENT | 0x80)),
        (
            "too long or has control characters",
            key.clone().origin(&"x".repeat(257)),
        ),
        (
            "too long or has control characters",
            key.clone().origin("a\u{1b}[31m"),
        ),
        (
            "has not the length of one",
            changed(|response, _| response.truncate(4)),
        ),
        (
            "none of the known keys",
            changed(|response, _| _ = response.pop()),
        ),
        (
            "none of the known keys",
            changed(|response, _| response[4] ^= 1),
        ),
        (
            "none of the known keys",
            changed(|_, origin| origin.push(b'x')),
        ),
        (
            "has not the length of one",
            changed(|response, _| response.resize(1024, 7)),
        ),
        (
            "too long or has control characters",
            key.clone().origin(&"x".repeat(1000)),
        ),
    ];
    for pair in wrong.chunks(2) {
        let (session, port) = session(&files.module("u2f", &key));
        assert!(log_in(port, recorded.clone()).is_ok());
        for (why, answer) in pair {
            refused(port, answer.clone());
            session.logged(&["auth-fido", why]);
        }
        // The key itself is as good as before.
        assert!(log_in(port, key.clone()).is_ok());
    }
}

#[test]
fn a_key_that_counts_back_is_taken_for_a_copy_on_every_socket() {
    let key = SecurityKey::new();
    let files = KeyFiles::new();
    let modules = ["u2f", "fido2"].map(|name| files.module(name, &key));
    let modules = modules.each_ref().map(String::as_str);
    let (session, ports) = Session::with_sockets(modules, &["--sharing=yes"]);
    // Of a key that never counts nothing can be told.
    for _ in 0..2 {
        key.set_counter(u32::MAX);
        assert!(log_in(ports[0], key.clone()).is_ok());
    }
    key.set_counter(6);
    assert!(log_in(ports[0], key.clone()).is_ok());
    assert!(log_in(ports[1], key.clone()).is_ok());
    key.set_counter(7);
    refused(ports[0], key.clone());
    session.logged(&["is refused by u2f", "cloned?"]);
    key.set_counter(u32::MAX);
    refused(ports[1], key.clone());
    session.logged(&["is refused by fido2", "cloned?"]);
    key.set_counter(8);
    assert!(log_in(ports[1], key).is_ok());
}

#[test]
fn a_key_beside_a_password_and_with_its_own_rules() {
    let key = SecurityKey::new();
    let files = KeyFiles::new();
    let module = files.module("fido2", &key);
    let module = module.replace(')', ",app_id=ours,origin=here,verify=yes)");
    let users = files.write("users.txt", "ann|sesame\n");
    let (session, port) = session(&format!(
        "{module},auth=multifile(filename={})",
        users.display()
    ));
    let key = key.app_id("ours").origin("here").flags(PRESENT | VERIFIED);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let log_in = |key: SecurityKey, password: &str| {
        let options = Options::gtk()
            .username("ann")
            .password(password)
            .security_key(key);
        Client::connect(&address, &options, LONG).is_ok()
    };
    assert!(log_in(key.clone(), "sesame"));
    assert!(!log_in(key.clone(), "wrong"));
    assert!(!log_in(key.clone().origin("there"), "sesame"));
    session.logged(&["auth-fido", "something else than origin= says"]);
    let (session, port) = self::session(&module);
    assert!(self::log_in(port, key.clone()).is_ok());
    refused(port, key.flags(PRESENT));
    session.logged(&["auth-fido", "does not know who touched it"]);
}

/// A client without a key is told what it lacks, as with every digest.
#[test]
fn a_client_without_a_key_is_told_what_is_missing() {
    let files = KeyFiles::new();
    let (session, port) = session(&files.module("u2f", &SecurityKey::new()));
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let error = Client::connect(&address, &Options::gtk().password("x"), LONG)
        .err()
        .unwrap();
    let text = "cannot proceed without 'u2f' digest support";
    assert!(error.to_string().contains(text), "{error}");
    drop(session);
}

#[test]
fn files_that_others_could_change_are_refused_at_the_start() {
    let files = KeyFiles::new();
    let session = Session::start(&[]);
    let key = SecurityKey::new().hex();
    let start = |path: &std::path::Path| {
        let bind = format!(
            "--bind-tcp=127.0.0.1:{},auth=u2f(public-key-file={})",
            free_port(),
            path.display()
        );
        let output = session.bulkhead(&["seamless", "--daemon=no", &bind]);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let path = files.write("open.hex", &key);
    bulkhead_tests::commands::chmod(&path, 0o666);
    assert!(
        start(&path).contains("others may write it"),
        "{}",
        start(&path)
    );
    for (text, part) in [
        ("", "is empty"),
        ("\n", "is no public key of P-256"),
        ("hunter2", "is not hexadecimal"),
        (&key[..128], "is no public key of P-256"),
        (&format!("{}00", &key[..128]), "is no point of the curve"),
    ] {
        let said = start(&files.write("wrong.hex", text));
        assert!(said.contains(part) && said.lines().count() == 1, "{said}");
    }
    let path = files.write("key.hex", &key);
    bulkhead_tests::commands::chmod(files.path(), 0o777);
    let said = start(&path);
    assert!(
        said.contains("others may write /tmp/bulkhead-keys-"),
        "{said}"
    );
}
