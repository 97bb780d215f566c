//! A property of a window, as an application writes it. The first byte is its format.
#![no_main]

use display::properties::{Property, decorations, hints, icon, normal_hints, shorten};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((format, value)) = data.split_first() else {
        return;
    };
    let property = Property {
        kind: 6,
        format: [8, 16, 32, *format][usize::from(*format) % 4],
        value: value.to_vec(),
    };
    let constraints = normal_hints(&property).constraints;
    if let (Some(min), Some(max)) = (constraints.minimum, constraints.maximum) {
        assert!(min.0 <= max.0 && min.1 <= max.1);
    }
    let _ = (hints(&property), property.number());
    assert!((-1..=0x7f).contains(&decorations(&property)));
    if let Some(icon) = icon(&property) {
        assert_eq!(icon.pixels.len(), icon.size.bytes() as usize);
    }
    let text = String::from_utf8_lossy(value);
    let short = shorten(&text, 100);
    assert!(short.len() <= 100 && text.starts_with(&short));
});
