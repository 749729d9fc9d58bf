//! Kept versions, and what else replaces the current one.

use super::*;
use ebbtide::{
    error::{Error, RefusalKind},
    pool::{
        driver::State,
        store::{Progress, Unseen},
    },
};

/// Asserts that something is refused, for this kind of reason.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, kind: RefusalKind) -> String {
    match result {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.kind, kind, "{refusal}");
            refusal.to_string()
        }
        other => panic!("a refusal was wanted, found {other:?}"),
    }
}

fn content(place: &dyn Place, volume: &Volume, revision: Revision) -> Vec<u8> {
    place.version(volume, Some(revision))
}

pub(super) fn old_versions_go_and_pinned_ones_stay(place: &dyn Place) {
    directories(place);
    let mut private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"one.");
    let gold = kept(run(place, &private, b"two."));
    private.retention.pinned.insert(2, "gold".into());
    for number in 3..7u8 {
        run(place, &private, &[number; 4]);
    }
    assert_eq!(numbers(place, &private), [2, 5, 6]);
    assert_eq!(content(place, &private, gold), b"one.");
    private.retention.pinned.clear();
    run(place, &private, b"end.");
    assert_eq!(numbers(place, &private), [6, 7]);
}

pub(super) fn what_is_pruned_is_freed_in_the_background(place: &dyn Place) {
    directories(place);
    let mut private = private();
    private.retention.keep = 1;
    place.driver().create(&private).unwrap();
    let pruned =
        || names_beside(place, &private).iter().filter(|name| name.contains(".aside-")).count();
    for settle in [false, true] {
        for bytes in [b"one.", b"two.", b"3..."] {
            run(place, &private, bytes);
        }
        assert_ne!(pruned(), 0, "a commit does not wait for it");
        if settle {
            assert!(
                place.driver().recover(&private).unwrap().is_empty(),
                "it was said by the commit"
            );
        } else {
            place.driver().precache(&private, &mut Unseen).unwrap();
        }
        assert_eq!(pruned(), 0);
        assert_eq!(numbers(place, &private).len(), 1);
    }
}

pub(super) fn keeping_none_keeps_none(place: &dyn Place) {
    directories(place);
    let mut private = private();
    private.retention.keep = 0;
    place.driver().create(&private).unwrap();
    let before = names_beside(place, &private);
    for bytes in [b"one.", b"two."] {
        assert_eq!(run(place, &private, bytes), Outcome::Committed(None));
    }
    assert_eq!(names_beside(place, &private), before);
}

pub(super) fn a_revert_destroys_nothing(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"one.");
    let one = kept(run(place, &private, b"two."));
    let two = kept(run(place, &private, b"3..."));
    let three = kept(place.driver().revert(&private, one).unwrap());
    assert_eq!(current(place, &private), b"one.");
    // What was current, the revision itself, and the newer one are all there, though two are to be kept.
    for (revision, wanted) in [(one, b"one."), (two, b"two."), (three, b"3...")] {
        assert_eq!(content(place, &private, revision), wanted);
    }
    assert!(place.driver().recover(&private).unwrap().is_empty());
    // And back: the revert is reverted.
    place.driver().revert(&private, three).unwrap();
    assert_eq!(current(place, &private), b"3...");
    for (revision, wanted) in [(one, b"one."), (two, b"two."), (three, b"3...")] {
        assert_eq!(content(place, &private, revision), wanted);
    }
    run(place, &private, b"four");
    assert_eq!(content(place, &private, three), b"3...", "the newest stay");
}

pub(super) fn a_revert_to_the_current_version_changes_nothing(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"one.");
    let one = kept(run(place, &private, b"two."));
    place.driver().revert(&private, one).unwrap();
    let before = place.driver().state(&private).unwrap();
    assert_eq!(place.driver().revert(&private, one).unwrap(), Outcome::Unchanged);
    assert_eq!(place.driver().state(&private).unwrap(), before);
    let unknown = Revision { number: Some(77), ..one };
    refused(place.driver().revert(&private, unknown), RefusalKind::Missing);
}

pub(super) fn a_revert_with_something_uncommitted_is_refused(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    let empty = kept(run(place, &private, b"one."));
    let disk = start(place, &private);
    place.write(&disk.path, 0, b"two.");
    let before = place.driver().state(&private).unwrap();
    refused(place.driver().revert(&private, empty), RefusalKind::Rule);
    assert_eq!(place.driver().state(&private).unwrap(), before);
}

pub(super) fn shrinking_is_refused(place: &dyn Place) {
    directories(place);
    let (template, private) = (template(), private());
    place.driver().create(&template).unwrap();
    place.driver().create(&private).unwrap();
    let before = place.driver().state(&private).unwrap();
    let less = Bytes(private.size.0 - 1);
    let text = refused(place.driver().resize(&private, less, false), RefusalKind::Rule);
    assert!(text.contains("work:private") && text.contains("1 MiB"), "{text}");
    start(place, &private);
    refused(place.driver().resize(&private, less, true), RefusalKind::Rule);
    place.driver().stop(&private, Ending::Commit).unwrap();
    assert_eq!(place.driver().state(&private).unwrap(), before);
    // What is another's is refused with its name.
    let text = refused(place.driver().resize(&app_root(), Bytes::gib(1), false), RefusalKind::Rule);
    assert!(text.contains("debian:root"), "{text}");
}

pub(super) fn growing_never_cuts_off(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    start(place, &private);
    let dirty = private.files.dirty();
    // Somebody else has made it larger since it was looked at.
    place.store().grow(&dirty, Bytes::mib(3)).unwrap();
    let error = place.store().grow(&dirty, Bytes::mib(2)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    assert_eq!(place.store().stat(&dirty).unwrap().unwrap().size, Bytes::mib(3));
}

pub(super) fn a_stopped_volume_grows_as_a_new_version(place: &dyn Place) {
    directories(place);
    let (template, root) = (template(), app_root());
    place.driver().create(&template).unwrap();
    run(place, &template, b"v1..");
    start(place, &root);
    let before = place.driver().state(&template).unwrap();
    place.driver().resize(&template, Bytes(3 << 40), false).unwrap();
    let after = place.driver().state(&template).unwrap();
    assert_eq!(after.current.unwrap().size, Bytes(3 << 40));
    assert_eq!(after.revisions, before.revisions, "the content is the same: nothing is kept");
    assert_eq!(current(place, &template), b"v1..");
    let running = place.driver().state(&root).unwrap();
    let inode = |state: &State| state.current.unwrap().inode;
    assert_eq!(inode(&running), inode(&before), "who runs on the old version is not disturbed");
    assert!(running.is_outdated());
}

pub(super) fn a_running_volume_grows_in_what_it_writes(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    refused(place.driver().resize(&private, Bytes::mib(2), true), RefusalKind::Missing);
    start(place, &private);
    place.driver().resize(&private, Bytes::mib(2), true).unwrap();
    let state = place.driver().state(&private).unwrap();
    assert_eq!(state.dirty.unwrap().size, Bytes::mib(2));
    assert_eq!(state.current.unwrap().size, Bytes::mib(1), "a version is never changed");
    kept(place.driver().stop(&private, Ending::Commit).unwrap());
    assert_eq!(place.driver().state(&private).unwrap().current.unwrap().size, Bytes::mib(2));
}

pub(super) fn an_import_replaces_content_and_size(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    for (name, size, whole) in
        [("byte", 1, 512), ("odd", 12_345, 12_800), ("large", 5 << 20, 5 << 20)]
    {
        let written = &b"new."[..size.min(4) as usize];
        let file = place.outside(name, Bytes(size), written);
        kept(place.driver().import(&private, &file, &mut Unseen).unwrap());
        let state = place.driver().state(&private).unwrap();
        assert_eq!(state.current.unwrap().size, Bytes(whole), "whole sectors");
        assert!(current(place, &private).starts_with(written));
    }
    assert_eq!(numbers(place, &private).len(), 2);
}

pub(super) fn an_image_of_nothing_is_not_imported(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    let before = (place.driver().state(&private).unwrap(), names_beside(place, &private));
    let file = place.outside("empty", Bytes(0), b"");
    let text = refused(place.driver().import(&private, &file, &mut Unseen), RefusalKind::Invalid);
    assert!(text.contains("0 bytes"), "{text}");
    assert_eq!((place.driver().state(&private).unwrap(), names_beside(place, &private)), before);
}

pub(super) fn an_import_into_a_running_volume_is_refused(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    let file = place.outside("file", Bytes::mib(1), b"new.");
    let disk = start(place, &private);
    place.write(&disk.path, 0, b"mine");
    let before = place.driver().state(&private).unwrap();
    refused(place.driver().import(&private, &file, &mut Unseen), RefusalKind::Rule);
    assert_eq!(place.driver().state(&private).unwrap(), before);
    kept(place.driver().stop(&private, Ending::Commit).unwrap());
    assert_eq!(current(place, &private), b"mine");
}

/// Starts a volume in the middle of a copy, as somebody who does not ask for the lock.
struct Starts<'a>(&'a dyn Place, &'a Volume);

impl Progress for Starts<'_> {
    fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
        if self.0.driver().state(self.1).unwrap().dirty.is_none() {
            let disk = start(self.0, self.1);
            self.0.write(&disk.path, 0, b"mine");
        }
    }
}

pub(super) fn a_start_during_an_import_loses_neither(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    let file = place.outside("file", Bytes::mib(1), b"new.");
    let import = place.driver().import(&private, &file, &mut Starts(place, &private));
    refused(import, RefusalKind::Rule);
    assert!(names_beside(place, &private).iter().all(|name| !name.contains(".aside-")));
    assert_eq!(current(place, &private), b"old.");
    kept(place.driver().stop(&private, Ending::Commit).unwrap());
    assert_eq!(current(place, &private), b"mine");
    place.driver().import(&private, &file, &mut Unseen).unwrap();
    assert_eq!(current(place, &private), b"new.");
}

pub(super) fn a_failed_import_leaves_nothing(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    let before = (place.driver().state(&private).unwrap(), names_beside(place, &private));
    let missing = Path::new("/nowhere/at/all");
    let error = place.driver().import(&private, missing, &mut Unseen).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound), "{error}");
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert_eq!((place.driver().state(&private).unwrap(), names_beside(place, &private)), before);
}

pub(super) fn an_export_stays_one_version(place: &dyn Place) {
    directories(place);
    let (template, root) = (template(), app_root());
    place.driver().create(&template).unwrap();
    run(place, &template, b"v1..");
    let (id, path) = place.driver().export(&template).unwrap();
    let (shared, _) = place.driver().export(&root).expect("a root's version is its template's");
    let read = || place.read(&path, 0, 4);
    for bytes in [b"v2..", b"v3..", b"v4..", b"v5.."] {
        run(place, &template, bytes);
    }
    assert!(place.driver().recover(&template).unwrap().is_empty());
    assert_eq!(read(), b"v1..");
    refused(place.driver().remove(&template), RefusalKind::Busy);
    place.driver().export_end(&template, id).unwrap();
    refused(place.driver().export_end(&template, id), RefusalKind::Missing);
    place.driver().export_end(&root, shared).unwrap();
    place.driver().remove(&template).unwrap();
    assert!(names_beside(place, &template).is_empty());
}

/// Commits another version in the middle of a copy.
struct Commits<'a>(&'a dyn Place, &'a Volume);

impl Progress for Commits<'_> {
    fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
        run(self.0, self.1, b"more");
    }
}

pub(super) fn an_export_to_a_file_leaves_nothing_in_the_pool(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    let file = place.outside("file", Bytes::mib(1), b"mine");
    let before = names_beside(place, &private);
    let error = place.driver().copy_out(&private, None, &file, &mut Unseen).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AlreadyExists), "{error}");
    assert_eq!(names_beside(place, &private), before);
    let file = file.with_file_name("new");
    place.driver().copy_out(&private, None, &file, &mut Commits(place, &private)).unwrap();
    assert!(names_beside(place, &private).iter().all(|name| !name.contains("export")));
    assert_eq!(current(place, &private), b"more");
    // What is taken in again is the version of the beginning.
    place.driver().import(&private, &file, &mut Unseen).unwrap();
    assert_eq!(current(place, &private), b"old.");
}

pub(super) fn a_clone_shares_and_is_its_own(place: &dyn Place) {
    directories(place);
    let (private, other) = (private(), volume("appvms/play", "private", Role::Origin));
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    place.driver().adopt_version(&private, &other).unwrap();
    if place.has_whole_versions() {
        place.driver().adopt_version(&private, &other).unwrap();
        let inode = |volume| place.driver().state(volume).unwrap().current.unwrap().inode;
        assert_eq!(inode(&private), inode(&other), "nothing is copied");
    }
    assert_eq!(current(place, &other), b"old.");
    assert!(numbers(place, &other).is_empty());
    run(place, &other, b"mine");
    assert_eq!(current(place, &private), b"old.");
    refused(place.driver().adopt_version(&private, &other), RefusalKind::Exists);
    place.driver().remove(&private).unwrap();
    assert_eq!(current(place, &other), b"mine");
}

pub(super) fn a_commit_cut_in_the_middle_pushes_nothing_out(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    for bytes in [b"one.", b"two.", b"3..."] {
        run(place, &private, bytes);
    }
    assert_eq!(numbers(place, &private), [2, 3]);
    let disk = start(place, &private);
    place.write(&disk.path, 0, b"four");
    // What a commit that was cut off leaves: the current version has the revision's name already.
    let cut =
        Revision { number: Some(4), time: jiff::Timestamp::from_second(1_700_000_000).unwrap() };
    let files = place.versions(&private);
    let path = files.path(&ebbtide::volume::FileKind::Revision(cut));
    place.store().link(&files.clean(), &path).unwrap();
    assert_eq!(place.driver().stop(&private, Ending::Keep).unwrap(), Outcome::Kept);
    assert_eq!(place.driver().recover(&private).unwrap().len(), 1, "it says what it did");
    assert_eq!(numbers(place, &private), [2, 3]);
    // Repeated without a recovery, it takes that name.
    place.store().link(&files.clean(), &path).unwrap();
    assert_eq!(place.driver().commit(&private).unwrap(), Outcome::Committed(Some(cut)));
    assert_eq!(numbers(place, &private), [3, 4]);
    assert_eq!(
        (content(place, &private, cut), current(place, &private)),
        (b"3...".into(), b"four".into())
    );
}
