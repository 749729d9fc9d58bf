//! Mounted file systems that grow to the size of their device.

use crate::ioctl;
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// `_IOW('f', 16, __u64)`, fs/ext4/ext4.h (include/uapi/linux/ext4.h since 6.0).
const EXT4_IOC_RESIZE_FS: libc::Ioctl = ioctl::write(b'f', 16, size_of::<u64>());

/// Grows a mounted ext2, 3 or 4 to `blocks` blocks of its own.
///
/// # Errors
/// `EPERM` on a file system with errors, `ENOSPC` where its tables have no room for more groups.
pub fn ext4(file_system: impl AsFd, mut blocks: u64) -> io::Result<()> {
    // SAFETY: the call reads one u64 and writes none.
    unsafe { ioctl::with_pointer(file_system, EXT4_IOC_RESIZE_FS, &raw mut blocks) }
}

/// `struct xfs_fsop_geom`, fs/xfs/libxfs/xfs_fs.h: 256 bytes, of which these are read.
#[repr(C)]
struct XfsGeometry {
    block: u32,
    extent: u32,
    group_blocks: u32,
    groups: u32,
    log_blocks: u32,
    sector: u32,
    inode: u32,
    most_inodes: u32,
    blocks: u64,
    rest: [u64; 27],
}

/// `struct xfs_growfs_data`, the same file.
#[repr(C)]
struct XfsGrow {
    blocks: u64,
    most_inodes: u32,
}

/// `_IOR('X', 126, struct xfs_fsop_geom)`.
const XFS_IOC_FSGEOMETRY: libc::Ioctl = ioctl::read(b'X', 126, size_of::<XfsGeometry>());
/// `_IOW('X', 110, struct xfs_growfs_data)`.
const XFS_IOC_FSGROWFSDATA: libc::Ioctl = ioctl::write(b'X', 110, size_of::<XfsGrow>());

/// Returns the size of a mounted XFS in bytes, as it is in memory.
///
/// # Errors
/// When it is no XFS.
pub fn xfs_size(file_system: impl AsFd) -> io::Result<u64> {
    let found = xfs_geometry(file_system.as_fd())?;
    found.blocks.checked_mul(found.block.into()).ok_or(io::ErrorKind::InvalidData.into())
}

/// Grows a mounted XFS to the whole blocks of `bytes` bytes; one that is as large already stays.
///
/// # Errors
/// `EINVAL` when the device is smaller, `EROFS` and `EIO` as for any write.
pub fn xfs(file_system: impl AsFd, bytes: u64) -> io::Result<()> {
    let found = xfs_geometry(file_system.as_fd())?;
    let blocks = bytes.checked_div(found.block.into()).ok_or(io::ErrorKind::InvalidData)?;
    if blocks <= found.blocks {
        return Ok(());
    }
    let mut wanted = XfsGrow { blocks, most_inodes: found.most_inodes };
    // SAFETY: the call reads one structure and writes none.
    unsafe { ioctl::with_pointer(&file_system, XFS_IOC_FSGROWFSDATA, &raw mut wanted) }
}

fn xfs_geometry(file_system: BorrowedFd<'_>) -> io::Result<XfsGeometry> {
    let mut found = XfsGeometry {
        block: 0,
        extent: 0,
        group_blocks: 0,
        groups: 0,
        log_blocks: 0,
        sector: 0,
        inode: 0,
        most_inodes: 0,
        blocks: 0,
        rest: [0; 27],
    };
    // SAFETY: the call writes one structure, whose fields may hold any bits, and reads none.
    unsafe { ioctl::with_pointer(file_system, XFS_IOC_FSGEOMETRY, &raw mut found) }?;
    Ok(found)
}

/// `struct btrfs_ioctl_vol_args`, include/uapi/linux/btrfs.h.
#[repr(C)]
struct BtrfsArguments {
    descriptor: i64,
    name: [u8; 4088],
}

/// `_IOW(0x94, 3, struct btrfs_ioctl_vol_args)`.
const BTRFS_IOC_RESIZE: libc::Ioctl = ioctl::write(0x94, 3, size_of::<BtrfsArguments>());

/// `struct btrfs_ioctl_fs_info_args`, the same file: 1024 bytes, of which these are read.
#[repr(C)]
struct BtrfsInformation {
    highest_device: u64,
    devices: u64,
    rest: [u64; 126],
}

/// `_IOR(0x94, 31, struct btrfs_ioctl_fs_info_args)`.
const BTRFS_IOC_FS_INFO: libc::Ioctl = ioctl::read(0x94, 31, size_of::<BtrfsInformation>());

/// Grows a mounted btrfs on one device to the size of the device.
///
/// # Errors
/// `EINPROGRESS` (or `EINVAL`) while another operation such as a balance runs, `InvalidData` when it
/// is on several devices.
pub fn btrfs(file_system: impl AsFd) -> io::Result<()> {
    let mut found = BtrfsInformation { highest_device: 0, devices: 0, rest: [0; 126] };
    // SAFETY: the call writes one structure, whose fields may hold any bits; what it reads of it are
    // flags, which are zero.
    unsafe { ioctl::with_pointer(&file_system, BTRFS_IOC_FS_INFO, &raw mut found) }?;
    if found.devices != 1 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut wanted = BtrfsArguments { descriptor: 0, name: [0; 4088] };
    // Without a number the kernel takes device 1, which is gone once it was replaced by another.
    let size = format!("{}:max", found.highest_device);
    wanted.name[..size.len()].copy_from_slice(size.as_bytes());
    // SAFETY: the call reads one structure, whose name ends with a zero, and writes none.
    unsafe { ioctl::with_pointer(file_system, BTRFS_IOC_RESIZE, &raw mut wanted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers, as the kernel's headers come to them on x86-64 and arm64.
    #[test]
    fn requests_are_those_of_the_headers() {
        assert_eq!(EXT4_IOC_RESIZE_FS, 0x4008_6610);
        assert_eq!(XFS_IOC_FSGEOMETRY as u32, 0x8100_587e);
        assert_eq!(XFS_IOC_FSGROWFSDATA, 0x4010_586e);
        assert_eq!(BTRFS_IOC_RESIZE, 0x5000_9403);
        assert_eq!(BTRFS_IOC_FS_INFO as u32, 0x8400_941f);
    }
}
