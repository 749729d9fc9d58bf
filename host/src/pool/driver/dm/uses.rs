//! Who uses which base and which version of it: told by the names of files alone.
//!
//! A VM uses a version while it has a second name of its store, `root-snap.img`, beside one of its base; so do whoever
//! exports one, with the export's name, and a copy, `root.img.aside-read-…`. A volume is written to while its base has a
//! second name, `root-dirty.img` for a VM and `root.img.aside-revert` for a revert, and for what is being put back.

use super::{
    devices::{Found, Table, whole},
    name::Name,
    reading::is_copy,
    reconcile::Wanted,
    seen::{Head, read_head},
};
use crate::{
    error::{Error, Result},
    name::COW,
    pool::store::{Inode, Kind, Stat, Store},
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

/// Returns the uses of a base, by its names in the directories of VMs; those that are `near` are looked at first. The
/// search ends when all names of the base are found.
///
/// # Errors
/// A directory cannot be read.
pub(super) fn uses(store: &dyn Store, of: Inode, near: &[&Path]) -> Result<Vec<Use>> {
    let mut found = Names { of, uses: Vec::new(), seen: 0 };
    let mut done = Vec::new();
    for dir in near {
        if !done.contains(dir) && found.look(store, dir)? {
            return Ok(found.uses);
        }
        done.push(*dir);
    }
    for dir in directories(store)? {
        if !done.contains(&dir.as_path()) && found.look(store, &dir)? {
            break;
        }
    }
    Ok(found.uses)
}

/// Returns the directories of VMs.
fn directories(store: &dyn Store) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for dir in entries(store)? {
        if is_directory(store, &dir)? {
            all.push(dir);
        }
    }
    Ok(all)
}

/// Returns whatever is where directories of VMs are, by name.
pub(super) fn entries(store: &dyn Store) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for kind in [VmKind::Template, VmKind::AppVm] {
        let above = Path::new(kind.directory());
        all.extend(names(store, above)?.into_iter().map(|name| above.join(name)));
    }
    Ok(all)
}

/// Returns whether this is a directory. A link to one is none: nobody ends what would be used there.
pub(super) fn is_directory(store: &dyn Store, dir: &Path) -> Result<bool> {
    let found = store.stat(dir).map_err(Error::doing(format!("look at {}", dir.display())))?;
    Ok(found.is_some_and(|found| found.kind == Kind::Directory))
}

/// The names of a base that were found, and what they tell.
struct Names {
    of: Inode,
    uses: Vec<Use>,
    seen: u64,
}

impl Names {
    /// Looks through a directory, and returns whether all names are found.
    fn look(&mut self, store: &dyn Store, dir: &Path) -> Result<bool> {
        let mut links = None;
        for file in names(store, dir)? {
            let Some((volume, kind)) = file.to_str().and_then(read_name) else { continue };
            let files = Files::new(dir, volume);
            if is_of_stores(&files) {
                continue;
            }
            let Some(found) = stat(store, &dir.join(&file))? else { continue };
            if found.inode != self.of {
                continue;
            }
            self.seen += 1;
            links = Some(found.links);
            self.uses.extend(told(store, &files, kind)?);
        }
        Ok(links.is_some_and(|links| self.seen >= links))
    }
}

/// Returns whether these are names of stores, which no base has.
fn is_of_stores(files: &Files) -> bool {
    files.used_by().is_some() || files.name.without(COW).is_some()
}

/// Returns the use that a name of a base tells of.
fn told(store: &dyn Store, files: &Files, kind: FileKind) -> Result<Option<Use>> {
    let (base, files) = (files.path(&kind), files.clone());
    if kind == FileKind::Dirty || kind == FileKind::Aside(REVERT.into()) {
        let of = files.cow().clean();
        let inode = inode(store, &of)?;
        return Ok(Some(Use { files, how: How::Writes, base, store: of, inode }));
    }
    let is_read = match &kind {
        FileKind::Clean | FileKind::Export(_) => true,
        FileKind::Aside(purpose) => is_copy(purpose),
        _ => false,
    };
    let of = files.used().path(&kind);
    let inode = if is_read { inode(store, &of)? } else { None };
    Ok(inode.map(|_| Use { files, how: How::Reads(kind), base, store: of, inode }))
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
        let version = used.inode;
        // Many use the same one, which says the same to all of them.
        if version.is_none_or(|version| !wanted.snapshots.contains_key(&version)) {
            match (version, read_head(&store.real(&used.store))) {
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

pub(super) fn stat(store: &dyn Store, path: &Path) -> Result<Option<Stat>> {
    let stat = store.stat(path).map_err(Error::doing(format!("look at {}", path.display())))?;
    Ok(stat.filter(|stat| stat.kind == Kind::File))
}

pub(super) fn inode(store: &dyn Store, path: &Path) -> Result<Option<Inode>> {
    Ok(stat(store, path)?.map(|stat| stat.inode))
}
