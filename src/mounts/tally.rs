//! What could not be done, counted and told as it happens.

use std::fmt;

/// Failures that the boot goes on after.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    failed: usize,
}

impl Tally {
    /// Tells one, on the console too, and counts it.
    pub(crate) fn fail(&mut self, what: &dyn fmt::Display) {
        log::error!("{what}");
        self.failed += 1;
    }

    /// Returns how many there were.
    pub(crate) const fn failed(&self) -> usize {
        self.failed
    }
}
