//! Security A24 by the clock: how long a refusal takes does not tell whether there is such a user.
//!
//! `workers/auth/tests/timing.rs` counts instructions, which finds less than a clock can. This is the whole
//! of it as a client sees it: the check's process, its database or server, the answer. On a machine with two
//! processors it finds that one hash is not computed where the user is unknown, and nothing that is much shorter.

use bulkhead_tests::databases::Files;
use bulkhead_tests::kdc::{self, Kdc};
use bulkhead_tests::pam::PasswordFile;
use bulkhead_tests::security_keys::KeyFiles;
use bulkhead_tests::session::{KEY, Session, Start, encrypted_socket};
use bulkhead_tests::slapd::Slapd;
use bulkhead_tests::source::connect_from;
use bulkhead_tests::sql_servers::SqlServer;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};
use test_client::wire::cipher::Mode;
use test_client::wire::hello::{ClientHello, Request};
use test_client::{Client, Options};

const LONG: Duration = Duration::from_secs(60);
/// Each is guessed at once, and so are as many who do not exist.
const USERS: u8 = 48;
/// So many come to a socket at a time.
const AT_A_TIME: u8 = 4;
const PASSWORD: &str = kdc::ALICE;
/// Standard deviations of the sum of ranks. Chance alone gets there once in 150000 times.
const TOO_FAR: f64 = 4.5;

/// Of users, and of others.
type Took = [Vec<Duration>; 2];

/// A module's socket.
struct Socket {
    bind: String,
    port: u16,
    number: u8,
    /// The password itself is sent.
    xor: bool,
}

impl Socket {
    fn options(&self, user: &str, password: &str) -> Options {
        let mut options = Options::gtk();
        options.hello = ClientHello::command_line(options.hello.identity, Some(Request::Info));
        options = options.username(user).encrypted(Mode::Gcm, KEY.as_bytes());
        options.password = Some(password.into());
        options.xor = self.xor;
        options
    }

    /// How long the answer takes, from the connection on.
    fn comes(&self, from: u8, user: &str, password: &str) -> (Duration, Result<(), String>) {
        let options = self.options(user, password);
        let stream = connect_from([11, self.number, from], self.port).unwrap();
        let start = Instant::now();
        let outcome = Client::on(stream, &options).handshake(LONG);
        (start.elapsed(), outcome.map_err(|error| error.to_string()))
    }

    /// Users with a wrong password and as many who are no users, in any order, each from an address of its own:
    /// how long those took.
    fn refuses(&self, numbers: impl Iterator<Item = u8>) -> Took {
        let order = RandomState::new();
        let mut took = Took::default();
        for number in numbers {
            let unknown_first = order.hash_one(number).is_multiple_of(2);
            for unknown in [unknown_first, !unknown_first] {
                let name = if unknown { "nobody" } else { "person" };
                let user = format!("{name}{number:02}");
                let from = number + if unknown { 100 } else { 0 };
                let (time, outcome) = self.comes(from, &user, "wrong");
                let said = outcome.expect_err("the password is wrong");
                assert!(said.ends_with("authentication failed"), "{user}: {said}");
                took[usize::from(unknown)].push(time);
            }
        }
        took
    }
}

/// How far the ranks of the first are from what chance would do, in standard deviations (the test of Mann
/// and Whitney: whatever the distribution, and one that took long counts as one).
fn distance([first, second]: &Took) -> f64 {
    let greater = |one: &Duration| second.iter().filter(|other| one > *other).count();
    let equal = |one: &Duration| second.iter().filter(|other| one == *other).count();
    let wins: f64 = first
        .iter()
        .map(|one| greater(one) as f64 + equal(one) as f64 / 2.0)
        .sum();
    let (n, m) = (first.len() as f64, second.len() as f64);
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[test]
fn the_distance_is_that_of_a_table() {
    let times = |times: &[u64]| times.iter().map(|ms| Duration::from_millis(*ms)).collect();
    let far = distance(&[times(&[1, 2, 3, 4]), times(&[5, 6, 7, 8])]);
    // U is 0, its mean 8, and its variance 12.
    assert!((far + 8.0 / 12.0f64.sqrt()).abs() < 1e-9, "{far}");
    assert!(distance(&[times(&[1, 4]), times(&[2, 3])]).abs() < 1e-9);
    assert!(distance(&[times(&[1, 1]), times(&[1, 1])]).abs() < 1e-9);
}

#[test]
fn a_refusal_does_not_tell_who_is_a_user() {
    let names: Vec<_> = (1..=USERS)
        .map(|number| format!("person{number:02}"))
        .collect();
    let people = || names.iter().map(String::as_str);
    let all = || people().chain(["alice"]);
    let texts: Vec<_> = all().map(|name| (name, PASSWORD)).collect();
    let bytes: Vec<_> = people()
        .map(|name| (name.to_owned(), PASSWORD.as_bytes()))
        .collect();
    let files = KeyFiles::new();
    let lines: String = all().map(|name| format!("{name}|{PASSWORD}|\n")).collect();
    let users = files.write("users", &lines);
    bulkhead_tests::commands::chmod(&users, 0o600);
    let databases = Files::new();
    for name in all() {
        databases.passwd("hashed", &["add", name], PASSWORD);
    }
    let postgresql = SqlServer::postgresql(&texts);
    let slapd = Slapd::with_people(&bytes);
    let kdc = Kdc::start();
    // The directory and the realm have their own alice.
    for name in people() {
        kdc.change(&format!("addprinc -pw \"{PASSWORD}\" {name}"));
    }
    let pam = PasswordFile::with_users(&texts);
    let ldap = format!(
        "ldap(host=127.0.0.1,port={},timeout=50,username_format=(uid=%username,ou=people,dc=test))",
        slapd.port
    );
    let modules = [
        (format!("multifile(filename={})", users.display()), false),
        (
            format!("sqlite(filename={})", databases.path("hashed").display()),
            true,
        ),
        (postgresql.module(""), false),
        (ldap, true),
        (kdc.module("kerberos-password", Start::User), true),
        (pam.module(), true),
    ];
    let sockets: Vec<_> = (1..)
        .zip(modules)
        .map(|(number, (module, xor))| {
            let (port, bind) = encrypted_socket(&module);
            Socket {
                bind,
                port,
                number,
                xor,
            }
        })
        .collect();
    let options: Vec<_> = ["--sharing=yes"]
        .into_iter()
        .chain(sockets.iter().map(|socket| socket.bind.as_str()))
        .collect();
    let session = Session::start(&options);
    std::thread::scope(|scope| {
        let begin = |socket| {
            let (_, right) = Socket::comes(socket, 250, "alice", PASSWORD);
            assert_eq!(right, Ok(()), "{}", socket.bind);
            let of = move |first| (first..=USERS).step_by(usize::from(AT_A_TIME));
            let begun = (1..=AT_A_TIME)
                .map(|first| scope.spawn(move || Socket::refuses(socket, of(first))));
            (socket, begun.collect::<Vec<_>>())
        };
        let begun: Vec<_> = sockets.iter().map(begin).collect();
        for (socket, begun) in begun {
            let mut took = Took::default();
            for [users, others] in begun.into_iter().map(|one| one.join().unwrap()) {
                took[0].extend(users);
                took[1].extend(others);
            }
            let far = distance(&took);
            let medians = took.each_mut().map(|times| {
                times.sort();
                times[times.len() / 2]
            });
            let [known, unknown] = medians;
            println!(
                "{}: a user {known:?}, nobody {unknown:?}: {far:.1}",
                socket.bind
            );
            assert!(far.abs() < TOO_FAR, "{}: {took:?}", socket.bind);
        }
    });
    drop(session);
}
