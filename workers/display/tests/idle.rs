//! Nothing wakes when nothing happens; what happens is passed on at once. One test, because it
//! looks at the only worker of its process.

mod common;

use common::*;
use ipc::capture::{DisplayToEncoder, EncoderToDisplay};
use ipc::display::{Attach, NetworkToDisplay};
use std::time::{Duration, Instant};
use x11rb::protocol::Event;

/// How often the worker's thread has been woken.
fn wakes() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let worker = tasks
        .map(|task| task.unwrap().path())
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|c| c.trim() == "worker"))
        .expect("the worker's thread");
    let status = std::fs::read_to_string(worker.join("status")).unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn nothing_wakes_when_nothing_happens() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.attached(
        1,
        false,
        Attach {
            cursors: true,
            bell: true,
            ..attach()
        },
    );
    let app = App::start(&server);
    let window = app.window("idle", (0, 0, 200, 100));
    let id = peer.titled("idle");
    app.mapped(window);
    peer.map(id);
    peer.say(NetworkToDisplay::Focus(Some(id)));
    app.wait("FocusIn", |e| matches!(e, Event::FocusIn(_)).then_some(()));
    peer.settle(id, (200, 100), &app.image(window, (200, 100)));
    let mut times: Vec<Duration> = (0..50)
        .map(|n| {
            peer.ask(EncoderToDisplay::Pull);
            let start = Instant::now();
            peer.type_key(id, "a", 38, ipc::input::Modifiers(0));
            app.wait("the key", |e| matches!(e, Event::KeyPress(_)).then_some(()));
            app.fill(window, n * 999, (10, 10, 8, 14));
            loop {
                let message = peer.encoder_message("the frame");
                peer.apply(&message);
                if let DisplayToEncoder::Frame { .. } = message {
                    return start.elapsed();
                }
            }
        })
        .collect();
    times.sort_unstable();
    println!(
        "key to pixels in the encoder's hands: median {:?}, worst {:?}",
        times[25], times[49]
    );
    // An open pull and a focused window: everything is armed, and nothing happens.
    peer.ask(EncoderToDisplay::Pull);
    let ask = ipc::display::SupervisorToDisplay::Describe { token: 1 };
    worker.supervisor.send(&ask, vec![]).unwrap();
    until(&mut worker.supervisor, "Description", |m, _| {
        matches!(m, ipc::display::DisplayToSupervisor::Description { .. }).then_some(())
    });
    let ask = ipc::display::SupervisorToDisplay::Ping;
    worker.supervisor.send(&ask, vec![]).unwrap();
    until(&mut worker.supervisor, "Pong", |m, _| {
        matches!(m, ipc::display::DisplayToSupervisor::Pong).then_some(())
    });
    // What is measured is that time passes and nothing happens in it.
    let before = loop {
        let before = wakes();
        std::thread::sleep(Duration::from_millis(100));
        if wakes() == before {
            break before;
        }
    };
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(wakes(), before);
}
