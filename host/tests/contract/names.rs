//! Names, and files that are not ours.

use super::*;
use ebbtide::pool::store::Unseen;

pub(super) fn names_that_begin_alike_are_told_apart(place: &dyn Place) {
    directories(place);
    let names = ["root", "roo", "root2", "root-", "root dirty", "r*t", "[root]"];
    let volumes: Vec<Volume> =
        names.iter().map(|name| volume("appvms/work", name, Role::Origin)).collect();
    for (number, volume) in (1..).zip(&volumes) {
        place.driver().create(volume).unwrap();
        run(place, volume, &[number; 4]);
        run(place, volume, &[number | 0x80; 4]);
    }
    for (number, volume) in (1u8..).zip(&volumes) {
        assert_eq!(current(place, volume), [number | 0x80; 4], "{}", volume.id);
        assert_eq!(numbers(place, volume), [1, 2], "{}", volume.id);
    }
    place.driver().remove(&volumes[0]).unwrap();
    for volume in &volumes[1..] {
        assert_eq!(numbers(place, volume), [1, 2], "{}", volume.id);
    }
}

pub(super) fn long_and_odd_names_work(place: &dyn Place) {
    directories(place);
    for name in ["n".repeat(200), "ü".repeat(100), "a b".into(), "\"$(x)\"".into(), "%s".into()] {
        let dir = format!("appvms/{name}");
        place.store().make_dir(Path::new(&dir)).unwrap();
        let volume = volume(&dir, &name, Role::Origin);
        place.driver().create(&volume).unwrap();
        place.driver().precache(&volume, &mut Unseen).unwrap();
        kept(run(place, &volume, b"data"));
        let (id, _) = place.driver().export(&volume).unwrap();
        place.driver().export_end(&volume, id).unwrap();
        assert_eq!(current(place, &volume), b"data");
        place.driver().remove(&volume).unwrap();
        place.store().remove_dir(Path::new(&dir)).unwrap();
    }
}

pub(super) fn what_is_not_ours_survives_everything(place: &dyn Place) {
    directories(place);
    let private = private();
    let others =
        ["notes.txt", "private.img.bak", "private.img~", "private.img.7", "private-old.img.gz"];
    place.driver().create(&private).unwrap();
    for other in others {
        place.store().write_new(&private.files.dir.join(other), other.as_bytes()).unwrap();
    }
    for bytes in [b"one.", b"two.", b"3...", b"four"] {
        run(place, &private, bytes);
    }
    let disk = start(place, &private);
    place.write(&disk.path, 0, b"more");
    place.driver().discard(&private).unwrap();
    place.driver().recover(&private).unwrap();
    place.driver().remove(&private).unwrap();
    let mut left = names_beside(place, &private);
    left.sort();
    let mut wanted = others.map(String::from);
    wanted.sort();
    assert_eq!(left, wanted);
    for other in others {
        let path = private.files.dir.join(other);
        assert_eq!(place.store().read(&path).unwrap(), other.as_bytes());
    }
}

pub(super) fn a_directory_with_an_image_s_name_is_not_ours(place: &dyn Place) {
    directories(place);
    let private = private();
    place.driver().create(&private).unwrap();
    let name = private.files.dir.join("private.img.1@2026-11-20T10:00:00Z");
    place.store().make_dir(&name).unwrap();
    run(place, &private, b"one.");
    run(place, &private, b"two.");
    place.driver().recover(&private).unwrap();
    place.driver().remove(&private).unwrap();
    assert_eq!(names_beside(place, &private).len(), 1);
}
