//! A savestate of a VM: the memory of its machine, and all disks that the machine has, of one instant.
//!
//! ```text
//! savestates/UUID/savestate.toml    whose, when, of what machine, and the VM's record as it was; written last
//! savestates/UUID/NAME.img          a disk: a link of its version, or a clone of what was not committed
//! savestates/UUID/memory            what the engine has written of the machine
//! ```
//! It is a directory that is renamed into place, so it is there as a whole or not at all. Nobody ever writes to what is in it:
//! any number of machines may go on from one, each with disks of its own. It has the versions that its machine ran on, and so
//! these are kept as long as it is.

mod copy;
mod current;
mod read;
mod remove;
mod source;
mod take;

pub(super) use copy::{has_any, inherit};
pub use current::{hot_of, is_current, related};
pub(crate) use read::parse;
pub use read::{find, list, size};
pub use remove::{remove, remove_all, remove_hot, replace_hot};
pub use source::{Source, prepare_from, source};
pub use take::{Of, Taking};

use super::{
    Record, Vm,
    instant::{InstantDisk, Memory, instants},
};
use crate::{
    error::Result,
    name::{VmName, VolumeName},
    pool::Pool,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The directory of savestates, which is made on demand.
pub(crate) const SAVESTATES: &str = "savestates";
/// The record's file in the directory of a savestate.
pub(super) const FILE: &str = "savestate.toml";
/// The version of the format that this program writes and reads.
const FORMAT: u32 = 1;

/// The locks in a VM's directory of whoever makes its hot savestate, and its disposables that stand ready.
pub(crate) const HOT_LOCK: &str = ".hot.lock";
pub(crate) const READY_LOCK: &str = ".ready.lock";

/// A savestate of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Savestate {
    /// The version of the format.
    pub format: u32,
    /// Its own.
    pub uuid: Uuid,
    /// The VM, by its UUID.
    pub of: Uuid,
    /// The VM's name at that time.
    pub vm: VmName,
    /// Who wanted it.
    pub kind: Kind,
    /// When it was taken.
    pub time: Timestamp,
    /// The VM's template; of a versioned one the version that the machine ran on, unless that was gone by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<VmName>,
    /// Which versions the disks of the machine had begun with, as [`is_current`] knows them again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<VolumeName, String>,
    /// What the machine was.
    pub memory: Memory,
    /// All disks of the machine.
    pub disks: Vec<InstantDisk>,
    /// The VM's record.
    pub record: Record,
}

impl Savestate {
    /// Returns its directory, relative to the pool.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        dir_of(self.uuid)
    }
}

/// Refuses a VM that cannot have savestates.
///
/// # Errors
/// The driver of its pool writes disks in place.
pub fn check(pool: &Pool, vm: &Vm) -> Result<()> {
    instants(pool, vm).map(drop)
}

fn dir_of(uuid: Uuid) -> PathBuf {
    Path::new(SAVESTATES).join(uuid.to_string())
}

/// Who wanted a savestate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Whoever starts disposables of the VM: it is made again when the VM or its template has new versions.
    Hot,
    /// A person, at a moment of theirs.
    Manual,
}

/// As records write it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot => "hot",
            Self::Manual => "manual",
        })
    }
}
