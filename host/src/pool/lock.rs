//! The lock of whoever makes, renames or removes VMs, or writes their records.

use super::{
    Pool,
    store::{Lock, Wait},
};
use crate::error::{Error, Refusal, RefusalKind, Result};
use std::{io, path::Path};

/// The lock's file.
pub(super) const FILE: &str = ".lock";

impl Pool {
    /// Locks the pool, however long others have it: for the end of something long that nobody wants to begin again.
    ///
    /// # Errors
    /// The kernel's alone.
    pub fn lock_at_last(&self) -> Result<Lock> {
        loop {
            match self.lock() {
                Err(Error::Refused(refusal)) if refusal.kind == RefusalKind::Busy => {
                    log::warn!("{refusal}; waiting on");
                }
                lock => return lock,
            }
        }
    }

    /// Locks the pool, after others have done with it. Whoever has it waits for no lock of a VM longer than those do who
    /// only look, so a holder of such a lock may wait for this one.
    ///
    /// # Errors
    /// Somebody has had it for a minute.
    pub fn lock(&self) -> Result<Lock> {
        match self.store().lock(Path::new(FILE), Wait::Yes) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Refusal::new(
                RefusalKind::Busy,
                format!(
                    "somebody has been making or removing VMs in {} for a minute",
                    self.dir().display()
                ),
            )
            .hint("try again when that is done")
            .into()),
            lock => lock.map_err(Error::doing(format!("lock {}", self.dir().join(FILE).display()))),
        }
    }
}
