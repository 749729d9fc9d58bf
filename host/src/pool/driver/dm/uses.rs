//! Who uses which base and which version of it: told by the names of files alone.
//!
//! A VM uses a version while it has a second name of its store, `root-snap.img`, beside one of its base; so does whoever
//! exports one, with the export's name. A volume is written to while its base has a second name, `root-dirty.img` for a
//! VM and `root.img.aside-revert` for a revert, and for what is being put back.

use super::{
    devices::{Table, whole},
    reconcile::Wanted,
    seen::{Head, read_head},
};
use crate::{
    error::{Error, Result},
    pool::store::{Inode, Kind, Store},
    vm::Kind as VmKind,
    volume::{FileKind, Files, files::read_name},
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// What a base is put aside for while a revert writes to it, and while what was written is put back: what it has is
/// nothing to go on from.
pub(super) const REVERT: &str = "revert";

/// A use of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    /// The volume in whose directory it is told.
    pub(super) files: Files,
    /// What it is.
    pub(super) how: How,
    /// The base.
    pub(super) base: PathBuf,
    /// The store of the version that is used, or that is to be kept from being written over.
    pub(super) store: PathBuf,
}

/// What a use is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// The base is written to.
    Writes,
    /// A version is read, under this name.
    Reads(FileKind),
}

/// Returns the uses of a base.
///
/// # Errors
/// A directory cannot be read.
pub(super) fn uses(store: &dyn Store, of: Inode) -> Result<Vec<Use>> {
    let mut found = Vec::new();
    for kind in [VmKind::Template, VmKind::AppVm] {
        let above = Path::new(kind.directory());
        for name in names(store, above)? {
            let dir = above.join(name);
            for file in names(store, &dir)? {
                let Some((volume, kind)) = file.to_str().and_then(read_name) else { continue };
                found.extend(of_file(store, &Files::new(&dir, volume), kind, of)?);
            }
        }
    }
    Ok(found)
}

/// Returns the use that a file tells of, if it is one of this base.
fn of_file(store: &dyn Store, files: &Files, kind: FileKind, of: Inode) -> Result<Option<Use>> {
    let is_of = |path: &Path| Ok::<_, Error>(inode(store, path)? == Some(of));
    let is_write = kind == FileKind::Dirty || kind == FileKind::Aside(REVERT.into());
    if is_write && files.used_by().is_none() {
        let base = files.path(&kind);
        let is_ours = is_of(&base)?;
        let store = files.cow().clean();
        let files = files.clone();
        return Ok(is_ours.then_some(Use { files, how: How::Writes, base, store }));
    }
    let is_read = matches!(kind, FileKind::Clean | FileKind::Export(_));
    let Some(volume) = files.used_by().filter(|_| is_read) else { return Ok(None) };
    let base = volume.path(&kind);
    let is_ours = is_of(&base)?;
    let store = files.path(&kind);
    Ok(is_ours.then_some(Use { files: volume, how: How::Reads(kind), base, store }))
}

/// Returns the devices that these uses of a base want. A version whose store cannot be read is told in the log: its
/// users have lost it, and others have not.
///
/// # Errors
/// The store of the volume that is written to cannot be read: its version would be lost.
pub(super) fn wanted(store: &dyn Store, base: Inode, uses: &[Use]) -> Result<Wanted> {
    let mut wanted = Wanted { base, origin: None, snapshots: Default::default() };
    for used in uses {
        let real = store.real(&used.base);
        match (inode(store, &used.store)?, read_head(&store.real(&used.store))) {
            (Some(_), Ok(head)) if head.is_lost => {
                log::warn!("{} is a version that is lost", used.store.display());
            }
            (Some(inode), Ok(head)) => {
                let table = snapshot(&real, &store.real(&used.store), &head);
                wanted.snapshots.insert(inode, table);
            }
            (_, Err(error)) if used.how == How::Writes => return Err(error),
            (_, Err(error)) => log::warn!("{}: {}", used.files.dir.display(), error.chain()),
            (None, Ok(_)) => {}
        }
        if used.how == How::Writes
            && let Some(found) = stat(store, &used.base)?
        {
            let size = whole(found.size).sectors();
            wanted.origin = Some(Table::Origin { file: real, size });
        }
    }
    // Without a version to keep, an origin has no chunk, and the kernel reckons with it all the same.
    if let (Some(Table::Origin { file, size }), true) =
        (&wanted.origin, wanted.snapshots.is_empty())
    {
        wanted.origin = Some(Table::File { file: file.clone(), size: *size });
    }
    Ok(wanted)
}

/// Returns the table of a version.
pub(super) fn snapshot(base: &Path, store: &Path, head: &Head) -> Table {
    Table::Snapshot {
        base: base.into(),
        store: store.into(),
        size: whole(head.label.device).sectors(),
        chunk: head.chunk,
    }
}

pub(super) fn names(store: &dyn Store, dir: &Path) -> Result<Vec<std::ffi::OsString>> {
    match store.names(dir) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        names => names.map_err(Error::doing(format!("list {}", dir.display()))),
    }
}

pub(super) fn stat(store: &dyn Store, path: &Path) -> Result<Option<crate::pool::store::Stat>> {
    let stat = store.stat(path).map_err(Error::doing(format!("look at {}", path.display())))?;
    Ok(stat.filter(|stat| stat.kind == Kind::File))
}

pub(super) fn inode(store: &dyn Store, path: &Path) -> Result<Option<Inode>> {
    Ok(stat(store, path)?.map(|stat| stat.inode))
}
