//! A directory that is built aside and renamed into place, and what is left of one that was not.

use crate::{
    error::{Error, Result},
    pool::{
        Pool,
        step::{self, Step},
        store::{Lock, Store, Unseen, Wait},
    },
};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What the names of directories begin with that are being built.
pub(super) const PREFIX: &str = ".aside-";
/// The lock in it, which is the VM's once it is in place. Who builds has it; nobody has that of a leftover.
pub(super) const LOCK: &str = ".lock";

/// A directory that is being built.
#[derive(Debug)]
pub(super) struct Aside {
    /// Where it is built.
    pub(super) dir: PathBuf,
    target: PathBuf,
    lock: Lock,
}

impl Aside {
    /// Makes the directory that becomes `target`. The pool is locked, so that nobody takes it for a leftover before it is
    /// locked itself.
    pub(super) fn begin(pool: &Pool, target: &Path, _pool_is_locked: &Lock) -> Result<Self> {
        let dir = target.with_file_name(format!("{PREFIX}{}", Uuid::new_v4()));
        step::apply(&[Step::MakeDir(dir.clone())], pool.store(), &mut Unseen)?;
        let file = dir.join(LOCK);
        let lock = pool
            .store()
            .lock(&file, Wait::No)
            .map_err(Error::doing(format!("lock {}", file.display())))?;
        Ok(Self { dir, target: target.into(), lock })
    }

    /// Writes the record `name`, which comes last, and renames the directory into place. Durable when it returns, as far as
    /// the files in it are. The pool is locked, and nothing is at the target.
    pub(super) fn finish(
        &self,
        store: &dyn Store,
        name: &str,
        record: Vec<u8>,
        _pool_is_locked: &Lock,
    ) -> Result<()> {
        let file = self.dir.join(name);
        let parent = self.target.parent().unwrap_or(Path::new("")).to_path_buf();
        let steps = [
            Step::WriteNew { path: file.clone(), content: record },
            Step::SyncFile(file),
            Step::SyncDir(self.dir.clone()),
            Step::Rename { from: self.dir.clone(), to: self.target.clone() },
            Step::SyncDir(parent),
        ];
        step::apply(&steps, store, &mut Unseen)
    }

    /// Returns the lock of what is in place now.
    pub(super) fn into_lock(self) -> Lock {
        self.lock
    }

    /// Removes what was built until something failed; what cannot be removed is left to the next sweep.
    pub(super) fn discard(self, pool: &Pool) {
        let there = pool.store().stat(&self.dir);
        if matches!(there, Ok(Some(_)))
            && let Err(error) = super::sweep::clear(pool, &self.dir)
        {
            log::warn!("{} is left behind: {error}", self.dir.display());
        }
        drop(self.lock);
    }
}
