//! Between the packets of the wire and the messages to our own processes.

use crate::VERSION;
use ipc::auth::Digest as IpcDigest;
use ipc::capture::PixelFormat;
use ipc::display::{Attach, Geometry, Metadata, Signal, SizeConstraints, WindowState, WindowType};
use ipc::frames::{Coding, PictureCaps, RgbFormat};
use ipc::geometry::MAX_SIDE;
use ipc::input::{Key, KeycodeEntry, Keymap, Modifiers, Pointer};
use ipc::network::{ClientDescription, SessionFacts};
use ipc::{Position, Size, WindowId};
use std::collections::BTreeSet;
use wire::challenge::{Digest, Hash, Token};
use wire::hello::{ClientHello, id_reply};
use wire::packet as p;
use wire::security_key::Protocol;

/// Longest strings of a keyboard in bytes.
const MAX_NAME: usize = 64;
/// Most rows of a keycode table.
const MAX_KEYCODES: usize = 1024;
/// Most keysyms of a key.
const MAX_LEVELS: usize = 8;
/// Most bytes of a keymap's tables, so that a message with it is never too long.
const MAX_KEYMAP: usize = 48 * 1024;
/// Most digests that are told to `auth`.
const MAX_DIGESTS: usize = 16;

const SMALLEST: Size = match Size::new(1, 1) {
    Some(size) => size,
    None => panic!("one by one is a size"),
};

/// The start of `text` that fits into `max` bytes.
pub fn shorten(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

fn digest(digest: Digest) -> IpcDigest {
    match digest {
        Digest::Hmac(hash) => match hash {
            Hash::Sha512 => IpcDigest::HmacSha512,
            Hash::Sha384 => IpcDigest::HmacSha384,
            Hash::Sha256 => IpcDigest::HmacSha256,
            Hash::Sha224 => IpcDigest::HmacSha224,
            Hash::Sha3_512 => IpcDigest::HmacSha3_512,
            Hash::Sha3_384 => IpcDigest::HmacSha3_384,
            Hash::Sha3_256 => IpcDigest::HmacSha3_256,
            Hash::Sha3_224 => IpcDigest::HmacSha3_224,
        },
        Digest::Xor => IpcDigest::Xor,
        Digest::SecurityKey(Protocol::U2f) => IpcDigest::U2f,
        Digest::SecurityKey(Protocol::Fido2) => IpcDigest::Fido2,
        Digest::Token(Token::Kerberos) => IpcDigest::Kerberos,
        Digest::Token(Token::Gss) => IpcDigest::Gss,
        Digest::Keycloak => IpcDigest::Keycloak,
    }
}

/// The digests of a hello, as `auth` calls them.
pub fn digests(offered: &[Digest]) -> Vec<IpcDigest> {
    offered
        .iter()
        .map(|offered| digest(*offered))
        .take(MAX_DIGESTS)
        .collect()
}

/// A digest's name in a challenge.
pub fn digest_name(digest: IpcDigest) -> &'static str {
    match digest {
        IpcDigest::HmacSha512 => Hash::Sha512.digest_name(),
        IpcDigest::HmacSha384 => Hash::Sha384.digest_name(),
        IpcDigest::HmacSha256 => Hash::Sha256.digest_name(),
        IpcDigest::HmacSha224 => Hash::Sha224.digest_name(),
        IpcDigest::HmacSha3_512 => Hash::Sha3_512.digest_name(),
        IpcDigest::HmacSha3_384 => Hash::Sha3_384.digest_name(),
        IpcDigest::HmacSha3_256 => Hash::Sha3_256.digest_name(),
        IpcDigest::HmacSha3_224 => Hash::Sha3_224.digest_name(),
        IpcDigest::Xor => Digest::Xor.name(),
        IpcDigest::U2f => Protocol::U2f.challenge_name(),
        IpcDigest::Fido2 => Protocol::Fido2.challenge_name(),
        IpcDigest::Kerberos => Token::Kerberos.digest_name(),
        IpcDigest::Gss => Token::Gss.digest_name(),
        IpcDigest::Keycloak => Digest::Keycloak.name(),
    }
}

/// The answer to an `id` request.
pub fn id(facts: &SessionFacts) -> p::Map {
    let display = format!(":{}", facts.display);
    let (name, uuid, machine) = (&facts.session_name, &facts.uuid, &facts.machine_id);
    id_reply(name, uuid, machine, &display, facts.pid, VERSION)
}

/// What the client says of itself.
pub fn description(hello: &ClientHello) -> ClientDescription {
    let identity = &hello.identity;
    ClientDescription {
        client_type: shorten(&identity.client_type, 64),
        version: shorten(&identity.version, 32),
        hostname: shorten(&identity.hostname, 64),
        uuid: shorten(&identity.uuid, 128),
        share: hello.share,
        steal: hello.steal,
    }
}

/// What the client can show, of what we can make.
pub fn picture_caps(hello: &ClientHello) -> PictureCaps {
    let (encoding, cursor) = (&hello.encoding, &hello.cursor);
    let has = |names: &[String], name| names.iter().any(|n| n == name);
    let percent = |value: Option<u8>| value.filter(|value| (1..=100).contains(value));
    let codings = encoding.core.iter().copied().filter_map(our_coding);
    let formats = encoding.rgb_formats.iter().copied();
    let rgb_formats: Vec<_> = formats.filter_map(our_format).collect();
    PictureCaps {
        // Raw pixels in no order that we know are no coding at all.
        codings: codings
            .filter(|coding| !rgb_formats.is_empty() || !is_raw(*coding))
            .collect(),
        rgb_formats,
        rgb_lz4: encoding.rgb_lz4,
        transparency: encoding.transparency,
        icon_png: has(&encoding.icon_encodings, "png"),
        icon_bgra: has(&encoding.icon_encodings, "BGRA"),
        icon_max: encoding.icon_max_size,
        cursor_raw: cursor.enabled && has(&cursor.encodings, "raw"),
        cursor_png: cursor.enabled && has(&cursor.encodings, "png"),
        cursor_max: cursor.max_size,
        quality: percent(encoding.quality),
        speed: percent(encoding.speed),
        auto_refresh_delay: encoding
            .auto_refresh_delay
            .map_or(150, |delay| u16::try_from(delay).unwrap_or(u16::MAX)),
    }
}

fn our_coding(coding: p::Coding) -> Option<Coding> {
    match coding {
        p::Coding::Rgb24 => Some(Coding::Rgb24),
        p::Coding::Rgb32 => Some(Coding::Rgb32),
        p::Coding::Png => Some(Coding::Png),
        p::Coding::Jpeg => Some(Coding::Jpeg),
        p::Coding::Webp => Some(Coding::Webp),
        _ => None,
    }
}

/// Are these raw pixels?
pub fn is_raw(coding: Coding) -> bool {
    matches!(coding, Coding::Rgb24 | Coding::Rgb32)
}

/// The coding that a client calls by this name.
pub fn coding_named(name: &str) -> Option<Coding> {
    match name {
        "rgb" => Some(Coding::Rgb24),
        name => p::Coding::parse(name).and_then(our_coding),
    }
}

/// A coding of ours on the wire.
pub fn wire_coding(coding: Coding) -> p::Coding {
    match coding {
        Coding::Rgb24 => p::Coding::Rgb24,
        Coding::Rgb32 => p::Coding::Rgb32,
        Coding::Png => p::Coding::Png,
        Coding::Jpeg => p::Coding::Jpeg,
        Coding::Webp => p::Coding::Webp,
    }
}

fn our_format(format: p::RgbFormat) -> Option<RgbFormat> {
    match format {
        p::RgbFormat::Bgrx => Some(RgbFormat::Bgrx),
        p::RgbFormat::Bgra => Some(RgbFormat::Bgra),
        p::RgbFormat::Rgbx => Some(RgbFormat::Rgbx),
        p::RgbFormat::Rgba => Some(RgbFormat::Rgba),
        p::RgbFormat::Rgb => Some(RgbFormat::Rgb),
        p::RgbFormat::Bgr => Some(RgbFormat::Bgr),
        _ => None,
    }
}

/// A pixel order of ours on the wire.
pub fn wire_format(format: RgbFormat) -> p::RgbFormat {
    match format {
        RgbFormat::Bgrx => p::RgbFormat::Bgrx,
        RgbFormat::Bgra => p::RgbFormat::Bgra,
        RgbFormat::Rgbx => p::RgbFormat::Rgbx,
        RgbFormat::Rgba => p::RgbFormat::Rgba,
        RgbFormat::Rgb => p::RgbFormat::Rgb,
        RgbFormat::Bgr => p::RgbFormat::Bgr,
    }
}

/// The pixel order that a compressed picture was made from, for `rgb_format`.
pub fn source_format(source: PixelFormat) -> p::RgbFormat {
    match source {
        PixelFormat::Bgrx => p::RgbFormat::Bgrx,
        PixelFormat::Bgra => p::RgbFormat::Bgra,
    }
}

/// What the client brings along for `display`.
pub fn attach(hello: &ClientHello) -> Attach {
    let short = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    Attach {
        held: Vec::new(),
        desktop: hello.display.desktop_size.map(our_size),
        dpi: hello.display.dpi.map(|(_, y)| y),
        keyboard_sync: hello.keyboard_sync,
        key_repeat: match hello.key_repeat {
            Some((delay, interval)) if interval > 0 => Some((short(delay), short(interval))),
            _ => None,
        },
        keymap: Box::new(keymap(&hello.keymap)),
        cursors: hello.cursor.enabled,
        bell: hello.bell,
        said: 0,
    }
}

/// The client's keyboard, within the bounds of a message: the tables are left out when they are
/// absurdly large.
pub fn keymap(keymap: &wire::hello::Keymap) -> Keymap {
    let query = keymap.query.clone().unwrap_or_default();
    let first = |own: &str, list: &[String], query: &str| {
        let own = if own.is_empty() { query } else { own };
        // One for each group: xkb takes them separated by commas.
        let all = if list.len() > 1 {
            list.join(",")
        } else {
            own.to_owned()
        };
        shorten(&all, MAX_NAME)
    };
    let fits = |name: &String| name.len() <= MAX_NAME;
    let mut result = Keymap {
        layout: first(&keymap.layout, &keymap.layouts, &query.layout),
        variant: first(&keymap.variant, &keymap.variants, &query.variant),
        options: first(&keymap.options, &[], &query.options),
        model: first(&keymap.model, &[], &query.model),
        x11_keycodes: keymap
            .x11_keycodes
            .iter()
            .map(|(code, names)| {
                let names = names.iter().take(MAX_LEVELS);
                (
                    *code,
                    names
                        .map(|name| {
                            if fits(name) {
                                name.clone()
                            } else {
                                String::new()
                            }
                        })
                        .collect(),
                )
            })
            .collect(),
        keycodes: Vec::new(),
        modifier_meanings: keymap
            .mod_meanings
            .iter()
            .filter(|(name, _)| fits(name))
            .map(|(name, modifiers)| (name.clone(), our_modifiers(*modifiers)))
            .collect(),
        raw: keymap.raw,
    };
    if result.x11_keycodes.is_empty() {
        let entries = keymap
            .keycodes
            .iter()
            .filter(|key| fits(&key.keysym))
            .take(MAX_KEYCODES);
        result.keycodes = entries
            .map(|key| KeycodeEntry {
                keysym: key.keyval,
                name: key.keysym.clone(),
                keycode: key.keycode,
                group: key.group,
                level: key.level,
            })
            .collect();
    }
    let meanings: usize = result
        .modifier_meanings
        .iter()
        .map(|(name, _)| name.len() + 4)
        .sum();
    let levels = result.x11_keycodes.iter().flat_map(|(_, names)| names);
    let x11: usize =
        levels.map(|name| name.len() + 1).sum::<usize>() + 4 * result.x11_keycodes.len();
    let table: usize = result.keycodes.iter().map(|key| key.name.len() + 16).sum();
    if meanings + x11 + table > MAX_KEYMAP {
        result.modifier_meanings.clear();
        result.x11_keycodes.clear();
        result.keycodes.clear();
    }
    result
}

/// A size of the wire, at most the largest that we handle.
pub fn our_size(size: p::Size) -> Size {
    let side = |side: u16| u32::from(side.min(MAX_SIDE));
    Size::new(side(size.width()), side(size.height())).unwrap_or(SMALLEST)
}

/// A size of ours on the wire.
pub fn wire_size(size: Size) -> Option<p::Size> {
    p::Size::new(size.width(), size.height())
}

/// A place of the wire.
pub fn our_geometry(geometry: p::Geometry) -> Geometry {
    let position = Position {
        x: geometry.x,
        y: geometry.y,
    };
    Geometry {
        position,
        size: our_size(geometry.size),
    }
}

/// A place of ours on the wire.
pub fn wire_geometry(geometry: Geometry) -> Option<p::Geometry> {
    let Position { x, y } = geometry.position;
    Some(p::Geometry {
        x,
        y,
        size: wire_size(geometry.size)?,
    })
}

/// A window id of the wire, if it can be one of ours.
pub fn our_window(window: p::WindowId) -> Option<WindowId> {
    WindowId::from_wire(window.get())
}

/// A window id of ours on the wire.
pub fn wire_window(window: WindowId) -> Option<p::WindowId> {
    p::WindowId::new(window.wire())
}

/// Held modifiers: the bits are the same.
pub fn our_modifiers(modifiers: p::Modifiers) -> Modifiers {
    Modifiers(modifiers.mask())
}

/// A key, already with the window that it is for.
pub fn key(key: p::KeyAction, window: Option<WindowId>) -> Option<Key> {
    (key.keysym.len() <= MAX_NAME).then(|| Key {
        window,
        name: key.keysym,
        keysym: key.keyval,
        keycode: key.keycode,
        group: key.group,
        pressed: key.pressed,
        modifiers: our_modifiers(key.modifiers),
    })
}

/// The pointer, already with the window that it is over.
pub fn pointer(
    position: p::Position,
    modifiers: p::Modifiers,
    window: Option<WindowId>,
) -> Pointer {
    Pointer {
        window,
        position: Position {
            x: position.x,
            y: position.y,
        },
        relative: position.relative.map(|(x, y)| Position { x, y }),
        modifiers: our_modifiers(modifiers),
    }
}

/// The states that a packet mentions.
pub fn states(state: &p::WindowState) -> Vec<(WindowState, bool)> {
    let all = [
        (WindowState::Iconic, state.iconified),
        (WindowState::Focused, state.focused),
        (WindowState::Fullscreen, state.fullscreen),
        (WindowState::Maximized, state.maximized),
        (WindowState::Above, state.above),
        (WindowState::Below, state.below),
        (WindowState::Sticky, state.sticky),
        (WindowState::Shaded, state.shaded),
        (WindowState::SkipTaskbar, state.skip_taskbar),
        (WindowState::SkipPager, state.skip_pager),
    ];
    all.into_iter()
        .filter_map(|(state, set)| Some((state, set?)))
        .collect()
}

/// A signal by its name, with or without `SIG`.
pub fn signal(name: &str) -> Option<Signal> {
    match name.strip_prefix("SIG").unwrap_or(name) {
        "INT" => Some(Signal::Int),
        "TERM" => Some(Signal::Term),
        "QUIT" => Some(Signal::Quit),
        "CONT" => Some(Signal::Cont),
        "USR1" => Some(Signal::Usr1),
        "USR2" => Some(Signal::Usr2),
        _ => None,
    }
}

/// The keys of window metadata that a client takes.
#[derive(Debug)]
pub struct MetadataFilter(Option<BTreeSet<&'static str>>);

impl MetadataFilter {
    /// From what its hello lists; a client that lists nothing takes everything.
    pub fn new(supported: &[String]) -> Self {
        if supported.is_empty() {
            return Self(None);
        }
        let listed = |key: &str| supported.iter().any(|name| name == key);
        // The HTML5 client lists the old name and reads the new one (protocol "Metadata").
        let known = p::Metadata::KEYS.iter().copied();
        let takes =
            |key: &&str| listed(key) || (*key == "size-constraints" && listed("size-hints"));
        Self(Some(known.filter(takes).collect()))
    }

    fn takes(&self, metadata: &p::Metadata) -> bool {
        self.0
            .as_ref()
            .is_none_or(|keys| keys.contains(metadata.key()))
    }

    /// What of this the client takes, as it travels.
    pub fn apply(&self, all: Vec<Metadata>) -> Vec<p::Metadata> {
        all.into_iter()
            .map(wire_metadata)
            .filter(|metadata| self.takes(metadata))
            .collect()
    }

    /// The mark of a menu or the like, if the client takes it.
    pub fn override_redirect(&self) -> Option<p::Metadata> {
        Some(p::Metadata::OverrideRedirect(true)).filter(|metadata| self.takes(metadata))
    }
}

fn wire_metadata(metadata: Metadata) -> p::Metadata {
    use p::Metadata as W;
    match metadata {
        Metadata::Title(text) => W::Title(text),
        Metadata::IconTitle(text) => W::IconTitle(text),
        Metadata::ClassInstance(class, instance) => W::ClassInstance((instance, class)),
        Metadata::Role(text) => W::Role(text),
        Metadata::Command(text) => W::Command(text),
        Metadata::ClientMachine(text) => W::ClientMachine(text),
        Metadata::Pid(pid) => W::Pid(pid),
        Metadata::WindowType(types) => {
            W::WindowType(types.into_iter().map(wire_window_type).collect())
        }
        Metadata::SizeConstraints(constraints) => W::SizeConstraints(wire_constraints(constraints)),
        Metadata::TransientFor(window) => W::TransientFor(wire_window(window)),
        Metadata::GroupLeader(xid) => W::GroupLeader(p::WindowId::new(xid.into())),
        Metadata::HasAlpha(on) => W::HasAlpha(on),
        Metadata::Opacity(opacity) => W::Opacity(Some(opacity)),
        Metadata::Decorations(bits) => W::Decorations(bits),
        Metadata::State(state, on) => match state {
            WindowState::Iconic => W::Iconic(on),
            WindowState::Fullscreen => W::Fullscreen(on),
            WindowState::Maximized => W::Maximized(on),
            WindowState::Above => W::Above(on),
            WindowState::Below => W::Below(on),
            WindowState::Shaded => W::Shaded(on),
            WindowState::Sticky => W::Sticky(on),
            WindowState::SkipTaskbar => W::SkipTaskbar(on),
            WindowState::SkipPager => W::SkipPager(on),
            WindowState::Modal => W::Modal(on),
            WindowState::Focused => W::Focused(on),
        },
        Metadata::RequestedPosition(position) => W::RequestedPosition((position.x, position.y)),
        Metadata::SetInitialPosition(on) => W::SetInitialPosition(on),
        Metadata::Xid(xid) => W::Xid(xid),
    }
}

fn wire_constraints(constraints: SizeConstraints) -> p::SizeConstraints {
    let wide = |pair: Option<(u16, u16)>| pair.map(|(a, b)| (u32::from(a), u32::from(b)));
    p::SizeConstraints {
        minimum: wide(constraints.minimum),
        maximum: wide(constraints.maximum),
        base: wide(constraints.base),
        increment: wide(constraints.increment),
        minimum_aspect: constraints.minimum_aspect,
        maximum_aspect: constraints.maximum_aspect,
        gravity: constraints.gravity,
    }
}

fn wire_window_type(kind: WindowType) -> p::WindowType {
    match kind {
        WindowType::Normal => p::WindowType::Normal,
        WindowType::Dialog => p::WindowType::Dialog,
        WindowType::Menu => p::WindowType::Menu,
        WindowType::DropdownMenu => p::WindowType::DropdownMenu,
        WindowType::PopupMenu => p::WindowType::PopupMenu,
        WindowType::Tooltip => p::WindowType::Tooltip,
        WindowType::Notification => p::WindowType::Notification,
        WindowType::Combo => p::WindowType::Combo,
        WindowType::Dnd => p::WindowType::Dnd,
        WindowType::Dock => p::WindowType::Dock,
        WindowType::Desktop => p::WindowType::Desktop,
        WindowType::Toolbar => p::WindowType::Toolbar,
        WindowType::Utility => p::WindowType::Utility,
        WindowType::Splash => p::WindowType::Splash,
    }
}
