//! Where the marker of a merge lies.

use crate::{
    Error, Result,
    cow::{Disk, Kind},
    error::{Refusal, RefusalKind},
};
use std::path::{Path, PathBuf};

/// What the name of a marker has after that of the file.
const SUFFIX: &str = ".ebbtide-merge";

/// Returns the path of the marker of a file: beside the file itself, wherever links to it are.
///
/// # Errors
/// The file is gone.
pub fn of(path: &Path) -> Result<PathBuf> {
    let real = std::fs::canonicalize(path)
        .map_err(Error::doing(format!("find the real path of {}", path.display())))?;
    let mut name = real.into_os_string();
    name.push(SUFFIX);
    Ok(name.into())
}

/// Returns where the marker of a merge of `cow` into `backing` lies: beside the backing; beside the COW file where the
/// backing is a device; at `given` if that is named.
///
/// # Errors
/// Both are devices, and none is named.
pub fn beside(cow: &Disk, backing: &Disk, given: Option<&Path>) -> Result<PathBuf> {
    match (given, backing.kind, cow.kind) {
        (Some(given), ..) => std::path::absolute(given)
            .map_err(Error::doing(format!("find the absolute path of {}", given.display()))),
        (None, Kind::File, _) => of(&backing.path),
        (None, Kind::Device, Kind::File) => of(&cow.path),
        (None, Kind::Device, Kind::Device) => {
            let text = format!(
                "{} and {} are devices, so nothing says where the marker is to lie that makes the merge safe to repeat",
                cow.path.display(),
                backing.path.display()
            );
            let hint = "give --marker FILE, the same one whenever this merge is repeated";
            Err(Refusal::new(RefusalKind::Invalid, text).hint(hint).into())
        }
    }
}
