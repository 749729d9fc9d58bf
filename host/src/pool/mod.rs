//! A pool: the directory that is the database.
//!
//! ```text
//! POOL/pool.toml               format, driver, versions to keep
//! POOL/vm-templates/NAME/      a template: vm.toml, images, perhaps kernel and initrd
//! POOL/appvms/NAME/            a VM that boots from a template
//! POOL/snapshots/UUID/         disks of one instant
//! POOL/.lock                   who makes, renames or removes VMs has it locked
//! ```

pub mod adopt;
mod alias;
pub mod check;
pub mod config;
mod create;
pub mod driver;
mod info;
mod lock;
mod open;
pub mod protocol;
pub(crate) mod record;
pub mod repair;
pub mod step;
pub mod store;
mod tree;

pub use self::{
    config::{Config, DriverName},
    create::Create,
    info::Info,
    open::Vms,
    tree::pool_of,
};

pub(crate) use self::create::SNAPSHOTS;

use self::{driver::Commit, store::Store};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

/// An open pool.
#[derive(Debug)]
pub struct Pool {
    /// Where it is, absolute.
    dir: PathBuf,
    /// How many versions of a disk are kept where a VM's record says nothing.
    keep: u32,
    store: Arc<dyn Store>,
    driver: Box<dyn Commit>,
    /// Whether whoever has opened it has it locked.
    is_locked: Arc<AtomicBool>,
}

impl Pool {
    /// Returns a pool in `dir` whose files are `store`'s and whose volumes are `driver`'s. For tests and for those who
    /// open pools; everybody else calls `Pool::open`.
    #[must_use]
    pub fn with(dir: PathBuf, keep: u32, store: Arc<dyn Store>, driver: Box<dyn Commit>) -> Self {
        Self { dir, keep, store, driver, is_locked: Arc::default() }
    }

    /// Returns its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns how many versions of a disk are kept where a VM's record says nothing.
    #[must_use]
    pub fn keep(&self) -> u32 {
        self.keep
    }

    /// Returns its files.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns what holds its volumes.
    #[must_use]
    pub fn driver(&self) -> &dyn Commit {
        &*self.driver
    }
}
