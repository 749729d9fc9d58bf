//! Tests that ended early because this machine lacks something: vmtest keeps a line for each, it flows out here.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::failure::{Context, Result};
use crate::workspace;

/// Removes the lines of earlier runs.
pub(crate) fn forget() -> Result<()> {
    let path = path();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the lines since, each with its reason.
pub(crate) fn read() -> Result<Vec<String>> {
    let path = path();
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).context(|| format!("cannot read {}", path.display())),
    }
}

/// Returns the file that vmtest appends to.
fn path() -> PathBuf {
    std::env::var_os("EBBTIDE_VM_LOGS")
        .map_or_else(|| workspace::root().join("target/vm-logs"), PathBuf::from)
        .join("skipped")
}
