//! Capture buffers: pixels that `display` has filled, read in place.

use crate::fault::Fault;
use ipc::capture::{CaptureBuffer, MAX_BUFFERS};
use ipc::shared::{Reader, SharedError};
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};

struct Slot {
    reader: Reader,
    bytes: u32,
    held: bool,
}

/// The buffers of one channel to `display`.
#[derive(Default)]
pub struct Captures([Option<Slot>; MAX_BUFFERS as usize]);

impl Captures {
    /// Takes a new buffer, or a larger one in the place of a released one.
    ///
    /// # Errors
    /// What `display` did wrong.
    pub fn add(&mut self, buffer: CaptureBuffer, bytes: u32, fd: &OwnedFd) -> Result<(), Fault> {
        let slot = self
            .0
            .get_mut(usize::from(buffer.0))
            .ok_or(Fault::CaptureIndex(buffer))?;
        if slot.as_ref().is_some_and(|slot| slot.held) {
            return Err(Fault::CaptureHeld(buffer));
        }
        // The old mapping first: there need not be room for both.
        *slot = None;
        let reader = match Reader::new(fd.as_fd(), bytes) {
            Ok(reader) => reader,
            Err(error) => return Err(Fault::CaptureMemory(buffer, error)),
        };
        *slot = Some(Slot {
            reader,
            bytes,
            held: false,
        });
        Ok(())
    }

    /// A message names the buffer: it is ours until it is released. `needed` bytes must be there.
    ///
    /// # Errors
    /// What `display` did wrong.
    pub fn hold(&mut self, buffer: CaptureBuffer, needed: u32) -> Result<(), Fault> {
        let slot = self
            .0
            .get_mut(usize::from(buffer.0))
            .ok_or(Fault::CaptureIndex(buffer))?;
        let slot = slot.as_mut().ok_or(Fault::CaptureUnknown(buffer))?;
        if slot.held {
            return Err(Fault::CaptureHeld(buffer));
        }
        if needed > slot.bytes {
            return Err(Fault::CaptureShort {
                buffer,
                bytes: slot.bytes,
                needed,
            });
        }
        slot.held = true;
        Ok(())
    }

    /// The bytes of a buffer that is held; nothing of any other.
    #[must_use]
    pub fn bytes(&self, buffer: CaptureBuffer) -> &[u8] {
        match self.0.get(usize::from(buffer.0)) {
            Some(Some(slot)) if slot.held => slot.reader.bytes(),
            _ => &[],
        }
    }

    /// The buffer may be written again.
    pub fn release(&mut self, buffer: CaptureBuffer) {
        if let Some(Some(slot)) = self.0.get_mut(usize::from(buffer.0)) {
            slot.held = false;
        }
    }
}

/// Is this our own shortage, and not the peer's fault?
#[must_use]
pub fn is_shortage(error: &SharedError) -> bool {
    matches!(
        error,
        SharedError::Os(Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::shared::Unsealed;

    fn memory(bytes: u32) -> OwnedFd {
        Unsealed::new(bytes).unwrap().into_writer().unwrap().1
    }

    #[test]
    fn a_buffer_is_used_as_agreed() {
        let mut captures = Captures::default();
        let buffer = CaptureBuffer(3);
        captures.add(buffer, 4096, &memory(4096)).unwrap();
        assert!(captures.bytes(buffer).is_empty());
        captures.hold(buffer, 4096).unwrap();
        assert_eq!(captures.bytes(buffer).len(), 4096);
        assert!(matches!(
            captures.add(buffer, 8192, &memory(8192)),
            Err(Fault::CaptureHeld(_))
        ));
        captures.release(buffer);
        captures.add(buffer, 8192, &memory(8192)).unwrap();
        captures.hold(buffer, 8000).unwrap();
        assert_eq!(captures.bytes(buffer).len(), 8192);
    }

    #[test]
    fn everything_else_is_a_fault() {
        let mut captures = Captures::default();
        let (zero, eight) = (CaptureBuffer(0), CaptureBuffer(8));
        assert!(matches!(
            captures.hold(zero, 1),
            Err(Fault::CaptureUnknown(_))
        ));
        assert!(matches!(
            captures.hold(eight, 1),
            Err(Fault::CaptureIndex(_))
        ));
        assert!(matches!(
            captures.hold(CaptureBuffer(u16::MAX), 1),
            Err(Fault::CaptureIndex(_))
        ));
        assert!(matches!(
            captures.add(eight, 4096, &memory(4096)),
            Err(Fault::CaptureIndex(_))
        ));
        assert!(matches!(
            captures.add(zero, 8192, &memory(4096)),
            Err(Fault::CaptureMemory(..))
        ));
        assert!(matches!(
            captures.add(zero, 0, &memory(4096)),
            Err(Fault::CaptureMemory(..))
        ));
        captures.add(zero, 4096, &memory(4096)).unwrap();
        assert!(matches!(
            captures.hold(zero, 4097),
            Err(Fault::CaptureShort { .. })
        ));
        captures.hold(zero, 1).unwrap();
        assert!(matches!(captures.hold(zero, 1), Err(Fault::CaptureHeld(_))));
    }
}
