//! Asks a database about one login.
#![forbid(unsafe_code)]

use bulkhead_auth_sqlite::process::Prepared;
use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run(
        runtime::Role::AuthSqlite,
        Prepared::new,
        |seat, prepared| prepared.work(seat),
    )
}
