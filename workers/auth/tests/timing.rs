//! Security A24: how long an answer is checked tells nothing about the secret.
//!
//! A clock would measure the machine's other work too. Every instruction is counted instead: a
//! check is executed one step at a time (ptrace(2)), and every wrong answer must take exactly the
//! same steps, at the same addresses.

use bulkhead_auth::conversation::{Conversation, Step, Verifier};
use bulkhead_auth::modules::Modules;
use ipc::ListenerId;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth, PeerFacts};
use ipc::http::{Cidr, Header};
use ipc::spec::{AuthListener, AuthModule, AuthSpec, AuthStep, SecretAt};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use runtime::secret::Buffer;
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::io::Write;
use std::ops::Range;
use std::sync::LazyLock;
use wire::challenge::{self as maths, Hash};

const PASSWORD: &[u8] = b"correct horse";
const CLIENT_SALT: &[u8] = &[7; 32];

/// Instructions that a child executed, and a hash of their addresses in order.
type Steps = (u64, u64);

/// Counts what `work` does in a copy of this process. It must not print or panic.
fn steps(work: impl FnOnce() -> bool) -> (Steps, bool) {
    // Both on one processor: a step is two switches between them, and no message to another one.
    let mut one = CpuSet::new();
    one.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
    // Read once, before the first copy: a list that other threads make longer meanwhile would leave this
    // one's heap in another state for the next copy.
    static CLOCK: LazyLock<Range<u64>> = LazyLock::new(clock);
    let clock = LazyLock::force(&CLOCK);
    // SAFETY: the child runs `work` and ends; fork(2) of glibc leaves its allocator usable.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let _ = ptrace::traceme();
            let _ = raise(Signal::SIGSTOP);
            let answer = work();
            let _ = raise(Signal::SIGSTOP);
            // SAFETY: ends the child.
            unsafe { nix::libc::_exit(i32::from(answer)) }
        }
        ForkResult::Parent { child } => {
            let steps = follow(child, clock);
            ptrace::cont(child, None).unwrap();
            match waitpid(child, None).unwrap() {
                WaitStatus::Exited(_, code) => (steps, code == 1),
                status => panic!("{status:?}"),
            }
        }
    }
}

/// Where the kernel's code for the clock is (vdso(7)). It begins again when the kernel sets the clock
/// meanwhile, whatever the answer is, and a clock that is read step by step takes long.
fn clock() -> Range<u64> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(|line| line.split(' ').next()).unwrap();
    let (from, to) = range.split_once('-').unwrap();
    let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
    from..to
}

/// Lets the child do one step after the other, from its first stop to its second.
fn follow(child: Pid, clock: &Range<u64>) -> Steps {
    let stopped = |wanted| match waitpid(child, Some(WaitPidFlag::__WALL)).unwrap() {
        WaitStatus::Stopped(_, signal) if signal == wanted => true,
        WaitStatus::Stopped(_, Signal::SIGTRAP) => false,
        status => panic!("{status:?}"),
    };
    assert!(stopped(Signal::SIGSTOP));
    let (mut count, mut addresses) = (0, DefaultHasher::new());
    loop {
        ptrace::step(child, None).unwrap();
        if stopped(Signal::SIGSTOP) {
            return (count, addresses.finish());
        }
        let address = ptrace::getregs(child).unwrap().rip;
        if !clock.contains(&address) {
            count += 1;
            address.hash(&mut addresses);
        }
    }
}

/// A conversation that waits for an answer, and the right one.
struct Asked {
    modules: Modules,
    verifier: Verifier,
    conversation: Conversation,
    combined: String,
}

fn hello(username: &str) -> NetworkToAuth {
    NetworkToAuth::Hello {
        username: username.into(),
        digests: vec![Digest::HmacSha512],
        salt_digests: vec![Digest::HmacSha512],
        small: false,
    }
}

fn answer(response: Vec<u8>) -> NetworkToAuth {
    NetworkToAuth::Response {
        response,
        client_salt: CLIENT_SALT.to_vec(),
    }
}

const SECRET: SecretAt = SecretAt {
    index: 0,
    in_place: false,
};

impl Asked {
    fn new(username: &str) -> Self {
        let module = AuthModule::Secret {
            name: "file".into(),
            secret: SECRET,
        };
        Self::by_module(module.into(), PASSWORD, username)
    }

    fn by_module(module: AuthStep, content: &[u8], username: &str) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let spec = AuthSpec {
            listeners: vec![AuthListener {
                chain: vec![module],
                confidential: false,
            }],
            owner: "owner".into(),
        };
        let mut buffer = Buffer::new().unwrap();
        let modules = Modules::new(spec, vec![file], &mut buffer).unwrap();
        let mut verifier = Verifier::new(buffer);
        let peer = PeerFacts::Unix {
            pid: 1,
            uid: 1,
            gid: 1,
        };
        let mut conversation = Conversation::new(ListenerId(0), peer);
        let step = conversation.receive(hello(username), &modules, &mut verifier);
        let Step::Ask(AuthToNetwork::Challenge { salt, .. }) = step else {
            panic!("{step:?}");
        };
        let mix = maths::Digest::Hmac(Hash::Sha512);
        Self {
            modules,
            verifier,
            conversation,
            combined: maths::combined_salt(mix, &salt, CLIENT_SALT).unwrap(),
        }
    }

    /// What somebody who thinks that this is the password answers.
    fn by(&self, password: &[u8]) -> Vec<u8> {
        maths::hmac_response(Hash::Sha512, password, &self.combined)
    }

    /// Has each of these answers, all of the same length, checked in a copy of this process.
    /// Nothing is allocated between them, so that all copies are the same but for the answer.
    fn check<const N: usize>(&mut self, answers: &[Vec<u8>; N]) -> [(Steps, bool); N] {
        let mut message = answer(answers[0].clone());
        answers.each_ref().map(|bytes| {
            if let NetworkToAuth::Response { response, .. } = &mut message {
                response.copy_from_slice(bytes);
            }
            steps(|| {
                let said = std::mem::replace(&mut message, hello(""));
                let step = self
                    .conversation
                    .receive(said, &self.modules, &mut self.verifier);
                let accepted = matches!(step, Step::Accept { .. });
                std::mem::forget(step);
                accepted
            })
        })
    }
}

#[test]
fn every_wrong_answer_takes_the_same_steps() {
    let mut asked = Asked::new("owner");
    let right = asked.by(PASSWORD);
    let changed = |places: &[usize]| {
        let mut response = right.clone();
        for place in places {
            response[*place] ^= 1;
        }
        response
    };
    let last = right.len() - 1;
    let answers = [
        ("the right one", right.clone()),
        ("the first byte", changed(&[0])),
        ("the last byte", changed(&[last])),
        ("all of it", changed(&(0..=last).collect::<Vec<_>>())),
        ("a password with the same start", asked.by(b"correct horsf")),
    ];
    let outcomes = asked.check(&answers.each_ref().map(|(_, answer)| answer.clone()));
    assert!(outcomes[0].1, "the right answer is accepted");
    let (first, _) = outcomes[1];
    println!("{} instructions", first.0);
    assert!(first.0 > 10_000, "it is followed: {first:?}");
    for ((name, _), (steps, accepted)) in answers.iter().zip(outcomes).skip(1) {
        assert!(!accepted, "{name}");
        assert_eq!(steps, first, "{name}");
    }
}

#[test]
fn a_users_name_changes_nothing() {
    // No module here looks at it: every name gets a challenge, in the same steps.
    let mut asked = Asked::new("owner");
    let peer = PeerFacts::Unix {
        pid: 1,
        uid: 1,
        gid: 1,
    };
    let mut fresh = Conversation::new(ListenerId(0), peer);
    let mut messages = ["owner", "nobdy", "\u{e9}\u{e9}x"].map(hello);
    let all = messages.each_mut().map(|message| {
        steps(|| {
            let said = std::mem::replace(message, hello(""));
            let step = fresh.receive(said, &asked.modules, &mut asked.verifier);
            let challenged = matches!(step, Step::Ask(_));
            std::mem::forget(step);
            challenged
        })
    });
    for outcome in all {
        assert!(outcome.1, "every name is asked");
        assert_eq!(outcome, all[0]);
    }
}

/// What a proxy says may be known to it and us alone.
#[test]
fn a_wrong_header_takes_the_same_steps_wherever_it_is_wrong() {
    const WANTED: &[u8] = b"what the proxy knows";
    let proxy = "192.0.2.1".parse().unwrap();
    let module = AuthModule::HttpHeader {
        header: "X-Door".into(),
        secret: SECRET,
        proxies: vec![Cidr::one(proxy)],
    };
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(WANTED).unwrap();
    let spec = AuthSpec {
        listeners: vec![AuthListener {
            chain: vec![module.into()],
            confidential: false,
        }],
        owner: "owner".into(),
    };
    let mut buffer = Buffer::new().unwrap();
    let modules = Modules::new(spec, vec![file], &mut buffer).unwrap();
    let mut verifier = Verifier::new(buffer);
    let peer = PeerFacts::Tcp {
        address: (proxy, 443).into(),
    };
    let mut conversation = Conversation::new(ListenerId(0), peer);
    let mut told = NetworkToAuth::Headers(vec![Header {
        name: b"x-door".to_vec(),
        value: WANTED.to_vec(),
    }]);
    let mut message = hello("");
    let values = [
        WANTED,
        b"xhat the proxy knows",
        b"what the proxy knowx",
        b"xxxxxxxxxxxxxxxxxxxx",
    ];
    // In the same place each time, as above.
    let outcomes = values.map(|value| {
        if let NetworkToAuth::Headers(headers) = &mut told {
            headers[0].value.copy_from_slice(value);
        }
        steps(|| {
            for said in [&mut told, &mut message] {
                let said = std::mem::replace(said, NetworkToAuth::Capabilities(Vec::new()));
                let step = conversation.receive(said, &modules, &mut verifier);
                let accepted = matches!(step, Step::Accept { .. });
                std::mem::forget(step);
                if accepted {
                    return true;
                }
            }
            false
        })
    });
    assert!(outcomes[0].1, "the right one is accepted");
    let ((first, _), _) = outcomes[1];
    assert!(first > 10_000, "it is followed: {first}");
    // Not all at the same addresses: a digit of the HMAC is written in another way than a letter. But the one is
    // of what the client has said itself, and the other always the same.
    for ((count, _), accepted) in &outcomes[1..] {
        assert!(!accepted);
        assert_eq!(*count, first);
    }
}

/// Who has a wrong password and who does not exist cannot be told apart by their time: the file is
/// read to its end, and an answer is computed, for both. Some dozen instructions in a hundred
/// thousand depend on where the line is and how long the password.
#[test]
fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let users: Vec<_> = (0..20)
        .map(|number| format!("user{number:03}|password of {number:03}\n"))
        .collect();
    let users = users.concat();
    let wrong = |username: &str| {
        let step = AuthStep {
            client_username: true,
            ..AuthModule::Users { secret: SECRET }.into()
        };
        let mut asked = Asked::by_module(step, users.as_bytes(), username);
        let response = asked.by(b"wrong");
        let [((count, _), accepted)] = asked.check(&[response]);
        assert!(!accepted, "{username}");
        count
    };
    let known = ["user000", "user019"].map(wrong);
    let unknown = ["nobody0", "user020"].map(wrong);
    println!("known {known:?}, unknown {unknown:?}");
    let (most, least) = known
        .iter()
        .chain(&unknown)
        .fold((0, u64::MAX), |(most, least), count| {
            (most.max(*count), least.min(*count))
        });
    assert!(least > 10_000, "they are followed");
    assert!(most - least <= least / 200, "{least} to {most}");
}
