//! The lock of whoever makes, renames or removes VMs, or writes their records.

use super::{
    Pool,
    store::{Held, Lock, Wait},
};
use crate::error::{Error, Refusal, RefusalKind, Result};
use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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
            lock => {
                let doing = format!("lock {}", self.dir().join(FILE).display());
                let lock = lock.map_err(Error::doing(doing))?;
                self.is_locked.store(true, Ordering::SeqCst);
                Ok(Box::new(Making { lock, is_locked: Arc::clone(&self.is_locked) }))
            }
        }
    }

    /// Locks the pool for what may be done on the way to something else: `None` where whoever has opened it has it locked
    /// already.
    ///
    /// # Errors
    /// As for [`Pool::lock`].
    pub(crate) fn lock_unless_locked(&self) -> Result<Option<Lock>> {
        match self.is_locked.load(Ordering::SeqCst) {
            true => Ok(None),
            false => self.lock().map(Some),
        }
    }
}

/// The lock, and who sees that it is held.
#[derive(Debug)]
struct Making {
    lock: Lock,
    is_locked: Arc<AtomicBool>,
}

impl Held for Making {
    fn file(&self) -> Option<&File> {
        self.lock.file()
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.is_locked.store(false, Ordering::SeqCst);
    }
}
