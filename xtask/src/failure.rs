//! The one error of all tasks: a sentence, and the cause below it.

use std::error::Error;
use std::fmt;

/// Result of a task.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// What a failure means for the end of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Something could not be done.
    Work,
    /// The command was typed wrong.
    Usage,
    /// The output has said it all, and its last line is to stay the last.
    Told,
}

/// What could not be done, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    kind: Kind,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Makes a failure of the one who typed the command.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Failure { kind: Kind::Usage, ..Failure::new(sentence) }
    }

    /// Returns whether the command was typed wrong.
    pub(crate) fn is_usage(&self) -> bool {
        self.kind == Kind::Usage
    }

    /// Makes the end of a task whose output has said what failed.
    pub(crate) fn told() -> Self {
        Failure { kind: Kind::Told, ..Failure::new("see above") }
    }

    /// Returns the sentence and the chain of causes, one line each.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.sentence.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text += &format!("\n  because: {error}");
            cause = error.source();
        }
        text
    }

    /// Makes a failure that has no deeper cause.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Failure { sentence: sentence.into(), kind: Kind::Work, cause: None }
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
            kind: Kind::Work,
            cause: Some(cause.into()),
        })
    }
}

/// Prints the chain of causes, unless the output has said it all.
pub(crate) fn report(failure: &Failure) {
    if failure.kind != Kind::Told {
        eprintln!("xtask: {}", failure.chain());
    }
}
