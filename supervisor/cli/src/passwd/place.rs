//! Where a database is, and that it is only ours to change. SQLite plays what it finds beside a
//! database (its journal) into it, and follows links; so nobody else may make anything there.

use crate::error::reason;
use accounts::file::{HEADER, MAX_FILE, passwords};
use nix::unistd::geteuid;
use std::ffi::OsStr;
use std::fs::{File, Metadata, symlink_metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What SQLite may find beside a database.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A database's path without links. Where `make` says so and there is none, an empty file is made
/// that nobody else may read.
///
/// # Errors
/// There is none, it is something else, or somebody other than root and who runs this can change it.
pub fn find(path: &Path, make: bool) -> Result<PathBuf, String> {
    let own = geteuid().as_raw();
    let absolute = std::path::absolute(path).map_err(|error| reason(&error))?;
    let found = match files::own_path(&absolute, own) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = new_file(&absolute, own).map_err(|error| explain(&error, own))?;
            if !make {
                return Err("there is none: bulkhead passwd add USER makes one".into());
            }
            check_directory(&file, own)?;
            // Never through a link.
            let made = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file);
            made.map_err(|error| reason(&error))?;
            file
        }
        found => found.map_err(|error| explain(&error, own))?,
    };
    let meta = symlink_metadata(&found).map_err(|error| reason(&error))?;
    if !meta.is_file() {
        return Err("is no ordinary file".into());
    }
    check_directory(&found, own)?;
    check(&found, &meta, own)?;
    for suffix in BESIDE {
        check_beside(&beside(&found, suffix), suffix, own)?;
    }
    check_header(&found)?;
    Ok(found)
}

/// Where a file is to be made whose directory is there.
fn new_file(path: &Path, own: u32) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => Ok(files::own_path(directory, own)?.join(name)),
        _ => Err(ErrorKind::IsADirectory.into()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    name.into()
}

fn check_directory(file: &Path, own: u32) -> Result<(), String> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    match files::check_own(directory, own) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "SQLite uses what lies beside a database, so nobody else may make files there: {}",
            explain(&error, own)
        )),
    }
}

/// What is said of other owners is for whom it is true.
fn explain(error: &io::Error, own: u32) -> String {
    match (error.raw_os_error(), own) {
        (None, 0) => format!("{}; or run this as that user", reason(error)),
        _ => reason(error),
    }
}

fn check(path: &Path, meta: &Metadata, own: u32) -> Result<(), String> {
    if ![0, own].contains(&meta.uid()) {
        return Err(format!(
            "{} belongs to the user {}: run this as that user",
            path.display(),
            meta.uid()
        ));
    }
    match meta.mode() & 0o777 {
        mode if mode & 0o022 != 0 => Err(format!(
            "others may write it (mode {mode:o}): chmod 600 {}",
            path.display()
        )),
        mode if mode & 0o044 != 0 => Err(format!(
            "others may read it (mode {mode:o}): chmod 600 {}",
            path.display()
        )),
        _ if meta.len() > MAX_FILE => Err(format!("is larger than {} MiB", MAX_FILE >> 20)),
        _ => Ok(()),
    }
}

/// Not the database itself: a file of SQLite's, of the last one who changed it.
fn check_beside(path: &Path, suffix: &str, own: u32) -> Result<(), String> {
    let meta = match symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(|error| format!("{}: {}", path.display(), reason(&error)))?,
    };
    if !meta.is_file() {
        return Err(format!("{} is no ordinary file", path.display()));
    }
    check(path, &meta, own)?;
    match suffix {
        "-wal" if meta.len() > 0 => Err(accounts::file::Unusable::Wal.to_string()),
        _ => Ok(()),
    }
}

/// Before SQLite opens it.
fn check_header(path: &Path) -> Result<(), String> {
    let mut header = Vec::with_capacity(HEADER);
    files::ordinary(path)
        .and_then(|file| file.take(HEADER as u64).read_to_end(&mut header))
        .map_err(|error| reason(&error))?;
    match header.is_empty() {
        // A new one, or one whose first user was never written.
        true => Ok(()),
        false => passwords(&header)
            .map(|_| ())
            .map_err(|why| why.to_string()),
    }
}
