//! Loop devices: files as block devices.
//!
//! A device is configured by one call (`LOOP_CONFIGURE`, Linux 5.8) and frees itself when nobody has it open any more, so
//! a process that is killed leaves none behind. Source: include/uapi/linux/loop.h.

use crate::ioctl;
use std::{fs::File, io, os::fd::AsRawFd as _};

/// `LOOP_CTL_GET_FREE`, `LOOP_CONFIGURE`, `LOOP_GET_STATUS64`, `LOOP_SET_CAPACITY`: plain numbers, no `_IO` macros.
const CTL_GET_FREE: libc::Ioctl = 0x4c82;
const CONFIGURE: libc::Ioctl = 0x4c0a;
const GET_STATUS64: libc::Ioctl = 0x4c05;
const SET_CAPACITY: libc::Ioctl = 0x4c07;

const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);

/// What a loop device is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Device number of the file system, as `stat(2)` gives it.
    pub device: u64,
    /// Number of the file in it.
    pub inode: u64,
    /// Where in the file the device begins, in bytes.
    pub offset: u64,
    /// Where it ends at the latest; 0 for the end of the file.
    pub size_limit: u64,
    /// Whether nothing can be written to it.
    pub read_only: bool,
    /// Whether it frees itself with its last user.
    pub autoclear: bool,
}

impl Info {
    const fn new(flags: u32) -> Self {
        Self {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        }
    }
}

/// Returns the number of a device that is free at this moment; `control` is `/dev/loop-control`. One is made when all are
/// taken.
///
/// # Errors
/// The kernel has no more.
pub fn free(control: &File) -> io::Result<u32> {
    // SAFETY: the request has no argument; the descriptor is open.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), CTL_GET_FREE) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// Puts a loop device over a whole file, open for reading and writing. It goes when nobody has it open any more.
///
/// # Errors
/// `EBUSY` when somebody else has taken the device.
pub fn configure(device: &File, file: &File) -> io::Result<()> {
    let fd = file.as_raw_fd().cast_unsigned();
    let info = Info::new(AUTOCLEAR);
    let mut config = Config { fd, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: LOOP_CONFIGURE reads one `loop_config`; the descriptor in it is open during the call, and the kernel takes
    // a reference of its own.
    unsafe { ioctl::with_pointer(device, CONFIGURE, &raw mut config) }
}

/// Returns what a loop device is over; `None` when it is free.
///
/// # Errors
/// Others than `ENXIO`.
pub fn status(device: &File) -> io::Result<Option<Status>> {
    let mut info = Info::new(0);
    // SAFETY: LOOP_GET_STATUS64 writes one `loop_info64`.
    match unsafe { ioctl::with_pointer(device, GET_STATUS64, &raw mut info) } {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(Some(Status {
            device: info.device,
            inode: info.inode,
            offset: info.offset,
            size_limit: info.size_limit,
            read_only: info.flags & READ_ONLY != 0,
            autoclear: info.flags & AUTOCLEAR != 0,
        })),
    }
}

/// Has a loop device take the size that its file has by now.
///
/// # Errors
/// `ENXIO` when it is free.
pub fn set_capacity(device: &File) -> io::Result<()> {
    // SAFETY: the request has no argument; the descriptor is open.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_CAPACITY, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
