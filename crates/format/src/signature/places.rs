//! Where on a disk something can be that a file system was made with.

use super::{
    file_system::Kind,
    marker::{MARKER_SIZE, file_system_end},
};
use crate::units::Bytes;
use alloc::{vec, vec::Vec};
use core::ops::Range;

/// The first MiBs hold every primary superblock and the second header of LUKS, at most at 4 MiB.
const HEAD: u64 = (4 << 20) + PLACE;
/// The last MiB holds what volume managers write to the end.
const END: u64 = (1 << 20) + MARKER_SIZE;
/// What is read at a place further in.
const PLACE: u64 = 64 << 10;
/// What a look reads that only has to confirm a file system.
const GLANCE: u64 = 128 << 10;

/// Groups of ext2, 3 and 4 with a copy of the superblock: powers of 3, 5 and 7 (`sparse_super`,
/// fs/ext4/balloc.c).
const EXT_GROUPS: [u64; 7] = [1, 3, 5, 7, 9, 25, 27];
/// The second and the third superblock of btrfs (fs/btrfs/disk-io.h, `btrfs_sb_offset`).
const BTRFS: [u64; 2] = [64 << 20, 256 << 30];
/// XFS has four allocation groups below 4 TiB, and ones of 1 TiB above (mkfs.xfs,
/// `calc_default_ag_geometry`).
const XFS_GROUPS: u64 = 4;
const XFS_BLOCK: u64 = 4096;
const XFS_LARGEST_GROUP: u64 = (1 << 40) / XFS_BLOCK;

/// Returns what has to be read to prove that a disk of this size is blank: ranges of bytes, rising and
/// apart from each other, in whole sectors if the disk is.
#[must_use]
pub fn ranges(disk: Bytes) -> Vec<Range<u64>> {
    let mut all = vec![0..HEAD, disk.0.saturating_sub(END)..disk.0];
    all.extend(copies(disk).into_iter().map(|(_, at)| at..at.saturating_add(PLACE)));
    joined(disk, all)
}

/// Returns what has to be read to believe a file system that is where it should be; when there is none,
/// [`ranges`] have to be read.
#[must_use]
pub fn glance(disk: Bytes) -> Vec<Range<u64>> {
    let marker = file_system_end(disk).0;
    let end = disk.0.saturating_sub(GLANCE);
    joined(disk, vec![0..GLANCE, marker..marker + MARKER_SIZE, end..disk.0])
}

/// Returns where copies of superblocks can be, beyond the first MiBs.
pub(super) fn copies(disk: Bytes) -> Vec<(Kind, u64)> {
    let mut all = vec![];
    for shift in [10, 11, 12] {
        // A group is what one block of bits covers. With blocks of 1 KiB the boot block comes first.
        let (group, first) = (8u64 << (2 * shift), if shift == 10 { 1024 } else { 0 });
        all.extend(EXT_GROUPS.map(|number| (Kind::Ext4, number * group + first)));
        // With `sparse_super2` the second copy is in the last group.
        let last = disk.0.saturating_sub(first + 1) / group;
        all.push((Kind::Ext4, last * group + first));
    }
    all.extend(BTRFS.map(|at| (Kind::Btrfs, at)));
    for size in [disk, file_system_end(disk)] {
        let group = (size.0 / XFS_BLOCK).div_ceil(XFS_GROUPS).min(XFS_LARGEST_GROUP);
        all.extend((1..XFS_GROUPS).map(|number| (Kind::Xfs, number * group * XFS_BLOCK)));
    }
    all.retain(|(_, at)| *at > 0 && *at < disk.0);
    all
}

/// Cuts ranges at the end of the disk, sorts them and joins those that touch.
fn joined(disk: Bytes, all: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut rising: Vec<Range<u64>> = Vec::with_capacity(all.len());
    for range in all {
        let range = range.start..range.end.min(disk.0);
        if !range.is_empty() {
            let at = rising.partition_point(|other| other.start < range.start);
            rising.insert(at, range);
        }
    }
    let mut apart: Vec<Range<u64>> = Vec::with_capacity(rising.len());
    for range in rising {
        match apart.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}
