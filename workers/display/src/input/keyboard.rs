//! Keys. The X server's keymap is programmed by us alone (see [`Layout`]); the client that has
//! been here longest decides it. Keys of the others are typed by what they mean.
//!
//! Press-and-hold is the X server's own: it repeats keys that XTEST holds down.

use super::keysyms;
use super::layout::{FIRST, Kind, Layout};
use crate::client::Held;
use crate::session::{Session, X, XResult, answer};
use ipc::ConnectionId;
use ipc::input::{Key, Keymap, Modifiers};
use std::collections::BTreeSet;
use x11rb::protocol::xkb::{
    AXOption, BoolCtrl, ConnectionExt as _, Control, GetStateReply, KTSetMapEntry, KeyModMap,
    KeySymMap, SetKeyType, SetMapAux, SetMapFlags, VMod,
};
use x11rb::protocol::xproto::{ConnectionExt as _, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, ModMask};
use x11rb::protocol::xtest::ConnectionExt as _;

/// The core keyboard.
const KEYBOARD: u16 = 0x100;
/// Last keycode that X11 allows.
const LAST: u8 = u8::MAX;

/// The session's keyboard.
#[derive(Debug)]
pub struct Keyboard {
    /// What keycodes mean.
    pub layout: Layout,
    /// The client whose keyboard that is.
    pub owner: Option<ConnectionId>,
    /// Its keycodes are the X server's.
    direct: bool,
}

impl Default for Keyboard {
    fn default() -> Self {
        Self {
            layout: Layout::us(),
            owner: None,
            direct: false,
        }
    }
}

impl Keyboard {
    /// Makes the layout from a client's keyboard.
    fn plan(&mut self, owner: Option<ConnectionId>, keymap: &Keymap) {
        let own = Layout::from_client(&keymap.x11_keycodes, &keymap.modifier_meanings);
        self.owner = owner;
        self.direct = own.is_some();
        self.layout = own.unwrap_or_else(|| {
            let mut layout = Layout::us();
            let first = keymap
                .keycodes
                .iter()
                .filter(|entry| entry.group == 0 && entry.level < 4);
            let wanted = first.filter_map(|entry| meaning(&entry.name, entry.keysym));
            layout.bind_missing(wanted);
            layout
        });
    }

    /// Keycodes and names of each modifier, for clients that have no X11 keyboard.
    #[must_use]
    pub fn modifier_keys(&self) -> [Vec<(u8, String)>; 8] {
        let mut keys: [Vec<(u8, String)>; 8] = Default::default();
        for (keycode, mods) in self.layout.modifier_keys() {
            let syms = self
                .layout
                .groups(keycode)
                .first()
                .map_or([0; 4], |group| group.syms);
            let sym = syms.into_iter().find(|sym| *sym != 0);
            let Some(name) = sym.and_then(keysyms::name) else {
                continue;
            };
            for (bit, keys) in keys.iter_mut().enumerate() {
                if mods & 1 << bit != 0 && keys.len() < 32 {
                    keys.push((keycode, name.to_owned()));
                }
            }
        }
        keys
    }
}

/// What a key means: its name counts, then its number.
fn meaning(name: &str, number: u32) -> Option<u32> {
    keysyms::from_name(name).or_else(|| keysyms::valid(number))
}

fn key_types(layout: &Layout) -> Vec<SetKeyType> {
    let kind = |kind: &Kind| {
        let entries = kind.entries(layout.numlock, layout.level3);
        let mask = ModMask::from(u16::from(kind.mask(layout.numlock, layout.level3)));
        SetKeyType {
            mask,
            real_mods: mask,
            virtual_mods: VMod::from(0u16),
            num_levels: kind.levels(),
            preserve: false,
            entries: entries
                .into_iter()
                .map(|(mods, level)| KTSetMapEntry {
                    level,
                    real_mods: ModMask::from(u16::from(mods)),
                    virtual_mods: VMod::from(0u16),
                })
                .collect(),
            preserve_entries: vec![],
        }
    };
    Kind::ALL.iter().map(kind).collect()
}

fn key_syms(layout: &Layout, keycode: u8) -> KeySymMap {
    let groups = layout.groups(keycode);
    let width = groups.iter().map(|g| g.kind.levels()).max().unwrap_or(0);
    let mut kt_index = [0; 4];
    let mut syms = Vec::new();
    for (index, group) in kt_index.iter_mut().zip(groups) {
        *index = group.kind.index();
        syms.extend_from_slice(&group.syms[..usize::from(width)]);
    }
    let group_info = u8::try_from(groups.len()).unwrap_or(0);
    KeySymMap {
        kt_index,
        group_info,
        width,
        syms,
    }
}

/// The parts of a `SetMap` request.
#[derive(Default)]
struct Change {
    types: Vec<SetKeyType>,
    /// From the first keycode on.
    syms: Vec<KeySymMap>,
    modifiers: Option<Vec<KeyModMap>>,
}

fn set_map(x: &X, first: u8, change: Change) -> XResult<()> {
    let count = |len: usize| u8::try_from(len).unwrap_or(u8::MAX);
    let total_syms = change.syms.iter().map(|s| s.syms.len()).sum::<usize>();
    let (types, syms) = (count(change.types.len()), count(change.syms.len()));
    let modifiers = change.modifiers.as_ref().map_or(0, |m| count(m.len()));
    // With the modifiers goes whatever somebody has fixed explicitly.
    let whole = if change.modifiers.is_some() {
        (first, syms)
    } else {
        (0, 0)
    };
    let mut flags = SetMapFlags::RECOMPUTE_ACTIONS;
    let mut values = SetMapAux::new().syms(change.syms);
    if types > 0 {
        flags |= SetMapFlags::RESIZE_TYPES;
        values = values.types(change.types);
    }
    if let Some(modifiers) = change.modifiers {
        values = values.modmap(modifiers).explicit(vec![]);
    }
    let none = VMod::from(0u16);
    let total_syms = u16::try_from(total_syms).unwrap_or(u16::MAX);
    x.xkb_set_map(
        KEYBOARD, flags, FIRST, LAST, 0, types, first, syms, total_syms, 0, 0, 0, 0, 0, 0, whole.0,
        whole.1, 0, whole.0, whole.1, modifiers, 0, 0, 0, none, &values,
    )?;
    Ok(())
}

/// Tells the X server what every keycode means.
fn program(x: &X, layout: &Layout) -> XResult<()> {
    let empty = KeySymMap {
        kt_index: [0; 4],
        group_info: 0,
        width: 0,
        syms: vec![],
    };
    let modifiers = layout.modifier_keys().map(|(keycode, mods)| KeyModMap {
        keycode,
        mods: ModMask::from(u16::from(mods)),
    });
    // Key types can be replaced only while no key has one that goes away. Applications see the
    // result only.
    x.grab_server()?;
    let nothing = Change {
        syms: vec![empty; usize::from(LAST - FIRST) + 1],
        ..Change::default()
    };
    set_map(x, FIRST, nothing)?;
    let all = Change {
        types: key_types(layout),
        syms: (FIRST..=LAST)
            .map(|keycode| key_syms(layout, keycode))
            .collect(),
        modifiers: Some(modifiers.collect()),
    };
    set_map(x, FIRST, all)?;
    x.ungrab_server()?;
    Ok(())
}

/// Tells the X server what one keycode means.
fn program_key(x: &X, layout: &Layout, keycode: u8) -> XResult<()> {
    set_map(
        x,
        keycode,
        Change {
            syms: vec![key_syms(layout, keycode)],
            ..Change::default()
        },
    )
}

impl Session {
    /// Presses or releases a key for an application.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn fake_key(&self, keycode: u8, pressed: bool) -> XResult<()> {
        let kind = if pressed {
            KEY_PRESS_EVENT
        } else {
            KEY_RELEASE_EVENT
        };
        self.x
            .xtest_fake_input(kind, keycode, 0, x11rb::NONE, 0, 0, 0)?;
        Ok(())
    }

    /// Lets the client that may decide the keyboard decide it: the one that has been here
    /// longest. `changed` says that this client has another keyboard now.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn choose_keyboard(&mut self, changed: Option<ConnectionId>) -> XResult<()> {
        let driver = self.driver();
        let owner = driver.and_then(|id| self.clients.get(&id));
        if owner.is_none() || (self.keyboard.owner == driver && changed != driver) {
            // Without a client the layout of the last one stays.
            if owner.is_none() {
                self.keyboard.owner = None;
            }
            return Ok(());
        }
        let repeat = owner.and_then(|c| c.key_repeat);
        let keymap = owner.map(|c| c.keymap.clone()).unwrap_or_default();
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            self.release_keys(id)?;
        }
        self.keyboard.plan(driver, &keymap);
        self.program_keyboard(repeat)
    }

    /// Tells the X server the whole layout and how keys repeat.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn program_keyboard(&self, repeat: Option<(u16, u16)>) -> XResult<()> {
        program(&self.x, &self.keyboard.layout)?;
        let none = ModMask::from(0u16);
        let vnone = VMod::from(0u16);
        let ax = AXOption::from(0u16);
        let keys = BoolCtrl::REPEAT_KEYS;
        let (delay, interval) = repeat.unwrap_or((500, 30));
        let enabled = if repeat.is_some() {
            keys
        } else {
            BoolCtrl::from(0u16)
        };
        // Of all these only the repeating of keys changes.
        let change = Control::CONTROLS_ENABLED | u32::from(keys);
        self.x.xkb_set_controls(
            KEYBOARD,
            none,
            none,
            none,
            none,
            vnone,
            vnone,
            vnone,
            vnone,
            1,
            0,
            ax,
            keys,
            enabled,
            change,
            delay.max(50),
            interval.max(10),
            1,
            1,
            1,
            1,
            1,
            1,
            0,
            1,
            BoolCtrl::from(0u16),
            BoolCtrl::from(0u16),
            ax,
            ax,
            &[0; 32],
        )?;
        Ok(())
    }

    /// A key of a client went down or up.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn key(&mut self, id: ConnectionId, key: &Key) -> XResult<()> {
        let Some(client) = self.clients.get(&id) else {
            return Ok(());
        };
        let name = if key.keycode == 0 {
            key.keysym | 1 << 31
        } else {
            key.keycode
        };
        let held = client.held.keys.get(&name).copied();
        let sync = client.keyboard_sync;
        if !key.pressed {
            let Some(keycode) = held else { return Ok(()) };
            self.agree(
                id,
                key.modifiers,
                self.keyboard.layout.modifiers(keycode),
                true,
            )?;
            if let Some(client) = self.clients.get_mut(&id) {
                client.held.keys.remove(&name);
            }
            return self.release_unless_held(keycode);
        }
        if held.is_some()
            || key
                .window
                .is_some_and(|window| self.windows.get(window).is_none())
        {
            return Ok(());
        }
        if let Some(window) = key.window
            && self.focus_of != Some((id, window))
        {
            self.focus_from(id, Some(window))?;
        }
        let Some(keycode) = self.keycode(id, key)? else {
            tracing::debug!("no keycode for {:?} ({:#x})", key.name, key.keysym);
            return Ok(());
        };
        let modifiers = self.keyboard.layout.modifiers(keycode);
        self.agree(id, key.modifiers, modifiers, true)?;
        self.agree_group(id, key.group)?;
        self.fake_key(keycode, true)?;
        if !sync && modifiers == 0 {
            return self.release_unless_held(keycode);
        }
        if let Some(client) = self.clients.get_mut(&id) {
            // A key may have been pressed to agree on modifiers already.
            client.held.modifiers.remove(&keycode);
            if client.held.keys.len() < 64 {
                client.held.keys.insert(name, keycode);
            } else {
                self.release_unless_held(keycode)?;
            }
        }
        Ok(())
    }

    fn is_held(&self, keycode: u8) -> bool {
        let held = |held: &Held| {
            held.modifiers.contains(&keycode) || held.keys.values().any(|k| *k == keycode)
        };
        self.clients.values().any(|c| held(&c.held))
    }

    fn release_unless_held(&self, keycode: u8) -> XResult<()> {
        if self.is_held(keycode) {
            Ok(())
        } else {
            self.fake_key(keycode, false)
        }
    }

    /// The keycode to press for a client's key.
    fn keycode(&mut self, id: ConnectionId, key: &Key) -> XResult<Option<u8>> {
        // The X server's keycodes are its own only while it has told of no other keymap.
        let same = !self.keymap_pace.is_wanted();
        let Session { keyboard, .. } = self;
        if keyboard.direct
            && same
            && keyboard.owner == Some(id)
            && let Ok(keycode) = u8::try_from(key.keycode)
            && !keyboard.layout.groups(keycode).is_empty()
        {
            return Ok(Some(keycode));
        }
        let Some(keysym) = meaning(&key.name, key.keysym) else {
            return Ok(None);
        };
        let lowest = Modifiers(0);
        // A modifier or a lock means the same whatever else is down.
        let modifiers = if keysyms::is_modifier(keysym) {
            lowest
        } else {
            key.modifiers
        };
        if let Some(keycode) = keyboard.layout.find(keysym, modifiers) {
            return Ok(Some(keycode));
        }
        let held: BTreeSet<u8> = self
            .clients
            .values()
            .flat_map(|c| c.held.keys.values().chain(&c.held.modifiers))
            .copied()
            .collect();
        let Some(keycode) = keyboard
            .layout
            .bind(keysym, &|keycode| held.contains(&keycode))
        else {
            return Ok(None);
        };
        program_key(&self.x, &self.keyboard.layout, keycode)?;
        Ok(Some(keycode))
    }

    /// Makes the X server's modifiers those of a client, but for those in `except`, which are
    /// just changing. The locks are left alone unless `locks` says otherwise.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn agree(
        &mut self,
        id: ConnectionId,
        wanted: Modifiers,
        except: u8,
        locks: bool,
    ) -> XResult<()> {
        if let Some(client) = self.clients.get_mut(&id) {
            client.modifiers = wanted;
        }
        let Some(state) = answer(self.x.xkb_get_state(KEYBOARD)?.reply())? else {
            return Ok(());
        };
        let mask = |mods: ModMask| u16::from(mods).to_le_bytes()[0];
        let (down, locked) = (mask(state.mods), mask(state.locked_mods));
        let lock_mask = self.keyboard.layout.locks();
        let other = !lock_mask & !except;
        let different = if locks {
            (locked ^ wanted.0) & lock_mask & !except
        } else {
            0
        };
        // Locked or latched by nobody we know.
        let stuck = (locked | mask(state.latched_mods)) & !wanted.0 & other;
        if different | stuck != 0 {
            self.lock(different | stuck, wanted.0 & different, stuck, &state)?;
        }
        let missing = wanted.0 & !down & other;
        for bit in (0..8).map(|bit| 1 << bit).filter(|bit| missing & bit != 0) {
            let Some(keycode) = self.keyboard.layout.key_of_modifier(bit) else {
                continue;
            };
            self.fake_key(keycode, true)?;
            if let Some(client) = self.clients.get_mut(&id) {
                client.held.modifiers.insert(keycode);
            }
        }
        let extra = down & !wanted.0 & other;
        if extra != 0 {
            self.release_modifiers(extra)?;
        }
        Ok(())
    }

    fn lock(&self, affect: u8, on: u8, latches: u8, state: &GetStateReply) -> XResult<()> {
        let mods = |mods: u8| ModMask::from(u16::from(mods));
        let group = state.locked_group;
        self.x.xkb_latch_lock_state(
            KEYBOARD,
            mods(affect),
            mods(on),
            false,
            group,
            mods(latches),
            false,
            0,
        )?;
        Ok(())
    }

    /// Lets every key go that sets one of these modifiers.
    fn release_modifiers(&mut self, extra: u8) -> XResult<()> {
        let keys: Vec<u8> = self
            .keyboard
            .layout
            .modifier_keys()
            .filter(|(_, mods)| mods & extra != 0)
            .map(|(keycode, _)| keycode)
            .collect();
        for keycode in keys {
            if self.is_held(keycode) {
                for client in self.clients.values_mut() {
                    client.held.modifiers.remove(&keycode);
                    client.held.keys.retain(|_, held| *held != keycode);
                }
                self.fake_key(keycode, false)?;
            }
        }
        Ok(())
    }

    /// Chooses the layout group, where the layout is the client's and has two.
    fn agree_group(&self, id: ConnectionId, group: u8) -> XResult<()> {
        let keyboard = &self.keyboard;
        let two = (FIRST..=LAST).any(|keycode| keyboard.layout.groups(keycode).len() > 1);
        if !two || !keyboard.direct || keyboard.owner != Some(id) || group > 1 {
            return Ok(());
        }
        let Some(state) = answer(self.x.xkb_get_state(KEYBOARD)?.reply())? else {
            return Ok(());
        };
        if u8::from(state.locked_group) != group && u8::from(state.group) != group {
            let none = ModMask::from(0u16);
            self.x.xkb_latch_lock_state(
                KEYBOARD,
                none,
                none,
                true,
                group.into(),
                none,
                false,
                0,
            )?;
        }
        Ok(())
    }

    /// Lets go of every key that is down because of a client.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn release_keys(&mut self, id: ConnectionId) -> XResult<()> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        let keys = std::mem::take(&mut client.held.keys).into_values();
        let modifiers = std::mem::take(&mut client.held.modifiers);
        let all: Vec<u8> = keys.chain(modifiers).collect();
        for keycode in all {
            self.release_unless_held(keycode)?;
        }
        Ok(())
    }
}
