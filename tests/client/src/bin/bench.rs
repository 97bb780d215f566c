//! Measures a server as a client sees it: `bench-client ADDRESS [--password=WORD] [--user=NAME]
//! [--connects=N] [--keys=N]`. Prints one line per quantity, in milliseconds:
//! `NAME p50=… p95=… n=…`.
//!
//! The session must show a terminal with a prompt as its first window.

use std::process::ExitCode;
use std::time::{Duration, Instant};
use test_client::wire::packet::WindowId;
use test_client::{Address, Client, Error, Event, Happening, Options, press_of};

/// Time that any single step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two keys: long enough for a server to do what it does when nothing happens.
const PAUSE: Duration = Duration::from_millis(40);
/// Keys after which the line is emptied.
const LINE: usize = 50;

struct Arguments {
    address: Address,
    options: Options,
    connects: usize,
    keys: usize,
}

fn arguments() -> Option<Arguments> {
    let mut arguments = std::env::args().skip(1);
    let address = Address::parse(&arguments.next()?)?;
    let mut all = Arguments {
        address,
        options: Options::gtk(),
        connects: 10,
        keys: 200,
    };
    for argument in arguments {
        let (name, value) = argument.split_once('=')?;
        match name {
            "--password" => all.options = all.options.password(value),
            "--user" => all.options = all.options.username(value),
            "--connects" => all.connects = value.parse().ok()?,
            "--keys" => all.keys = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(all)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: bench-client ADDRESS [--password=WORD] [--user=NAME] [--connects=N] [--keys=N]"
        );
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    let (mut hello, mut pixels) = (Vec::new(), Vec::new());
    for _ in 0..arguments.connects {
        let start = Instant::now();
        let mut client = Client::connect(&arguments.address, &arguments.options, PATIENCE)?;
        hello.push(start.elapsed());
        pixels.push(first_picture(&mut client)?.0 - start);
        client.settle(Duration::from_millis(200), PATIENCE)?;
        client.disconnect()?;
    }
    report("connect-to-hello", hello);
    report("connect-to-pixels", pixels);
    report("key-to-pixels", keys(arguments)?);
    Ok(())
}

fn first_picture(client: &mut Client) -> Result<(Instant, WindowId), Error> {
    let end = Instant::now() + PATIENCE;
    while let Some(event) = client.next_event(end.saturating_duration_since(Instant::now()))? {
        if let Event {
            at,
            what: Happening::Drawn { window, .. },
        } = event
        {
            return Ok((at, window));
        }
    }
    Err(Error::Timeout(PATIENCE, "a picture"))
}

fn keys(arguments: &Arguments) -> Result<Vec<Duration>, Error> {
    let mut client = Client::connect(&arguments.address, &arguments.options, PATIENCE)?;
    let (_, window) = first_picture(&mut client)?;
    client.focus(Some(window))?;
    client.point(window, 50, 50)?;
    client.settle(Duration::from_millis(700), PATIENCE)?;
    let key = press_of('x').ok_or(Error::NoKey('x'))?;
    let mut times = Vec::new();
    for count in 1..=arguments.keys {
        let start = Instant::now();
        client.key(window, &key, true, 0)?;
        times.push(change(&mut client, window)? - start);
        client.key(window, &key, false, 0)?;
        if count % LINE == 0 {
            client.type_text(window, &"\u{8}".repeat(LINE))?;
            client.settle(Duration::from_millis(300), PATIENCE)?;
        }
        client.settle(PAUSE, PATIENCE)?;
    }
    client.disconnect()?;
    Ok(times)
}

/// When the window's pixels change next.
fn change(client: &mut Client, window: WindowId) -> Result<Instant, Error> {
    let end = Instant::now() + PATIENCE;
    while let Some(event) = client.next_event(end.saturating_duration_since(Instant::now()))? {
        match event.what {
            Happening::Drawn {
                window: drawn,
                changed: true,
                ..
            } if drawn == window => return Ok(event.at),
            _ => {}
        }
    }
    Err(Error::Timeout(PATIENCE, "a change"))
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times
            .get(index)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    };
    println!(
        "{name} p50={:.3} p95={:.3} n={}",
        at(50),
        at(95),
        times.len()
    );
}
