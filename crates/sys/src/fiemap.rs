//! Where the data of a file lies on its disk.

use crate::ioctl;
use std::{fs::File, io};

/// `_IOWR('f', 11, struct fiemap)`, include/uapi/linux/fs.h; the size is that of the head alone.
const FS_IOC_FIEMAP: libc::Ioctl = ioctl::read_write(b'f', 11, size_of::<Head>());
/// What is not yet on the disk is written there before the extents are listed.
const FIEMAP_FLAG_SYNC: u32 = 1;
/// How many extents one call lists.
const AT_ONCE: usize = 1024;

/// `struct fiemap` without its extents, include/uapi/linux/fiemap.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
}

/// `struct fiemap_extent`: a part of a file that lies in one piece on the disk. What no extent covers is a hole.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// First byte in the file.
    pub logical: u64,
    /// First byte on the disk, as the file system counts.
    pub physical: u64,
    /// Bytes; the last extent may reach past the end of the file.
    pub length: u64,
    reserved64: [u64; 2],
    /// What is special about it: `Extent::LAST` and the others.
    pub flags: u32,
    reserved: [u32; 3],
}

impl Extent {
    /// It is the last of the file.
    pub const LAST: u32 = 0x1;
    /// Where it lies is not known.
    pub const UNKNOWN: u32 = 0x2;
    /// It has no place yet.
    pub const DELALLOC: u32 = 0x4;
    /// What lies there is compressed or encrypted.
    pub const ENCODED: u32 = 0x8;
    /// Offsets are not in whole blocks.
    pub const NOT_ALIGNED: u32 = 0x100;
    /// It lies within the inode.
    pub const INLINE: u32 = 0x200;
    /// It shares a block with other files.
    pub const TAIL: u32 = 0x400;
    /// It has a place, and reads as zeros.
    pub const UNWRITTEN: u32 = 0x800;
    /// It was put together from several.
    pub const MERGED: u32 = 0x1000;
    /// Other files lie there too.
    pub const SHARED: u32 = 0x2000;

    /// Returns an extent.
    #[must_use]
    pub fn new(logical: u64, physical: u64, length: u64, flags: u32) -> Self {
        Self { logical, physical, length, flags, ..Self::default() }
    }
}

/// Head and extents as the kernel wants them, one behind the other.
#[repr(C)]
struct Request {
    head: Head,
    extents: [Extent; AT_ONCE],
}

/// Returns all extents of a file in the order of the file, after everything that was written to it has reached its disk.
///
/// # Errors
/// `EOPNOTSUPP` when the file system does not say.
pub fn extents(file: &File) -> io::Result<Vec<Extent>> {
    let head = Head {
        start: 0,
        length: 0,
        flags: FIEMAP_FLAG_SYNC,
        mapped: 0,
        room: AT_ONCE as u32,
        reserved: 0,
    };
    let mut request = Box::new(Request { head, extents: [Extent::default(); AT_ONCE] });
    let (mut all, mut start) = (Vec::new(), 0);
    loop {
        request.head = Head { start, length: u64::MAX - start, ..head };
        // SAFETY: FS_IOC_FIEMAP writes the head and at most `room` extents behind it, which is how many there are.
        unsafe { ioctl::with_pointer(file, FS_IOC_FIEMAP, &raw mut *request) }?;
        let listed =
            request.extents.get(..request.head.mapped as usize).unwrap_or(&request.extents);
        all.extend_from_slice(listed);
        match listed.last() {
            Some(last) if last.flags & Extent::LAST == 0 && last.logical + last.length > start => {
                start = last.logical + last.length;
            }
            _ => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!((size_of::<Head>(), size_of::<Extent>()), (32, 56));
        // FS_IOC_FIEMAP as strace knows it.
        assert_eq!(FS_IOC_FIEMAP, 0xc020_660b);
    }

    #[test]
    fn a_written_file_has_extents_where_the_file_system_says_so() {
        let path = std::env::temp_dir().join(format!("ebbtide-fiemap-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&[1; 100_000]).unwrap();
        match extents(&file) {
            Ok(extents) => {
                let covered: u64 = extents.iter().map(|extent| extent.length).sum();
                assert!(covered >= 100_000, "{extents:?}");
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP)),
        }
    }
}
