//! `bulkhead-auth-sqlite`: asks a database about one login.
#![forbid(unsafe_code)]

fn main() {
    check::run::<bulkhead_auth_sqlite::process::Sqlite>()
}
