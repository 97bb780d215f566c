//! Our reading of `hosts.allow` and `hosts.deny` against `tcpdmatch`, which is tcp-wrappers' own.

use hosts::{Hosts, Name, Naming, Rules};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;
use std::process::Command;

/// Where Debian's package `tcpd` has it.
const TCPDMATCH: &str = "/usr/sbin/tcpdmatch";

fn write(directory: &Path, allow: &str, deny: &str) {
    std::fs::write(directory.join("hosts.allow"), allow).unwrap();
    std::fs::write(directory.join("hosts.deny"), deny).unwrap();
}

/// What tcp-wrappers say to a client whose name nobody knows.
fn theirs(directory: &Path, address: &str) -> bool {
    let output = Command::new(TCPDMATCH)
        .args(["-d", "xpra", address])
        .current_dir(directory)
        .output()
        .expect("tcpdmatch is installed (Debian's package tcpd)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdict = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("access:"));
    match verdict.map(str::trim) {
        Some("granted") => true,
        Some("denied") => false,
        _ => panic!("{address}: {output:?}"),
    }
}

fn ours(allow: &str, deny: &str) -> Option<Hosts> {
    Some(Hosts {
        allow: Rules::parse(allow.as_bytes()).ok()?,
        deny: Rules::parse(deny.as_bytes()).ok()?,
    })
}

const ADDRESSES: [&str; 9] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.1.2.3",
    "192.168.1.1",
    "192.168.1.200",
    "127.0.0.1",
    "2001:db8::1",
    "2001:db8:0:1::1",
    "::1",
];

#[test]
fn a_table_of_rules() {
    let directory = tempfile::tempdir().unwrap();
    for (allow, deny) in [
        ("", ""),
        ("xpra: 10.0.0.1\n", "ALL: ALL\n"),
        ("xpra: 10.0.0.1 192.168.1.1\n", "xpra: ALL\n"),
        ("xpra: 10.0.0.1,192.168.1.1\n", "xpra: ALL\n"),
        ("sshd, xpra : 10.\n", "ALL: ALL\n"),
        ("sshd: ALL\n", "ALL: ALL\n"),
        ("ALL EXCEPT xpra: ALL\n", "ALL: ALL\n"),
        ("ALL EXCEPT sshd: ALL\n", "ALL: ALL\n"),
        ("XPRA: 10.\n", "all: all\n"),
        ("xp*: 10.\n", "x?ra: ALL\n"),
        ("xpra: 10.0.0.0/8\n", "ALL: ALL\n"),
        ("xpra: 10.0.0.0/255.0.0.0\n", "ALL: ALL\n"),
        ("xpra: 10.0.0.0/255.255.255.0\n", "ALL: ALL\n"),
        ("xpra: 192.168.1.0/25\n", "ALL: ALL\n"),
        ("xpra: 128.0.0.0/1\n", "ALL: ALL\n"),
        ("xpra: 10.0.0.1/32\n", "ALL: ALL\n"),
        ("xpra: 192.168.\n", "ALL: ALL\n"),
        ("xpra: 192.168.1.*\n", "ALL: ALL\n"),
        ("xpra: 192.168.1.?\n", "ALL: ALL\n"),
        ("xpra: 1*1\n", "ALL: ALL\n"),
        ("xpra: [2001:db8::]/32\n", "ALL: ALL\n"),
        ("xpra: [2001:db8::]/64\n", "ALL: ALL\n"),
        ("xpra: [2001:db8::1]\n", "ALL: ALL\n"),
        ("xpra: [::1]\n", "ALL: ALL\n"),
        ("xpra: [2000::]/3\n", "ALL: ALL\n"),
        ("xpra: ALL EXCEPT 10.0.0.1\n", "ALL: ALL\n"),
        ("xpra: 10. EXCEPT 10.0. EXCEPT 10.0.0.2\n", "ALL: ALL\n"),
        ("xpra: 10. EXCEPT 10.0.0.1 10.1.\n", "ALL: ALL\n"),
        ("", "xpra: ALL EXCEPT 10.0.0.1\n"),
        ("", "xpra: 10.0.0.1\nxpra: 10.0.0.2\n"),
        ("xpra: 10.0.0.1: deny\n", ""),
        ("xpra: 10.0.0.1: DENY\nxpra: 10.: allow\n", "ALL: ALL\n"),
        ("", "xpra: 10.0.0.1 : allow\nxpra: ALL\n"),
        ("# xpra: ALL\n\n  \nxpra: \\\n10.0.0.1\n", "ALL: ALL\n"),
        ("xpra: 10.0.0.1, \\\n 10.0.0.2\n", "ALL: ALL\n"),
    ] {
        write(directory.path(), allow, deny);
        let hosts = ours(allow, deny).unwrap_or_else(|| panic!("{allow}{deny}"));
        for address in ADDRESSES {
            let ours = hosts.admits_address(address.parse().unwrap()).unwrap();
            assert_eq!(
                ours,
                theirs(directory.path(), address),
                "{allow:?} {deny:?} {address}"
            );
        }
    }
}

/// A machine's own `/etc/hosts`, and the names in it with their addresses.
const NAMES: &str = "10.0.0.1 desk.example.org desk\n10.0.0.2 box\n10.0.0.3 a1.example.com\n\
    10.0.0.4 Server_2.Example.ORG\n";
const NAMED: [(&str, &str); 4] = [
    ("desk.example.org", "10.0.0.1"),
    ("box", "10.0.0.2"),
    ("a1.example.com", "10.0.0.3"),
    ("server_2.example.org", "10.0.0.4"),
];

/// The same of clients whose names somebody knows: `tcpdmatch` looks them up in a file of ours.
#[test]
fn a_table_of_rules_that_go_by_names() {
    if !needs::root("give tcpdmatch names of the test's own") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("names"), NAMES).unwrap();
    std::fs::write(directory.path().join("switch"), "hosts: files\n").unwrap();
    let theirs = |client: &str| {
        let script = "mount --bind names /etc/hosts && mount --bind switch /etc/nsswitch.conf && \
            exec \"$0\" -d xpra \"$1\"";
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", script, TCPDMATCH, client])
            .current_dir(directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = said.lines().find_map(|line| line.strip_prefix("access:"));
        match verdict.map(str::trim) {
            Some("granted") => true,
            Some("denied") => false,
            _ => panic!("{client}: {output:?}"),
        }
    };
    for allow in [
        "xpra: desk.example.org\n",
        "xpra: DESK.example.org box\n",
        "xpra: .example.org\n",
        "xpra: .org\n",
        "xpra: example.org\n",
        "xpra: *.example.org\n",
        "xpra: d?sk.example.*\n",
        "xpra: *.example.???\n",
        "xpra: bo*\n",
        "xpra: *sk*\n",
        "xpra: KNOWN\n",
        "xpra: known EXCEPT local\n",
        "xpra: LOCAL\n",
        "xpra: UNKNOWN\n",
        "xpra: PARANOID\n",
        "xpra: ALL EXCEPT UNKNOWN\n",
        "xpra: ALL EXCEPT PARANOID\n",
        "xpra: ALL EXCEPT .example.org\n",
        "xpra: .example.org EXCEPT desk.example.org box\n",
        "xpra: KNOWN EXCEPT .org EXCEPT desk.example.org\n",
        "xpra: 10.0.0.2 .example.org EXCEPT 10.0.0.1\n",
        "xpra: LOCAL: deny\nxpra: ALL\n",
    ] {
        write(directory.path(), allow, "ALL: ALL\n");
        let hosts = ours(allow, "ALL: ALL\n").unwrap_or_else(|| panic!("{allow}"));
        for (name, address) in NAMED {
            let naming = Naming::Name(Name::new(name).unwrap());
            let ours = hosts.admits_named(address.parse().unwrap(), &naming);
            assert_eq!(ours, theirs(name), "{allow:?} {name}");
        }
        // Of these it has no address, which is unknown too.
        let nowhere = "192.0.2.1".parse().unwrap();
        for (word, naming) in [("unknown", Naming::Unknown), ("paranoid", Naming::Paranoid)] {
            if allow.contains("UNKNOWN") && naming != Naming::Unknown {
                continue;
            }
            let ours = hosts.admits_named(nowhere, &naming);
            assert_eq!(ours, theirs(word), "{allow:?} {word}");
        }
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["0", "1", "10", "127", "168", "192", "2", "200"]);
    let parts = prop::collection::vec(part, 4);
    prop_oneof![
        Just("ALL".to_owned()),
        prop::sample::select(ADDRESSES.to_vec()).prop_map(|address| match address.contains(':') {
            true => format!("[{address}]"),
            false => address.to_owned(),
        }),
        (parts.clone(), 1_usize..4).prop_map(|(parts, keep)| parts[..keep].join(".") + "."),
        (parts.clone(), 1_u32..=32).prop_map(|(parts, prefix)| {
            let address: std::net::Ipv4Addr = parts.join(".").parse().unwrap();
            let mask = u32::MAX << (32 - prefix);
            let net = std::net::Ipv4Addr::from_bits(address.to_bits() & mask);
            format!("{net}/{prefix}")
        }),
        parts.prop_map(|parts| format!("{}.{}.*", parts[0], parts[1])),
        prop::sample::select(vec!["[2001:db8::]/32", "[2001:db8::]/64", "[2000::]/3"])
            .prop_map(str::to_owned),
    ]
}

fn rules() -> impl Strategy<Value = String> {
    let services =
        prop::sample::select(vec!["xpra", "ALL", "sshd", "sshd xpra", "ALL EXCEPT sshd"]);
    let list = prop::collection::vec(prop::collection::vec(pattern(), 1..3), 1..4);
    let option = prop::sample::select(vec!["", "", "", ": allow", ": deny"]);
    let rule = (services, list, option).prop_map(|(services, list, option)| {
        let parts: Vec<_> = list.iter().map(|part| part.join(" ")).collect();
        format!("{services}: {} {option}\n", parts.join(" EXCEPT "))
    });
    prop::collection::vec(rule, 0..4).prop_map(|rules| rules.concat())
}

#[test]
fn whatever_rules_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let addresses = prop::sample::select(ADDRESSES.to_vec());
    runner
        .run(&(rules(), rules(), addresses), |(allow, deny, address)| {
            write(directory.path(), &allow, &deny);
            let hosts = ours(&allow, &deny).expect("rules that we read");
            let ours = hosts.admits_address(address.parse().unwrap()).unwrap();
            prop_assert_eq!(ours, theirs(directory.path(), address));
            Ok(())
        })
        .unwrap();
}
