//! Where the marker of a merge lies.

use crate::{
    Error, Result,
    cow::{Disk, Kind},
    error::{Refusal, RefusalKind},
};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

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

/// Returns the path of the file beside which a marker lies; none for one with another name.
pub(super) fn beside_which(marker: &Path) -> Option<PathBuf> {
    let name = marker.as_os_str().as_bytes().strip_suffix(SUFFIX.as_bytes())?;
    Some(OsStr::from_bytes(name).into())
}

/// Returns where the marker of a merge of `cow` into `backing` lies: beside the backing; beside the COW file where the
/// backing is a device; at `given` where both are. Whoever looks for the marker of a file has to find it, so nobody
/// chooses another place for that.
///
/// # Errors
/// Both are devices, and none is named; one is named, and they are not both devices.
pub fn beside(cow: &Disk, backing: &Disk, given: Option<&Path>) -> Result<PathBuf> {
    match (given, backing.kind, cow.kind) {
        (Some(given), Kind::Device, Kind::Device) => std::path::absolute(given)
            .map_err(Error::doing(format!("find the absolute path of {}", given.display()))),
        (Some(given), ..) => Err(misplaced(given, cow, backing).into()),
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

fn misplaced(given: &Path, cow: &Disk, backing: &Disk) -> Refusal {
    let file = if backing.kind == Kind::File { backing } else { cow };
    let (given, file) = (given.display(), file.path.display());
    let text = format!(
        "the marker of this merge lies beside {file}, where every other command looks for it, and not at {given}"
    );
    Refusal::new(RefusalKind::Invalid, text)
        .hint("leave out --marker: it is for merges of a device into a device")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_place_is_chosen_only_where_both_are_devices() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let disk = |name: &str, kind| {
            fs::write(real.join(name), "x").unwrap();
            Disk { kind, ..Disk::open(&real.join(name)).unwrap() }
        };
        let (file, device) = (Kind::File, Kind::Device);
        let chosen = real.join("chosen");
        for (cow, backing, wanted, may_choose) in [
            (file, file, Some("root.ebbtide-merge"), false),
            (device, file, Some("root.ebbtide-merge"), false),
            (file, device, Some("cow.ebbtide-merge"), false),
            (device, device, None, true),
        ] {
            let (cow, backing) = (disk("cow", cow), disk("root", backing));
            let found = beside(&cow, &backing, None);
            assert_eq!(found.ok(), wanted.map(|name| real.join(name)));
            match beside(&cow, &backing, Some(&chosen)) {
                Ok(found) => assert!(may_choose && found == chosen),
                Err(Error::Refused(refusal)) => {
                    assert_eq!((refusal.kind, may_choose), (RefusalKind::Invalid, false));
                    let beside = real.join(wanted.unwrap()).with_extension("");
                    assert!(refusal.text.contains(&format!("beside {}", beside.display())));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}
