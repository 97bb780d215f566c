//! A client's keyboard, as it arrives at `display`. The bytes are the rows of the keymap: a
//! keycode, a number of levels, and for each a name's length and its bytes.
#![no_main]

use display::input::layout::Layout;
use ipc::input::Modifiers;
use libfuzzer_sys::fuzz_target;

fn name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first()?;
    let (name, after) = after.split_at_checked(usize::from(*len) % 65)?;
    *rest = after;
    Some(name)
}

fuzz_target!(|data: &[u8]| {
    let (mut rest, mut rows, mut meanings) = (data, Vec::new(), Vec::new());
    while let Some(([keycode, levels], after)) = rest.split_first_chunk() {
        rest = after;
        let names: Vec<_> = (0..levels % 9)
            .map_while(|_| name(&mut rest))
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        if let (0x80.., Some(name)) = (*levels, names.first()) {
            meanings.push((name.clone(), Modifiers(*keycode)));
        }
        rows.push((*keycode, names));
    }
    let Some(mut layout) = Layout::from_client(&rows, &meanings) else {
        return;
    };
    for keycode in 0..=u8::MAX {
        for group in layout.groups(keycode) {
            for mods in 0..=u8::MAX {
                let level = group.kind.level(mods, layout.numlock, layout.level3);
                assert!(level < group.syms.len());
            }
            for sym in group.syms {
                layout.find(sym, Modifiers(keycode));
            }
        }
    }
    layout.bind_missing(
        rows.iter()
            .map(|(keycode, _)| 0x0100_0000 + u32::from(*keycode)),
    );
    let bound = layout.bind(0x20ac, &|keycode| keycode % 2 == 0);
    assert!(bound.is_none_or(|keycode| keycode >= 8));
});
