//! What can go wrong with a test machine: the thing, what was wanted and what was found.
//!
//! `Debug` prints like `Display`, with the causes, since a failing test shows its error by `Debug`.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use crate::outcome::{Ending, Evidence};

/// The result of everything that a test machine does.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of a test machine, or of what ran in it.
pub enum Error {
    /// Something that the machine is made of is not there: a reason to skip, outside CI.
    Unavailable {
        /// What is missing.
        what: String,
        /// What was found instead.
        why: String,
        /// The command that makes or installs it.
        make: String,
    },
    /// The description of the machine makes no sense.
    Description(String),
    /// An operation of the host failed.
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Something that was waited for did not come.
    Waited {
        /// What was waited for.
        wanted: String,
        /// What came instead.
        ending: Ending,
        /// How long the wait lasted.
        waited: Duration,
        /// The console's last lines.
        evidence: Evidence,
    },
    /// A command in the guest ended with another status than 0.
    Command {
        /// The script, as it was given.
        script: String,
        /// Its exit status.
        status: i32,
        /// Its standard output and standard error.
        output: String,
        /// The console's last lines.
        evidence: Evidence,
    },
    /// The command channel carried something that is not the protocol.
    Channel {
        /// What was found.
        found: String,
        /// The console's last lines.
        evidence: Evidence,
    },
    /// QEMU's monitor refused a command.
    Monitor {
        /// The command.
        command: String,
        /// QEMU's answer.
        answer: String,
    },
    /// The kernel log holds complaints that nobody expected.
    Complaints {
        /// The lines.
        lines: Vec<String>,
        /// The console's last lines.
        evidence: Evidence,
    },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl From<qemu::Error> for Error {
    fn from(error: qemu::Error) -> Self {
        match error {
            qemu::Error::Missing { program, package } => Self::Unavailable {
                what: program,
                why: "it is not in PATH".into(),
                make: format!("apt-get install {package}"),
            },
            qemu::Error::Io { doing, source } => Self::Io { doing, source },
            qemu::Error::Monitor { command, answer } => Self::Monitor { command, answer },
            // No machine of ours talks to one.
            agent @ qemu::Error::Agent { .. } => Self::Description(agent.to_string()),
            variable @ qemu::Error::Variable { .. } => Self::Description(variable.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { what, why, make } => {
                write!(f, "{what} is not available: {why}; make it with: {make}")
            }
            Self::Description(text) => write!(f, "the machine cannot be built: {text}"),
            Self::Io { doing, .. } => write!(f, "{doing} failed"),
            Self::Waited { wanted, ending, waited, evidence } => {
                let waited = waited.as_secs_f32();
                write!(f, "waited {waited:.1} s for {wanted}, but {ending}\n{evidence}")
            }
            Self::Command { script, status, output, evidence } => {
                write!(f, "`{script}` ended with status {status} and said:\n{output}\n{evidence}")
            }
            Self::Channel { found, evidence } => {
                write!(f, "the command channel carried {found}\n{evidence}")
            }
            Self::Monitor { command, answer } => write!(f, "QEMU refused {command}: {answer}"),
            Self::Complaints { lines, evidence } => {
                write!(f, "the kernel complained:\n  {}\n{evidence}", lines.join("\n  "))
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_the_cause_and_display_does_not() {
        let error = Error::io("opening root.img")(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), "opening root.img failed");
        assert_eq!(format!("{error:?}"), "opening root.img failed: entity not found");
    }
}
