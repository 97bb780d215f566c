//! Memory shared between two processes: made once, sealed, passed as a descriptor, mapped
//! read-only by whoever consumes it (memfd_create(2), fcntl(2) "File Sealing").
//!
//! Capture buffers: `display` makes one, the X server maps it for writing (MIT-SHM `AttachFd`),
//! then it is sealed against every *later* writable mapping and passed to an encoder.
//! Output buffers: `encoder` maps one for writing, seals it the same way and passes it to
//! `network`. In both cases the size can never change, so a mapping can never fault.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// Largest shared buffer in bytes: a picture of the largest size (1 GiB).
pub const MAX_SHARED: u32 = 1 << 30;

/// Why a shared buffer could not be made or must not be used.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The kernel refused.
    #[error("shared memory: {0}")]
    Os(#[from] Errno),
    /// The buffer is empty or larger than [`MAX_SHARED`].
    #[error("shared memory: {0} bytes are not allowed")]
    Size(u32),
    /// A peer's buffer is not sealed as it must be.
    #[error("shared memory from a peer lacks seals: {0:?}")]
    Seals(SealFlag),
    /// A peer's buffer is not as large as the peer says.
    #[error("shared memory from a peer has {got} bytes, not {declared}")]
    WrongSize {
        /// What the kernel says.
        got: i64,
        /// What the peer said.
        declared: u32,
    },
}

fn nonzero(bytes: u32) -> Result<NonZeroUsize, SharedError> {
    match NonZeroUsize::new(bytes as usize) {
        Some(len) if bytes <= MAX_SHARED => Ok(len),
        _ => Err(SharedError::Size(bytes)),
    }
}

/// Memory of a fixed size that nobody has sealed against writing yet.
#[derive(Debug)]
pub struct Unsealed {
    fd: OwnedFd,
    len: NonZeroUsize,
}

impl Unsealed {
    /// Makes `bytes` bytes of zeroed memory whose size can never change.
    ///
    /// # Errors
    /// [`SharedError::Size`], or what the kernel says.
    pub fn new(bytes: u32) -> Result<Self, SharedError> {
        let len = nonzero(bytes)?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create(c"bulkhead", flags)?;
        ftruncate(&fd, i64::from(bytes))?;
        fcntl(
            &fd,
            FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK),
        )?;
        Ok(Self { fd, len })
    }

    /// Refuses every later writable mapping and write, and any change of the seals. Mappings
    /// that exist stay writable. For the X server's mapping to exist, wait for the reply to a
    /// checked `AttachFd` first.
    ///
    /// # Errors
    /// What fcntl(2) says.
    pub fn seal(self) -> Result<OwnedFd, SharedError> {
        let seals = SealFlag::F_SEAL_FUTURE_WRITE | SealFlag::F_SEAL_SEAL;
        fcntl(&self.fd, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(self.fd)
    }

    /// Maps it for writing here, then seals it: only this mapping can ever write.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn into_writer(self) -> Result<(Writer, OwnedFd), SharedError> {
        let map = Mapping::new(
            self.fd.as_fd(),
            self.len,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        )?;
        Ok((Writer(map), self.seal()?))
    }
}

impl AsFd for Unsealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<c_void>,
    len: NonZeroUsize,
}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, len: NonZeroUsize, prot: ProtFlags) -> Result<Self, SharedError> {
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are of the mapping made in `new`, and every slice handed out
        // borrows from `self`. Failure leaves an unused mapping behind, nothing worse.
        let _ = unsafe { munmap(self.start, self.len.get()) };
    }
}

/// The only writable mapping of a sealed buffer.
#[derive(Debug)]
pub struct Writer(Mapping);

impl Writer {
    /// The memory. A reader may look at it at any time: finish writing before telling it.
    #[must_use]
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `len` bytes, readable and writable, lives as long as `self`,
        // and is borrowed mutably; no other writable mapping can exist (F_SEAL_FUTURE_WRITE).
        unsafe { std::slice::from_raw_parts_mut(self.0.start.cast().as_ptr(), self.0.len.get()) }
    }
}

/// A read-only mapping of a peer's sealed buffer.
#[derive(Debug)]
pub struct Reader(Mapping);

impl Reader {
    /// Maps a buffer that a peer passed and said to be `declared` bytes long. Checks with the
    /// kernel that it is exactly so long and can never shrink (reading cannot fault).
    ///
    /// # Errors
    /// Any difference from what the peer must have done.
    pub fn new(fd: BorrowedFd<'_>, declared: u32) -> Result<Self, SharedError> {
        let len = nonzero(declared)?;
        let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        let needed = SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_FUTURE_WRITE
            | SealFlag::F_SEAL_SEAL;
        if !seals.contains(needed) {
            return Err(SharedError::Seals(seals));
        }
        let got = fstat(fd)?.st_size;
        if got != i64::from(declared) {
            return Err(SharedError::WrongSize { got, declared });
        }
        Ok(Self(Mapping::new(fd, len, ProtFlags::PROT_READ)?))
    }

    /// The memory. The writer may change it under us when it breaks the protocol: take numbers
    /// out of it once, and treat the rest as picture data whose value decides nothing.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `len` readable bytes that can never shrink and lives as long as
        // `self`. The protocol gives the buffer to one side at a time; a peer that writes out of
        // turn only changes the values of pixels or of opaque encoded bytes.
        unsafe { std::slice::from_raw_parts(self.0.start.cast().as_ptr(), self.0.len.get()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map_writable(fd: &OwnedFd) -> Result<(), SharedError> {
        let len = NonZeroUsize::new(4096).unwrap();
        Mapping::new(
            fd.as_fd(),
            len,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        )
        .map(drop)
    }

    #[test]
    fn a_reader_sees_what_the_writer_writes_and_cannot_write() {
        let (mut writer, fd) = Unsealed::new(4096).unwrap().into_writer().unwrap();
        let reader = Reader::new(fd.as_fd(), 4096).unwrap();
        writer.bytes()[17] = 42;
        assert_eq!(reader.bytes()[17], 42);
        assert!(map_writable(&fd).is_err());
        assert!(nix::unistd::write(&fd, b"x").is_err());
        assert!(ftruncate(&fd, 1).is_err());
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        let again = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path);
        assert!(again.is_err() || map_writable(&again.unwrap().into()).is_err());
    }

    #[test]
    fn buffers_of_a_careless_or_lying_peer_are_refused() {
        let unsealed = Unsealed::new(4096).unwrap();
        assert!(matches!(
            Reader::new(unsealed.as_fd(), 4096),
            Err(SharedError::Seals(_))
        ));
        let fd = unsealed.seal().unwrap();
        assert!(matches!(
            Reader::new(fd.as_fd(), 8192),
            Err(SharedError::WrongSize { .. })
        ));
        assert!(matches!(
            Reader::new(fd.as_fd(), 0),
            Err(SharedError::Size(0))
        ));
        assert!(matches!(
            Reader::new(fd.as_fd(), u32::MAX),
            Err(SharedError::Size(_))
        ));
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(Reader::new(file.as_fd(), 4096).is_err());
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(matches!(Unsealed::new(0), Err(SharedError::Size(0))));
        assert!(matches!(
            Unsealed::new(MAX_SHARED + 1),
            Err(SharedError::Size(_))
        ));
    }
}
