//! One change to the files of a pool, as data.
//!
//! A protocol is a list of steps that leaves nothing to decide. The text of a step is what the log says before
//! it is done. Tests cut such a list after every step.

use super::store::{Progress, Store};
use crate::error::{Error, Result};
use ebbtide_format::units::Bytes;
use std::{
    fmt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A change. Paths are relative to the pool, but for those called `outside`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the operands of the store's operations")]
pub enum Step {
    MakeDir(PathBuf),
    MakeImage { path: PathBuf, size: Bytes },
    CloneImage { from: PathBuf, to: PathBuf },
    TakeIn { outside: PathBuf, to: PathBuf },
    WriteNew { path: PathBuf, content: Vec<u8> },
    Link { from: PathBuf, to: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
    RemoveDir(PathBuf),
    Grow { path: PathBuf, size: Bytes },
    SetModified { path: PathBuf, time: SystemTime },
    SyncFile(PathBuf),
    SyncDir(PathBuf),
}

impl Step {
    /// Does it.
    fn apply(&self, store: &dyn Store, progress: &mut dyn Progress) -> std::io::Result<()> {
        match self {
            Self::MakeDir(path) => store.make_dir(path),
            Self::MakeImage { path, size } => store.make_image(path, *size),
            Self::CloneImage { from, to } => store.clone_image(from, to, progress),
            Self::TakeIn { outside, to } => store.take_in(outside, to, progress),
            Self::WriteNew { path, content } => store.write_new(path, content),
            Self::Link { from, to } => store.link(from, to),
            Self::Rename { from, to } => store.rename(from, to),
            Self::Remove(path) => store.remove(path),
            Self::RemoveDir(path) => store.remove_dir(path),
            Self::Grow { path, size } => store.grow(path, *size),
            Self::SetModified { path, time } => store.set_modified(path, *time),
            Self::SyncFile(path) => store.sync_file(path),
            Self::SyncDir(path) => store.sync_dir(path),
        }
    }
}

/// Does the steps in order, and stops at the first that fails: what is done until there is in a state that the
/// protocol's `recover` understands.
///
/// # Errors
/// Names the step.
pub fn apply(steps: &[Step], store: &dyn Store, progress: &mut dyn Progress) -> Result<()> {
    for step in steps {
        log::info!("{step}");
        step.apply(store, progress).map_err(Error::doing(step))?;
    }
    Ok(())
}

/// An imperative, with the files as the pool names them: `rename vm-templates/d/root-dirty.img to …/root.img`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |path: &Path| path.display().to_string();
        match self {
            Self::MakeDir(path) => write!(f, "make directory {}", show(path)),
            Self::MakeImage { path, size } => write!(f, "make image {} of {size}", show(path)),
            Self::CloneImage { from, to } => write!(f, "clone {} to {}", show(from), show(to)),
            Self::TakeIn { outside, to } => write!(f, "copy {} to {}", show(outside), show(to)),
            Self::WriteNew { path, content } => {
                write!(f, "write {}, {} bytes", show(path), content.len())
            }
            Self::Link { from, to } => write!(f, "link {} as {}", show(from), show(to)),
            Self::Rename { from, to } => write!(f, "rename {} to {}", show(from), show(to)),
            Self::Remove(path) => write!(f, "remove {}", show(path)),
            Self::RemoveDir(path) => write!(f, "remove directory {}", show(path)),
            Self::Grow { path, size } => write!(f, "grow {} to {size}", show(path)),
            Self::SetModified { path, .. } => write!(f, "set the time of {}", show(path)),
            Self::SyncFile(path) => write!(f, "sync {}", show(path)),
            Self::SyncDir(path) => write!(f, "sync directory {}", show(path)),
        }
    }
}
