//! What the host knows about the disks: checksums and sizes.

use std::path::Path;
use std::process::Command;

use vmtest::Size;

use crate::failure::Result;
use crate::process;

/// Returns the checksum of a file, by a program that anybody can run again.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let said = process::output(Command::new("sha256sum").arg(path))?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Returns a size in MiB, rounded up.
pub(crate) fn mebibytes(size: Size) -> String {
    format!("{} MiB", size.as_bytes().div_ceil(1 << 20))
}
