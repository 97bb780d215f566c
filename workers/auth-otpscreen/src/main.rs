//! `bulkhead-auth-otpscreen`: shows the code of one login on the session's screen.
#![forbid(unsafe_code)]

fn main() {
    runtime::run(
        runtime::Role::AuthOtpscreen,
        bulkhead_auth_otpscreen::process::prepare,
        |seat, (x, auth)| bulkhead_auth_otpscreen::process::work(seat, x, auth),
    )
}
