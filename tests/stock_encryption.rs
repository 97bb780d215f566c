//! AES with the stock Xpra 6.5.5 client, CFB with 6.4.4, and GCM, which no stock client has, with our own.

use bulkhead_tests::eventually;
use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::session::{KEY, PASSWORD, Session, free_port};
use bulkhead_tests::stock::{self, StockClient, Via};
use std::time::Duration;
use test_client::wire::cipher::{KeySize, Mode};
use test_client::{Address, Client, Error, Options};

const LONG: Duration = Duration::from_secs(30);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30 -e tee typed.txt";

/// A session whose TCP socket demands this mode.
fn session(mode: &str, more: &[&str]) -> Session {
    let encryption = format!("--tcp-encryption={mode}");
    let options = [XTERM, &encryption, "--tcp-encryption-keyfile=key.txt"];
    Session::start(&[&options[..], more].concat())
}

#[test]
fn a_person_types_in_an_encrypted_session() {
    for mode in ["AES-CBC", "AES-CTR"] {
        let session = session(mode, &[]);
        let screen = ClientScreen::start(1280, 800);
        let _client = StockClient::attach(&session, &screen, Via::Encrypted(mode, "key.txt"));
        let x11 = session.screen();
        let inside = eventually("the window in the session", LONG, || {
            x11.window_named("wanted")
        });
        let outside = eventually("the window at the client", LONG, || {
            screen.screen.window_named("wanted")
        });
        screen.activate("wanted");
        screen.xdotool(&["type", "--delay", "20", "a word"]);
        screen.xdotool(&["key", "Return"]);
        eventually("the text in the application", LONG, || {
            (session.typed() == "a word\n").then_some(())
        });
        eventually("both pictures are the same, and not empty", LONG, || {
            let (wanted, shown) = (x11.picture(inside)?, screen.screen.picture(outside)?);
            (wanted.difference(&shown) == Some(0) && wanted.colours() > 1).then_some(())
        });
        // Which mode a connection uses is in the log.
        let named = format!("by file, encrypted with {mode}");
        session
            .process()
            .wait_for_line(LONG, |line| line.contains(&named));
    }
}

#[test]
fn the_command_line_tools_need_the_key() {
    for mode in ["AES-CBC", "AES-CTR"] {
        let session = session(mode, &[]);
        std::fs::write(session.home().join("other.txt"), "another key").unwrap();
        let ask = |via, words: &[&str]| {
            let output = stock::run(&session, via, words);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success(), said, output)
        };
        let (right, wrong) = (
            Via::Encrypted(mode, "key.txt"),
            Via::Encrypted(mode, "other.txt"),
        );
        for (words, expected) in [
            (["info"], "server.mode=seamless"),
            (["id"], "session-type=seamless"),
            (["version"], "6.5"),
        ] {
            let (success, said, output) = ask(right, &words);
            assert!(success && said.contains(expected), "{mode} {output:?}");
        }
        for (via, what) in [(wrong, "another key"), (Via::Tcp, "no key")] {
            let (success, said, output) = ask(via, &["info"]);
            assert!(!success && !said.contains("server."), "{what}: {output:?}");
        }
        session
            .process()
            .wait_for_line(LONG, |line| line.contains("is its key another?"));
        session.process().wait_for_line(LONG, |line| {
            line.contains(&format!("attach with --encryption={mode}"))
        });
        // The session goes on, and ends when somebody with the key says so.
        let (success, _, output) = ask(right, &["stop"]);
        assert!(success, "{output:?}");
    }
}

/// The last stock client that has CFB.
#[test]
fn cfb_with_the_last_client_that_has_it() {
    let session = session("AES-CFB", &[]);
    std::fs::write(session.home().join("other.txt"), "another key").unwrap();
    let target = format!("tcp://127.0.0.1:{}/", session.port);
    let password = format!(
        "--password-file={}",
        session.home().join("password.txt").display()
    );
    for (key, is_right) in [("key.txt", true), ("other.txt", false)] {
        for mode in ["AES-CFB", "AES-CTR"] {
            let key = format!(
                "--encryption-keyfile={}",
                session.home().join(key).display()
            );
            let mode_option = format!("--encryption={mode}");
            for (command, expected) in [
                ("info", "server.mode=seamless"),
                ("id", "session-type=seamless"),
                ("version", "6.5"),
            ] {
                let output =
                    stock::run_cfb(&session, &[command, &target, &mode_option, &key, &password]);
                let said = String::from_utf8_lossy(&output.stdout);
                let expected = output.status.success() && said.contains(expected);
                assert_eq!(expected, is_right && mode == "AES-CFB", "{mode} {output:?}");
            }
        }
    }
}

/// Smaller keys, which the stock clients take from their environment, where a socket says so.
#[test]
fn the_stock_clients_have_smaller_keys_too() {
    let sizes = [("128", "16"), ("192", "24"), ("256", "32")];
    let sockets: Vec<_> = ["AES-CBC", "AES-CTR", "AES-CFB"]
        .into_iter()
        .flat_map(|mode| sizes.map(|(bits, _)| (mode, bits, free_port())))
        .collect();
    let binds: Vec<_> = sockets
        .iter()
        .map(|(mode, bits, port)| {
            format!(
                "--bind-tcp=127.0.0.1:{port},auth=file(filename=password.txt),encryption={mode},\
                 keyfile=key.txt,encryption-key-size={bits}"
            )
        })
        .collect();
    let binds: Vec<_> = binds.iter().map(String::as_str).collect();
    let session = Session::start(&binds);
    let file = |name: &str| session.home().join(name).display().to_string();
    let password = format!("--password-file={}", file("password.txt"));
    let key = format!("--encryption-keyfile={}", file("key.txt"));
    let answers = |mode: &str, port: u16, bytes: &str| {
        let target = format!("tcp://127.0.0.1:{port}/");
        let mode_option = format!("--encryption={mode}");
        let words = ["info", &target, &mode_option, &key, &password];
        let variables = [("XPRA_CRYPTO_KEYSIZE", bytes.to_owned())];
        let output = match mode {
            "AES-CFB" => stock::run_cfb_with(&session, &variables, &words),
            _ => stock::run_with(&session, &variables, &words),
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let yes = output.status.success();
        assert_eq!(yes, said.contains("server.mode=seamless"), "{output:?}");
        yes
    };
    for (mode, bits, port) in sockets {
        let size = sizes.iter().find(|(size, _)| *size == bits).unwrap();
        assert!(answers(mode, port, size.1), "{mode} {bits}");
        // Each failure counts: one of each mode has a key of another size.
        if bits == "128" {
            assert!(!answers(mode, port, "32"), "{mode} {bits}");
        }
    }
}

/// Every mode and key size with a client of ours: GCM is not in the stock client, CFB not any more.
#[test]
fn every_mode_and_key_size_end_to_end() {
    for (name, mode) in [
        ("AES-CBC", Mode::Cbc),
        ("AES-CTR", Mode::Ctr),
        ("AES-CFB", Mode::Cfb),
        ("AES-GCM", Mode::Gcm),
    ] {
        for (bits, size) in [
            ("128", KeySize::Aes128),
            ("192", KeySize::Aes192),
            ("256", KeySize::Aes256),
        ] {
            let port = free_port();
            let bind = format!(
                "--bind-tcp=127.0.0.1:{port},auth=password,value={PASSWORD},encryption={name},\
                 keyfile=key.txt,encryption-key-size={bits}"
            );
            let session = Session::start(&[XTERM, &bind]);
            let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
            let mut options = Options::gtk()
                .password(PASSWORD)
                .encrypted(mode, KEY.as_bytes());
            options.encryption.as_mut().unwrap().size = size;
            let mut client = Client::connect(&address, &options, LONG).unwrap();
            client
                .wait_for(
                    |state| state.windows.values().any(|window| window.draws > 0),
                    LONG,
                )
                .unwrap();
            let window = *client.state().windows.keys().next().unwrap();
            client.focus(Some(window)).unwrap();
            client.type_text(window, "sealed\n").unwrap();
            eventually("the text in the application", LONG, || {
                (session.typed() == "sealed\n").then_some(())
            });
            // A key of another size is refused before anything is derived for it.
            let other = match size {
                KeySize::Aes256 => KeySize::Aes128,
                KeySize::Aes128 | KeySize::Aes192 => KeySize::Aes256,
            };
            options.encryption.as_mut().unwrap().size = other;
            assert!(Client::connect(&address, &options, LONG).is_err());
            // So is the right key without the password.
            options.encryption.as_mut().unwrap().size = size;
            options.password = Some(b"wrong".to_vec());
            let refused = Client::connect(&address, &options, LONG).err();
            assert!(
                matches!(&refused, Some(Error::Disconnected(why)) if why[0].contains("authentication")),
                "{refused:?}"
            );
        }
    }
}
