//! A COW file of user-mode Linux gets another backing file, of the same content, in its header.
//!
//! In: the COW file, the file that was moved, copied or restored. Out: the header names that file, and its time of modification
//! is the one that is recorded. Nothing else of the COW file changes.

use super::{
    Cow, Disk, Kind, Recorded,
    backing::{Backing, Mismatch},
    create::{is_merged, is_needed},
    image,
    in_place::times,
    in_use::{self, Held, Others},
    recorded::Record,
    same,
};
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
    file::Progress,
};
use ebbtide_format::uml_cow::relocated;
use jiff::Timestamp;
use std::{
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The COW file.
    pub cow: &'a Path,
    /// The file that it is to name.
    pub backing: &'a Path,
    /// What becomes of the time of modification.
    pub time: Time,
    /// What the new backing must have every byte of.
    pub compare: Option<&'a Path>,
}

/// What becomes of the time of modification, by which user-mode Linux knows a backing file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The new backing file must have the one that is recorded.
    Keep,
    /// The one that the new backing file has is recorded.
    Record,
    /// The new backing file gets the one that is recorded.
    Touch,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The header says it, durably.
    Moved {
        /// What it names now.
        backing: PathBuf,
    },
    /// It said so before.
    Already,
}

/// Has a COW file name another backing file.
///
/// # Errors
/// Refused: it is no COW file of user-mode Linux, or damaged, or in use; the new backing is missing, is a COW file, has another
/// size, another time that is to be kept, or other content; a merge is unfinished, or a merge of another COW file into the
/// new backing came after the last write to this one.
pub fn relocate(options: &Options<'_>, progress: &mut dyn Progress) -> Result<Outcome> {
    // Held before it is read, and there is no other opening of ours then.
    let disk = Disk::open_to_write(options.cow)?;
    let _cow = in_use::hold(&disk, Others::MayNot)?;
    let cow = Cow::open(options.cow)?;
    let Some(recorded) = cow.recorded() else {
        return Err(names_nothing(options.cow).into());
    };
    is_needed(options.cow)?;
    let backing = Backing::open(&cow, Some(options.backing))?;
    if backing.disk.kind == Kind::File {
        is_merged(&backing.disk.path)?;
    } else {
        backing.unfinished(&cow)?;
    }
    backing.is_overtaken(&cow)?;
    let _backing = held(&backing.disk)?;
    let plan = plan(&cow, &recorded, &backing, options.time)?;
    let record = Record { modified: plan.modified, ..Record::of(&backing.disk)? };
    let impossible = |problem| {
        let text = format!(
            "{} cannot name {}: it {problem}",
            options.cow.display(),
            record.path.display()
        );
        Error::from(Refusal::new(RefusalKind::Unable, text))
    };
    let writes =
        relocated(&image::head(&disk, 0)?, record.bytes(), record.modified).map_err(impossible)?;
    if let Some(old) = options.compare {
        compare(&cow, &recorded, old, &backing.disk, progress)?;
    }
    if plan.touch {
        let time = Timestamp::from_second(plan.modified.into()).unwrap_or_default();
        times::restore(&backing.disk, time)?;
    }
    if writes.is_empty() {
        return Ok(if plan.touch {
            Outcome::Moved { backing: record.path }
        } else {
            Outcome::Already
        });
    }
    write(&disk, &writes, &record)?;
    Ok(Outcome::Moved { backing: record.path })
}

/// What is done about the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    /// What is recorded in the end.
    modified: u32,
    /// Whether the new backing gets it.
    touch: bool,
}

/// Decides what becomes of the time, and whether the new backing can be one by its size.
fn plan(cow: &Cow, recorded: &Recorded, backing: &Backing, wanted: Time) -> Result<Plan> {
    let mismatch = backing.mismatch(recorded);
    let keep = Plan { modified: recorded.modified, touch: false };
    match (mismatch, wanted) {
        (None, _) => Ok(keep),
        (Some(mismatch @ Mismatch::Size { .. }), _) => Err(backing.refusal(cow, mismatch).into()),
        (Some(mismatch), Time::Keep) => Err(other_time(cow, backing, mismatch).into()),
        (Some(Mismatch::Modified { .. }), Time::Record) => {
            Ok(Plan { modified: Record::of(&backing.disk)?.modified, touch: false })
        }
        (Some(Mismatch::Modified { .. }), Time::Touch) if backing.disk.kind == Kind::Device => {
            let path = backing.disk.path.display();
            let text = format!("{path} is a device, and the time of its node does not last");
            let hint = "record what it has: '--mtime record'";
            Err(Refusal::new(RefusalKind::Unable, text).hint(hint).into())
        }
        (Some(Mismatch::Modified { .. }), Time::Touch) => Ok(Plan { touch: true, ..keep }),
    }
}

fn other_time(cow: &Cow, backing: &Backing, mismatch: Mismatch) -> Refusal {
    backing.refusal(cow, mismatch).hint(format!(
        "where its content is the same, '--mtime record' writes its time into {}, and '--mtime touch' sets the time of {} back",
        cow.disk.path.display(),
        backing.disk.path.display()
    ))
}

fn names_nothing(cow: &Path) -> Refusal {
    let text = format!("{} is an exception store, which does not name its backing", cow.display());
    Refusal::new(RefusalKind::Rule, text).hint("say --backing FILE when it is merged")
}

/// Keeps others from writing to a file meanwhile.
fn held(disk: &Disk) -> Result<Option<Held>> {
    match disk.kind {
        Kind::File => in_use::hold(disk, Others::MayRead).map(Some),
        Kind::Device => Ok(None),
    }
}

/// Compares the new backing with the old one, which must still be what the COW file was written over.
fn compare(
    cow: &Cow,
    recorded: &Recorded,
    old: &Path,
    new: &Disk,
    progress: &mut dyn Progress,
) -> Result<()> {
    let old = Backing::open(cow, Some(old))?;
    let (shown, other) = (old.disk.path.display(), new.path.display());
    let refuse = |text: String| Err(Refusal::new(RefusalKind::Rule, text).into());
    if old.disk.is_same(new) {
        return refuse(format!("{shown} is the new backing itself: comparing it shows nothing"));
    }
    if let Some(mismatch) = old.mismatch(recorded) {
        return Err(old
            .refusal(cow, mismatch)
            .hint(format!("compare with {shown} as it was"))
            .into());
    }
    old.unfinished(cow)?;
    old.is_overtaken(cow)?;
    let _old = held(&old.disk)?;
    let doing = || Error::doing(format!("compare {shown} with {other}"));
    match same::first_difference(&old.disk.file, &new.file, recorded.size, progress)
        .map_err(doing())?
    {
        None => Ok(()),
        Some(at) => refuse(format!("{other} is not what {shown} is: they differ at byte {at}")),
    }
}

/// Writes what changes of the header, and syncs it.
fn write(disk: &Disk, writes: &[(u64, Vec<u8>)], record: &Record) -> Result<()> {
    let path = disk.path.display();
    log::info!("records {} in {path}", record.path.display());
    let written = writes.iter().try_for_each(|(at, bytes)| disk.file.write_all_at(bytes, *at));
    written
        .and_then(|()| disk.file.sync_all())
        .map_err(Error::doing(format!("write the header of {path}")))
}
