//! Measures Bulkhead and the stock server, in turn, on this machine, and writes what it measured
//! into a document: `bulkhead-bench RELEASE_DIR [--runs=N] [--connects=N] [--keys=N] [--idle=SECONDS]
//! [--write=FILE]`. `--only=encryption`, `--only=signatures` and `--only=strangers` print that part alone.

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
mod strangers;
mod table;

use attached::Attached;
use cost::Cost;
use server::{Kind, Place, Server};
use std::error::Error;
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
    only: Option<Only>,
}

/// A part of it all.
#[derive(Clone, Copy)]
enum Only {
    Encryption,
    Signatures,
    Strangers,
}

impl Only {
    fn named(name: &str) -> Option<Self> {
        match name {
            "encryption" => Some(Self::Encryption),
            "signatures" => Some(Self::Signatures),
            "strangers" => Some(Self::Strangers),
            _ => None,
        }
    }

    /// Measures it, and writes its rows.
    fn rows(self, arguments: &Arguments) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        match self {
            Self::Encryption => {
                text = encryption::document(&encryption::measure(arguments.runs)?);
            }
            Self::Signatures => {
                let mut keys = keys::Keys::start()?;
                signing::rows(&mut text, &signing::measure(&mut keys)?)?;
                keys.stop();
            }
            Self::Strangers => {
                let place = Place::new(&arguments.executables);
                let frames: Result<Vec<_>, _> = (0..arguments.runs)
                    .map(|_| {
                        let (server, _) = Server::start(Kind::Bulkhead, &place);
                        strangers::measure(&server, &mut attached::connect(&server)?)
                    })
                    .collect();
                strangers::rows(&mut text, &frames?)?;
            }
        }
        Ok(text)
    }
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
        only: None,
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
            "--only" => all.only = Some(Only::named(value)?),
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
    /// Not of the stock server.
    frames: Option<strangers::Frames>,
    /// Share of the CPUs that was busy with other things just before.
    others: f64,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: bulkhead-bench RELEASE_DIR [--runs=N] [--connects=N] [--keys=N] [--idle=SECONDS] [--write=FILE] [--only=encryption|signatures|strangers]"
        );
        return ExitCode::from(2);
    };
    if let Some(only) = arguments.only {
        return match only.rows(&arguments) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("bulkhead-bench: {error}");
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
) -> Result<Run, Box<dyn Error>> {
    let others = machine::wait_until_quiet();
    let (server, ready) = Server::start(kind, place);
    let (attached, mut client) = Attached::measure(&server, arguments, number)
        .inspect_err(|_| eprintln!("{}", server.output()))?;
    attached::idle(&mut client, REST)?;
    let before = cost::look(&server);
    attached::idle(&mut client, arguments.idle)?;
    let after = cost::look(&server);
    let frames = match kind {
        Kind::Xpra => None,
        Kind::Bulkhead => Some(strangers::measure(&server, &mut client)?),
    };
    client.disconnect()?;
    let run = Run {
        ready,
        attached,
        costs: cost::between(&before, &after)?,
        frames,
        others,
    };
    table::check(&run)?;
    Ok(run)
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
