//! What is printed. A reader that has gone away wants nothing more: that is no failure.

use super::printable::printable;
use ebbtide::{Error, Result};
use serde::Serialize;
use std::io::{self, Write};

/// Prints text as it is, to standard output.
pub(crate) fn text(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Prints a line to standard output.
pub(crate) fn line(line: &str) -> Result<()> {
    bytes(format!("{line}\n").as_bytes())
}

/// Prints a value as JSON, to standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::doing("print JSON")(error.into()))?;
    line(&text)
}

/// Says something to the person, on standard error.
pub(crate) fn say(sentence: &str) {
    // Nobody is left to be told that standard error is closed.
    let _ = writeln!(io::stderr(), "ebbtide: {}", printable(sentence));
}

fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::doing("write to standard output")),
    }
}
