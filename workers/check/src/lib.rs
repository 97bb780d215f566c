//! What the processes have in common that live for the check of one login.
//!
//! * [`Check`]: a module, which [`run()`] gives a process.
//! * [`Auth`]: the channel to `auth`, with one question and one answer. Who goes on after it has said something
//!   works with that alone.
//! * [`stored`]: a password that a database has, and what a client said.
#![forbid(unsafe_code)]

mod module;
pub mod stored;

pub use module::{Check, No, run};

use ipc::Channel;
use ipc::check::{AuthToCheck, CheckToAuth};
use runtime::{Interest, PollSet, Seat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The channel to `auth`, and how long all of it may take.
pub struct Auth {
    channel: Channel<CheckToAuth, AuthToCheck>,
    until: Instant,
    /// The channel to the supervisor is in it, whose end would be ours.
    seat: Option<Seat>,
}

impl Auth {
    /// The passed descriptor, and the seconds for all of the check, from now on.
    #[must_use]
    pub fn new(fd: OwnedFd, timeout: u16) -> Self {
        Self {
            channel: Channel::new(fd),
            until: Instant::now() + Duration::from_secs(timeout.into()),
            seat: None,
        }
    }

    /// When the time is over.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Says that this process is ready, and hears what `auth` asks; `None` when it has gone, breaks
    /// the rules, or takes too long. Only what is confined has a seat to give away
    /// ([`runtime::run`]): a password is not sent to a process without its sandbox.
    pub fn question(&mut self, confined: Seat) -> Option<AuthToCheck> {
        self.seat = Some(confined);
        let mut heard = self.channel.send(&CheckToAuth::Ready, Vec::new());
        loop {
            match heard.and_then(|()| self.channel.receive()) {
                Ok(Some((question, _))) => return Some(question),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "no question");
                    return None;
                }
            }
            let mut set = PollSet::new();
            let interest = Interest::read_and(self.channel.wants_write());
            set.add(self.channel.as_fd(), interest);
            if set.wait(Some(left(self.until)?)).is_err() {
                return None;
            }
            heard = self.channel.flush();
        }
    }

    /// Says something that is not the end. False when nobody hears it.
    pub fn tell(&mut self, what: &CheckToAuth) -> bool {
        self.channel.send(what, Vec::new()).is_ok()
    }

    /// Has the channel ended? After its one question `auth` says nothing else.
    pub fn is_over(&mut self) -> bool {
        let heard = self.channel.flush().and_then(|()| self.channel.receive());
        !matches!(heard, Ok(None))
    }

    /// What to wait for at the channel.
    #[must_use]
    pub fn interest(&self) -> Interest {
        Interest::read_and(self.channel.wants_write())
    }

    /// Answers, and says how the process is to end.
    #[must_use]
    pub fn answer(self, yes: bool) -> ExitCode {
        self.say(match yes {
            true => CheckToAuth::Yes,
            false => CheckToAuth::No,
        })
    }

    /// The same, with another answer than yes or no.
    #[must_use]
    pub fn say(mut self, answer: CheckToAuth) -> ExitCode {
        let sent = self.channel.send(&answer, Vec::new());
        if sent.is_ok() && !self.channel.wants_write() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl AsFd for Auth {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// The time that is left, if there is any.
#[must_use]
pub fn left(until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

/// The example of `docs/authentication-modules.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/authentication-modules.md")]
struct Example;
