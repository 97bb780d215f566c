//! Memory that secrets are read into.
#![allow(unsafe_code, reason = "a mapping of its own")]

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Zeroed memory of a fixed size that the kernel does not write to swap space, where the limit on
/// locked memory allows that (mmap(2), `MAP_LOCKED`). It never moves, so that no copy stays
/// behind. To be made in the warm-up: no filter allows to make one later, nor to give one back.
/// The kernel takes it when the process ends, and zeroes it before anybody else gets it.
#[derive(Debug)]
pub struct SecretMemory {
    start: NonNull<c_void>,
    len: NonZeroUsize,
}

impl SecretMemory {
    /// So many bytes.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn new(len: NonZeroUsize) -> Result<Self, Errno> {
        let map = |flags| {
            let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
            unsafe { mmap_anonymous(None, len, prot, MapFlags::MAP_PRIVATE | flags) }
        };
        let start = map(MapFlags::MAP_LOCKED).or_else(|error| match error {
            // More than may be locked. That was said at the start, unless the limit is just what heap and stack took.
            Errno::EAGAIN => map(MapFlags::empty()),
            error => Err(error),
        })?;
        Ok(Self { start, len })
    }
}

impl Deref for SecretMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` zeroed, readable bytes that live as long as `self`, and change only
        // through `deref_mut`.
        unsafe { std::slice::from_raw_parts(self.start.cast().as_ptr(), self.len.get()) }
    }
}

impl DerefMut for SecretMemory {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, also writable, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast().as_ptr(), self.len.get()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::resource::{Resource, getrlimit};

    #[test]
    fn what_is_written_is_there_and_the_rest_is_zero() {
        let mut memory = SecretMemory::new(NonZeroUsize::new(70_000).unwrap()).unwrap();
        assert_eq!(memory.len(), 70_000);
        memory[69_999] = 7;
        assert!(memory[..69_999].iter().all(|byte| *byte == 0) && memory[69_999] == 7);
    }

    #[test]
    fn it_is_locked_where_that_is_allowed() {
        let locked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
            line.unwrap()
                .trim()
                .trim_end_matches(" kB")
                .parse::<u64>()
                .unwrap()
        };
        let _memory = SecretMemory::new(NonZeroUsize::new(64 * 1024).unwrap()).unwrap();
        let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap();
        assert!(limit < 1 << 20 || locked() >= 64);
    }
}
