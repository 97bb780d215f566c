//! Which packet may come when: every packet type in every state of a connection.

mod common;

use bulkhead_network::connection::{Change, Effect};
use common::{Bench, challenge, facts, gui, wire_window};
use ipc::auth::AuthToNetwork;
use ipc::keys::AesMode;
use ipc::network::SupervisorToNetwork;
use std::collections::BTreeSet;
use wire::hello::{DisplayCaps, Keymap};
use wire::packet::{self as p, ClientPacket, Packet, accepted_names};
use wire::rencodeplus::Value;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was said.
    Untouched,
    /// The client has said hello in clear, and is asked to change to TLS.
    Changing,
    /// It has agreed, and nothing is said in TLS yet.
    Changed,
    /// The client has said hello on an encrypted socket, `keys` thinks.
    Deriving,
    /// The client has said hello, `auth` thinks.
    Asked,
    /// The client has a challenge to answer.
    Challenged,
    /// `auth` has said no, the client is told in a second.
    Refused,
    /// `auth` has said yes, the supervisor thinks.
    Accepted,
    /// The session is granted, `display` thinks.
    Granted,
    /// The client has had its hello.
    Attached,
    /// The last packet is on its way.
    Closing,
}

impl State {
    const ALL: [Self; 11] = [
        Self::Untouched,
        Self::Changing,
        Self::Changed,
        Self::Deriving,
        Self::Asked,
        Self::Challenged,
        Self::Refused,
        Self::Accepted,
        Self::Granted,
        Self::Attached,
        Self::Closing,
    ];

    /// A connection that is there, all news read.
    fn bench(self) -> Bench {
        let encryption = (self == Self::Deriving).then_some(AesMode::Cbc);
        let mut bench = Bench::on(None, encryption);
        let mut hello = gui();
        if self == Self::Deriving {
            hello.network.encryption = Ok(Some(common::offer()));
        }
        if matches!(self, Self::Changing | Self::Changed) {
            bench.connection = bench.connection.asking_for_tls(true);
            bench.connection.may_change(true);
            hello.network.packet_types = vec![p::UpgradePacket::NAME.to_owned()];
        }
        if self != Self::Untouched {
            bench.send(hello.into_packet());
        }
        match self {
            Self::Untouched | Self::Changing | Self::Deriving | Self::Asked => {}
            Self::Changed => {
                bench.received();
                bench.send(p::UpgradePacket::question());
                assert_eq!(bench.connection.change(), Change::Agreed);
            }
            Self::Challenged => bench.auth(challenge()),
            Self::Refused => bench.auth(AuthToNetwork::Rejected {
                text: "authentication failed".into(),
            }),
            Self::Accepted => bench.auth(AuthToNetwork::Accepted),
            Self::Granted => {
                bench.auth(AuthToNetwork::Accepted);
                bench.supervisor(SupervisorToNetwork::Session(facts()));
            }
            Self::Attached | Self::Closing => bench = Bench::attached(gui()),
        }
        if self == Self::Closing {
            bench.supervisor(SupervisorToNetwork::Disconnect {
                reason: vec!["done".into()],
            });
        }
        bench.received();
        bench.told();
        bench
    }
}

/// What a packet leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Does {
    /// The connection ends, and the client is told why.
    End(&'static str),
    /// The connection ends.
    Leave,
    /// The client is answered.
    Answer(&'static str),
    /// One of our own processes hears of it.
    Tell(&'static str),
    /// Nothing.
    Nothing,
}

/// What a packet led to.
fn done(bench: &mut Bench) -> Does {
    if bench.connection.is_closed() {
        return Does::Leave;
    }
    let told = bench.connection.take_effects();
    let told: BTreeSet<&str> = told
        .iter()
        .map(|effect| match effect {
            Effect::Auth(_) => "auth",
            Effect::Keys(_) => "keys",
            Effect::Supervisor(_) => "supervisor",
            Effect::Display(_) => "display",
            Effect::Encoder(_) => "encoder",
            Effect::CloseAuth | Effect::CloseKeys | Effect::CloseDisplay | Effect::CloseEncoder => {
                "an end"
            }
        })
        .collect();
    let received = bench.received();
    let words = |packet: &Packet| -> Vec<String> {
        packet.args.iter().filter_map(Value::to_text).collect()
    };
    match (&received[..], &Vec::from_iter(told)[..]) {
        ([packet], ["an end"]) if packet.name == "disconnect" => {
            let texts = [
                "out of order: a hello before the last one was answered",
                "out of order: a packet before our hello",
                "out of order: another hello",
                "unacceptable packet",
                "malformed packet",
                "the challenge was not answered",
            ];
            let said = words(packet);
            let text = texts.into_iter().find(|text| said[1] == *text);
            Does::End(text.unwrap_or_else(|| panic!("{said:?}")))
        }
        ([packet], []) => {
            let names = ["ping_echo", "info-response"];
            let name = names.into_iter().find(|name| packet.name == *name);
            Does::Answer(name.unwrap_or_else(|| panic!("{packet:?}")))
        }
        ([], [whom]) => Does::Tell(whom),
        ([], []) => Does::Nothing,
        other => panic!("{other:?}"),
    }
}

/// One packet of every type, and what it does when a client in the session says it. A new type
/// has no row, and this does not compile.
macro_rules! rows {
    ($($variant:ident: $packet:expr => $does:expr;)*) => {
        fn rows() -> Vec<(ClientPacket, Does)> {
            let rows = vec![$(($packet, $does)),*];
            for (packet, _) in &rows {
                match packet {
                    $(ClientPacket::$variant { .. } => {})*
                }
            }
            rows
        }
    };
}

rows! {
    Disconnect: ClientPacket::Disconnect(p::Disconnect::new("client exit")) => Does::Leave;
    Hello: ClientPacket::Hello => Does::End("out of order: another hello");
    Ping: ClientPacket::Ping(p::Ping { time: 1, wall_time: None, source: String::new() })
        => Does::Answer("ping_echo");
    PingEcho: ClientPacket::PingEcho(p::PingEcho {
        time: 1,
        load: [0; 3],
        latency: -1,
        source: String::new(),
    }) => Does::Nothing;
    MapWindow: ClientPacket::MapWindow(p::MapWindow {
        window: wire_window(1),
        geometry: place(),
        properties: p::WindowProperties::default(),
        state: p::WindowState::default(),
    }) => Does::Tell("display");
    UnmapWindow: ClientPacket::UnmapWindow(p::UnmapWindow {
        window: wire_window(1),
        iconified: true,
        state: p::WindowState::default(),
    }) => Does::Tell("display");
    ConfigureWindow: ClientPacket::ConfigureWindow(p::ConfigureWindow {
        window: wire_window(1),
        geometry: Some(place()),
        properties: p::WindowProperties::default(),
        resize_counter: None,
        state: p::WindowState::default(),
        skip_geometry: false,
        pointer: None,
    }) => Does::Tell("display");
    CloseWindow: ClientPacket::CloseWindow(wire_window(1)) => Does::Tell("display");
    Focus: ClientPacket::Focus { window: None, modifiers: p::Modifiers::NONE }
        => Does::Tell("display");
    WindowAction: ClientPacket::WindowAction { window: wire_window(1), action: "raise".into() }
        => Does::Nothing;
    WindowSignal: ClientPacket::WindowSignal { window: wire_window(1), signal: "SIGINT".into() }
        => Does::Tell("display");
    BufferRefresh: ClientPacket::BufferRefresh(p::BufferRefresh {
        window: None,
        quality: None,
        refresh_now: true,
        properties: p::WindowProperties::default(),
    }) => Does::Tell("encoder");
    // Of a picture that was never sent.
    DrawAck: ClientPacket::DrawAck(p::DrawAck {
        sequence: 1,
        window: None,
        width: 1,
        height: 1,
        decode_time: 0,
        message: String::new(),
    }) => Does::Nothing;
    Key: ClientPacket::Key(p::KeyAction {
        window: None,
        keysym: "a".into(),
        pressed: true,
        modifiers: p::Modifiers::NONE,
        keyval: 97,
        text: "a".into(),
        keycode: 38,
        group: 0,
    }) => Does::Tell("display");
    LayoutChanged: ClientPacket::LayoutChanged(p::LayoutChanged {
        layout: "de".into(),
        ..p::LayoutChanged::default()
    }) => Does::Tell("display");
    KeymapChanged: ClientPacket::KeymapChanged { keymap: Box::new(Keymap::default()), force: true }
        => Does::Tell("display");
    KeyboardSync: ClientPacket::KeyboardSync(false) => Does::Tell("display");
    PointerMotion: ClientPacket::PointerMotion(p::PointerMotion {
        device: -1,
        sequence: 0,
        window: None,
        position: position(),
        modifiers: p::Modifiers::NONE,
        buttons: Vec::new(),
    }) => Does::Tell("display");
    PointerButton: ClientPacket::PointerButton(p::PointerButton {
        device: -1,
        sequence: 0,
        window: None,
        button: 1,
        pressed: true,
        position: position(),
        modifiers: p::Modifiers::NONE,
        buttons: Vec::new(),
    }) => Does::Tell("display");
    // Our hello says that the wheel is buttons.
    WheelMotion: ClientPacket::WheelMotion(p::WheelMotion {
        window: None,
        button: 4,
        distance: 100,
        position: position(),
        modifiers: p::Modifiers::NONE,
        buttons: Vec::new(),
    }) => Does::Nothing;
    Encoding: ClientPacket::Encoding { name: "png".into(), windows: Vec::new() }
        => Does::Tell("encoder");
    Tuning: ClientPacket::Tuning(vec![p::Tuning { what: p::Tunable::Speed, value: Some(50) }])
        => Does::Tell("encoder");
    SetCursors: ClientPacket::SetCursors(false) => Does::Tell("display");
    SetBell: ClientPacket::SetBell(false) => Does::Tell("display");
    ConfigureDisplay: ClientPacket::ConfigureDisplay(Box::new(DisplayCaps {
        desktop_size: p::Size::new(800, 600),
        ..DisplayCaps::default()
    })) => Does::Tell("display");
    ForceUngrab: ClientPacket::ForceUngrab => Does::Nothing;
    SharingToggle: ClientPacket::SharingToggle(true) => Does::Nothing;
    LockToggle: ClientPacket::LockToggle(true) => Does::Nothing;
    Suspend: ClientPacket::Suspend(p::Activity { ui: true, windows: Vec::new() })
        => Does::Tell("encoder");
    // It draws already.
    Resume: ClientPacket::Resume(p::Activity { ui: true, windows: Vec::new() }) => Does::Nothing;
    BandwidthLimit: ClientPacket::BandwidthLimit(1) => Does::Nothing;
    InfoRequest: ClientPacket::InfoRequest(p::InfoRequest::default())
        => Does::Answer("info-response");
    ShutdownServer: ClientPacket::ShutdownServer => Does::Tell("supervisor");
    ExitServer: ClientPacket::ExitServer { reason: String::new() } => Does::Tell("supervisor");
    Ignored: ClientPacket::Ignored { name: "draw".into() } => Does::Nothing;
}

fn place() -> p::Geometry {
    p::Geometry {
        x: 1,
        y: 2,
        size: p::Size::new(30, 40).unwrap(),
    }
}

fn position() -> p::Position {
    p::Position {
        x: 3,
        y: 4,
        relative: None,
    }
}

/// What the packet does in this state; `attached`: in the session.
fn expected(state: State, packet: &ClientPacket, attached: Does) -> Does {
    let leaves = matches!(packet, ClientPacket::Disconnect(_));
    match state {
        State::Closing => Does::Nothing,
        _ if leaves => Does::Leave,
        // A hello without its map is as good as none.
        State::Untouched
        | State::Changing
        | State::Changed
        | State::Deriving
        | State::Asked
        | State::Challenged
        | State::Refused => Does::End("unacceptable packet"),
        State::Accepted | State::Granted => Does::End("out of order: a packet before our hello"),
        State::Attached => attached,
    }
}

#[test]
fn every_packet_in_every_state() {
    for (packet, attached) in rows() {
        for state in State::ALL {
            let mut bench = state.bench();
            bench.say(packet.clone());
            let expected = expected(state, &packet, attached.clone());
            assert_eq!(done(&mut bench), expected, "{packet:?} when {state:?}");
        }
    }
}

/// The same hello again, as a recording would send it.
#[test]
fn a_replayed_hello_in_every_state() {
    for state in State::ALL {
        let expected = match state {
            // In TLS it is the first that counts.
            State::Untouched | State::Changed => Does::Tell("auth"),
            State::Changing => Does::End("unacceptable packet"),
            State::Deriving | State::Asked => {
                Does::End("out of order: a hello before the last one was answered")
            }
            State::Challenged => Does::End("the challenge was not answered"),
            // It is told no in any case, at its time.
            State::Refused | State::Closing => Does::Nothing,
            State::Accepted | State::Granted => {
                Does::End("out of order: a packet before our hello")
            }
            State::Attached => Does::End("out of order: another hello"),
        };
        let mut bench = state.bench();
        bench.send(gui().into_packet());
        assert_eq!(done(&mut bench), expected, "{state:?}");
    }
}

/// Arguments that are missing or of a wrong kind end the connection, whatever the type, and
/// nobody hears of the packet.
#[test]
fn wrongly_typed_packets_end_the_connection() {
    const NEED_NOTHING: [&str; 12] = [
        "disconnect",
        "connection-close",
        "ping_echo",
        "ping-echo",
        "layout-changed",
        "suspend",
        "resume",
        "info-request",
        "shutdown-server",
        "exit-server",
        "force-ungrab",
        "display-ungrab",
    ];
    const TAKE_NOTHING: [&str; 2] = ["force-ungrab", "display-ungrab"];
    let nonsense = vec![Value::List(vec![Value::None]); 12];
    for name in accepted_names() {
        for (args, allowed) in [
            (Vec::new(), NEED_NOTHING.contains(name)),
            (nonsense.clone(), TAKE_NOTHING.contains(name)),
        ] {
            let mut bench = State::Attached.bench();
            bench.send(Packet::new(name, args.clone()));
            let ended = done(&mut bench) == Does::End("malformed packet");
            assert_eq!(ended, !allowed, "{name} with {} arguments", args.len());
        }
    }
}

/// A value beyond a range or a bound costs one packet.
#[test]
fn values_that_we_do_not_take_are_ignored() {
    let long = Value::from("x".repeat(100_000));
    for (name, args) in [
        ("close-window", vec![Value::Int(-7)]),
        ("quality", vec![101.into()]),
        ("encoding", vec![long.clone()]),
        (
            "keymap-changed",
            vec![Value::dict([("layout", long)]), true.into()],
        ),
        ("no-such-packet\n", vec![Value::None]),
        ("clipboard-token", vec!["CLIPBOARD".into()]),
    ] {
        let mut bench = State::Attached.bench();
        bench.send(Packet::new(name, args));
        assert_eq!(done(&mut bench), Does::Nothing, "{name}");
        bench.say(ClientPacket::SetBell(false));
        assert_eq!(done(&mut bench), Does::Tell("display"), "{name}");
    }
}
