//! How many changes of files and devices are made before one fails.

use ebbtide::pool::driver::memory::Fault;
use std::{io, sync::Mutex};

/// What is left, shared by all that changes anything.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Changes until the fault; `None`: it does not come.
    left: Option<(u64, Fault)>,
    came: bool,
    log: Vec<String>,
}

impl Budget {
    /// Has the fault come after so many changes.
    pub(crate) fn set(&self, changes: u64, fault: Fault) {
        *self.0.lock().unwrap() = State { left: Some((changes, fault)), ..State::default() };
    }

    /// Has all changes succeed again, and returns whether the fault came.
    pub(crate) fn revive(&self) -> bool {
        std::mem::take(&mut *self.0.lock().unwrap()).came
    }

    /// Returns the changes since the last time.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    /// Takes one of the changes that are left.
    pub(crate) fn spend(&self, change: impl FnOnce() -> String) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let came = state.came;
        let failed = match &mut state.left {
            Some((0, Fault::Kill)) => Err(io::Error::other("killed")),
            Some((0, Fault::Error(_))) if came => Ok(()),
            Some((0, Fault::Error(errno))) => Err((*errno).into()),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        };
        match failed {
            Ok(()) => state.log.push(change()),
            Err(_) => state.came = true,
        }
        failed
    }
}
