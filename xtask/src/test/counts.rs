//! How many tests passed, failed and were skipped.

use std::fmt;
use std::iter::Sum;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ran, and found nothing wrong.
    pub(crate) passed: usize,
    /// Ran and found something, or could not run and had to.
    pub(crate) failed: usize,
    /// Could not run, and need not.
    pub(crate) skipped: usize,
}

impl Counts {
    /// Counts `number` failures.
    pub(crate) fn failed(number: usize) -> Self {
        Counts { failed: number, ..Counts::default() }
    }

    /// Counts `number` tests that did not run.
    pub(crate) fn skipped(number: usize) -> Self {
        Counts { skipped: number, ..Counts::default() }
    }

    /// Counts one test.
    pub(crate) fn one(passed: bool) -> Self {
        if passed { Counts { passed: 1, ..Counts::default() } } else { Counts::failed(1) }
    }

    /// Takes `number` of the passed tests for skipped: to the test runner a test that ends early has passed.
    pub(crate) fn of_them_skipped(self, number: usize) -> Self {
        let moved = number.min(self.passed);
        Counts { passed: self.passed - moved, skipped: self.skipped + moved, ..self }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Counts::default(), |sum, counts| Counts {
            passed: sum.passed + counts.passed,
            failed: sum.failed + counts.failed,
            skipped: sum.skipped + counts.skipped,
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_names_the_skipped_only_where_there_are_some() {
        let all = [Counts::one(true), Counts::one(true), Counts::one(false)];
        let sum: Counts = all.into_iter().sum();
        assert_eq!(sum.to_string(), "2 passed, 1 failed");
        assert_eq!(sum.of_them_skipped(1).to_string(), "1 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn failures_are_never_taken_for_skipped() {
        let counts = Counts { passed: 1, failed: 2, skipped: 0 }.of_them_skipped(5);
        assert_eq!(counts, Counts { passed: 0, failed: 2, skipped: 1 });
    }
}
