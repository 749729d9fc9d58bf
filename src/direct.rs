//! Reading and writing a disk past the page cache.
//!
//! What is written so is with the device when the call returns, not in a cache beside it; what the
//! cache held of the place is gone. And it is the shorter way: a cached write of less than a page
//! reads the rest of the page first.

use crate::root::named;
use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// The flag for opening a device so.
const DIRECT: i32 = nix::libc::O_DIRECT;
/// No logical block is larger, and no device wants more of the memory's address.
const ALIGNMENT: usize = 4096;

/// Opens a device for reading and writing.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with(path, DIRECT)
}

/// Opens a device for reading and writing, which the kernel refuses when it is mounted, mapped or
/// swapped to.
pub(crate) fn open_alone(path: &Path) -> io::Result<File> {
    open_with(path, DIRECT | nix::libc::O_EXCL)
}

fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(flags).open(path).map_err(|e| named(path, &e))
}

/// Memory at an address that a device can use.
pub(crate) struct Room {
    memory: Vec<u8>,
    from: usize,
    length: usize,
}

impl Room {
    /// Returns room of `length` bytes that begins with `start`; the rest is zero. A `start` that is
    /// longer is cut off.
    pub(crate) fn new(start: &[u8], length: usize) -> Self {
        let memory = vec![0; length + ALIGNMENT];
        let from = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let mut room = Self { memory, from, length };
        let shorter = start.len().min(length);
        room.bytes()[..shorter].copy_from_slice(&start[..shorter]);
        room
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + self.length]
    }
}

/// Writes whole logical blocks.
pub(crate) fn write(device: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    device.write_all_at(Room::new(bytes, bytes.len()).bytes(), at)
}

/// Writes the start of a device, `bytes` and zeros up to `length`, and waits until it is on the disk.
pub(crate) fn write_start(path: &Path, bytes: &[u8], length: usize) -> io::Result<()> {
    let device = open(path)?;
    device.write_all_at(Room::new(bytes, length).bytes(), 0)?;
    device.sync_data()
}

/// Reads a range and writes it back, which the kernel refuses (`O_EXCL`) on a device that is mounted.
/// A cached write could wait until after the file system's own first write.
pub(crate) fn rewrite(path: &Path, at: u64, length: usize) -> io::Result<()> {
    let device = open_alone(path)?;
    let mut room = Room::new(&[], length);
    device.read_exact_at(room.bytes(), at)?;
    device.write_all_at(room.bytes(), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_aligned_and_zero_behind_its_start() {
        for length in [512, 4096, 17408] {
            let mut room = Room::new(&[7; 100], length);
            assert_eq!(room.bytes().as_ptr().align_offset(ALIGNMENT), 0);
            assert_eq!(room.bytes()[..100], [7; 100]);
            assert!(room.bytes()[100..].iter().all(|b| *b == 0));
            assert_eq!(room.bytes().len(), length);
        }
        assert_eq!(Room::new(&[7; 100], 50).bytes(), [7; 50]);
    }
}
