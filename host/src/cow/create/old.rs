//! What has the name of a new COW file already, and whether it may be replaced.

use super::Options;
use crate::{
    Error, Result,
    cow::{
        Cow, Disk, Kind,
        backing::identity,
        marker::{self, Marker, Since},
        merge::exists,
        nested::{Nested, nested},
    },
    error::{Refusal, RefusalKind},
};
use ebbtide_format::units::Bytes;
use std::{io, path::Path};

/// Returns the COW file that is to be replaced, open to be written; none when nothing is there.
pub(super) fn replaced(options: &Options<'_>, backing: &Disk) -> Result<Option<Disk>> {
    if options.cow.symlink_metadata().is_err() {
        // What else is wrong with the path, who makes the file is told.
        return Ok(None);
    }
    let shown = options.cow.display();
    let found = match Disk::open(options.cow) {
        // A link that leads nowhere has the name all the same.
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => {
            return Err(exists(&shown.to_string()).into());
        }
        found => found?,
    };
    let refuse = |text: String| Err(Refusal::new(RefusalKind::Rule, text).into());
    if found.is_same(backing) {
        return refuse(format!("{shown} is the backing itself, and cannot be the COW file too"));
    }
    if !options.force {
        return Err(taken(options.cow).into());
    }
    if found.kind == Kind::Device {
        return refuse(format!("{shown} is a device, and is not replaced by a file"));
    }
    // uml_mkcow leaves an empty file where it fails.
    if found.size != Bytes(0) {
        match nested(&found)? {
            Some(Nested::Uml) => is_needed(options.cow)?,
            other => return Err(irreplaceable(options.cow, other).into()),
        }
    }
    // A link stays one; what it leads to is replaced.
    let real = options
        .cow
        .canonicalize()
        .map_err(Error::doing(format!("find the real path of {shown}")))?;
    // A second opening of ours would look like somebody else's.
    drop(found);
    Disk::open_to_write(&real).map(Some)
}

/// Returns the refusal of a file that is not replaced at all. A store does not say what it was written over, so whether an
/// unfinished merge is finished with it is not known.
fn irreplaceable(file: &Path, found: Option<Nested>) -> Refusal {
    let file = file.display();
    let (text, hint) = match found {
        Some(found) => (
            format!("{file} is {found}, and only COW files of user-mode Linux are replaced"),
            "give a name that is free, or remove it by hand, unless a merge in place is to be finished with it",
        ),
        None => (
            format!("{file} is no COW file, and is not replaced by one"),
            "give a name that is free",
        ),
    };
    Refusal::new(RefusalKind::Rule, text).hint(hint)
}

/// Returns the refusal of a name that is taken, be it by a COW file that could be replaced.
pub(super) fn taken(cow: &Path) -> Refusal {
    exists(&cow.display().to_string())
        .hint("give a name that is free; --force replaces a COW file of user-mode Linux, with all that it holds")
}

/// Refuses to lose what the unfinished merge of a COW file into its backing is finished with.
pub(in crate::cow) fn is_needed(cow: &Path) -> Result<()> {
    let cow = Cow::look(cow)?;
    let now = identity(&cow.disk)?;
    let recorded = cow.recorded().and_then(|recorded| marker::of(&recorded.backing).ok());
    let beside = marker::of(&cow.disk.path).ok();
    for file in recorded.into_iter().chain(beside) {
        let Some(marker) = marker::read(&file)?.filter(Marker::is_unfinished) else {
            continue;
        };
        if marker.cow.since(&now) == Since::Another {
            continue;
        }
        return Err(needed(&cow.disk.path, &marker, &file).into());
    }
    Ok(())
}

fn needed(cow: &Path, marker: &Marker, file: &Path) -> Refusal {
    let text = format!(
        "an unfinished merge in place is finished with what {} holds, says {}",
        cow.display(),
        file.display()
    );
    Refusal::new(RefusalKind::Rule, text).hint(marker.finish(file))
}
