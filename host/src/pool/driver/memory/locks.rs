//! Locks of a store in memory.

use super::disk::Id;
use crate::pool::store::{Held, Lock, Wait};
use std::{
    collections::BTreeSet,
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Which files are locked.
#[derive(Debug, Default)]
pub(super) struct Locks {
    taken: Mutex<BTreeSet<Id>>,
    freed: Condvar,
}

/// Frees a file when it is dropped.
#[derive(Debug)]
struct Taken {
    id: Id,
    locks: Arc<Locks>,
}

impl Locks {
    pub(super) fn take(self: &Arc<Self>, id: Id, wait: Wait) -> io::Result<Lock> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = match wait {
            Wait::Yes => Some(Duration::from_secs(60)),
            Wait::Briefly => Some(Duration::from_millis(100)),
            Wait::No => None,
        };
        if let Some(longest) = longest {
            let waited = self.freed.wait_timeout_while(taken, longest, |taken| taken.contains(&id));
            let (guard, result) = waited.unwrap_or_else(PoisonError::into_inner);
            taken = guard;
            if result.timed_out() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        if taken.insert(id) {
            Ok(Box::new(Taken { id, locks: self.clone() }))
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

impl Locks {
    /// Returns whether somebody has it.
    pub(super) fn is_taken(&self, id: Id) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}

impl Held for Taken {
    fn file(&self) -> Option<&File> {
        None
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.locks.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.locks.freed.notify_all();
    }
}
