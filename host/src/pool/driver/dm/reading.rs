//! A version that is read under a name of its own: by whoever exports it, until that is ended, and by a copy, as long as
//! that lives.
//!
//! A copy has the device of its version open, and says that it lives. Of one that was killed the device goes with the next
//! change of devices over that base, and the names with the next recovery.

use super::{
    DmDriver, Volume, alive, content::Parts, name::Name, not_lost, seen::Seen, uses, uses::How,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{protocol::no_version, step::Step, store::Inode},
    volume::{FileKind, Revision, Role},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// What a version is called while it is copied; 32 hexadecimal digits are behind that.
const COPY: &str = "read-";

/// A version that is being copied.
pub(super) struct Copying {
    base: Inode,
    /// Its name.
    pub(super) kind: FileKind,
    /// Its device.
    pub(super) from: File,
    /// What an older version has over it.
    pub(super) parts: Parts,
    /// What says that it lives.
    _alive: File,
}

/// Returns which copy it is.
fn id(purpose: &str) -> Option<Uuid> {
    purpose.strip_prefix(COPY)?.parse().ok()
}

/// Returns whether this is what a version is called while it is copied.
pub(super) fn is_copy(purpose: &str) -> bool {
    purpose.starts_with(COPY)
}

impl DmDriver {
    /// Uses the current version of a volume under a new export's name, until that is ended.
    pub(super) fn begin_export(&self, volume: &Volume) -> Result<(Uuid, Name)> {
        let _lock = self.lock()?;
        let id = Uuid::new_v4();
        let (_, name) = self.use_current(volume, &FileKind::Export(id))?;
        Ok((id, name))
    }

    /// Uses the current version of a volume for a copy, of itself or of an older one.
    pub(super) fn begin_copy(&self, volume: &Volume, of: Option<Revision>) -> Result<Copying> {
        let _lock = self.lock()?;
        let parts = self.parts(volume, of)?;
        let id = Uuid::new_v4();
        let kind = FileKind::Aside(format!("{COPY}{}", id.simple()));
        let (base, name) = self.use_current(volume, &kind)?;
        let path = self.devices.path(&name);
        let alive = alive::tell(&self.store.real(&volume.files.used().path(&kind)), id);
        match alive.and_then(|alive| Ok((File::open(&path)?, alive))) {
            Ok((from, _alive)) => Ok(Copying { base, kind, from, parts, _alive }),
            Err(error) => {
                if let Err(second) = self.end_reading(volume, base, &kind) {
                    log::warn!("{}", second.chain());
                }
                Err(Error::doing(format!("open {}", path.display()))(error))
            }
        }
    }

    pub(super) fn end_copy(&self, volume: &Volume, copy: Copying) -> Result<()> {
        let Copying { base, kind, from, .. } = copy;
        let _lock = self.lock()?;
        drop(from);
        self.end_reading(volume, base, &kind)
    }

    /// Gives base and store of the current version another name, and has its device mapped.
    fn use_current(&self, volume: &Volume, kind: &FileKind) -> Result<(Inode, Name)> {
        let (base, store) = self.current(volume)?;
        let links = [(&base, volume.files.path(kind)), (&store, volume.files.used().path(kind))];
        let inode = |path: &Path| {
            Ok::<_, Error>(uses::inode(&*self.store, path)?.ok_or_else(|| no_version(volume))?)
        };
        let (base, store) = (inode(&base)?, inode(&store)?);
        let made = links
            .iter()
            .try_for_each(|(from, to)| {
                self.steps(&[Step::Link { from: from.to_path_buf(), to: to.clone() }])
            })
            .and_then(|()| {
                if self.is_settled(base, Name::Snapshot { base, store })? {
                    return Ok(());
                }
                self.reconcile_for(base, volume, |used| used.how == How::Reads(kind.clone()))
            });
        if let Err(error) = made {
            for (_, to) in &links {
                if let Err(second) = self.store.remove(to) {
                    log::debug!("{}: {second}", to.display());
                }
            }
            // The device may be there by now.
            if let Err(second) = self.reconcile(base, volume, |_| false) {
                log::warn!("{second}; a device of {} may be left", volume.id);
            }
            return Err(error);
        }
        Ok((base, Name::Snapshot { base, store }))
    }

    /// Removes the names of a version that is read, that of the base last, and its device where nobody else uses that.
    pub(super) fn end_reading(&self, volume: &Volume, base: Inode, kind: &FileKind) -> Result<()> {
        self.end_using(base, volume, kind)?;
        let path = volume.files.path(kind);
        match uses::stat(&*self.store, &path)? {
            Some(_) => self.steps(&[Step::Remove(path)]),
            None => Ok(()),
        }
    }

    /// Removes what copies have left that were killed, and returns a sentence for each.
    pub(super) fn end_dead_copies(&self, volume: &Volume, seen: &Seen) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for purpose in seen.base.asides.iter().filter(|purpose| is_copy(purpose)) {
            let kind = FileKind::Aside(purpose.clone());
            let inode = |path: &Path| uses::inode(&*self.store, path);
            let Some(base) = inode(&volume.files.path(&kind))? else { continue };
            let store = volume.files.used().path(&kind);
            if let (Some(_), Some(id)) = (inode(&store)?, id(purpose)) {
                let lives = alive::is_told(&self.store.real(&store), id);
                if lives.map_err(Error::doing(format!("look at {}", store.display())))? {
                    continue;
                }
            }
            self.end_reading(volume, base, &kind)?;
            said.push(format!("a copy of {} that was cut off was ended", volume.id));
        }
        Ok(said)
    }

    /// Refuses when a version of the volume is being copied.
    pub(super) fn refuse_copied(&self, volume: &Volume, seen: &Seen) -> Result<()> {
        self.end_dead_copies(volume, seen)?;
        if !self.look(volume)?.base.asides.iter().any(|purpose| is_copy(purpose)) {
            return Ok(());
        }
        let text = format!("{} cannot be removed: somebody copies it", volume.id);
        Err(Refusal::new(RefusalKind::Busy, text).hint("try again when that is done").into())
    }

    /// Returns base and store of the current version: that which a VM uses, its own, or the source's.
    fn current(&self, volume: &Volume) -> Result<(PathBuf, PathBuf)> {
        if volume.role == Role::Volatile {
            let text = format!("{} cannot be exported: it is empty at every start", volume.id);
            return Err(Refusal::new(RefusalKind::Rule, text).into());
        }
        let files = &volume.files;
        if uses::stat(&*self.store, &files.used().clean())?.is_some() {
            return Ok((files.clean(), files.used().clean()));
        }
        // A name that a use has left is nothing of its own.
        let is_own = volume.role.is_kept() && uses::stat(&*self.store, &files.clean())?.is_some();
        let of =
            if is_own || volume.source.is_none() { volume.clone() } else { self.source(volume)? };
        if let Some(head) = self.with_store(&of)?.head {
            not_lost(&of, &head)?;
        }
        Ok((of.files.clean(), of.files.cow().clean()))
    }
}
