//! From start to stop.

use super::*;
use ebbtide::pool::store::Unseen;

pub(super) fn an_empty_volume_has_its_size(place: &dyn Place) {
    directories(place);
    let sizes: &[(&str, u64)] = if place.has_whole_versions() {
        &[("none", 0), ("byte", 1), ("odd", 4097), ("huge", 3 << 40)]
    } else {
        // Devices have whole sectors, and one at least.
        &[("sector", 512), ("odd", 4096 + 512), ("huge", 3 << 40)]
    };
    for (name, size) in sizes.iter().copied() {
        let volume = Volume { size: Bytes(size), ..volume("appvms/work", name, Role::Origin) };
        place.driver().create(&volume).unwrap();
        place.driver().create(&volume).expect("creating it again changes nothing");
        let found = place.driver().state(&volume).unwrap().current.unwrap();
        assert_eq!(found.size, volume.size, "{name}");
        let disk = start(place, &volume);
        assert_eq!((disk.size, disk.read_only), (volume.size, false), "{name}");
        let stopped = place.driver().stop(&volume, Ending::Commit).unwrap();
        assert_eq!(stopped, Outcome::Unchanged, "{name}");
    }
}

pub(super) fn what_is_written_is_the_new_version_after_a_stop(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    let first = kept(run(place, &private, b"one."));
    assert_eq!(current(place, &private), b"one.");
    let before = place.driver().state(&private).unwrap().current.unwrap();
    let second = kept(run(place, &private, b"two."));
    assert_eq!((first.number, second.number), (Some(1), Some(2)));
    let state = place.driver().state(&private).unwrap();
    assert_eq!(state.revisions[1].1.inode, before.inode, "the kept one is the file that it was");
    assert_eq!(current(place, &private), b"two.");
    assert_eq!(state.dirty, None);
}

pub(super) fn a_start_and_stop_without_a_write_pushes_nothing_out(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    for bytes in [b"one.", b"two.", b"3..."] {
        run(place, &private, bytes);
    }
    let before = place.driver().state(&private).unwrap();
    for ending in [Ending::Commit, Ending::Commit, Ending::Keep, Ending::Discard] {
        start(place, &private);
        assert_eq!(place.driver().stop(&private, ending).unwrap(), Outcome::Unchanged);
        assert_eq!(place.driver().state(&private).unwrap(), before, "{ending:?}");
    }
    start(place, &private);
    assert_eq!(place.driver().commit(&private).unwrap(), Outcome::Unchanged);
    assert_eq!(place.driver().state(&private).unwrap(), before);
}

pub(super) fn what_was_written_goes_on_after_a_cut(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    let disk = start(place, &private);
    place.write(&disk.path, 0, b"cut.");
    // The engine is gone; whoever comes next keeps what it wrote.
    assert_eq!(place.driver().stop(&private, Ending::Keep).unwrap(), Outcome::Kept);
    assert!(place.driver().recover(&private).unwrap().is_empty());
    assert_eq!(current(place, &private), [0; 4], "nobody committed it");
    let disk = start(place, &private);
    assert_eq!(place.read(&disk.path, 0, 4), b"cut.");
    kept(place.driver().stop(&private, Ending::Commit).unwrap());
    assert_eq!(current(place, &private), b"cut.");
}

pub(super) fn what_was_written_is_dropped_when_that_is_said(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"old.");
    for by_stop in [true, false] {
        let disk = start(place, &private);
        place.write(&disk.path, 0, b"new.");
        if by_stop {
            let outcome = place.driver().stop(&private, Ending::Discard).unwrap();
            assert_eq!(outcome, Outcome::Discarded);
        } else {
            assert!(place.driver().discard(&private).unwrap());
        }
        assert!(!place.driver().discard(&private).unwrap(), "there is nothing left");
        assert_eq!(current(place, &private), b"old.");
        assert_eq!(numbers(place, &private), [1]);
    }
}

pub(super) fn a_volatile_volume_is_empty_at_every_start(place: &dyn Place) {
    directories(place);
    let volatile =
        Volume { size: Bytes::mib(3), ..volume("appvms/work", "volatile", Role::Volatile) };
    for _ in 0..2 {
        let disk = start(place, &volatile);
        assert_eq!((disk.size, disk.read_only), (volatile.size, false));
        assert_eq!(place.read(&disk.path, 0, 4), [0; 4]);
        place.write(&disk.path, 0, b"swap");
        // The second start finds the first one's file: a cut.
    }
    let outcome = place.driver().stop(&volatile, Ending::Commit).unwrap();
    assert_eq!(outcome, Outcome::Forgotten);
    assert!(names_beside(place, &volatile).is_empty());
}

pub(super) fn a_template_s_version_is_shared_and_stays_while_it_is_used(place: &dyn Place) {
    directories(place);
    let (template, root) = (template(), app_root());
    place.driver().create(&template).unwrap();
    run(place, &template, b"v1..");
    let disk = start(place, &root);
    assert!(disk.read_only);
    let state = place.driver().state(&root).unwrap();
    assert_eq!(state.current.map(|version| version.inode), state.source, "it is the same file");
    assert!(!state.is_outdated());

    run(place, &template, b"v2..");
    assert_eq!(current(place, &root), b"v1..", "it stays on its version");
    assert!(place.driver().state(&root).unwrap().is_outdated());
    place.driver().stop(&root, Ending::Commit).unwrap();
    assert!(names_beside(place, &root).is_empty());
    start(place, &root);
    assert_eq!(current(place, &root), b"v2..");
    // A start that follows a cut begins anew.
    run(place, &template, b"v3..");
    start(place, &root);
    assert_eq!(current(place, &root), b"v3..");
}

pub(super) fn a_copy_of_a_template_s_version_is_forgotten(place: &dyn Place) {
    directories(place);
    let (template, root) = (template(), app_root());
    place.driver().create(&template).unwrap();
    run(place, &template, b"v1..");
    for _ in 0..2 {
        let disk = place.driver().start(&root, Access::Copy).unwrap();
        assert!(!disk.read_only);
        assert_eq!(place.read(&disk.path, 0, 4), b"v1..");
        assert!(!place.driver().state(&root).unwrap().is_outdated());
        place.write(&disk.path, 0, b"mine");
    }
    assert_eq!(current(place, &template), b"v1..");
    place.driver().stop(&root, Ending::Commit).unwrap();
    assert!(names_beside(place, &root).is_empty());
}

pub(super) fn a_root_of_its_own_is_the_template_s_at_first(place: &dyn Place) {
    directories(place);
    let template = template();
    let root = volume("appvms/work", "root", Role::OriginSnapshot { of: debian_root() });
    place.driver().start(&root, Access::Shared).expect_err("the template has no version");
    place.driver().create(&template).unwrap();
    run(place, &template, b"v1..");
    run(place, &root, b"mine");
    run(place, &template, b"v2..");
    let disk = start(place, &root);
    assert_eq!(place.read(&disk.path, 0, 4), b"mine");
    place.driver().stop(&root, Ending::Commit).unwrap();
    assert_eq!(numbers(place, &root), [1], "the template's version is kept");
}

pub(super) fn a_stop_repeats(place: &dyn Place) {
    directories(place);
    let (template, root) = (template(), app_root());
    place.driver().create(&template).unwrap();
    run(place, &template, b"v1..");
    let again = place.driver().stop(&template, Ending::Commit).unwrap();
    assert_eq!(again, Outcome::Unchanged);
    for _ in 0..2 {
        let outcome = place.driver().stop(&root, Ending::Commit).unwrap();
        assert_eq!(outcome, Outcome::Forgotten);
    }
    assert_eq!(numbers(place, &template), [1]);
}

pub(super) fn a_next_image_is_taken_by_the_next_start(place: &dyn Place) {
    if !place.has_whole_versions() {
        return;
    }
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    run(place, &private, b"one.");
    for _ in 0..2 {
        place.driver().precache(&private, &mut Unseen).unwrap();
        let next = place.store().stat(&private.files.precache()).unwrap().expect("it is made");
        place.driver().precache(&private, &mut Unseen).unwrap();
        let disk = start(place, &private);
        let dirty = place.driver().state(&private).unwrap().dirty.unwrap();
        assert_eq!(dirty.inode, next.inode, "it is taken and not made again");
        assert_eq!(place.store().stat(&private.files.precache()).unwrap(), None);
        assert_eq!(place.read(&disk.path, 0, 4), b"one.");
        // Without a write it is the next image again.
        place.driver().stop(&private, Ending::Commit).unwrap();
        let again = place.store().stat(&private.files.precache()).unwrap().unwrap();
        assert_eq!(again.inode, next.inode);
    }
}

pub(super) fn a_next_image_of_an_old_version_is_not_taken(place: &dyn Place) {
    directories(place);
    let private = private();
    let other = place.outside("other", private.size, b"new.");
    place.driver().create(&private).unwrap();
    let first = kept(run(place, &private, b"one."));
    type Change<'a> = &'a dyn Fn();
    let changes: [(Change<'_>, &[u8]); 4] = [
        (
            &|| {
                run(place, &private, b"two.");
            },
            b"two.",
        ),
        (
            &|| {
                place.driver().import(&private, &other, &mut Unseen).unwrap();
            },
            b"new.",
        ),
        (
            &|| {
                place.driver().revert(&private, newest(place, &private)).unwrap();
            },
            b"two.",
        ),
        (&|| place.driver().resize(&private, Bytes::mib(2), false).unwrap(), b"two."),
    ];
    for (change, wanted) in changes {
        place.driver().precache(&private, &mut Unseen).unwrap();
        change();
        assert!(place.driver().recover(&private).unwrap().is_empty(), "nothing is left over");
        let disk = start(place, &private);
        assert_eq!(place.read(&disk.path, 0, 4), wanted);
        assert_eq!(disk.size, place.driver().state(&private).unwrap().current.unwrap().size);
        place.driver().stop(&private, Ending::Commit).unwrap();
    }
    assert!(!numbers(place, &private).contains(&first.number.unwrap()));
}

fn newest(place: &dyn Place, volume: &Volume) -> Revision {
    place.driver().state(volume).unwrap().revisions.last().unwrap().0
}
