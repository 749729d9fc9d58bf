//! Small TOML files with a `format` number: read with errors that name the place, and replaced as a whole.

use super::{
    step::{self, Step},
    store::{Store, Unseen},
};
use crate::{
    error::{Error, Result},
    file::aside,
};
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
    if let Ok(Format { format }) = toml::from_str(text)
        && format > newest
    {
        return Err(unreadable(format!(
            "it has format {format}, made by a newer ebbtide; this one reads up to format {newest}"
        )));
    }
    toml::from_str(text).map_err(|error| unreadable(describe(&error, text)))
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

/// Replaces a small file: after it, and after a cut at any place, the file is the old one or the new one, whole.
/// Durable when it returns. Whoever calls keeps other writers away.
///
/// # Errors
/// Names the operation that failed; the file is the old one then.
pub(crate) fn replace(store: &dyn Store, file: &Path, content: Vec<u8>) -> Result<()> {
    let aside = aside(file);
    let left = store.stat(&aside).map_err(Error::doing(format!("look at {}", aside.display())))?;
    let mut steps: Vec<Step> = left.map(|_| Step::Remove(aside.clone())).into_iter().collect();
    let dir = file.parent().unwrap_or(Path::new("")).to_path_buf();
    steps.extend([
        Step::WriteNew { path: aside.clone(), content },
        Step::SyncFile(aside.clone()),
        Step::Rename { from: aside, to: file.into() },
        Step::SyncDir(dir),
    ]);
    step::apply(&steps, store, &mut Unseen)
}
