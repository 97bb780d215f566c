//! What each keycode of the X server means: planned here, programmed by
//! [`Keyboard`](super::keyboard::Keyboard).
//!
//! A layout is made from a client's own X11 keyboard, so that keycodes map one to one, or it is
//! the built-in US one. Keycodes that it leaves free are bound, on demand and on every level, to
//! keysyms it lacks, so that any keysym can be typed whatever modifiers are down.

use super::keysyms;
use ipc::input::Modifiers;
use std::collections::{BTreeMap, VecDeque};

/// First keycode that X11 allows.
pub const FIRST: u8 = 8;

/// `keycode keysym-name…` per line.
static US: &str = include_str!("us.txt");

const SHIFT: u8 = 1;
const LOCK: u8 = 2;
/// The modifiers of the built-in layout.
const US_MODIFIERS: [(&str, u8); 13] = [
    ("Shift_L", SHIFT),
    ("Shift_R", SHIFT),
    ("Caps_Lock", LOCK),
    ("Control_L", 1 << 2),
    ("Control_R", 1 << 2),
    ("Alt_L", 1 << 3),
    ("Alt_R", 1 << 3),
    ("Meta_L", 1 << 3),
    ("Num_Lock", 1 << 4),
    ("Super_L", 1 << 6),
    ("Super_R", 1 << 6),
    ("ISO_Level3_Shift", 1 << 7),
    ("Mode_switch", 1 << 7),
];

/// How modifiers choose the level of a key (XKB protocol, "Key Types"). The first four are the
/// ones every keymap must have, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of XKB")]
pub enum Kind {
    OneLevel,
    TwoLevel,
    Alphabetic,
    Keypad,
    FourLevel,
    FourLevelAlphabetic,
    FourLevelSemialphabetic,
    FourLevelKeypad,
}

impl Kind {
    /// All of them, in the order of their XKB index.
    pub const ALL: [Self; 8] = [
        Self::OneLevel,
        Self::TwoLevel,
        Self::Alphabetic,
        Self::Keypad,
        Self::FourLevel,
        Self::FourLevelAlphabetic,
        Self::FourLevelSemialphabetic,
        Self::FourLevelKeypad,
    ];

    /// The XKB index.
    #[must_use]
    pub fn index(self) -> u8 {
        Self::ALL
            .iter()
            .position(|k| *k == self)
            .map_or(0, |p| p.to_le_bytes()[0])
    }

    /// How many levels it has.
    #[must_use]
    pub const fn levels(self) -> u8 {
        match self {
            Self::OneLevel => 1,
            Self::TwoLevel | Self::Alphabetic | Self::Keypad => 2,
            _ => 4,
        }
    }

    /// Sets of modifiers and the level each one chooses; any other set chooses level 0.
    #[must_use]
    pub fn entries(self, numlock: u8, level3: u8) -> Vec<(u8, u8)> {
        let (n, t) = (numlock, level3);
        let pair = |other: u8| vec![(SHIFT, 1), (other, 1)];
        let mut entries = match self {
            Self::OneLevel => vec![],
            Self::TwoLevel => vec![(SHIFT, 1)],
            Self::Alphabetic => pair(LOCK),
            Self::Keypad => pair(n),
            Self::FourLevel => vec![(SHIFT, 1), (t, 2), (SHIFT | t, 3)],
            Self::FourLevelAlphabetic => {
                vec![
                    (SHIFT, 1),
                    (LOCK, 1),
                    (t, 2),
                    (SHIFT | t, 3),
                    (LOCK | t, 3),
                    (SHIFT | LOCK | t, 2),
                ]
            }
            Self::FourLevelSemialphabetic => {
                vec![
                    (SHIFT, 1),
                    (LOCK, 1),
                    (t, 2),
                    (SHIFT | t, 3),
                    (LOCK | t, 2),
                    (SHIFT | LOCK | t, 3),
                ]
            }
            Self::FourLevelKeypad => {
                vec![
                    (SHIFT, 1),
                    (n, 1),
                    (t, 2),
                    (SHIFT | t, 3),
                    (n | t, 3),
                    (SHIFT | n | t, 2),
                ]
            }
        };
        // A keyboard without Num Lock or AltGr: their entries would say "no modifier".
        entries.retain(|(mods, _)| *mods != 0);
        entries
    }

    /// The modifiers that matter to it.
    #[must_use]
    pub fn mask(self, numlock: u8, level3: u8) -> u8 {
        self.entries(numlock, level3)
            .iter()
            .fold(0, |mask, (mods, _)| mask | mods)
    }

    /// The level that these modifiers choose.
    #[must_use]
    pub fn level(self, mods: u8, numlock: u8, level3: u8) -> usize {
        let mods = mods & self.mask(numlock, level3);
        let entries = self.entries(numlock, level3);
        entries
            .iter()
            .find(|(m, _)| *m == mods)
            .map_or(0, |(_, level)| usize::from(*level))
    }

    fn of(syms: [u32; 4]) -> Self {
        let [a, b, c, d] = syms;
        let keypad = keysyms::is_keypad(a) || keysyms::is_keypad(b);
        if c == 0 && d == 0 {
            return match b {
                0 => Self::OneLevel,
                _ if a == b => Self::OneLevel,
                _ if keysyms::is_case_pair(a, b) => Self::Alphabetic,
                _ if keypad => Self::Keypad,
                _ => Self::TwoLevel,
            };
        }
        if keysyms::is_case_pair(a, b) {
            if keysyms::is_case_pair(c, d) {
                Self::FourLevelAlphabetic
            } else {
                Self::FourLevelSemialphabetic
            }
        } else if keypad {
            Self::FourLevelKeypad
        } else {
            Self::FourLevel
        }
    }
}

/// One layout group of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Keysyms by level; 0 for none.
    pub syms: [u32; 4],
    /// How the level is chosen.
    pub kind: Kind,
}

impl Group {
    fn new(mut syms: [u32; 4]) -> Option<Self> {
        if syms == [0; 4] {
            return None;
        }
        if syms[0] == syms[1] && syms[0] == syms[2] && (syms[3] == 0 || syms[3] == syms[0]) {
            syms = [syms[0], 0, 0, 0];
        }
        // A row with one small letter only means both (X11 protocol, "Keyboards").
        if syms[1..] == [0; 3] && matches!(syms[0], 0x61..=0x7a) {
            syms[1] = syms[0] - 0x20;
        }
        Some(Self {
            syms,
            kind: Kind::of(syms),
        })
    }
}

/// What each keycode means.
#[derive(Clone, Debug)]
pub struct Layout {
    keys: BTreeMap<u8, Vec<Group>>,
    modifiers: BTreeMap<u8, u8>,
    /// The modifier that Num Lock sets; 0 without one.
    pub numlock: u8,
    /// The modifier that chooses the third level; 0 without one.
    pub level3: u8,
    /// Free keycodes, the one bound longest ago first.
    free: VecDeque<u8>,
    bound: BTreeMap<u32, u8>,
}

impl Layout {
    /// The built-in US layout.
    #[must_use]
    pub fn us() -> Self {
        let rows = US.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let keycode: u8 = words.next()?.parse().ok()?;
            Some((keycode, words.map(keysym).collect::<Vec<_>>()))
        });
        let meaning = |sym: u32| {
            let known = US_MODIFIERS
                .iter()
                .find(|(name, _)| keysyms::from_name(name) == Some(sym));
            known.map_or(0, |(_, mods)| *mods)
        };
        Self::new(rows, &meaning)
    }

    /// A client's own X11 keyboard, or `None` when it does not tell a usable one.
    #[must_use]
    pub fn from_client(
        keycodes: &[(u8, Vec<String>)],
        meanings: &[(String, Modifiers)],
    ) -> Option<Self> {
        /// No keyboard has fewer keys.
        const FEWEST: usize = 20;
        let mut mods: BTreeMap<u32, u8> = BTreeMap::new();
        for (name, set) in meanings.iter().take(256) {
            if let Some(sym) = keysyms::from_name(name) {
                *mods.entry(sym).or_default() |= set.0;
            }
        }
        if mods.is_empty() {
            let us = US_MODIFIERS
                .iter()
                .filter_map(|(name, m)| Some((keysyms::from_name(name)?, *m)));
            mods.extend(us);
        }
        let rows = keycodes
            .iter()
            .map(|(keycode, names)| (*keycode, names.iter().take(8).map(|n| keysym(n)).collect()));
        let layout = Self::new(rows, &|sym| mods.get(&sym).copied().unwrap_or(0));
        (layout.keys.len() >= FEWEST).then_some(layout)
    }

    /// `rows` are in the order of the core protocol: the first two levels of group 1, of group 2,
    /// then levels 3 and 4 of group 1, of group 2.
    fn new(rows: impl Iterator<Item = (u8, Vec<u32>)>, meaning: &dyn Fn(u32) -> u8) -> Self {
        let mut keys = BTreeMap::new();
        let mut modifiers = BTreeMap::new();
        for (keycode, row) in rows.filter(|(keycode, _)| *keycode >= FIRST) {
            let at = |n: usize| row.get(n).copied().unwrap_or(0);
            let first = [at(0), at(1), at(4), at(5)];
            let second = [at(2), at(3), at(6), at(7)];
            let two = second[..2] != [0; 2] && second[..2] != first[..2];
            let mut groups: Vec<Group> = Group::new(first).into_iter().collect();
            if two {
                groups.extend(Group::new(second));
            }
            if groups.is_empty() {
                continue;
            }
            let mods = row.iter().take(2).fold(0, |mods, sym| mods | meaning(*sym));
            if mods != 0 {
                modifiers.insert(keycode, mods);
            }
            keys.insert(keycode, groups);
        }
        let of = |name: &str| {
            let sym = keysym(name);
            let mut with = keys.iter().filter(|(_, g)| g[0].syms[..2].contains(&sym));
            with.find_map(|(keycode, _)| modifiers.get(keycode).copied())
                .unwrap_or(0)
        };
        let level3 = match of("ISO_Level3_Shift") {
            0 => of("Mode_switch"),
            mods => mods,
        };
        let numlock = of("Num_Lock");
        let free = (FIRST..=u8::MAX)
            .rev()
            .filter(|keycode| !keys.contains_key(keycode))
            .collect();
        Self {
            modifiers,
            numlock,
            level3,
            free,
            bound: BTreeMap::new(),
            keys,
        }
    }

    /// The groups of a keycode; none when it is free.
    #[must_use]
    pub fn groups(&self, keycode: u8) -> &[Group] {
        self.keys.get(&keycode).map_or(&[], Vec::as_slice)
    }

    /// The modifiers that a keycode sets; 0 for most.
    #[must_use]
    pub fn modifiers(&self, keycode: u8) -> u8 {
        self.modifiers.get(&keycode).copied().unwrap_or(0)
    }

    /// Every keycode that sets a modifier.
    pub fn modifier_keys(&self) -> impl Iterator<Item = (u8, u8)> {
        self.modifiers
            .iter()
            .map(|(keycode, mods)| (*keycode, *mods))
    }

    /// The key to press to set exactly this one modifier.
    #[must_use]
    pub fn key_of_modifier(&self, modifier: u8) -> Option<u8> {
        let mut keys = self.modifiers.iter().filter(|(_, mods)| **mods == modifier);
        keys.find(|(keycode, _)| {
            self.groups(**keycode)
                .first()
                .is_some_and(|g| g.syms[0] != 0)
        })
        .map(|(keycode, _)| *keycode)
    }

    /// The modifiers that are locked (Caps Lock, Num Lock) rather than held.
    #[must_use]
    pub fn locks(&self) -> u8 {
        LOCK | self.numlock
    }

    /// A key that types this keysym while these modifiers are down.
    #[must_use]
    pub fn find(&self, keysym: u32, mods: Modifiers) -> Option<u8> {
        if let Some(keycode) = self.bound.get(&keysym) {
            return Some(*keycode);
        }
        let types = |group: &Group| {
            group.syms[group.kind.level(mods.0, self.numlock, self.level3)] == keysym
        };
        let mut keys = self
            .keys
            .iter()
            .filter(|(_, groups)| groups.first().is_some_and(types));
        keys.next().map(|(keycode, _)| *keycode)
    }

    /// Binds a free keycode to a keysym on every level; one that is `held` is left alone.
    /// `None` when no keycode is left.
    pub fn bind(&mut self, keysym: u32, held: &dyn Fn(u8) -> bool) -> Option<u8> {
        let at = self.free.iter().position(|keycode| !held(*keycode))?;
        let keycode = self.free.remove(at)?;
        self.free.push_back(keycode);
        self.bound.retain(|_, bound| *bound != keycode);
        self.bound.insert(keysym, keycode);
        let group = Group {
            syms: [keysym, 0, 0, 0],
            kind: Kind::OneLevel,
        };
        self.keys.insert(keycode, vec![group]);
        Some(keycode)
    }

    /// Binds what a client's table holds and the layout lacks, as far as there is room.
    pub fn bind_missing(&mut self, wanted: impl Iterator<Item = u32>) {
        let room = self.free.len();
        for keysym in wanted {
            if self.bound.len() >= room {
                return;
            }
            let known = [0, SHIFT]
                .iter()
                .any(|mods| self.find(keysym, Modifiers(*mods)).is_some());
            if !known && !keysyms::is_modifier(keysym) {
                self.bind(keysym, &|_| false);
            }
        }
    }
}

fn keysym(name: &str) -> u32 {
    keysyms::from_name(name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sym(name: &str) -> u32 {
        keysyms::from_name(name).unwrap()
    }

    fn french() -> Layout {
        let row = |keycode, names: &str| (keycode, names.split(' ').map(String::from).collect());
        let mut rows: Vec<(u8, Vec<String>)> = vec![
            row(11, "eacute 2 eacute 2 asciitilde Eacute"),
            row(26, "e E e E EuroSign cent"),
            row(50, "Shift_L  Shift_L"),
            row(66, "Caps_Lock"),
            row(77, "Num_Lock"),
            row(87, "KP_End KP_1 KP_End KP_1"),
            row(108, "ISO_Level3_Shift"),
            row(54, "c C Cyrillic_es Cyrillic_ES"),
        ];
        rows.extend((200..220).map(|k| row(k, "F1 F1 F1 F1 F1 F1 XF86Switch_VT_1")));
        let meanings = [
            ("Shift_L", 1),
            ("Caps_Lock", 2),
            ("Num_Lock", 16),
            ("ISO_Level3_Shift", 128),
        ]
        .map(|(name, mods)| (name.to_owned(), Modifiers(mods)));
        Layout::from_client(&rows, &meanings).unwrap()
    }

    #[test]
    fn a_clients_rows_become_groups_and_levels() {
        let layout = french();
        assert_eq!(layout.groups(26)[0].kind, Kind::FourLevelSemialphabetic);
        assert_eq!(layout.groups(26).len(), 1);
        assert_eq!(layout.groups(11)[0].kind, Kind::FourLevel);
        assert_eq!(layout.groups(200)[0].kind, Kind::OneLevel);
        assert_eq!(layout.groups(87)[0].kind, Kind::Keypad);
        assert_eq!(layout.groups(54).len(), 2);
        assert_eq!((layout.numlock, layout.level3), (16, 128));
        assert_eq!(layout.key_of_modifier(128), Some(108));
        assert_eq!(layout.key_of_modifier(32), None);
    }

    #[test]
    fn modifiers_choose_the_level() {
        let layout = french();
        let find = |name, mods| layout.find(sym(name), Modifiers(mods));
        assert_eq!(find("eacute", 0), Some(11));
        assert_eq!(find("eacute", SHIFT), None);
        assert_eq!(find("2", SHIFT), Some(11));
        assert_eq!(find("EuroSign", 128), Some(26));
        assert_eq!(
            find("EuroSign", 128 | 16),
            Some(26),
            "num lock does not matter there"
        );
        assert_eq!(find("E", LOCK), Some(26));
        assert_eq!(find("e", SHIFT | LOCK), Some(26));
        assert_eq!(find("KP_1", 16), Some(87));
        assert_eq!(find("KP_1", 16 | SHIFT), None);
    }

    #[test]
    fn missing_keysyms_are_bound_and_the_oldest_binding_goes_first() {
        let mut layout = Layout::us();
        let room = layout.free.len();
        assert!(room > 60, "{room}");
        let first = layout.bind(sym("eacute"), &|_| false).unwrap();
        assert_eq!(
            layout.find(sym("eacute"), Modifiers(SHIFT | 4)),
            Some(first)
        );
        for n in 0..room {
            let sym = 0x0100_0400 + u32::try_from(n).unwrap();
            assert!(
                layout
                    .bind(sym, &|k| k == first)
                    .is_some_and(|k| k != first)
            );
        }
        assert_eq!(
            layout.find(sym("eacute"), Modifiers(0)),
            Some(first),
            "it was held"
        );
        layout.bind(sym("EuroSign"), &|_| false).unwrap();
        assert_eq!(layout.find(sym("eacute"), Modifiers(0)), None);
        assert!(layout.bind(sym("EuroSign"), &|_| true).is_none());
    }

    #[test]
    fn a_table_is_bound_as_far_as_there_is_room() {
        let mut layout = Layout::us();
        layout.bind_missing([sym("a"), sym("exclam"), sym("Shift_L"), sym("agrave")].into_iter());
        assert_eq!(layout.bound.len(), 1);
        layout.bind_missing(0x0100_0400..0x0100_0900);
        assert_eq!(layout.bound.len(), layout.free.len());
        assert!(layout.find(sym("agrave"), Modifiers(0)).is_some());
    }

    #[test]
    fn hostile_tables_are_refused_or_harmless() {
        assert!(Layout::from_client(&[], &[]).is_none());
        let rows: Vec<_> = (0..=255)
            .map(|k| (k, vec!["Shift_L".to_owned(); 8]))
            .collect();
        let layout = Layout::from_client(&rows, &[("Shift_L".into(), Modifiers(255))]).unwrap();
        assert!(layout.groups(0).is_empty() && layout.key_of_modifier(1).is_none());
    }

    #[test]
    fn the_built_in_layout_has_every_modifier() {
        let layout = Layout::us();
        for modifier in [1, 2, 4, 8, 16, 64, 128] {
            assert!(layout.key_of_modifier(modifier).is_some(), "{modifier}");
        }
        assert_eq!(layout.find(sym("ISO_Left_Tab"), Modifiers(SHIFT)), Some(23));
        assert_eq!(
            layout.find(sym("A"), Modifiers(SHIFT)),
            layout.find(sym("a"), Modifiers(0))
        );
    }
}
