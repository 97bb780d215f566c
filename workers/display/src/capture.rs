//! Pixels on their way from the X server to encoders: what is damaged, into which buffer, when.
//!
//! The X server tells once that a window has been drawn on; what exactly is asked when an encoder
//! wants it. So an application that draws without end costs nothing while nobody pulls.

use crate::client::{Client, Link};
use crate::pool::{Choice, Memory, Slot};
use crate::region::Region;
use crate::session::{Session, XResult, answer};
use crate::window::Named;
use ipc::capture::{CaptureBuffer, DisplayToEncoder, EncoderToDisplay, PixelFormat};
use ipc::display::Purpose;
use ipc::shared::Unsealed;
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError, ConnectionId, Position, Rect, Size, WindowId};
use std::collections::VecDeque;
use std::ops::Bound;
use std::os::fd::OwnedFd;
use x11rb::connection::Connection;
use x11rb::protocol::composite::ConnectionExt as _;
use x11rb::protocol::damage::ConnectionExt as _;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat};

/// Most pulls that an encoder may have open.
const MAX_PULLS: u8 = 8;
/// Capacity of all capture buffers of all clients, in bytes.
const BUDGET: u64 = 1 << 30;

/// The part of a window that has non-negative coordinates.
fn rectangle(x: i32, y: i32, width: u32, height: u32) -> Option<Rect> {
    let edge = |at: i32, side: u32| {
        let end = i64::from(at) + i64::from(side);
        let start = at.max(0);
        let side = u32::try_from(end - i64::from(start)).ok()?;
        Some((
            u16::try_from(start).ok()?,
            side.min(ipc::geometry::MAX_SIDE.into()),
        ))
    };
    let ((x, width), (y, height)) = (edge(x, width)?, edge(y, height)?);
    Some(Rect {
        x,
        y,
        size: Size::new(width, height)?,
    })
}

impl Session {
    /// Handles a message of an encoder; the error is what it did wrong.
    ///
    /// # Errors
    /// The encoder broke a rule.
    pub fn handle_encoder(
        &mut self,
        id: ConnectionId,
        message: EncoderToDisplay,
    ) -> Result<(), &'static str> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        let Client {
            encoder: Some(link),
            views,
            ..
        } = client
        else {
            return Ok(());
        };
        match message {
            EncoderToDisplay::Pull if link.pulls >= MAX_PULLS => return Err("too many pulls"),
            EncoderToDisplay::Pull => link.pulls += 1,
            EncoderToDisplay::Release(buffer) => {
                if !link.pool.release(buffer) {
                    return Err("release of a buffer that it does not have");
                }
            }
            EncoderToDisplay::Refresh(which) => {
                for (id, view) in views {
                    if which.is_none_or(|w| w == *id)
                        && let Some(window) = self.windows.get(*id)
                    {
                        view.region = Region::whole(window.place.geometry().size);
                    }
                }
            }
            EncoderToDisplay::Active(active) => link.active = active,
        }
        Ok(())
    }

    /// A client's encoder is gone: its buffers go too.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn drop_encoder(&mut self, id: ConnectionId) -> XResult<()> {
        match self.clients.get_mut(&id).and_then(|c| c.encoder.take()) {
            Some(link) => self.free_buffers(link),
            None => Ok(()),
        }
    }

    /// Gives the memory of a channel's buffers back.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn free_buffers(&mut self, link: Link) -> XResult<()> {
        for slot in link.pool.into_slots() {
            if let Memory::Server(segment) = slot.memory {
                self.x.shm_detach(segment)?;
            }
        }
        Ok(())
    }

    /// A client has a new encoder: it needs everything again.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn replace_encoder(&mut self, id: ConnectionId, encoder: OwnedFd) -> XResult<()> {
        self.drop_encoder(id)?;
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        client.encoder = Some(Link::new(Channel::new(encoder)));
        for (id, view) in &mut client.views {
            if let Some(window) = self.windows.get(*id) {
                view.region = Region::whole(window.place.geometry().size);
                view.icon = window.icon.is_some();
            }
        }
        Ok(())
    }

    /// A window's pixels are somewhere else now, and all of them are new.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn forget_pixels(&mut self, id: WindowId) -> XResult<()> {
        let Some(window) = self.windows.get_mut(id) else {
            return Ok(());
        };
        if let Some(named) = window.named.take() {
            self.x.free_pixmap(named.pixmap)?;
        }
        let whole = Region::whole(window.place.geometry().size);
        for view in self
            .clients
            .values_mut()
            .filter_map(|c| c.views.get_mut(&id))
        {
            view.region = whole.clone();
        }
        Ok(())
    }

    /// Sends every encoder what it waits for.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn capture(&mut self) -> XResult<()> {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            loop {
                let step = match self.clients.get(&id).map(|c| c.purpose) {
                    Some(Purpose::Session) => self.capture_next(id),
                    Some(Purpose::Screenshot) => self.screenshot_next(id),
                    None => break,
                };
                match step? {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.channel_failed(Peer::Encoder(id), &error)?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends one frame. `false` when there is none to send, or it must wait.
    fn capture_next(&mut self, id: ConnectionId) -> XResult<Result<bool, ChannelError>> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(Ok(false));
        };
        let Some(link) = &mut client.encoder else {
            return Ok(Ok(false));
        };
        while let Some(window) = link.lost.pop_first() {
            if let Err(error) = link
                .channel
                .send(&DisplayToEncoder::LostWindow(window), vec![])
            {
                return Ok(Err(error));
            }
        }
        let ready = link.pulls > 0 && link.active && link.pool.has_room();
        if !ready || link.channel.wants_write() {
            return Ok(Ok(false));
        }
        let Some(window) = self.next_window(id) else {
            return Ok(Ok(false));
        };
        self.fetch_damage(window)?;
        let Some(named) = self.pixels_of(window)? else {
            if let Some(view) = self
                .clients
                .get_mut(&id)
                .and_then(|c| c.views.get_mut(&window))
            {
                view.region = Region::default();
            }
            return Ok(Ok(true));
        };
        self.send_frame(id, window, named)
    }

    /// The window whose turn it is: the one of which more was announced, or the next that is
    /// damaged after the last one.
    fn next_window(&self, id: ConnectionId) -> Option<WindowId> {
        let client = self.clients.get(&id)?;
        let link = client.encoder.as_ref()?;
        let due = |window: &WindowId| {
            let view = client.views.get(window)?;
            let window = self.windows.get(*window)?;
            let damaged = window.drawn || !view.region.is_empty();
            (view.shown && window.mapped && window.damage.is_some() && damaged).then_some(window.id)
        };
        let last = link.last.unwrap_or(WindowId::new(0, 0));
        if link.more
            && let Some(window) = due(&last)
        {
            return Some(window);
        }
        let after = client
            .views
            .range((Bound::Excluded(last), Bound::Unbounded));
        let before = client.views.range(..=last);
        after.chain(before).find_map(|(window, _)| due(window))
    }

    /// Asks what has been drawn on a window, and remembers it for every client.
    fn fetch_damage(&mut self, id: WindowId) -> XResult<()> {
        /// More rectangles than that are as good as their bounds.
        const MANY: usize = 64;
        let x = self.x.clone();
        let Some(window) = self.windows.get_mut(id) else {
            return Ok(());
        };
        let Some(damage) = window.damage.filter(|_| std::mem::take(&mut window.drawn)) else {
            return Ok(());
        };
        let size = window.place.geometry().size;
        let border = i32::from(window.place.border);
        x.damage_subtract(damage, x11rb::NONE, self.region)?;
        let fetched = answer(x.xfixes_fetch_region(self.region)?.reply())?;
        let rects: Vec<Rect> = match fetched {
            Some(region) if region.rectangles.len() <= MANY => region.rectangles,
            Some(region) => vec![region.extents],
            None => vec![],
        }
        .into_iter()
        .filter_map(|r| {
            let (x, y) = (i32::from(r.x) + border, i32::from(r.y) + border);
            rectangle(x, y, r.width.into(), r.height.into())
        })
        .collect();
        for view in self
            .clients
            .values_mut()
            .filter_map(|c| c.views.get_mut(&id))
        {
            for rect in &rects {
                view.region.add(*rect, size);
            }
        }
        Ok(())
    }

    /// The pixmap that holds a window's pixels. `None` when it has none (any more).
    fn pixels_of(&mut self, id: WindowId) -> XResult<Option<Named>> {
        let x = self.x.clone();
        let Some(window) = self.windows.get_mut(id) else {
            return Ok(None);
        };
        if window.named.is_some() || window.damage.is_none() || !window.mapped {
            return Ok(window.named.filter(|_| window.mapped));
        }
        let Ok(pixmap) = x.generate_id() else {
            return Ok(None);
        };
        x.composite_name_window_pixmap(window.xid, pixmap)?;
        // It holds the window as large as it was at that moment, whatever becomes of it.
        let Some(geometry) = answer(x.get_geometry(pixmap)?.reply())? else {
            return Ok(None);
        };
        let side = |v: u16| u32::from(v.min(ipc::geometry::MAX_SIDE));
        let size = Size::new(side(geometry.width), side(geometry.height));
        window.named = size.map(|size| Named { pixmap, size });
        Ok(window.named)
    }

    /// Finds or makes a buffer for a picture of `need` bytes. `None` when one must come back first.
    fn buffer(
        &mut self,
        id: ConnectionId,
        need: u32,
    ) -> XResult<Result<Option<CaptureBuffer>, ChannelError>> {
        let budget = self.budget();
        let x = self.x.clone();
        let link = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut());
        let Some(link) = link else {
            return Ok(Ok(None));
        };
        let (buffer, bytes) = match link.pool.choose(need, false, budget) {
            Choice::Use(buffer) => return Ok(Ok(Some(buffer))),
            Choice::Wait => return Ok(Ok(None)),
            Choice::Make(buffer, bytes) => (buffer, bytes),
        };
        let made = Unsealed::new(bytes).and_then(|memory| {
            let copy = std::os::fd::AsFd::as_fd(&memory).try_clone_to_owned();
            let copy = copy.map_err(|_| nix::errno::Errno::EMFILE)?;
            Ok((memory, copy))
        });
        let (memory, copy) = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!("capture buffer of {bytes} bytes: {error}");
                return Ok(Ok(None));
            }
        };
        let Ok(segment) = x.generate_id() else {
            return Ok(Ok(None));
        };
        // Its mapping must exist before the seal forbids new ones.
        if answer(x.shm_attach_fd(segment, copy, false)?.check())?.is_none() {
            tracing::warn!("the X server does not take a capture buffer of {bytes} bytes");
            return Ok(Ok(None));
        }
        let fd = match memory.seal() {
            Ok(fd) => fd,
            Err(error) => {
                tracing::warn!("capture buffer: {error}");
                x.shm_detach(segment)?;
                return Ok(Ok(None));
            }
        };
        let slot = Slot {
            memory: Memory::Server(segment),
            bytes,
            busy: false,
        };
        if let Some(Slot {
            memory: Memory::Server(old),
            ..
        }) = link.pool.put(buffer, slot)
        {
            x.shm_detach(old)?;
        }
        let sent = link
            .channel
            .send(&DisplayToEncoder::Buffer { buffer, bytes }, vec![fd]);
        Ok(sent.map(|()| Some(buffer)))
    }

    /// The bytes by which the capacity of all buffers may still grow.
    pub(crate) fn budget(&self) -> u64 {
        let links = self.clients.values().filter_map(|c| c.encoder.as_ref());
        BUDGET.saturating_sub(links.map(|link| link.pool.bytes()).sum())
    }

    fn capacity(&mut self, id: ConnectionId, buffer: CaptureBuffer) -> Option<(u32, u32)> {
        let link = self.clients.get_mut(&id)?.encoder.as_mut()?;
        let slot = link.pool.get_mut(buffer)?;
        match slot.memory {
            Memory::Server(segment) => Some((segment, slot.bytes)),
            Memory::Own(_) => None,
        }
    }

    /// Has the X server copy a part of a pixmap into a buffer, row after row.
    fn copy_pixels(&self, named: Named, rect: Rect, segment: u32) -> XResult<bool> {
        let (Ok(left), Ok(top)) = (i16::try_from(rect.x), i16::try_from(rect.y)) else {
            return Ok(false);
        };
        let (width, height) = (rect.size.width(), rect.size.height());
        let format = u8::from(ImageFormat::Z_PIXMAP);
        let image = self.x.shm_get_image(
            named.pixmap,
            left,
            top,
            width,
            height,
            !0,
            format,
            segment,
            0,
        )?;
        let image = answer(image.reply())?;
        Ok(image.is_some_and(|image| image.size == rect.size.bytes()))
    }

    fn send_frame(
        &mut self,
        id: ConnectionId,
        window: WindowId,
        named: Named,
    ) -> XResult<Result<bool, ChannelError>> {
        let view = self
            .clients
            .get_mut(&id)
            .and_then(|c| c.views.get_mut(&window));
        let Some(view) = view else {
            return Ok(Ok(false));
        };
        view.region.clip(named.size);
        let Some(need) = view.region.next_bytes() else {
            if let Some(link) = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut()) {
                link.more = false;
            }
            return Ok(Ok(true));
        };
        let buffer = match self.buffer(id, need)? {
            Ok(Some(buffer)) => buffer,
            Ok(None) => return Ok(Ok(false)),
            Err(error) => return Ok(Err(error)),
        };
        let Some((segment, bytes)) = self.capacity(id, buffer) else {
            return Ok(Ok(false));
        };
        let view = self
            .clients
            .get_mut(&id)
            .and_then(|c| c.views.get_mut(&window));
        let Some(rect) = view.and_then(|v| v.region.take(bytes)) else {
            return Ok(Ok(false));
        };
        if !self.copy_pixels(named, rect, segment)? {
            // The window has gone or changed; if it lives on, we will hear of it.
            if let Some(link) = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut()) {
                link.more = false;
            }
            return Ok(Ok(true));
        }
        let depth = self.windows.get(window).map_or(24, |w| w.depth);
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(Ok(false));
        };
        let Client {
            encoder: Some(link),
            views,
            ..
        } = client
        else {
            return Ok(Ok(false));
        };
        link.take(buffer);
        link.pulls -= 1;
        let left = views
            .get(&window)
            .is_some_and(|view| !view.region.is_empty());
        link.more = left && link.pulls > 0 && link.pool.has_room();
        link.last = Some(window);
        link.seen.insert(window);
        let frame = DisplayToEncoder::Frame {
            buffer,
            window,
            window_size: named.size,
            rect,
            format: format_of(depth),
            more: link.more,
        };
        Ok(link.channel.send(&frame, vec![]).map(|()| true))
    }

    /// Sends one part of a picture of the whole screen, or says that it is complete.
    fn screenshot_next(&mut self, id: ConnectionId) -> XResult<Result<bool, ChannelError>> {
        let link = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut());
        let Some(link) = link else {
            return Ok(Ok(false));
        };
        if link.done || link.channel.wants_write() {
            return Ok(Ok(false));
        }
        let Some(parts) = &link.screenshot else {
            if link.pulls == 0 {
                return Ok(Ok(false));
            }
            let parts = self.stack()?;
            if let Some(link) = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut()) {
                link.screenshot = Some(parts);
            }
            return Ok(Ok(true));
        };
        let Some((window, mut region)) = parts.front().cloned() else {
            link.done = true;
            let done = DisplayToEncoder::ScreenshotDone { root: self.size };
            return Ok(link.channel.send(&done, vec![]).map(|()| true));
        };
        if link.pulls == 0 || !link.pool.has_room() {
            return Ok(Ok(false));
        }
        let named = self.pixels_of(window)?;
        if let Some(named) = named {
            region.clip(named.size);
        }
        let place = self
            .windows
            .get(window)
            .map(|w| (w.place.geometry().position, w.depth));
        let (Some(named), Some(need), Some((position, depth))) =
            (named, region.next_bytes(), place)
        else {
            self.next_part(id, Region::default());
            return Ok(Ok(true));
        };
        let buffer = match self.buffer(id, need)? {
            Ok(Some(buffer)) => buffer,
            Ok(None) => return Ok(Ok(false)),
            Err(error) => return Ok(Err(error)),
        };
        let Some((segment, bytes)) = self.capacity(id, buffer) else {
            return Ok(Ok(false));
        };
        let Some(rect) = region.take(bytes) else {
            return Ok(Ok(false));
        };
        let copied = self.copy_pixels(named, rect, segment)?;
        self.next_part(id, region);
        let link = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut());
        let Some(link) = link.filter(|_| copied) else {
            return Ok(Ok(true));
        };
        link.take(buffer);
        link.pulls -= 1;
        let part = DisplayToEncoder::ScreenshotPart {
            buffer,
            size: rect.size,
            position: Position {
                x: position.x + i32::from(rect.x),
                y: position.y + i32::from(rect.y),
            },
            format: format_of(depth),
        };
        Ok(link.channel.send(&part, vec![]).map(|()| true))
    }

    /// What is left of the window that is captured for a screenshot.
    fn next_part(&mut self, id: ConnectionId, left: Region) {
        let link = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut());
        if let Some(parts) = link.and_then(|link| link.screenshot.as_mut()) {
            match parts.front_mut() {
                Some((_, region)) if !left.is_empty() => *region = left,
                _ => drop(parts.pop_front()),
            }
        }
    }

    /// Everything that can be seen, from the bottom up.
    fn stack(&mut self) -> XResult<VecDeque<(WindowId, Region)>> {
        let tree = answer(self.x.query_tree(self.root)?.reply())?;
        let ids = tree
            .into_iter()
            .flat_map(|t| t.children)
            .filter_map(|xid| self.windows.id(xid));
        let seen = ids.filter_map(|id| {
            let window = self
                .windows
                .get(id)
                .filter(|w| w.mapped && w.damage.is_some())?;
            Some((id, Region::whole(window.place.geometry().size)))
        });
        Ok(seen.collect())
    }
}

impl Link {
    /// A buffer goes to the encoder.
    pub fn take(&mut self, buffer: CaptureBuffer) {
        if let Some(slot) = self.pool.get_mut(buffer) {
            slot.busy = true;
        }
    }
}

const fn format_of(depth: u8) -> PixelFormat {
    if depth == 32 {
        PixelFormat::Bgra
    } else {
        PixelFormat::Bgrx
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_are_cut_at_the_edges_of_what_we_handle() {
        assert_eq!(rectangle(-5, 3, 5, 10), None);
        let rect = rectangle(-5, 3, 20, 10).unwrap();
        assert_eq!(
            (rect.x, rect.y, rect.size.width(), rect.size.height()),
            (0, 3, 15, 10)
        );
        assert_eq!(rectangle(70_000, 0, 1, 1), None);
        assert_eq!(
            rectangle(0, 0, u32::MAX, 1).map(|r| r.size.width()),
            Some(16384)
        );
        assert_eq!(
            rectangle(i32::MIN, 0, u32::MAX, 1).map(|r| r.size.width()),
            Some(16384)
        );
    }
}
