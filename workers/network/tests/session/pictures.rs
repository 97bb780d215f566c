//! Pictures, and the encoder that draws them.

use crate::common::{self, Bench, FakeEncoder, bgrx, gui, window, wire_window};
use bulkhead_network::connection::Effect;
use ipc::Size;
use ipc::frames::{Coding, EncoderToNetwork, NetworkToEncoder, OutputBuffer};
use ipc::network::NetworkToSupervisor;
use ipc::verdict::{Peer, Violation};
use wire::packet::{self as p, ClientPacket, ServerPacket};

/// A client that names raw pixels but no order of them that we know can get none.
#[test]
fn raw_pixels_need_an_order() {
    let mut hello = gui();
    hello.encoding.rgb_formats = vec![p::RgbFormat::R210];
    let caps = bulkhead_network::translate::picture_caps(&hello);
    assert_eq!(caps.codings, [Coding::Png, Coding::Webp]);
}

/// Small pictures are inside their packet, large ones in a raw chunk: the bytes are the buffer's,
/// whatever the splits of the writes.
#[test]
fn pictures_arrive_as_they_are() {
    for (len, chunks) in [
        (1, true),
        (32_768, true),
        (32_769, true),
        (700_000, true),
        (700_000, false),
    ] {
        let mut hello = gui();
        hello.network.chunks = chunks;
        let mut bench = Bench::attached(hello);
        let mut encoder = FakeEncoder::default();
        bench.buffer(&mut encoder, 1 << 20);
        let content: Vec<u8> = (0..len)
            .map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        let draw = encoder.draw(1, 0, &content);
        bench.encoder(draw);
        // The header of a chunk, or that of a packet.
        let first = bench.next_write();
        assert_eq!(first[3], if chunks && len > 32_768 { 7 } else { 0 });
        assert!(bench.told().encoder.is_empty());
        let [ServerPacket::Draw(draw)] = &bench.read()[..] else {
            panic!()
        };
        assert!(draw.data == content, "{len}");
        assert_eq!((draw.sequence, draw.coding), (1, p::Coding::Webp));
        assert_eq!(
            (draw.x, draw.y, draw.size),
            (0, 0, p::Size::new(300, 200).unwrap())
        );
        assert_eq!(draw.options.window_size, p::Size::new(300, 200));
        assert_eq!(
            (draw.options.flush, draw.options.quality),
            (Some(0), Some(90))
        );
        assert_eq!(draw.options.rgb_format, Some(p::RgbFormat::Bgrx));
        assert_eq!(
            bench.told().encoder,
            [NetworkToEncoder::Written(OutputBuffer(0))]
        );
    }
}

/// A picture is written from its buffer also to a client that takes no chunks: what waits for it
/// is no copy.
#[test]
fn no_picture_is_copied() {
    for chunks in [false, true] {
        let mut hello = gui();
        hello.network.chunks = chunks;
        let mut bench = Bench::attached(hello);
        let mut encoder = FakeEncoder::default();
        for n in 0..2 {
            bench.buffer(&mut encoder, 9 << 20);
            let draw = encoder.draw(1, n, &vec![n.to_le_bytes()[0]; 9 << 20]);
            bench.encoder(draw);
        }
        assert!(bench.connection.outbox().waiting() < 1000);
        assert!(!bench.connection.is_closed());
        let draws = bench.read();
        for (n, packet) in draws.iter().enumerate() {
            let ServerPacket::Draw(draw) = packet else {
                panic!("{packet:?}")
            };
            assert!(draw.data.len() == 9 << 20 && draw.data.iter().all(|b| usize::from(*b) == n));
        }
        assert_eq!(draws.len(), 2);
    }
}

#[test]
fn raw_pixels_carry_their_layout() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100_000);
    let rect = ipc::Rect {
        x: 4,
        y: 5,
        size: Size::new(6, 13).unwrap(),
    };
    let data = encoder.put(0, &[3; 312]);
    let draw = encoder.raw(rect, data, bgrx(24, 0));
    bench.encoder(draw);
    let [ServerPacket::Draw(draw)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!((draw.x, draw.y, draw.rowstride), (4, 5, 24));
    assert_eq!((draw.options.lz4, draw.options.quality), (None, None));
    let data = encoder.put(0, &[3; 100]);
    let draw = encoder.raw(rect, data, bgrx(24, 2));
    bench.encoder(draw);
    let [ServerPacket::Draw(draw)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!((draw.options.lz4, draw.sequence), (Some(2), 2));
}

pub fn ack(sequence: u64, decode_time: i64) -> ClientPacket {
    ClientPacket::DrawAck(p::DrawAck {
        sequence,
        window: Some(wire_window(1)),
        width: 300,
        height: 200,
        decode_time,
        message: String::new(),
    })
}

#[test]
fn acknowledgements_reach_the_encoder_once() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100);
    for _ in 0..3 {
        let draw = encoder.draw(1, 0, b"x");
        bench.encoder(draw);
        bench.received();
    }
    bench.told();
    for packet in [
        ack(2, 500),
        ack(2, 500),
        ack(9, 1),
        ack(0, 1),
        ack(1, i64::MIN),
        ack(3, -1),
    ] {
        bench.say(packet);
    }
    let ack = |sequence, decode_us| NetworkToEncoder::Ack {
        sequence,
        decode_us,
    };
    assert_eq!(
        bench.told().encoder,
        [ack(2, 500), ack(1, i32::MIN), ack(3, -1)]
    );
}

#[test]
fn pictures_of_windows_that_are_gone_are_given_back() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100);
    let draw = encoder.draw(2, 0, b"x");
    assert!(bench.connection.is_early(&draw));
    bench.encoder(draw);
    assert!(bench.received().is_empty());
    let expected = [
        NetworkToEncoder::Ack {
            sequence: 1,
            decode_us: -2,
        },
        NetworkToEncoder::Written(OutputBuffer(0)),
    ];
    assert_eq!(bench.told().encoder, expected);
}

/// Security A3: what the client did not announce is never sent, and whoever tries is reported.
#[test]
fn an_encoder_that_breaks_rules_is_reported() {
    let size = Size::new(300, 200).unwrap();
    let small = ipc::Rect {
        x: 0,
        y: 0,
        size: Size::new(6, 13).unwrap(),
    };
    type Breach = Box<dyn Fn(&mut FakeEncoder) -> EncoderToNetwork>;
    let change = |f: fn(&mut EncoderToNetwork)| -> Breach {
        Box::new(move |encoder| {
            let mut draw = encoder.draw(1, 0, b"x");
            f(&mut draw);
            draw
        })
    };
    let raw = |len: usize, rowstride, lz4| -> Breach {
        Box::new(move |encoder| {
            let data = encoder.put(0, &vec![0; len]);
            encoder.raw(small, data, bgrx(rowstride, lz4))
        })
    };
    let breaches: Vec<(&str, Breach)> = vec![
        (
            "a coding",
            change(|m| {
                if let EncoderToNetwork::Draw { coding, .. } = m {
                    *coding = Coding::Jpeg
                }
            }),
        ),
        (
            "not inside",
            change(|m| {
                if let EncoderToNetwork::Draw { rect, .. } = m {
                    rect.x = 1
                }
            }),
        ),
        (
            "does not follow",
            change(|m| {
                if let EncoderToNetwork::Draw { sequence, .. } = m {
                    *sequence = 2
                }
            }),
        ),
        (
            "longer than",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.bytes = 100_001
                }
            }),
        ),
        (
            "is empty",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.bytes = 0
                }
            }),
        ),
        (
            "never passed",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.buffer.0 = 1
                }
            }),
        ),
        (
            "beyond the last",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.buffer.0 = 8
                }
            }),
        ),
        (
            "lz4 over",
            change(|m| {
                if let EncoderToNetwork::Draw { options, .. } = m {
                    options.lz4 = 1
                }
            }),
        ),
        ("wrong length", raw(311, 24, 0)),
        ("rows of a wrong", raw(312, 23, 0)),
        ("rows of a wrong", raw(312, u32::MAX, 0)),
        ("above 15", raw(312, 24, 16)),
        (
            "without their order",
            Box::new(move |encoder| {
                let data = encoder.put(0, &[0; 312]);
                encoder.raw(small, data, common::webp())
            }),
        ),
        (
            "did not announce",
            Box::new(move |encoder| {
                let data = encoder.put(0, &[0; 312]);
                let mut options = bgrx(24, 0);
                options.rgb_format = Some(ipc::frames::RgbFormat::Rgba);
                encoder.raw(small, data, options)
            }),
        ),
        (
            "an icon in",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Icon {
                    window: window(1),
                    size,
                    png: false,
                    data,
                }
            }),
        ),
        (
            "a cursor of a wrong",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Cursor {
                    size,
                    hotspot: (0, 0),
                    serial: 1,
                    png: false,
                    data,
                }
            }),
        ),
        (
            "a hot spot",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Cursor {
                    size,
                    hotspot: (300, 0),
                    serial: 1,
                    png: true,
                    data,
                }
            }),
        ),
        (
            "a screenshot",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Screenshot { size, data }
            }),
        ),
    ];
    for (text, breach) in breaches {
        let mut bench = Bench::attached(gui());
        let mut encoder = FakeEncoder::default();
        bench.buffer(&mut encoder, 100_000);
        let message = breach(&mut encoder);
        bench.encoder(message);
        let told = bench.told();
        let [
            NetworkToSupervisor::Violation(Violation {
                peer: Peer::Encoder(_),
                what,
            }),
        ] = &told.supervisor[..]
        else {
            panic!("{text}: {told:?}")
        };
        assert!(what.contains(text), "{what}");
        assert_eq!(told.closed, [Effect::CloseEncoder]);
        assert!(bench.received().is_empty() && !bench.connection.is_closed());
    }
}

#[test]
fn a_buffer_belongs_to_one_side_at_a_time() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100);
    let first = encoder.draw(1, 0, b"x");
    let second = encoder.draw(1, 0, b"y");
    bench.encoder(first);
    bench.encoder(second);
    let told = bench.told();
    assert!(
        matches!(told.supervisor[..], [NetworkToSupervisor::Violation(_)]),
        "{told:?}"
    );
}
