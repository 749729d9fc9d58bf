//! What can go wrong between us and QEMU.

use std::{fmt, io};

/// The result of what is done with QEMU.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure.
#[derive(Debug)]
pub enum Error {
    /// A program is not there.
    Missing {
        /// Its name, as it was looked for.
        program: String,
        /// The package that has it, as Debian calls it.
        package: &'static str,
    },
    /// A variable of the environment has a value that is not understood.
    Variable {
        /// Its name.
        name: &'static str,
        /// What it is, and what it may be.
        problem: String,
    },
    /// An operation of the host failed.
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The monitor did not do what it was told.
    Monitor {
        /// The command.
        command: String,
        /// QEMU's answer, or that there was none.
        answer: String,
    },
    /// The agent in the guest did not do what it was told.
    Agent {
        /// What it did instead.
        did: String,
    },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, package } => {
                write!(f, "{program} is not in PATH; the package {package} has it")
            }
            Self::Variable { name, problem } => write!(f, "{name} is {problem}"),
            Self::Io { doing, .. } => write!(f, "{doing} failed"),
            Self::Monitor { command, answer } => write!(f, "QEMU refused {command}: {answer}"),
            Self::Agent { did } => write!(f, "the guest's agent {did}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
