//! What was seen of a pool, as plain data: names and what is known of them, records as far as they can be read.

use crate::{
    name::{VmName, VolumeName},
    pool::{driver::Stray, store::Stat},
    vm::{
        Snapshot,
        record::{Kind, Record},
    },
    volume::{FileKind, Role, files::read_name},
};
use ebbtide_format::units::Bytes;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A pool, all of it that is looked at.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The pool's own directory.
    pub root: Stat,
    /// What is in it.
    pub top: Vec<Entry>,
    /// The directories in `vm-templates` and `appvms`, those that are being made too.
    pub vms: Vec<SeenVm>,
    /// What else is in `vm-templates` and `appvms`.
    pub others: Vec<Entry>,
    /// What is in `snapshots`.
    pub snapshots: Vec<SeenSnapshot>,
    /// Devices of the pool that are not as they should be.
    pub strays: Vec<Stray>,
    /// When it was looked at.
    pub now: SystemTime,
}

/// A name in a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Relative to the pool.
    pub path: PathBuf,
    /// What it is.
    pub stat: Stat,
}

impl Entry {
    /// Returns the last part of its path, where it is text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }
}

/// An entry of `snapshots`.
#[derive(Debug, Clone)]
pub struct SeenSnapshot {
    /// The entry: a directory, if it is ours.
    pub dir: Entry,
    /// What is in it.
    pub entries: Vec<Entry>,
    /// What its record says.
    pub record: Text<Snapshot>,
}

/// The directory of a VM.
#[derive(Debug, Clone)]
pub struct SeenVm {
    /// Where it is.
    pub dir: PathBuf,
    /// Which directory it is in.
    pub kind: Kind,
    /// Its own name.
    pub file_name: OsString,
    /// What it is.
    pub stat: Stat,
    /// What is in it.
    pub entries: Vec<Entry>,
    /// What its record says.
    pub record: Text<Record>,
    /// The volumes that the record describes, with their roles.
    pub volumes: BTreeMap<VolumeName, Role>,
    /// Whether it runs.
    pub life: Life,
    /// Volumes on which somebody works without the VM's lock.
    pub locked: Vec<VolumeName>,
    /// What its exception stores say, or why they cannot be read; `None` in a pool without such.
    pub stores: Option<BTreeMap<PathBuf, Result<StoreSeen, String>>>,
}

/// What an exception store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSeen {
    /// Size of the version that it is of.
    pub device: Bytes,
    /// Whether anything is in it.
    pub is_written: bool,
    /// Whether the kernel has given it up.
    pub is_lost: bool,
}

/// A file that is parsed.
#[derive(Debug, Clone)]
pub enum Text<T> {
    /// Not there.
    Missing,
    /// There, and nothing that is understood: why.
    Unreadable(String),
    /// What it says.
    Read(T),
}

/// Whether a VM is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// By nobody.
    Stopped,
    /// By its engine, by who prepared it, or by a command.
    InUse,
    /// By an engine that is gone.
    CutOff,
    /// Its `run.toml` cannot be read: why.
    Unclear(String),
}

impl SeenVm {
    /// Returns its name, if it can be one.
    #[must_use]
    pub fn name(&self) -> Option<VmName> {
        self.file_name.to_str()?.parse().ok()
    }

    /// Returns its record, if there is one that can be read.
    #[must_use]
    pub fn read(&self) -> Option<&Record> {
        match &self.record {
            Text::Read(record) => Some(record),
            _ => None,
        }
    }

    /// Returns what is in its directory under this name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == self.dir.join(name))
    }

    /// Returns the files of its volumes, whatever kind they are of.
    pub fn images(&self) -> impl Iterator<Item = (VolumeName, FileKind, &Entry)> {
        self.entries.iter().filter_map(|entry| {
            let (volume, kind) = read_name(entry.name()?)?;
            Some((volume, kind, entry))
        })
    }
}

/// Returns whether a directory's or a file's name is that of something that is being made.
#[must_use]
pub fn is_aside(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(".aside-"))
}
