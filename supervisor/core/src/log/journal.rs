//! The way to the systemd journal.

use nix::sys::stat::fstat;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where journald listens for records with fields (systemd-journald.service(8)).
const SOCKET: &str = "/run/systemd/journal/socket";

/// A socket to the journal, if standard error is connected to it.
pub fn connect() -> Option<OwnedFd> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    connect_if(io::stderr().as_fd(), &stream, Path::new(SOCKET))
}

/// `stream` is device and inode of what the service manager has connected (systemd.exec(5)); when
/// it is not `stderr`, that has been sent elsewhere since.
fn connect_if(stderr: BorrowedFd<'_>, stream: &str, socket: &Path) -> Option<OwnedFd> {
    let is = fstat(stderr).ok()?;
    if stream != format!("{}:{}", is.st_dev, is.st_ino) {
        return None;
    }
    let journal = UnixDatagram::unbound().ok()?;
    journal.connect(socket).ok()?;
    journal.set_nonblocking(true).ok()?;
    Some(journal.into())
}

#[cfg(test)]
mod tests {
    use super::super::{Level, Log, Origin};
    use super::*;
    use std::os::unix::fs::MetadataExt;

    const ORIGIN: Origin = Origin {
        role: "encoder",
        pid: 4711,
        connection: Some(12),
    };

    #[test]
    fn records_arrive_as_fields_when_standard_error_is_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        journald.set_nonblocking(true).unwrap();
        let stderr = tempfile::tempfile().unwrap();
        let is = stderr.metadata().unwrap();
        let stream = format!("{}:{}", is.dev(), is.ino());

        let other = format!("{}:{}", is.dev(), is.ino() + 1);
        assert!(connect_if(stderr.as_fd(), &other, &path).is_none());
        let nowhere = dir.path().join("nowhere");
        assert!(connect_if(stderr.as_fd(), &stream, &nowhere).is_none());

        let socket = connect_if(stderr.as_fd(), &stream, &path).unwrap();
        let mut log = Log::journal(socket, false, 99);
        log.record(Level::Error, ORIGIN, b"one\ntwo");
        log.own(Level::Info, None, "ready");
        log.own(Level::Debug, None, "not asked for");
        let mut next = || {
            let mut record = [0; 1000];
            let len = journald.recv(&mut record).ok()?;
            Some(String::from_utf8(record[..len].to_vec()).unwrap())
        };
        assert_eq!(
            next().unwrap(),
            "PRIORITY=3\nSYSLOG_IDENTIFIER=bulkhead-encoder\nSYSLOG_PID=4711\nROLE=encoder\n\
             CONNECTION=12\nMESSAGE=one\\ntwo\n"
        );
        assert_eq!(
            next().unwrap(),
            "PRIORITY=6\nSYSLOG_IDENTIFIER=bulkhead-supervisor\nSYSLOG_PID=99\n\
             ROLE=supervisor\nMESSAGE=ready\n"
        );
        assert!(next().is_none());

        // A journal that does not read costs records, which are counted, and no time.
        for _ in 0..10_000 {
            log.own(Level::Info, None, "too much");
        }
        let arrived = std::iter::from_fn(&mut next).count();
        assert!(arrived < 10_000);
        log.own(Level::Info, None, "again");
        let text = format!("MESSAGE={} records were dropped", 10_000 - arrived);
        assert!(next().unwrap().contains(&text));
        assert!(next().unwrap().ends_with("MESSAGE=again\n"));
        // Nor does one that has gone.
        drop(journald);
        log.own(Level::Info, None, "to nobody");
    }
}
