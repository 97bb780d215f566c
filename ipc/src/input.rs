//! What a person does at the client, as `network` tells `display`: keys, pointer, layout.

use crate::geometry::Position;
use crate::ids::WindowId;
use serde::{Deserialize, Serialize};

/// Set of X11 modifiers, bit 0 `shift`, 1 `lock`, 2 `control`, 3–7 `mod1`–`mod5` (X11 protocol,
/// `KEYBUTMASK`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modifiers(pub u8);

impl Modifiers {
    /// Names in bit order, as the Xpra wire uses them.
    pub const NAMES: [&'static str; 8] = [
        "shift", "lock", "control", "mod1", "mod2", "mod3", "mod4", "mod5",
    ];

    /// The set with the modifier of this name added; unknown names change nothing.
    #[must_use]
    pub fn with(self, name: &str) -> Self {
        match Self::NAMES.iter().position(|n| *n == name) {
            Some(bit) => Self(self.0 | 1 << bit),
            None => self,
        }
    }
}

/// One key press or release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The window that has the client's focus, if any.
    pub window: Option<WindowId>,
    /// X11 keysym name as the client gives it, at most 64 bytes.
    pub name: String,
    /// X11 keysym (X11/keysymdef.h).
    pub keysym: u32,
    /// The client's keycode.
    pub keycode: u32,
    /// The client's layout group.
    pub group: u8,
    /// Down or up.
    pub pressed: bool,
    /// Modifiers the client has active.
    pub modifiers: Modifiers,
}

/// Where the pointer is, and what was held at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The client's window under it, if any.
    pub window: Option<WindowId>,
    /// In the session's coordinates.
    pub position: Position,
    /// Relative to the window's top left corner, where the client knows it.
    pub relative: Option<Position>,
    /// Modifiers the client has active.
    pub modifiers: Modifiers,
}

/// One row of the client's keycode table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeycodeEntry {
    /// X11 keysym.
    pub keysym: u32,
    /// X11 keysym name.
    pub name: String,
    /// The client's keycode.
    pub keycode: u32,
    /// Layout group.
    pub group: u8,
    /// Shift level.
    pub level: u8,
}

/// The client's keyboard. Bounds are those of `network`'s parser: at most 1024 entries,
/// 256 keycodes with 8 names each; strings at most 64 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keymap {
    /// xkb layout, e.g. `us`; empty when unknown.
    pub layout: String,
    /// xkb variant; may be empty.
    pub variant: String,
    /// xkb options, comma separated; may be empty.
    pub options: String,
    /// xkb model, e.g. `pc105`; may be empty.
    pub model: String,
    /// The client's own X11 keymap: keycode and its keysym names by level. Empty for clients
    /// that have no X11 keyboard.
    pub x11_keycodes: Vec<(u8, Vec<String>)>,
    /// The client's keycode table for clients without `x11_keycodes`.
    pub keycodes: Vec<KeycodeEntry>,
    /// Which modifier each modifier keysym stands for, by keysym name.
    pub modifier_meanings: Vec<(String, Modifiers)>,
    /// Keycodes are the client's own and map one to one.
    pub raw: bool,
}
