//! Every process of a running session is killed, again and again, by both signals; what must
//! survive does.
//!
//! The applications, their windows (ids, geometry, focus and pixels), the text typed and the
//! other clients survive the death of every worker and of the supervisor (docs/architecture.md).

use bulkhead_tests::processes;
use bulkhead_tests::screen::Screen;
use bulkhead_tests::session::{ENCRYPTED, Session};
use bulkhead_tests::twins::{attach_as, options, same_pixels, shown};
use bulkhead_tests::{eventually, processes::end};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use test_client::wire::packet::{
    ClientPacket, Geometry, Modifiers, PointerButton, Position, WindowId,
};
use test_client::{Client, KeyPress, State};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, Window, WindowClass};

const LONG: Duration = Duration::from_secs(20);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30 -e tee typed.txt";
/// With each signal.
const ROUNDS: usize = 20;
/// A restart that takes longer is one that a person waits for.
const SHORT: Duration = Duration::from_secs(1);

/// The confined processes of a session with two clients.
const ROLES: [&str; 8] = [
    "auth",
    "display",
    "encoder",
    "encoder",
    "keys",
    "network",
    "network",
    "supervisor",
];

/// A session with two clients, and a window that has the focus while another has the pointer.
struct Scene {
    session: Session,
    screen: Screen,
    clients: [Client; 2],
    /// The first client's.
    network: u32,
    window: WindowId,
    applications: Vec<u32>,
    /// All that the application in `window` has been given, and a count of the lines.
    typed: String,
    lines: usize,
}

/// What a client shows: every window with its place, and whether it is a menu.
type Shown = BTreeMap<WindowId, (Geometry, bool)>;

impl Scene {
    fn start() -> Self {
        let other = "--start=xterm -T other -geometry 30x10+500+400";
        let options = [&ENCRYPTED[..], &["--sharing=yes", other, XTERM]].concat();
        let session = Session::start(&options);
        let ([mut first, mut second], network) = attach_both(&session);
        let window = shown(&mut first, "wanted");
        let other = shown(&mut first, "other");
        for title in ["wanted", "other"] {
            shown(&mut second, title);
        }
        first.focus(Some(window)).unwrap();
        first.point(other, 20, 20).unwrap();
        let screen = session.screen();
        let mut scene = Self {
            applications: children(session.launcher()),
            session,
            screen,
            clients: [first, second],
            network,
            window,
            typed: String::new(),
            lines: 0,
        };
        scene.types();
        scene.is_focused();
        scene
    }

    fn supervisor(&self) -> u32 {
        self.session.process().id()
    }

    /// Kills the supervisor and starts another, and the clients come back.
    fn replace_supervisor(&mut self, signal: Signal) {
        end(self.supervisor(), signal);
        self.session.process_mut().wait(LONG);
        self.session.start_again();
        (self.clients, self.network) = attach_both(&self.session);
    }

    /// Kills the first client's `network`, and that client comes back.
    fn replace_network(&mut self, signal: Signal) {
        end(self.network, signal);
        let others = networks(&self.session);
        self.clients[0] = attach_as(&self.session, &held_for_long(1));
        self.network = newest(&self.session, &others);
    }

    /// Every client has got new pixels.
    fn repainted(&mut self) {
        for client in &mut self.clients {
            let draws = client.state().draws;
            client.wait_for(|state| state.draws > draws, LONG).unwrap();
        }
    }

    /// One more line reaches the application, after all lines before it, and every client sees
    /// pixels change. The window has the focus: nobody gives it again.
    fn types(&mut self) {
        self.lines += 1;
        let line = format!("line{}\n", self.lines);
        let before = self.clients.each_ref().map(|client| client.state().draws);
        self.clients[0].type_text(self.window, &line).unwrap();
        self.typed.push_str(&line);
        for (client, before) in self.clients.iter_mut().zip(before) {
            client.wait_for(|state| state.draws > before, LONG).unwrap();
        }
        let end = Instant::now() + LONG;
        loop {
            let text = self.session.typed();
            if text == self.typed {
                break;
            }
            let wanted = &self.typed;
            assert!(Instant::now() < end, "typed {wanted:?}, arrived {text:?}");
            for client in &mut self.clients {
                client.next_event(Duration::from_millis(5)).unwrap();
            }
        }
    }

    /// The X server says so: no client is asked.
    fn is_focused(&self) {
        let wanted = u32::try_from(self.window.get() & u64::from(u32::MAX)).unwrap();
        assert_eq!(self.screen.focus(), Some(wanted));
    }

    fn shown(&self) -> [Shown; 2] {
        self.clients.each_ref().map(|client| {
            let windows = client.state().windows.iter();
            windows
                .map(|(id, window)| (*id, (window.geometry, window.override_redirect)))
                .collect()
        })
    }

    /// All that the X server holds down: keys, and buttons and modifiers.
    fn held(&self) -> (Vec<u8>, u16) {
        (self.screen.keys_down(), self.screen.pointer_mask())
    }

    /// Nothing is left over and nothing is missing: processes, applications, pixels.
    fn is_whole(&mut self) {
        assert_eq!(children(self.session.launcher()), self.applications);
        eventually("one process for each task", LONG, || {
            let workers = processes::workers(self.supervisor());
            // The launcher is the child of the first supervisor only.
            let confined = workers.into_iter().filter(|one| one.role != "launcher");
            let mut roles: Vec<_> = confined.map(|worker| worker.role).collect();
            roles.sort();
            (roles == ROLES).then_some(())
        });
        for client in &mut self.clients {
            same_pixels(client, &self.screen, self.window);
            assert!(client.state().complaints.is_empty());
        }
    }
}

/// As every test's client, but what is held down repeats only after ten seconds: if it arrives
/// twice, that is the server's doing.
fn held_for_long(name: u8) -> test_client::Options {
    let mut options = options(name);
    options.hello.key_repeat = Some((10_000, 100));
    options
}

/// Both clients, and the `network` worker of the first.
fn attach_both(session: &Session) -> ([Client; 2], u32) {
    let first = attach_as(session, &held_for_long(1));
    let network = newest(session, &[]);
    ([first, attach_as(session, &held_for_long(2))], network)
}

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

/// The X server and the applications: the launcher's children.
fn children(launcher: u32) -> Vec<u32> {
    let parents = processes::parents();
    parents
        .iter()
        .filter(|(_, parent)| **parent == launcher)
        .map(|(pid, _)| *pid)
        .collect()
}

/// What `tests/vm/inside` says of its emulated machine.
fn times_slower() -> u32 {
    std::env::var("BULKHEAD_TIMES_SLOWER").map_or(1, |times| times.parse().unwrap())
}

/// Prints what restarts cost, and says which took longer than anybody would wait.
fn report(signal: Signal, what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{signal}, {what}: median {median:?}, longest {longest:?}");
    let limit = SHORT * times_slower();
    assert!(median < limit, "{signal}, {what}: {median:?}");
}

fn every_process_is_killed(signal: Signal) {
    let mut scene = Scene::start();
    let wanted = scene.shown();
    assert_eq!((wanted[0].len(), &wanted[0]), (2, &wanted[1]));
    let roles = [
        "encoder",
        "display",
        "auth",
        "keys",
        "network",
        "supervisor",
    ];
    let mut times = roles.map(|role| (role, Vec::new()));
    for round in 0..ROUNDS {
        for (role, times) in &mut times {
            let killed = Instant::now();
            match *role {
                "supervisor" => scene.replace_supervisor(signal),
                "network" => scene.replace_network(signal),
                role => processes::replace(scene.supervisor(), role, signal),
            }
            if ["auth", "keys"].contains(role) {
                // Attached clients notice nothing, new ones can log in.
                drop(attach_as(&scene.session, &held_for_long(3)));
            }
            scene.is_focused();
            scene.types();
            times.push(killed.elapsed());
            assert_eq!(scene.shown(), wanted, "round {round}, {role}");
        }
    }
    scene.is_whole();
    for (role, times) in times {
        let what = format!("{role} to typed text and fresh pixels");
        report(signal, &what, times);
    }
}

#[test]
fn every_process_is_killed_twenty_times_by_sigkill_and_the_session_lives() {
    every_process_is_killed(Signal::SIGKILL);
}

#[test]
fn every_process_is_killed_twenty_times_by_sigsegv_and_the_session_lives() {
    every_process_is_killed(Signal::SIGSEGV);
}

/// A window of the test's own that no window manager has a say in, as menus are.
fn own_menu(screen: &Screen) -> Window {
    let x = screen.connection();
    let white = x.setup().roots[0].white_pixel;
    let menu = x.generate_id().unwrap();
    let look = CreateWindowAux::new()
        .override_redirect(1)
        .background_pixel(white);
    let class = WindowClass::INPUT_OUTPUT;
    x.create_window(
        0,
        menu,
        screen.root(),
        700,
        100,
        120,
        80,
        0,
        class,
        0,
        &look,
    )
    .unwrap();
    x.map_window(menu).unwrap();
    x.flush().unwrap();
    menu
}

fn menus(state: &State) -> usize {
    let windows = state.windows.values();
    windows.filter(|window| window.override_redirect).count()
}

/// Presses a button at a place in a window with a modifier held.
fn press(client: &mut Client, window: WindowId, modifiers: Modifiers, pressed: bool) {
    let corner = client.state().windows[&window].geometry;
    let button = PointerButton {
        device: 0,
        sequence: 2,
        window: Some(window),
        button: 1,
        pressed,
        position: Position {
            x: corner.x + 50,
            y: corner.y + 50,
            relative: Some((50, 50)),
        },
        modifiers,
        buttons: if pressed { vec![1] } else { vec![] },
    };
    client.send(ClientPacket::PointerButton(button)).unwrap();
}

/// The keys that a person holds down while `display` dies: a letter, and Control, which together
/// with the first button keeps xterm's own menu open.
struct Hand {
    letter: KeyPress,
    control: KeyPress,
}

const CONTROL: u8 = 1 << 2;

impl Hand {
    fn new() -> Self {
        Self {
            letter: test_client::press_of('h').unwrap(),
            control: test_client::named("Control_L").unwrap(),
        }
    }

    fn keycodes(&self) -> Vec<u8> {
        [&self.control, &self.letter]
            .map(|key| u8::try_from(key.keycode).unwrap())
            .to_vec()
    }

    fn down(&self, client: &mut Client, window: WindowId) {
        client.key(window, &self.letter, true, 0).unwrap();
        client.point(window, 50, 50).unwrap();
        client.key(window, &self.control, true, 0).unwrap();
        press(client, window, Modifiers::from_mask(CONTROL), true);
    }

    fn up(&self, client: &mut Client, window: WindowId) {
        press(client, window, Modifiers::from_mask(CONTROL), false);
        client.key(window, &self.control, false, CONTROL).unwrap();
        client.key(window, &self.letter, false, 0).unwrap();
    }
}

fn display_is_killed_with_menus_open_and_keys_down(signal: Signal) {
    let mut scene = Scene::start();
    let _menu = own_menu(&scene.screen);
    for client in &mut scene.clients {
        client.wait_for(|state| menus(state) == 1, LONG).unwrap();
    }
    let wanted = scene.shown();
    assert_eq!((wanted[0].len(), &wanted[0]), (3, &wanted[1]));
    let hand = Hand::new();
    let window = scene.window;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        // The letter is typed once, as the beginning of the line.
        scene.typed.push('h');
        hand.down(&mut scene.clients[0], window);
        for client in &mut scene.clients {
            client.wait_for(|state| menus(state) == 2, LONG).unwrap();
        }
        let (keys, buttons) = scene.held();
        assert_eq!((keys, buttons & 0x100), (hand.keycodes(), 0x100));
        let with_menu = scene.shown();
        assert_eq!(with_menu[0], with_menu[1], "round {round}");
        let killed = Instant::now();
        // A worker that dies too often is given up: now and then the supervisor dies with it.
        if round % 4 == 3 {
            scene.replace_supervisor(signal);
        } else {
            processes::replace(scene.supervisor(), "display", signal);
            scene.repainted();
        }
        // What was held is let go, so the menu that it kept open closes; the other one stays.
        for client in &mut scene.clients {
            client.wait_for(|state| menus(state) == 1, LONG).unwrap();
        }
        times.push(killed.elapsed());
        assert_eq!(scene.held(), (vec![], 0), "round {round}");
        assert_eq!(scene.shown(), wanted, "round {round}");
        scene.is_focused();
        // The person lets go later, which is no news.
        hand.up(&mut scene.clients[0], window);
        scene.types();
        // Return makes the line arrive when it goes down.
        eventually("the last key to come up", LONG, || {
            (scene.held() == (vec![], 0)).then_some(())
        });
    }
    scene.is_whole();
    report(signal, "display with menus and keys to all released", times);
}

#[test]
fn display_is_killed_by_sigkill_with_menus_open_and_keys_down() {
    display_is_killed_with_menus_open_and_keys_down(Signal::SIGKILL);
}

#[test]
fn display_is_killed_by_sigsegv_with_menus_open_and_keys_down() {
    display_is_killed_with_menus_open_and_keys_down(Signal::SIGSEGV);
}

/// Types on, a key every few milliseconds, through some deaths of `display`. The pauses before a
/// new one grow, so a session sees a few only; what is held meanwhile must not repeat.
fn typed_through_deaths(deaths: usize) {
    const LINE: usize = 64;
    let session = Session::start(&[XTERM]);
    let mut options = options(1);
    options.hello.key_repeat = Some((0, 0));
    let mut client = attach_as(&session, &options);
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
    let arrived = || session.typed();
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
    let mut scene = Scene::start();
    let wanted = scene.shown();
    let display = format!(":{}", scene.session.display);
    let exit = scene.session.bulkhead(&["exit", &display]);
    assert!(exit.status.success(), "{exit:?}");
    assert!(scene.session.process_mut().wait(LONG).success());
    assert_eq!(children(scene.session.launcher()), scene.applications);
    scene.session.start_again();
    (scene.clients, scene.network) = attach_both(&scene.session);
    scene.types();
    assert_eq!(scene.shown(), wanted, "their ids and places");
    scene.is_whole();
}
