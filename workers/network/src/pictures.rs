//! The encoder's buffers and pictures: what it may send, and what the client has acknowledged.

use crate::outbox::Release;
use ipc::frames::{
    Coding, DrawOptions, Encoded, MAX_BUFFERS, OutputBuffer, PictureCaps, RgbFormat,
};
use ipc::shared::Reader;
use ipc::{Rect, Size};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Most pictures whose acknowledgement is awaited; the oldest are forgotten.
const MAX_IN_FLIGHT: usize = 4096;

#[derive(Clone, Debug, Default)]
struct Buffer {
    reader: Option<Rc<Reader>>,
    /// A picture in it has not been written yet.
    busy: bool,
}

/// A picture that the client has not acknowledged.
#[derive(Debug)]
struct InFlight {
    /// Our number, as the client knows it.
    sequence: u64,
    /// The number that the encoder gave it.
    theirs: u64,
    /// Which encoder of the connection.
    encoder: u32,
}

/// One connection's pictures. Every error is a broken rule of the encoder.
#[derive(Debug)]
pub struct Pictures {
    caps: PictureCaps,
    /// Counts the encoders of the connection.
    encoder: u32,
    buffers: [Buffer; MAX_BUFFERS as usize],
    /// The last number on this channel.
    theirs: u64,
    /// The last number that the client was given.
    sequence: u64,
    in_flight: VecDeque<InFlight>,
}

type Rule<T> = Result<T, &'static str>;

impl Pictures {
    /// For a client that can show this.
    #[must_use]
    pub fn new(caps: PictureCaps) -> Self {
        Self {
            caps,
            encoder: 0,
            buffers: Default::default(),
            theirs: 0,
            sequence: 0,
            in_flight: VecDeque::new(),
        }
    }

    /// What the client can show.
    #[must_use]
    pub fn caps(&self) -> &PictureCaps {
        &self.caps
    }

    /// A new encoder takes the place of the last one: nothing of that one counts any more.
    pub fn restart(&mut self) {
        self.encoder += 1;
        self.buffers = Default::default();
        self.theirs = 0;
    }

    /// The encoder passed a buffer.
    ///
    /// # Errors
    /// The rule it broke.
    pub fn add(&mut self, buffer: OutputBuffer, bytes: u32, fds: &[OwnedFd]) -> Rule<()> {
        let slot = self
            .buffers
            .get_mut(usize::from(buffer.0))
            .ok_or("a buffer beyond the last")?;
        if slot.busy {
            return Err("a new buffer in the place of one that is not free");
        }
        let [fd] = fds else {
            return Err("a buffer without its descriptor");
        };
        let reader = Reader::new(std::os::fd::AsFd::as_fd(fd), bytes);
        slot.reader = Some(Rc::new(
            reader.map_err(|_| "a buffer that is not sealed as it must be")?,
        ));
        Ok(())
    }

    /// The encoder put a picture into a buffer, which is ours until it has been written.
    ///
    /// # Errors
    /// The rule it broke.
    pub fn take(&mut self, data: Encoded) -> Rule<(Rc<Reader>, usize, Release)> {
        let index = usize::from(data.buffer.0);
        let slot = self
            .buffers
            .get_mut(index)
            .ok_or("a picture in a buffer beyond the last")?;
        let reader = slot
            .reader
            .as_ref()
            .ok_or("a picture in a buffer it never passed")?;
        let len = data.bytes as usize;
        if len == 0 || len > reader.bytes().len() {
            return Err("a picture that is empty or longer than its buffer");
        }
        if std::mem::replace(&mut slot.busy, true) {
            return Err("a picture in a buffer that is not free");
        }
        Ok((
            Rc::clone(reader),
            len,
            Release {
                encoder: self.encoder,
                buffer: data.buffer,
            },
        ))
    }

    /// A picture has been written. The buffer to tell the encoder about, unless that is gone.
    pub fn release(&mut self, release: Release) -> Option<OutputBuffer> {
        if release.encoder != self.encoder {
            return None;
        }
        self.buffers.get_mut(usize::from(release.buffer.0))?.busy = false;
        Some(release.buffer)
    }

    /// Checks that the client can show a picture as it is described.
    ///
    /// # Errors
    /// The rule it broke.
    pub fn check(
        &self,
        coding: Coding,
        options: &DrawOptions,
        rect: Rect,
        window: Size,
        bytes: u32,
    ) -> Rule<()> {
        if !self.caps.codings.contains(&coding) {
            return Err("a coding that the client did not announce");
        }
        if !rect.fits(window) {
            return Err("a picture that is not inside its window");
        }
        match coding {
            Coding::Rgb24 | Coding::Rgb32 => {
                let format = options.rgb_format.ok_or("raw pixels without their order")?;
                if !self.caps.rgb_formats.contains(&format) {
                    return Err("raw pixels in an order that the client did not announce");
                }
                let row = u32::from(rect.size.width()) * bytes_per_pixel(format);
                if options.rowstride < row || options.rowstride > row + MAX_PADDING {
                    return Err("raw pixels in rows of a wrong length");
                }
                let rows = u64::from(options.rowstride) * u64::from(rect.size.height());
                match options.lz4 {
                    0 if rows != u64::from(bytes) => Err("raw pixels of a wrong length"),
                    1.. if !self.caps.rgb_lz4 => Err("lz4 that the client did not announce"),
                    16.. => Err("an lz4 level above 15"),
                    _ => Ok(()),
                }
            }
            _ if options.lz4 != 0 => Err("lz4 over a compressed picture"),
            _ => Ok(()),
        }
    }

    /// Takes the encoder's number of a picture.
    ///
    /// # Errors
    /// The rule it broke.
    pub fn count(&mut self, theirs: u64) -> Rule<()> {
        if self.theirs.checked_add(1) != Some(theirs) {
            return Err("a picture number that does not follow the last one");
        }
        self.theirs = theirs;
        Ok(())
    }

    /// Numbers the picture that was counted last for the client.
    pub fn send(&mut self) -> u64 {
        self.sequence += 1;
        self.in_flight.push_back(InFlight {
            sequence: self.sequence,
            theirs: self.theirs,
            encoder: self.encoder,
        });
        if self.in_flight.len() > MAX_IN_FLIGHT {
            self.in_flight.pop_front();
        }
        self.sequence
    }

    /// The client has drawn a picture: the encoder's number for it, if it wants to know.
    pub fn acknowledge(&mut self, sequence: u64) -> Option<u64> {
        let found = self
            .in_flight
            .binary_search_by_key(&sequence, |picture| picture.sequence);
        let picture = self.in_flight.remove(found.ok()?)?;
        (picture.encoder == self.encoder).then_some(picture.theirs)
    }
}

/// Most bytes after the pixels of a row.
const MAX_PADDING: u32 = 64;

fn bytes_per_pixel(format: RgbFormat) -> u32 {
    match format {
        RgbFormat::Rgb | RgbFormat::Bgr => 3,
        RgbFormat::Bgrx | RgbFormat::Bgra | RgbFormat::Rgbx | RgbFormat::Rgba => 4,
    }
}
