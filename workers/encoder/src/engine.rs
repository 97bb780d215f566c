//! What every message means: messages in, messages out, no input or output of its own.
//!
//! Frames are pulled only when a picture may be begun: an output buffer is free, and the client
//! has not too much to acknowledge. What has been captured meanwhile waits in its capture buffer.

use crate::capture::{self, Captures};
use crate::choose::{self, Choice, Failed, Question, Tuning};
use crate::codec::{Codecs, Written, png};
use crate::content::{self, Content};
use crate::fault::Fault;
use crate::flight::Flight;
use crate::icon;
use crate::offer::{IconForm, Offer};
use crate::output::Pool;
use crate::pixels::Pixels;
use crate::screenshot::Canvas;
use crate::window::Window;
use ipc::capture::{CaptureBuffer, DisplayToEncoder, EncoderToDisplay, PixelFormat};
use ipc::channel::ChannelError;
use ipc::frames::{
    DrawOptions, Encoded, EncoderToNetwork, NetworkToEncoder, OutputBuffer, PictureCaps,
};
use ipc::shared::SharedError;
use ipc::{Position, Rect, Size, WindowId};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Frames that may be asked for at a time: `display` can capture one while we encode another.
const MAX_PULLS: usize = 4;
/// Output buffers that frames leave for icons and cursors.
const RESERVED: usize = 1;
/// Bytes of pixels in one picture: larger frames go in bands, so that the first is on its way
/// while the next is encoded, and no buffer gets large.
const BAND: u32 = 2 << 20;
/// Rows of a band are a multiple of this: no coding's block is cut.
const BLOCK: u32 = 16;
/// Windows that we keep something for.
const MAX_WINDOWS: usize = 4096;
/// The client could not paint the picture.
const PAINT_FAILED: i32 = -1;

/// A message to a peer.
#[derive(Debug)]
pub enum Action {
    /// To `network`, perhaps with a descriptor.
    Network(EncoderToNetwork, Option<OwnedFd>),
    /// To `display`.
    Display(EncoderToDisplay),
}

/// A frame that waits in its capture buffer.
struct Frame {
    buffer: CaptureBuffer,
    window: WindowId,
    window_size: Size,
    rect: Rect,
    alpha: bool,
    more: bool,
    /// Once the first band is encoded.
    choice: Option<Choice>,
    /// Codings that could not take it.
    failed: Failed,
    next_row: u16,
}

/// Everything that is no frame.
enum Duty {
    Icon {
        buffer: CaptureBuffer,
        window: WindowId,
        size: Size,
    },
    Cursor {
        buffer: CaptureBuffer,
        size: Size,
        hotspot: (u16, u16),
        serial: u32,
    },
    DefaultCursor,
    Screenshot {
        canvas: Canvas,
        root: Size,
    },
}

/// One client's encoder.
#[derive(Default)]
pub struct Engine {
    offer: Option<Offer>,
    tuning: Tuning,
    failed: Failed,
    active: bool,
    /// A frame came for a client that announced nothing to draw it with. (One that only asks for
    /// a screenshot need not draw.)
    in_vain: bool,
    captures: Captures,
    pulls: usize,
    frames: Vec<Frame>,
    duties: Vec<Duty>,
    canvas: Canvas,
    windows: BTreeMap<WindowId, Window>,
    pool: Pool,
    flight: Flight,
    codecs: Codecs,
    actions: VecDeque<Action>,
}

impl Engine {
    /// An engine that uses these (warm) encoders.
    #[must_use]
    pub fn new(codecs: Codecs) -> Self {
        Self {
            codecs,
            active: true,
            ..Self::default()
        }
    }

    /// The next message to be sent.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn tell_display(&mut self, message: EncoderToDisplay) {
        self.actions.push_back(Action::Display(message));
    }

    fn tell_network(&mut self, message: EncoderToNetwork) {
        self.actions.push_back(Action::Network(message, None));
    }

    /// A message from `network`.
    ///
    /// # Errors
    /// What it did wrong.
    pub fn network(&mut self, message: NetworkToEncoder) -> Result<(), Fault> {
        let Some(offer) = &self.offer else {
            let NetworkToEncoder::Start(caps) = message else {
                return Err(Fault::Start);
            };
            return self.start(&caps);
        };
        match message {
            NetworkToEncoder::Start(_) => return Err(Fault::Start),
            NetworkToEncoder::Written(buffer) => self.pool.give_back(buffer)?,
            NetworkToEncoder::Ack {
                sequence,
                decode_us,
            } => {
                let Some(sent) = self.flight.ack(sequence)? else {
                    return Ok(());
                };
                if decode_us == PAINT_FAILED && self.failed.add(sent.coding) {
                    tracing::warn!(coding = ?sent.coding, "the client cannot paint it");
                    self.refresh(Some(sent.window), 100);
                }
            }
            NetworkToEncoder::Refresh { window, quality } => {
                percent(Some(quality))?;
                self.refresh(window, quality);
            }
            NetworkToEncoder::Quality { quality, speed } => {
                self.tuning.quality = percent(quality)?;
                self.tuning.speed = percent(speed)?;
            }
            NetworkToEncoder::Prefer(coding) => {
                if let Some(coding) = coding.filter(|coding| !offer.has(*coding)) {
                    return Err(Fault::NotAnnounced(coding));
                }
                self.tuning.prefer = coding;
            }
            NetworkToEncoder::Active(active) => {
                self.active = active;
                self.tell_display(EncoderToDisplay::Active(active));
            }
        }
        Ok(())
    }

    fn start(&mut self, caps: &PictureCaps) -> Result<(), Fault> {
        self.tuning.quality = percent(caps.quality)?;
        self.tuning.speed = percent(caps.speed)?;
        self.offer = Some(Offer::new(caps));
        Ok(())
    }

    fn refresh(&mut self, window: Option<WindowId>, quality: u8) {
        let wanted = |id: &WindowId| window.is_none_or(|window| window == *id);
        for (_, window) in self.windows.iter_mut().filter(|(id, _)| wanted(id)) {
            window.ask(quality);
        }
        self.tell_display(EncoderToDisplay::Refresh(window));
    }

    /// A message from `display`. With [`DisplayToEncoder::Buffer`] comes a descriptor.
    ///
    /// # Errors
    /// What it did wrong.
    pub fn display(
        &mut self,
        message: DisplayToEncoder,
        fd: Option<OwnedFd>,
        now: Instant,
    ) -> Result<(), Fault> {
        match message {
            DisplayToEncoder::Buffer { buffer, bytes } => {
                // The channel has seen to it that the descriptor is there.
                if let Some(fd) = fd {
                    self.captures.add(buffer, bytes, &fd)?;
                }
            }
            DisplayToEncoder::Frame {
                buffer,
                window,
                window_size,
                rect,
                format,
                more,
            } => {
                self.use_pull()?;
                if !rect.fits(window_size) {
                    return Err(Fault::OutsideWindow);
                }
                self.captures.hold(buffer, rect.size.bytes())?;
                if self.windows.len() >= MAX_WINDOWS && !self.windows.contains_key(&window) {
                    return Err(Fault::TooManyWindows);
                }
                let kept = self
                    .windows
                    .entry(window)
                    .or_insert_with(|| Window::new(window_size, now));
                kept.change(window_size, rect, now);
                self.frames.push(Frame {
                    buffer,
                    window,
                    window_size,
                    rect,
                    alpha: format == PixelFormat::Bgra,
                    more,
                    choice: None,
                    failed: Failed::default(),
                    next_row: 0,
                });
            }
            DisplayToEncoder::LostWindow(window) => self.lost(window),
            DisplayToEncoder::Icon {
                buffer,
                window,
                size,
            } => {
                self.hold_icon(buffer, size, (0, 0))?;
                self.duties.push(Duty::Icon {
                    buffer,
                    window,
                    size,
                });
            }
            DisplayToEncoder::Cursor {
                buffer,
                size,
                hotspot,
                serial,
            } => {
                self.hold_icon(buffer, size, hotspot)?;
                self.drop_cursors();
                self.duties.push(Duty::Cursor {
                    buffer,
                    size,
                    hotspot,
                    serial,
                });
            }
            DisplayToEncoder::DefaultCursor => {
                self.drop_cursors();
                self.duties.push(Duty::DefaultCursor);
            }
            DisplayToEncoder::ScreenshotPart {
                buffer,
                size,
                position,
                format,
            } => {
                self.use_pull()?;
                self.captures.hold(buffer, size.bytes())?;
                self.screenshot_part(buffer, size, position, format == PixelFormat::Bgra)?;
            }
            DisplayToEncoder::ScreenshotDone { root } => {
                let canvas = std::mem::take(&mut self.canvas);
                // One picture is enough for whoever asks again before it is done.
                self.duties
                    .retain(|duty| !matches!(duty, Duty::Screenshot { .. }));
                self.duties.push(Duty::Screenshot { canvas, root });
            }
        }
        Ok(())
    }

    fn use_pull(&mut self) -> Result<(), Fault> {
        self.pulls = self.pulls.checked_sub(1).ok_or(Fault::NotPulled)?;
        Ok(())
    }

    fn hold_icon(
        &mut self,
        buffer: CaptureBuffer,
        size: Size,
        hotspot: (u16, u16),
    ) -> Result<(), Fault> {
        let small = size.width() <= icon::MAX_SIDE && size.height() <= icon::MAX_SIDE;
        if !small || hotspot.0 >= size.width() || hotspot.1 >= size.height() {
            return Err(Fault::IconRange);
        }
        self.captures.hold(buffer, size.bytes())
    }

    fn screenshot_part(
        &mut self,
        buffer: CaptureBuffer,
        size: Size,
        position: Position,
        alpha: bool,
    ) -> Result<(), Fault> {
        if let Some(part) = Pixels::new(self.captures.bytes(buffer), size, alpha) {
            self.canvas.add(&part, position)?;
        }
        self.release(buffer);
        Ok(())
    }

    fn release(&mut self, buffer: CaptureBuffer) {
        self.captures.release(buffer);
        self.tell_display(EncoderToDisplay::Release(buffer));
    }

    /// Only the newest cursor counts.
    fn drop_cursors(&mut self) {
        let old = |duty: &mut Duty| matches!(duty, Duty::Cursor { .. } | Duty::DefaultCursor);
        for duty in self.duties.extract_if(.., old).collect::<Vec<_>>() {
            if let Duty::Cursor { buffer, .. } = duty {
                self.release(buffer);
            }
        }
    }

    fn lost(&mut self, window: WindowId) {
        self.windows.remove(&window);
        self.flight.forget(window);
        let frames = self.frames.extract_if(.., |frame| frame.window == window);
        let mut buffers: Vec<_> = frames.map(|frame| frame.buffer).collect();
        self.duties.retain(|duty| match duty {
            Duty::Icon {
                buffer,
                window: owner,
                ..
            } if *owner == window => {
                buffers.push(*buffer);
                false
            }
            _ => true,
        });
        buffers.into_iter().for_each(|buffer| self.release(buffer));
    }

    /// `display` was started anew, or is gone: what it had passed means nothing any more.
    pub fn display_gone(&mut self) {
        self.captures = Captures::default();
        self.pulls = 0;
        self.frames.clear();
        self.duties
            .retain(|duty| matches!(duty, Duty::DefaultCursor | Duty::Screenshot { .. }));
        self.canvas = Canvas::default();
        self.windows.values_mut().for_each(Window::ask_again_later);
        self.actions
            .retain(|action| matches!(action, Action::Network(..)));
    }

    /// A new `display` listens: tells it what its predecessor knew.
    pub fn display_started(&mut self) {
        if !self.active {
            self.tell_display(EncoderToDisplay::Active(false));
        }
    }

    /// When [`Engine::work`] has something to do without any message.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next_refresh(self.offer.as_ref()?)
    }

    /// Does what can be done now: refreshes that are due, duties, pictures, pulls.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn work(&mut self, now: Instant) -> Result<(), SharedError> {
        let Some(offer) = self.offer.take() else {
            return Ok(());
        };
        let result = self.work_with(&offer, now);
        self.offer = Some(offer);
        result
    }

    fn work_with(&mut self, offer: &Offer, now: Instant) -> Result<(), SharedError> {
        while self.pool.free() > 0 && !self.duties.is_empty() {
            let duty = self.duties.remove(0);
            self.fulfil(offer, duty)?;
        }
        while self.may_draw() && !self.frames.is_empty() {
            let frame = self.frames.remove(0);
            if let Some(unfinished) = self.draw_band(offer, frame, now)? {
                self.frames.insert(0, unfinished);
            }
        }
        self.begin_refreshes(offer, now);
        self.pull();
        Ok(())
    }

    fn may_draw(&self) -> bool {
        self.active && self.flight.room() > 0 && self.pool.free() > RESERVED
    }

    fn begin_refreshes(&mut self, offer: &Offer, now: Instant) {
        if self
            .next_refresh(offer)
            .is_none_or(|deadline| deadline > now)
        {
            return;
        }
        for (id, window) in &mut self.windows {
            if window
                .due(offer.refresh_after)
                .is_some_and(|due| due <= now)
            {
                window.begin_refresh();
                self.actions
                    .push_back(Action::Display(EncoderToDisplay::Refresh(Some(*id))));
            }
        }
    }

    fn next_refresh(&self, offer: &Offer) -> Option<Instant> {
        if !self.active || self.flight.room() == 0 {
            return None;
        }
        self.windows
            .values()
            .filter_map(|window| window.due(offer.refresh_after))
            .min()
    }

    fn pull(&mut self) {
        if !self.active || self.in_vain {
            return;
        }
        let room = self
            .flight
            .room()
            .min(self.pool.free().saturating_sub(RESERVED));
        let wanted = room.saturating_sub(self.frames.len()).min(MAX_PULLS);
        while self.pulls < wanted {
            self.pulls += 1;
            self.tell_display(EncoderToDisplay::Pull);
        }
    }

    /// Encodes the next band of a frame, and gives the frame back if there are more.
    fn draw_band(
        &mut self,
        offer: &Offer,
        mut frame: Frame,
        now: Instant,
    ) -> Result<Option<Frame>, SharedError> {
        let Some(choice) = frame.choice.or_else(|| self.choose(offer, &frame, now)) else {
            // This picture is lost. Are all others, too?
            self.in_vain = !offer.draws();
            self.release(frame.buffer);
            return Ok(None);
        };
        let rows = band_rows(frame.rect.size);
        let pixels = Pixels::new(
            self.captures.bytes(frame.buffer),
            frame.rect.size,
            choice.alpha,
        );
        let Some(band) = pixels.and_then(|pixels| pixels.band(frame.next_row, rows)) else {
            self.release(frame.buffer);
            return Ok(None);
        };
        let size = band.size();
        let rect = Rect {
            x: frame.rect.x,
            y: frame.rect.y.saturating_add(frame.next_row),
            size,
        };
        match self.encode(choice, frame.buffer, frame.rect.size, frame.next_row, rows)? {
            None => {
                // Another coding, then; if there is none, the picture is lost.
                frame.choice = None;
                if frame.failed.add(choice.how.coding()) {
                    return Ok(Some(frame));
                }
            }
            Some((buffer, written)) => {
                if let Some(window) = self.windows.get_mut(&frame.window) {
                    window.sent(rect, &choice);
                }
                self.send_draw(&frame, choice, rect, buffer, written, rows);
                frame.choice = Some(choice);
            }
        }
        frame.next_row = frame.next_row.saturating_add(size.height());
        if frame.next_row < frame.rect.size.height() {
            return Ok(Some(frame));
        }
        self.release(frame.buffer);
        Ok(None)
    }

    fn choose(&self, offer: &Offer, frame: &Frame, now: Instant) -> Option<Choice> {
        let window = self.windows.get(&frame.window);
        let pixels = Pixels::new(
            self.captures.bytes(frame.buffer),
            frame.rect.size,
            frame.alpha,
        )?;
        let content = if choose::content_matters(frame.rect.size) {
            content::glance(&pixels)
        } else {
            Content::Flat
        };
        let ask = |failed| {
            choose::choose(&Question {
                offer,
                failed,
                tuning: self.tuning,
                wanted: window.and_then(Window::wanted),
                size: frame.rect.size,
                alpha: frame.alpha,
                content,
                rapid: window.is_some_and(|window| window.rapid(now)),
            })
        };
        // What the client could not paint once is better than nothing.
        ask(self.failed.or(frame.failed)).or_else(|| ask(frame.failed))
    }

    /// Takes a buffer and encodes a band into it. `None` when the coding fails.
    fn encode(
        &mut self,
        choice: Choice,
        source: CaptureBuffer,
        size: Size,
        first: u16,
        rows: u16,
    ) -> Result<Option<(OutputBuffer, Written)>, SharedError> {
        let pixels = Pixels::new(self.captures.bytes(source), size, choice.alpha);
        let Some(band) = pixels.and_then(|pixels| pixels.band(first, rows)) else {
            return Ok(None);
        };
        let Some(bound) = Codecs::bound(choice.how, band.size()) else {
            return Ok(None);
        };
        let Some(buffer) = take(&mut self.pool, &mut self.actions, bound)? else {
            return Ok(None);
        };
        match self
            .codecs
            .encode(choice.how, &band, self.pool.bytes(buffer))
        {
            Ok(written) => Ok(Some((buffer, written))),
            Err(error) => {
                tracing::warn!(coding = ?choice.how.coding(), %error, "a picture is coded in another way");
                give_back(&mut self.pool, buffer);
                Ok(None)
            }
        }
    }

    fn send_draw(
        &mut self,
        frame: &Frame,
        choice: Choice,
        rect: Rect,
        buffer: OutputBuffer,
        written: Written,
        rows: u16,
    ) {
        let below = frame.rect.bottom().saturating_sub(rect.bottom());
        let bands = below.div_ceil(rows.into()) + u32::from(frame.more);
        let coding = choice.how.coding();
        let order = match choice.how {
            choose::How::Raw(raw) => Some(raw.order()),
            _ => None,
        };
        let sequence = self.flight.add(frame.window, coding, written.bytes);
        self.tell_network(EncoderToNetwork::Draw {
            sequence,
            window: frame.window,
            window_size: frame.window_size,
            rect,
            coding,
            data: encoded(buffer, written.bytes),
            options: DrawOptions {
                rgb_format: order,
                lz4: written.lz4,
                rowstride: written.rowstride,
                quality: choice.how.quality(),
                source: if choice.alpha {
                    PixelFormat::Bgra
                } else {
                    PixelFormat::Bgrx
                },
            },
            flush: u16::try_from(bands).unwrap_or(u16::MAX),
        });
    }

    fn fulfil(&mut self, offer: &Offer, duty: Duty) -> Result<(), SharedError> {
        match duty {
            Duty::DefaultCursor => self.tell_network(EncoderToNetwork::DefaultCursor),
            Duty::Icon {
                buffer,
                window,
                size,
            } => {
                if let Some((data, size, png)) = self.small_picture(offer.icon, buffer, size)? {
                    self.tell_network(EncoderToNetwork::Icon {
                        window,
                        size,
                        png,
                        data,
                    });
                }
                self.release(buffer);
            }
            Duty::Cursor {
                buffer,
                size: full,
                hotspot,
                serial,
            } => {
                if let Some((data, size, png)) = self.small_picture(offer.cursor, buffer, full)? {
                    let hotspot = (
                        icon::scale_coordinate(hotspot.0, full.width(), size.width()),
                        icon::scale_coordinate(hotspot.1, full.height(), size.height()),
                    );
                    self.tell_network(EncoderToNetwork::Cursor {
                        size,
                        hotspot,
                        serial,
                        png,
                        data,
                    });
                }
                self.release(buffer);
            }
            Duty::Screenshot { canvas, root } => {
                let (bytes, size) = canvas.finish(root);
                let Some(pixels) = Pixels::new(&bytes, size, false) else {
                    return Ok(());
                };
                if let Some(data) = self.file(&pixels, png::Alpha::None)? {
                    self.tell_network(EncoderToNetwork::Screenshot { size, data });
                }
            }
        }
        Ok(())
    }

    /// An icon or cursor in the client's form: where it is, its size, and whether it is PNG.
    fn small_picture(
        &mut self,
        form: Option<IconForm>,
        source: CaptureBuffer,
        size: Size,
    ) -> Result<Option<(Encoded, Size, bool)>, SharedError> {
        let Some(form) = form else { return Ok(None) };
        let fitted = icon::fit(size, form.max());
        let shrunk = match Pixels::new(self.captures.bytes(source), size, true) {
            Some(pixels) => icon::shrink(&pixels, fitted),
            None => return Ok(None),
        };
        let Some(pixels) = Pixels::new(&shrunk, fitted, true) else {
            return Ok(None);
        };
        let data = if form.png() {
            self.file(&pixels, png::Alpha::Straight)?
        } else {
            let buffer = take(&mut self.pool, &mut self.actions, fitted.bytes())?;
            buffer.map(|buffer| {
                self.pool.bytes(buffer)[..shrunk.len()].copy_from_slice(&shrunk);
                encoded(buffer, shrunk.len())
            })
        };
        Ok(data.map(|data| (data, fitted, form.png())))
    }

    fn file(
        &mut self,
        pixels: &Pixels<'_>,
        alpha: png::Alpha,
    ) -> Result<Option<Encoded>, SharedError> {
        let Ok(bound) = u32::try_from(png::bound(pixels.size())) else {
            return Ok(None);
        };
        let Some(buffer) = take(&mut self.pool, &mut self.actions, bound)? else {
            return Ok(None);
        };
        match png::encode(pixels, alpha, self.pool.bytes(buffer)) {
            Ok(bytes) => Ok(Some(encoded(buffer, bytes))),
            Err(error) => {
                tracing::error!(%error, "a picture is left out");
                give_back(&mut self.pool, buffer);
                Ok(None)
            }
        }
    }
}

/// Takes an output buffer, and tells `network` if it is new.
fn take(
    pool: &mut Pool,
    actions: &mut VecDeque<Action>,
    bytes: u32,
) -> Result<Option<OutputBuffer>, SharedError> {
    let Some((buffer, fresh)) = pool.take(bytes)? else {
        return Ok(None);
    };
    if let Some(fresh) = fresh {
        let message = EncoderToNetwork::Buffer {
            buffer,
            bytes: fresh.bytes,
        };
        actions.push_back(Action::Network(message, Some(fresh.fd)));
    }
    Ok(Some(buffer))
}

/// A buffer that was taken and is not needed after all.
fn give_back(pool: &mut Pool, buffer: OutputBuffer) {
    if let Err(error) = pool.give_back(buffer) {
        tracing::error!(%error, "a buffer is lost");
    }
}

fn encoded(buffer: OutputBuffer, bytes: usize) -> Encoded {
    // A shared buffer has at most 1 GiB.
    Encoded {
        buffer,
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
    }
}

/// Rows of one band of a picture.
fn band_rows(size: Size) -> u16 {
    let rows = (BAND / size.stride()).max(BLOCK);
    u16::try_from(rows - rows % BLOCK).unwrap_or(u16::MAX)
}

fn percent(value: Option<u8>) -> Result<Option<u8>, Fault> {
    match value {
        Some(value) if !(1..=100).contains(&value) => Err(Fault::TuningRange),
        value => Ok(value),
    }
}

/// Was it our own shortage of memory or descriptors, and not the peer's fault?
#[must_use]
pub fn is_shortage(fault: &Fault) -> bool {
    match fault {
        Fault::CaptureMemory(_, error) => capture::is_shortage(error),
        Fault::Channel(error) => matches!(error, ChannelError::InFlight { .. }),
        _ => false,
    }
}
