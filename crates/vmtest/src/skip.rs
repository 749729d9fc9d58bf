//! Skipping what cannot run here: a failure under `CI=true`, elsewhere counted and with its reason.

use std::fs::OpenOptions;
use std::io::Write;

use crate::error::{Error, Result};

/// What a test function returns, so that [`require!`](crate::require) can end it early.
pub trait TestEnd {
    /// The value that ends a test that is not to fail.
    fn skipped() -> Self;
}

impl TestEnd for () {
    fn skipped() -> Self {}
}

impl<E> TestEnd for std::result::Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// Unwraps a result; when it is an [`Error::Unavailable`], ends the test as skipped.
///
/// Under `CI=true` a test that cannot run fails, and so it does everywhere at any other error.
#[macro_export]
macro_rules! require {
    ($result:expr) => {
        match $crate::if_available($result) {
            Some(value) => value,
            None => return $crate::TestEnd::skipped(),
        }
    };
}

/// Returns the value, or `None` when what it needs is not available here and need not be.
///
/// # Panics
/// At any other error, and under `CI=true` at every error.
pub fn if_available<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error @ Error::Unavailable { .. }) if !is_required(std::env::var("CI").ok()) => {
            record(&error);
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn is_required(ci: Option<String>) -> bool {
    ci.is_some_and(|value| value == "true" || value == "1")
}

/// Prints the skip and adds a line to `skipped` beside the console logs, one for each.
fn record(error: &Error) {
    let thread = std::thread::current();
    let line = format!("skipped {}: {error}\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    let folder = crate::log::folder();
    // The count is a service; a test is skipped all the same where it cannot be kept.
    let _ = std::fs::create_dir_all(&folder)
        .and_then(|()| OpenOptions::new().append(true).create(true).open(folder.join("skipped")))
        .and_then(|mut file| file.write_all(line.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ci_requires() {
        assert!(is_required(Some("true".into())) && is_required(Some("1".into())));
        assert!(!is_required(Some("false".into())) && !is_required(None));
    }

    #[test]
    #[should_panic(expected = "the machine cannot be built: why")]
    fn other_errors_fail() {
        if_available::<()>(Err(Error::Description("why".into())));
    }
}
