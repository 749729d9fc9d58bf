//! Who uses which base and which version of it: told by the names of files alone.
//!
//! A VM uses a version while it has a second name of its store, `root-snap.img`, beside one of its base; so do whoever
//! exports one, with the export's name, and a copy, `root.img.aside-read-…`. A volume is written to while its base has a second name, `root-dirty.img` for a
//! VM and `root.img.aside-revert` for a revert.

use super::{
    devices::{Found, Table, whole},
    name::Name,
    reading::is_copy,
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

/// What is called while a revert writes.
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
    /// Which file that is.
    pub(super) inode: Option<Inode>,
}

/// What a use is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// The base is written to.
    Writes,
    /// A version is read, under this name.
    Reads(FileKind),
}

impl Use {
    /// Returns whether more than its names is left of it, when these are the devices over its base.
    ///
    /// Where a base is written to and nothing is mapped for that, the host was started anew since: the next start of that
    /// VM maps it, and nobody else does, who would leave it behind. A copy has its device open.
    pub(super) fn goes_on(&self, found: &[Found]) -> bool {
        let mut found = found.iter();
        match &self.how {
            How::Writes => found.any(|device| matches!(device.name, Name::Origin(_))),
            How::Reads(FileKind::Aside(_)) => found.any(|device| {
                device.opened > 0
                    && matches!(device.name, Name::Snapshot { store, .. } if Some(store) == self.inode)
            }),
            How::Reads(_) => true,
        }
    }
}

/// Returns the uses of a base.
///
/// # Errors
/// A directory cannot be read.
pub(super) fn uses(store: &dyn Store, of: Inode) -> Result<Vec<Use>> {
    let mut found = Vec::new();
    for dir in directories(store)? {
        for file in names(store, &dir)? {
            let Some((volume, kind)) = file.to_str().and_then(read_name) else { continue };
            found.extend(of_file(store, &Files::new(&dir, volume), kind, of)?);
        }
    }
    Ok(found)
}

/// Returns the directories of VMs. A link to one is none: nobody ends what would be used there.
fn directories(store: &dyn Store) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for kind in [VmKind::Template, VmKind::AppVm] {
        let above = Path::new(kind.directory());
        for name in names(store, above)? {
            let dir = above.join(name);
            let stat = store.stat(&dir);
            let stat = stat.map_err(Error::doing(format!("look at {}", dir.display())))?;
            if stat.is_some_and(|stat| stat.kind == Kind::Directory) {
                found.push(dir);
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
        let of = files.cow().clean();
        let (files, inode) = (files.clone(), inode(store, &of)?);
        return Ok(is_ours.then_some(Use { files, how: How::Writes, base, store: of, inode }));
    }
    let is_read = match &kind {
        FileKind::Clean | FileKind::Export(_) => true,
        FileKind::Aside(purpose) => is_copy(purpose),
        _ => false,
    };
    let Some(volume) = files.used_by().filter(|_| is_read) else { return Ok(None) };
    let base = volume.path(&kind);
    let is_ours = is_of(&base)?;
    let of = files.path(&kind);
    let inode = inode(store, &of)?;
    Ok(is_ours.then_some(Use { files: volume, how: How::Reads(kind), base, store: of, inode }))
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
        match (used.inode, read_head(&store.real(&used.store))) {
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

fn names(store: &dyn Store, dir: &Path) -> Result<Vec<std::ffi::OsString>> {
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
