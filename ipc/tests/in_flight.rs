//! The kernel counts the descriptors that are in flight for a user, and refuses more than a
//! process of that user may have open (`ETOOMANYREFS`, unix(7)).

use ipc::Channel;
use ipc::channel::{Message, socketpair};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::{Uid, setuid};
use serde::{Deserialize, Serialize};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Giver {
    Gift,
}

impl Message for Giver {
    const NAME: &'static str = "giver>taker";
    fn descriptors(&self) -> usize {
        1
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Taker {}

impl Message for Taker {
    const NAME: &'static str = "taker>giver";
}

/// Set in the process that may limit itself.
const CHILD: &str = "BULKHEAD_TEST_IN_FLIGHT";

/// Runs the test of this name in a process with few descriptors, whose user has nothing else in
/// flight. `true` in that process.
fn alone(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        setrlimit(Resource::RLIMIT_NOFILE, 24, 24).unwrap();
        if Uid::effective().is_root() {
            // Root is not counted. Process ids are unique, and so is this user.
            setuid(Uid::from_raw(1_700_000_000 + std::process::id())).unwrap();
        }
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let status = command.args(["--exact", test]).env(CHILD, "1").status();
    assert!(status.unwrap().success());
    false
}

/// Puts so many descriptors in flight that the kernel takes no more. They come back when the
/// sockets are closed.
fn fill() -> (OwnedFd, OwnedFd) {
    let (here, there) = socketpair().unwrap();
    let gift = here.as_raw_fd();
    for _ in 0..1000 {
        let gifts = [gift; 4];
        let rights = [ControlMessage::ScmRights(&gifts)];
        let packet = [IoSlice::new(b"x")];
        let sent = sendmsg::<()>(gift, &packet, &rights, MsgFlags::MSG_DONTWAIT, None);
        if sent == Err(Errno::ETOOMANYREFS) {
            return (here, there);
        }
        sent.unwrap();
    }
    panic!("the kernel takes any number");
}

/// Waits as every loop does, until something is received, for at most this long. How often it
/// woke, and how much was received.
fn wait(
    giver: &mut Channel<Giver, Taker>,
    taker: &mut Channel<Taker, Giver>,
    time: Duration,
) -> (usize, usize) {
    let end = Instant::now() + time;
    let (mut turns, mut received) = (0, 0);
    while Instant::now() < end && received == 0 {
        let write = if giver.awaits_socket() {
            PollFlags::POLLOUT
        } else {
            PollFlags::empty()
        };
        let until = giver.retry_at().into_iter().chain([end]).min().unwrap();
        // poll(2) counts milliseconds.
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        let mut fds = [PollFd::new(giver.as_fd(), write)];
        poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
        turns += 1;
        giver.flush().unwrap();
        while taker.receive().unwrap().is_some() {
            received += 1;
        }
    }
    (turns, received)
}

#[test]
fn a_refused_descriptor_is_sent_later_without_a_busy_loop() {
    if !alone("a_refused_descriptor_is_sent_later_without_a_busy_loop") {
        return;
    }
    let (a, b) = socketpair().unwrap();
    let (mut giver, mut taker) = (Channel::<Giver, Taker>::new(a), Channel::new(b));
    giver.flush().unwrap();
    let mut gifts = (0..2).map(|_| socketpair().unwrap().0).collect::<Vec<_>>();
    let filled = fill();
    giver.send(&Giver::Gift, gifts.split_off(1)).unwrap();
    assert!(giver.wants_write() && !giver.awaits_socket());
    let (turns, received) = wait(&mut giver, &mut taker, Duration::from_millis(500));
    // 1 + 2 + 4 + … + 256 ms.
    assert!((2..=12).contains(&turns) && received == 0, "{turns} turns");
    // What is sent meanwhile waits behind it.
    giver.send(&Giver::Gift, gifts).unwrap();
    drop(filled);
    let (_, received) = wait(&mut giver, &mut taker, Duration::from_secs(10));
    assert_eq!(received, 2);
    assert!(!giver.wants_write() && giver.retry_at().is_none());
}
