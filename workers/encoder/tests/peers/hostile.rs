//! Peers that break the rules: reported by name, never a panic, and the others are served on.

use crate::common::{PATIENCE, Peers, Seen, caps, receive, size};
use ipc::capture::{CaptureBuffer, DisplayToEncoder, EncoderToDisplay, PixelFormat};
use ipc::frames::{Coding, NetworkToEncoder, OutputBuffer, PictureCaps};
use ipc::shared::Unsealed;
use ipc::verdict::Peer;
use ipc::{Position, Rect, Size, WindowId};
use proptest::prelude::*;
use std::os::fd::OwnedFd;
use std::time::Duration;

const WINDOW: WindowId = WindowId::new(0, 1);

fn frame(buffer: u16, window_size: Size, rect: Rect) -> DisplayToEncoder {
    let buffer = CaptureBuffer(buffer);
    DisplayToEncoder::Frame {
        buffer,
        window: WINDOW,
        window_size,
        rect,
        format: PixelFormat::Bgrx,
        more: false,
    }
}

fn memory(bytes: u32) -> OwnedFd {
    Unsealed::new(bytes).unwrap().into_writer().unwrap().1
}

/// A session with one capture buffer of 4096 bytes, and a pull.
fn ready() -> Peers {
    let mut peers = Peers::with(caps());
    peers.capture(&[0; 4096]);
    peers.hear_display(PATIENCE, |peers| peers.pulls > 0);
    peers
}

/// What `display` is accused of.
fn accused(mut peers: Peers) -> String {
    let (peer, what) = peers.violation();
    assert_eq!(peer, Peer::Display);
    assert!(peers.end());
    what
}

#[test]
fn frames_that_do_not_fit() {
    let (small, ten) = (size(10, 10), size(10, 10).rect());
    let cases = [
        (frame(1, small, ten), "never passed"),
        (frame(8, small, ten), "out of range"),
        (frame(65535, small, ten), "out of range"),
        (frame(0, size(33, 32), size(33, 32).rect()), "4096 bytes"),
        (
            frame(0, size(16384, 16384), size(16384, 16384).rect()),
            "4096 bytes",
        ),
        (frame(0, small, Rect { x: 1, ..ten }), "outside"),
        (
            frame(
                0,
                small,
                Rect {
                    x: 65535,
                    y: 65535,
                    ..ten
                },
            ),
            "outside",
        ),
        (frame(0, size(5, 5), ten), "outside"),
    ];
    for (message, expected) in cases {
        let mut peers = ready();
        peers.show(message);
        let what = accused(peers);
        assert!(what.contains(expected), "{what}");
    }
}

#[test]
fn buffers_that_are_not_as_they_must_be() {
    let cases: [(u16, u32, OwnedFd, &str); 6] = [
        (1, 8192, memory(4096), "4096"),
        (1, 0, memory(4096), "0 bytes"),
        (1, u32::MAX, memory(4096), "not allowed"),
        (8, 4096, memory(4096), "out of range"),
        (
            1,
            4096,
            OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap()),
            "shared memory",
        ),
        (
            1,
            4096,
            Unsealed::new(4096).unwrap().seal_nothing(),
            "seals",
        ),
    ];
    for (index, bytes, fd, expected) in cases {
        let mut peers = ready();
        let message = DisplayToEncoder::Buffer {
            buffer: CaptureBuffer(index),
            bytes,
        };
        peers.display.send(&message, vec![fd]).unwrap();
        let what = accused(peers);
        assert!(what.contains(expected), "{what}");
    }
}

trait SealNothing {
    fn seal_nothing(self) -> OwnedFd;
}

impl SealNothing for Unsealed {
    fn seal_nothing(self) -> OwnedFd {
        use std::os::fd::AsFd;
        self.as_fd().try_clone_to_owned().unwrap()
    }
}

#[test]
fn frames_that_nobody_asked_for() {
    // Before the client's capabilities are known nothing is pulled.
    let mut peers = Peers::silent();
    peers.capture(&[0; 4096]);
    peers.show(frame(0, size(10, 10), size(10, 10).rect()));
    assert!(accused(peers).contains("not pulled"));
    let mut peers = ready();
    peers.tell(NetworkToEncoder::Active(false));
    peers.hear_display(Duration::from_millis(100), |_| false);
    for _ in 0..5 {
        let buffer = peers.capture(&[0; 400]);
        peers.show(frame(buffer.0, size(10, 10), size(10, 10).rect()));
    }
    assert!(accused(peers).contains("not pulled"));
}

#[test]
fn a_buffer_that_is_not_released() {
    let mut peers = ready();
    peers.tell(NetworkToEncoder::Active(false));
    peers.hear_display(Duration::from_millis(100), |_| false);
    peers.show(frame(0, size(10, 10), size(10, 10).rect()));
    peers.show(frame(0, size(10, 10), size(10, 10).rect()));
    assert!(accused(peers).contains("not released"));
}

#[test]
fn icons_and_cursors_that_are_out_of_range() {
    let buffer = CaptureBuffer(0);
    for message in [
        DisplayToEncoder::Icon {
            buffer,
            window: WINDOW,
            size: size(257, 1),
        },
        DisplayToEncoder::Icon {
            buffer,
            window: WINDOW,
            size: size(64, 64),
        },
        DisplayToEncoder::Cursor {
            buffer,
            size: size(1, 300),
            hotspot: (0, 0),
            serial: 1,
        },
        DisplayToEncoder::Cursor {
            buffer,
            size: size(16, 16),
            hotspot: (16, 0),
            serial: 1,
        },
        DisplayToEncoder::Cursor {
            buffer,
            size: size(16, 16),
            hotspot: (0, 65535),
            serial: 1,
        },
    ] {
        let mut peers = ready();
        peers.show(message);
        accused(peers);
    }
}

#[test]
fn screenshots_without_end() {
    let mut peers = ready();
    let part = DisplayToEncoder::ScreenshotPart {
        buffer: CaptureBuffer(0),
        size: size(1, 1),
        position: Position {
            x: i32::MIN,
            y: i32::MAX,
        },
        format: PixelFormat::Bgra,
    };
    // One after the other, as they are released, until the encoder has had enough.
    while peers.display.send(&part, vec![]).is_ok() {
        let released = |message| message == EncoderToDisplay::Release(CaptureBuffer(0));
        let mut answers = std::iter::from_fn(|| receive(&mut peers.display, PATIENCE));
        if !answers.any(|(message, _)| released(message)) {
            break;
        }
    }
    assert!(accused(peers).contains("screenshot"));
}

#[test]
fn a_display_that_breaks_a_rule_is_replaced() {
    let mut peers = ready();
    peers.show(frame(7, size(10, 10), size(10, 10).rect()));
    assert_eq!(peers.violation().0, Peer::Display);
    peers.restart_display();
    let pixels = vec![7; 400];
    peers.frame(
        WINDOW,
        size(10, 10),
        size(10, 10).rect(),
        &pixels,
        PixelFormat::Bgrx,
    );
    assert!(peers.draw().is_some());
    assert!(peers.end());
}

#[test]
fn a_network_that_breaks_a_rule() {
    let png_only = || PictureCaps {
        codings: vec![Coding::Png],
        ..caps()
    };
    let cases: [(PictureCaps, NetworkToEncoder, &str); 10] = [
        (caps(), NetworkToEncoder::Start(caps()), "start"),
        (
            caps(),
            NetworkToEncoder::Written(OutputBuffer(0)),
            "not with network",
        ),
        (
            caps(),
            NetworkToEncoder::Written(OutputBuffer(65535)),
            "not with network",
        ),
        (
            caps(),
            NetworkToEncoder::Ack {
                sequence: 1,
                decode_us: 0,
            },
            "never sent",
        ),
        (
            caps(),
            NetworkToEncoder::Ack {
                sequence: 0,
                decode_us: i32::MIN,
            },
            "never sent",
        ),
        (
            caps(),
            NetworkToEncoder::Quality {
                quality: Some(0),
                speed: None,
            },
            "range",
        ),
        (
            caps(),
            NetworkToEncoder::Quality {
                quality: None,
                speed: Some(101),
            },
            "range",
        ),
        (
            caps(),
            NetworkToEncoder::Refresh {
                window: None,
                quality: 0,
            },
            "range",
        ),
        (
            png_only(),
            NetworkToEncoder::Prefer(Some(Coding::Jpeg)),
            "not announced",
        ),
        (
            png_only(),
            NetworkToEncoder::Prefer(Some(Coding::Rgb32)),
            "not announced",
        ),
    ];
    for (caps, message, expected) in cases {
        let mut peers = Peers::with(caps);
        peers.tell(message);
        let (peer, what) = peers.violation();
        assert!(matches!(peer, Peer::Network(_)));
        assert!(what.contains(expected), "{what}");
        assert!(peers.end());
    }
}

#[test]
fn start_comes_first() {
    let mut peers = Peers::silent();
    peers.tell(NetworkToEncoder::Active(true));
    assert!(matches!(peers.violation().0, Peer::Network(_)));
    assert!(peers.end());
    let mut peers = Peers::with(PictureCaps {
        quality: Some(200),
        ..caps()
    });
    assert!(matches!(peers.violation().0, Peer::Network(_)));
    assert!(peers.end());
}

#[test]
fn peers_that_go_away_are_no_violation() {
    let mut peers = ready();
    let (other, _end) = ipc::channel::socketpair().unwrap();
    peers.network = ipc::Channel::new(other);
    assert!(receive(&mut peers.supervisor, Duration::from_millis(200)).is_none());
    assert!(peers.end());
}

fn any_size() -> impl Strategy<Value = Size> {
    (
        prop_oneof![1..40_u32, 1..=16384_u32],
        prop_oneof![1..40_u32, 1..=16384_u32],
    )
        .prop_map(|(width, height)| Size::new(width, height).unwrap())
}

fn any_display() -> impl Strategy<Value = DisplayToEncoder> {
    let index = prop_oneof![0..3_u16, any::<u16>()];
    let rect = (0..40_u16, 0..40_u16, any_size()).prop_map(|(x, y, size)| Rect { x, y, size });
    let format = prop_oneof![Just(PixelFormat::Bgrx), Just(PixelFormat::Bgra)];
    prop_oneof![
        (
            index.clone(),
            1..4_u32,
            any_size(),
            rect,
            format.clone(),
            any::<bool>()
        )
            .prop_map(|(index, xid, window_size, rect, format, more)| {
                DisplayToEncoder::Frame {
                    buffer: CaptureBuffer(index),
                    window: WindowId::new(0, xid),
                    window_size,
                    rect,
                    format,
                    more,
                }
            }),
        (index.clone(), any_size()).prop_map(|(index, size)| DisplayToEncoder::Icon {
            buffer: CaptureBuffer(index),
            window: WINDOW,
            size
        }),
        (index.clone(), any_size(), any::<(u16, u16)>(), any::<u32>()).prop_map(
            |(index, size, hotspot, serial)| DisplayToEncoder::Cursor {
                buffer: CaptureBuffer(index),
                size,
                hotspot,
                serial
            }
        ),
        (index, any_size(), any::<(i32, i32)>(), format).prop_map(
            |(index, size, (x, y), format)| {
                DisplayToEncoder::ScreenshotPart {
                    buffer: CaptureBuffer(index),
                    size,
                    position: Position { x, y },
                    format,
                }
            }
        ),
        (1..4_u32).prop_map(|xid| DisplayToEncoder::LostWindow(WindowId::new(0, xid))),
        Just(DisplayToEncoder::DefaultCursor),
        (1..300_u32, 1..300_u32).prop_map(|(w, h)| DisplayToEncoder::ScreenshotDone {
            root: Size::new(w, h).unwrap()
        }),
    ]
}

fn any_network() -> impl Strategy<Value = NetworkToEncoder> {
    prop_oneof![
        (0..12_u16).prop_map(|n| NetworkToEncoder::Written(OutputBuffer(n))),
        (0..30_u64, any::<i32>()).prop_map(|(sequence, decode_us)| NetworkToEncoder::Ack {
            sequence,
            decode_us
        }),
        any::<u8>().prop_map(|quality| NetworkToEncoder::Refresh {
            window: None,
            quality
        }),
        (any::<Option<u8>>(), any::<Option<u8>>())
            .prop_map(|(quality, speed)| NetworkToEncoder::Quality { quality, speed }),
        any::<bool>().prop_map(NetworkToEncoder::Active),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the peers say, the encoder ends well when the supervisor ends it.
    #[test]
    fn nothing_makes_it_panic(
        messages in proptest::collection::vec(prop_oneof![
            any_display().prop_map(Ok), any_display().prop_map(Ok), any_network().prop_map(Err)
        ], 1..40),
    ) {
        let mut peers = Peers::with(caps());
        for index in 0..3 {
            let bytes = [4096, 65536, 1 << 20][usize::from(index)];
            let message = DisplayToEncoder::Buffer { buffer: CaptureBuffer(index), bytes };
            peers.display.send(&message, vec![memory(bytes)]).unwrap();
        }
        for message in messages {
            match message {
                Ok(message) => { let _ = peers.display.send(&message, vec![]); }
                Err(message) => { let _ = peers.network.send(&message, vec![]); }
            }
            // What the encoder says in between is taken note of, and answered.
            while let Ok(Some(_)) = peers.display.receive() {}
            if let Some(Seen::Draw(drawn)) = peers.see(Duration::from_millis(1)) {
                let _ = peers.network.send(&NetworkToEncoder::Written(drawn.buffer), vec![]);
            }
        }
        prop_assert!(peers.end());
    }
}
