use crate::caps::{Caps, CapsError};
use crate::limits::{MAX_MONITORS, MAX_NAME};
use crate::packet::{Geometry, Map, Size};
use crate::rencodeplus::Value;

/// A client's screens: in its hello and in `configure-display` (protocol
/// "Screens").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisplayCaps {
    /// Pixels: what the server's screen should be.
    pub desktop_size: Option<Size>,
    /// X screens.
    pub screens: Vec<Screen>,
    /// Monitors, in the client's order.
    pub monitors: Vec<Monitor>,
    /// Dots per inch: horizontal and vertical.
    pub dpi: Option<(u16, u16)>,
    /// Hertz.
    pub refresh_rate: Option<u16>,
}

/// One X screen of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// Such as `:0.0`.
    pub name: String,
    /// Pixels.
    pub size: Size,
    /// Millimetres; 0: unknown.
    pub width_mm: u32,
    /// Millimetres; 0: unknown.
    pub height_mm: u32,
}

/// One monitor of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// The client's number for it.
    pub index: u16,
    /// The primary one.
    pub primary: bool,
    /// Its part of the client's screen.
    pub geometry: Geometry,
    /// What panels leave free of it.
    pub workarea: Option<Geometry>,
    /// Thousandths of a Hertz; 0: unknown.
    pub refresh_rate: u32,
    /// Millimetres; 0: unknown.
    pub width_mm: u32,
    /// Millimetres; 0: unknown.
    pub height_mm: u32,
    /// The client's scale factor, at least 1.
    pub scale_factor: u16,
    /// Its name.
    pub name: String,
    /// Its model.
    pub model: String,
    /// Its manufacturer.
    pub manufacturer: String,
}

impl DisplayCaps {
    /// From a hello: each key nested under `display`, else flat. The HTML5
    /// client sends some in one place and some in the other.
    pub fn parse_hello(caps: &Caps<'_>) -> Result<DisplayCaps, CapsError> {
        let flat = DisplayCaps::parse(caps, "desktop_size")?;
        let Some(inner) = caps.get("display").and_then(Caps::of) else {
            return Ok(flat);
        };
        let nested = DisplayCaps::parse(&inner, "desktop_size")?;
        Ok(DisplayCaps {
            desktop_size: nested.desktop_size.or(flat.desktop_size),
            screens: either(nested.screens, flat.screens),
            monitors: either(nested.monitors, flat.monitors),
            dpi: nested.dpi.or(flat.dpi),
            refresh_rate: nested.refresh_rate.or(flat.refresh_rate),
        })
    }

    /// From the map of `configure-display`.
    pub fn parse_configure(caps: &Caps<'_>) -> Result<DisplayCaps, CapsError> {
        DisplayCaps::parse(caps, "desktop-size")
    }

    fn parse(caps: &Caps<'_>, size_key: &str) -> Result<DisplayCaps, CapsError> {
        Ok(DisplayCaps {
            desktop_size: size(caps, size_key),
            screens: caps
                .list("screen_sizes", MAX_MONITORS)?
                .iter()
                .filter_map(Screen::read)
                .collect(),
            monitors: monitors(&caps.map("monitors"))?,
            dpi: dpi(caps),
            refresh_rate: ["vrefresh", "refresh-rate"]
                .into_iter()
                .find_map(|key| caps.int(key).filter(|rate| *rate > 0)),
        })
    }

    /// The map of `configure-display`.
    pub fn into_configure_map(self) -> Map {
        self.into_map("desktop-size")
    }

    /// The flat keys of a hello.
    pub fn into_hello_map(self) -> Map {
        self.into_map("desktop_size")
    }

    fn into_map(self, size_key: &str) -> Map {
        let mut map: Map = Vec::new();
        if let Some(size) = self.desktop_size {
            map.push((size_key.into(), size.into()));
        }
        let screens = self.screens.into_iter().map(|screen| {
            Value::List(vec![
                screen.name.into(),
                screen.size.width().into(),
                screen.size.height().into(),
                screen.width_mm.into(),
                screen.height_mm.into(),
            ])
        });
        map.push(("screen_sizes".into(), Value::list(screens)));
        let monitors = self
            .monitors
            .into_iter()
            .map(|monitor| (monitor.index.into(), Value::Dict(monitor.into_map())));
        map.push(("monitors".into(), Value::Dict(monitors.collect())));
        if let Some((x, y)) = self.dpi {
            map.push((
                "dpi".into(),
                Value::dict([("x", x.into()), ("y", y.into()), ("", x.into())]),
            ));
        }
        if let Some(rate) = self.refresh_rate {
            map.push(("vrefresh".into(), rate.into()));
        }
        map
    }
}

fn either<T>(first: Vec<T>, other: Vec<T>) -> Vec<T> {
    if first.is_empty() { other } else { first }
}

fn size(caps: &Caps<'_>, key: &str) -> Option<Size> {
    let (width, height) = caps.pair(key)?;
    Size::new(width, height)
}

/// `{x, y}`, or one number for both.
fn dpi(caps: &Caps<'_>) -> Option<(u16, u16)> {
    let map = caps.map("dpi");
    match (map.int::<u16>("x"), map.int::<u16>("y")) {
        (Some(x), Some(y)) if x > 0 && y > 0 => Some((x, y)),
        _ => caps.int("dpi").filter(|dpi| *dpi > 0).map(|dpi| (dpi, dpi)),
    }
}

fn monitors(caps: &Caps<'_>) -> Result<Vec<Monitor>, CapsError> {
    if caps.pairs().len() > MAX_MONITORS {
        return Err(CapsError {
            key: "monitors".to_owned(),
            max: MAX_MONITORS,
        });
    }
    caps.pairs()
        .iter()
        .filter_map(|(index, value)| Monitor::read(index, value).transpose())
        .collect()
}

impl Screen {
    fn read(value: &Value) -> Option<Screen> {
        match value.as_list()? {
            [name, width, height, rest @ ..] => {
                let millimetres = |at: usize| {
                    rest.get(at)
                        .and_then(Value::to_int)
                        .and_then(|mm| u32::try_from(mm).ok())
                        .unwrap_or(0)
                };
                Some(Screen {
                    name: name.to_text().filter(|name| name.len() <= MAX_NAME)?,
                    size: Size::from_wire(width.to_int()?, height.to_int()?)?,
                    width_mm: millimetres(0),
                    height_mm: millimetres(1),
                })
            }
            _ => None,
        }
    }
}

impl Monitor {
    /// None if it has no number or no usable geometry.
    fn read(index: &Value, value: &Value) -> Result<Option<Monitor>, CapsError> {
        let Some(index) = index.to_int().and_then(|index| index.try_into().ok()) else {
            return Ok(None);
        };
        let Some(caps) = Caps::of(value) else {
            return Ok(None);
        };
        let Some(geometry) = caps.get("geometry").and_then(Geometry::from_value) else {
            return Ok(None);
        };
        let text = |key| Ok(caps.text(key, MAX_NAME)?.unwrap_or_default());
        Ok(Some(Monitor {
            index,
            primary: caps.bool("primary", false),
            geometry,
            workarea: caps.get("workarea").and_then(Geometry::from_value),
            refresh_rate: caps.int("refresh-rate").unwrap_or(0),
            width_mm: caps.int("width-mm").unwrap_or(0),
            height_mm: caps.int("height-mm").unwrap_or(0),
            scale_factor: caps.int("scale-factor").unwrap_or(1).max(1),
            name: text("name")?,
            model: text("model")?,
            manufacturer: text("manufacturer")?,
        }))
    }

    fn into_map(self) -> Map {
        let mut map: Vec<(&str, Value)> = vec![
            ("primary", self.primary.into()),
            ("geometry", self.geometry.into()),
            ("refresh-rate", self.refresh_rate.into()),
            ("width-mm", self.width_mm.into()),
            ("height-mm", self.height_mm.into()),
            ("scale-factor", self.scale_factor.into()),
            ("name", self.name.into()),
            ("model", self.model.into()),
            ("manufacturer", self.manufacturer.into()),
        ];
        if let Some(workarea) = self.workarea {
            map.push(("workarea", workarea.into()));
        }
        map.into_iter().map(|(k, v)| (k.into(), v)).collect()
    }
}
