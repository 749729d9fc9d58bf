//! The lock of a VM, and what was settled when it was taken.

use super::Vm;
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, store::Lock},
};
use std::fs::File;

/// Which VMs may be worked on, beside those that are stopped or were cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allow {
    /// No others.
    Stopped,
    /// Those that are prepared for an engine that is not ours.
    Prepared,
}

/// A VM that nobody else works on, for as long as this lives or an engine has inherited its lock.
#[derive(Debug)]
pub struct Guard {
    vm: Vm,
    said: Vec<String>,
    lock: Lock,
}

impl Guard {
    /// Takes the lock of a VM, and settles what a cut has left. `purpose` is what others are told: `start`.
    ///
    /// # Errors
    /// The VM runs, is prepared and that is not allowed, or somebody works on it.
    pub fn take(_pool: &Pool, _name: &VmName, _purpose: &str, _allow: Allow) -> Result<Self> {
        Err(Error::Refused(Refusal::new(RefusalKind::Unable, "VMs cannot be locked yet")))
    }

    /// Returns what was settled, a sentence for each thing.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// Returns the VM, with the record as it was when the lock was taken.
    #[must_use]
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Returns the open file that carries the lock: an engine that inherits it keeps the VM locked.
    ///
    /// # Errors
    /// The pool's locks are no files.
    pub fn lock_file(&self) -> Result<&File> {
        self.lock.file().ok_or_else(|| {
            Refusal::new(RefusalKind::Unable, "locks of this pool are no files to inherit").into()
        })
    }
}
