//! Why something was not done: refused before anything was changed, or failed on the way.

use std::{fmt, io, path::PathBuf};

/// What the library's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the reader of a broken record may do.
pub(crate) const BROKEN_RECORD: &str =
    "correct it with an editor, or move its directory out of the pool";

/// An operation that was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Decided before anything was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file operation failed; what was changed is undone, or is finished by the next command.
    #[error("cannot {doing}")]
    Failed {
        /// The operation with its file: `rename A to B`.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file of the pool does not say what it should.
    #[error("{}: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was wanted and what was found, with the line where there is one.
        problem: String,
    },
    /// A program that was needed failed.
    #[error("{program}: {said}")]
    Program {
        /// Its name.
        program: String,
        /// What it said last, or how it ended.
        said: String,
    },
}

impl Error {
    /// Returns a function that names the operation which an I/O error ended.
    pub fn doing(doing: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Failed { doing: doing.to_string(), source }
    }

    /// Returns the text of it and of all its causes, each once.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            let more = source.to_string();
            if !text.ends_with(&more) {
                text = format!("{text}: {more}");
            }
            cause = source.source();
        }
        text
    }

    /// Returns what the reader may do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.hint.as_deref(),
            Self::Unreadable { path, .. } if path.ends_with("vm.toml") => Some(BROKEN_RECORD),
            _ => None,
        }
    }

    /// Returns the kind of the I/O error that is the cause, if one is.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Failed { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

/// A refusal: the thing, what was wanted of it, what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal: for callers that act on it.
    pub kind: RefusalKind,
    /// The whole sentence but the hint: the thing, the wanted, the found.
    pub text: String,
    /// What the reader may do, an imperative sentence without a full stop: `run 'ebbtide stop work' first`.
    pub hint: Option<String>,
}

/// What a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Something named is not there.
    Missing,
    /// Something with that name is there.
    Exists,
    /// A VM runs, or somebody works on it.
    Busy,
    /// What was asked for would lose data, or breaks a rule.
    Rule,
    /// A value is not one of those that are understood.
    Invalid,
    /// The file system or the machine cannot do it.
    Unable,
}

impl Refusal {
    /// Returns a refusal without a hint.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), hint: None }
    }

    /// Returns it with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}
