//! A new pool.

use super::{Pool, config::DriverName};
use crate::error::{Error, Refusal, RefusalKind, Result};
use std::path::Path;

/// What a new pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Create {
    /// How versions share what they have in common; `None` for what the file system can.
    pub driver: Option<DriverName>,
    /// Whether versions that share nothing are better than no pool.
    pub allow_copy: bool,
    /// How many versions of a disk are kept where a VM's record says nothing.
    pub keep: u32,
}

impl Default for Create {
    fn default() -> Self {
        Self { driver: None, allow_copy: false, keep: super::config::KEEP }
    }
}

impl Pool {
    /// Makes a pool, and its directory where that is missing.
    ///
    /// # Errors
    /// The directory is a pool, or has something in it; the file system cannot clone files and copies are not
    /// allowed.
    pub fn create(_dir: &Path, _options: &Create) -> Result<Self> {
        Err(Error::Refused(Refusal::new(RefusalKind::Unable, "pools cannot be made yet")))
    }
}
