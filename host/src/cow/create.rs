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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use marker::{Marker, State};
    use nix::{
        fcntl::{FcntlArg, fcntl},
        libc,
    };
    use std::{fs, path::PathBuf};

    /// A directory with a backing of 9 sectors and a bit, and a COW file over it.
    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { dir: tempfile::tempdir().unwrap() };
            fs::write(place.path("root.img"), [7; 9 * 512 + 100]).unwrap();
            place.create("work.cow", "root.img", false).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn create(&self, cow: &str, backing: &str, force: bool) -> Result<()> {
            let (cow, backing) = (self.path(cow), self.path(backing));
            create(&Options { cow: &cow, backing: &backing, force })
        }

        /// Notes a merge of a COW file into a backing, as it is when it is cut off.
        fn cut_off(&self, cow: &str, backing: &str) {
            let identity = |name| Identity::of(&Disk::open(&self.path(name)).unwrap()).unwrap();
            let marker = Marker {
                state: State::Merging,
                cow: identity(cow),
                format: "COW file".into(),
                backing: identity(backing),
                earlier: Vec::new(),
            };
            marker.write(&marker::of(&self.path(backing)).unwrap()).unwrap();
        }
    }

    #[track_caller]
    fn refused(found: Result<()>, kind: RefusalKind, text: &str) {
        match found.unwrap_err() {
            Error::Refused(refusal) if refusal.kind == kind => {
                assert!(refusal.text.contains(text), "{}", refusal.text);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Locks a file as user-mode Linux does.
    fn locked(path: &Path, kind: i32) -> File {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let lock = libc::flock {
            l_type: i16::try_from(kind).unwrap(),
            l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        file
    }

    #[test]
    fn what_somebody_uses_is_neither_replaced_nor_written_over() {
        let place = Place::new();
        let before = fs::read(place.path("work.cow")).unwrap();
        let user = locked(&place.path("work.cow"), libc::F_WRLCK);
        refused(place.create("work.cow", "root.img", true), RefusalKind::Busy, "work.cow");
        drop(user);
        let user = locked(&place.path("root.img"), libc::F_WRLCK);
        refused(place.create("new.cow", "root.img", false), RefusalKind::Busy, "root.img");
        refused(place.create("work.cow", "root.img", true), RefusalKind::Busy, "root.img");
        drop(user);
        assert!(!place.path("new.cow").exists());
        assert_eq!(fs::read(place.path("work.cow")).unwrap(), before);
        place.create("work.cow", "root.img", true).unwrap();
    }

    #[test]
    fn a_backing_in_the_middle_of_a_merge_is_refused() {
        let place = Place::new();
        place.cut_off("work.cow", "root.img");
        refused(place.create("new.cow", "root.img", false), RefusalKind::Rule, "was cut off");
        assert!(!place.path("new.cow").exists());
    }

    #[test]
    fn what_a_merge_is_finished_with_is_not_replaced() {
        let place = Place::new();
        fs::write(place.path("other.img"), [8; 512]).unwrap();
        place.create("other.cow", "other.img", false).unwrap();
        let before = fs::read(place.path("work.cow")).unwrap();
        place.cut_off("work.cow", "root.img");
        refused(place.create("work.cow", "other.img", true), RefusalKind::Rule, "finished with");
        assert_eq!(fs::read(place.path("work.cow")).unwrap(), before);
        // The merge of another one is none of its business.
        place.create("other.cow", "other.img", true).unwrap();
    }

    #[test]
    fn nothing_is_left_beside_it() {
        let place = Place::new();
        place.create("work.cow", "root.img", true).unwrap();
        place.create("none/new.cow", "root.img", false).unwrap_err();
        assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_device_is_as_large_as_user_mode_linux_can_use() {
        let place = Place::new();
        let mut disk = Disk::open(&place.path("root.img")).unwrap();
        let mut over = |size: u64| {
            disk.size = Bytes(size);
            New::over(&disk).map(|new| new.length - size)
        };
        // 2^31 - 4096 is the last offset of data that an int holds.
        let largest = ((1_u64 << 31) - 4096 - 8192) * 8 * 512;
        assert_eq!(over(largest).unwrap(), (1 << 31) - 4096);
        refused(over(largest + 1).map(drop), RefusalKind::Unable, "8 TiB or more");
        refused(over(u64::MAX).map(drop), RefusalKind::Unable, "past what a file has");
    }

    #[test]
    fn times_that_have_no_room_are_refused() {
        let place = Place::new();
        let mut disk = Disk::open(&place.path("root.img")).unwrap();
        for (seconds, is_good) in [(-1, false), (0, true), (0xffff_ffff, true), (1 << 32, false)] {
            disk.modified = (seconds, 5);
            let found = New::over(&disk).map(drop);
            assert_eq!(found.is_ok(), is_good, "{seconds}");
            if !is_good {
                refused(found, RefusalKind::Unable, "from 1970 to 2106");
            }
        }
        assert!(Timestamp::from_second(1 << 32).unwrap().to_string().starts_with("2106-"));
    }
}
