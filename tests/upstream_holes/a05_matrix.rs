//! A5 and A6, whole: each kind of listener, with each protection, against each way to come in and each
//! way to do without a password. What there is comes from the product's own types, and a `match`
//! without a wildcard stands for each: what is new there does not compile here before it has its rows.

use crate::peer::{LONG, sharing};
use bulkhead_cli::bind::{Host, TcpAddress, UnixAddress};
use bulkhead_network::transport::Transport;
use bulkhead_tests::commands::{chmod, test_user};
use bulkhead_tests::session::{KEY, PASSWORD, Session, free_port};
use bulkhead_tests::source::connect_from;
use bulkhead_tests::tls;
use ipc::keys::{AesMode, Encryption};
use ipc::spec::ListenerKind;
use std::fs::{File, OpenOptions};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use test_client::wire::cipher::Mode;
use test_client::wire::hello::{ClientHello, Request};
use test_client::wire::packet::{ServerPacket, UpgradePacket};
use test_client::{Address, Client, Error};

/// Clients at a time: a session has places for 64 strangers, and some of them are held all along.
const AT_ONCE: usize = 14;

/// What a socket demands of what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demands {
    Nothing,
    Aes(AesMode),
    Tls,
    /// TLS or nothing; are those in clear asked to change?
    Either {
        asks: bool,
    },
}

/// How the bytes of a client come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Clear,
    /// In the socket's mode of AES, if it has one.
    Aes,
    AnotherKey,
    Tls,
    /// In clear first.
    Changing,
}

/// What a client does for its entrance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    /// Not a packet.
    Silence,
    /// One hello, and no answer to what it is asked.
    NoAnswer,
    /// A hello for the session where an answer was wanted.
    HelloAgain,
    /// The same, for what `info` tells.
    InfoAgain,
    WrongAnswer,
    /// The right one, with which a client of `sharing` comes.
    Right,
}

const TRIES: [Try; 6] = [
    Try::Silence,
    Try::NoAnswer,
    Try::HelloAgain,
    Try::InfoAgain,
    Try::WrongAnswer,
    Try::Right,
];

/// Every one of them, from the one that comes after each.
fn all<T: Copy>(after: impl Fn(Option<T>) -> Option<T>) -> Vec<T> {
    std::iter::successors(after(None), |one| after(Some(*one))).collect()
}

fn kinds() -> Vec<ListenerKind> {
    all(|kind| match kind {
        None => Some(ListenerKind::Unix),
        Some(ListenerKind::Unix) => Some(ListenerKind::Tcp),
        Some(ListenerKind::Tcp) => None,
    })
}

fn modes() -> Vec<AesMode> {
    all(|mode| match mode {
        None => Some(AesMode::Cbc),
        Some(AesMode::Cbc) => Some(AesMode::Ctr),
        Some(AesMode::Ctr) => Some(AesMode::Cfb),
        Some(AesMode::Cfb) => Some(AesMode::Gcm),
        Some(AesMode::Gcm) => None,
    })
}

fn on_the_wire(mode: AesMode) -> Mode {
    match mode {
        AesMode::Cbc => Mode::Cbc,
        AesMode::Ctr => Mode::Ctr,
        AesMode::Cfb => Mode::Cfb,
        AesMode::Gcm => Mode::Gcm,
    }
}

/// What sockets of a kind can demand. The other `match` is never run: [`Demands`] is about what a
/// listener is told, all of it.
fn demands(kind: ListenerKind) -> Vec<Demands> {
    const _: fn(&Option<Encryption>) -> Demands = |told| match told {
        None => Demands::Nothing,
        Some(Encryption::Aes(mode)) => Demands::Aes(*mode),
        Some(Encryption::Tls(tls)) => match (tls.optional, tls.upgrade) {
            (false, _) => Demands::Tls,
            (true, asks) => Demands::Either { asks },
        },
    };
    let mut demands = vec![Demands::Nothing];
    demands.extend(modes().into_iter().map(Demands::Aes));
    match kind {
        // TLS is for network sockets: anything else is refused at the start.
        ListenerKind::Unix => {}
        ListenerKind::Tcp => demands.extend([
            Demands::Tls,
            Demands::Either { asks: true },
            Demands::Either { asks: false },
        ]),
    }
    demands
}

/// The ways to sockets of a kind. The functions that are never run hold that each state of a transport
/// and each packet of the only upgrade are behind one of them.
fn ways(kind: ListenerKind) -> &'static [Way] {
    const _: fn(&Transport) -> &'static [Way] = |transport| match transport {
        Transport::Plain => &[Way::Clear, Way::Aes, Way::AnotherKey],
        Transport::Either(_) => &[Way::Clear, Way::Tls],
        Transport::Clear(_) => &[Way::Changing],
        Transport::Tls(..) => &[Way::Tls, Way::Changing],
    };
    const _: fn(&UpgradePacket) -> Way = |packet| match packet {
        UpgradePacket::Agreed => Way::Changing,
        // Who leaves has no way in.
        UpgradePacket::Disconnect(_) => Way::Clear,
    };
    match kind {
        ListenerKind::Unix => &[Way::Clear, Way::Aes, Way::AnotherKey],
        ListenerKind::Tcp => &[
            Way::Clear,
            Way::Aes,
            Way::AnotherKey,
            Way::Tls,
            Way::Changing,
        ],
    }
}

/// Who knows the password is let in.
fn serves(demands: Demands, way: Way) -> bool {
    match (demands, way) {
        (Demands::Nothing | Demands::Either { .. }, Way::Clear) => true,
        (Demands::Aes(_), Way::Aes) => true,
        (Demands::Tls | Demands::Either { .. }, Way::Tls) => true,
        (Demands::Either { asks }, Way::Changing) => asks,
        (Demands::Nothing, Way::Aes | Way::AnotherKey | Way::Tls | Way::Changing) => false,
        (Demands::Aes(_), Way::Clear | Way::AnotherKey | Way::Tls | Way::Changing) => false,
        (Demands::Tls, Way::Clear | Way::Aes | Way::AnotherKey | Way::Changing) => false,
        (Demands::Either { .. }, Way::Aes | Way::AnotherKey) => false,
    }
}

/// The options of a socket.
fn said(demands: Demands) -> String {
    let tls = "ssl-cert=tls-cert.pem,ssl-key=tls-key.pem";
    let more = match demands {
        Demands::Nothing => String::new(),
        Demands::Aes(mode) => format!(",encryption={},keyfile=key.txt", mode.name()),
        Demands::Tls => format!(",{tls}"),
        Demands::Either { asks: true } => format!(",ssl=on,{tls}"),
        Demands::Either { asks: false } => format!(",ssl=on,ssl-upgrade=no,{tls}"),
    };
    // Each client is a user of its own: no guess at one counts against another.
    format!("auth=password(value={PASSWORD},client-username=yes){more}")
}

/// Where a client finds a socket.
#[derive(Debug)]
enum Place {
    Tcp(u16),
    Abstract(String),
    /// The abstract name of `auto`, where the kernel has to call the client the owner, or root, first.
    Guarded(String),
    /// Open as a place only, so that users can connect who could not go there.
    Path(File),
}

#[derive(Debug)]
struct Door {
    place: Place,
    demands: Demands,
}

/// A session with every socket of a kind.
fn doors(kind: ListenerKind, directory: &std::path::Path) -> (Session, Vec<Door>) {
    let mut options = vec!["--start=xterm".to_owned(), "--sharing=yes".to_owned()];
    match kind {
        ListenerKind::Tcp => {
            let mut doors = Vec::new();
            for demands in demands(kind) {
                let port = free_port();
                let host = match Host::Default {
                    // Which interface it is changes nothing but who can reach it.
                    host @ (Host::Default | Host::Any | Host::Name(_)) => host,
                };
                let option = match demands {
                    Demands::Tls => "bind-ssl",
                    Demands::Nothing | Demands::Aes(_) | Demands::Either { .. } => "bind-tcp",
                };
                let address = TcpAddress { host, port };
                options.push(format!("--{option}={address},{}", said(demands)));
                let place = Place::Tcp(port);
                doors.push(Door { place, demands });
            }
            (start(&options), doors)
        }
        ListenerKind::Unix => {
            options.push("--socket-permissions=666".to_owned());
            let mut wanted = Vec::new();
            for (number, demands) in (0..).zip(demands(kind)) {
                for address in unix_addresses(number, directory) {
                    let own = address == UnixAddress::Auto;
                    if !own || demands == Demands::Nothing {
                        options.push(format!("--bind={address},{}", said(demands)));
                        wanted.push((address, demands));
                    }
                }
            }
            let session = start(&options);
            let doors = wanted.iter().flat_map(|(address, demands)| {
                let places = places(address, &session).into_iter();
                places.map(|place| Door {
                    place,
                    demands: *demands,
                })
            });
            let doors = doors.collect();
            (session, doors)
        }
    }
}

fn start(options: &[String]) -> Session {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Session::start(&options)
}

/// One of each, with this number in it.
fn unix_addresses(number: u32, directory: &std::path::Path) -> Vec<UnixAddress> {
    let after = |address: &Option<UnixAddress>| match address {
        None => Some(UnixAddress::Auto),
        Some(UnixAddress::Auto) => {
            let path = directory.join(format!("socket-{number}"));
            Some(UnixAddress::Path(path))
        }
        Some(UnixAddress::Path(_)) => {
            let place = directory.join(format!("directory-{number}/"));
            std::fs::create_dir(&place).unwrap();
            chmod(&place, 0o755);
            let user = test_user();
            nix::unistd::chown(&place, Some(user.uid), Some(user.gid)).unwrap();
            Some(UnixAddress::Directory(place))
        }
        Some(UnixAddress::Directory(_)) => {
            let name = format!("bulkhead-matrix-{}-{number}", std::process::id());
            Some(UnixAddress::Abstract(name))
        }
        // The sockets of `auto` but one, and no socket.
        Some(UnixAddress::Abstract(_) | UnixAddress::NoAbstract | UnixAddress::None) => None,
    };
    let first = after(&None);
    std::iter::successors(first, |one| after(&Some(one.clone()))).collect()
}

/// The sockets of an address.
fn places(address: &UnixAddress, session: &Session) -> Vec<Place> {
    let path = |path: PathBuf| {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(&path);
        let opened = opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Place::Path(opened)
    };
    let by_host = |directory: &std::path::Path| {
        let names = std::fs::read_dir(directory).unwrap();
        let end = format!("-{}", session.display);
        let found = names.map(|name| name.unwrap().path());
        let mut found = found.filter(|name| name.to_string_lossy().ends_with(&end));
        path(found.next().expect("a socket HOSTNAME-N"))
    };
    match address {
        UnixAddress::Auto => vec![
            path(session.session_dir().join("socket")),
            by_host(session.session_dir().parent().unwrap()),
            Place::Guarded(format!("xpra/{}", session.display)),
        ],
        UnixAddress::Path(name) => vec![path(name.clone())],
        UnixAddress::Directory(name) => vec![by_host(name)],
        UnixAddress::Abstract(name) => vec![Place::Abstract(name.clone())],
        UnixAddress::NoAbstract | UnixAddress::None => Vec::new(),
    }
}

impl Door {
    /// Is the one who tries this known to the kernel as somebody who may come here?
    fn knows(&self, what: Try) -> bool {
        match self.place {
            Place::Guarded(_) => what == Try::Right,
            Place::Tcp(_) | Place::Abstract(_) | Place::Path(_) => true,
        }
    }
}

/// A client of its own: from a source where nobody has failed, and of a name that nobody has guessed at.
fn client(
    door: &Door,
    way: Way,
    what: Try,
    hello: impl Fn(&mut ClientHello),
) -> Result<Client, Error> {
    static CLIENTS: AtomicU32 = AtomicU32::new(1);
    let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
    let mut options = sharing(number as usize).username(&format!("user{number}"));
    hello(&mut options.hello);
    let mode = match door.demands {
        Demands::Aes(mode) => on_the_wire(mode),
        Demands::Nothing | Demands::Tls | Demands::Either { .. } => Mode::Cbc,
    };
    match way {
        Way::Aes => options = options.encrypted(mode, KEY.as_bytes()),
        Way::AnotherKey => options = options.encrypted(mode, b"another key"),
        Way::Clear | Way::Tls | Way::Changing => {}
    }
    match &door.place {
        Place::Tcp(port) => {
            let address = match way {
                Way::Clear | Way::Aes | Way::AnotherKey => Address::Tcp(String::new()),
                Way::Tls => tls::address(*port),
                Way::Changing => tls::address(*port).changing(),
            };
            Client::through(&address, tcp(number, *port), &options, LONG)
        }
        place @ (Place::Abstract(_) | Place::Guarded(_) | Place::Path(_)) => {
            let uid = match place {
                Place::Guarded(_) if door.knows(what) => 0,
                _ => 70_000 + number,
            };
            Ok(Client::on_unix(unix(uid, place), &options))
        }
    }
}

/// A connection from another address of this machine.
fn tcp(number: u32, port: u16) -> TcpStream {
    let [_, b, c, d] = (number + (1 << 16)).to_be_bytes();
    connect_from([b, c, d], port).unwrap()
}

/// A connection of this user of this machine.
fn unix(uid: u32, place: &Place) -> UnixStream {
    let address = match place {
        Place::Abstract(name) | Place::Guarded(name) => {
            SocketAddr::from_abstract_name(name).unwrap()
        }
        Place::Path(open) => {
            SocketAddr::from_pathname(format!("/proc/self/fd/{}", open.as_raw_fd())).unwrap()
        }
        Place::Tcp(_) => unreachable!("no unix socket"),
    };
    crate::a05_listeners::as_user(uid, uid, move || UnixStream::connect_addr(&address))
        .unwrap_or_else(|error| panic!("{place:?}: {error}"))
}

/// What a client was told before its connection ended.
#[derive(Debug, Default)]
struct Told {
    packets: Vec<ServerPacket>,
    challenged: bool,
    reasons: Vec<String>,
}

/// Goes on to the end, or with `stop` to the first challenge; answers with these, then not any more.
fn hear(client: &mut Client, mut answers: Vec<Answer>, stop: bool, name: &str) -> Told {
    let mut told = Told::default();
    loop {
        let packet = match client.next_packet(LONG) {
            Ok(Some(packet)) => packet,
            Ok(None) => panic!("{name}: not ended within {LONG:?}: {told:?}"),
            // Sealed with a key that it has not, or closed while bytes of its own were under way.
            Err(Error::Closed | Error::Io(_) | Error::Record(_) | Error::Message(_)) => break,
            Err(error) => panic!("{name}: {error}: {told:?}"),
        };
        match packet {
            ServerPacket::Challenge(challenge) => {
                told.challenged = true;
                if stop {
                    break;
                }
                if client.renew(&challenge.auth_caps).is_err() {
                    continue;
                }
                // It may have been refused already.
                let _ = match answers.pop() {
                    Some(Answer::Hello(hello)) => client.send_hello(*hello),
                    Some(Answer::Password(password)) => {
                        client.answer(&challenge, Some(password.as_bytes()))
                    }
                    None => Ok(()),
                };
            }
            ServerPacket::Disconnect(disconnect) => {
                told.reasons = [vec![disconnect.reason], disconnect.details].concat();
                break;
            }
            other => {
                told.packets.push(other);
                break;
            }
        }
    }
    assert_eq!(client.state().complaints, Vec::<String>::new());
    told
}

enum Answer {
    Hello(Box<ClientHello>),
    Password(&'static str),
}

fn info(hello: &mut ClientHello) {
    let mut asks = ClientHello::command_line(hello.identity.clone(), Some(Request::Info));
    asks.auth = hello.auth.clone();
    *hello = asks;
}

fn attach(_: &mut ClientHello) {}

/// One cell of the matrix. Who only waits is given back, to see later what it was told.
fn cell(door: &Door, way: Way, what: Try) -> Option<Client> {
    let served = serves(door.demands, way) && door.knows(what);
    let name = || format!("{:?} {:?}, {way:?}, {what:?}", door.place, door.demands);
    let hello = match what {
        Try::InfoAgain => info,
        Try::Silence | Try::NoAnswer | Try::HelloAgain | Try::WrongAnswer | Try::Right => attach,
    };
    let mut client = match client(door, way, what, hello) {
        Ok(client) => client,
        // TLS, or the change to it, where there is none.
        Err(error) => {
            assert!(!served, "{}: {error}", name());
            assert!(
                matches!(way, Way::Tls | Way::Changing),
                "{}: {error}",
                name()
            );
            return None;
        }
    };
    if what == Try::Silence {
        return Some(client);
    }
    if what == Try::Right && served {
        let name = name();
        // The session, a picture, and what `info` tells: so the others were told nothing that there is not.
        client
            .handshake(LONG)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let drawn =
            |state: &test_client::State| state.windows.values().any(|window| window.draws > 0);
        client
            .wait_for(drawn, LONG)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut asks = self::client(door, way, what, info).unwrap();
        asks.handshake(LONG)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        return None;
    }
    let mine = client.hello().clone();
    if client.send_hello(mine.clone()).is_err() {
        return None;
    }
    let answers = match what {
        Try::Silence | Try::NoAnswer => vec![],
        Try::HelloAgain | Try::InfoAgain => vec![Answer::Hello(Box::new(mine))],
        Try::WrongAnswer => vec![Answer::Password("a guess")],
        Try::Right => vec![Answer::Password(PASSWORD)],
    };
    let waits = what == Try::NoAnswer && served;
    let told = hear(&mut client, answers, waits, &name());
    assert!(told.packets.is_empty(), "{}: {told:?}", name());
    // It came as far as anybody does: nothing else has kept it out.
    assert_eq!(told.challenged, served, "{}: {told:?}", name());
    match what {
        Try::NoAnswer if served => return Some(client),
        Try::WrongAnswer if served => {
            assert_eq!(told.reasons, ["authentication failed"], "{}", name());
        }
        Try::HelloAgain | Try::InfoAgain if served => {
            let expected = "the challenge was not answered";
            assert!(
                told.reasons.iter().any(|why| why == expected),
                "{}: {told:?}",
                name()
            );
        }
        _ => {}
    }
    None
}

/// All cells of these tries, some at a time.
fn run(doors: &[Door], kind: ListenerKind, tries: &[Try]) -> (usize, Vec<Client>) {
    let mut cells: Vec<_> = Vec::new();
    for door in doors {
        for way in ways(kind) {
            cells.extend(tries.iter().map(|what| (door, *way, *what)));
        }
    }
    let count = cells.len();
    let cells = Mutex::new(cells);
    let held = Mutex::new(Vec::new());
    let next = || cells.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((door, way, what)) = next() {
                    let client = cell(door, way, what);
                    held.lock().unwrap().extend(client);
                }
            });
        }
    });
    (count, held.into_inner().unwrap())
}

fn nobody_gets_in(kind: ListenerKind) {
    let directory = crate::a05_listeners::directory_of_the_user();
    let (session, doors) = doors(kind, directory.path());
    let waits = |what: &Try| match what {
        Try::Silence | Try::NoAnswer => true,
        Try::HelloAgain | Try::InfoAgain | Try::WrongAnswer | Try::Right => false,
    };
    let (first, second): (Vec<Try>, Vec<Try>) = TRIES.into_iter().partition(waits);
    // Who waits does so while others are in the session.
    let (count, held) = run(&doors, kind, &first);
    let (more, none) = run(&doors, kind, &second);
    assert!(none.is_empty());
    println!("{kind:?}: {} sockets, {} cells", doors.len(), count + more);
    assert!(held.len() >= doors.len());
    // Each answer was looked at.
    for unseen in ["too many failed attempts", "turned away"] {
        let lines = session.process().lines();
        let line = lines.iter().find(|line| line.contains(unseen));
        assert_eq!(line, None);
    }
    for mut client in held {
        match client.next_packet(Duration::from_millis(1)) {
            Ok(None) | Err(Error::Closed | Error::Io(_)) => {}
            Ok(Some(ServerPacket::Disconnect(_))) => {}
            other => panic!("who only waits is told something: {other:?}"),
        }
    }
}

#[test]
fn nobody_gets_in_without_the_password_however_he_comes() {
    for kind in kinds() {
        match kind {
            // Failures are held against their user: each client is another one.
            ListenerKind::Unix if !needs::root("connect as another user") => {}
            ListenerKind::Unix | ListenerKind::Tcp => nobody_gets_in(kind),
        }
    }
}
