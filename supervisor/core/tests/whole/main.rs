//! A real supervisor, confined as always, with fake workers and a test for a launcher.
//!
//! This executable is both: started as `bulkhead-<role>` it is that worker.

mod bench;
mod fake;
mod tests;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if name.starts_with("bulkhead-") {
        fake::run(&name);
        return ExitCode::SUCCESS;
    }
    // What `cargo test NAME` passes; options of the usual harness mean nothing here.
    let filters: Vec<_> = arguments
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut failed = 0;
    for (name, test) in tests::ALL {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        let start = Instant::now();
        let result = std::panic::catch_unwind(test);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({} ms)",
            start.elapsed().as_millis()
        );
        failed += u32::from(result.is_err());
    }
    println!("{failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
