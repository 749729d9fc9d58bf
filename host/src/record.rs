//! Small TOML texts with a `format` number, read with errors that name the place.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;

/// The one field that all formats have.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Reads a record of at most format `newest`. `file` is for messages.
///
/// # Errors
/// Names the file, the line, what was wanted there and what was found.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8], file: &Path, newest: u32) -> Result<T> {
    let unreadable = |problem: String| Error::Unreadable { path: file.into(), problem };
    let text = std::str::from_utf8(text)
        .map_err(|error| unreadable(format!("wanted UTF-8 text: {error}")))?;
    // What a newer format has may be anything, so its number is looked at first.
    let format = first_line(text).or_else(|| {
        let read: Result<Format, _> = toml::from_str(text);
        read.ok().map(|read| read.format)
    });
    if let Some(format) = format
        && format > newest
    {
        return Err(unreadable(format!(
            "it has format {format}, made by a newer ebbtide; this one reads up to format {newest}"
        )));
    }
    toml::from_str(text).map_err(|error| unreadable(describe(&error, text)))
}

/// Returns the number where the record begins with it, as ours do: a thousand of them are read without reading each twice.
fn first_line(text: &str) -> Option<u32> {
    text.lines().next()?.strip_prefix("format = ")?.parse().ok()
}

/// Returns the message with its line, in one line.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let line = text.as_bytes()[..span.start.min(text.len())]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// Returns the text of a record.
///
/// # Errors
/// A value that TOML has not, of which the records' types have none.
pub(crate) fn print<T: Serialize>(value: &T, file: &Path) -> Result<Vec<u8>> {
    let text = toml::to_string(value)
        .map_err(|error| Error::Unreadable { path: file.into(), problem: error.to_string() })?;
    Ok(text.into_bytes())
}
