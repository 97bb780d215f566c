//! What `encoder` says: pictures, icons and cursors.

use super::{Attached, CURSOR_SIZE, Rule};
use crate::connection::{Effect, Output};
use crate::outbox::Release;
use crate::translate;
use ipc::frames::{Encoded, EncoderToNetwork, NetworkToEncoder};
use ipc::{Size, WindowId};
use std::os::fd::OwnedFd;
use wire::packet::{self as p, Packet, ServerPacket};
use wire::record::ChunkIndex;
use wire::rencodeplus::Value;

/// What a client says of a picture whose window is gone; -1 would blame the coding.
const WINDOW_GONE: i32 = -2;

impl Attached {
    /// A new `encoder` took the place of the last one.
    pub fn encoder_restarted(&mut self, out: &mut Output) {
        self.pictures.restart();
        out.tell(Effect::Encoder(NetworkToEncoder::Start(
            self.pictures.caps().clone(),
        )));
        let (quality, speed) = (self.quality, self.speed);
        if (quality, speed) != (self.pictures.caps().quality, self.pictures.caps().speed) {
            out.tell(Effect::Encoder(NetworkToEncoder::Quality {
                quality,
                speed,
            }));
        }
        if !self.active {
            out.tell(Effect::Encoder(NetworkToEncoder::Active(false)));
        }
    }

    /// A message of `encoder`.
    ///
    /// # Errors
    /// The rule that it broke.
    pub fn encoder(
        &mut self,
        message: EncoderToNetwork,
        fds: &[OwnedFd],
        out: &mut Output,
    ) -> Rule {
        match message {
            EncoderToNetwork::Buffer { buffer, bytes } => self.pictures.add(buffer, bytes, fds),
            EncoderToNetwork::Draw { .. } => self.draw(message, out),
            EncoderToNetwork::Icon {
                window,
                size,
                png,
                data,
            } => self.icon(window, size, png, data, out),
            EncoderToNetwork::Cursor {
                size,
                hotspot,
                serial,
                png,
                data,
            } => self.cursor(size, hotspot, serial, png, data, out),
            EncoderToNetwork::DefaultCursor => {
                if self.attach.cursors {
                    out.raw(&if self.hello.cursor.legacy {
                        ServerPacket::Cursor(None).into_packet()
                    } else {
                        Packet::new("cursor-default", Vec::new())
                    });
                }
                Ok(())
            }
            EncoderToNetwork::Screenshot { .. } => Err("a screenshot that nobody asked for"),
        }
    }

    fn draw(&mut self, message: EncoderToNetwork, out: &mut Output) -> Rule {
        let EncoderToNetwork::Draw {
            sequence,
            window,
            window_size,
            rect,
            coding,
            data,
            options,
            flush,
        } = message
        else {
            return Ok(());
        };
        self.pictures.count(sequence)?;
        self.pictures
            .check(coding, &options, rect, window_size, data.bytes)?;
        let picture = self.pictures.take(data)?;
        let (true, Some(id), Some(size)) = (
            self.knows(window),
            translate::wire_window(window),
            translate::wire_size(rect.size),
        ) else {
            // The client could have drawn it: nothing is wrong with the coding.
            out.tell(Effect::Encoder(NetworkToEncoder::Ack {
                sequence,
                decode_us: WINDOW_GONE,
            }));
            self.released(picture.2, out);
            return Ok(());
        };
        let sequence = self.pictures.send();
        let raw = translate::is_raw(coding);
        let format = match options.rgb_format {
            Some(format) if raw => translate::wire_format(format),
            _ => translate::source_format(options.source),
        };
        let wire_options = p::DrawOptions {
            window_size: translate::wire_size(window_size),
            flush: Some(flush.into()),
            rgb_format: Some(format),
            lz4: Some(options.lz4).filter(|level| *level > 0),
            quality: Some(options.quality).filter(|_| !raw),
            ..p::DrawOptions::default()
        };
        out.picture(
            ChunkIndex::DRAW,
            picture,
            self.hello.network.chunks,
            |data| {
                ServerPacket::Draw(p::Draw {
                    window: id,
                    x: rect.x.into(),
                    y: rect.y.into(),
                    size,
                    coding: translate::wire_coding(coding),
                    data,
                    sequence,
                    rowstride: options.rowstride,
                    options: wire_options,
                })
                .into_packet()
            },
        );
        Ok(())
    }

    fn icon(
        &mut self,
        window: WindowId,
        size: Size,
        png: bool,
        data: Encoded,
        out: &mut Output,
    ) -> Rule {
        let caps = self.pictures.caps();
        if !(if png { caps.icon_png } else { caps.icon_bgra }) {
            return Err("an icon in a coding that the client did not announce");
        }
        if !png && data.bytes != size.bytes() {
            return Err("an icon of a wrong length");
        }
        let picture = self.pictures.take(data)?;
        let (true, Some(id)) = (self.knows(window), translate::wire_window(window)) else {
            self.released(picture.2, out);
            return Ok(());
        };
        out.picture(
            ChunkIndex::WINDOW_ICON,
            picture,
            self.hello.network.chunks,
            |data| {
                ServerPacket::WindowIcon(p::WindowIcon {
                    window: id,
                    width: size.width(),
                    height: size.height(),
                    encoding: if png { "png" } else { "BGRA" }.to_owned(),
                    data,
                })
                .into_packet()
            },
        );
        Ok(())
    }

    fn cursor(
        &mut self,
        size: Size,
        (x_hot, y_hot): (u16, u16),
        serial: u32,
        png: bool,
        data: Encoded,
        out: &mut Output,
    ) -> Rule {
        let caps = self.pictures.caps();
        if !(if png {
            caps.cursor_png
        } else {
            caps.cursor_raw
        }) {
            return Err("a cursor in a coding that the client did not announce");
        }
        if !png && data.bytes != size.bytes() {
            return Err("a cursor of a wrong length");
        }
        if x_hot >= size.width() || y_hot >= size.height() {
            return Err("a hot spot outside its cursor");
        }
        let picture = self.pictures.take(data)?;
        let (true, Some(wire_size)) = (self.attach.cursors, translate::wire_size(size)) else {
            self.released(picture.2, out);
            return Ok(());
        };
        let encoding = if png { "png" } else { "raw" }.to_owned();
        let chunks = self.hello.network.chunks;
        if self.hello.cursor.legacy {
            out.picture(ChunkIndex::CURSOR, picture, chunks, |pixels| {
                ServerPacket::Cursor(Some(p::Cursor {
                    encoding,
                    x: 0,
                    y: 0,
                    size: wire_size,
                    x_hot,
                    y_hot,
                    serial: serial.into(),
                    pixels,
                    name: String::new(),
                    default_size: (CURSOR_SIZE, CURSOR_SIZE),
                }))
                .into_packet()
            });
        } else {
            out.picture(ChunkIndex::DRAW, picture, chunks, |pixels| {
                Packet::new(
                    "cursor-data",
                    vec![
                        encoding.into(),
                        size.width().into(),
                        size.height().into(),
                        x_hot.into(),
                        y_hot.into(),
                        serial.into(),
                        Value::Bytes(pixels),
                        "".into(),
                    ],
                )
            });
        }
        Ok(())
    }

    /// A picture has left its buffer.
    pub fn released(&mut self, release: Release, out: &mut Output) {
        if let Some(buffer) = self.pictures.release(release) {
            out.tell(Effect::Encoder(NetworkToEncoder::Written(buffer)));
        }
    }
}
