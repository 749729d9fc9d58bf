//! Versions of a volume: made, gone back to, brought in and out.

use super::{DmDriver, devices, stores, uses};
use crate::{
    error::Result,
    pool::{
        driver::{Commit, Ending, Outcome, Volume, Volumes as _},
        protocol::{export, import, only_kept, resize, sync_dir},
        step::{self, Step},
        store::Progress,
    },
    volume::{FileKind, Revision},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::File,
    path::{Path, PathBuf},
};
use uuid::Uuid;

impl Commit for DmDriver {
    fn commit(&self, volume: &Volume) -> Result<Outcome> {
        only_kept(volume, "committed")?;
        self.stop(volume, Ending::Commit)
    }

    fn discard(&self, volume: &Volume) -> Result<bool> {
        only_kept(volume, "discarded")?;
        Ok(self.stop(volume, Ending::Discard)? == Outcome::Discarded)
    }

    fn precache(&self, volume: &Volume, _progress: &mut dyn Progress) -> Result<()> {
        let _lock = self.lock()?;
        self.steps(&stores::free(volume, &self.look(volume)?))
    }

    fn revert(&self, volume: &Volume, to: Revision) -> Result<Outcome> {
        self.revert_to(volume, to)
    }

    fn import_copy(&self, volume: &Volume, file: &Path, progress: &mut dyn Progress) -> Result<()> {
        let seen = self.look(volume)?;
        let mut plan = import::copy(volume, &seen.base, file)?;
        let store = volume.files.cow().aside(import::PURPOSE);
        if seen.cow.asides.contains(import::PURPOSE) {
            if seen.is_half_imported() {
                self.lock().and_then(|_lock| self.with_store(volume))?;
            } else {
                // Before its base: alone it would say that that is in place.
                plan.steps.insert(0, Step::Remove(store));
            }
        }
        let copied = step::apply(&plan.steps, &*self.store, progress).and_then(|()| {
            let Some(found) = uses::stat(&*self.store, &volume.files.aside(import::PURPOSE))?
            else {
                return Ok(());
            };
            let plan = import::whole(volume, file, found, std::time::SystemTime::now())?;
            self.steps(&plan.steps)
        });
        copied.inspect_err(|_| self.undo(volume))
    }

    fn import_place(&self, volume: &Volume) -> Result<Outcome> {
        let placed = self.lock().and_then(|lock| {
            let seen = self.look(volume)?;
            let copy = uses::stat(&*self.store, &volume.files.aside(import::PURPOSE))?;
            let copy = copy.map(|copy| (copy.inode, copy.size));
            let plan = self.planner(volume, &seen).import(copy)?;
            let placed = self.apply(volume, plan);
            drop(lock);
            placed
        });
        placed.inspect_err(|_| self.undo(volume))
    }

    fn export(&self, volume: &Volume) -> Result<(Uuid, PathBuf)> {
        let (id, name) = self.begin_export(volume)?;
        Ok((id, self.devices.path(&name)))
    }

    fn copy_out(
        &self,
        volume: &Volume,
        of: Option<Revision>,
        file: &Path,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.copy_version(volume, of, file, progress)
    }

    fn open(&self, volume: &Volume, of: Option<Revision>) -> Result<File> {
        self.open_version(volume, of)
    }

    fn export_end(&self, volume: &Volume, id: Uuid) -> Result<()> {
        let _lock = self.lock()?;
        let seen = self.look(volume)?;
        export::end(volume, &seen.base, id)?;
        let kind = FileKind::Export(id);
        if let Some(base) = uses::inode(&*self.store, &volume.files.path(&kind))? {
            self.end_reading(volume, base, &kind)?;
        }
        self.steps(&[sync_dir(volume)])
    }

    fn resize(&self, volume: &Volume, size: Bytes, running: bool) -> Result<()> {
        only_kept(volume, "resized")?;
        let _lock = self.lock()?;
        let seen = self.look(volume)?;
        let found = seen.base.dirty.map(|dirty| dirty.size).or(seen.size());
        // What is asked for, before it is rounded up.
        found.map_or(Ok(()), |found| resize::only_larger(volume, found, size))?;
        let size = devices::whole(size);
        if running {
            self.steps(&resize::running(volume, &seen.base, size)?.steps)?;
            return match seen.base_inode() {
                Some(base) => self.reconcile(base, volume, |_| false),
                None => Ok(()),
            };
        }
        if found.is_none() {
            // Says what is missing.
            return Ok(resize::plan(volume, &seen.base, size).map(drop)?);
        }
        let plan = self.planner(volume, &seen).resize(size)?;
        self.apply(volume, plan).inspect_err(|_| self.undo_locked(volume))
    }

    fn adopt_version(&self, from: &Volume, to: &Volume) -> Result<()> {
        self.copy_to_volume(from, to).inspect_err(|_| self.undo(to))
    }
}
