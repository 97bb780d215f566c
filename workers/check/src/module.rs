//! A module whose checks are made in a process of their own (`docs/authentication-modules.md`).

use crate::{Auth, left};
use ipc::check::{AuthToCheck, CheckToAuth};
use runtime::{PollSet, Role, Seat};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Why the answer is no. It is for the log: the client is told nothing of it, and no secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// What the client said does not fit.
    Refused(String),
    /// It could not be found out: the operator has something to do.
    Failed(String),
}

/// A module. One value of it lives for one login. The page has an example.
pub trait Check: Sized {
    /// Its policy: `policy/roles`.
    const ROLE: Role;
    /// The number of the channel to `auth` in the policy's table of descriptors.
    const AUTH: i32;
    /// A no is told after a multiple of this time, if it could tell by itself who is there.
    const NO_EVERY: Option<Duration> = None;

    /// Takes what was passed, and makes what the sandbox will not let be made: nothing of the login is
    /// known yet. Also says how many seconds all of the check may take.
    ///
    /// # Errors
    /// One line: the login fails.
    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String>;

    /// Answers what `auth` asks, before `until`, confined.
    ///
    /// # Errors
    /// Why not.
    fn decide(self, question: AuthToCheck, until: Instant) -> Result<CheckToAuth, No>;
}

/// The process of a module: its `main`.
pub fn run<C: Check>() -> ! {
    runtime::run(C::ROLE, prepare::<C>, |seat, (check, auth)| {
        work(check, auth, seat)
    })
}

fn prepare<C: Check>(seat: &mut Seat) -> Result<(C, Auth), String> {
    let channel = seat.descriptor(C::AUTH).ok_or("no channel to auth")?;
    let (check, timeout) = C::prepare(seat)?;
    Ok((check, Auth::new(channel, timeout)))
}

fn work<C: Check>(check: C, mut auth: Auth, seat: Seat) -> ExitCode {
    let Some(question) = auth.question(seat) else {
        // Nobody waits for an answer.
        return ExitCode::SUCCESS;
    };
    let asked = Instant::now();
    let answer = check.decide(question, auth.until());
    let answer = answer.unwrap_or_else(|no| {
        match no {
            No::Refused(why) => tracing::info!("no: {why}"),
            No::Failed(why) => tracing::error!("no: {why}"),
        }
        CheckToAuth::No
    });
    if let (CheckToAuth::No, Some(every)) = (&answer, C::NO_EVERY) {
        wait_for_nothing(asked, every);
    }
    auth.say(answer)
}

/// Until the next time at which a no may be told.
fn wait_for_nothing(asked: Instant, every: Duration) {
    let mut tell_at = asked + every;
    while tell_at < Instant::now() {
        tell_at += every;
    }
    while let Some(left) = left(tell_at) {
        if PollSet::new().wait(Some(left)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_comes_after_a_multiple_of_a_time() {
        const EVERY: Duration = Duration::from_millis(500);
        for (spent, multiple) in [(0, 1), (100, 1), (510, 2)] {
            let asked = Instant::now()
                .checked_sub(Duration::from_millis(spent))
                .unwrap();
            wait_for_nothing(asked, EVERY);
            let took = asked.elapsed();
            assert!(took >= EVERY * multiple, "{spent}: {took:?}");
            assert!(took < EVERY * (multiple + 1), "{spent}: {took:?}");
        }
    }
}
