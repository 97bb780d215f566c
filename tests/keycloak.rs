//! `auth=keycloak` in real sessions: a real OpenID Connect provider, at whose pages somebody logs in, and
//! providers that are wrong in every way.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_tests::openid::{Provider, Puppet, SECRET, json as text};
use bulkhead_tests::session::{PASSWORD, Session, free_port};
use bulkhead_tests::{eventually, processes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use test_client::{Address, Client, Options};

const LONG: Duration = Duration::from_secs(60);

/// A session with one more TCP socket for each of these, which nothing encrypts.
fn session<const N: usize>(modules: [&str; N]) -> (Session, [u16; N]) {
    Session::with_sockets(modules, &["--debug=all", "--sharing=yes"])
}

fn is_let_in(port: u16, options: &Options) -> bool {
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    match Client::connect(&address, options, LONG) {
        Ok(_) => true,
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("authentication failed"), "{error}");
            false
        }
    }
}

/// No process of a check is left, and none of these is in the log.
fn is_clean(session: &Session, secrets: &[&str]) {
    eventually("the end of the checks", LONG, || {
        let left = processes::of_role(session.process().id(), "auth-keycloak");
        left.is_empty().then_some(())
    });
    for line in session.process().lines() {
        let shown = secrets.iter().find(|text| line.contains(**text));
        assert_eq!(shown, None, "{line}");
    }
}

/// A value in the query of an address.
fn query<'a>(address: &'a str, name: &str) -> &'a str {
    let (_, query) = address.split_once('?').unwrap();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name);
    let value = found
        .next()
        .unwrap_or_else(|| panic!("{name} in {address}"));
    assert!(found.next().is_none(), "{name} in {address}");
    value.1
}

#[test]
fn who_logs_in_at_the_provider_is_let_in() {
    let mut provider = Provider::start(true);
    let of = |client| provider.module(client, "");
    // A secret in a header, or in a form; none; each with another kind of key.
    let modules = ["bulkhead", "form", "public", "pss", "edwards"].map(of);
    let modules = modules.each_ref().map(String::as_str);
    let (session, ports) = session(modules);
    let brought = Arc::new(Mutex::new(Vec::new()));
    let (seen, log_in) = (Arc::clone(&brought), provider.client(Options::gtk(), "ann"));
    let visit = log_in.visit.clone().unwrap();
    let options = log_in.visit(move |address| {
        assert!(address.len() <= 1023);
        let said = (visit.0)(address);
        let values: Value = serde_json::from_slice(&said).unwrap();
        let mut seen = seen.lock().unwrap();
        seen.push(values["code"].as_str().unwrap().to_owned());
        said
    });
    for port in ports {
        assert!(is_let_in(port, &options), "{port}");
    }
    session.logged(&["auth-keycloak", "the provider says that it is", "ann"]);
    // What it says of itself is asked once for each module, and its keys too.
    assert_eq!(provider.asked("openid-configuration"), 5);
    for port in ports {
        assert!(is_let_in(port, &options));
    }
    assert_eq!(
        (
            provider.asked("openid-configuration"),
            provider.asked("certs")
        ),
        (5, 5)
    );
    // It has new keys, with other names.
    provider.replace();
    assert!(is_let_in(ports[0], &options));
    assert_eq!(
        (
            provider.asked("openid-configuration"),
            provider.asked("certs")
        ),
        (0, 1)
    );
    let codes = brought.lock().unwrap();
    assert_eq!(codes.len(), 11);
    let secrets: Vec<&str> = codes.iter().map(String::as_str).collect();
    is_clean(
        &session,
        &[&[SECRET, "s%26cret", "eyJ"], &secrets[..]].concat(),
    );
}

#[test]
fn a_provider_proves_who_it_is() {
    let provider = Provider::start(true);
    let other = bulkhead_tests::tls::made_until(4096);
    std::fs::write(provider.file("ca.pem"), other.authority).unwrap();
    let (session, [port]) = session([&provider.module("bulkhead", "")]);
    let nobody = Options::gtk().visit(|address| panic!("sent to {address}"));
    assert!(!is_let_in(port, &nobody));
    session.logged(&["auth-keycloak", "signed by nobody in cacert"]);
}

/// It is the same server, by another name than its certificate has.
#[test]
fn a_provider_has_the_name_that_it_is_asked_by() {
    let provider = Provider::start(true);
    let there = ("127.0.0.1", provider.port);
    let door = TcpListener::bind(("127.0.0.2", provider.port)).unwrap();
    std::thread::spawn(move || {
        for client in door.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(there).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            ] {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    let module = provider.module("bulkhead", "");
    let (session, [port]) = session([&module.replace("//127.0.0.1:", "//127.0.0.2:")]);
    let nobody = Options::gtk().visit(|address| panic!("sent to {address}"));
    assert!(!is_let_in(port, &nobody));
    session.logged(&["auth-keycloak", "certificate is not for 127.0.0.2"]);
    assert_eq!(provider.asked("openid-configuration"), 0);
}

#[test]
fn only_these_groups_and_after_a_password() {
    let provider = Provider::start(false);
    let of = |options| provider.module("bulkhead", options);
    // What the provider tells only who asks for more, and what is in a part of it.
    let modules = [
        of(",claim_field=groups,auth_groups=staff xpra"),
        of(",claim_field=realm_access.roles,auth_groups=staff nobody,auth_condition=or"),
        of(",claim_field=preferred_username,auth_groups=ann"),
        of(",claim_field=nothing,auth_groups=ann"),
    ];
    let (session, [all, one, name, nothing]) = session(modules.each_ref().map(String::as_str));
    let [ann, bob] = ["ann", "bob"].map(|user| provider.client(Options::gtk(), user));
    for (port, user, yes) in [
        (all, &ann, true),
        (all, &bob, false),
        (one, &bob, true),
        (name, &ann, true),
        (name, &bob, false),
        (nothing, &ann, false),
    ] {
        assert_eq!(is_let_in(port, user), yes, "{port}");
    }
    session.logged(&["not in the groups of auth_groups"]);
    session.logged(&["the claim of claim_field is not there"]);
    drop(session);
    let (_session, [port]) = self::session([&format!(
        "password(value={PASSWORD}),auth={}",
        provider.module("bulkhead", "")
    )]);
    assert!(is_let_in(port, &ann.clone().password(PASSWORD)));
    assert!(!is_let_in(port, &ann.password("another")));
}

/// The variables of the stock server; what is written counts more.
#[test]
fn options_come_from_the_environment_too() {
    let provider = Provider::start(false);
    let url = format!(
        "XPRA_KEYCLOAK_SERVER_URL=http://127.0.0.1:{}",
        provider.port
    );
    let wrapper = [
        "/usr/bin/env",
        &url,
        "XPRA_KEYCLOAK_REALM_NAME=test",
        "XPRA_KEYCLOAK_CLIENT_ID=nobody",
        &format!("XPRA_KEYCLOAK_CLIENT_SECRET_KEY={SECRET}"),
        "XPRA_KEYCLOAK_REDIRECT_URI=https://xpra.test/login/",
    ];
    let port = free_port();
    let bind = format!("--bind-tcp=127.0.0.1:{port},auth=keycloak(client_id=bulkhead)");
    let show = "--start=sh -c 'env > \"$HOME/environment\"'";
    let start = bulkhead_tests::session::Start::User;
    let session = Session::start_under(&wrapper, start, &["--debug=all", &bind, show]);
    assert!(is_let_in(port, &provider.client(Options::gtk(), "ann")));
    is_clean(&session, &[SECRET]);
    let environment = eventually("the environment of applications", LONG, || {
        let text = std::fs::read_to_string(session.home().join("environment")).ok()?;
        text.contains("DISPLAY=").then_some(text)
    });
    assert!(!environment.contains(SECRET), "{environment}");
}

/// What somebody brings, by their state, the address of another login, and what that was given.
type Bring = fn(&str, &str, Value) -> String;

#[test]
fn a_code_is_good_for_one_login() {
    let provider = Provider::start(false);
    let module = provider.module("bulkhead", "");
    let log_in = |change: Bring| {
        let (used, log_in) = (
            Arc::new(Mutex::new(None)),
            provider.client(Options::gtk(), "ann"),
        );
        let visit = log_in.visit.clone().unwrap();
        log_in.visit(move |address| {
            let mut used = used.lock().unwrap();
            // The first login is as it should be, and what it was sent for is what others bring.
            let (first, said) = used.get_or_insert_with(|| {
                let said: Value = serde_json::from_slice(&(visit.0)(address)).unwrap();
                (address.to_owned(), said)
            });
            if first == address {
                return said.to_string().into_bytes();
            }
            change(query(address, "state"), first, said.clone()).into_bytes()
        })
    };
    let cases: [(Bring, &str); 6] = [
        // Of another connection, and used: its state tells, and without that the provider.
        (
            |_, _, said| said.to_string(),
            "has not the state of this login",
        ),
        (
            |state, _, said| json!({"code": said["code"], "state": state}).to_string(),
            "does not take the code: invalid_grant",
        ),
        (
            |_, _, said| json!({"code": said["code"]}).to_string(),
            "has not the state of this login",
        ),
        (
            |state, _, _| json!({"code": "whatever", "state": state}).to_string(),
            "does not take the code: invalid_grant",
        ),
        (
            |state, _, _| json!({"error": "access_denied", "state": state}).to_string(),
            "was refused by the provider: \\\"access_denied\\\"",
        ),
        (
            |state, _, _| format!("{state}{}", "x".repeat(4000)),
            "sends no JSON text",
        ),
    ];
    for cases in cases.chunks(2) {
        let (session, [port]) = session([&module]);
        for (change, why) in cases {
            let options = log_in(*change);
            assert!(is_let_in(port, &options), "{why}");
            assert!(!is_let_in(port, &options), "{why}");
            session.logged(&[why]);
        }
    }
}

/// A code that nobody has used, for the address of one login, changed on the way.
#[test]
fn a_code_belongs_to_what_was_asked() {
    let provider = Provider::start(false);
    let (session, [port]) = session([&provider.module("bulkhead", "")]);
    let changed = |name: &'static str| {
        let log_in = provider.client(Options::gtk(), "ann");
        let visit = log_in.visit.clone().unwrap();
        log_in.visit(move |address| {
            let value = query(address, name);
            let other: String = value.chars().rev().collect();
            (visit.0)(&address.replace(value, &other))
        })
    };
    assert!(!is_let_in(port, &changed("nonce")));
    session.logged(&["auth-keycloak", "its nonce is not ours"]);
    assert!(!is_let_in(port, &changed("code_challenge")));
    session.logged(&["does not take the code: invalid_grant"]);
    assert!(!is_let_in(port, &changed("state")));
    session.logged(&["has not the state of this login"]);
}

/// Two connections at a time: what one was given, unused, is brought by the other.
#[test]
fn a_code_of_another_connection_is_no() {
    let provider = Provider::start(false);
    let (session, [port]) = session([&provider.module("bulkhead", "")]);
    let log_in = provider.client(Options::gtk(), "ann").visit.unwrap();
    let options = Options::gtk().visit(move |own| {
        // Somebody else comes, and waits.
        let (tell, told) = std::sync::mpsc::channel();
        let tell = Mutex::new(tell);
        let other = Options::gtk().visit(move |address| {
            tell.lock().unwrap().send(address.to_owned()).unwrap();
            Vec::new()
        });
        assert!(!is_let_in(port, &other));
        let said = (log_in.0)(&told.recv().unwrap());
        let said: Value = serde_json::from_slice(&said).unwrap();
        let state = query(own, "state");
        json!({"code": said["code"], "state": state})
            .to_string()
            .into_bytes()
    });
    assert!(!is_let_in(port, &options));
    session.logged(&["auth-keycloak", "does not take the code: invalid_grant"]);
}

#[test]
fn a_provider_that_is_away_is_no() {
    let mut provider = Provider::start(false);
    let (session, [port]) = session([&provider.module("bulkhead", ",timeout=2")]);
    let ann = provider.client(Options::gtk(), "ann");
    let stop = |provider: &Provider, signal| {
        let pid = i32::try_from(provider.process().id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    };
    stop(&provider, Signal::SIGSTOP);
    let nobody = Options::gtk().visit(|address| panic!("sent to {address}"));
    let begin = Instant::now();
    assert!(!is_let_in(port, &nobody));
    assert!(begin.elapsed() < Duration::from_secs(10));
    session.logged(&["auth-keycloak", "has not answered in time"]);
    stop(&provider, Signal::SIGCONT);
    assert!(is_let_in(port, &ann));
    // It goes while somebody is there.
    let port_of_it = provider.port;
    let pid = i32::try_from(provider.process().id()).unwrap();
    let visit = ann.visit.clone().unwrap();
    let gone = ann.clone().visit(move |address| {
        let said = (visit.0)(address);
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        eventually("the end of the provider", LONG, || {
            std::net::TcpStream::connect(("127.0.0.1", port_of_it)).err()
        });
        said
    });
    assert!(!is_let_in(port, &gone));
    session.logged(&["auth-keycloak", "the server refuses connections"]);
    provider.replace();
    assert!(is_let_in(port, &ann));
}

fn encode(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// What a puppet says where codes are exchanged; it is told the nonce of the login.
type Says = fn(&Signer, &str) -> Option<Vec<u8>>;

/// A provider's key, and its name.
struct Signer {
    pair: EcdsaKeyPair,
    issuer: String,
}

impl Signer {
    fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        json!({"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig", "x": x, "y": y})
    }

    fn claims(&self, nonce: &str) -> Value {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        json!({"iss": self.issuer, "sub": "1", "aud": "bulkhead", "exp": now + 60, "iat": now,
            "nonce": nonce})
    }

    /// A token with another value there.
    fn with(&self, nonce: &str, name: &str, value: Value) -> Option<Vec<u8>> {
        let mut claims = self.claims(nonce);
        claims[name] = value;
        self.token(&json!({"alg": "ES256", "kid": "k"}), &claims)
    }

    fn token(&self, header: &Value, claims: &Value) -> Option<Vec<u8>> {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = match header["alg"].as_str().unwrap() {
            "none" => String::new(),
            // With what everybody knows: the public key, as it is written.
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.public().to_string().as_bytes());
                URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()))
            }
            _ => {
                let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes());
                URL_SAFE_NO_PAD.encode(signature.unwrap())
            }
        };
        let token = json!({"id_token": format!("{message}.{signature}"), "token_type": "Bearer",
            "access_token": "an-access-token"});
        text(&token.to_string())
    }
}

const GOOD: Says = |it, nonce| it.with(nonce, "sub", json!("1"));

fn huge() -> Option<Vec<u8>> {
    let mut text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..1000 {
        text.extend_from_slice(format!("1000\r\n{}\r\n", "x".repeat(4096)).as_bytes());
    }
    Some(text)
}

#[test]
fn what_a_provider_cannot_say_is_no() {
    let cases: [(&str, Says, &str); 18] = [
        ("good", GOOD, ""),
        (
            "expired",
            |it, nonce| it.with(nonce, "exp", json!(1_000_000_000)),
            "has expired,",
        ),
        (
            "issuer",
            |it, nonce| it.with(nonce, "iss", json!("https://evil.test")),
            "is of the provider",
        ),
        (
            "audience",
            |it, nonce| it.with(nonce, "aud", json!("others")),
            "is for the client",
        ),
        (
            "nonce",
            |it, _| it.with("another", "sub", json!("1")),
            "its nonce is not ours",
        ),
        (
            "none",
            |it, nonce| it.token(&json!({"alg": "none"}), &it.claims(nonce)),
            "is signed by \\\"none\\\", which is not done here",
        ),
        (
            "the public key as a secret",
            |it, nonce| it.token(&json!({"alg": "HS256", "kid": "k"}), &it.claims(nonce)),
            "is signed by \\\"HS256\\\", which is not done here",
        ),
        (
            "an unknown key",
            |it, nonce| it.token(&json!({"alg": "ES256", "kid": "other"}), &it.claims(nonce)),
            "with the key \\\"other\\\", which the provider does not have",
        ),
        (
            "another key of that name",
            |it, nonce| {
                let other = Signer::new(&it.issuer);
                other.with(nonce, "sub", json!("1"))
            },
            "has a wrong signature",
        ),
        (
            "another access token",
            |it, nonce| it.with(nonce, "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
            "belongs to another access token",
        ),
        ("no token", |_, _| text("{}"), "gives no identity token"),
        (
            "garbage",
            |_, _| Some(b"\0garbage\r\n\r\n".to_vec()),
            "is not HTTP/1.1",
        ),
        (
            "deep",
            |_, _| text(&"[".repeat(100_000)),
            "gives no identity token",
        ),
        ("huge", |_, _| huge(), "the provider's answer is too long"),
        ("silent", |_, _| None, "has not answered in time"),
        (
            "elsewhere",
            |_, _| {
                let head =
                    "HTTP/1.1 302 x\r\nlocation: http://evil.test/\r\ncontent-length: 0\r\n\r\n";
                Some(head.into())
            },
            "the provider's token_endpoint answers 302",
        ),
        (
            "not now",
            |_, _| Some(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n".to_vec()),
            "the provider's token_endpoint answers 503",
        ),
        ("good again", GOOD, ""),
    ];
    let says = Arc::new(Mutex::new((cases[0].1, String::new())));
    let told = Arc::clone(&says);
    let puppet = Puppet::start(move |place| {
        let (place, signer) = (
            place.to_owned(),
            Signer::new(&format!("{place}/realms/test")),
        );
        Arc::new(move |path: &str| {
            match path {
            "/realms/test/.well-known/openid-configuration" => text(
                &json!({"issuer": signer.issuer, "authorization_endpoint": format!("{place}/auth"),
                    "token_endpoint": format!("{place}/token"), "jwks_uri": format!("{place}/keys")})
                .to_string(),
            ),
            "/keys" => text(&json!({"keys": [signer.public()]}).to_string()),
            "/token" => {
                let (says, nonce) = told.lock().unwrap().clone();
                says(&signer, &nonce)
            }
            other => panic!("{other}"),
        }
        })
    });
    let module = puppet.module(",timeout=4");
    for cases in cases.chunks(4) {
        let (session, [port]) = session([&module]);
        for (name, answer, why) in cases {
            let says = Arc::clone(&says);
            let answer = *answer;
            let options = Options::gtk().visit(move |address| {
                *says.lock().unwrap() = (answer, query(address, "nonce").to_owned());
                json!({"code": "c", "state": query(address, "state")})
                    .to_string()
                    .into_bytes()
            });
            let begin = Instant::now();
            assert_eq!(is_let_in(port, &options), why.is_empty(), "{name}");
            assert!(begin.elapsed() < Duration::from_secs(12), "{name}");
            if !why.is_empty() {
                session.logged(&["auth-keycloak", why]);
            }
        }
        is_clean(&session, &["an-access-token", SECRET]);
    }
}

impl Signer {
    fn new(issuer: &str) -> Self {
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            issuer: issuer.to_owned(),
        }
    }
}

/// What is wrong with the description of a provider at this place.
type Change = fn(&str, &mut Value);

/// Before anybody is sent anywhere.
#[test]
fn what_a_provider_cannot_say_of_itself_is_no() {
    let description = |change: Change| {
        Puppet::start(move |place| {
            let mut it = json!({"issuer": format!("{place}/realms/test"),
                "authorization_endpoint": format!("{place}/auth"),
                "token_endpoint": format!("{place}/token"), "jwks_uri": format!("{place}/keys")});
            change(place, &mut it);
            let description = it.to_string();
            Arc::new(move |path: &str| match path {
                "/keys" => text(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#),
                _ => text(&description),
            })
        })
    };
    let cases: [(Change, &str); 4] = [
        (|_, _| {}, "keys have none that can be used"),
        (|place, it| it["issuer"] = json!(place), "description is of"),
        (
            |_, it| it["token_endpoint"] = json!("http://evil.test/token"),
            "has its token_endpoint at",
        ),
        (
            |_, it| it["code_challenge_methods_supported"] = json!(["plain"]),
            "`S256` (PKCE)",
        ),
    ];
    let puppets = cases.map(|(change, _)| description(change));
    let modules = puppets.each_ref().map(|puppet| puppet.module(""));
    let (session, ports) = session(modules.each_ref().map(String::as_str));
    let nobody = Options::gtk().visit(|address| panic!("sent to {address}"));
    for (port, (_, why)) in ports.into_iter().zip(cases) {
        assert!(!is_let_in(port, &nobody));
        session.logged(&["auth-keycloak", why]);
    }
}

/// Who cannot answer is told so, and the provider is not asked.
#[test]
fn who_has_no_pages_is_told() {
    let provider = Provider::start(false);
    let (_session, [port]) = session([&provider.module("bulkhead", "")]);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let error = Client::connect(&address, &Options::gtk(), LONG)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("'keycloak' digest support"),
        "{error}"
    );
    assert_eq!(provider.asked("openid-configuration"), 0);
}
