use crate::caps::{Caps, CapsError};
use crate::limits::{
    MAX_KEYCODES, MAX_KEYSYM_LEVELS, MAX_NAME, MAX_NAMES, MAX_TEXT, MAX_X11_KEYCODES,
};
use crate::packet::{Map, Modifiers};
use crate::rencodeplus::Value;

/// A client's keyboard: `keymap` in its hello, `keymap-changed` and
/// `keyboard-config` (protocol "Keyboard"). Empty where the client says
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keymap {
    /// XKB layout.
    pub layout: String,
    /// XKB layouts, one for each group.
    pub layouts: Vec<String>,
    /// XKB variant.
    pub variant: String,
    /// XKB variants, one for each layout.
    pub variants: Vec<String>,
    /// XKB options, with commas.
    pub options: String,
    /// XKB model.
    pub model: String,
    /// What the client's X server says of itself.
    pub query: Option<XkbQuery>,
    /// The client's key codes are to be used as they are.
    pub raw: bool,
    /// Key codes carry a group.
    pub layout_groups: bool,
    /// Presses and releases are real ones; if not, presses repeat.
    pub sync: bool,
    /// Keysym names that are modifiers.
    pub mod_meanings: Vec<(String, Modifiers)>,
    /// Modifiers that are left out of pointer packets.
    pub mod_pointermissing: Modifiers,
    /// What each key gives.
    pub keycodes: Vec<Keycode>,
    /// X11 key codes with their keysym names by level.
    pub x11_keycodes: Vec<(u8, Vec<String>)>,
}

/// `query_struct`: XKB rules names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names of XKB
pub struct XkbQuery {
    pub rules: String,
    pub model: String,
    pub layout: String,
    pub variant: String,
    pub options: String,
}

/// One keysym of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keycode {
    /// X11 keysym number.
    pub keyval: u32,
    /// X11 keysym name.
    pub keysym: String,
    /// The client's key code.
    pub keycode: u32,
    /// Keyboard group.
    pub group: u8,
    /// Shift level.
    pub level: u8,
}

impl Keymap {
    /// Reads a keymap. What has a wrong type is left out.
    pub fn parse(caps: &Caps<'_>) -> Result<Keymap, CapsError> {
        let text = |key| Ok(caps.text(key, MAX_NAME)?.unwrap_or_default());
        Ok(Keymap {
            layout: text("layout")?,
            layouts: caps.texts("layouts", MAX_NAMES, MAX_NAME)?,
            variant: text("variant")?,
            variants: caps.texts("variants", MAX_NAMES, MAX_NAME)?,
            options: options(caps)?,
            model: text("model")?,
            query: match caps.get("query_struct").and_then(Caps::of) {
                Some(query) => Some(XkbQuery::parse(&query)?),
                None => None,
            },
            raw: caps.bool("raw", false),
            layout_groups: caps.bool("layout_groups", false),
            sync: caps.bool("sync", true),
            mod_meanings: mod_meanings(&caps.map("mod_meanings"))?,
            mod_pointermissing: Modifiers::from_values(caps.list("mod_pointermissing", MAX_NAMES)?),
            keycodes: caps
                .list("keycodes", MAX_KEYCODES)?
                .iter()
                .filter_map(Keycode::read)
                .collect(),
            x11_keycodes: x11_keycodes(&caps.map("x11_keycodes"))?,
        })
    }

    /// The map on the wire.
    pub fn into_map(self) -> Map {
        let mut map: Vec<(&str, Value)> = vec![
            ("layout", self.layout.into()),
            ("layouts", Value::list(self.layouts)),
            ("variant", self.variant.into()),
            ("variants", Value::list(self.variants)),
            ("options", self.options.into()),
            ("model", self.model.into()),
            ("raw", self.raw.into()),
            ("layout_groups", self.layout_groups.into()),
            ("sync", self.sync.into()),
            ("mod_pointermissing", self.mod_pointermissing.into()),
        ];
        if let Some(query) = self.query {
            map.push((
                "query_struct",
                Value::dict([
                    ("rules", query.rules.into()),
                    ("model", query.model.into()),
                    ("layout", query.layout.into()),
                    ("variant", query.variant.into()),
                    ("options", query.options.into()),
                ]),
            ));
        }
        let meanings = self
            .mod_meanings
            .into_iter()
            .filter_map(|(name, modifier)| {
                let modifier = modifier.names().first().copied()?;
                Some((name, modifier.into()))
            });
        map.push(("mod_meanings", Value::dict(meanings)));
        let keycodes = self.keycodes.into_iter().map(|key| {
            Value::List(vec![
                key.keyval.into(),
                key.keysym.into(),
                key.keycode.into(),
                key.group.into(),
                key.level.into(),
            ])
        });
        map.push(("keycodes", Value::list(keycodes)));
        let x11 = self
            .x11_keycodes
            .into_iter()
            .map(|(code, names)| (code.into(), Value::list(names)));
        map.push(("x11_keycodes", Value::Dict(x11.collect())));
        map.into_iter().map(|(k, v)| (k.into(), v)).collect()
    }
}

impl XkbQuery {
    fn parse(caps: &Caps<'_>) -> Result<XkbQuery, CapsError> {
        let text = |key| Ok(caps.text(key, MAX_NAME)?.unwrap_or_default());
        Ok(XkbQuery {
            rules: text("rules")?,
            model: text("model")?,
            layout: text("layout")?,
            variant: text("variant")?,
            options: options(caps)?,
        })
    }
}

impl Keycode {
    fn read(value: &Value) -> Option<Keycode> {
        match value.as_list()? {
            [keyval, keysym, keycode, group, level, ..] => Some(Keycode {
                keyval: keyval.to_int()?.try_into().ok()?,
                keysym: keysym.to_text().filter(|name| name.len() <= MAX_NAME)?,
                keycode: keycode.to_int()?.try_into().ok()?,
                group: group.to_int()?.try_into().ok()?,
                level: level.to_int()?.try_into().ok()?,
            }),
            _ => None,
        }
    }
}

/// Options with commas; some clients send a list.
fn options(caps: &Caps<'_>) -> Result<String, CapsError> {
    match caps.get("options") {
        Some(Value::List(_)) => Ok(caps.texts("options", MAX_NAMES, MAX_NAME)?.join(",")),
        _ => Ok(caps.text("options", MAX_TEXT)?.unwrap_or_default()),
    }
}

fn bounded<'a>(caps: &Caps<'a>, key: &str, max: usize) -> Result<&'a [(Value, Value)], CapsError> {
    if caps.pairs().len() > max {
        return Err(CapsError {
            key: key.to_owned(),
            max,
        });
    }
    Ok(caps.pairs())
}

fn mod_meanings(caps: &Caps<'_>) -> Result<Vec<(String, Modifiers)>, CapsError> {
    Ok(bounded(caps, "mod_meanings", MAX_NAMES)?
        .iter()
        .filter_map(|(name, modifier)| {
            let name = name.to_text().filter(|name| name.len() <= MAX_NAME)?;
            let modifier = Modifiers::from_values(std::slice::from_ref(modifier));
            (modifier != Modifiers::NONE).then_some((name, modifier))
        })
        .collect())
}

/// Keys are integers or their text.
fn x11_keycodes(caps: &Caps<'_>) -> Result<Vec<(u8, Vec<String>)>, CapsError> {
    Ok(bounded(caps, "x11_keycodes", MAX_X11_KEYCODES)?
        .iter()
        .filter_map(|(code, names)| {
            let code = code.to_int()?.try_into().ok()?;
            let names = names.as_list()?;
            let names = names
                .iter()
                .take(MAX_KEYSYM_LEVELS)
                .map(|name| name.to_text().filter(|name| name.len() <= MAX_NAME))
                .map(Option::unwrap_or_default)
                .collect();
            Some((code, names))
        })
        .collect())
}
