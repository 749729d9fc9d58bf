//! What is printed. A reader that has gone away wants nothing more: that is no failure.

use super::printable::printable;
use ebbtide::{Error, Result};
use serde::{Serialize, Serializer};
use std::{
    io::{self, Write},
    path::Path,
};

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

/// Puts a path into JSON, which has no way to tell bytes that are no UTF-8: they are replaced.
pub(crate) fn path<S: Serializer>(
    path: &impl AsRef<Path>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

/// Puts paths into JSON, as [`path`] does.
pub(crate) fn paths<S: Serializer>(
    paths: &[impl AsRef<Path>],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.as_ref().to_string_lossy()))
}

/// Says something to the person, on standard error.
pub(crate) fn say(sentence: &str) {
    // Nobody is left to be told that standard error is closed.
    let _ = writeln!(io::stderr(), "ebbtide: {}", printable(sentence));
}

/// Says what the person may do, below what was said before, on standard error.
pub(crate) fn hint(sentence: &str) {
    let _ = writeln!(io::stderr(), "hint: {}", printable(sentence));
}

fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::doing("write to standard output")),
    }
}
