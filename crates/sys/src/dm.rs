//! Device-mapper, spoken directly, because a boot stage must never wait for udev.
//!
//! A device is made in three calls: [`Control::create`], [`Control::load`], [`Control::resume`].
//! None of them uses a udev cookie, so none can block on a semaphore that a dead udevd never
//! releases; instead the resume carries `DM_UDEV_PRIMARY_SOURCE_FLAG` in the bits that the kernel
//! hands to udev's rules, which then treat the device as ready, also at a later coldplug. Without
//! it udev deletes the device's link at the next `udevadm trigger`. Source of the structures:
//! include/uapi/linux/dm-ioctl.h; of the flag: libdevmapper.h of LVM2.

use crate::ioctl;
use std::{fs::File, io, path::Path};

const NAME: usize = 128;
const UUID: usize = 129;
const TARGET: usize = 16;
const VERSION: [u32; 3] = [4, 0, 0];

const DEV_CREATE: u8 = 3;
const DEV_REMOVE: u8 = 4;
const DEV_SUSPEND: u8 = 6;
const DEV_STATUS: u8 = 7;
const TABLE_LOAD: u8 = 9;
const TABLE_STATUS: u8 = 12;
const GET_TARGET_VERSION: u8 = 17;

const STATUS_TABLE: u32 = 1 << 4;
const ACTIVE_TABLE: u32 = 1 << 5;
const INACTIVE_TABLE: u32 = 1 << 6;
const BUFFER_FULL: u32 = 1 << 8;
const DEFERRED_REMOVE: u32 = 1 << 17;
const PRIMARY_SOURCE: u32 = 0x0040 << 16;

/// `struct dm_ioctl`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; NAME],
    uuid: [u8; UUID],
    data: [u8; 7],
}

/// `struct dm_target_spec`, which stands before each target's arguments.
#[repr(C)]
#[derive(Clone, Copy)]
struct TargetSpec {
    start: u64,
    length: u64,
    status: i32,
    next: u32,
    target: [u8; TARGET],
}

/// Bytes for arguments of a target or a status line.
const ROOM: usize = 1024;

/// A header, one target and its text: what any call here needs.
#[repr(C)]
struct Message {
    header: Header,
    target: TargetSpec,
    text: [u8; ROOM],
}

const _: () = assert!(size_of::<Header>() == 312 && size_of::<TargetSpec>() == 40);

/// What a mapped device says of its first target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Name of the target, `snapshot` for one.
    pub target: String,
    /// Length in sectors.
    pub sectors: u64,
    /// The target's own text.
    pub text: String,
}

/// What a mapped device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its minor number: it is `/dev/dm-MINOR`.
    pub minor: u32,
    /// Its identifier, empty for none.
    pub uuid: String,
    /// Whether it has a table, in operation or loaded.
    pub has_table: bool,
}

/// The control node of device-mapper.
#[derive(Debug)]
pub struct Control(File);

impl Control {
    /// Opens the control node, `/dev/mapper/control`.
    ///
    /// # Errors
    /// `ENOENT` when device-mapper is not in the kernel, or its module is not loaded.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::options().read(true).write(true).open(path).map(Self)
    }

    /// Asks the kernel for a target; it loads the module for it when it can.
    ///
    /// # Errors
    /// `EINVAL` when the kernel neither has the target nor can load it.
    pub fn find_target(&self, target: &str) -> io::Result<()> {
        let mut message = Message::new(target, "")?;
        self.call(GET_TARGET_VERSION, &mut message)
    }

    /// Creates a device without a table, and returns its minor number.
    ///
    /// # Errors
    /// `EBUSY` when the name or the identifier is taken.
    pub fn create(&self, name: &str, uuid: &str) -> io::Result<u32> {
        let mut message = Message::new(name, uuid)?;
        self.call(DEV_CREATE, &mut message)?;
        Ok(message.header.minor())
    }

    /// Loads a table of one target that starts at sector 0; it takes effect with [`Self::resume`].
    ///
    /// # Errors
    /// What the target refuses, mostly `EINVAL`, with the reason in the kernel log.
    pub fn load(&self, name: &str, sectors: u64, target: &str, arguments: &str) -> io::Result<()> {
        let mut message = Message::new(name, "")?;
        message.header.target_count = 1;
        message.target.length = sectors;
        message.target.next = (size_of::<TargetSpec>() + ROOM) as u32;
        copy_text(&mut message.target.target, target)?;
        copy_text(&mut message.text, arguments)?;
        self.call(TABLE_LOAD, &mut message)
    }

    /// Makes the loaded table the active one; the device can be used when this returns.
    ///
    /// # Errors
    /// What the target reports when it starts.
    pub fn resume(&self, name: &str) -> io::Result<()> {
        let mut message = Message::new(name, "")?;
        message.header.event_nr = PRIMARY_SOURCE;
        self.call(DEV_SUSPEND, &mut message)
    }

    /// Removes a device, at once or, when it is open (udev may be looking at it), with its last user.
    ///
    /// # Errors
    /// `ENXIO` when there is none of that name.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.remove_with(name, DEFERRED_REMOVE)
    }

    /// Removes a device at once.
    ///
    /// # Errors
    /// `ENXIO` when there is none of that name, `EBUSY` when it is open.
    pub fn remove_unused(&self, name: &str) -> io::Result<()> {
        self.remove_with(name, 0)
    }

    fn remove_with(&self, name: &str, flags: u32) -> io::Result<()> {
        let mut message = Message::new(name, "")?;
        message.header.event_nr = PRIMARY_SOURCE;
        message.header.flags = flags;
        self.call(DEV_REMOVE, &mut message)
    }

    /// Returns what a device is.
    ///
    /// # Errors
    /// `ENXIO` when there is none of that name.
    pub fn info(&self, name: &str) -> io::Result<Info> {
        let mut message = Message::new(name, "")?;
        self.call(DEV_STATUS, &mut message)?;
        let header = &message.header;
        Ok(Info {
            minor: header.minor(),
            uuid: text(&header.uuid),
            has_table: header.flags & (ACTIVE_TABLE | INACTIVE_TABLE) != 0,
        })
    }

    /// Returns the status of the first target of a device, or `None` when it has no table.
    ///
    /// # Errors
    /// `ENXIO` when there is no such device.
    pub fn status(&self, name: &str) -> io::Result<Option<Status>> {
        self.first_target(name, 0)
    }

    /// Returns the first target of the table that a device works with, its arguments as the text;
    /// `None` when it has no table.
    ///
    /// # Errors
    /// `ENXIO` when there is no such device.
    pub fn table(&self, name: &str) -> io::Result<Option<Status>> {
        self.first_target(name, STATUS_TABLE)
    }

    fn first_target(&self, name: &str, flags: u32) -> io::Result<Option<Status>> {
        let mut message = Message::new(name, "")?;
        message.header.flags = flags;
        self.call(TABLE_STATUS, &mut message)?;
        if message.header.flags & BUFFER_FULL != 0 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if message.header.target_count == 0 {
            return Ok(None);
        }
        Ok(Some(Status {
            target: text(&message.target.target),
            sectors: message.target.length,
            text: text(&message.text),
        }))
    }

    fn call(&self, number: u8, message: &mut Message) -> io::Result<()> {
        let request = ioctl::read_write(0xfd, number, size_of::<Header>());
        // SAFETY: device-mapper reads and writes `data_size` bytes from the header on, and
        // `Message::new` sets it to the size of the whole message.
        unsafe { ioctl::with_pointer(&self.0, request, std::ptr::from_mut(message)) }
    }
}

impl Header {
    /// Returns the minor number in a device number by `huge_encode_dev` of the kernel's
    /// include/linux/kdev_t.h.
    const fn minor(&self) -> u32 {
        ((self.dev & 0xff) | ((self.dev >> 12) & 0xf_ff00)) as u32
    }
}

impl Message {
    fn new(name: &str, uuid: &str) -> io::Result<Self> {
        let mut message = Self {
            header: Header {
                version: VERSION,
                data_size: size_of::<Self>() as u32,
                data_start: size_of::<Header>() as u32,
                target_count: 0,
                open_count: 0,
                flags: 0,
                event_nr: 0,
                padding: 0,
                dev: 0,
                name: [0; NAME],
                uuid: [0; UUID],
                data: [0; 7],
            },
            target: TargetSpec { start: 0, length: 0, status: 0, next: 0, target: [0; TARGET] },
            text: [0; ROOM],
        };
        copy_text(&mut message.header.name, name)?;
        copy_text(&mut message.header.uuid, uuid)?;
        Ok(message)
    }
}

/// Copies a text into a field that ends with a zero byte; a text that does not fit is an error.
fn copy_text(field: &mut [u8], text: &str) -> io::Result<()> {
    if text.len() >= field.len() || text.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    field[..text.len()].copy_from_slice(text.as_bytes());
    Ok(())
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_refused() {
        assert!(copy_text(&mut [0; 4], "abc").is_ok());
        assert!(copy_text(&mut [0; 4], "abcd").is_err());
        assert!(copy_text(&mut [0; 4], "a\0c").is_err());
    }

    #[test]
    fn requests_have_the_kernels_numbers() {
        // DM_DEV_CREATE as the C headers give it.
        assert_eq!(ioctl::read_write(0xfd, DEV_CREATE, size_of::<Header>()), 0xc138_fd03);
    }
}
