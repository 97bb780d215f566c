//! The size of the root window (RandR): it follows the client's desktop where the X server can.

use crate::session::{Session, XResult, answer};
use ipc::Size;
use x11rb::connection::RequestConnection;
use x11rb::protocol::randr::{self, ConnectionExt as _, ModeFlag, ModeInfo, Rotation};
use x11rb::protocol::xproto::{AtomEnum, PropMode};
use x11rb::wrapper::ConnectionExt as _;

/// Resolution when the client does not tell one.
const DPI: u16 = 96;

fn millimetres(pixels: u16, dpi: u16) -> u32 {
    (u32::from(pixels) * 254 + u32::from(dpi) * 5) / (u32::from(dpi) * 10)
}

impl Session {
    /// Learns how large the root window can get.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn learn_max_size(&mut self) -> XResult<()> {
        self.max_size = self.size;
        if self
            .x
            .extension_information(randr::X11_EXTENSION_NAME)?
            .is_none()
        {
            return Ok(());
        }
        let x = self.x.clone();
        if let Some(range) = answer(x.randr_get_screen_size_range(self.root)?.reply())? {
            let side = |v: u16| u32::from(v.min(ipc::geometry::MAX_SIDE));
            let max = Size::new(side(range.max_width), side(range.max_height));
            self.max_size = max.unwrap_or(self.size);
        }
        Ok(())
    }

    /// Gives the root window the size of a client's desktop, as far as it can.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn follow(&mut self, desktop: Size, dpi: Option<u16>) -> XResult<()> {
        let side = |wanted: u16, max: u16| u32::from(wanted.min(max));
        let size = Size::new(
            side(desktop.width(), self.max_size.width()),
            side(desktop.height(), self.max_size.height()),
        );
        let Some(size) = size else { return Ok(()) };
        if !self.resize || size == self.size {
            return Ok(());
        }
        if self
            .set_size(size, dpi.unwrap_or(DPI).clamp(10, 1000))?
            .is_none()
        {
            tracing::info!("the X server does not take a screen of {size:?}");
        }
        Ok(())
    }

    /// The screen's one output gets a mode of this size. `None` when the X server refuses.
    fn set_size(&mut self, size: Size, dpi: u16) -> XResult<Option<()>> {
        let x = self.x.clone();
        let root = self.root;
        let (width, height) = (size.width(), size.height());
        let Some(resources) = answer(x.randr_get_screen_resources(root)?.reply())? else {
            return Ok(None);
        };
        let (Some(&crtc), Some(&output)) = (resources.crtcs.first(), resources.outputs.first())
        else {
            return Ok(None);
        };
        let Some(before) = answer(x.randr_get_crtc_info(crtc, x11rb::CURRENT_TIME)?.reply())?
        else {
            return Ok(None);
        };
        let fits = |mode: &&ModeInfo| (mode.width, mode.height) == (width, height);
        let mode = match resources.modes.iter().find(fits) {
            Some(mode) => mode.id,
            None => {
                let name = format!("{width}x{height}");
                let info = mode_info(size, name.len());
                let Some(made) = answer(x.randr_create_mode(root, info, name.as_bytes())?.reply())?
                else {
                    return Ok(None);
                };
                made.mode
            }
        };
        x.randr_add_output_mode(output, mode)?;
        // The screen cannot shrink below what a controller shows, nor a controller show more
        // than the screen: off, resize, on.
        let now = x11rb::CURRENT_TIME;
        let off =
            x.randr_set_crtc_config(crtc, now, now, 0, 0, x11rb::NONE, Rotation::ROTATE0, &[])?;
        answer(off.reply())?;
        let (mm_width, mm_height) = (millimetres(width, dpi), millimetres(height, dpi));
        let resized = x.randr_set_screen_size(root, width, height, mm_width, mm_height)?;
        let resized = answer(resized.check())?.is_some();
        let mode = if resized { mode } else { before.mode };
        let on =
            x.randr_set_crtc_config(crtc, now, now, 0, 0, mode, Rotation::ROTATE0, &[output])?;
        answer(on.reply())?;
        if resized && before.mode != mode {
            // Fails, quietly, for a mode that is not of our making.
            x.randr_delete_output_mode(output, before.mode)?;
            x.randr_destroy_mode(before.mode)?;
        }
        Ok(resized.then_some(()))
    }

    /// The root window has another size now.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn root_resized(&mut self, width: u16, height: u16) -> XResult<()> {
        let Some(size) = Size::new(width.into(), height.into()) else {
            return Ok(());
        };
        if size == self.size {
            return Ok(());
        }
        self.size = size;
        for client in self.clients.values_mut().filter(|c| c.is_present()) {
            client.root = true;
        }
        self.write_size()
    }

    /// Writes the properties that tell applications how large the desktop is.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn write_size(&self) -> XResult<()> {
        let (width, height) = (u32::from(self.size.width()), u32::from(self.size.height()));
        let (root, kind) = (self.root, AtomEnum::CARDINAL);
        let geometry = self.atoms._NET_DESKTOP_GEOMETRY;
        self.x
            .change_property32(PropMode::REPLACE, root, geometry, kind, &[width, height])?;
        let area = [0, 0, width, height];
        self.x.change_property32(
            PropMode::REPLACE,
            root,
            self.atoms._NET_WORKAREA,
            kind,
            &area,
        )?;
        Ok(())
    }
}

/// A mode of 60 Hz without blanking.
fn mode_info(size: Size, name_len: usize) -> ModeInfo {
    let (width, height) = (size.width(), size.height());
    ModeInfo {
        id: 0,
        width,
        height,
        dot_clock: (u32::from(width) * u32::from(height)).saturating_mul(60),
        hsync_start: width,
        hsync_end: width,
        htotal: width,
        hskew: 0,
        vsync_start: height,
        vsync_end: height,
        vtotal: height,
        name_len: u16::try_from(name_len).unwrap_or(0),
        mode_flags: ModeFlag::from(0u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_millimetres() {
        assert_eq!(millimetres(1920, 96), 508);
        assert_eq!(millimetres(16384, 10), 41615);
    }
}
