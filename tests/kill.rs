//! Every process of a running session is killed, again and again; what must survive does.
//!
//! The applications, their windows (ids and geometry), the text typed and the other clients
//! survive the death of every worker and of the supervisor (docs/architecture.md).

use bulkhead_tests::processes;
use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{attach, attach_with, shown};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use test_client::Client;
use test_client::wire::packet::{
    ClientPacket, Geometry, Modifiers, PointerButton, Position, WindowId,
};

const LONG: Duration = Duration::from_secs(20);
const ROUNDS: usize = 20;
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30 -e tee typed.txt";

fn networks(session: &Session) -> Vec<u32> {
    processes::of_role(session.process().id(), "network")
}

/// The `network` worker that is not among these.
fn newest(session: &Session, others: &[u32]) -> u32 {
    let new = networks(session)
        .into_iter()
        .find(|pid| !others.contains(pid));
    new.expect("an attached client has a network worker")
}

fn windows(client: &Client) -> Vec<(WindowId, Geometry)> {
    client
        .state()
        .windows
        .iter()
        .map(|(id, window)| (*id, window.geometry))
        .collect()
}

/// What has been typed so far must be in the application's file; then one more line arrives
/// there and every client sees pixels change.
struct Typist {
    lines: String,
    count: usize,
}

impl Typist {
    fn types(&mut self, session: &Session, clients: &mut [Client], window: WindowId) {
        self.count += 1;
        let line = format!("line{}\n", self.count);
        let before: Vec<u64> = clients.iter().map(|client| client.state().draws).collect();
        clients[0].focus(Some(window)).unwrap();
        clients[0].type_text(window, &line).unwrap();
        self.lines.push_str(&line);
        for (client, before) in clients.iter_mut().zip(before) {
            client.wait_for(|state| state.draws > before, LONG).unwrap();
        }
        let file = session.home().join("typed.txt");
        let text = || std::fs::read_to_string(&file).unwrap_or_default();
        let end = Instant::now() + LONG;
        while text() != self.lines {
            assert!(
                Instant::now() < end,
                "typed {:?}, arrived {:?}",
                self.lines,
                text()
            );
            for client in clients.iter_mut() {
                client.next_event(Duration::from_millis(5)).unwrap();
            }
        }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn every_process_is_killed_twenty_times_and_the_session_lives() {
    let mut session = Session::start(&["--sharing=yes", XTERM]);
    let mut clients = vec![attach(&session, 1)];
    let mut first_network = newest(&session, &[]);
    clients.push(attach(&session, 2));
    let window = shown(&mut clients[0], "wanted");
    shown(&mut clients[1], "wanted");
    let applications = application_pids(&session);
    let wanted = windows(&clients[0]);
    let mut typist = Typist {
        lines: String::new(),
        count: 0,
    };
    let mut times: [(&str, Vec<Duration>); 5] =
        ["encoder", "display", "auth", "network", "supervisor"].map(|role| (role, Vec::new()));
    for round in 0..ROUNDS {
        let signal = if round % 2 == 0 {
            Signal::SIGKILL
        } else {
            Signal::SIGSEGV
        };
        for (role, times) in &mut times {
            let killed = match *role {
                "supervisor" => {
                    let killed = Instant::now();
                    processes::end(session.process().id(), signal);
                    session.process_mut().wait(LONG);
                    session.start_again();
                    clients = vec![attach(&session, 1)];
                    first_network = newest(&session, &[]);
                    clients.push(attach(&session, 2));
                    killed
                }
                "network" => {
                    let killed = Instant::now();
                    processes::end(first_network, signal);
                    let others = networks(&session);
                    clients[0] = attach(&session, 1);
                    first_network = newest(&session, &others);
                    killed
                }
                role => processes::replace(session.process().id(), role, signal),
            };
            if *role == "display" {
                // A new one repaints.
                for client in &mut clients {
                    let draws = client.state().draws;
                    client.wait_for(|state| state.draws > draws, LONG).unwrap();
                }
            }
            if *role == "auth" {
                // Attached clients notice nothing, new ones can log in.
                drop(attach(&session, 3));
            }
            typist.types(&session, &mut clients, window);
            times.push(killed.elapsed());
            for client in &clients {
                assert_eq!(
                    windows(client),
                    wanted,
                    "round {round}, after {role} was killed"
                );
            }
        }
    }
    assert_eq!(
        application_pids(&session),
        applications,
        "the applications live"
    );
    for (role, times) in &mut times {
        let longest = times.iter().max().copied().unwrap_or_default();
        println!(
            "{role}: killed to typed text and fresh pixels, median {:?}, longest {longest:?}",
            median(times)
        );
    }
}

/// X server and xterm: the launcher's children.
fn application_pids(session: &Session) -> Vec<u32> {
    let launcher = session.launcher();
    let parents = processes::parents();
    parents
        .iter()
        .filter(|(_, parent)| **parent == launcher)
        .map(|(pid, _)| *pid)
        .collect()
}

#[test]
fn a_display_killed_with_a_menu_open_and_a_key_down_is_replaced() {
    let session = Session::start(&["--sharing=yes", XTERM]);
    let mut clients = [attach(&session, 1), attach(&session, 2)];
    let window = shown(&mut clients[0], "wanted");
    let [first, second] = &mut clients;
    // Control and the first button open xterm's menu, which stays while they are held.
    let control = test_client::named("Control_L").unwrap();
    first.focus(Some(window)).unwrap();
    first.point(window, 50, 50).unwrap();
    first.key(window, &control, true, 0).unwrap();
    let corner = first.state().windows[&window].geometry;
    let press = PointerButton {
        device: 0,
        sequence: 2,
        window: Some(window),
        button: 1,
        pressed: true,
        position: Position {
            x: corner.x + 50,
            y: corner.y + 50,
            relative: Some((50, 50)),
        },
        modifiers: Modifiers::from_mask(1 << 2),
        buttons: vec![1],
    };
    first.send(ClientPacket::PointerButton(press)).unwrap();
    let menu = |state: &test_client::State| state.windows.values().any(|w| w.override_redirect);
    first.wait_for(menu, LONG).unwrap();
    second.wait_for(menu, LONG).unwrap();
    processes::replace(session.process().id(), "display", Signal::SIGKILL);
    // What was held is released: the menu closes, and typing is plain text again.
    for client in [&mut *first, &mut *second] {
        client.wait_for(|state| !menu(state), LONG).unwrap();
    }
    let mut typist = Typist {
        lines: String::new(),
        count: 0,
    };
    typist.types(&session, &mut clients, window);
    assert_eq!(windows(&clients[0]), windows(&clients[1]));
}

/// Types on, a key every few milliseconds, through some deaths of `display`. The pauses before a
/// new one grow, so a session sees a few only; what is held meanwhile must not repeat.
fn typed_through_deaths(deaths: usize) {
    const LINE: usize = 64;
    let session = Session::start(&[XTERM]);
    let mut client = attach_with(&session, 1, |hello| hello.key_repeat = Some((0, 0)));
    let window = shown(&mut client, "wanted");
    client.focus(Some(window)).unwrap();
    let top = session.process().id();
    let (mut text, mut last, mut killed) = (String::new(), 0, 0);
    // Letters of both cases: Shift goes down and up too.
    let mut letters = ('a'..='z').chain('A'..='Z').cycle();
    while killed < deaths || text.len() % LINE != 0 || text.len() < 2 * LINE {
        let next = if text.len() % LINE == LINE - 1 {
            '\n'
        } else {
            letters.next().unwrap()
        };
        text.push(next);
        client.type_text(window, &next.to_string()).unwrap();
        client.next_event(Duration::from_millis(3)).unwrap();
        let alive = processes::of_role(top, "display");
        // It has answered: what is typed goes through it, and it may do half of it.
        if let [pid] = alive[..]
            && pid != last
            && killed < deaths
            && text.len() % 16 == 7
            && client.state().draws > 0
        {
            processes::end(pid, Signal::SIGKILL);
            (last, killed) = (pid, killed + 1);
        }
    }
    let file = session.home().join("typed.txt");
    let arrived = || std::fs::read_to_string(&file).unwrap_or_default();
    let end = Instant::now() + LONG;
    while arrived() != text {
        assert!(
            Instant::now() < end,
            "typed:\n{text}\narrived:\n{}",
            arrived()
        );
        client.next_event(Duration::from_millis(5)).unwrap();
    }
}

#[test]
fn every_key_arrives_once_through_twenty_deaths_of_display() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| typed_through_deaths(5));
        }
    });
}

#[test]
fn exit_leaves_the_applications_for_the_next_start() {
    let mut session = Session::start(&["--sharing=yes", XTERM]);
    let mut clients = [attach(&session, 1)];
    let window = shown(&mut clients[0], "wanted");
    let applications = application_pids(&session);
    let exit = session.bulkhead(&["exit", &format!(":{}", session.display)]);
    assert!(exit.status.success(), "{exit:?}");
    assert!(session.process_mut().wait(LONG).success());
    assert_eq!(application_pids(&session), applications);
    session.start_again();
    let mut clients = [attach(&session, 1)];
    assert_eq!(shown(&mut clients[0], "wanted"), window, "its id");
    let mut typist = Typist {
        lines: String::new(),
        count: 0,
    };
    typist.types(&session, &mut clients, window);
}
