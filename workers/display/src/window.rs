//! One window of an application, as we know it.

use crate::atoms::Atoms;
use crate::constraints::constrain;
use crate::properties::{self, Icon, Property};
use ipc::display::{Geometry, Metadata, SizeConstraints, WindowState, WindowType};
use ipc::geometry::MAX_SIDE;
use ipc::{Position, Size, WindowId};
use std::collections::{BTreeMap, BTreeSet};
use x11rb::protocol::xproto::AtomEnum;

/// Properties that are read together. A window's type depends on what it is transient for, so
/// that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of ICCCM and EWMH")]
pub enum Group {
    Title,
    IconTitle,
    Class,
    Role,
    Command,
    Machine,
    Pid,
    Transient,
    Type,
    NormalHints,
    Hints,
    Opacity,
    Motif,
    Protocols,
    Icon,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Title,
        Self::IconTitle,
        Self::Class,
        Self::Role,
        Self::Command,
        Self::Machine,
        Self::Pid,
        Self::Transient,
        Self::Type,
        Self::NormalHints,
        Self::Hints,
        Self::Opacity,
        Self::Motif,
        Self::Protocols,
        Self::Icon,
    ];

    /// The property to read, and the one that counts when that is missing.
    #[must_use]
    pub fn atoms(self, atoms: &Atoms) -> (u32, Option<u32>) {
        match self {
            Self::Title => (atoms._NET_WM_NAME, Some(AtomEnum::WM_NAME.into())),
            Self::IconTitle => (atoms._NET_WM_ICON_NAME, Some(AtomEnum::WM_ICON_NAME.into())),
            Self::Class => (AtomEnum::WM_CLASS.into(), None),
            Self::Role => (atoms.WM_WINDOW_ROLE, None),
            Self::Command => (AtomEnum::WM_COMMAND.into(), None),
            Self::Machine => (AtomEnum::WM_CLIENT_MACHINE.into(), None),
            Self::Pid => (atoms._NET_WM_PID, None),
            Self::Type => (atoms._NET_WM_WINDOW_TYPE, None),
            Self::NormalHints => (AtomEnum::WM_NORMAL_HINTS.into(), None),
            Self::Transient => (AtomEnum::WM_TRANSIENT_FOR.into(), None),
            Self::Hints => (AtomEnum::WM_HINTS.into(), None),
            Self::Opacity => (atoms._NET_WM_WINDOW_OPACITY, None),
            Self::Motif => (atoms._MOTIF_WM_HINTS, None),
            Self::Protocols => (atoms.WM_PROTOCOLS, None),
            Self::Icon => (atoms._NET_WM_ICON, None),
        }
    }

    /// The group that a property belongs to.
    #[must_use]
    pub fn of(atom: u32, atoms: &Atoms) -> Option<Self> {
        Self::ALL.into_iter().find(|group| {
            let (first, second) = group.atoms(atoms);
            first == atom || second == Some(atom)
        })
    }

    /// Most 32-bit items that are read of it.
    #[must_use]
    pub const fn limit(self) -> u32 {
        match self {
            Self::Icon => 512 * 1024 / 4,
            _ => 1024,
        }
    }
}

/// What a piece of [`Metadata`] is about: one of each at most is known of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of Metadata")]
pub enum Key {
    Title,
    IconTitle,
    ClassInstance,
    Role,
    Command,
    ClientMachine,
    Pid,
    WindowType,
    SizeConstraints,
    TransientFor,
    GroupLeader,
    HasAlpha,
    Opacity,
    Decorations,
    State(WindowState),
    RequestedPosition,
    SetInitialPosition,
    Xid,
}

impl Key {
    fn of(metadata: &Metadata) -> Self {
        match metadata {
            Metadata::Title(_) => Self::Title,
            Metadata::IconTitle(_) => Self::IconTitle,
            Metadata::ClassInstance(..) => Self::ClassInstance,
            Metadata::Role(_) => Self::Role,
            Metadata::Command(_) => Self::Command,
            Metadata::ClientMachine(_) => Self::ClientMachine,
            Metadata::Pid(_) => Self::Pid,
            Metadata::WindowType(_) => Self::WindowType,
            Metadata::SizeConstraints(_) => Self::SizeConstraints,
            Metadata::TransientFor(_) => Self::TransientFor,
            Metadata::GroupLeader(_) => Self::GroupLeader,
            Metadata::HasAlpha(_) => Self::HasAlpha,
            Metadata::Opacity(_) => Self::Opacity,
            Metadata::Decorations(_) => Self::Decorations,
            Metadata::State(state, _) => Self::State(*state),
            Metadata::RequestedPosition(_) => Self::RequestedPosition,
            Metadata::SetInitialPosition(_) => Self::SetInitialPosition,
            Metadata::Xid(_) => Self::Xid,
        }
    }
}

/// Where a window is, in the X server's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Left edge of the border.
    pub x: i16,
    /// Top edge of the border.
    pub y: i16,
    /// Width inside the border.
    pub width: u16,
    /// Height inside the border.
    pub height: u16,
    /// Width of the border.
    pub border: u16,
}

impl Place {
    /// In our words: with the border, no side larger than we handle.
    #[must_use]
    pub fn geometry(self) -> Geometry {
        let side = |inner: u16| {
            let outer = u32::from(inner) + 2 * u32::from(self.border);
            outer.clamp(1, MAX_SIDE.into())
        };
        let size = Size::new(side(self.width), side(self.height));
        Geometry {
            position: Position {
                x: self.x.into(),
                y: self.y.into(),
            },
            // The sides have just been clamped to what a size takes.
            size: size.unwrap_or_else(one_pixel),
        }
    }

    /// Is this point of the root window inside?
    #[must_use]
    pub fn holds(self, x: i32, y: i32) -> bool {
        let Geometry { position, size } = self.geometry();
        let (right, bottom) = (
            position.x + i32::from(size.width()),
            position.y + i32::from(size.height()),
        );
        (position.x..right).contains(&x) && (position.y..bottom).contains(&y)
    }
}

fn one_pixel() -> Size {
    const ONE: Size = match Size::new(1, 1) {
        Some(size) => size,
        None => panic!("1 is in range"),
    };
    ONE
}

/// The pixmap that holds a window's pixels.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Its X11 id.
    pub pixmap: u32,
    /// Its extent, at most what we handle.
    pub size: Size,
}

/// One window.
#[derive(Debug)]
pub struct Window {
    /// Its id for clients.
    pub id: WindowId,
    /// Its X11 id.
    pub xid: u32,
    /// It places itself (menus, tooltips).
    pub override_redirect: bool,
    /// 32 with alpha, 24 without; others cannot be captured.
    pub depth: u8,
    /// Where it is.
    pub place: Place,
    /// It is on the X server's screen.
    pub mapped: bool,
    /// The X server watches what is drawn on it with this.
    pub damage: Option<u32>,
    /// Something was drawn since we last asked what.
    pub drawn: bool,
    /// Where its pixels are; found again after each change of size.
    pub named: Option<Named>,
    /// Goes up with each change of geometry that is not the client's.
    pub counter: u32,
    /// Unmap notifications that we have caused ourselves.
    pub expected_unmaps: u32,
    /// Properties to read again.
    pub stale: BTreeSet<Group>,
    /// What clients are told.
    pub facts: BTreeMap<Key, Metadata>,
    /// `_NET_WM_STATE` and `WM_STATE`.
    pub states: BTreeSet<WindowState>,
    /// It closes when asked with `WM_DELETE_WINDOW`.
    pub delete: bool,
    /// It wants `WM_TAKE_FOCUS`.
    pub take_focus: bool,
    /// It takes focus from the window manager.
    pub input: bool,
    /// Its icon.
    pub icon: Option<Icon>,
}

impl Window {
    /// A window of which nothing has been read yet.
    #[must_use]
    pub fn new(id: WindowId, override_redirect: bool, depth: u8, place: Place) -> Self {
        let facts = [Metadata::HasAlpha(depth == 32), Metadata::Xid(id.xid())];
        Self {
            id,
            xid: id.xid(),
            override_redirect,
            depth,
            place,
            mapped: false,
            damage: None,
            drawn: false,
            named: None,
            counter: 0,
            expected_unmaps: 0,
            stale: Group::ALL.into_iter().collect(),
            facts: facts
                .into_iter()
                .map(|fact| (Key::of(&fact), fact))
                .collect(),
            states: BTreeSet::new(),
            delete: false,
            take_focus: false,
            input: true,
            icon: None,
        }
    }

    /// Its title, or nothing.
    #[must_use]
    pub fn title(&self) -> &str {
        match self.facts.get(&Key::Title) {
            Some(Metadata::Title(title)) => title,
            _ => "",
        }
    }

    /// The application's size hints, while they count: not for a window that fills the screen.
    #[must_use]
    pub fn constraints(&self) -> SizeConstraints {
        let filling = [WindowState::Fullscreen, WindowState::Maximized];
        match self.facts.get(&Key::SizeConstraints) {
            Some(Metadata::SizeConstraints(hints))
                if !filling.iter().any(|state| self.states.contains(state)) =>
            {
                *hints
            }
            _ => SizeConstraints::default(),
        }
    }

    /// The size it gets when somebody but its application asks for this one. The present one is
    /// right whatever the hints say: who was told of it and answers must not change it again.
    #[must_use]
    pub fn fitted(&self, asked: (u16, u16)) -> (u16, u16) {
        if asked == (self.place.width, self.place.height) {
            asked
        } else {
            constrain(&self.constraints(), asked)
        }
    }

    /// What to tell a client about one key.
    #[must_use]
    pub fn fact(&self, key: Key) -> Option<Metadata> {
        match key {
            Key::State(state) => Some(Metadata::State(state, self.states.contains(&state))),
            key => self.facts.get(&key).cloned(),
        }
    }

    /// All that is known. A client that knew the window before is also told which states it
    /// does not have.
    #[must_use]
    pub fn all_facts(&self, known_before: bool) -> Vec<Metadata> {
        let mut facts: Vec<_> = self.facts.values().cloned().collect();
        facts.extend(ALL_STATES.into_iter().filter_map(|state| {
            let on = self.states.contains(&state);
            (on || known_before).then_some(Metadata::State(state, on))
        }));
        facts
    }

    /// Takes in what a group of properties says. Returns what has changed for clients, and
    /// whether the icon has.
    pub fn learn(
        &mut self,
        group: Group,
        (first, second): (&Property, &Property),
        atoms: &Atoms,
        find: &dyn Fn(u32) -> Option<WindowId>,
    ) -> (Vec<Key>, bool) {
        let either = if first.exists() { first } else { second };
        let one = |fact: Option<Metadata>| fact.into_iter().collect();
        let text = |make: fn(String) -> Metadata| one(first.text(atoms).map(make));
        let facts: Vec<Metadata> = match group {
            Group::Title => vec![Metadata::Title(either.text(atoms).unwrap_or_default())],
            Group::IconTitle => one(either.text(atoms).map(Metadata::IconTitle)),
            Group::Class => {
                let mut parts = first.texts(atoms, 2).into_iter();
                let instance = parts.next();
                one(instance.map(|i| Metadata::ClassInstance(parts.next().unwrap_or_default(), i)))
            }
            Group::Role => text(Metadata::Role),
            Group::Command => {
                let words = first.texts(atoms, 64).join(" ");
                one(first
                    .exists()
                    .then(|| Metadata::Command(properties::shorten(&words, 1024))))
            }
            Group::Machine => text(Metadata::ClientMachine),
            Group::Pid => one(first.number().map(Metadata::Pid)),
            Group::Type => {
                let mut types: Vec<_> = first
                    .longs()
                    .take(8)
                    .filter_map(|atom| atoms.window_type(atom))
                    .collect();
                if types.is_empty() && !self.override_redirect {
                    let dialog = self.facts.contains_key(&Key::TransientFor);
                    types.push(if dialog {
                        WindowType::Dialog
                    } else {
                        WindowType::Normal
                    });
                }
                one((!types.is_empty()).then_some(Metadata::WindowType(types)))
            }
            Group::NormalHints => {
                let hints = properties::normal_hints(first);
                let mut facts = vec![Metadata::SizeConstraints(hints.constraints)];
                let position = self.place.geometry().position;
                if hints.user_position || hints.program_position {
                    facts.push(Metadata::RequestedPosition(position));
                }
                if hints.user_position {
                    facts.push(Metadata::SetInitialPosition(true));
                }
                facts
            }
            Group::Transient => {
                let other = first.number().filter(|xid| *xid != self.xid).and_then(find);
                one(other.map(Metadata::TransientFor))
            }
            Group::Hints => {
                let hints = properties::hints(first);
                self.input = hints.input;
                one(hints.leader.map(Metadata::GroupLeader))
            }
            Group::Opacity => one(first.number().map(Metadata::Opacity)),
            Group::Motif => one(first
                .exists()
                .then(|| Metadata::Decorations(properties::decorations(first)))),
            Group::Protocols => {
                let all: Vec<_> = first.longs().take(32).collect();
                self.delete = all.contains(&atoms.WM_DELETE_WINDOW);
                self.take_focus = all.contains(&atoms.WM_TAKE_FOCUS);
                vec![]
            }
            Group::Icon => {
                let icon = properties::icon(first);
                let changed = icon != self.icon;
                self.icon = icon;
                return (vec![], changed);
            }
        };
        let mut changed = Vec::new();
        for fact in facts {
            let key = Key::of(&fact);
            if self.facts.get(&key) != Some(&fact) {
                self.facts.insert(key, fact);
                changed.push(key);
            }
        }
        (changed, false)
    }
}

/// Every state there is.
pub const ALL_STATES: [WindowState; 11] = [
    WindowState::Iconic,
    WindowState::Fullscreen,
    WindowState::Maximized,
    WindowState::Above,
    WindowState::Below,
    WindowState::Shaded,
    WindowState::Sticky,
    WindowState::SkipTaskbar,
    WindowState::SkipPager,
    WindowState::Modal,
    WindowState::Focused,
];

/// The windows of the session, and the ids they may still get.
#[derive(Debug, Default)]
pub struct Windows {
    by_id: BTreeMap<WindowId, Window>,
    by_xid: BTreeMap<u32, WindowId>,
    /// In the order in which they came.
    pub order: Vec<WindowId>,
    /// The generation of the next use of an X11 id that was used before.
    generations: BTreeMap<u32, u16>,
}

/// Most windows that we look after (the X server allows far more).
pub const MAX_WINDOWS: usize = 1024;
/// Most X11 ids whose use we remember. Far more than a client can hold.
const MAX_GENERATIONS: usize = 64 * 1024;

impl Windows {
    /// The window with this id.
    #[must_use]
    pub fn get(&self, id: WindowId) -> Option<&Window> {
        self.by_id.get(&id)
    }

    /// The window with this id.
    pub fn get_mut(&mut self, id: WindowId) -> Option<&mut Window> {
        self.by_id.get_mut(&id)
    }

    /// The id of an X11 window.
    #[must_use]
    pub fn id(&self, xid: u32) -> Option<WindowId> {
        self.by_xid.get(&xid).copied()
    }

    /// The window with this X11 id.
    pub fn by_xid_mut(&mut self, xid: u32) -> Option<&mut Window> {
        self.by_id.get_mut(self.by_xid.get(&xid)?)
    }

    /// All windows, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Window> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }

    /// All windows.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Window> {
        self.by_id.values_mut()
    }

    /// Adds a window under an id that no client can hold. `None` when there are too many, or it
    /// is known already.
    pub fn add(&mut self, xid: u32, make: impl FnOnce(WindowId) -> Window) -> Option<WindowId> {
        if self.by_id.len() >= MAX_WINDOWS || self.by_xid.contains_key(&xid) || xid == 0 {
            return None;
        }
        let id = WindowId::new(self.generations.get(&xid).copied().unwrap_or(0), xid);
        self.insert(make(id));
        Some(id)
    }

    fn insert(&mut self, window: Window) {
        let id = window.id;
        self.by_xid.insert(window.xid, id);
        self.by_id.insert(id, window);
        self.order.push(id);
        self.used(id);
    }

    fn used(&mut self, id: WindowId) {
        if self.generations.len() >= MAX_GENERATIONS {
            // Those of windows that exist are never at the risk of being used again.
            let alive = &self.by_xid;
            self.generations.retain(|xid, _| alive.contains_key(xid));
        }
        // Clients may hold different ones: the newest counts. They go round.
        let next = id.generation().wrapping_add(1);
        let newest = self.generations.entry(id.xid()).or_insert(next);
        if next.wrapping_sub(*newest) <= u16::MAX / 2 {
            *newest = next;
        }
    }

    /// Removes a window.
    pub fn remove(&mut self, id: WindowId) -> Option<Window> {
        let window = self.by_id.remove(&id)?;
        self.by_xid.remove(&window.xid);
        self.order.retain(|other| *other != id);
        Some(window)
    }

    /// Gives a window the id by which a client knows it from before we were started.
    /// `told` says that another client has already been told the present one.
    pub fn rename(&mut self, held: WindowId, told: bool) -> bool {
        let Some(present) = self.id(held.xid()) else {
            self.used(held);
            return false;
        };
        if present == held {
            return true;
        }
        if told {
            return false;
        }
        let Some(mut window) = self.by_id.remove(&present) else {
            return false;
        };
        window.id = held;
        self.by_xid.insert(window.xid, held);
        self.by_id.insert(held, window);
        for id in &mut self.order {
            if *id == present {
                *id = held;
            }
        }
        self.used(held);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        x: 1,
        y: 2,
        width: 3,
        height: 4,
        border: 0,
    };

    fn add(windows: &mut Windows, xid: u32) -> Option<WindowId> {
        windows.add(xid, |id| Window::new(id, false, 24, PLACE))
    }

    #[test]
    fn an_x11_id_that_is_used_again_gets_another_id() {
        let mut windows = Windows::default();
        let first = add(&mut windows, 7).unwrap();
        assert_eq!(first, WindowId::new(0, 7));
        assert!(add(&mut windows, 7).is_none());
        windows.remove(first);
        assert_eq!(add(&mut windows, 7), Some(WindowId::new(1, 7)));
        assert!(windows.get(first).is_none());
    }

    #[test]
    fn a_client_keeps_the_ids_it_holds() {
        let mut windows = Windows::default();
        add(&mut windows, 7).unwrap();
        let held = WindowId::new(5, 7);
        assert!(!windows.rename(WindowId::new(2, 9), false), "gone");
        assert!(!windows.rename(WindowId::new(1, 9), false), "gone earlier");
        assert!(!windows.rename(WindowId::new(u16::MAX, 8), false), "gone");
        assert!(windows.rename(held, false));
        assert_eq!(windows.get(held).map(|w| w.id), Some(held));
        assert!(
            !windows.rename(WindowId::new(6, 7), true),
            "others know it by another id"
        );
        assert_eq!(windows.id(7), Some(held));
        windows.remove(held);
        assert_eq!(add(&mut windows, 7), Some(WindowId::new(6, 7)));
        assert_eq!(
            add(&mut windows, 9),
            Some(WindowId::new(3, 9)),
            "newer than any that was held"
        );
        assert_eq!(add(&mut windows, 8), Some(WindowId::new(0, 8)), "all round");
    }

    #[test]
    fn there_are_not_too_many_windows_nor_too_many_memories() {
        let mut windows = Windows::default();
        for xid in 1..=MAX_WINDOWS {
            assert!(add(&mut windows, u32::try_from(xid).unwrap()).is_some());
        }
        assert!(add(&mut windows, 9999).is_none());
        for xid in 10_000..100_000 {
            windows.used(WindowId::new(0, xid));
        }
        assert!(windows.generations.len() <= MAX_GENERATIONS);
    }

    #[test]
    fn places_of_any_size_are_bounded() {
        let place = Place {
            x: -5,
            y: -6,
            width: u16::MAX,
            height: 0,
            border: u16::MAX,
        };
        let geometry = place.geometry();
        assert_eq!(
            (geometry.size.width(), geometry.size.height()),
            (MAX_SIDE, MAX_SIDE)
        );
        assert!(Place { border: 1, ..PLACE }.holds(5, 7) && !PLACE.holds(4, 2));
    }

    #[test]
    fn states_that_are_off_are_told_only_to_who_may_think_otherwise() {
        let mut window = Window::new(WindowId::new(0, 7), false, 32, PLACE);
        window.states.insert(WindowState::Above);
        let states = |known| {
            let facts = window.all_facts(known);
            facts
                .into_iter()
                .filter(|f| matches!(f, Metadata::State(..)))
                .count()
        };
        assert_eq!((states(false), states(true)), (1, 11));
    }
}
