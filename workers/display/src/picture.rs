//! Small pictures that we have ourselves: the pointer's shape, windows' icons.

use crate::client::{Client, Link};
use crate::pool::{Choice, Memory, Slot};
use crate::session::{Session, XResult, answer};
use ipc::capture::{CaptureBuffer, DisplayToEncoder};
use ipc::shared::Unsealed;
use ipc::verdict::Peer;
use ipc::{ChannelError, Size};
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xfixes::{ConnectionExt as _, GetCursorImageAndNameReply};

/// Longest side of a cursor.
const MAX_CURSOR: u16 = 256;
/// The name of the cursor that the root window has: applications that set none show it.
pub const DEFAULT_CURSOR: &[u8] = b"bulkhead-default";

/// The pointer's shape, premultiplied BGRA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its extent, at most 256×256.
    pub size: Size,
    /// The hot spot, inside the picture.
    pub hotspot: (u16, u16),
    /// What the X server calls it.
    pub serial: u32,
    /// Its pixels.
    pub pixels: Vec<u8>,
}

impl Cursor {
    /// Reads what the X server says, as an application has made it. `None` for the default one
    /// and those that are too large.
    #[must_use]
    pub fn from_reply(reply: &GetCursorImageAndNameReply) -> Option<Self> {
        if reply.name == DEFAULT_CURSOR || reply.width > MAX_CURSOR || reply.height > MAX_CURSOR {
            return None;
        }
        let size = Size::new(reply.width.into(), reply.height.into())?;
        let count = usize::from(size.width()) * usize::from(size.height());
        let pixels = reply.cursor_image.get(..count)?;
        let hotspot = (
            reply.xhot.min(size.width() - 1),
            reply.yhot.min(size.height() - 1),
        );
        let pixels = pixels.iter().flat_map(|argb| argb.to_le_bytes()).collect();
        Some(Self {
            size,
            hotspot,
            serial: reply.cursor_serial,
            pixels,
        })
    }
}

impl Session {
    /// Sends cursors and icons to the encoders that have not got them yet.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn send_pictures(&mut self) -> XResult<()> {
        let due = |c: &Client| {
            c.is_present() && c.cursors && c.encoder.as_ref().is_some_and(|l| l.cursor)
        };
        if self.cursor.is_none() && self.clients.values().any(due) {
            let reply = answer(self.x.xfixes_get_cursor_image_and_name()?.reply())?;
            self.cursor = Some(reply.as_ref().and_then(Cursor::from_reply));
        }
        let mut failed = Vec::new();
        let mut budget = self.budget();
        let mut replaced = Vec::new();
        for client in self.clients.values_mut().filter(|c| c.is_present()) {
            let Client {
                encoder: Some(link),
                views,
                cursors,
                ..
            } = client
            else {
                continue;
            };
            if let (true, true, Some(cursor)) = (*cursors, link.cursor, &self.cursor)
                && !link.channel.wants_write()
            {
                match send_cursor(link, cursor.as_ref(), &mut budget, &mut replaced) {
                    Ok(sent) => link.cursor = !sent,
                    Err(error) => {
                        failed.push((client.id, error));
                        continue;
                    }
                }
            }
            for (id, view) in views.iter_mut().filter(|(_, view)| view.icon && view.told) {
                if link.channel.wants_write() {
                    break;
                }
                let icon = self.windows.get(*id).and_then(|w| w.icon.as_ref());
                let Some(icon) = icon else {
                    view.icon = false;
                    continue;
                };
                match fill(link, &icon.pixels, &mut budget, &mut replaced) {
                    Ok(None) => break,
                    Ok(Some(buffer)) => {
                        view.icon = false;
                        link.seen.insert(*id);
                        let message = DisplayToEncoder::Icon {
                            buffer,
                            window: *id,
                            size: icon.size,
                        };
                        if let Err(error) = link.channel.send(&message, vec![]) {
                            failed.push((client.id, error));
                            break;
                        }
                    }
                    Err(error) => {
                        failed.push((client.id, error));
                        break;
                    }
                }
            }
        }
        for segment in replaced {
            self.x.shm_detach(segment)?;
        }
        for (id, error) in failed {
            self.channel_failed(Peer::Encoder(id), &error)?;
        }
        Ok(())
    }
}

fn send_cursor(
    link: &mut Link,
    cursor: Option<&Cursor>,
    budget: &mut u64,
    replaced: &mut Vec<u32>,
) -> Result<bool, ChannelError> {
    let Some(cursor) = cursor else {
        link.channel
            .send(&DisplayToEncoder::DefaultCursor, vec![])?;
        return Ok(true);
    };
    let Some(buffer) = fill(link, &cursor.pixels, budget, replaced)? else {
        return Ok(false);
    };
    let message = DisplayToEncoder::Cursor {
        buffer,
        size: cursor.size,
        hotspot: cursor.hotspot,
        serial: cursor.serial,
    };
    link.channel.send(&message, vec![])?;
    Ok(true)
}

/// Writes a picture into a buffer that goes to the encoder. `None` when all are there already.
/// Segments of the X server whose buffer had to go are added to `replaced`.
fn fill(
    link: &mut Link,
    pixels: &[u8],
    budget: &mut u64,
    replaced: &mut Vec<u32>,
) -> Result<Option<CaptureBuffer>, ChannelError> {
    let Ok(need) = u32::try_from(pixels.len()) else {
        return Ok(None);
    };
    let buffer = match link.pool.choose(need, true, *budget) {
        Choice::Use(buffer) => buffer,
        Choice::Wait => return Ok(None),
        Choice::Make(buffer, bytes) => {
            let made = Unsealed::new(bytes).and_then(Unsealed::into_writer);
            let (writer, fd) = match made {
                Ok(made) => made,
                Err(error) => {
                    tracing::warn!("picture buffer of {bytes} bytes: {error}");
                    return Ok(None);
                }
            };
            let slot = Slot {
                memory: Memory::Own(writer),
                bytes,
                busy: false,
            };
            if let Some(Slot {
                memory: Memory::Server(old),
                ..
            }) = link.pool.put(buffer, slot)
            {
                replaced.push(old);
            }
            *budget = budget.saturating_sub(bytes.into());
            link.channel
                .send(&DisplayToEncoder::Buffer { buffer, bytes }, vec![fd])?;
            buffer
        }
    };
    if let Some(Slot {
        memory: Memory::Own(writer),
        ..
    }) = link.pool.get_mut(buffer)
        && let Some(room) = writer.bytes().get_mut(..pixels.len())
    {
        room.copy_from_slice(pixels);
        link.take(buffer);
        return Ok(Some(buffer));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(width: u16, height: u16, pixels: usize) -> GetCursorImageAndNameReply {
        GetCursorImageAndNameReply {
            width,
            height,
            xhot: 300,
            yhot: 1,
            cursor_serial: 7,
            cursor_image: vec![0x1122_3344; pixels],
            ..Default::default()
        }
    }

    #[test]
    fn cursors_are_bounded_by_what_is_there() {
        let cursor = Cursor::from_reply(&reply(3, 2, 6)).unwrap();
        assert_eq!((cursor.hotspot, cursor.serial), ((2, 1), 7));
        assert_eq!(cursor.pixels[..4], [0x44, 0x33, 0x22, 0x11]);
        assert_eq!(cursor.pixels.len(), 24);
        for (width, height, pixels) in
            [(3, 2, 5), (257, 1, 257), (0, 4, 0), (u16::MAX, u16::MAX, 9)]
        {
            assert_eq!(Cursor::from_reply(&reply(width, height, pixels)), None);
        }
        let default = GetCursorImageAndNameReply {
            name: DEFAULT_CURSOR.to_vec(),
            ..reply(1, 1, 1)
        };
        assert_eq!(Cursor::from_reply(&default), None);
    }
}
