//! The one error of all tasks: a sentence, and the cause below it.

use std::error::Error;
use std::fmt;

/// Result of a task.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// What could not be done, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    usage: bool,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Makes a failure of the one who typed the command.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Failure { usage: true, ..Failure::new(sentence) }
    }

    /// Returns whether the command was typed wrong.
    pub(crate) fn is_usage(&self) -> bool {
        self.usage
    }

    /// Makes a failure that has no deeper cause.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Failure { sentence: sentence.into(), usage: false, cause: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// Says what was being done when an error came.
pub(crate) trait Context<T> {
    /// Puts `sentence` above the error.
    fn context(self, sentence: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, sentence: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Failure {
            sentence: sentence(),
            usage: false,
            cause: Some(cause.into()),
        })
    }
}

/// Prints the chain of causes, once, one line each.
pub(crate) fn report(failure: &Failure) {
    eprintln!("xtask: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
