//! What files of a volume there are.

use crate::{
    error::{Error, Result},
    pool::{
        driver::{Retention, Volume},
        store::{Inode, Kind, Stat, Store},
    },
    volume::{FileKind, Files, Revision, files::read_name},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::SystemTime,
};
use uuid::Uuid;

/// The files of a volume, as they were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The current version.
    pub clean: Option<Stat>,
    /// What a VM writes, or was writing.
    pub dirty: Option<Stat>,
    /// The next dirty image.
    pub precache: Option<Stat>,
    /// The source's current version, for roles that have a source.
    pub source: Option<Stat>,
    /// The kept versions; the order is by age.
    pub revisions: BTreeMap<Revision, Stat>,
    /// Versions that are exported.
    pub exports: BTreeSet<Uuid>,
    /// What was being made, by purpose.
    pub asides: BTreeSet<String>,
    /// Whether the volume's lock has a file.
    pub lock: bool,
    /// Whether somebody makes the next dirty image at this moment: it is not touched.
    pub precaching: bool,
}

impl Seen {
    /// Looks at the files of a volume. Entries with names of ours that are no regular files are nobody's, as all other
    /// names are.
    ///
    /// # Errors
    /// The directory is missing, or cannot be read.
    pub fn look(store: &dyn Store, volume: &Volume) -> Result<Self> {
        let Files { dir, name } = &volume.files;
        let mut seen = Self::default();
        let names = store.names(dir);
        for entry in names.map_err(Error::doing(format!("look into {}", dir.display())))? {
            let Some(text) = entry.to_str() else { continue };
            seen.lock |= text == lock_name(volume);
            match read_name(text) {
                Some((of, kind)) if of == *name => {
                    if let Some(stat) = stat(store, &dir.join(&entry))? {
                        seen.add(kind, stat);
                    }
                }
                _ => {}
            }
        }
        if let Some(source) = &volume.source {
            seen.source = stat(store, &source.clean())?;
        }
        Ok(seen)
    }

    fn add(&mut self, kind: FileKind, stat: Stat) {
        match kind {
            FileKind::Clean => self.clean = Some(stat),
            FileKind::Dirty => self.dirty = Some(stat),
            FileKind::Precache => self.precache = Some(stat),
            FileKind::Revision(revision) => {
                self.revisions.insert(revision, stat);
            }
            FileKind::Export(id) => {
                self.exports.insert(id);
            }
            FileKind::Aside(purpose) => {
                self.asides.insert(purpose);
            }
        }
    }

    /// Returns whether the next dirty image is one of the current version: it has the time and the size of it.
    #[must_use]
    pub fn precache_is_current(&self) -> bool {
        match (self.clean, self.precache) {
            (Some(clean), Some(next)) => next.modified == clean.modified && next.size == clean.size,
            _ => false,
        }
    }

    /// Returns whether nothing was written to the dirty image since a start in this boot of the machine gave it the
    /// time `marker`.
    #[must_use]
    pub fn is_unwritten(&self, marker: Option<SystemTime>) -> bool {
        match (self.clean, self.dirty) {
            (Some(clean), Some(dirty)) => {
                Some(dirty.modified) == marker && dirty.size == clean.size
            }
            _ => false,
        }
    }

    /// Returns the revision that a cut has left before the current version was replaced: the newest one, when it is the
    /// current version and nobody has pinned it.
    #[must_use]
    pub fn leftover(&self, retention: &Retention) -> Option<Revision> {
        let (revision, stat) = self.revisions.last_key_value()?;
        let is_current = self.clean.is_some_and(|clean| clean.inode == stat.inode);
        let is_ours = revision.number.is_some() && !retention.is_pinned(*revision);
        (is_current && is_ours).then_some(*revision)
    }

    /// Returns the kept versions by number and time.
    pub(in crate::pool) fn numbers(&self) -> BTreeSet<Revision> {
        self.revisions.keys().copied().collect()
    }

    /// Returns the kept versions as the retention counts them.
    pub(super) fn kept(&self) -> Vec<(Revision, Inode)> {
        self.revisions.iter().map(|(revision, stat)| (*revision, stat.inode)).collect()
    }
}

/// Returns the name of the lock of a volume's next dirty image.
pub(crate) fn lock_name(volume: &Volume) -> String {
    format!(".{}.lock", volume.files.name)
}

fn stat(store: &dyn Store, path: &Path) -> Result<Option<Stat>> {
    let stat = store.stat(path).map_err(Error::doing(format!("look at {}", path.display())))?;
    Ok(stat.filter(|stat| stat.kind == Kind::File))
}
