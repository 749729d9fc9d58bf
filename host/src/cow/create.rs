//! A new COW file of user-mode Linux, in which nothing is written yet.
//!
//! In: where it is to be, and its backing file. Out: the bytes that uml_mkcow writes, in a sparse file that has its name when
//! it is whole. An old COW file is replaced as a whole: uml_mkcow -f leaves the old bitmap in, so that a new device begins with
//! what was written to another.

use super::{
    Cow, Disk, Kind,
    image::{self, is_cow},
    in_use::{self, Others},
    marker::{self, Identity, Since},
    recorded::Record,
};
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
    file::whole,
};
use ebbtide_format::{
    uml_cow::{self, Header, Seen},
    units::Bytes,
};
use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The file to make.
    pub cow: &'a Path,
    /// What it is to be written over.
    pub backing: &'a Path,
    /// Whether a COW file that is there is replaced.
    pub force: bool,
}

/// Makes a COW file, durably. What was there before is there until the new one is whole.
///
/// # Errors
/// Refused: the backing is missing, empty, or a COW file itself; somebody writes to it; a merge into it is unfinished; something
/// is there, and is not to be replaced, or is no COW file, is used, or is needed to finish a merge.
pub fn create(options: &Options<'_>) -> Result<()> {
    let backing = Disk::open(options.backing)?;
    may_be_backing(&backing)?;
    // Written to, it would not be what the header says.
    let _backing = match backing.kind {
        Kind::File => Some(in_use::hold(&backing, Others::MayRead)?),
        Kind::Device => None,
    };
    let new = New::over(&backing)?;
    let doing = || Error::doing(format!("create {}", options.cow.display()));
    match replaced(options, &backing)? {
        None => {
            log::info!("creates {}", options.cow.display());
            whole::make(options.cow, |file| new.fill(file)).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => exists(options.cow).into(),
                _ => doing()(error),
            })
        }
        Some(old) => {
            let _old = in_use::hold(&old, Others::MayNot)?;
            log::info!("replaces {}", old.path.display());
            whole::replace(&old.path, &old.file, |file| new.fill(file)).map_err(doing())
        }
    }
}

/// A COW file that is to be made.
pub(super) struct New {
    head: Vec<u8>,
    length: u64,
}

impl New {
    /// Returns what is to be written of one over that backing.
    pub(super) fn over(backing: &Disk) -> Result<Self> {
        let record = Record::of(backing)?;
        let refused = |text| Error::from(Refusal::new(RefusalKind::Unable, text));
        let impossible = |problem| {
            let path = record.path.display();
            refused(format!("a COW file cannot be written over {path}: it {problem}"))
        };
        let head =
            uml_cow::head(record.bytes(), record.modified, backing.size).map_err(impossible)?;
        let header = Seen::parse(&head).and_then(Seen::believe).map_err(impossible)?;
        // `int *data_offset_out` in the kernel's arch/um/drivers/cow.h, and in uml_mkcow, which makes a file that is too short.
        if i32::try_from(header.data()).is_err() {
            return Err(refused(format!(
                "{} has {}, and user-mode Linux cannot use a COW file over 8 TiB or more",
                backing.path.display(),
                backing.size
            )));
        }
        let length = header.end();
        Ok(Self { head, length })
    }

    /// Returns the header.
    pub(super) fn header(&self) -> Option<Header<'_>> {
        Seen::parse(&self.head).ok()?.believe().ok()
    }

    /// Makes an empty file a COW file in which nothing is written.
    pub(super) fn fill(&self, file: &File) -> io::Result<()> {
        file.set_len(self.length)?;
        file.write_all_at(&self.head, 0)
    }
}

/// Refuses what nothing can be written over.
pub(super) fn may_be_backing(backing: &Disk) -> Result<()> {
    let path = backing.path.display();
    if backing.size == Bytes(0) {
        let text = format!("{path} is empty: there is no device of 0 bytes");
        return Err(Refusal::new(RefusalKind::Rule, text).into());
    }
    if is_cow(&image::head(backing, 0)?) {
        let text = format!("{path} is a COW file itself, and there are no COW files of COW files");
        let hint = format!("merge it first: 'ebbtide cow merge {path} OUT'");
        return Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into());
    }
    if backing.kind == Kind::File {
        is_merged(&backing.path)?;
    }
    Ok(())
}

/// Refuses a backing into which a merge is unfinished.
pub(super) fn is_merged(backing: &Path) -> Result<()> {
    let file = marker::of(backing)?;
    let Some(marker) = marker::read(&file)?.filter(marker::Marker::is_unfinished) else {
        return Ok(());
    };
    let (path, cow) = (backing.display(), marker.cow.path.display());
    let text = format!("the merge of {cow} into {path} was cut off, says {}", file.display());
    let hint = format!("finish it first: 'ebbtide cow merge --in-place {cow}'");
    Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into())
}

/// Returns the COW file that is to be replaced, open to be written; none when nothing is there.
fn replaced(options: &Options<'_>, backing: &Disk) -> Result<Option<Disk>> {
    if options.cow.symlink_metadata().is_err() {
        // What else is wrong with the path, who makes the file is told.
        return Ok(None);
    }
    let shown = options.cow.display();
    let found = Disk::open(options.cow)?;
    let refuse = |text: String| Err(Refusal::new(RefusalKind::Rule, text).into());
    if found.is_same(backing) {
        return refuse(format!("{shown} is the backing itself, and cannot be the COW file too"));
    }
    if !options.force {
        return Err(exists(options.cow).into());
    }
    if found.kind == Kind::Device {
        return refuse(format!("{shown} is a device, and is not replaced by a file"));
    }
    // uml_mkcow leaves an empty file where it fails.
    if found.size != Bytes(0) && !is_cow(&image::head(&found, 0)?) {
        let text = format!("{shown} is no COW file, and is not replaced by one");
        return Err(Refusal::new(RefusalKind::Rule, text).hint("give a name that is free").into());
    }
    if found.size != Bytes(0) {
        is_needed(options.cow)?;
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

fn exists(cow: &Path) -> Refusal {
    let text = format!("{} is there already, and is not written over", cow.display());
    Refusal::new(RefusalKind::Exists, text)
        .hint("give a name that is free; --force replaces a COW file, with all that it holds")
}

/// Refuses to lose what the unfinished merge of a COW file into its backing is finished with.
pub(super) fn is_needed(cow: &Path) -> Result<()> {
    let cow = Cow::look(cow)?;
    let now = Identity::of(&cow.disk)
        .map_err(Error::doing(format!("look at {}", cow.disk.path.display())))?;
    let recorded = cow.recorded().and_then(|recorded| marker::of(&recorded.backing).ok());
    let beside = marker::of(&cow.disk.path).ok();
    for file in recorded.into_iter().chain(beside) {
        let Some(marker) = marker::read(&file)?.filter(marker::Marker::is_unfinished) else {
            continue;
        };
        if marker.cow.since(&now) == Since::Another {
            continue;
        }
        return Err(needed(&cow.disk.path, &marker.backing.path, &file).into());
    }
    Ok(())
}

fn needed(cow: &Path, backing: &Path, file: &Path) -> Refusal {
    let (cow, backing) = (cow.display(), backing.display());
    let text = format!(
        "the merge of {cow} into {backing} was cut off, and is finished with what {cow} holds, says {}",
        file.display()
    );
    Refusal::new(RefusalKind::Rule, text)
        .hint(format!("finish it first: 'ebbtide cow merge --in-place {cow}'"))
}
