//! The store, enlarged when the host has enlarged the volatile disk.
//!
//! The store's partition is the last one, so it gets the new room up to the last whole MiB. The
//! snapshot asks its device for the size whenever it needs a chunk: nothing is mapped anew, and the
//! mounted root never waits.

use crate::{
    root::{Root, named},
    store::Store,
};
use ebbtide_format::units::{Bytes, LogicalBlock, Sectors};
use ebbtide_init::{
    encrypted::Encrypted,
    layout::{self, Extent},
};
use ebbtide_sys::{keyring, lock, partition};
use std::{
    fs::{self, File},
    io,
};

/// Where the room of the store comes from.
#[derive(Debug)]
pub(crate) struct Growth {
    /// Name of the volatile disk below `/dev`.
    disk: String,
    /// Logical block of the disk.
    block: LogicalBlock,
    /// The store's partition in sysfs, and its number on the disk.
    partition: String,
    index: u32,
    encrypted: bool,
    /// Sizes for which everything has been done, or has failed and been told.
    done: Option<Sizes>,
    failed: Option<Sizes>,
    /// The disk under a shared lock, as soon as that could be had.
    held: Option<File>,
}

/// What a look compares. Whoever has the kernel take over the table on the disk, as `partprobe` does,
/// shrinks the partition and leaves the disk as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    disk: Sectors,
    partition: Sectors,
}

impl Growth {
    /// Finds the partition that the store lies on; `None`, with a line in the log, when there is none.
    ///
    /// # Errors
    /// When sysfs cannot be read.
    pub(crate) fn find(root: &Root, store: &Store) -> io::Result<Option<Self>> {
        let encrypted = store.is_encrypted(root)?;
        let number = if encrypted { lies_on(store)? } else { Some(store.table.cow.clone()) };
        let number = number.unwrap_or_default();
        let partition = format!("sys/dev/block/{number}");
        let index = root.attribute(format!("{partition}/partition"))?.parse().unwrap_or(0);
        let disk = disk_of(root, &partition);
        let block = match &disk {
            Some(disk) => {
                number_in(root, &format!("sys/class/block/{disk}/queue/logical_block_size"))?
            }
            None => 0,
        };
        let (Some(disk), Some(block), 1..) = (disk, LogicalBlock::from_bytes(block), index) else {
            log::warn!("the store is not on a partition of ours and will not grow");
            return Ok(None);
        };
        let (done, failed, held) = (None, None, None);
        Ok(Some(Self { disk, block, partition, index, encrypted, done, failed, held }))
    }

    /// Gives the store what room there is, when disk or partition has another size than after the last
    /// look. What fails is told once, and tried again at each look.
    pub(crate) fn look(&mut self, root: &Root, store: &Store) {
        self.hold(root);
        let Ok(seen) = self.sizes(root).map_err(|error| log::warn!("{error}")) else { return };
        if self.done == Some(seen) {
            return;
        }
        let size = seen.disk;
        let grown = self.grow(root, store, size);
        // The disk as it was seen: one that has grown since then is for the next look.
        let left = self.sizes(root).map_or(seen, |now| Sizes { disk: size, ..now });
        match grown {
            Ok(()) => (self.done, self.failed) = (Some(left), None),
            Err(error) => {
                if self.failed.replace(left) != Some(left) {
                    log::error!("{} has {size} now, and the store cannot grow: {error}", self.disk);
                }
            }
        }
    }

    /// Keeps the disk locked for as long as we watch. udev re-reads the table of a disk that somebody
    /// has written to only under an exclusive lock; its looks at the disk share ours.
    fn hold(&mut self, root: &Root) {
        if self.held.is_none()
            && let Ok(disk) = File::open(root.path(format!("dev/{}", self.disk)))
            && lock::shared(&disk).is_ok()
        {
            self.held = Some(disk);
        }
    }

    fn sizes(&self, root: &Root) -> io::Result<Sizes> {
        let size = |below: &str| number_in(root, below).map(Sectors);
        Ok(Sizes {
            disk: size(&format!("sys/class/block/{}/size", self.disk))?,
            partition: size(&format!("{}/size", self.partition))?,
        })
    }

    fn grow(&self, root: &Root, store: &Store, size: Sectors) -> io::Result<()> {
        let at = |what| number_in(root, &format!("{}/{what}", self.partition));
        let is =
            Extent { start: Sectors(at("start")?).bytes(), length: Sectors(at("size")?).bytes() };
        let becomes = layout::grown(size, self.block, is);
        if let Some(becomes) = becomes {
            self.resize(root, becomes)?;
        }
        let length = becomes.unwrap_or(is).length;
        let before = if self.encrypted { reload(store, length.sectors())? } else { is.length };
        if length > before {
            log::info!("room for copy-on-write grew from {before} to {length}");
        }
        Ok(())
    }

    /// Gives the partition its new end in the kernel. The table on the disk stays as it is: it is made
    /// anew at every start. The disk is opened for reading only, since udev would re-read the table
    /// after whoever closes it having been able to write. A tool that takes the old table over all the
    /// same shrinks the partition again, which the next look sees.
    fn resize(&self, root: &Root, becomes: Extent) -> io::Result<()> {
        let path = root.path(format!("dev/{}", self.disk));
        File::open(&path)
            .and_then(|disk| partition::resize(&disk, self.index, becomes.start.0..becomes.end().0))
            .map_err(|error| named(&path, &error))
    }
}

/// Maps the encrypted device with a new length over the same key and partition, and returns its old
/// one. The resume suspends it, swaps the tables and starts it again in one call: were it suspended
/// between two, this process could wait for a page of its own that is on the root, for ever.
fn reload(store: &Store, size: Sectors) -> io::Result<Bytes> {
    let (control, name) = (&store.control, Encrypted::Store.name());
    let table = control.table(name)?.ok_or(io::ErrorKind::NotFound)?;
    if size.0 > table.sectors {
        // The key stands in the table as its name in the kernel's keyring, where it must be found.
        keyring::join_users()?;
        control.load(name, size.0, &table.target, &table.text)?;
        control.resume(name)?;
    }
    Ok(Sectors(table.sectors).bytes())
}

/// Returns the number of the device below the encrypted one: the fourth word of a `crypt` table.
fn lies_on(store: &Store) -> io::Result<Option<String>> {
    let table = store.control.table(Encrypted::Store.name())?;
    Ok(table.and_then(|table| table.text.split_whitespace().nth(3).map(str::to_string)))
}

/// Returns the name of the disk that a partition is on: in sysfs it is the folder around it.
pub(super) fn disk_of(root: &Root, partition: &str) -> Option<String> {
    let place = fs::canonicalize(root.path(partition)).ok()?;
    Some(place.parent()?.file_name()?.to_str()?.to_string())
}

pub(super) fn number_in(root: &Root, below: &str) -> io::Result<u64> {
    let text = root.attribute(below)?;
    text.parse().map_err(|_| {
        let text = format!("/{below}: found \"{text}\"; wanted a number");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}
