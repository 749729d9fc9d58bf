//! A version as content: read through its device, which somebody may write below.

use super::{DmDriver, Volume, chain::chain, plan::merge, reading::Copying, uses};
use crate::{
    cow::{Cow, Disk},
    error::{Error, Refusal, RefusalKind, Result},
    file::{all_data, sparse, united, whole},
    pool::{
        protocol::{revert::no_revision, sync_dir},
        step::Step,
        store::{Progress, Unseen},
    },
    volume::Revision,
};
use ebbtide_format::units::Bytes;
use std::{
    fs::File,
    io::{Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

impl DmDriver {
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
        let copy = self.begin_copy(volume, of)?;
        let made = whole::make(file, |to| self.fill(volume, &copy, to, progress));
        let made = made.map_err(|ended| ended.named(doing));
        made.and(self.end_copy(volume, copy))
    }

    /// Returns a file without a name, beside the volume, with the content of a version.
    pub(super) fn open_version(&self, volume: &Volume, of: Option<Revision>) -> Result<File> {
        let doing = format!("copy {}", volume.id);
        log::info!("{doing}");
        let to = tempfile::tempfile_in(self.store.real(&volume.files.dir));
        let to = to.map_err(Error::doing(&doing))?;
        let copy = self.begin_copy(volume, of)?;
        let made = self.fill(volume, &copy, &to, &mut Unseen);
        let made = made.map_err(|ended| ended.named(doing));
        made.and(self.end_copy(volume, copy)).map(|()| to)
    }

    /// Opens what an older version is made of. Whoever calls has the devices locked: a commit takes parts away.
    pub(super) fn parts(&self, volume: &Volume, of: Option<Revision>) -> Result<Parts> {
        let Some(of) = of else { return Ok(Parts::default()) };
        let seen = self.look(volume)?;
        let found = chain(&seen.kept(&volume.files), of).filter(|_| seen.revision(of).is_some());
        let chain = found.ok_or_else(|| no_revision(volume, &seen.revisions(), of))?;
        let open = |path: &Path| {
            File::open(path).map_err(Error::doing(format!("open {}", path.display())))
        };
        let deltas = chain.deltas.iter().map(|delta| Cow::open(&self.store.real(delta)));
        Ok(Parts {
            base: chain.base.map(|base| open(&self.store.real(&base))).transpose()?,
            deltas: deltas.collect::<Result<_>>()?,
            size: seen.heads.get(&of).map(|head| head.label.device),
        })
    }

    /// Fills an empty file with a version: that which is current now, and what older ones had over it.
    fn fill(
        &self,
        volume: &Volume,
        copy: &Copying,
        to: &File,
        progress: &mut dyn Progress,
    ) -> Result<(), Ended> {
        let Parts { base, deltas, size } = &copy.parts;
        match base {
            Some(base) => sparse::copy(base, to, progress)?,
            None => self.copy_current(volume, copy, to, progress)?,
        }
        let real = self.store.real(&volume.files.clean());
        for delta in deltas {
            let to = Disk::of(&real, to.try_clone()?)?;
            merge(delta, &to, progress)?;
        }
        if let Some(size) = size {
            to.set_len(size.0)?;
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
            merge(&Cow::open(&self.store.real(delta))?, &to, &mut Unseen)?;
        }
        to.set_len(size.0).map_err(doing())?;
        Ok(to)
    }

    /// Fills an empty file with the version that is copied, by way of its device.
    ///
    /// What is neither data of the base nor in the store is zeros. The store is looked at last: whatever takes data away
    /// from the base was kept in it before.
    fn copy_current(
        &self,
        volume: &Volume,
        Copying { kind, from, .. }: &Copying,
        to: &File,
        progress: &mut dyn Progress,
    ) -> Result<(), Ended> {
        let base = File::open(self.store.real(&volume.files.path(kind)))?;
        let size = (&*from).seek(SeekFrom::End(0))?;
        let mut parts = all_data(&base, size)?;
        let cow = Cow::open(&self.store.real(&volume.files.used().path(kind)))?;
        for run in cow.runs(Bytes(size))? {
            parts.push(run?.range());
        }
        Ok(sparse::copy_parts(from, to, &united(parts), progress)?)
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
        let copy = self.begin_copy(from, None)?;
        let file = File::options().write(true).open(self.store.real(&aside));
        let made = file
            .map_err(Ended::from)
            .and_then(|file| self.copy_current(from, &copy, &file, &mut Unseen));
        made.map_err(|ended| ended.named(doing)).and(self.end_copy(from, copy))?;
        self.steps(&[
            Step::SyncFile(aside.clone()),
            Step::Rename { from: aside, to: to.files.clean() },
            sync_dir(to),
        ])?;
        let _lock = self.lock()?;
        self.with_store(to).map(drop)
    }
}

/// What an older version is made of, open: whoever takes a part away takes its name away. Nothing for the current one.
#[derive(Default)]
pub(super) struct Parts {
    /// The whole version to begin with; `None` for the current one.
    base: Option<File>,
    /// What is put over it, in this order.
    deltas: Vec<Cow>,
    /// How large it is then.
    size: Option<Bytes>,
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
