//! A version as content: read through its device, which somebody may write below.

use super::{DmDriver, Volume, chain::chain, name::Name, not_lost, plan::merge, uses};
use crate::{
    cow::{Cow, Disk},
    error::{Error, Refusal, RefusalKind, Result},
    file::{all_data, sparse, united, whole},
    pool::{
        driver::Commit as _,
        protocol::{no_version, revert::no_revision, sync_dir},
        step::Step,
        store::{Progress, Unseen},
    },
    volume::{FileKind, Revision},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::File,
    io::{Seek as _, SeekFrom},
    path::{Path, PathBuf},
};
use uuid::Uuid;

impl DmDriver {
    /// Uses the current version of a volume under a new export's name, until that is ended.
    pub(super) fn begin_reading(&self, volume: &Volume) -> Result<(Uuid, Name)> {
        let _lock = self.lock()?;
        let (base, store) = self.current(volume)?;
        let id = Uuid::new_v4();
        let kind = FileKind::Export(id);
        let links = [(&base, volume.files.path(&kind)), (&store, volume.files.used().path(&kind))];
        let inode = |path: &Path| {
            Ok::<_, Error>(uses::inode(&*self.store, path)?.ok_or_else(|| no_version(volume))?)
        };
        let name = Name::Snapshot { base: inode(&base)?, store: inode(&store)? };
        let made = links
            .iter()
            .try_for_each(|(from, to)| {
                self.steps(&[Step::Link { from: from.to_path_buf(), to: to.clone() }])
            })
            .and_then(|()| self.reconcile(inode(&base)?, volume, |_| false));
        if let Err(error) = made {
            for (_, to) in &links {
                if let Err(second) = self.store.remove(to) {
                    log::debug!("{}: {second}", to.display());
                }
            }
            // The device may be there by now.
            if let Err(second) =
                inode(&base).and_then(|base| self.reconcile(base, volume, |_| false))
            {
                log::warn!("{second}; a device of {} may be left", volume.id);
            }
            return Err(error);
        }
        Ok((id, name))
    }

    /// Returns base and store of the current version: that which a VM uses, its own, or the source's.
    fn current(&self, volume: &Volume) -> Result<(PathBuf, PathBuf)> {
        if volume.role == crate::volume::Role::Volatile {
            let text = format!("{} cannot be exported: it is empty at every start", volume.id);
            return Err(Refusal::new(RefusalKind::Rule, text).into());
        }
        let files = &volume.files;
        if uses::stat(&*self.store, &files.used().clean())?.is_some() {
            return Ok((files.clean(), files.used().clean()));
        }
        let is_own = uses::stat(&*self.store, &files.clean())?.is_some();
        let of =
            if is_own || volume.source.is_none() { volume.clone() } else { self.source(volume)? };
        if let Some(head) = self.with_store(&of)?.head {
            not_lost(&of, &head)?;
        }
        Ok((of.files.clean(), of.files.cow().clean()))
    }

    /// Makes a file with the content of a version.
    pub(super) fn copy_version(
        &self,
        volume: &Volume,
        of: Option<Revision>,
        file: &Path,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let doing = format!("copy {} to {}", volume.id, file.display());
        log::info!("{doing}");
        let (id, current) = self.begin_reading(volume)?;
        let made = whole::make(file, |to| self.fill(volume, of, (id, &current), to, progress));
        let made = made.map_err(|ended| ended.named(doing));
        made.and(self.export_end(volume, id))
    }

    /// Returns a file without a name, beside the volume, with the content of a version.
    pub(super) fn open_version(&self, volume: &Volume, of: Option<Revision>) -> Result<File> {
        let doing = format!("copy {}", volume.id);
        log::info!("{doing}");
        let to = tempfile::tempfile_in(self.store.real(&volume.files.dir));
        let to = to.map_err(Error::doing(&doing))?;
        let (id, current) = self.begin_reading(volume)?;
        let made = self.fill(volume, of, (id, &current), &to, &mut Unseen);
        let made = made.map_err(|ended| ended.named(doing));
        made.and(self.export_end(volume, id)).map(|()| to)
    }

    /// Fills an empty file with a version: that which is current now, and what older ones had over it.
    fn fill(
        &self,
        volume: &Volume,
        of: Option<Revision>,
        (id, current): (Uuid, &Name),
        to: &File,
        progress: &mut dyn Progress,
    ) -> Result<(), Ended> {
        let seen = self.look(volume)?;
        let parts = match of {
            None => None,
            Some(of) => {
                let kept = seen.kept(&volume.files);
                let found = chain(&kept, of).filter(|_| seen.revision(of).is_some());
                Some(found.ok_or_else(|| Error::from(no_revision(volume, &seen.revisions(), of)))?)
            }
        };
        match parts.as_ref().and_then(|parts| parts.base.as_ref()) {
            Some(base) => sparse::copy(&File::open(self.store.real(base))?, to, progress)?,
            None => self.copy_current(volume, id, current, to, progress)?,
        }
        let Some((parts, of)) = parts.zip(of) else { return Ok(()) };
        let real = self.store.real(&volume.files.clean());
        for delta in &parts.deltas {
            let to = Disk::of(&real, to.try_clone()?)?;
            merge(&self.store.real(delta), &to, progress)?;
        }
        if let Some(head) = seen.heads.get(&of) {
            to.set_len(head.label.device.0)?;
        }
        Ok(())
    }

    /// Returns a file without a name with a version of `size` that begins from a kept base.
    pub(super) fn put_together(
        &self,
        volume: &Volume,
        base: &Path,
        deltas: &[PathBuf],
        size: Bytes,
    ) -> Result<File> {
        let doing = || Error::doing(format!("put a version of {} together", volume.id));
        let to = tempfile::tempfile_in(self.store.real(&volume.files.dir)).map_err(doing())?;
        let base = File::open(self.store.real(base)).map_err(doing())?;
        sparse::copy(&base, &to, &mut Unseen).map_err(doing())?;
        for delta in deltas {
            let to = to.try_clone().map_err(doing())?;
            let to = Disk::of(&self.store.real(&volume.files.clean()), to)?;
            merge(&self.store.real(delta), &to, &mut Unseen)?;
        }
        to.set_len(size.0).map_err(doing())?;
        Ok(to)
    }

    /// Fills an empty file with the version that is read under this export's name, by way of its device.
    ///
    /// What is neither data of the base nor in the store is zeros. The store is looked at last: whatever takes data away
    /// from the base was kept in it before.
    fn copy_current(
        &self,
        volume: &Volume,
        id: Uuid,
        current: &Name,
        to: &File,
        progress: &mut dyn Progress,
    ) -> Result<(), Ended> {
        let kind = FileKind::Export(id);
        let base = File::open(self.store.real(&volume.files.path(&kind)))?;
        let from = File::open(self.devices.path(current))?;
        let size = (&from).seek(SeekFrom::End(0))?;
        let mut parts = all_data(&base, size)?;
        let cow = Cow::open(&self.store.real(&volume.files.used().path(&kind)))?;
        for run in cow.runs(Bytes(size))? {
            parts.push(run?.range());
        }
        Ok(sparse::copy_parts(&from, to, &united(parts), progress)?)
    }

    /// Gives a new volume the content of the current version of another one. Content that is written over in place cannot
    /// be shared, so it is copied.
    pub(super) fn copy_to_volume(&self, from: &Volume, to: &Volume) -> Result<()> {
        if !(from.role.is_kept() && to.role.is_kept()) {
            return Ok(());
        }
        if uses::stat(&*self.store, &to.files.clean())?.is_some() {
            let text = format!("{} cannot become {}: it has something of its own", to.id, from.id);
            return Err(Refusal::new(RefusalKind::Exists, text).into());
        }
        let aside = to.files.aside("adopt");
        let left = uses::stat(&*self.store, &aside)?;
        let mut steps: Vec<Step> = left.map(|_| Step::Remove(aside.clone())).into_iter().collect();
        steps.push(Step::MakeImage { path: aside.clone(), size: Bytes(0) });
        self.steps(&steps)?;
        let doing = format!("copy {} to {}", from.id, aside.display());
        log::info!("{doing}");
        let (id, name) = self.begin_reading(from)?;
        let file = File::options().write(true).open(self.store.real(&aside));
        let made = file
            .map_err(Ended::from)
            .and_then(|file| self.copy_current(from, id, &name, &file, &mut Unseen));
        made.map_err(|ended| ended.named(doing)).and(self.export_end(from, id))?;
        self.steps(&[
            Step::SyncFile(aside.clone()),
            Step::Rename { from: aside, to: to.files.clean() },
            sync_dir(to),
        ])?;
        let _lock = self.lock()?;
        self.with_store(to).map(drop)
    }
}

/// Why no file was made.
pub(super) enum Ended {
    Said(Error),
    Kernel(std::io::Error),
}

impl Ended {
    fn named(self, doing: String) -> Error {
        match self {
            Self::Said(error) => error,
            Self::Kernel(error) => Error::doing(doing)(error),
        }
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}
