//! What the encoder does for peers that keep the rules.

use crate::common::{Dice, PATIENCE, Peers, Screen, Seen, caps, decode, size};
use ipc::capture::{CaptureBuffer, DisplayToEncoder, PixelFormat};
use ipc::frames::{Coding, EncoderToNetwork, NetworkToEncoder, PictureCaps, RgbFormat};
use ipc::{Position, Rect, Size, WindowId};
use std::time::{Duration, Instant};

const WINDOW: WindowId = WindowId::new(0, 0x40_0001);
const SOON: Duration = Duration::from_millis(150);

fn part(x: u16, y: u16, width: u32, height: u32) -> Rect {
    Rect {
        x,
        y,
        size: size(width, height),
    }
}

#[test]
fn a_key_press_is_raw_and_exact() {
    let mut peers = Peers::with(caps());
    let pixels = Dice(1).picture(size(12, 13));
    peers.frame(
        WINDOW,
        size(484, 316),
        part(134, 2, 12, 13),
        &pixels,
        PixelFormat::Bgrx,
    );
    let drawn = peers.draw().unwrap();
    assert_eq!(
        (drawn.coding, drawn.options.rgb_format),
        (Coding::Rgb24, Some(RgbFormat::Bgrx))
    );
    assert_eq!(
        (drawn.sequence, drawn.flush, drawn.options.quality),
        (1, 0, 100)
    );
    assert_eq!((drawn.window, decode(&drawn)), (WINDOW, pixels));
    assert!(peers.end());
}

#[test]
fn alpha_stays_premultiplied_in_every_coding() {
    let pixels: Vec<u8> = (0..40 * 30_u32)
        .flat_map(|i| {
            let alpha = u8::try_from(i % 256).unwrap();
            [alpha / 2, alpha / 3, alpha, alpha]
        })
        .collect();
    for (coding, transparency) in [
        (Coding::Rgb32, true),
        (Coding::Png, true),
        (Coding::Webp, true),
        (Coding::Png, false),
    ] {
        let mut peers = Peers::with(PictureCaps {
            codings: vec![coding],
            transparency,
            ..caps()
        });
        peers.frame(
            WINDOW,
            size(40, 30),
            part(0, 0, 40, 30),
            &pixels,
            PixelFormat::Bgra,
        );
        let drawn = peers.draw().unwrap();
        assert_eq!(drawn.coding, coding);
        assert_eq!(drawn.options.source == PixelFormat::Bgra, transparency);
        let expected: Vec<u8> = pixels
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|p| [p[0], p[1], p[2], if transparency { p[3] } else { 0 }])
            .collect();
        assert!(decode(&drawn) == expected, "{coding:?}");
        assert!(peers.end());
    }
}

/// A storm of frames of all kinds; then quiet. What the client shows must be the window, exactly.
fn settles(caps: PictureCaps, seed: u64) -> Vec<Coding> {
    let window_size = size(900, 700);
    let mut peers = Peers::with(caps);
    let (mut truth, mut shown) = (Screen::new(window_size), Screen::new(window_size));
    let (mut dice, mut codings) = (Dice(seed), vec![]);
    let mut under_way = vec![];
    for _ in 0..40 {
        let (width, height) = (1 + dice.below(900), 1 + dice.below(700));
        let (x, y) = (
            dice.below(901 - u64::from(width)),
            dice.below(701 - u64::from(height)),
        );
        let rect = Rect {
            x: x.try_into().unwrap(),
            y: y.try_into().unwrap(),
            size: size(width, height),
        };
        truth.paint(rect, &dice.picture(rect.size));
        // Acknowledge late and irregularly, as a client does.
        while peers.pulls == 0 {
            peers.hear_display(Duration::from_millis(2), |peers| peers.pulls > 0);
            while let Some(Seen::Draw(drawn)) = peers.see(Duration::from_millis(1)) {
                under_way.push(drawn);
            }
            for drawn in under_way.drain(..) {
                shown.paint(drawn.rect, &decode(&drawn));
                codings.push(drawn.coding);
                peers.done(&drawn);
            }
        }
        peers.frame(
            WINDOW,
            window_size,
            rect,
            &truth.part(rect),
            PixelFormat::Bgrx,
        );
    }
    let end = Instant::now() + PATIENCE;
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(500) || !shown.shows(&truth) {
        assert!(Instant::now() < end, "it does not settle");
        peers.hear_display(Duration::from_millis(2), |_| false);
        for _ in std::mem::take(&mut peers.refreshes) {
            quiet = Instant::now();
            // `display` may send the window in parts.
            for rect in [
                part(0, 0, 900, 300),
                part(0, 300, 500, 400),
                part(500, 300, 400, 400),
            ] {
                peers.frame(
                    WINDOW,
                    window_size,
                    rect,
                    &truth.part(rect),
                    PixelFormat::Bgrx,
                );
                while let Some(Seen::Draw(drawn)) = peers.see(Duration::from_millis(20)) {
                    quiet = Instant::now();
                    shown.paint(drawn.rect, &decode(&drawn));
                    peers.done(&drawn);
                }
            }
        }
        while let Some(Seen::Draw(drawn)) = peers.see(Duration::from_millis(1)) {
            quiet = Instant::now();
            shown.paint(drawn.rect, &decode(&drawn));
            codings.push(drawn.coding);
            peers.done(&drawn);
        }
    }
    assert!(peers.end());
    codings
}

#[test]
fn the_stream_settles_exactly() {
    let codings = settles(caps(), 11);
    assert!(codings.contains(&Coding::Jpeg) && codings.contains(&Coding::Rgb24));
    settles(
        PictureCaps {
            quality: Some(30),
            auto_refresh_delay: 60,
            ..caps()
        },
        12,
    );
    let only = |codings: &[Coding]| PictureCaps {
        codings: codings.to_vec(),
        ..caps()
    };
    assert!(settles(only(&[Coding::Png, Coding::Jpeg]), 13).contains(&Coding::Jpeg));
    assert!(
        settles(only(&[Coding::Webp]), 14)
            .iter()
            .all(|coding| *coding == Coding::Webp)
    );
    let exact = settles(
        PictureCaps {
            quality: Some(100),
            ..caps()
        },
        15,
    );
    assert!(exact.iter().all(|coding| *coding == Coding::Rgb24));
}

#[test]
fn large_frames_come_in_bands() {
    let mut peers = Peers::with(caps());
    let whole = size(1920, 1080);
    let pixels = vec![0x33; whole.bytes() as usize];
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    let (mut row, mut flush) = (0, u16::MAX);
    while row < 1080 {
        let drawn = peers.draw().unwrap();
        assert_eq!(
            (u32::from(drawn.rect.y), drawn.rect.size.width()),
            (row, 1920)
        );
        assert!(drawn.flush < flush);
        (row, flush) = (drawn.rect.bottom(), drawn.flush);
    }
    assert_eq!((row, flush), (1080, 0));
    assert!(peers.end());
}

#[test]
fn extreme_shapes() {
    for codings in [
        vec![Coding::Rgb24],
        vec![Coding::Png],
        vec![Coding::Jpeg],
        vec![Coding::Webp, Coding::Rgb32],
    ] {
        let mut peers = Peers::with(PictureCaps { codings, ..caps() });
        for (width, height) in [(16384, 1), (1, 16384), (16384, 40), (1, 1)] {
            let whole = size(width, height);
            let pixels = Dice(5).picture(whole);
            peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
            let mut rows = 0;
            while rows < height {
                let drawn = peers.draw().unwrap();
                decode(&drawn);
                rows = drawn.rect.bottom();
            }
        }
        assert!(peers.end());
    }
}

#[test]
fn a_client_that_does_not_acknowledge_gets_no_more() {
    let mut peers = Peers::with(caps());
    let whole = size(50, 50);
    let mut sent = 0;
    // Buffers are written, but nothing is acknowledged.
    loop {
        let patience = if sent < 12 { PATIENCE } else { SOON };
        peers.hear_display(patience, |peers| peers.pulls > 0);
        if peers.pulls == 0 {
            break;
        }
        peers.frame(
            WINDOW,
            whole,
            whole.rect(),
            &Dice(3).picture(whole),
            PixelFormat::Bgrx,
        );
        let Some(Seen::Draw(drawn)) = peers.see(PATIENCE) else {
            panic!("no picture")
        };
        peers.tell(NetworkToEncoder::Written(drawn.buffer));
        sent += 1;
        assert!(sent <= 12);
    }
    assert_eq!(sent, 12);
    peers.tell(NetworkToEncoder::Ack {
        sequence: 3,
        decode_us: 0,
    });
    peers.hear_display(PATIENCE, |peers| peers.pulls > 0);
    assert_eq!(peers.pulls, 1);
    assert!(peers.end());
}

#[test]
fn a_client_that_does_not_read_costs_little() {
    let mut peers = Peers::with(caps());
    let whole = size(1920, 1080);
    let mut bytes = 0;
    // Nothing is written, nothing acknowledged.
    for seed in 1.. {
        peers.hear_display(SOON, |peers| peers.pulls > 0);
        if peers.pulls == 0 {
            break;
        }
        peers.tell(NetworkToEncoder::Prefer(Some(Coding::Rgb24)));
        peers.frame(
            WINDOW,
            whole,
            whole.rect(),
            &Dice(seed * 77 + 2).picture(whole),
            PixelFormat::Bgrx,
        );
        while let Some(Seen::Draw(drawn)) = peers.see(SOON) {
            bytes += drawn.data.len();
        }
    }
    assert!(bytes < 6 << 20, "{bytes}");
    assert!(peers.end());
}

#[test]
fn a_coding_that_the_client_cannot_paint_is_avoided() {
    let mut peers = Peers::with(caps());
    let whole = size(400, 400);
    let pixels = (0..)
        .map(|n| Dice(n * 3 + 1).picture(whole))
        .find(|p| p[3] == 0 && p[0] != p[4] && p[4] != p[8])
        .unwrap();
    peers.tell(NetworkToEncoder::Prefer(Some(Coding::Jpeg)));
    std::thread::sleep(SOON);
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    let Some(Seen::Draw(drawn)) = peers.see(PATIENCE) else {
        panic!("no picture")
    };
    assert_eq!(drawn.coding, Coding::Jpeg);
    peers.tell(NetworkToEncoder::Written(drawn.buffer));
    peers.tell(NetworkToEncoder::Ack {
        sequence: drawn.sequence,
        decode_us: -1,
    });
    peers.hear_display(PATIENCE, |peers| !peers.refreshes.is_empty());
    assert_eq!(peers.refreshes, [Some(WINDOW)]);
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    let drawn = peers.draw().unwrap();
    assert_ne!(drawn.coding, Coding::Jpeg);
    assert!(decode(&drawn) == pixels);
    assert!(peers.end());
}

#[test]
fn a_client_may_ask_again_and_be_suspended() {
    let mut peers = Peers::with(caps());
    let whole = size(300, 300);
    let pixels = Dice(9).picture(whole);
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    peers.draw().unwrap();
    peers.tell(NetworkToEncoder::Refresh {
        window: None,
        quality: 100,
    });
    peers.hear_display(PATIENCE, |peers| !peers.refreshes.is_empty());
    assert_eq!(peers.refreshes, [None]);
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    assert!(decode(&peers.draw().unwrap()) == pixels);
    peers.tell(NetworkToEncoder::Active(false));
    peers.hear_display(SOON, |_| false);
    let open = peers.pulls;
    assert!(open > 0);
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    assert!(peers.see(SOON).is_none());
    peers.tell(NetworkToEncoder::Active(true));
    assert!(decode(&peers.draw().unwrap()) == pixels);
    assert!(peers.end());
}

#[test]
fn a_new_display_takes_over() {
    let mut peers = Peers::with(caps());
    let whole = size(300, 200);
    let pixels = Dice(4).picture(whole);
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    let first = peers.draw().unwrap();
    peers.restart_display();
    peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
    let second = peers.draw().unwrap();
    assert_eq!(second.sequence, first.sequence + 1);
    assert!(decode(&second) == pixels);
    assert!(peers.end());
}

#[test]
fn icons_and_cursors_fit_the_client() {
    let icon: Vec<u8> = [128, 64, 0, 128].repeat(128 * 128);
    let mut peers = Peers::with(caps());
    let buffer = peers.capture(&icon);
    peers.show(DisplayToEncoder::Icon {
        buffer,
        window: WINDOW,
        size: size(128, 128),
    });
    let Some(Seen::Other(
        EncoderToNetwork::Icon {
            size: fitted,
            png: true,
            ..
        },
        file,
    )) = peers.see(PATIENCE)
    else {
        panic!()
    };
    assert_eq!(fitted, size(64, 64));
    let mut reader = png::Decoder::new(std::io::Cursor::new(&file))
        .read_info()
        .unwrap();
    let mut rgba = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut rgba).unwrap();
    assert_eq!(&rgba[..4], &[0, 128, 255, 128]);

    let mut peers = Peers::with(PictureCaps {
        cursor_png: false,
        cursor_max: Some((16, 16)),
        ..caps()
    });
    let buffer = peers.capture(&icon[..32 * 32 * 4]);
    peers.show(DisplayToEncoder::Cursor {
        buffer,
        size: size(32, 32),
        hotspot: (31, 4),
        serial: 7,
    });
    let Some(Seen::Other(
        EncoderToNetwork::Cursor {
            size: fitted,
            hotspot,
            serial,
            png,
            ..
        },
        raw,
    )) = peers.see(PATIENCE)
    else {
        panic!()
    };
    assert_eq!(
        (fitted, hotspot, serial, png),
        (size(16, 16), (15, 2), 7, false)
    );
    assert_eq!(raw, [128, 64, 0, 128].repeat(256));
    peers.show(DisplayToEncoder::DefaultCursor);
    assert!(matches!(
        peers.see(PATIENCE),
        Some(Seen::Other(EncoderToNetwork::DefaultCursor, _))
    ));
    assert!(peers.end());
}

#[test]
fn a_screenshot_is_put_together() {
    // Who asks for a screenshot need not be able to draw anything.
    let codings = vec![];
    let mut peers = Peers::with(PictureCaps { codings, ..caps() });
    let all = size(20, 20);
    for (x, colour) in [(0, 10), (12, 20), (-15, 30)] {
        peers.hear_display(PATIENCE, |peers| peers.pulls > 0);
        peers.pulls -= 1;
        let buffer = peers.capture(&[colour, colour, colour, 0].repeat(400));
        let part = DisplayToEncoder::ScreenshotPart {
            buffer,
            size: all,
            position: Position { x, y: 5 },
            format: PixelFormat::Bgrx,
        };
        peers.show(part);
    }
    peers.show(DisplayToEncoder::ScreenshotDone { root: size(30, 30) });
    let Some(Seen::Other(EncoderToNetwork::Screenshot { size: root, .. }, file)) =
        peers.see(PATIENCE)
    else {
        panic!()
    };
    // What the parts cover.
    assert_eq!(root, size(30, 20));
    let mut reader = png::Decoder::new(std::io::Cursor::new(&file))
        .read_info()
        .unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut rgb).unwrap();
    let row: Vec<u8> = rgb[5 * 90..6 * 90]
        .as_chunks::<3>()
        .0
        .iter()
        .map(|p| p[0])
        .collect();
    assert_eq!(row, [vec![30; 5], vec![10; 7], vec![20; 18]].concat());
    assert!(peers.end());
}

#[test]
fn a_client_that_can_draw_nothing_gets_nothing() {
    let codings = vec![];
    let mut peers = Peers::with(PictureCaps { codings, ..caps() });
    let whole = size(30, 30);
    peers.hear_display(PATIENCE, |peers| peers.pulls > 0);
    peers.hear_display(SOON, |_| false);
    for _ in 0..peers.pulls {
        peers.frame(WINDOW, whole, whole.rect(), &[1; 3600], PixelFormat::Bgrx);
    }
    peers.hear_display(SOON, |_| false);
    assert_eq!(peers.pulls, 0);
    assert!(peers.see(SOON).is_none());
    assert!(peers.end());
}

/// WebP has 14 bits for a side: a picture that is too wide for the only coding is lost, no other.
#[test]
fn a_picture_that_the_only_coding_cannot_take_stops_no_other() {
    let codings = vec![Coding::Webp];
    let mut peers = Peers::with(PictureCaps { codings, ..caps() });
    let wide = size(16384, 2);
    let pixels = Dice(7).picture(wide);
    peers.frame(WINDOW, wide, wide.rect(), &pixels, PixelFormat::Bgrx);
    let other = WindowId::new(0, 77);
    // More than were pulled before.
    for window in [WINDOW, other].repeat(5) {
        let whole = size(40, 30);
        let pixels = Dice(8).picture(whole);
        peers.frame(window, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
        let drawn = peers.draw().unwrap();
        assert_eq!((drawn.window, drawn.coding), (window, Coding::Webp));
        assert!(decode(&drawn) == pixels);
    }
    assert!(peers.end());
}

/// A client that cannot paint a picture in its only coding may be able to paint the next one.
#[test]
fn the_only_coding_is_not_avoided() {
    let codings = vec![Coding::Png];
    let mut peers = Peers::with(PictureCaps { codings, ..caps() });
    let whole = size(40, 30);
    let pixels = Dice(8).picture(whole);
    for decode_us in [-1, 100] {
        peers.frame(WINDOW, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
        let Some(Seen::Draw(drawn)) = peers.see(PATIENCE) else {
            panic!("no picture")
        };
        peers.tell(NetworkToEncoder::Written(drawn.buffer));
        peers.tell(NetworkToEncoder::Ack {
            sequence: drawn.sequence,
            decode_us,
        });
    }
    assert!(peers.end());
}

/// What a client says may be for `display`: as long as that does not read, the client waits, and
/// nothing is lost.
#[test]
fn a_slow_display_slows_the_client() {
    let mut peers = Peers::with(caps());
    let refresh = NetworkToEncoder::Refresh {
        window: None,
        quality: 100,
    };
    let mut sent = 0;
    let mut blocked = Instant::now();
    while blocked.elapsed() < SOON {
        peers.network.flush().unwrap();
        if peers.network.wants_write() {
            std::thread::sleep(Duration::from_millis(1));
        } else {
            peers.tell(refresh.clone());
            sent += 1;
            blocked = Instant::now();
            assert!(sent < 20_000, "nobody waits");
        }
    }
    assert!(peers.supervisor.receive().unwrap().is_none(), "a complaint");
    while peers.refreshes.len() < sent {
        let before = peers.refreshes.len();
        peers.network.flush().unwrap();
        peers.hear_display(PATIENCE, |peers| peers.refreshes.len() > before);
        assert!(peers.refreshes.len() > before, "{before} of {sent}");
    }
    assert!(peers.end());
}

#[test]
fn what_belongs_to_a_lost_window_is_given_back() {
    let mut peers = Peers::with(caps());
    peers.hear_display(PATIENCE, |peers| peers.pulls > 0);
    peers.tell(NetworkToEncoder::Active(false));
    peers.hear_display(SOON, |_| false);
    let whole: Size = size(30, 30);
    let buffer = peers.capture(&[1; 3600]);
    peers.pulls -= 1;
    peers.show(DisplayToEncoder::Frame {
        buffer,
        window: WINDOW,
        window_size: whole,
        rect: whole.rect(),
        format: PixelFormat::Bgrx,
        more: false,
    });
    peers.show(DisplayToEncoder::LostWindow(WINDOW));
    // The buffer is free again: the same index can be used (a held one would be a violation).
    peers.hear_display(PATIENCE, |peers| peers.has_back(CaptureBuffer(0)));
    assert_eq!(peers.capture(&[1; 3600]), CaptureBuffer(0));
    peers.tell(NetworkToEncoder::Active(true));
    assert!(peers.see(SOON).is_none());
    assert!(peers.end());
}
