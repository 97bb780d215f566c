//! What two hundred connections a second that never log in cost the client that is attached.

use crate::server::Server;
use crate::table::{median, spread, verdict};
use bulkhead_tests::counter::{Counter, FRAMES};
use bulkhead_tests::strangers::{A_SECOND, ENOUGH, among};
use bulkhead_tests::twins::shown;
use std::error::Error;
use std::fmt::Write;
use std::time::Duration;
use test_client::Client;

/// How often a frame is painted.
const PACE: Duration = Duration::from_millis(40);
/// The title of the window.
const TITLE: &str = "counted";

/// Of [`FRAMES`] frames, those that the client was shown.
#[derive(Clone, Copy)]
pub struct Frames {
    alone: usize,
    among: usize,
    /// How many strangers came in a second.
    strangers: f64,
}

/// Counts both, with the client that is attached to this server.
///
/// # Errors
/// The strangers do not come.
pub fn measure(server: &Server, client: &mut Client) -> Result<Frames, Box<dyn Error>> {
    let counter = Counter::new(server.screen(), TITLE);
    let window = shown(client, TITLE);
    let alone = counter.frames(client, window, PACE);
    let (among, strangers) = among(client, server.port, |client| {
        counter.frames(client, window, PACE)
    });
    if strangers < ENOUGH {
        return Err(format!("only {strangers:.0} of {A_SECOND} strangers a second").into());
    }
    Ok(Frames {
        alone,
        among,
        strangers,
    })
}

/// The rows, with a place for the stock server, of which it is not measured.
pub fn rows(out: &mut String, runs: &[Frames]) -> std::fmt::Result {
    let of = |value: fn(&Frames) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let (alone, among) = (of(|run| number(run.alone)), of(|run| number(run.among)));
    let painted = 1.0 / PACE.as_secs_f64();
    writeln!(
        out,
        "| frames shown of {FRAMES} painted, {painted:.0} a second, one client | – | {} | | | |",
        spread(&alone)
    )?;
    writeln!(
        out,
        "| the same among {:.0} strangers a second | – | {} | | {FRAMES} | {} |",
        median(&of(|run| run.strangers)),
        spread(&among),
        verdict(median(&among) >= f64::from(FRAMES))
    )
}

fn number(frames: usize) -> f64 {
    u32::try_from(frames).map_or(f64::NAN, f64::from)
}
