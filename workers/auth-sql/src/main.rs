//! `bulkhead-auth-sql`: asks a database server about one login.
#![forbid(unsafe_code)]

fn main() {
    check::run::<bulkhead_auth_sql::process::Sql>()
}
