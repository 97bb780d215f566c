//! Saying that the session is ready, or why not: to whoever started it, and to systemd.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Those who wait for the session.
#[derive(Default)]
pub struct Announcement {
    ready: Option<File>,
    /// It has been told why there is no session, and waits until nothing is left of the attempt.
    waits: bool,
    background: bool,
    /// Connected; written to, never sent from: the filter knows fewer calls this way.
    systemd: Option<File>,
}

impl Announcement {
    /// `ready` as in the specification; systemd's socket is in the environment (`sd_notify(3)`).
    #[must_use]
    pub fn new(ready: Option<OwnedFd>) -> Self {
        let background = ready.is_some();
        let systemd = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let socket = UnixDatagram::unbound().ok()?;
            let address = match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                _ => SocketAddr::from_pathname(&name),
            };
            socket.connect_addr(&address.ok()?).ok()?;
            socket.set_nonblocking(true).ok()?;
            Some(File::from(OwnedFd::from(socket)))
        });
        Self {
            ready: ready.map(File::from),
            waits: false,
            background,
            systemd,
        }
    }

    /// Was the session started in the background?
    #[must_use]
    pub fn in_background(&self) -> bool {
        self.background
    }

    /// The session is ready.
    pub fn ready(&mut self, display: u32) {
        self.tell_starter(&format!("ready :{display}\n"));
        self.ready = None;
        self.tell_systemd(&format!("READY=1\nSTATUS=session :{display}\n"));
    }

    /// It goes down; if it never was ready, then for this reason.
    pub fn ending(&mut self, why: &str) {
        self.tell_starter(&format!("failed {}\n", why.replace(['\n', '\r'], " ")));
        self.waits = true;
        self.tell_systemd("STOPPING=1\n");
    }

    fn tell_starter(&mut self, line: &str) {
        if let Some(ready) = self.ready.as_mut().filter(|_| !self.waits) {
            // A starter that has gone does not need it.
            let _ = ready.write_all(line.as_bytes());
        }
    }

    fn tell_systemd(&mut self, text: &str) {
        if let Some(systemd) = &mut self.systemd {
            let _ = systemd.write_all(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn a_starter_hears_one_line() {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let mut announcement = Announcement {
            ready: Some(write.into()),
            waits: false,
            background: true,
            systemd: None,
        };
        announcement.ending("no X server:\nlast words");
        announcement.ending("again");
        // The end of the file is the end of the attempt.
        let mut fds = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::ZERO), Ok(1));
        assert_eq!(fds[0].revents(), Some(PollFlags::POLLIN));
        drop(announcement);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "failed no X server: last words\n");
    }

    #[test]
    fn systemd_hears_of_ready_and_stopping() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let systemd = Some(File::from(OwnedFd::from(ours)));
        let mut announcement = Announcement {
            ready: None,
            waits: false,
            background: false,
            systemd,
        };
        announcement.ready(7);
        announcement.ending("stop");
        let mut buffer = [0; 100];
        let len = theirs.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"READY=1\nSTATUS=session :7\n");
        let len = theirs.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"STOPPING=1\n");
    }
}
