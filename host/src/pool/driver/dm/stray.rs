//! Devices that nothing in the pool's files wants: left by a process that was killed, or by files that were removed by hand.

use super::{
    DmDriver,
    devices::{Change, Found},
    name::Name,
    uses::{self, uses, wanted},
};
use crate::{
    error::{Error, Result},
    pool::{
        driver::Stray,
        store::{Inode, Store},
    },
    vm::Kind as VmKind,
    volume::{FileKind, files::read_name},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The files of a pool that devices are over.
#[derive(Default)]
struct Files {
    bases: BTreeSet<Inode>,
    /// What is dropped at stop.
    dropped: BTreeSet<Inode>,
    all: Vec<(Inode, PathBuf)>,
}

impl Files {
    fn look(store: &dyn Store) -> Result<Self> {
        let mut files = Self::default();
        for kind in [VmKind::Template, VmKind::AppVm] {
            let above = Path::new(kind.directory());
            for name in uses::names(store, above)? {
                for file in uses::names(store, &above.join(&name))? {
                    let Some((_, kind)) = file.to_str().and_then(read_name) else { continue };
                    let path = above.join(&name).join(&file);
                    let Some(inode) = uses::inode(store, &path)? else { continue };
                    match kind {
                        FileKind::Clean | FileKind::Export(_) | FileKind::Revision(_) => {
                            files.bases.insert(inode);
                        }
                        FileKind::Dirty => {
                            files.dropped.insert(inode);
                        }
                        FileKind::Precache | FileKind::Aside(_) => {}
                    }
                    files.all.push((inode, path));
                }
            }
        }
        Ok(files)
    }
}

impl DmDriver {
    /// Returns the devices of this pool that nothing wants, and the files that have more than one loop device.
    pub(super) fn find_strays(&self) -> Result<Vec<Stray>> {
        let _lock = self.lock()?;
        let files = Files::look(&*self.store)?;
        let found = self.found(|_| true)?;
        let mut strays = Vec::new();
        for device in self.unwanted(&files, &found)? {
            let is_held = found.iter().any(|found| found.name == device && found.opened > 0);
            let by = if is_held { self.devices.holders(&device) } else { Vec::new() };
            strays.push(Stray::Device { path: self.devices.path(&device), is_held, by });
        }
        let mut looked_at = BTreeSet::new();
        for (inode, path) in &files.all {
            if !looked_at.insert(*inode) {
                continue;
            }
            let doing = || Error::doing("list the loop devices");
            let loops = self.devices.loops(*inode).map_err(doing())?;
            if loops.len() > 1 {
                strays.push(Stray::Loops { file: path.clone(), loops });
            }
        }
        Ok(strays)
    }

    /// Removes the devices of this pool that nothing wants and nobody has open, and returns a sentence for each.
    pub(super) fn remove_strays(&self) -> Result<Vec<String>> {
        let _lock = self.lock()?;
        let files = Files::look(&*self.store)?;
        let mut done = Vec::new();
        // A copy before the version that it is over.
        for _ in 0..2 {
            let found = self.found(|_| true)?;
            let mut unwanted = self.unwanted(&files, &found)?;
            unwanted
                .retain(|name| found.iter().any(|found| found.name == *name && found.opened == 0));
            // What writes before what keeps it from being seen.
            unwanted.sort_by_key(|name| !matches!(name, Name::Origin(_) | Name::Copy(_)));
            for name in unwanted {
                self.change(&[Change::Remove(name)])?;
                done.push(format!("{name}: nothing wanted it: removed"));
            }
        }
        // One that is held back since somebody was killed goes on.
        let held = self.found(|name| matches!(name, Name::Origin(_)))?;
        for device in held.iter().filter(|device| device.suspended && device.is_live) {
            if device.name.base().is_some_and(|base| files.bases.contains(&base)) {
                self.change(&[Change::Resume(device.name)])?;
                done.push(format!("{} was held back: it goes on", device.name));
            }
        }
        Ok(done)
    }

    fn unwanted(&self, files: &Files, found: &[Found]) -> Result<Vec<Name>> {
        let mut unwanted = Vec::new();
        for device in found.iter().filter(|device| self.is_ours(files, &device.name)) {
            let is_wanted = match device.name {
                Name::Copy(inode) | Name::Volatile(inode) => files.dropped.contains(&inode),
                Name::Origin(base) => self.wants(base)?.origin.is_some(),
                Name::Snapshot { base, store } => self.wants(base)?.snapshots.contains_key(&store),
            };
            if !is_wanted || !device.is_live {
                unwanted.push(device.name);
            }
        }
        Ok(unwanted)
    }

    fn wants(&self, base: Inode) -> Result<super::reconcile::Wanted> {
        wanted(&*self.store, base, &uses(&*self.store, base, &[])?)
    }

    /// Returns whether a device is of this pool: by the files below it, or by their numbers where it has none.
    fn is_ours(&self, files: &Files, name: &Name) -> bool {
        let dir = self.store.real(Path::new(""));
        let dir = dir.canonicalize().unwrap_or(dir);
        let below = self.devices.files(name);
        if !below.is_empty() {
            return below.iter().any(|file| file.starts_with(&dir));
        }
        let (Name::Origin(inode)
        | Name::Snapshot { base: inode, .. }
        | Name::Copy(inode)
        | Name::Volatile(inode)) = name;
        files.all.iter().any(|(known, _)| known == inode)
    }
}
