//! Measures Bulkhead and the stock server, in turn, on this machine, and writes what it measured
//! into a document: `bulkhead-bench RELEASE_DIR [--runs=N] [--connects=N] [--keys=N] [--idle=SECONDS]
//! [--write=FILE]`. `--only=encryption` leaves the servers out, and prints what encryption costs.

#![forbid(unsafe_code)]

mod attached;
mod channel;
mod cost;
mod encryption;
mod keys;
mod machine;
mod pipe;
mod records;
mod server;
mod signing;
mod table;

use attached::Attached;
use cost::Cost;
use server::{Kind, Place, Server};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Before memory and time are looked at, a server is left alone this long.
const REST: Duration = Duration::from_secs(4);

struct Arguments {
    executables: PathBuf,
    runs: usize,
    connects: usize,
    keys: usize,
    idle: Duration,
    write: Option<PathBuf>,
    only_encryption: bool,
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args_os().skip(1);
    let mut all = Arguments {
        executables: words.next()?.into(),
        runs: 5,
        connects: 15,
        keys: 100,
        idle: Duration::from_secs(12),
        write: None,
        only_encryption: false,
    };
    for word in words {
        let word = word.into_string().ok()?;
        let (name, value) = word.split_once('=')?;
        match name {
            "--runs" => all.runs = value.parse().ok().filter(|runs| *runs > 0)?,
            "--connects" => all.connects = value.parse().ok().filter(|connects| *connects > 0)?,
            "--keys" => all.keys = value.parse().ok().filter(|keys| *keys > 0)?,
            "--idle" => all.idle = Duration::from_secs(value.parse().ok()?),
            "--write" => all.write = Some(value.into()),
            "--only" if value == "encryption" => all.only_encryption = true,
            _ => return None,
        }
    }
    Some(all)
}

/// What one run of one server gave.
struct Run {
    ready: Duration,
    attached: Attached,
    costs: Vec<Cost>,
    /// Share of the CPUs that was busy with other things just before.
    others: f64,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: bulkhead-bench RELEASE_DIR [--runs=N] [--connects=N] [--keys=N] [--idle=SECONDS] [--write=FILE] [--only=encryption]"
        );
        return ExitCode::from(2);
    };
    if arguments.only_encryption {
        return match encryption::measure(arguments.runs) {
            Ok(measured) => {
                println!("{}", encryption::document(&measured));
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("bulkhead-bench: encryption: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let place = Place::new(&arguments.executables);
    // Neither has its first start counted: the files come from the disk then.
    for kind in Kind::BOTH {
        let (server, ready) = Server::start(kind, &place);
        eprintln!(
            "{kind}: ready after {:.0} ms, not counted",
            ready.as_secs_f64() * 1000.0
        );
        drop(server);
    }
    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    for number in 0..arguments.runs {
        // Whoever is first in one run is second in the next.
        for turn in [number % 2, (number + 1) % 2] {
            let run = match one_run(Kind::BOTH[turn], &place, &arguments, number) {
                Ok(run) => run,
                Err(error) => {
                    eprintln!("bulkhead-bench: {}: {error}", Kind::BOTH[turn]);
                    return ExitCode::FAILURE;
                }
            };
            eprintln!(
                "run {}, {}: {}",
                number + 1,
                Kind::BOTH[turn],
                table::line(&run)
            );
            runs[turn].push(run);
        }
    }
    let [xpra, bulkhead] = runs;
    let mut text = table::document(&arguments, &place, &xpra, &bulkhead);
    machine::wait_until_quiet();
    match encryption::measure(arguments.runs) {
        Ok(measured) => {
            text.push_str("\nWhat encryption costs, each part by itself:\n\n");
            text.push_str(&encryption::document(&measured));
        }
        Err(error) => {
            eprintln!("bulkhead-bench: encryption: {error}");
            return ExitCode::FAILURE;
        }
    }
    println!("{text}");
    match &arguments.write {
        Some(file) => write(file, &text),
        None => ExitCode::SUCCESS,
    }
}

fn one_run(
    kind: Kind,
    place: &Place,
    arguments: &Arguments,
    number: usize,
) -> Result<Run, test_client::Error> {
    let others = machine::wait_until_quiet();
    let (server, ready) = Server::start(kind, place);
    let (attached, mut client) = Attached::measure(&server, arguments, number)
        .inspect_err(|_| eprintln!("{}", server.output()))?;
    attached::idle(&mut client, REST)?;
    let before = cost::look(&server);
    attached::idle(&mut client, arguments.idle)?;
    let after = cost::look(&server);
    client.disconnect()?;
    Ok(Run {
        ready,
        attached,
        costs: cost::between(&before, &after),
        others,
    })
}

const BEGIN: &str = "<!-- make bench: begin -->";
const END: &str = "<!-- make bench: end -->";

fn write(file: &Path, text: &str) -> ExitCode {
    let written = std::fs::read_to_string(file).and_then(|old| {
        let parts = old.split_once(BEGIN).and_then(|(head, rest)| {
            let (_, tail) = rest.split_once(END)?;
            Some((head, tail))
        });
        let (head, tail) = parts
            .ok_or_else(|| std::io::Error::other(format!("it has no lines {BEGIN} and {END}")))?;
        std::fs::write(file, format!("{head}{BEGIN}\n\n{text}\n{END}{tail}"))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulkhead-bench: {}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}
