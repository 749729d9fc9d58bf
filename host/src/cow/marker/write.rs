//! A marker is replaced as a whole.

use super::{Marker, text};
use crate::{
    Error, Result,
    file::{aside, sync_names},
};
use nix::libc;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

impl Marker {
    /// Writes it to its place: after it, and after a cut at any point, the old one or the new one is there, whole.
    /// Durable when it returns. Whoever calls keeps other writers away.
    ///
    /// # Errors
    /// Names the file; the old one is there then, or the new one that may not be durable.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = text::print(self, file)?;
        log::info!("writes {}", file.display());
        replace(file, &text).map_err(Error::doing(format!("write {}", file.display())))
    }
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let aside = aside(file);
    // What a cut has left, or a link that somebody else has made.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(libc::O_CLOEXEC);
    let written = options.open(&aside).and_then(|mut new| {
        new.write_all(text)?;
        new.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&aside, file)) {
        // Without room there is none for half a marker either.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    sync_names(file.parent().unwrap_or(Path::new("/")))
}
