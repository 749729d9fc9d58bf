//! How a failure is told: `ebbtide: …` with its causes, a hint, and the exit status.

use clap::error::ErrorKind;
use ebbtide::{Error, error::RefusalKind};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Not done: refused or failed.
const FAILED: u8 = 1;
/// Not understood.
const USAGE: u8 = 2;

/// Tells why something was not done, and returns the exit status.
pub(crate) fn report(error: &Error) -> ExitCode {
    tell(error);
    match error {
        Error::Refused(refusal) if refusal.kind == RefusalKind::Invalid => ExitCode::from(USAGE),
        _ => ExitCode::from(FAILED),
    }
}

/// Tells why something was not done.
pub(crate) fn tell(error: &Error) {
    super::out::say(&error.chain());
    if let Some(hint) = error.hint() {
        super::out::hint(hint);
    }
}

/// Tells what clap has to say, help or a mistake in the arguments, and returns the exit status.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match super::out::text(&error.render().to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report(&error),
        };
    }
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = write!(io::stderr(), "{text}");
        return ExitCode::from(USAGE);
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    super::out::say(text.trim_end().replace("\n  tip: ", "\nhint: ").as_str());
    ExitCode::from(USAGE)
}
