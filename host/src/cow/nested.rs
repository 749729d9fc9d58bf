//! COW files where something else is wanted.

use super::{Disk, image, volatile};
use crate::{Error, Result};
use ebbtide_format::{exception_store, uml_cow};
use std::fmt;

/// A COW file, by its first bytes, be it damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nested {
    /// Of user-mode Linux.
    Uml,
    /// An exception store with a header.
    Store,
    /// A volatile disk with such a store in it.
    Volatile,
}

/// Returns what kind of COW file is in a file; none for any other.
///
/// # Errors
/// The file cannot be read.
pub(super) fn nested(disk: &Disk) -> Result<Option<Nested>> {
    let head = image::head(disk, 0)?;
    if !matches!(uml_cow::Seen::parse(&head), Err(uml_cow::Problem::NotUmlCow)) {
        return Ok(Some(Nested::Uml));
    }
    if is_store(&head) {
        return Ok(Some(Nested::Store));
    }
    let window = match volatile::window(disk) {
        Ok(Some(window)) => window,
        // A disk with a damaged table is a disk.
        Ok(None) | Err(Error::Refused(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(is_store(&image::head(disk, window.start)?).then_some(Nested::Volatile))
}

fn is_store(head: &[u8]) -> bool {
    matches!(exception_store::Seen::parse(head), Ok(exception_store::Seen::Header { .. }))
}

/// With an article.
impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uml => "a COW file of user-mode Linux",
            Self::Store => "an exception store",
            Self::Volatile => "a volatile disk with an exception store in it",
        })
    }
}
