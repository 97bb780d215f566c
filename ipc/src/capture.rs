//! The edge `display`–`encoder`: pixels on their way to one client.
//!
//! The encoder pulls: one [`EncoderToDisplay::Pull`] allows one [`DisplayToEncoder::Frame`], sent
//! as soon as something is damaged, or one [`DisplayToEncoder::ScreenshotPart`]. Pixels lie in capture buffers (see [`crate::shared`]), each
//! passed once; a buffer belongs to the encoder from the frame that names it until it is released.

use crate::channel::Message;
use crate::geometry::{Position, Rect, Size};
use crate::ids::WindowId;
use serde::{Deserialize, Serialize};

/// Most capture buffers on one channel at a time.
pub const MAX_BUFFERS: u16 = 8;

/// Index of a buffer on this channel, below [`MAX_BUFFERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CaptureBuffer(pub u16);

/// Memory order of the four bytes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PixelFormat {
    /// Blue, green, red, unused.
    Bgrx,
    /// Blue, green, red, alpha; premultiplied as X11 has it.
    Bgra,
}

/// `encoder` asks `display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncoderToDisplay {
    /// Send one more frame, or part of a screenshot, when there is one. At most 8 may be open.
    Pull,
    /// The buffer may be written again.
    Release(CaptureBuffer),
    /// Treat all of this window (`None`: of every window) as damaged.
    Refresh(Option<WindowId>),
    /// Send (`true`) or hold back frames: the client is suspended.
    Active(bool),
}

impl Message for EncoderToDisplay {
    const NAME: &'static str = "encoder>display";
}

/// `display` tells `encoder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisplayToEncoder {
    /// A new buffer, or a larger one in the place of an old one that is released. Descriptor: the
    /// sealed memfd.
    Buffer {
        /// Its index from now on.
        buffer: CaptureBuffer,
        /// Its size.
        bytes: u32,
    },
    /// Pixels of one rectangle of a window, tightly packed rows from offset 0.
    Frame {
        /// Where the pixels lie.
        buffer: CaptureBuffer,
        /// Whose they are.
        window: WindowId,
        /// The window's size at the time of capture.
        window_size: Size,
        /// Which part of it; `size` is also the size of the picture in the buffer.
        rect: Rect,
        /// Memory order.
        format: PixelFormat,
        /// More rectangles of the same window, captured at the same time, follow.
        more: bool,
    },
    /// The window is gone: forget what you keep for it.
    LostWindow(WindowId),
    /// A window's icon, tightly packed premultiplied BGRA from offset 0.
    Icon {
        /// Where the pixels lie.
        buffer: CaptureBuffer,
        /// Whose it is.
        window: WindowId,
        /// At most 256×256.
        size: Size,
    },
    /// The pointer's shape, tightly packed premultiplied BGRA from offset 0.
    Cursor {
        /// Where the pixels lie.
        buffer: CaptureBuffer,
        /// At most 256×256.
        size: Size,
        /// The hot spot, inside the picture.
        hotspot: (u16, u16),
        /// XFixes cursor serial.
        serial: u32,
    },
    /// The pointer's shape is the client's own default.
    DefaultCursor,
    /// One part of a picture of the whole screen; parts come from the bottom of the stack up.
    ScreenshotPart {
        /// Where the pixels lie, tightly packed.
        buffer: CaptureBuffer,
        /// Extent of the part.
        size: Size,
        /// Its place on the root window; may stick out.
        position: Position,
        /// Memory order.
        format: PixelFormat,
    },
    /// The picture is complete.
    ScreenshotDone {
        /// Size of the root window.
        root: Size,
    },
}

impl Message for DisplayToEncoder {
    const NAME: &'static str = "display>encoder";
    fn descriptors(&self) -> usize {
        usize::from(matches!(self, Self::Buffer { .. }))
    }
}
