//! A stream of records in arbitrary pieces, before and after authentication. The first byte is
//! the size of the pieces: whatever it is, the same messages must come out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::limits::Limits;
use wire::record::{Message, RecordReader};

fn read(limits: Limits, bytes: &[u8], piece: usize) -> (Vec<Message>, bool) {
    let mut reader = RecordReader::new(limits);
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    for limits in [
        Limits::PRE_AUTH,
        Limits::CLIENT_TO_SERVER,
        Limits::SERVER_TO_CLIENT,
    ] {
        let whole = read(limits.clone(), bytes, bytes.len().max(1));
        let pieces = read(limits, bytes, usize::from(*first).max(1));
        assert_eq!(whole, pieces);
    }
});
