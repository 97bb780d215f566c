//! The tables.

use crate::server::{Kind, Place};
use crate::{Arguments, Run, machine, strangers};
use policy::Role;
use std::fmt::Write;
use std::time::Duration;

/// What is measured, from one run.
struct Row {
    name: &'static str,
    unit: &'static str,
    /// Not more than this is wanted of Bulkhead.
    target: f64,
    of: fn(&Run) -> f64,
}

const ROWS: [Row; 9] = [
    Row {
        name: "command to \"ready\", warm",
        unit: "s",
        target: 0.8,
        of: |run| run.ready.as_secs_f64(),
    },
    Row {
        name: "connect to `hello` (tcp, password)",
        unit: "ms",
        target: 10.0,
        of: |run| percentile(&run.attached.hello, 50),
    },
    Row {
        name: "connect to `hello` (TLS 1.3, password)",
        unit: "ms",
        target: 15.0,
        of: |run| percentile(&run.attached.tls_hello, 50),
    },
    Row {
        name: "connect to first window pixels",
        unit: "ms",
        target: 30.0,
        of: |run| percentile(&run.attached.pixels, 50),
    },
    Row {
        name: "key press to changed pixels, xterm, p50",
        unit: "ms",
        target: 1.5,
        of: |run| percentile(&run.attached.keys, 50),
    },
    Row {
        name: "key press to changed pixels, xterm, p95",
        unit: "ms",
        target: 4.0,
        of: |run| percentile(&run.attached.keys, 95),
    },
    Row {
        name: "memory, one client attached, idle (PSS)",
        unit: "MiB",
        target: 30.0,
        of: |run| run.costs.iter().map(|cost| cost.memory).sum(),
    },
    Row {
        name: "CPU, one client attached, nothing moving",
        unit: "% of one core",
        target: 0.1,
        of: |run| run.costs.iter().map(|cost| cost.cpu).sum(),
    },
    Row {
        name: "wakeups of the process that wakes most",
        unit: "per s",
        target: 1.0,
        of: |run| {
            run.costs
                .iter()
                .map(|cost| cost.wakeups)
                .fold(0.0, f64::max)
        },
    },
];

/// How many system calls a role may have.
const CALLS: [(Role, usize); 4] = [
    (Role::Network, 20),
    (Role::Encoder, 18),
    (Role::Display, 28),
    (Role::Auth, 24),
];

/// Every figure of a run is one.
///
/// # Errors
/// Which is not.
pub fn check(run: &Run) -> Result<(), String> {
    match ROWS.iter().find(|row| !(row.of)(run).is_finite()) {
        None => Ok(()),
        Some(row) => Err(format!("{}: could not be measured", row.name)),
    }
}

/// One run in a line.
pub fn line(run: &Run) -> String {
    let mut text = String::new();
    for row in &ROWS {
        let _ = write!(text, "{} {}; ", short((row.of)(run)), row.unit);
    }
    let _ = write!(text, "others before {:.0} %", run.others * 100.0);
    text
}

/// The whole text between the markers.
pub fn document(arguments: &Arguments, place: &Place, xpra: &[Run], bulkhead: &[Run]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_document(&mut text, arguments, place, xpra, bulkhead);
    text
}

fn write_document(
    out: &mut String,
    arguments: &Arguments,
    place: &Place,
    xpra: &[Run],
    bulkhead: &[Run],
) -> std::fmt::Result {
    let others: Vec<f64> = xpra.iter().chain(bulkhead).map(|run| run.others).collect();
    writeln!(out, "{}.", machine::describe())?;
    writeln!(
        out,
        "{} runs of each server, in turn; in each {} connections, {} keys and {} idle seconds.",
        arguments.runs,
        arguments.connects,
        arguments.keys,
        arguments.idle.as_secs()
    )?;
    writeln!(
        out,
        "Just before a run other programs took {:.0} % of the machine (median; at most {:.0} %).\n",
        median(&others) * 100.0,
        others.iter().copied().fold(0.0, f64::max) * 100.0
    )?;
    writeln!(
        out,
        "| | Xpra {} | Bulkhead {} | ratio | target | |",
        place.version(Kind::Xpra),
        place.version(Kind::Bulkhead)
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for row in &ROWS {
        let values = |runs: &[Run]| runs.iter().map(row.of).collect::<Vec<_>>();
        let (theirs, ours) = (values(xpra), values(bulkhead));
        let unit = row.unit;
        writeln!(
            out,
            "| {} | {} {unit} | {} {unit} | {} × | ≤ {} {unit} | {} |",
            row.name,
            spread(&theirs),
            spread(&ours),
            short(median(&theirs) / median(&ours)),
            row.target,
            verdict(median(&ours) <= row.target)
        )?;
    }
    let frames: Vec<_> = bulkhead.iter().filter_map(|run| run.frames).collect();
    strangers::rows(out, &frames)?;
    for (role, target) in CALLS {
        let calls = policy::of(role).calls().len();
        writeln!(
            out,
            "| system calls allowed: {role} | – | {calls} | | ≤ {target} | {} |",
            verdict(calls <= target)
        )?;
    }
    writeln!(out, "\nOne client attached, nothing moving (medians):\n")?;
    writeln!(out, "| | process | memory (PSS) | CPU | wakeups |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    processes(out, Kind::Bulkhead, bulkhead)?;
    processes(out, Kind::Xpra, xpra)
}

fn processes(out: &mut String, kind: Kind, runs: &[Run]) -> std::fmt::Result {
    let costs = || runs.iter().flat_map(|run| &run.costs);
    let mut names: Vec<&str> = costs().map(|cost| cost.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |value: fn(&crate::Cost) -> f64| {
            let values: Vec<f64> = costs().filter(|c| c.name == name).map(value).collect();
            short(median(&values))
        };
        writeln!(
            out,
            "| {kind} | {name} | {} MiB | {} % | {} per s |",
            of(|cost| cost.memory),
            of(|cost| cost.cpu),
            of(|cost| cost.wakeups)
        )?;
    }
    Ok(())
}

/// For people.
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**not met**" }
}

/// Median, and lowest and highest.
pub fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    let (low, high) = (short(low), short(high));
    if low == high {
        return high;
    }
    format!("{} ({low}–{high})", short(median(values)))
}

/// Three significant digits, none of them before the point dropped.
pub fn short(value: f64) -> String {
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.1 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

/// In milliseconds, by the nearest rank.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times
        .get(rank - 1)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
