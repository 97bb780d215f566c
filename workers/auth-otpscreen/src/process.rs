//! The process: a code from `auth`, which is on the screen until the channel ends.

use crate::dialog::{Dialog, Happened};
use crate::page::Page;
use check::Auth;
use ipc::check::{AuthToCheck, CheckToAuth, MAX_CODE};
use ipc::spec::{self, ScreenSpec};
use runtime::{Interest, PollSet, Seat};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// In the descriptor table: the channel to `auth`, the spec, the connection to the X server.
const AUTH: i32 = 5;
const SPEC: i32 = 6;
const X: i32 = 7;
/// So long the X server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So often at most the whole window is drawn: who makes events up makes no more work than that.
const REDRAWN: Duration = Duration::from_millis(250);

/// How a code stops being shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `auth` needs it no more.
    Over,
    /// A person, or an application, does not want it.
    Closed,
    /// Its time is over.
    Late,
}

/// Takes what was passed. Nothing of the login is known yet, and nothing is read from the X server.
///
/// # Errors
/// One line: the login fails.
pub fn prepare(seat: &mut Seat) -> Result<(OwnedFd, Auth), String> {
    let mut passed = |number, what: &str| {
        let descriptor = seat.descriptor(number);
        descriptor.ok_or_else(|| format!("{what} was not passed"))
    };
    let channel = passed(AUTH, "the channel to auth")?;
    let spec = File::from(passed(SPEC, "the spec")?);
    let x = passed(X, "the connection to the X server")?;
    let spec: ScreenSpec = spec::read(&spec).map_err(|error| error.to_string())?;
    Ok((x, Auth::new(channel, spec.timeout)))
}

/// Shows what `auth` says, until it has gone, somebody closes the window, or the time is over.
#[must_use]
pub fn work(seat: Seat, x: OwnedFd, mut auth: Auth) -> ExitCode {
    let Some(question) = auth.question(seat) else {
        // Nobody waits for it.
        return ExitCode::SUCCESS;
    };
    match show(&mut auth, x, &question) {
        Ok(End::Over) => return ExitCode::SUCCESS,
        Ok(End::Closed) => tracing::info!("no: somebody has closed the window with the code"),
        Ok(End::Late) => tracing::info!("no: nobody has typed the code in time"),
        Err(why) => tracing::error!("no: the code cannot be shown: {why}"),
    }
    auth.answer(false)
}

fn show(auth: &mut Auth, x: OwnedFd, question: &AuthToCheck) -> Result<End, String> {
    let AuthToCheck::Show {
        code,
        username,
        peer,
        place,
    } = question
    else {
        return Err("bug: auth asks for something else".into());
    };
    let text = str::from_utf8(&code.0).ok();
    let text = text.filter(|text| (1..=MAX_CODE.into()).contains(&text.len()));
    let text = text.ok_or("bug: a code that is none")?;
    let page = Page::new(text, username, peer);
    let patience = auth.until().min(Instant::now() + PATIENCE);
    let x = xstream::open(x, patience).map_err(|error| error.to_string())?;
    let failed = |error: crate::dialog::ShowError| error.to_string();
    let mut dialog = Dialog::open(x, &page, *place).map_err(failed)?;
    let mut is_told = false;
    let mut draw_at = Instant::now();
    loop {
        if auth.is_over() {
            return Ok(End::Over);
        }
        match dialog.hear().map_err(failed)? {
            Happened::Closed => return Ok(End::Closed),
            Happened::Mapped if !is_told => {
                is_told = true;
                dialog.draw(seconds(auth.until())).map_err(failed)?;
                if !auth.tell(&CheckToAuth::Shown) {
                    return Ok(End::Over);
                }
            }
            Happened::Mapped | Happened::Nothing => {}
        }
        let Some(left) = check::left(auth.until()) else {
            return Ok(End::Late);
        };
        let now = Instant::now();
        if !is_told && now >= patience {
            return Err("no window manager shows its window".into());
        }
        if now >= draw_at {
            dialog.draw(seconds(auth.until())).map_err(failed)?;
            draw_at = now + REDRAWN;
        }
        // Until the next second begins, or it may be drawn again.
        let mut pause = Duration::from_nanos(left.subsec_nanos().max(1_000_000).into());
        if dialog.is_stale() {
            pause = pause.min(draw_at.saturating_duration_since(now));
        }
        if dialog.stream().has_more() {
            pause = Duration::ZERO;
        }
        let mut set = PollSet::new();
        set.add(auth.as_fd(), auth.interest());
        set.add(dialog.stream().as_fd(), Interest::Read);
        set.wait(Some(pause)).map_err(|error| error.to_string())?;
    }
}

/// Whole seconds that are left, those that have begun too.
fn seconds(until: Instant) -> u64 {
    let left = until.saturating_duration_since(Instant::now());
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}
