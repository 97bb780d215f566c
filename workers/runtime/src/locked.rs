//! The memory that a process computes in, kept out of swap space.
//!
//! It leans on the allocator of the C library: one heap that grows with brk(2), whose free blocks are used before it grows.
//! One whose blocks lie apart makes [`lock()`] fail, which the log says; nothing else changes.
#![allow(unsafe_code, reason = "a system call about memory that others own")]

use nix::errno::Errno;
use std::hint::black_box;

/// Of x86-64.
const PAGE: usize = 4096;
/// What the allocator makes its heap larger for. Larger blocks are mapped, and not locked, where the heap has no room for
/// them.
const BLOCK: usize = 120 * 1024;
/// So many of them: 4 MiB, which is more than a login takes.
const BLOCKS: usize = 35;
/// Of the stack. The kernel has mapped 128 KiB; below them it grows, unlocked, so that no limit on locked
/// memory is in its way.
const STACK: usize = 96 * 1024;
/// So far around what is looked for the mapping can go on.
const AROUND: usize = 64;

/// Has the kernel keep the first 4 MiB of the heap, C libraries' blocks too, and the upper part of the stack in
/// memory, from when they are used. To be called before there is a secret, by a process without threads. Nothing
/// that is mapped later is locked, so nothing fails later because of a limit.
///
/// # Errors
/// More than may be locked (getrlimit(2), `RLIMIT_MEMLOCK`), or there is no such heap. What could be locked is.
pub fn lock() -> Result<(), Errno> {
    let heap = heap();
    stack().and(heap)
}

/// Makes the heap as large, and locks it.
fn heap() -> Result<(), Errno> {
    let blocks = (0..BLOCKS).map(|_| black_box(Vec::<u8>::with_capacity(BLOCK)));
    let mut blocks: Vec<_> = blocks.collect();
    blocks.sort_by_key(|block| block.as_ptr().addr());
    let address = |block: Option<&Vec<u8>>| block.map_or(0, |block| block.as_ptr().addr());
    let (first, last) = (address(blocks.first()), address(blocks.last()));
    let locked = if last - first < BLOCKS * (BLOCK + PAGE) {
        pages(first, last + BLOCK)
    } else {
        Err(Errno::ENOMEM)
    };
    // What was allocated before: it is freed some day, and used again.
    let below = (1..AROUND).map(|number| first.saturating_sub(number * PAGE));
    each(below);
    // The end of a heap that is not used is given back, and would come again unlocked: this is its end, and is
    // used for ever.
    std::mem::forget(blocks.pop());
    locked
}

fn stack() -> Result<(), Errno> {
    let here = 0_u8;
    let here = black_box(&raw const here).addr();
    let above = (1..AROUND).map(|number| here + number * PAGE);
    each(above);
    pages(here.saturating_sub(STACK), here)
}

/// Locks pages one by one, until there is none.
fn each(mut addresses: impl Iterator<Item = usize>) {
    addresses.all(|address| pages(address, address).is_ok());
}

/// Locks the pages from one address to another.
fn pages(from: usize, to: usize) -> Result<(), Errno> {
    let from = from / PAGE * PAGE;
    let len = to / PAGE * PAGE + PAGE - from;
    let from = std::ptr::without_provenance(from);
    // SAFETY: it reads and writes no memory of ours, and changes nothing that code could see; what is not
    // mapped is an error.
    Errno::result(unsafe { libc::mlock2(from, len, libc::MLOCK_ONFAULT) }).map(drop)
}
