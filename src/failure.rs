//! What ends the program with status 1, and how it is told.

use crate::apply::ApplyError;
use ebbtide_init::{options::OptionError, private_volume, refusal::Refusal};
use std::{fmt, io};

/// Why the program failed.
pub(crate) enum Failure {
    /// An option cannot be taken.
    Options(OptionError),
    /// There is no plan.
    Refused(Refusal),
    /// The private disk cannot be used.
    Private(private_volume::Refusal),
    /// A step failed.
    Apply(ApplyError),
    /// The machine could not be looked at, or the answer not be printed.
    Io(io::Error),
    /// The machine cannot be booted.
    Boot {
        /// The thing, the wanted, the found.
        said: String,
        /// What can be done about it.
        hint: &'static str,
    },
}

impl Failure {
    /// Returns what can be done about it, where that is known.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.hint().to_string(),
            Self::Boot { hint, .. } => (*hint).to_string(),
            Self::Options(_) => "correct it on the kernel command line or in init.conf".to_string(),
            Self::Private(refusal) => refusal.hint().to_string(),
            Self::Apply(_) | Self::Io(_) => String::new(),
        }
    }
}

/// The whole story on one line, with what can be done about it: a console is short.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => error.fmt(f),
            Self::Refused(refusal) => write!(f, "{refusal} ({})", refusal.hint()),
            Self::Private(refusal) => write!(f, "{refusal} ({})", refusal.hint()),
            Self::Apply(error) => write!(f, "{error}: {}", error.cause()),
            Self::Io(error) => error.fmt(f),
            Self::Boot { said, hint } => write!(f, "{said} ({hint})"),
        }
    }
}

impl From<OptionError> for Failure {
    fn from(error: OptionError) -> Self {
        Self::Options(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<private_volume::Refusal> for Failure {
    fn from(refusal: private_volume::Refusal) -> Self {
        Self::Private(refusal)
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
