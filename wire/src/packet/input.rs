use super::Packet;
use super::args::{Args, PacketError};
use super::geometry::{Position, WindowId};
use crate::caps::Caps;
use crate::limits::{MAX_HELD, MAX_NAME};
use crate::rencodeplus::Value;

/// Modifier keys that are held, as the bits of an X11 modifier mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modifiers(u8);

/// Names on the wire, in the order of the X11 bits.
const MODIFIERS: [&str; 8] = [
    "shift", "lock", "control", "mod1", "mod2", "mod3", "mod4", "mod5",
];

impl Modifiers {
    /// None held.
    pub const NONE: Modifiers = Modifiers(0);

    /// From an X11 mask: shift 1, lock 2, control 4, mod1 8 to mod5 128.
    pub fn from_mask(mask: u8) -> Modifiers {
        Modifiers(mask)
    }

    /// The X11 mask.
    pub fn mask(self) -> u8 {
        self.0
    }

    /// The names on the wire.
    pub fn names(self) -> Vec<&'static str> {
        MODIFIERS
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| (self.0 >> bit) & 1 == 1)
            .map(|(_, name)| name)
            .collect()
    }

    /// From names; names that are no modifier of X11 are left out.
    pub(crate) fn from_values(names: &[Value]) -> Modifiers {
        let mut mask = 0;
        for name in names.iter().take(MAX_HELD) {
            if let Some(bit) = MODIFIERS.iter().position(|m| name.is_key(m)) {
                mask |= 1 << bit;
            }
        }
        Modifiers(mask)
    }
}

impl From<Modifiers> for Value {
    fn from(modifiers: Modifiers) -> Value {
        Value::list(modifiers.names())
    }
}

/// A key was pressed or released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAction {
    /// The window that has the focus.
    pub window: Option<WindowId>,
    /// X11 keysym name.
    pub keysym: String,
    /// Pressed, or released.
    pub pressed: bool,
    /// Held at that time.
    pub modifiers: Modifiers,
    /// X11 keysym number.
    pub keyval: u32,
    /// The text that the key makes, if any.
    pub text: String,
    /// The client's key code.
    pub keycode: u32,
    /// The client's keyboard group.
    pub group: u8,
}

impl KeyAction {
    /// `key-action`.
    pub(super) fn read(mut args: Args) -> Result<KeyAction, PacketError> {
        Ok(KeyAction {
            window: args.window_or_none()?,
            keysym: args.text(MAX_NAME)?,
            pressed: args.bool()?,
            modifiers: modifiers(&mut args)?,
            keyval: args.optional(keyval)?.unwrap_or(0),
            text: args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default(),
            keycode: args.optional(Args::int)?.unwrap_or(0),
            group: args.optional(Args::int)?.unwrap_or(0),
        })
    }

    /// `keyboard-event`: a map in place of the last arguments.
    pub(super) fn read_event(mut args: Args) -> Result<KeyAction, PacketError> {
        let window = args.window_or_none()?;
        let keysym = args.text(MAX_NAME)?;
        let pressed = args.bool()?;
        let map = args.dict()?;
        let caps = Caps::new(&map);
        Ok(KeyAction {
            window,
            keysym,
            pressed,
            modifiers: Modifiers::from_values(args.caps(caps.list("modifiers", MAX_HELD))?),
            keyval: caps.int("keyval").unwrap_or(0),
            text: args
                .caps(caps.text("string", MAX_NAME))?
                .unwrap_or_default(),
            keycode: caps.int("keycode").unwrap_or(0),
            group: caps.int("group").unwrap_or(0),
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "key-action",
            vec![
                self.window.into(),
                self.keysym.into(),
                self.pressed.into(),
                self.modifiers.into(),
                self.keyval.into(),
                self.text.into(),
                self.keycode.into(),
                self.group.into(),
            ],
        )
    }
}

/// A keysym number; clients send −1 or 0 if they have none.
fn keyval(args: &mut Args) -> Result<u32, PacketError> {
    match args.int::<i64>()? {
        -1 => Ok(0),
        keyval => args.fit(keyval),
    }
}

pub(super) fn modifiers(args: &mut Args) -> Result<Modifiers, PacketError> {
    Ok(Modifiers::from_values(&args.list(MAX_HELD)?))
}

/// Button numbers of a list; numbers that are no button are left out.
fn buttons(items: &[Value]) -> Vec<u8> {
    items
        .iter()
        .filter_map(|item| item.to_int()?.try_into().ok())
        .filter(|button| *button != 0)
        .collect()
}

fn button_values(buttons: &[u8]) -> Value {
    Value::list(buttons.iter().copied())
}

/// The pointer moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointerMotion {
    /// The client's device; −1: unspecified.
    pub device: i64,
    /// Counts the pointer packets of a device; 0 if the client has no count.
    pub sequence: u64,
    /// The window under the pointer.
    pub window: Option<WindowId>,
    /// Where it is now.
    pub position: Position,
    /// Held at that time.
    pub modifiers: Modifiers,
    /// X11 buttons that are pressed.
    pub buttons: Vec<u8>,
}

impl PointerMotion {
    /// `pointer` and `pointer-motion`.
    pub(super) fn read(mut args: Args) -> Result<PointerMotion, PacketError> {
        let (device, sequence) = (args.int()?, sequence(&mut args)?);
        let window = args.window_or_none()?;
        let position = args.position()?;
        let (modifiers, buttons) = held_map(&mut args)?;
        Ok(PointerMotion {
            device,
            sequence,
            window,
            position,
            modifiers,
            buttons,
        })
    }

    /// `pointer-position`: without device and sequence, and lists in place of
    /// the map.
    pub(super) fn read_position(mut args: Args) -> Result<PointerMotion, PacketError> {
        let window = args.window_or_none()?;
        let position = args.position()?;
        let (modifiers, buttons) = held_lists(&mut args)?;
        Ok(PointerMotion {
            device: -1,
            sequence: 0,
            window,
            position,
            modifiers,
            buttons,
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "pointer",
            vec![
                self.device.into(),
                self.sequence.into(),
                self.window.into(),
                self.position.into(),
                held_value(self.modifiers, &self.buttons),
            ],
        )
    }
}

/// A button was pressed or released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointerButton {
    /// The client's device; −1: unspecified.
    pub device: i64,
    /// Counts the pointer packets of a device; 0 if the client has no count.
    pub sequence: u64,
    /// The window under the pointer.
    pub window: Option<WindowId>,
    /// X11 button number, 1 to 255; 4 to 7 are the wheel.
    pub button: u8,
    /// Pressed, or released.
    pub pressed: bool,
    /// Where the pointer is.
    pub position: Position,
    /// Held at that time.
    pub modifiers: Modifiers,
    /// X11 buttons that are pressed.
    pub buttons: Vec<u8>,
}

impl PointerButton {
    /// `pointer-button`.
    pub(super) fn read(mut args: Args) -> Result<PointerButton, PacketError> {
        let (device, sequence) = (args.int()?, sequence(&mut args)?);
        let window = args.window_or_none()?;
        let (button, pressed) = (button(&mut args)?, args.bool()?);
        let position = args.position()?;
        let (modifiers, buttons) = held_map(&mut args)?;
        Ok(PointerButton {
            device,
            sequence,
            window,
            button,
            pressed,
            position,
            modifiers,
            buttons,
        })
    }

    /// `button-action`: without device and sequence, and lists in place of the
    /// map.
    pub(super) fn read_action(mut args: Args) -> Result<PointerButton, PacketError> {
        let window = args.window_or_none()?;
        let (button, pressed) = (button(&mut args)?, args.bool()?);
        let position = args.position()?;
        let (modifiers, buttons) = held_lists(&mut args)?;
        Ok(PointerButton {
            device: -1,
            sequence: 0,
            window,
            button,
            pressed,
            position,
            modifiers,
            buttons,
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "pointer-button",
            vec![
                self.device.into(),
                self.sequence.into(),
                self.window.into(),
                self.button.into(),
                self.pressed.into(),
                self.position.into(),
                held_value(self.modifiers, &self.buttons),
            ],
        )
    }
}

/// The wheel turned, from a client that was told `wheel.precise`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelMotion {
    /// The window under the pointer.
    pub window: Option<WindowId>,
    /// X11 button of the axis: 4 to 7.
    pub button: u8,
    /// Thousandths of a wheel click.
    pub distance: i32,
    /// Where the pointer is.
    pub position: Position,
    /// Held at that time.
    pub modifiers: Modifiers,
    /// X11 buttons that are pressed.
    pub buttons: Vec<u8>,
}

impl WheelMotion {
    /// `wheel-motion` and `pointer-wheel`.
    pub(super) fn read(mut args: Args) -> Result<WheelMotion, PacketError> {
        let window = args.window_or_none()?;
        let (button, distance) = (button(&mut args)?, args.int()?);
        let position = args.position()?;
        let (modifiers, buttons) = held_lists(&mut args)?;
        Ok(WheelMotion {
            window,
            button,
            distance,
            position,
            modifiers,
            buttons,
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "wheel-motion",
            vec![
                self.window.into(),
                self.button.into(),
                self.distance.into(),
                self.position.into(),
                self.modifiers.into(),
                button_values(&self.buttons),
            ],
        )
    }
}

/// A sequence number; −1 stands for none.
fn sequence(args: &mut Args) -> Result<u64, PacketError> {
    let number = args.int::<i64>()?;
    args.fit(number.max(0))
}

fn button(args: &mut Args) -> Result<u8, PacketError> {
    let number = args.int::<u8>()?;
    match number {
        0 => Err(args.error(super::ArgError::Range(0))),
        button => Ok(button),
    }
}

/// The last argument of the newer pointer packets: a map.
fn held_map(args: &mut Args) -> Result<(Modifiers, Vec<u8>), PacketError> {
    let Some(map) = args.optional(Args::dict)? else {
        return Ok((Modifiers::NONE, Vec::new()));
    };
    let caps = Caps::new(&map);
    let modifiers = args.caps(caps.list("modifiers", MAX_HELD))?;
    let held = args.caps(caps.list("buttons", MAX_HELD))?;
    Ok((Modifiers::from_values(modifiers), buttons(held)))
}

/// The last arguments of the older pointer packets: two lists.
fn held_lists(args: &mut Args) -> Result<(Modifiers, Vec<u8>), PacketError> {
    let modifiers = args.optional(modifiers)?.unwrap_or_default();
    let held = args.optional(|a| a.list(MAX_HELD))?.unwrap_or_default();
    Ok((modifiers, buttons(&held)))
}

fn held_value(modifiers: Modifiers, buttons: &[u8]) -> Value {
    Value::dict([
        ("modifiers", modifiers.into()),
        ("buttons", button_values(buttons)),
    ])
}
