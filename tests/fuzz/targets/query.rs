//! Queries of databases, as an operator writes them.
#![no_main]

use accounts::query;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let bare = query::bare(text);
    for places in [1, 2] {
        let Ok(made) = query::bound(bare, places, |number| format!("\u{1}{number}")) else {
            continue;
        };
        // Nothing but the places has changed.
        let given = bare.matches('\u{1}').count();
        assert_eq!(made.matches('\u{1}').count(), given + places);
        let _ = query::one_column(&made);
    }
});
