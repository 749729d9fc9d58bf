//! Partitions of a disk that is open: added, resized and removed one by one, without a re-read of the
//! table.
//!
//! `BLKRRPART`, which re-reads the table, fails while any partition is in use; `BLKPG` does not.

use crate::ioctl;
use std::{fs::File, io, ops::Range};

/// `_IO(0x12, 105)`, include/uapi/linux/blkpg.h.
const BLKPG: libc::Ioctl = ioctl::plain(0x12, 105);
const ADD: i32 = 1;
const DELETE: i32 = 2;
const RESIZE: i32 = 3;

/// `struct blkpg_partition`; the two names are ignored by the kernel.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct BlkpgArgument {
    operation: i32,
    flags: i32,
    length: i32,
    data: *mut BlkpgPartition,
}

/// Adds partition `number`, which spans `bytes` of the disk. The device node and the uevent are
/// made before this returns.
///
/// # Errors
/// `EBUSY` when a partition of that number is there already or the range overlaps one.
pub fn add(disk: &File, number: u32, bytes: Range<u64>) -> io::Result<()> {
    blkpg(disk, ADD, number, bytes)
}

/// Removes partition `number` from the kernel's view; the disk is not written.
///
/// # Errors
/// `EBUSY` when the partition is in use, `ENXIO` when there is none of that number.
pub fn remove(disk: &File, number: u32) -> io::Result<()> {
    blkpg(disk, DELETE, number, 0..0)
}

/// Gives partition `number`, which is in use, another end; `bytes` begins where it begins. Who has it
/// open sees the new size at once. No uevent tells of it.
///
/// # Errors
/// `EINVAL` when it begins elsewhere, `EBUSY` when the range overlaps another, `ENXIO` when there is
/// none of that number.
pub fn resize(disk: &File, number: u32, bytes: Range<u64>) -> io::Result<()> {
    blkpg(disk, RESIZE, number, bytes)
}

fn blkpg(disk: &File, operation: i32, number: u32, bytes: Range<u64>) -> io::Result<()> {
    let signed =
        |n: u64| i64::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let mut partition = BlkpgPartition {
        start: signed(bytes.start)?,
        length: signed(bytes.end.saturating_sub(bytes.start))?,
        number: i32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?,
        names: [0; 128],
    };
    let mut argument = BlkpgArgument {
        operation,
        flags: 0,
        length: size_of::<BlkpgPartition>() as i32,
        data: &raw mut partition,
    };
    // SAFETY: BLKPG reads the argument and the partition that it points to; both outlive the call.
    unsafe { ioctl::with_pointer(disk, BLKPG, &raw mut argument) }
}
