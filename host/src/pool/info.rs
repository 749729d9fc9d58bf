//! A pool in numbers.

use super::{Pool, config::DriverName};
use crate::error::{Error, Refusal, RefusalKind, Result};
use ebbtide_format::units::Bytes;

/// A pool in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// How versions share what they have in common.
    pub driver: DriverName,
    /// How many versions of a disk are kept where a VM's record says nothing.
    pub keep: u32,
    /// The file system's name, `btrfs`.
    pub file_system: String,
    /// Its size.
    pub size: Bytes,
    /// What is free for this user.
    pub free: Bytes,
    /// Number of templates.
    pub templates: u64,
    /// Number of AppVMs.
    pub appvms: u64,
    /// Number of snapshots.
    pub snapshots: u64,
    /// Number of VMs whose record cannot be read.
    pub unreadable: u64,
    /// Number of images, each version once, however many names it has.
    pub images: u64,
    /// What the images hold: the sum of their lengths.
    pub length: Bytes,
    /// What each of them takes, summed up: what they share is counted as often as it is shared.
    pub allocated: Bytes,
}

impl Pool {
    /// Counts what is in the pool.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn info(&self) -> Result<Info> {
        Err(Error::Refused(Refusal::new(RefusalKind::Unable, "pools cannot be counted yet")))
    }
}
