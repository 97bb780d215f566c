use super::args::{ArgError, Args, PacketError};
use super::geometry::{Size, WindowId};
use super::{Map, Packet};
use crate::caps::Caps;
use crate::limits::{MAX_NAME, MAX_RECTANGLES};
use crate::rencodeplus::Value;

macro_rules! names {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$doc])* $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)*
                }
            }

            /// From the name on the wire.
            pub fn parse(name: &str) -> Option<$type> {
                match name {
                    $($name => Some($type::$variant),)*
                    _ => None,
                }
            }
        }

        impl From<$type> for Value {
            fn from(value: $type) -> Value {
                value.name().into()
            }
        }
    };
}
pub(super) use names;

names! {
    /// How the data of a `draw` is coded (protocol "Codings"). What a client
    /// takes is in its hello.
    Coding {
        /// Raw pixels; see `rgb_format` for their size.
        Rgb24 = "rgb24",
        /// Raw pixels; see `rgb_format` for their size.
        Rgb32 = "rgb32",
        /// A PNG file.
        Png = "png",
        /// A PNG file with a palette.
        PngPalette = "png/P",
        /// A PNG file in shades of grey.
        PngGrey = "png/L",
        /// A JPEG file.
        Jpeg = "jpeg",
        /// A JPEG file and a grey one for alpha, at `alpha-offset`.
        JpegAlpha = "jpega",
        /// A WebP file.
        Webp = "webp",
        /// An AVIF still.
        Avif = "avif",
        /// No data: parts of the window move.
        Scroll = "scroll",
        /// No data, nothing to paint.
        Void = "void",
        /// One frame of H.264.
        H264 = "h264",
        /// One frame of H.265.
        H265 = "h265",
        /// One frame of VP8.
        Vp8 = "vp8",
        /// One frame of VP9.
        Vp9 = "vp9",
        /// One frame of AV1.
        Av1 = "av1",
        /// One frame of MPEG-4.
        Mpeg4 = "mpeg4",
    }
}

names! {
    /// The order of colours in raw pixels (protocol "Codings").
    RgbFormat {
        /// 4 bytes, the last unused.
        Bgrx = "BGRX",
        /// 4 bytes.
        Bgra = "BGRA",
        /// 4 bytes, the last unused.
        Rgbx = "RGBX",
        /// 4 bytes.
        Rgba = "RGBA",
        /// 3 bytes.
        Rgb = "RGB",
        /// 3 bytes.
        Bgr = "BGR",
        /// 4 bytes, the first unused.
        Xrgb = "XRGB",
        /// 4 bytes.
        Argb = "ARGB",
        /// 10 bits a colour in 4 bytes.
        R210 = "r210",
        /// 2 bytes.
        Bgr565 = "BGR565",
    }
}

impl RgbFormat {
    /// Bytes of one pixel.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            RgbFormat::Bgr565 => 2,
            RgbFormat::Rgb | RgbFormat::Bgr => 3,
            _ => 4,
        }
    }
}

/// New pixels for a part of a window: `draw` (modern `window-draw`).
#[derive(Clone, PartialEq)]
pub struct Draw {
    /// Which window.
    pub window: WindowId,
    /// Pixels from its left edge.
    pub x: i32,
    /// Pixels from its top edge.
    pub y: i32,
    /// Of the part.
    pub size: Size,
    /// How the data is coded.
    pub coding: Coding,
    /// The data. Leave it empty if it was sent as a chunk before
    /// ([`ChunkIndex::DRAW`](crate::record::ChunkIndex::DRAW)).
    pub data: Vec<u8>,
    /// Comes back in the acknowledgement.
    pub sequence: u64,
    /// Bytes of one row of raw pixels; 0 for other codings.
    pub rowstride: u32,
    /// Everything else.
    pub options: DrawOptions,
}

impl std::fmt::Debug for Draw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draw")
            .field("window", &self.window)
            .field("x", &self.x)
            .field("y", &self.y)
            .field("size", &self.size)
            .field("coding", &self.coding)
            .field("data", &self.data.len())
            .field("sequence", &self.sequence)
            .field("rowstride", &self.rowstride)
            .field("options", &self.options)
            .finish()
    }
}

/// Options of a [`Draw`] (protocol "draw"). What is absent is not sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DrawOptions {
    /// Of the window that this belongs to. Always sent by servers.
    pub window_size: Option<Size>,
    /// Draws still to come before the client presents.
    pub flush: Option<u32>,
    /// The order of colours in raw pixels, or what was encoded.
    pub rgb_format: Option<RgbFormat>,
    /// Raw pixels in LZ4 framing: the level, above 0.
    pub lz4: Option<u8>,
    /// 0 to 100; informational.
    pub quality: Option<u8>,
    /// 0 to 100; informational.
    pub speed: Option<u8>,
    /// Decode, but do not present, if false.
    pub paint: Option<bool>,
    /// Number of a video frame in its stream; 0 restarts the decoder.
    pub frame: Option<u64>,
    /// Kind of a video frame: `IDR`, `I`, `P`.
    pub frame_type: Option<String>,
    /// Colour subsampling of a video frame, such as `YUV420P`.
    pub csc: Option<String>,
    /// Milliseconds: time of a video frame.
    pub pts: Option<i64>,
    /// What was encoded, if the client has to scale up.
    pub scaled_size: Option<Size>,
    /// Full colour range, not studio range.
    pub full_range: Option<bool>,
    /// Bytes: where the alpha file of `jpega` starts.
    pub alpha_offset: Option<u32>,
    /// The picture has transparency.
    pub has_alpha: Option<bool>,
    /// Colour subsampling of a still.
    pub subsampling: Option<String>,
    /// For [`Coding::Scroll`]: x, y, width, height, and how far it moves in x
    /// and y, all of the picture before this draw.
    pub scroll: Option<Vec<[i32; 6]>>,
}

impl Draw {
    pub(super) fn read(mut args: Args) -> Result<Draw, PacketError> {
        let (window, x, y, size) = (args.window()?, args.int()?, args.int()?, args.size()?);
        let name = args.text(MAX_NAME)?;
        let coding =
            Coding::parse(&name).ok_or_else(|| args.error(ArgError::Unknown("encoding")))?;
        // A scroll may have its list here, in place of bytes.
        let data = match args.peek() {
            Some(Value::List(_)) => {
                args.skip();
                Vec::new()
            }
            _ => args.bytes()?,
        };
        let (sequence, rowstride) = (args.int()?, args.int()?);
        let map = args.optional(Args::dict)?.unwrap_or_default();
        let options = DrawOptions::read(&args, &Caps::new(&map))?;
        Ok(Draw {
            window,
            x,
            y,
            size,
            coding,
            data,
            sequence,
            rowstride,
            options,
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "draw",
            vec![
                self.window.into(),
                self.x.into(),
                self.y.into(),
                self.size.width().into(),
                self.size.height().into(),
                self.coding.into(),
                Value::Bytes(self.data),
                self.sequence.into(),
                self.rowstride.into(),
                Value::Dict(self.options.into_map()),
            ],
        )
    }
}

impl DrawOptions {
    fn read(args: &Args, caps: &Caps<'_>) -> Result<DrawOptions, PacketError> {
        let size = |key| {
            caps.pair::<i64>(key)
                .and_then(|(width, height)| Size::from_wire(width, height))
        };
        let flag = |key| caps.get(key).map(Value::truthy);
        let text = |key| args.caps(caps.text(key, MAX_NAME));
        let scroll = if caps.has("scroll") {
            Some(
                args.caps(caps.list("scroll", MAX_RECTANGLES))?
                    .iter()
                    .map(|item| scroll_area(item).ok_or_else(|| args.wrong("a scroll", item)))
                    .collect::<Result<Vec<_>, _>>()?,
            )
        } else {
            None
        };
        Ok(DrawOptions {
            window_size: size("window-size"),
            flush: caps.int("flush"),
            rgb_format: text("rgb_format")?.and_then(|name| RgbFormat::parse(&name)),
            lz4: caps.int("lz4").filter(|level| *level > 0),
            quality: caps.int("quality"),
            speed: caps.int("speed"),
            paint: flag("paint"),
            frame: caps.int("frame"),
            frame_type: text("type")?,
            csc: text("csc")?,
            pts: caps.int("pts"),
            scaled_size: size("scaled_size"),
            full_range: flag("full-range"),
            alpha_offset: caps.int("alpha-offset"),
            has_alpha: flag("has_alpha"),
            subsampling: text("subsampling")?,
            scroll,
        })
    }

    fn into_map(self) -> Map {
        let pairs: [(&str, Option<Value>); 17] = [
            ("rgb_format", self.rgb_format.map(Value::from)),
            ("lz4", self.lz4.map(Value::from)),
            ("quality", self.quality.map(Value::from)),
            ("speed", self.speed.map(Value::from)),
            ("paint", self.paint.map(Value::from)),
            ("frame", self.frame.map(Value::from)),
            ("type", self.frame_type.map(Value::from)),
            ("csc", self.csc.map(Value::from)),
            ("pts", self.pts.map(Value::from)),
            ("scaled_size", self.scaled_size.map(Value::from)),
            ("full-range", self.full_range.map(Value::from)),
            ("alpha-offset", self.alpha_offset.map(Value::from)),
            ("has_alpha", self.has_alpha.map(Value::from)),
            ("subsampling", self.subsampling.map(Value::from)),
            (
                "scroll",
                self.scroll
                    .map(|areas| Value::list(areas.into_iter().map(Value::list))),
            ),
            ("flush", self.flush.map(Value::from)),
            ("window-size", self.window_size.map(Value::from)),
        ];
        pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key.into(), value?)))
            .collect()
    }
}

fn scroll_area(value: &Value) -> Option<[i32; 6]> {
    let mut numbers = [0; 6];
    let items = value.as_list()?;
    if items.len() != numbers.len() {
        return None;
    }
    for (number, item) in numbers.iter_mut().zip(items) {
        *number = item.to_int()?.try_into().ok()?;
    }
    Some(numbers)
}

/// An application's icon: `window-icon`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowIcon {
    /// Which window.
    pub window: WindowId,
    /// Pixels; 0 for the default icon.
    pub width: u16,
    /// Pixels; 0 for the default icon.
    pub height: u16,
    /// `png`, `BGRA`, `RGBA` (premultiplied, no padding), or `default` with
    /// no data. HTML5 takes `png` only.
    pub encoding: String,
    /// The picture.
    pub data: Vec<u8>,
}

impl WindowIcon {
    pub(super) fn read(mut args: Args) -> Result<WindowIcon, PacketError> {
        Ok(WindowIcon {
            window: args.window()?,
            width: args.int()?,
            height: args.int()?,
            encoding: args.text(MAX_NAME)?,
            data: args.bytes()?,
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "window-icon",
            vec![
                self.window.into(),
                self.width.into(),
                self.height.into(),
                self.encoding.into(),
                Value::Bytes(self.data),
            ],
        )
    }
}

/// The shape of the pointer: `cursor` (protocol "Cursors").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// `png`, or `raw`: BGRA premultiplied, rows of width × 4 bytes.
    pub encoding: String,
    /// Where the pointer is; clients ignore it. Legacy only.
    pub x: i32,
    /// Where the pointer is; clients ignore it. Legacy only.
    pub y: i32,
    /// Pixels.
    pub size: Size,
    /// The hot spot: pixels from the left edge.
    pub x_hot: u16,
    /// The hot spot: pixels from the top edge.
    pub y_hot: u16,
    /// Serial number of the X cursor.
    pub serial: u64,
    /// The picture. At position 9 of the legacy packet
    /// ([`ChunkIndex::CURSOR`](crate::record::ChunkIndex::CURSOR)).
    pub pixels: Vec<u8>,
    /// The X cursor's name, if it has one.
    pub name: String,
    /// Pixels: the server's default cursor size. Legacy only.
    pub default_size: (u16, u16),
}

impl Cursor {
    /// `cursor`: none for the default cursor.
    pub(super) fn read(mut args: Args) -> Result<Option<Cursor>, PacketError> {
        let encoding = args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default();
        if encoding.is_empty() || args.is_empty() {
            return Ok(None);
        }
        let encoding = encoding
            .strip_prefix("default:")
            .map(str::to_owned)
            .unwrap_or(encoding);
        Ok(Some(Cursor {
            encoding,
            x: args.int()?,
            y: args.int()?,
            size: args.size()?,
            x_hot: args.int()?,
            y_hot: args.int()?,
            serial: args.int()?,
            pixels: args.bytes()?,
            name: args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default(),
            default_size: args.optional(pair)?.unwrap_or((0, 0)),
        }))
    }

    /// `cursor-data`, the modern form.
    pub(super) fn read_data(mut args: Args) -> Result<Cursor, PacketError> {
        Ok(Cursor {
            encoding: args.text(MAX_NAME)?,
            x: 0,
            y: 0,
            size: args.size()?,
            x_hot: args.int()?,
            y_hot: args.int()?,
            serial: args.int()?,
            pixels: args.bytes()?,
            name: args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default(),
            default_size: (0, 0),
        })
    }

    /// The legacy packet; of no cursor, the default one.
    pub(super) fn packet(cursor: Option<Cursor>) -> Packet {
        let Some(cursor) = cursor else {
            return Packet::new("cursor", vec!["".into()]);
        };
        let (width, height) = cursor.default_size;
        Packet::new(
            "cursor",
            vec![
                cursor.encoding.into(),
                cursor.x.into(),
                cursor.y.into(),
                cursor.size.width().into(),
                cursor.size.height().into(),
                cursor.x_hot.into(),
                cursor.y_hot.into(),
                cursor.serial.into(),
                Value::Bytes(cursor.pixels),
                cursor.name.into(),
                Value::list([width, height]),
            ],
        )
    }
}

fn pair(args: &mut Args) -> Result<(u16, u16), PacketError> {
    match args.list(2)?.as_slice() {
        [a, b] => Ok((args.fit(args.number(a)?)?, args.fit(args.number(b)?)?)),
        _ => Err(args.error(ArgError::Missing)),
    }
}

/// The answer to a screenshot request: `screenshot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screenshot {
    /// Pixels; 0 if there is no window.
    pub width: u16,
    /// Pixels; 0 if there is no window.
    pub height: u16,
    /// `png`.
    pub encoding: String,
    /// Bytes of one row before encoding; informational.
    pub rowstride: u32,
    /// The file. At position 5
    /// ([`ChunkIndex::SCREENSHOT`](crate::record::ChunkIndex::SCREENSHOT)).
    pub data: Vec<u8>,
}

impl Screenshot {
    pub(super) fn read(mut args: Args) -> Result<Screenshot, PacketError> {
        Ok(Screenshot {
            width: args.int()?,
            height: args.int()?,
            encoding: args.text(MAX_NAME)?,
            rowstride: args.int()?,
            data: args.bytes()?,
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "screenshot",
            vec![
                self.width.into(),
                self.height.into(),
                self.encoding.into(),
                self.rowstride.into(),
                Value::Bytes(self.data),
            ],
        )
    }
}
