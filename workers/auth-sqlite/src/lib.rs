//! One question to a SQLite database: does this user know this password?
//!
//! The process lives for one login. It gets the open file and nothing else: it reads that whole,
//! under the lock with which SQLite keeps writers out, and SQLite sees a copy in memory. It opens
//! no file, writes nowhere, and what a database made by somebody hostile could do in SQLite ends
//! with the process.
//!
//! * [`file`]: the file, read as it is at one moment.
//! * [`database`]: one SELECT, with bounds.
//! * [`process`]: the process around it.
#![forbid(unsafe_code)]

pub mod database;
pub mod file;
pub mod process;
