//! The whole life of a merge in place: begun, cut off, finished, asked for again, and all that it refuses.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod merges;

use ebbtide::{
    Error, Result,
    cow::{
        Backing, Cow, Sharing,
        backing::Mismatch,
        in_place::{Options, Outcome, merge_in_place},
        info::info,
        marker,
        others::Other,
    },
    error::RefusalKind,
    file::{Progress, Unseen},
};
use ebbtide_format::units::Bytes;
use merges::{Bench, MODIFIED, Of, SIZE, old, set_time, times};
use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _, symlink},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// A bench in a directory of its own.
struct Room {
    bench: Bench,
    backing: PathBuf,
    cow: PathBuf,
    _dir: TempDir,
}

impl Room {
    fn new(of: Of) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // What the marker says is compared with real paths.
        let bench = Bench::new(&dir.path().canonicalize().unwrap(), of);
        Self { backing: bench.backing(), cow: bench.cow(), bench, _dir: dir }
    }

    fn options(&self) -> Options<'_> {
        Options {
            cow: &self.cow,
            backing: Some(&self.backing),
            search: &[],
            force: false,
            marker: None,
            sharing: Sharing::default(),
        }
    }

    fn merge(&self) -> Result<Outcome> {
        merge_in_place(&self.options(), &mut Unseen)
    }

    fn merge_by_force(&self) -> Result<Outcome> {
        merge_in_place(&Options { force: true, ..self.options() }, &mut Unseen)
    }

    fn merged(&self) {
        let outcome = self.merge().unwrap();
        assert!(matches!(outcome, Outcome::Merged(_)), "{outcome:?}");
    }

    /// Begins a merge that ends in the middle, as by a crash.
    fn cut_off(&self) {
        let options = self.options();
        let cut = || merge_in_place(&options, &mut Crash).map(drop);
        catch_unwind(AssertUnwindSafe(cut)).unwrap_err();
        assert!(self.marker().is_unfinished());
    }

    fn marker(&self) -> marker::Marker {
        marker::read(&self.bench.marker()).unwrap().unwrap()
    }

    /// Asserts that a merge is refused, says so, and changes nothing.
    fn is_refused(&self, merge: impl Fn() -> Result<Outcome>, wanted: &str) {
        let before = self.everything();
        let error = merge().unwrap_err();
        let said = format!("{}\n{}", error.chain(), error.hint().unwrap_or_default());
        assert!(said.contains(wanted), "{said}");
        assert!(before == self.everything(), "{said}: something was changed");
    }

    /// Returns all files with content and times.
    fn everything(&self) -> Vec<(PathBuf, Vec<u8>, (i64, i64))> {
        let mut all: Vec<_> = fs::read_dir(&self.bench.dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(&path).unwrap(), times(&path)))
            .collect();
        all.sort();
        all
    }

    /// Makes another COW file over the same backing.
    fn other(&self, name: &str) -> PathBuf {
        let path = self.bench.dir.join(name);
        self.bench.put_cow(&path);
        path
    }
}

/// The first news of progress is the last.
struct Crash;

impl Progress for Crash {
    fn bytes(&mut self, done: Bytes, whole: Bytes) {
        if done.0 > 0 && done < whole {
            panic!("a crash, as the test wants it");
        }
    }
}

fn each(test: impl Fn(&Room)) {
    for of in Of::ALL {
        test(&Room::new(of));
    }
}

/// Lets the clock of the file system go on.
fn later() {
    thread::sleep(Duration::from_millis(20));
}

fn write(path: &Path, bytes: &[u8], at: u64) {
    later();
    File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn a_merge_leaves_the_backing_with_all_of_it_and_the_cow_file_as_it_was() {
    each(|room| {
        let cow = (fs::read(&room.cow).unwrap(), times(&room.cow));
        let inode = fs::metadata(&room.backing).unwrap().ino();
        let Outcome::Merged(merged) = room.merge().unwrap() else { panic!("it was not merged") };
        assert!(!merged.is_again && merged.others.is_empty());
        assert_eq!(merged.marker, room.bench.marker());
        room.bench.is_whole(&room.bench.merged(), "merged");
        assert!(cow == (fs::read(&room.cow).unwrap(), times(&room.cow)));
        assert_eq!(inode, fs::metadata(&room.backing).unwrap().ino());
        assert_eq!(fs::read_dir(&room.bench.dir).unwrap().count(), 3);
        let marker = room.marker();
        assert_eq!(
            (marker.cow.path, marker.backing.path),
            (room.cow.clone(), room.backing.clone())
        );
    });
}

#[test]
fn what_was_merged_is_not_merged_again() {
    each(|room| {
        room.merged();
        let before = room.everything();
        for merge in [Room::merge, Room::merge_by_force] {
            let outcome = merge(room).unwrap();
            assert!(matches!(outcome, Outcome::Already { .. }), "{outcome:?}");
        }
        assert!(before == room.everything());
    });
}

#[test]
fn a_merge_that_was_cut_off_is_finished_by_the_same_command() {
    each(|room| {
        for cuts in 0..3 {
            room.bench.renew();
            for _ in 0..=cuts {
                room.cut_off();
            }
            // Any part of it may be there.
            write(&room.backing, &old()[SIZE as usize / 2..], SIZE / 2);
            if room.bench.of == Of::Uml {
                assert_ne!(
                    times(&room.backing).0,
                    MODIFIED.0,
                    "no kernel takes it for the old one"
                );
            }
            let Outcome::Merged(merged) = room.merge().unwrap() else { panic!("not merged") };
            assert!(merged.is_again);
            room.bench.is_whole(&room.bench.merged(), "merged after a cut");
            assert!(matches!(room.merge().unwrap(), Outcome::Already { .. }));
        }
    });
}

#[test]
fn what_was_written_to_the_backing_since_is_not_undone() {
    each(|room| {
        room.merged();
        write(&room.backing, b"since", 0);
        room.is_refused(|| room.merge(), "would undo what was written since");
        room.merge_by_force().unwrap();
        room.bench.is_whole(&room.bench.merged(), "forced");
    });
}

#[test]
fn a_backing_that_was_put_back_from_a_copy_is_not_called_merged() {
    each(|room| {
        room.merged();
        let time = times(&room.backing);
        later();
        room.bench.put_backing();
        assert!(room.bench.of == Of::Store || times(&room.backing) == time);
        room.is_refused(|| room.merge(), "was changed since");
        room.merge_by_force().unwrap();
        room.bench.is_whole(&room.bench.merged(), "forced");
    });
}

#[test]
fn what_was_written_to_the_cow_file_since_is_merged_too() {
    each(|room| {
        room.merged();
        later();
        room.bench.write_more();
        let Outcome::Merged(merged) = room.merge().unwrap() else { panic!("it was not merged") };
        assert!(!merged.is_again);
        room.bench.is_whole(&room.bench.merged_more(), "merged more");
        assert!(room.marker().earlier.is_empty(), "it is one COW file");
    });
}

#[test]
fn what_changed_on_both_sides_is_refused() {
    each(|room| {
        room.merged();
        write(&room.backing, b"since", 0);
        room.bench.write_more();
        room.is_refused(|| room.merge(), "was changed since");
        room.merge_by_force().unwrap();
        room.bench.is_whole(&room.bench.merged_more(), "forced");
    });
}

#[test]
fn the_unfinished_merge_of_another_cow_file_comes_first() {
    each(|room| {
        let other = room.bench.dir.join("other.cow");
        room.cut_off();
        room.bench.put_cow(&other);
        let merge = |force| {
            let options = Options { cow: &other, force, ..room.options() };
            merge_in_place(&options, &mut Unseen)
        };
        for force in [false, true] {
            room.is_refused(|| merge(force), &room.cow.display().to_string());
            let names = if room.bench.of == Of::Uml {
                String::new()
            } else {
                format!("--backing {} ", room.backing.display())
            };
            let command = format!("ebbtide cow merge --in-place {names}{}", room.cow.display());
            room.is_refused(|| merge(force), &format!("finish it: {command}"));
        }
        room.merged();
    });
}

#[test]
fn whoever_cannot_finish_a_merge_is_told_so() {
    each(|room| {
        let other = room.bench.dir.join("other.cow");
        room.cut_off();
        room.bench.put_cow(&other);
        let kept = room.bench.dir.join("kept");
        fs::rename(&room.cow, &kept).unwrap();
        let options = Options { cow: &other, ..room.options() };
        room.is_refused(|| merge_in_place(&options, &mut Unseen), "work.cow is not there: if");
        let options = Options { cow: &kept, ..options };
        assert!(matches!(merge_in_place(&options, &mut Unseen), Ok(Outcome::Merged(_))));
    });
}

#[test]
fn a_cow_file_that_changed_in_the_middle_is_merged_only_by_force() {
    each(|room| {
        room.cut_off();
        later();
        room.bench.write_more();
        room.is_refused(|| room.merge(), "is not what it was when its merge");
        room.merge_by_force().unwrap();
        room.bench.is_whole(&room.bench.merged_more(), "forced");
    });
}

#[test]
fn a_backing_that_was_put_back_in_the_middle_is_merged_into_and_another_is_not() {
    each(|room| {
        room.cut_off();
        fs::remove_file(&room.backing).unwrap();
        room.bench.put_backing();
        room.merged();
        room.bench.is_whole(&room.bench.merged(), "put back");

        room.bench.renew();
        room.cut_off();
        fs::remove_file(&room.backing).unwrap();
        later();
        fs::write(&room.backing, old()).unwrap();
        room.is_refused(|| room.merge(), "is another");
        room.merge_by_force().unwrap();
        room.bench.is_whole(&room.bench.merged(), "forced");
    });
}

#[test]
fn other_cow_files_of_the_backing_are_listed_and_given_up_only_by_force() {
    let room = Room::new(Of::Uml);
    let other = room.other("other.cow");
    room.is_refused(|| room.merge(), "other.cow");
    fs::remove_file(other).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let hidden = elsewhere.path().join("hidden.cow");
    room.bench.put_cow(&hidden);
    let search = [elsewhere.path().to_path_buf()];
    let options = Options { search: &search, ..room.options() };
    room.is_refused(|| merge_in_place(&options, &mut Unseen), "hidden.cow");
    let Outcome::Merged(merged) =
        merge_in_place(&Options { force: true, ..options }, &mut Unseen).unwrap()
    else {
        panic!("it was not merged")
    };
    assert_eq!(merged.others, [Other { path: hidden.clone(), doubt: None }]);
    assert!(merged.is_outdated, "the time of the backing is not set back");
    let backing = fs::read(&room.backing).unwrap();
    assert_eq!(backing, room.bench.merged());
    // Nobody is to take what was given up for whole.
    let given_up = Options { cow: &hidden, ..room.options() };
    room.is_refused(|| merge_in_place(&given_up, &mut Unseen), "last written to");
    assert!(matches!(room.merge(), Ok(Outcome::Already { .. })));
}

#[test]
fn a_cut_merge_is_finished_whatever_cow_files_came_meanwhile() {
    let room = Room::new(Of::Uml);
    room.cut_off();
    let other = room.other("other.cow");
    room.merged();
    assert_eq!(fs::read(&room.backing).unwrap(), room.bench.merged());
    // It was written over nobody knows what.
    let other = Options { cow: &other, ..room.options() };
    room.is_refused(|| merge_in_place(&other, &mut Unseen), "last written to");
}

#[test]
fn a_cow_file_that_was_merged_before_another_is_not_merged_after_it() {
    each(|room| {
        room.merged();
        let kept = room.bench.dir.join("elsewhere.kept");
        fs::rename(&room.cow, &kept).unwrap();
        room.other("work.cow");
        if room.bench.of == Of::Uml {
            room.is_refused(|| room.merge(), "elsewhere.kept");
        }
        room.merge_by_force().unwrap();
        assert_eq!(room.marker().earlier.len(), 1);
        let options = Options { cow: &kept, ..room.options() };
        room.is_refused(|| merge_in_place(&options, &mut Unseen), "and another COW file after it");
    });
}

#[test]
fn a_cow_file_over_which_another_merge_has_gone_is_refused() {
    let room = Room::new(Of::Store);
    let kept = room.other("kept.store");
    later();
    later();
    room.merged();
    let options = Options { cow: &kept, ..room.options() };
    room.is_refused(|| merge_in_place(&options, &mut Unseen), "after the last write to");
    let forced = Options { force: true, ..options };
    assert!(matches!(merge_in_place(&forced, &mut Unseen).unwrap(), Outcome::Merged(_)));
}

#[test]
fn an_older_cow_file_that_was_put_back_in_its_place_is_not_merged_over_a_newer_one() {
    each(|room| {
        for is_new_file in [false, true] {
            room.bench.renew();
            let (old, time) = (fs::read(&room.cow).unwrap(), room.cow.metadata().unwrap());
            later();
            room.bench.write_more();
            room.merged();
            later();
            if is_new_file {
                // Not at once, or the new one is given the inode of the old one.
                fs::rename(&room.cow, room.bench.dir.join("gone")).unwrap();
            }
            fs::write(&room.cow, &old).unwrap();
            let file = File::options().write(true).open(&room.cow).unwrap();
            file.set_modified(time.modified().unwrap()).unwrap();
            drop(file);
            let _ = fs::remove_file(room.bench.dir.join("gone"));
            room.is_refused(|| room.merge(), "a newer");
            let merge = |force| {
                let options = Options { force, ..room.options() };
                merge_in_place(&options, &mut Unseen)
            };
            room.is_refused(|| merge(false), "after the last write to");
            assert!(matches!(merge(true).unwrap(), Outcome::Merged(_)));
        }
    });
}

#[test]
fn what_took_the_place_of_a_half_merged_backing_is_known_by_its_time() {
    let room = Room::new(Of::Uml);
    let fits = || {
        let cow = Cow::open(&room.cow).unwrap();
        Backing::find(&cow, None).map(drop).map_err(|error| error.chain())
    };
    room.cut_off();
    assert_eq!(fits(), Ok(()), "it is merged, though it has another time");
    fs::rename(&room.backing, room.bench.dir.join("half")).unwrap();
    fs::write(&room.backing, vec![b'x'; SIZE as usize]).unwrap();
    let error = fits().unwrap_err();
    assert!(error.contains("last written to"), "{error}");
    let cow = Cow::open(&room.cow).unwrap();
    let found = info(&cow, None).unwrap().backing.unwrap().found.unwrap();
    assert!(matches!(found.mismatch, Some(Mismatch::Modified { .. })));
    // Put back as it was.
    fs::remove_file(&room.backing).unwrap();
    room.bench.put_backing();
    assert_eq!(fits(), Ok(()));
}

#[test]
fn a_backing_of_another_time_is_refused_before_anything_is_written() {
    let room = Room::new(Of::Uml);
    write(&room.backing, b"since", 0);
    for merge in [Room::merge, Room::merge_by_force] {
        room.is_refused(|| merge(&room), "2009-02-13T23:31:30Z");
    }
    let file = File::options().write(true).open(&room.backing).unwrap();
    file.set_len(4096).unwrap();
    set_time(&file);
    room.is_refused(|| room.merge(), "4 KiB");
    assert!(!room.bench.marker().exists());
}

#[test]
fn a_broken_marker_stops_everything_and_says_what_to_do() {
    each(|room| {
        fs::write(room.bench.marker(), "state = \"mer").unwrap();
        for merge in [Room::merge, Room::merge_by_force] {
            room.is_refused(|| merge(room), "root.img.ebbtide-merge: line 1");
            room.is_refused(|| merge(room), "remove it");
        }
    });
}

#[test]
fn a_backing_with_two_names_is_changed_only_by_force() {
    each(|room| {
        fs::hard_link(&room.backing, room.bench.dir.join("version-7.img")).unwrap();
        room.is_refused(|| room.merge(), "has 2 names");
        room.merge_by_force().unwrap();
    });
}

#[test]
fn one_force_answers_only_what_was_asked_and_says_what_it_gave_up() {
    let room = Room::new(Of::Uml);
    let kept = room.other("kept.cow");
    later();
    later();
    room.merge_by_force().unwrap();
    // The time that kept.cow records, as a person sets it who knows the HOWTO.
    set_time(&File::options().write(true).open(&room.backing).unwrap());
    fs::hard_link(&room.backing, room.bench.dir.join("version-7.img")).unwrap();
    let options = Options { cow: &kept, ..room.options() };
    for wanted in ["after the last write to", "work.cow", "has 2 names", "in spite of all of this"]
    {
        room.is_refused(|| merge_in_place(&options, &mut Unseen), wanted);
    }
    let forced = merge_in_place(&Options { force: true, ..options }, &mut Unseen).unwrap();
    let Outcome::Merged(merged) = forced else { panic!("it was not merged") };
    assert_eq!((merged.names, merged.over, merged.others.len()), (1, Some(room.cow.clone()), 1));
}

#[test]
fn the_marker_lies_beside_the_file_that_a_link_leads_to() {
    each(|room| {
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link.img");
        symlink(&room.backing, &link).unwrap();
        let options = Options { backing: Some(&link), ..room.options() };
        merge_in_place(&options, &mut Unseen).unwrap();
        room.bench.is_whole(&room.bench.merged(), "by a link");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
        assert!(matches!(room.merge().unwrap(), Outcome::Already { .. }));
    });
}

#[test]
fn the_marker_of_a_file_lies_where_everybody_looks_for_it() {
    each(|room| {
        let file = room.bench.dir.join("marker");
        let options = Options { marker: Some(&file), ..room.options() };
        room.is_refused(|| merge_in_place(&options, &mut Unseen), "leave out --marker");
    });
}

#[test]
fn whoever_comes_meanwhile_is_refused() {
    /// Starts a second merge in the middle of the first.
    struct Second<'a>(&'a Room, usize);
    impl Progress for Second<'_> {
        fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
            for merge in [Room::merge, Room::merge_by_force] {
                let error = merge(self.0).unwrap_err();
                let Error::Refused(refusal) = &error else { panic!("{}", error.chain()) };
                assert_eq!(refusal.kind, RefusalKind::Busy, "{refusal}");
            }
            self.1 += 1;
        }
    }
    each(|room| {
        let mut second = Second(room, 0);
        merge_in_place(&room.options(), &mut second).unwrap();
        assert!(second.1 > 0);
        room.bench.is_whole(&room.bench.merged(), "merged once");
    });
}

#[test]
fn a_cow_file_that_is_written_meanwhile_leaves_the_merge_unfinished() {
    struct Writes<'a>(&'a Room);
    impl Progress for Writes<'_> {
        fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
            later();
            self.0.bench.write_more();
        }
    }
    each(|room| {
        let error = merge_in_place(&room.options(), &mut Writes(room)).unwrap_err();
        assert!(error.chain().contains("somebody writes to"), "{}", error.chain());
        assert!(room.marker().is_unfinished());
        room.merge_by_force().unwrap();
        room.bench.is_whole(&room.bench.merged_more(), "forced");
    });
}

#[test]
fn nothing_is_written_where_it_could_not_be_told_later() {
    each(|room| {
        fs::create_dir(room.bench.marker()).unwrap();
        room.is_refused(|| room.merge(), "root.img.ebbtide-merge");
        fs::remove_dir(room.bench.marker()).unwrap();
        let backing = room.bench.dir.join("gone.img");
        let options = Options { backing: Some(&backing), ..room.options() };
        room.is_refused(|| merge_in_place(&options, &mut Unseen), "gone.img");
        let options = Options { backing: Some(&room.cow), ..room.options() };
        room.is_refused(|| merge_in_place(&options, &mut Unseen), "itself");
    });
}
