//! What the model knows of a VM, a snapshot and a savestate.

use ebbtide::vm::Instance;
use std::collections::BTreeMap;

/// A version: which file, and its first byte.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Version {
    pub(crate) file: u32,
    pub(crate) byte: u8,
}

/// Disks by their names.
pub(crate) type Disks = BTreeMap<&'static str, Version>;

/// A VM.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Machine {
    pub(crate) uuid: u32,
    /// `None`: it is a template.
    pub(crate) template: Option<String>,
    pub(crate) own_root: bool,
    pub(crate) base: Option<String>,
    /// Current versions of the disks that it keeps.
    pub(crate) disks: Disks,
    /// What is written and not committed.
    pub(crate) dirty: BTreeMap<&'static str, u8>,
    pub(crate) runs: bool,
    /// Whether its engine has its lock.
    pub(crate) locked: bool,
    /// What a running one sees of its template's root.
    pub(crate) sees: Option<Version>,
    /// The snapshot that it began with.
    pub(crate) parent: Option<u32>,
    pub(crate) immutable: bool,
    pub(crate) volatile: bool,
    pub(crate) internal: bool,
    pub(crate) instance: Option<Instance>,
    pub(crate) version_of: Option<String>,
    /// Of a working VM: whether by hand, and whether with history.
    pub(crate) versioned: Option<(bool, bool)>,
}

impl Machine {
    /// Returns the names of the disks that are not empty at each start.
    pub(crate) fn shown(&self) -> Vec<&'static str> {
        let private = self.disks.contains_key("private").then_some("private");
        private.into_iter().chain(["root"]).collect()
    }

    /// Returns whether it is a disposable that nobody has yet.
    pub(crate) fn stands_ready(&self) -> bool {
        self.runs && self.instance == Some(Instance::Ready)
    }

    /// Returns whether it keeps what is written to a disk.
    pub(crate) fn keeps(&self, disk: &str) -> bool {
        disk != "root" || self.template.is_none() || self.own_root
    }

    /// Returns the byte of a disk that it keeps, as its guest has it.
    pub(crate) fn byte(&self, disk: &str) -> Option<u8> {
        self.dirty.get(disk).copied().or_else(|| self.disks.get(disk).map(|found| found.byte))
    }
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shot {
    pub(crate) parent: Option<u32>,
    pub(crate) disks: Disks,
    /// The VM as it was.
    pub(crate) of: Machine,
}

/// A savestate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saved {
    /// The VM whose it is.
    pub(crate) of: u32,
    pub(crate) is_hot: bool,
    /// The template that its machine ran on.
    pub(crate) on: Option<String>,
    /// What the VM's record called that.
    pub(crate) boots: Option<String>,
    /// The versions that its machine had begun with.
    pub(crate) began: Disks,
    /// The disks of its machine.
    pub(crate) disks: Disks,
    /// Which one it is a copy of, or its own number: they are in that order.
    pub(crate) taken: u32,
}
