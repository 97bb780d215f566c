//! `auth=hosts` with rules that go by names, in sessions: a real name server (dnsmasq), and servers that
//! are silent, gone or mad, of which none lets anybody in.

use backend::Transport;
use bulkhead_auth_names::lookup;
use bulkhead_auth_names::server::{self, Server};
use bulkhead_tests::door::Door;
use bulkhead_tests::name_server::{
    A, CNAME, Dnsmasq, Does, FakeServer, HostRules, PTR, answer, answer_about, asks, framed, name,
};
use ipc::check::AddressName;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PASSWORD: &str = "a long secret";
/// Flags of an answer: it is one, recursion is wanted and available.
const ANSWER: u16 = 0x8180;

/// A session with these rules before a password.
fn with_names(rules: &HostRules, port: u16) -> Door {
    rules.write("pw.txt", PASSWORD);
    let password = rules.path("pw.txt").display().to_string();
    let modules = format!("{},auth=file(filename={password})", rules.module(port, 3));
    Door::new(&modules, false)
}

#[test]
fn a_name_lets_in_if_it_has_the_address() {
    let server = Dnsmasq::start(&[
        "ptr-record=1.0.0.127.in-addr.arpa,Desk.example.test",
        "host-record=desk.example.test,127.0.0.1",
    ]);
    let rules = HostRules::new("xpra: .example.test\n", "ALL: ALL\n");
    let door = with_names(&rules, server.port);
    assert!(door.lets_in("", PASSWORD));
    door.logged("127.0.0.1 has the name desk.example.test");
    assert!(!door.lets_in("", "another"));
    door.recorded(&["is refused by file: authentication failed"]);
    assert!(door.shows("", PASSWORD));
    rules.write("hosts.allow", "xpra: .example.org\n");
    assert!(!door.shows("", PASSWORD));
    door.recorded(&["127.0.0.1", "is refused by hosts: not from there"]);
    door.is_clean("auth-names", &[PASSWORD, "another"]);
    drop(door);
    // Another session: who fails often has to wait. What is written into the file counts at once.
    let door = with_names(&rules, server.port);
    for (allow, wanted) in [
        ("xpra: DESK.example.test\n", true),
        ("xpra: d?sk.*.test\n", true),
        ("xpra: KNOWN\n", true),
        ("xpra: 10. desk.example.test\n", true),
        ("xpra: desk.example.org\n", false),
        ("xpra: LOCAL UNKNOWN PARANOID\n", false),
        ("xpra: ALL EXCEPT desk.example.test\n", false),
        ("xpra: .test EXCEPT .example.test\n", false),
    ] {
        rules.write("hosts.allow", allow);
        assert_eq!(door.lets_in("", PASSWORD), wanted, "{allow}");
    }
}

/// A machine that names itself as it likes.
#[test]
fn a_name_that_has_not_the_address_is_not_believed() {
    for (records, logged, wanted) in [
        (
            &[
                "ptr-record=1.0.0.127.in-addr.arpa,desk.example.test",
                "host-record=desk.example.test,127.0.0.2",
            ][..],
            "127.0.0.1 has a name that is not believed",
            "PARANOID",
        ),
        (
            &["ptr-record=1.0.0.127.in-addr.arpa,desk.example.test"],
            "127.0.0.1 has a name that is not believed",
            "PARANOID",
        ),
        // Another name of a machine that has it.
        (
            &[
                "ptr-record=1.0.0.127.in-addr.arpa,desk.example.test",
                "cname=desk.example.test,real.example.test",
                "host-record=real.example.test,127.0.0.1",
            ],
            "127.0.0.1 has a name that is not believed",
            "PARANOID",
        ),
        (&[], "127.0.0.1 has no name", "UNKNOWN"),
    ] {
        let server = Dnsmasq::start(records);
        let rules = HostRules::new("xpra: .example.test KNOWN LOCAL\n", "ALL: ALL\n");
        let door = with_names(&rules, server.port);
        assert!(!door.lets_in("", PASSWORD), "{records:?}");
        door.recorded(&["is refused by hosts: not from there"]);
        door.logged(logged);
        rules.write("hosts.allow", &format!("xpra: {wanted}\n"));
        assert!(door.lets_in("", PASSWORD), "{records:?}");
    }
}

#[test]
fn what_this_machine_knows_comes_first() {
    // Somebody else's name, which it may claim where names are asked for.
    let server = Dnsmasq::start(&[
        "ptr-record=1.0.0.127.in-addr.arpa,files.example.test",
        "host-record=files.example.test,127.0.0.1",
    ]);
    let rules = HostRules::new("xpra: .example.test\n", "ALL: ALL\n");
    rules.write("names", "10.0.0.1 nas files.example.test\n");
    let door = with_names(&rules, server.port);
    assert!(!door.lets_in("", PASSWORD));
    door.logged("127.0.0.1 has a name that is not believed");
    drop(door);
    rules.write("names", "127.0.0.1 desk desk.example.org\n");
    rules.write("hosts.allow", "xpra: LOCAL\n");
    let door = with_names(&rules, server.port);
    assert!(door.lets_in("", PASSWORD));
    door.logged("127.0.0.1 has the name desk");
    rules.write("hosts.allow", "xpra: .example.test\n");
    assert!(!door.lets_in("", PASSWORD));
}

/// Nobody is asked, and there is no process, for what an address decides.
#[test]
fn nobody_is_asked_where_no_name_is_needed() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let server = FakeServer::new();
    let flag = std::sync::Arc::clone(&asked);
    server.answers(move |_| {
        flag.store(true, std::sync::atomic::Ordering::SeqCst);
        Does::Leaves
    });
    let rules = HostRules::new("xpra: 127.\nxpra: .example.test\n", "ALL: ALL\n");
    let door = with_names(&rules, server.port);
    assert!(door.lets_in("", PASSWORD));
    rules.write("hosts.allow", "xpra: 127.: deny\nxpra: .example.test\n");
    assert!(!door.lets_in("", PASSWORD));
    door.recorded(&["is refused by hosts: not from there"]);
    assert!(!asked.load(std::sync::atomic::Ordering::SeqCst));
    let mut lines = door.session.process().lines().into_iter();
    assert!(!lines.any(|line| line.contains("\"auth-names\"")));
}

/// A rule that keeps somebody out must not be lost because nobody says who that is.
#[test]
fn without_a_good_answer_nobody_comes_in() {
    refuses(
        "name server: the server has not answered in time",
        "which name its address has could not be found out",
        |_| Does::Waits,
    );
    refuses(
        "name server: the server has sent no answer but code 2",
        "which name its address has could not be found out",
        |question| Does::Says(framed(&answer(question, ANSWER | 2, &[]))),
    );
    refuses(
        "127.0.0.1 has the name a.evil.test",
        "not from there",
        |question| Does::Says(framed(&named(question, &[&[b"a", b"EVIL", b"test"]]))),
    );
    // One of two that are both its own is enough.
    let both = "127.0.0.1 has the name a.good.test, the name a.evil.test";
    refuses(both, "not from there", |question| {
        let both: [&[&[u8]]; 2] = [&[b"a", b"good", b"test"], &[b"a", b"evil", b"test"]];
        Does::Says(framed(&named(question, &both)))
    });
    // An answer as long as it may be: the process has the memory for it.
    let wide = "127.0.0.1 has the name wide.evil.test";
    refuses(wide, "not from there", |question| {
        let many = |last: u16| (A, [&[127, 0], &last.to_be_bytes()[..]].concat());
        let many: Vec<_> = (2..1000).chain([1]).map(many).collect();
        Does::Says(framed(&match asks(question, PTR) {
            true => named(question, &[&[b"wide", b"evil", b"test"]]),
            false => answer(question, ANSWER, &many),
        }))
    });
}

/// A server that answers in this way lets nobody in, and the log has both of that.
fn refuses(found: &str, record: &str, answers: impl FnMut(&[u8]) -> Does + Send + 'static) {
    let server = FakeServer::new();
    let rules = HostRules::new("# nobody\n", "xpra: .evil.test UNKNOWN PARANOID\n");
    let door = with_names(&rules, server.port);
    server.answers(answers);
    let took = door.refuses_after("", PASSWORD);
    assert!(took < Duration::from_secs(15), "{found}: {took:?}");
    door.logged(found);
    door.recorded(&["127.0.0.1", &format!("is refused by hosts: {record}")]);
    server.answers(|question| Does::Says(framed(&named(question, &[&[b"desk", b"test"]]))));
    assert!(door.lets_in("", PASSWORD));
    door.is_clean("auth-names", &[PASSWORD]);
}

/// To each question what it asks for: these names of 127.0.0.1, which they have.
fn named(question: &[u8], names: &[&[&[u8]]]) -> Vec<u8> {
    let pointers = names.iter().map(|parts| (PTR, name(parts)));
    match asks(question, PTR) {
        true => answer(question, ANSWER, &pointers.collect::<Vec<_>>()),
        false => answer(question, ANSWER, &[(A, vec![127, 0, 0, 1])]),
    }
}

/// What the process finds out at these servers.
fn found_at(servers: &[&FakeServer]) -> Result<Vec<AddressName>, String> {
    let connect = |server: &&FakeServer| TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let sockets = servers.iter().map(connect).map(Into::into).collect();
    let until = Instant::now() + Duration::from_secs(2);
    let mut ids = (1..60).collect();
    server::names(LOCALHOST, &[], sockets, &mut ids, until)
}

/// Another server that has an answer is not the one that knows.
#[test]
fn the_first_server_decides_and_another_only_who_a_client_is() {
    let [first, second] = [FakeServer::new(), FakeServer::new()];
    let both = || found_at(&[&first, &second]);
    let desk = |question: &[u8]| Does::Says(framed(&named(question, &[&[b"desk", b"test"]])));
    let evil = |question: &[u8]| Does::Says(framed(&named(question, &[&[b"evil", b"test"]])));
    let nothing = |question: &[u8]| Does::Says(framed(&answer(question, ANSWER | 3, &[])));
    let wrong = |question: &[u8]| {
        Does::Says(framed(&match asks(question, PTR) {
            true => named(question, &[&[b"desk", b"test"]]),
            false => answer(question, ANSWER | 3, &[]),
        }))
    };
    let failing = |question: &[u8]| Does::Says(framed(&answer(question, ANSWER | 2, &[])));
    let name = |text: &str| Ok(vec![AddressName::Verified(text.to_owned())]);
    // Slower than the other, and asked all the same.
    first.answers(move |question| {
        std::thread::sleep(Duration::from_millis(300));
        evil(question)
    });
    second.answers(desk);
    assert_eq!(both(), name("evil.test"));
    first.answers(nothing);
    assert_eq!(both(), Ok(vec![AddressName::Unknown]));
    // It has failed.
    for how in [|_: &[u8]| Does::Leaves, |_: &[u8]| Does::Waits, failing] {
        first.answers(how);
        second.answers(desk);
        assert_eq!(both(), name("desk.test"));
        for negative in [nothing, wrong] {
            second.answers(negative);
            let error = both().unwrap_err();
            assert!(error.starts_with("name server: the server has"), "{error}");
        }
    }
    assert_eq!(
        found_at(&[]).unwrap_err(),
        "there is no connection to a name server"
    );
}

/// What the process finds out at this server.
fn found(server: &FakeServer) -> Result<Vec<AddressName>, String> {
    let socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let until = Instant::now() + Duration::from_secs(1);
    let mut ids = (1..60).collect();
    let mut server = Server::new(Transport::new(socket.into(), until), &mut ids);
    let found = lookup::names(LOCALHOST, &[], |question| server.ask(question));
    found.map_err(|error| error.to_string())
}

#[test]
fn an_answer_that_cannot_be_believed_is_no_answer() {
    let server = FakeServer::new();
    let says = |why: &str| {
        let error = found(&server).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    };
    let spoil = |change: fn(&mut Vec<u8>)| {
        move |question: &[u8]| {
            let mut bytes = named(question, &[&[b"desk", b"test"]]);
            change(&mut bytes);
            Does::Says(framed(&bytes))
        }
    };
    server.answers(spoil(|_| {}));
    let desk = AddressName::Verified("desk.test".to_owned());
    assert_eq!(found(&server), Ok(vec![desk.clone()]));
    server.answers(|_| Does::Leaves);
    says("the server has closed the connection");
    server.answers(spoil(|bytes| bytes[1] ^= 1));
    says("an answer to another question");
    server.answers(spoil(|bytes| bytes[2] &= 0x7f));
    says("an answer to another question");
    server.answers(spoil(|bytes| bytes[13] ^= 3));
    says("an answer to another question");
    server.answers(spoil(|bytes| bytes[2] |= 2));
    says("an answer that is cut short");
    server.answers(spoil(|bytes| bytes.truncate(bytes.len() - 3)));
    says("an answer that cannot be read");
    server.answers(spoil(|bytes| bytes.truncate(11)));
    says("an answer that cannot be read");
    server.answers(spoil(|bytes| bytes.clear()));
    says("an answer that cannot be read");
    // A name that goes on at itself.
    server.answers(|question| {
        let bytes = answer_about(question, ANSWER, &[(vec![0xc0, 12], PTR, vec![0xc0, 39])]);
        Does::Says(framed(&bytes))
    });
    says("an answer that cannot be read");
    server.answers(spoil(|bytes| bytes[3] = 0x82));
    says("code 2, because");
    server.answers(spoil(|bytes| bytes[3] = 0x85));
    says("code 5, because");
    // There is no such name, and here it is.
    server.answers(spoil(|bytes| bytes[3] = 0x83));
    says("an answer that contradicts itself");
    // It has not looked for it.
    server.answers(|question| Does::Says(framed(&answer(question, 0x8000, &[]))));
    says("a reference to other servers");
    server.answers(|question| Does::Says(framed(&answer(question, 0x8003, &[]))));
    says("a reference to other servers");
    server.answers(|_| Does::Says(vec![0xff; 70_000]));
    says("an answer that is too long");
    server.answers(|question| {
        let circle = [(vec![0xc0, 12], CNAME, vec![0xc0, 12])];
        Does::Says(framed(&answer_about(question, ANSWER, &circle)))
    });
    says("aliases in a circle");
    server.answers(|question| {
        let two = [b"a", b"b"].map(|part| (CNAME, name(&[part, b"test"])));
        Does::Says(framed(&answer(question, ANSWER, &two)))
    });
    says("an answer that contradicts itself");
    // An alias that leads to another, for ever.
    let mut number = 0_u32;
    server.answers(move |question| {
        number += 1;
        let other = name(&[format!("n{number}").as_bytes(), b"test"]);
        Does::Says(framed(&answer(question, ANSWER, &[(CNAME, other)])))
    });
    says("too many aliases");
    server.answers(|question| {
        let more = (b'a'..b'f').map(|letter| (PTR, name(&[&[letter], b"test"])));
        Does::Says(framed(&answer(question, ANSWER, &more.collect::<Vec<_>>())))
    });
    says("more than 4 names");
    // The first answer is good, and to the second question there is none.
    server.answers(|question| match asks(question, PTR) {
        true => Does::Says(framed(&named(question, &[&[b"desk", b"test"]]))),
        false => Does::Says(framed(&answer(question, ANSWER | 2, &[]))),
    });
    says("code 2, because");
    server.answers(|question| {
        let half = framed(&answer(question, ANSWER, &[]));
        Does::Says(half[..half.len() - 1].to_vec())
    });
    says("the server has not answered in time");
    server.answers(|_| Does::Waits);
    says("the server has not answered in time");
}

#[test]
fn what_is_no_name_of_a_machine_is_not_believed() {
    const NO_NAMES: [&[&[u8]]; 9] = [
        &[b"desk.test", b"test"],
        &[b"de\0sk", b"test"],
        &[b"de sk", b"test"],
        &[b"d\xc3\xa4sk", b"test"],
        &[b"d\xe4sk", b"test"],
        &[b"*", b"test"],
        &[b"127", b"0", b"0", b"1"],
        &[b"unknown"],
        &[],
    ];
    let server = FakeServer::new();
    for parts in NO_NAMES {
        server.answers(move |question| Does::Says(framed(&named(question, &[parts]))));
        assert_eq!(found(&server), Ok(vec![AddressName::Paranoid]), "{parts:?}");
    }
    let desk = Ok(vec![AddressName::Verified("desk.test".to_owned())]);
    server.answers(|question| Does::Says(framed(&named(question, &[&[b"DESK", b"Test"]]))));
    assert_eq!(found(&server), desk);
    // Once, however often it is said.
    let twice: [&[&[u8]]; 2] = [&[b"desk", b"test"], &[b"DESK", b"test"]];
    server.answers(move |question| Does::Says(framed(&named(question, &twice))));
    assert_eq!(found(&server), desk);
    // In part of a network, whose names somebody else has; in one answer, and in two.
    let other = || name(&[b"1", b"0/25", b"0", b"0", b"127", b"in-addr", b"arpa"]);
    server.answers(move |question| {
        let records = [
            (vec![0xc0, 12], CNAME, other()),
            (other(), PTR, name(&[b"desk", b"test"])),
        ];
        Does::Says(framed(&match asks(question, PTR) {
            true => answer_about(question, ANSWER, &records),
            false => named(question, &[]),
        }))
    });
    assert_eq!(found(&server), desk);
    server.answers(move |question| {
        let is_alias = question[12..].starts_with(&other());
        Does::Says(framed(&match asks(question, PTR) && !is_alias {
            true => answer(question, ANSWER, &[(CNAME, other())]),
            false => named(question, &[&[b"desk", b"test"]]),
        }))
    });
    assert_eq!(found(&server), desk);
    // There is nothing of that kind, and there is nothing at all.
    for flags in [ANSWER, ANSWER | 3, 0x8403] {
        server.answers(move |question| Does::Says(framed(&answer(question, flags, &[]))));
        assert_eq!(found(&server), Ok(vec![AddressName::Unknown]));
    }
    // The name has other addresses.
    server.answers(|question| {
        Does::Says(framed(&match asks(question, PTR) {
            true => named(question, &[&[b"desk", b"test"]]),
            false => answer(
                question,
                ANSWER,
                &[(A, vec![127, 0, 0, 2]), (A, vec![10, 0, 0, 1])],
            ),
        }))
    });
    assert_eq!(found(&server), Ok(vec![AddressName::Paranoid]));
    // The address is of another name in the answer.
    server.answers(|question| {
        Does::Says(framed(&match asks(question, PTR) {
            true => named(question, &[&[b"desk", b"test"]]),
            false => answer_about(
                question,
                ANSWER,
                &[(name(&[b"other", b"test"]), A, vec![127, 0, 0, 1])],
            ),
        }))
    });
    assert_eq!(found(&server), Ok(vec![AddressName::Paranoid]));
}

/// Nobody listens there.
#[test]
fn a_name_server_that_is_gone_lets_nobody_in() {
    let port = bulkhead_tests::session::free_port();
    let rules = HostRules::new("# nobody\n", "xpra: .evil.test\n");
    let door = with_names(&rules, port);
    let took = door.refuses_after("", PASSWORD);
    assert!(took < Duration::from_secs(3), "{took:?}");
    door.logged("name server: the server takes no connection");
}
