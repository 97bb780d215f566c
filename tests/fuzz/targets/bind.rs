//! Bind options, command words and one-shot targets as a person types them.
#![no_main]

use bulkhead_cli::bind::{TcpBind, UnixBind};
use bulkhead_cli::find::Target;
use bulkhead_cli::syntax;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = TcpBind::parse(text, 1024);
    let _ = UnixBind::parse(text);
    let _ = Target::parse(text);
    let _ = syntax::words(text);
});
