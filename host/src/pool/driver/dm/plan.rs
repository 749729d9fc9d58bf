//! What is done to a volume's files, as data: steps of the store, and the two that only this driver has.

use crate::{
    Error, Result,
    cow::{Cow, Disk, Sharing, transfer},
    pool::{
        step::{self, Step},
        store::{Progress, Store},
    },
};
use ebbtide_format::units::Bytes;
use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
};

/// A change of files. Paths are relative to the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Of the store.
    File(Step),
    /// Brings what a store holds to its base. Any part of it may be done before, and all of it again.
    Merge { store: PathBuf, base: PathBuf, size: Bytes },
    /// Takes away what a file has behind `size`.
    Shorten { path: PathBuf, size: Bytes },
}

/// Changes in order, what is done afterwards, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan<T> {
    pub(super) acts: Vec<Act>,
    /// That it fails costs room and nothing else.
    pub(super) afterwards: Vec<Step>,
    pub(super) outcome: T,
}

impl<T> Plan<T> {
    /// Returns a plan of steps without anything afterwards.
    pub(super) fn new(steps: Vec<Step>, outcome: T) -> Self {
        let acts = steps.into_iter().map(Act::File).collect();
        Self { acts, afterwards: Vec::new(), outcome }
    }
}

/// Does the changes in order, and stops at the first that fails.
///
/// # Errors
/// Names the change.
pub(super) fn apply(acts: &[Act], store: &dyn Store, progress: &mut dyn Progress) -> Result<()> {
    for act in acts {
        match act {
            Act::File(step) => step::apply(std::slice::from_ref(step), store, progress)?,
            Act::Merge { store: from, base, size } => {
                log::info!("{act}");
                let mut base = open_to_write(&store.real(base))?;
                base.size = *size;
                merge(&Cow::open(&store.real(from))?, &base, progress)?;
            }
            Act::Shorten { path, size } => {
                log::info!("{act}");
                let file = File::options().write(true).open(store.real(path));
                file.and_then(|file| file.set_len(size.0)).map_err(Error::doing(act))?;
            }
        }
    }
    Ok(())
}

/// Brings what a store holds to a file or a device, as far as that reaches. Syncs nothing.
///
/// # Errors
/// The store is damaged, or the kernel has given it up; nothing is written then.
pub(super) fn merge(cow: &Cow, to: &Disk, progress: &mut dyn Progress) -> Result<()> {
    // All exceptions are looked at before the first is written.
    let mut whole = Bytes(0);
    for run in cow.runs(to.size)? {
        whole.0 += run?.length;
    }
    transfer(cow.runs(to.size)?, &cow.disk, to, Sharing::WhereItCan, whole, progress).map(drop)
}

/// Opens a file, or a device that is nobody else's though it is not held alone: versions are mapped over the same base.
pub(super) fn open_to_write(path: &Path) -> Result<Disk> {
    let file = File::options().read(true).write(true).open(path);
    Disk::of(path, file.map_err(Error::doing(format!("open {}", path.display())))?)
}

/// An imperative, as the log says it before it is done.
impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(step) => step.fmt(f),
            Self::Merge { store, base, .. } => {
                write!(f, "merge {} into {}", store.display(), base.display())
            }
            Self::Shorten { path, size } => write!(f, "shorten {} to {size}", path.display()),
        }
    }
}
