//! `docs/authentication.md`.

use bulkhead_tests::commands::{chmod, test_user};
use bulkhead_tests::kdc::{self, Kdc, REALM};
use bulkhead_tests::manual::{Attached, Reader, blocks, row};
use bulkhead_tests::openid::{Provider, REDIRECT, SECRET};
use bulkhead_tests::otpscreen;
use bulkhead_tests::pam::SystemUser;
use bulkhead_tests::screen::Screen;
use bulkhead_tests::security_keys::StockKey;
use bulkhead_tests::session::{KEY, Session, Start};
use bulkhead_tests::slapd::{self, Slapd};
use std::time::Duration;
use test_client::{Address, Client, Options};

const LONG: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct horse battery staple";

/// The line with `xpra attach` of a block, and what comes before it.
fn parts(block: &str) -> (&str, String) {
    let (before, attach) = block.split_once("xpra attach ").unwrap();
    (before, format!("xpra attach {attach}"))
}

/// A certificate for the sockets that name none, as `docs/encryption.md` has it.
fn with_tls(reader: &Reader) {
    let [made, _] = blocks("TLS", "Try it");
    reader.types(made.lines().next().unwrap());
    reader.types("cp ~/.config/bulkhead/ssl/ca-cert.pem .");
}

pub fn a_try([line]: [String; 1]) {
    let [users, _] = blocks("Authentication", "multifile");
    for (password, is_right) in [(PASSWORD, true), ("another one", false)] {
        let reader = Reader::new(Start::User).has("XPRA_PASSWORD", password);
        reader.writes("users.txt", &users);
        let said = reader.types(&format!(
            "if {} \nthen echo yes\nelse echo no\nfi",
            line.trim_end()
        ));
        assert_eq!(said.starts_with("accepted: "), is_right, "{said}");
        assert_eq!(said.contains("yes\n"), is_right, "{said}");
    }
}

pub fn multifile([users, attach]: [String; 2]) {
    let knows = |user: &str, password: &str| format!("{user}:{password}@");
    let reader = Reader::new(Start::User)
        .calls("ann:PASSWORD@", &knows("ann", PASSWORD))
        .calls("bob:PASSWORD@", &knows("bob", "another one"))
        .calls("eve:PASSWORD@", &knows("ann", "another one"));
    reader.writes("users.txt", &users);
    reader.types(&row("multifile", "bind-tcp"));
    for (user, is_right) in [("ann", true), ("eve", false), ("bob", true)] {
        let attach = attach.replace("ann", user);
        assert_eq!(reader.is_shown(&attach, &[]), is_right, "{user}");
    }
    reader.logged("is let in as `ann` by multifile");
    reader.logged("is let in as `bob` by multifile; sessions: user 1001, group staff, 1 display, 1 variable, 1 option");
}

pub fn sqlite([commands, table]: [String; 2]) {
    let commands: Vec<_> = commands.lines().collect();
    let [add, change, remove, list] = commands[..] else {
        panic!("{commands:?}");
    };
    let reader = Reader::new(Start::User);
    reader.types_with(add, PASSWORD);
    assert!(reader.types(list).contains("ann"));
    reader.writes("key.txt", KEY);
    let start = row("sqlite", "users.sdb),encryption").replace("(filename=users.sdb)", "");
    // The stock client has no GCM.
    reader.types(&start.replace("AES-GCM", "AES-CTR"));
    let [_, attach] = blocks("AES", "Try it");
    let attach = attach
        .replace("//", "//ann@")
        .replace(" --password-file=password.txt", "");
    assert!(reader.is_shown(&attach, &[PASSWORD]));
    reader.types_with(change, "a newer one");
    assert!(!reader.is_shown(&attach, &[PASSWORD]));
    assert!(reader.is_shown(&attach, &["a newer one"]));
    reader.types(remove);
    assert!(!reader.types(list).contains("ann"));
    assert!(!reader.is_shown(&attach, &["a newer one"]));
    // The table is the one that the command makes, and a session takes it from whoever has made it.
    let schema = reader.types("python3 -c \"import sqlite3; print(sqlite3.connect('sqlite.sdb').execute('SELECT sql FROM sqlite_master').fetchone()[0])\"");
    let words = |text: &str| text.replace(char::is_whitespace, "");
    assert_eq!(words(&schema), words(&table));
    let reader = Reader::new(Start::User);
    reader.writes("table.sql", &table);
    reader.types(
        "(umask 077; python3 -c \"import sqlite3; db = sqlite3.connect('plain.sdb'); \
         db.executescript(open('table.sql').read()); \
         db.execute('INSERT INTO users (username, password) VALUES (?, ?)', ('ann', 'sesame')); db.commit()\")",
    );
    reader.types(&row("sqlite", "plain.sdb"));
    assert!(reader.is_shown("xpra attach tcp://ann@that-machine:10000/", &["sesame"]));
}

pub fn hosts([rules]: [String; 1]) {
    let reader = Reader::new(Start::User);
    let (allow, deny) = rules.split_once("# hosts.deny\n").unwrap();
    reader.writes("hosts.allow", allow);
    reader.writes("hosts.deny", deny);
    reader.writes("password.txt", PASSWORD);
    reader.types(&row("hosts", "hosts-allow="));
    let attach = "xpra attach tcp://that-machine:10000/ --password-file=password.txt";
    assert!(reader.is_shown(attach, &[]));
    reader.writes("hosts.allow", &allow.replace(" 127.0.0.0/8", ""));
    assert!(!reader.is_shown(attach, &[]));
    reader.logged("is refused by hosts: not from there");
}

pub fn otp([key, attach]: [String; 2]) {
    let reader = Reader::new(Start::User);
    reader.writes("password.txt", PASSWORD);
    reader.writes("key.txt", KEY);
    assert!(reader.types(&key).contains("otpauth://totp/"));
    reader.types(&row("otp", "auth=file").replace("AES-GCM", "AES-CTR"));
    assert!(!reader.is_shown(&attach, &["000000"]));
    // The clock may step on meanwhile.
    let by_code = || {
        let code = reader.types("oathtool --totp --base32 \"$(cat otp.txt)\"");
        reader.is_shown(&attach, &[code.trim()])
    };
    assert!(by_code() || by_code());
}

pub fn otpscreen([attach]: [String; 1]) {
    let reader = Reader::new(Start::User);
    reader.types(&row("otpscreen", "bind-tcp"));
    let comes = |types: fn(String) -> String| {
        let mut attached: Attached = reader.attaches(&attach);
        let xauthority = reader.session_dir().join("x11/xauthority");
        let screen = Screen::connect(reader.display, Some(&xauthority)).unwrap();
        attached.types(&types(otpscreen::one_on(&screen).code(6)));
        attached.is_shown()
    };
    assert!(comes(|code| code));
    assert!(!comes(|code| code + "x"));
}

pub fn certificate([users]: [String; 1]) {
    let reader = Reader::new(Start::User);
    with_tls(&reader);
    let [made, ..] = blocks::<3>("TLS", "Certificates of clients");
    let (made, _) = made.split_once("\n\n").unwrap();
    let (authority, client) = made.split_at(made.find("openssl req -newkey").unwrap());
    reader.types(authority);
    // One for each line.
    let bob = client.replace("-subj /CN=ann", "-subj /O=example/CN=bob");
    let alternative = client.replace(
        "clientAuth\\n",
        "clientAuth\\nsubjectAltName=email:bob@example.org\\n",
    );
    for (name, made) in [
        ("ann", client.to_owned()),
        ("bob", bob),
        ("san", alternative),
    ] {
        reader.types(&made.replace("ann.", &format!("{name}.")));
    }
    let named = "openssl x509 -noout -fingerprint -sha256 -in ann.pem";
    let page = include_str!("../../docs/authentication.md");
    assert!(page.contains(&format!("`{named}`")));
    let fingerprint = reader.types(named);
    let (_, fingerprint) = fingerprint.trim().split_once('=').unwrap();
    reader.writes("users.txt", &users.replace("2f:86:…", fingerprint));
    reader.types("bulkhead start :100 --start=xterm '--bind-ssl=0.0.0.0:10000,auth=certificate(users=users.txt),ssl-ca-certs=ca.pem'");
    let attach = |name: &str| {
        format!(
            "xpra attach ssl://that-machine:10000/ --ssl-ca-certs=ca-cert.pem --ssl-cert={name}.pem --ssl-key={name}.key"
        )
    };
    for (name, user) in [("ann", "ann"), ("bob", "bob"), ("san", "bob")] {
        assert!(reader.is_shown(&attach(name), &[]), "{name}");
        reader.logged(&format!("is let in as `{user}` by certificate"));
    }
}

pub fn ldap([block]: [String; 1]) {
    let slapd = Slapd::start();
    let here = format!(
        "host=127.0.0.1,port={},cacert={}",
        slapd.tls_port,
        slapd.file("ca.pem").display()
    );
    let authority = &bulkhead_tests::tls::files().authority;
    std::fs::write(slapd.file("ca.pem"), authority).unwrap();
    let reader = Reader::new(Start::User)
        .calls("host=ldap.example.org", &here)
        .calls("dc=example", "dc=test")
        .calls("ann@", "alice@");
    with_tls(&reader);
    let (start, attach) = parts(&block);
    reader.types(start);
    assert!(reader.is_shown(&attach, &[slapd::ALICE]));
    reader.logged("is let in as `alice` by ldap");
    assert!(!reader.is_shown(&attach, &["wrong"]));
}

pub fn security_keys([block]: [String; 1]) {
    let key = StockKey::new();
    let public = key.register(&Session::start(&[]));
    let mut reader = Reader::new(Start::User);
    for (name, value) in key.variables() {
        reader = reader.has(name, &value);
    }
    with_tls(&reader);
    reader.writes("fido2-pub.hex", &public);
    reader.writes("password.txt", PASSWORD);
    reader.types(&block);
    let attach = "xpra attach ssl://that-machine:10000/ --ssl-ca-certs=ca-cert.pem";
    assert!(reader.is_shown(attach, &[PASSWORD]));
    reader.logged("ann-blue");
    assert!(!reader.is_shown(attach, &["wrong"]));
    key.set_counter(0);
    assert!(!reader.is_shown(attach, &[]));
    reader.logged("is refused by fido2");
}

/// At a provider that is not Keycloak, but certified to be one of OpenID Connect: that program is too large for the
/// tests. No stock client can log in there: one of ours does.
pub fn keycloak([block]: [String; 1]) {
    let provider = Provider::start(true);
    let reader = Reader::new(Start::User)
        .calls(
            "https://login.example.org/",
            &format!("https://127.0.0.1:{}/", provider.port),
        )
        .calls("realm_name=main", "realm_name=test")
        .calls("https://xpra.example.org/", REDIRECT)
        // Its groups are told those who ask for the profile.
        .calls(
            "claim_field=",
            &format!(
                "cacert={},scope=openid profile,claim_field=",
                provider.file("ca.pem").display()
            ),
        );
    with_tls(&reader);
    reader.writes("secret.txt", SECRET);
    reader.types(&block);
    let authority = reader.types("openssl x509 -in ca-cert.pem -outform DER | base64 -w0");
    let authority =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, authority).unwrap();
    let address = Address::tls(format!("127.0.0.1:{}", reader.port), &authority);
    for (user, is_let_in) in [("ann", true), ("bob", false)] {
        let client = provider.client(Options::gtk(), user);
        assert_eq!(
            Client::connect(&address, &client, LONG).is_ok(),
            is_let_in,
            "{user}"
        );
    }
}

pub fn pam([of_root, service, of_a_user]: [String; 3]) {
    let reader = Reader::new(Start::User);
    let services = reader.home().join("services");
    let services = services.display().to_string();
    let reader = reader.calls("/home/ann/services", &services);
    reader.types("mkdir services");
    reader.writes("services/xpra", &service);
    reader.types_with(&of_a_user, &format!("{PASSWORD}\n{PASSWORD}\n"));
    let socket = reader.session_dir().join("socket");
    let attach = format!("xpra attach socket://ann@{}", socket.display());
    assert!(reader.is_shown(&attach, &[PASSWORD]));
    assert!(!reader.is_shown(&attach, &["wrong"]));
    if !needs::root("make users of the system") {
        return;
    }
    let user = SystemUser::new(PASSWORD);
    let reader = Reader::new(Start::Root)
        .calls("sudo ", "")
        .calls("ann", user.name());
    let (start, attach) = parts(&of_root);
    let key = reader.writes("key.txt", KEY).display().to_string();
    let reader = reader.calls("/etc/bulkhead/key.txt", &key);
    reader.types(start);
    assert!(reader.is_shown(&attach, &[PASSWORD]));
    reader.logged(&format!("is let in as `{}` by pam", user.name()));
    assert!(!reader.is_shown(&attach, &["wrong"]));
}

pub fn kerberos([block]: [String; 1]) {
    if !needs::root("start a session for somebody else") {
        return;
    }
    // The session's owner is who may come in.
    let user = test_user().name;
    let kdc = Kdc::start();
    kdc.change(&format!("addprinc -pw \"{}\" {user}", kdc::ALICE));
    let server = format!("/usr/sbin/kadmin.local -r {REALM} ");
    let keytab = kdc.file("page.keytab").display().to_string();
    let mut reader = Reader::new(Start::Root)
        .first_calls("xpra/that-machine", "xpra/page.test")
        .calls("kadmin ", &server)
        .calls("sudo ", "")
        .calls("/etc/xpra.keytab", &keytab)
        .calls("EXAMPLE.ORG", REALM)
        .calls("=ann", &format!("={user}"))
        .calls(" ann\n", &format!(" {user}\n"))
        .calls("ann@", &format!("{user}@"))
        .has(
            "KRB5_KDC_PROFILE",
            &kdc.file("kdc.conf").display().to_string(),
        );
    for (name, value) in kdc.environment(&kdc.file("cache")) {
        reader = reader.has(name, &value);
    }
    with_tls(&reader);
    let (start, attach) = parts(&block);
    reader.types_with(start, &format!("{}\n", kdc::ALICE));
    assert!(reader.is_shown(&attach, &[]));
    reader.logged(&format!("is let in as `{user}` by gss"));
    // Somebody else of the realm.
    reader.types_with("kinit bob", "bob's\n");
    let bob = attach.replace("ann@", "bob@");
    assert!(!reader.is_shown(&bob, &[]));
}

pub fn exec([start, script]: [String; 2]) {
    let reader = Reader::new(Start::User);
    let here = reader.home().display().to_string();
    let reader = reader.calls("/usr/local/bin", &here);
    let lets_in = |user: &str, password: &str| {
        let socket = reader.session_dir().join("socket");
        let address = Address::parse(&socket.display().to_string()).unwrap();
        // What is sent is the password itself.
        let options = Options::gtk().username(user).password(password).xor();
        Client::connect(&address, &options, LONG).is_ok()
    };
    let write = |name: &str, text: &str| chmod(&reader.writes(name, text), 0o755);
    // Nothing is asked for.
    write("may-enter", "#!/bin/sh\n[ \"$1\" = ann ]\n");
    reader.types(&start);
    assert!(lets_in("ann", "any"));
    assert!(!lets_in("bob", "any"));
    reader.ends_it();
    // The password is asked for.
    write("may-enter", &script);
    write(
        "check-password",
        "#!/bin/sh\nIFS= read -r password\n[ \"$1 $password\" = 'ann a long one' ]\n",
    );
    reader.types(&start.replace("timeout=20", "timeout=20,require-challenge=yes"));
    assert!(lets_in("ann", "a long one"));
    assert!(!lets_in("ann", "another"));
    assert!(!lets_in("bob", "a long one"));
}
