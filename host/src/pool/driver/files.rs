//! Volumes as files of a [`Store`]: each version an inode, shared by links.
//!
//! In: a [`Volume`]. Out: what became of it. Each method looks at the volume's files, has a planner of
//! [`crate::volume`] decide, and does the steps.

use super::{Access, Commit, Disk, Ending, Outcome, State, Volume, Volumes};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::store::{Progress, Store},
    volume::Revision,
};
use ebbtide_format::units::Bytes;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

/// The driver of a pool whose file system can share content between files, or copies it.
#[derive(Debug, Clone)]
pub struct FileDriver {
    store: Arc<dyn Store>,
}

impl FileDriver {
    /// Returns the driver of the volumes in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    fn missing<T>(&self) -> Result<T> {
        let text = format!("{:?} cannot do it", self.store);
        Err(Error::Refused(Refusal::new(RefusalKind::Unable, text)))
    }
}

impl Volumes for FileDriver {
    fn create(&self, _volume: &Volume) -> Result<()> {
        self.missing()
    }

    fn start(&self, _volume: &Volume, _access: Access) -> Result<Disk> {
        self.missing()
    }

    fn stop(&self, _volume: &Volume, _ending: Ending) -> Result<Outcome> {
        self.missing()
    }

    fn state(&self, _volume: &Volume) -> Result<State> {
        self.missing()
    }

    fn recover(&self, _volume: &Volume) -> Result<Vec<String>> {
        self.missing()
    }

    fn remove(&self, _volume: &Volume) -> Result<()> {
        self.missing()
    }
}

impl Commit for FileDriver {
    fn commit(&self, _volume: &Volume) -> Result<Outcome> {
        self.missing()
    }

    fn discard(&self, _volume: &Volume) -> Result<bool> {
        self.missing()
    }

    fn precache(&self, _volume: &Volume, _progress: &mut dyn Progress) -> Result<()> {
        self.missing()
    }

    fn revert(&self, _volume: &Volume, _to: Revision) -> Result<Outcome> {
        self.missing()
    }

    fn import(&self, _: &Volume, _file: &Path, _: &mut dyn Progress) -> Result<Outcome> {
        self.missing()
    }

    fn export(&self, _volume: &Volume) -> Result<(Uuid, PathBuf)> {
        self.missing()
    }

    fn export_end(&self, _volume: &Volume, _id: Uuid) -> Result<()> {
        self.missing()
    }

    fn resize(&self, _volume: &Volume, _size: Bytes, _running: bool) -> Result<()> {
        self.missing()
    }

    fn adopt_version(&self, _from: &Volume, _to: &Volume) -> Result<()> {
        self.missing()
    }
}
