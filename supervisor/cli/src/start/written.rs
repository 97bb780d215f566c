//! The files that a session writes to: its log and its process id.

use super::plan::Plan;
use crate::claim::Claim;
use crate::error::{Error, Result, reason};
use crate::options::StartArgs;
use crate::places::{self, LOG_FILE, PID_FILE};
use crate::undo::Undo;
use files::{Ids, Spot};
use nix::unistd::geteuid;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest file that says a process id.
const MAX_PID_FILE: u64 = 32;

/// A file for lines of the log; a plain name is one in the session directory.
pub fn log_path(args: &StartArgs, claim: &Claim, plan: &Plan) -> PathBuf {
    match &args.log_file {
        None => claim.dir.join(LOG_FILE),
        Some(path) if path.components().count() == 1 && !path.starts_with("~") => {
            claim.dir.join(path)
        }
        Some(path) => plan.cwd.join(places::expand(path, &plan.places.home)),
    }
}

/// Opens a log for appending.
///
/// # Errors
/// It cannot be opened, or is not an ordinary file.
pub fn open_log(path: &Path, claim: &Claim, user: Option<Ids>, undo: &mut Undo) -> Result<OwnedFd> {
    let spot = Spot::new(path, user);
    let fail = |error: std::io::Error| {
        let why = reason(&error);
        Error::new(format!(
            "log file {}: {why}{}",
            path.display(),
            spot.rights()
        ))
    };
    let open = |path: &Path| {
        let existed = path.symlink_metadata().is_ok();
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(path)?;
        let meta = file.metadata()?;
        let ours = [0, geteuid().as_raw()].contains(&meta.uid());
        // A device, such as /dev/null, is root's. Another's file, or a second name of one, is
        // nothing that was meant.
        let usual = meta.is_file() && meta.nlink() == 1 || meta.file_type().is_char_device();
        match ours && usual {
            true => Ok((file, existed)),
            false => Err(std::io::Error::other(
                "is not an ordinary file of this user's with one name",
            )),
        }
    };
    let (file, existed) = spot.act(open).map_err(fail)?;
    if !existed && path.parent() != Some(&claim.dir) {
        undo.file(files::made(&spot).map_err(fail)?);
    }
    Ok(OwnedFd::from(file))
}

/// Makes a file for the process id; one of an earlier session is replaced.
fn make_pid_file(path: &Path) -> std::io::Result<File> {
    match path.symlink_metadata() {
        Ok(_) if files::small(path, MAX_PID_FILE).is_some_and(|text| is_pid_file(&text)) => {
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(std::io::Error::other(
                "something else is there; remove it or name another file",
            ));
        }
        Err(_) => {}
    }
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
}

/// A number, or nothing yet.
fn is_pid_file(text: &str) -> bool {
    text.trim().bytes().all(|byte| byte.is_ascii_digit())
}

/// Opens the session's own pid file and the one that was asked for.
///
/// # Errors
/// They cannot be made.
pub fn open_pid_files(
    args: &StartArgs,
    claim: &Claim,
    plan: &mut Plan,
    undo: &mut Undo,
) -> Result<Vec<File>> {
    let own = claim.dir.join(PID_FILE);
    let wanted = args
        .pidfile
        .as_ref()
        .map(|path| plan.cwd.join(places::expand(path, &plan.places.home)));
    let user = plan.owner.ids();
    let mut open = |path: &Path| {
        let spot = Spot::new(path, user);
        let fail = |error: std::io::Error| {
            let why = reason(&error);
            let rights = spot.rights();
            let option = if path == own { "" } else { "--pidfile: " };
            Error::new(format!(
                "{option}pid file {}: {why}{rights}",
                path.display()
            ))
        };
        let file = spot.act(make_pid_file).map_err(fail)?;
        let made = files::made(&spot).map_err(fail)?;
        undo.file(made.clone());
        Ok((file, made))
    };
    let mut files = vec![open(&own)?.0];
    if let Some(path) = wanted {
        let (file, made) = open(&path)?;
        plan.launcher.remove_at_end.push(made);
        files.push(file);
    }
    Ok(files)
}
