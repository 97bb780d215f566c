//! The edge `encoder`–`network`: encoded pictures on their way to one client.
//!
//! Encoded bytes lie in output buffers (see [`crate::shared`]), each passed once; a picture's
//! bytes belong to `network` until it has written them and said so.

use crate::capture::PixelFormat;
use crate::channel::Message;
use crate::geometry::{Rect, Size};
use crate::ids::WindowId;
use serde::{Deserialize, Serialize};

/// Most output buffers on one channel at a time.
pub const MAX_BUFFERS: u16 = 8;

/// Index of a buffer on this channel, below [`MAX_BUFFERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutputBuffer(pub u16);

/// A part of an output buffer. One picture per buffer at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoded {
    /// Which buffer.
    pub buffer: OutputBuffer,
    /// Bytes from its start.
    pub bytes: u32,
}

/// Picture codings we can make (protocol: codings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the wire")]
pub enum Coding {
    Rgb24,
    Rgb32,
    Png,
    Jpeg,
    Webp,
}

/// Byte order of raw pixels on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names spell the byte order")]
pub enum RgbFormat {
    Bgrx,
    Bgra,
    Rgbx,
    Rgba,
    Rgb,
    Bgr,
}

/// What a client can show, from its hello. Never widened later (security goal A3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureCaps {
    /// Codings it announced, of those we know.
    pub codings: Vec<Coding>,
    /// Raw pixel orders it announced, of those we know.
    pub rgb_formats: Vec<RgbFormat>,
    /// It can decompress LZ4 pixels.
    pub rgb_lz4: bool,
    /// It can draw alpha.
    pub transparency: bool,
    /// PNG window icons are welcome.
    pub icon_png: bool,
    /// Raw premultiplied BGRA window icons are welcome.
    pub icon_bgra: bool,
    /// Largest icon it wants, sides in pixels.
    pub icon_max: Option<(u16, u16)>,
    /// Raw cursors are welcome.
    pub cursor_raw: bool,
    /// PNG cursors are welcome.
    pub cursor_png: bool,
    /// Largest cursor it can show.
    pub cursor_max: Option<(u16, u16)>,
    /// Wanted quality 1–100, 100 is lossless; `None` for automatic.
    pub quality: Option<u8>,
    /// Wanted speed 1–100; `None` for automatic.
    pub speed: Option<u8>,
    /// Milliseconds of quiet after which a lossless refresh is due.
    pub auto_refresh_delay: u16,
}

/// `network` tells `encoder`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkToEncoder {
    /// First message on every channel.
    Start(PictureCaps),
    /// A picture's bytes have been written; the buffer is free.
    Written(OutputBuffer),
    /// The client has drawn the picture that [`EncoderToNetwork::Draw`] numbered `sequence`.
    Ack {
        /// The picture.
        sequence: u64,
        /// Microseconds the client took; negative for an error.
        decode_us: i32,
    },
    /// The client asks for a window (`None`: all) to be sent again.
    Refresh {
        /// Which window.
        window: Option<WindowId>,
        /// Quality 1–100 for it; 100 is lossless.
        quality: u8,
    },
    /// The client's wishes changed; `None` for automatic.
    Quality {
        /// Quality 1–100.
        quality: Option<u8>,
        /// Speed 1–100.
        speed: Option<u8>,
    },
    /// The client prefers one of the codings it announced, or none.
    Prefer(Option<Coding>),
    /// Stop or go on sending pictures.
    Active(bool),
}

impl Message for NetworkToEncoder {
    const NAME: &'static str = "network>encoder";
}

/// How a picture was encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawOptions {
    /// For raw pixels: their order.
    pub rgb_format: Option<RgbFormat>,
    /// For raw pixels: LZ4 level 1–15, 0 when not compressed.
    pub lz4: u8,
    /// For raw pixels: bytes of one row, else 0.
    pub rowstride: u32,
    /// Quality 1–100.
    pub quality: u8,
    /// Source pixels had this order (for `has_alpha`).
    pub source: PixelFormat,
}

/// `encoder` tells `network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncoderToNetwork {
    /// A new buffer, or a larger one in the place of an old one that is free. Descriptor: the
    /// sealed memfd.
    Buffer {
        /// Its index from now on.
        buffer: OutputBuffer,
        /// Its size.
        bytes: u32,
    },
    /// A picture of a part of a window.
    Draw {
        /// Counts up from 1 on this channel; `network` has its own numbers for the client.
        sequence: u64,
        /// Whose.
        window: WindowId,
        /// The window's size the picture belongs to.
        window_size: Size,
        /// Which part.
        rect: Rect,
        /// How it is encoded.
        coding: Coding,
        /// Where the bytes are.
        data: Encoded,
        /// Details.
        options: DrawOptions,
        /// Pictures of the same batch that follow.
        flush: u16,
    },
    /// A window's icon.
    Icon {
        /// Whose.
        window: WindowId,
        /// Its extent.
        size: Size,
        /// PNG, or raw BGRA.
        png: bool,
        /// Where the bytes are.
        data: Encoded,
    },
    /// The pointer's shape.
    Cursor {
        /// Its extent.
        size: Size,
        /// The hot spot, inside the picture.
        hotspot: (u16, u16),
        /// XFixes cursor serial.
        serial: u32,
        /// PNG, or raw BGRA.
        png: bool,
        /// Where the bytes are.
        data: Encoded,
    },
    /// The pointer's shape is the client's default.
    DefaultCursor,
    /// A PNG of the whole screen.
    Screenshot {
        /// Its extent.
        size: Size,
        /// Where the bytes are.
        data: Encoded,
    },
}

impl Message for EncoderToNetwork {
    const NAME: &'static str = "encoder>network";
    fn descriptors(&self) -> usize {
        usize::from(matches!(self, Self::Buffer { .. }))
    }
}
