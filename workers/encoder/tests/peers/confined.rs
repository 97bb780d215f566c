//! The real executable under its real policy does everything that the encoder does.

use crate::common::{Dice, PATIENCE, Peers, Seen, caps, decode, size};
use ipc::capture::{DisplayToEncoder, PixelFormat};
use ipc::frames::{Coding, EncoderToNetwork, NetworkToEncoder, PictureCaps};
use ipc::{Position, WindowId};
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Starts `bulkhead-encoder` with the descriptors of its table, as the supervisor does.
pub fn start(channel: &OwnedFd) -> Child {
    let directory = tempfile::tempdir().unwrap();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(directory.path(), flags, Mode::empty()).unwrap();
    // Out of the way of the places where they belong.
    let table: Vec<(OwnedFd, RawFd)> = [(channel.as_raw_fd(), 3), (root.as_raw_fd(), 4)]
        .into_iter()
        .map(|(fd, place)| {
            // SAFETY: the kernel makes a new descriptor, which is ours.
            let copy = unsafe { OwnedFd::from_raw_fd(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 50)) };
            (copy, place)
        })
        .collect();
    let is_root = nix::unistd::geteuid().is_root();
    let mode = if is_root { "root" } else { "user" };
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-encoder"));
    command
        .args([
            &format!("--mode={mode}"),
            "--sandbox=enforce",
            "--log=debug",
        ])
        .arg(format!("--parent={}", std::process::id()))
        .stdin(Stdio::null());
    // SAFETY: between fork and exec only dup2 and close_range are called, which allocate nothing.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in &table {
                libc::dup2(from.as_raw_fd(), *to);
            }
            libc::close_range(5, u32::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed());
            Ok(())
        });
    }
    // An open directory stays what it is when its name is gone.
    command.spawn().unwrap()
}

#[test]
fn everything_works_under_the_policy() {
    let window = WindowId::new(0, 7);
    let mut peers = Peers::confined(PictureCaps {
        quality: Some(60),
        auto_refresh_delay: 60,
        ..caps()
    });
    let codings = [Coding::Rgb24, Coding::Png, Coding::Jpeg, Coding::Webp];
    for (number, coding) in codings.into_iter().enumerate() {
        peers.tell(NetworkToEncoder::Prefer(Some(coding)));
        // A small one first: by the time it is back, the wish has been heard.
        for (width, height) in [(12, 13), (12, 13), (700, 500), (2500, 1400)] {
            let whole = size(width, height);
            let seed = 77 + u64::try_from(number).unwrap();
            let pixels = Dice(seed).picture(whole);
            peers.frame(window, whole, whole.rect(), &pixels, PixelFormat::Bgrx);
            let mut rows = 0;
            while rows < height {
                let drawn = peers.draw().unwrap();
                decode(&drawn);
                rows = drawn.rect.bottom();
            }
        }
    }
    // Something was lossy: the refresh is asked for when its time has come.
    peers.hear_display(PATIENCE, |peers| !peers.refreshes.is_empty());
    let icon = [9, 9, 9, 9].repeat(48 * 48);
    let buffer = peers.capture(&icon);
    let message = DisplayToEncoder::Icon {
        buffer,
        window,
        size: size(48, 48),
    };
    peers.show(message);
    let seen = peers.see(PATIENCE);
    assert!(matches!(
        seen,
        Some(Seen::Other(EncoderToNetwork::Icon { .. }, _))
    ));
    peers.hear_display(PATIENCE, |peers| peers.pulls > 0);
    peers.pulls -= 1;
    let buffer = peers.capture(&icon);
    peers.show(DisplayToEncoder::ScreenshotPart {
        buffer,
        size: size(48, 48),
        position: Position { x: 900, y: 0 },
        format: PixelFormat::Bgra,
    });
    let root = size(1920, 1080);
    peers.show(DisplayToEncoder::ScreenshotDone { root });
    let seen = peers.see(PATIENCE);
    assert!(matches!(
        seen,
        Some(Seen::Other(EncoderToNetwork::Screenshot { .. }, _))
    ));
    peers.restart_display();
    let small = size(30, 30);
    peers.frame(window, small, small.rect(), &[3; 3600], PixelFormat::Bgrx);
    peers.draw().unwrap();
    peers.show(DisplayToEncoder::LostWindow(window));
    peers.tell(NetworkToEncoder::Ack {
        sequence: 1 << 40,
        decode_us: 1,
    });
    peers.violation();
    assert!(peers.end());
}
