//! What can be wrong, each with what is found of it. A device's name, which nobody knows beforehand, is `*`.

use crate::place::{Place, TEMPLATE, VM};
use ebbtide::pool::{
    check::Severity::{self, Human, Mendable, Note},
    driver::Ending,
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

pub(crate) struct Damage {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&Place),
    pub(crate) found: &'static [(&'static str, &'static str)],
    pub(crate) severity: Severity,
}

fn root(place: &Place, name: &str) -> std::path::PathBuf {
    place.path(TEMPLATE).join(name)
}

fn link(place: &Place, from: &str, to: &str) {
    fs::hard_link(root(place, from), root(place, to)).unwrap();
}

/// Writes to the running template, and takes all devices away with the machine.
fn crashed(place: &Place) {
    let disk = place.prepare("debian");
    place.write(&disk, b"torn");
    place.mapped.crash();
    // As if the boot were another one.
    fs::remove_file(root(place, "run.toml")).unwrap();
    fs::remove_file(root(place, "volatile-dirty.img")).unwrap();
}

fn resize(place: &Place, name: &str, size: u64) {
    File::options().write(true).open(root(place, name)).unwrap().set_len(size).unwrap();
}

fn reverted(place: &Place) {
    crashed(place);
    fs::rename(root(place, "root-dirty.img"), root(place, "root.img.aside-revert")).unwrap();
}

fn give_up(place: &Place) {
    let file = File::options().write(true).open(root(place, "root-cow.img")).unwrap();
    file.write_all_at(&[0], 4).unwrap();
}

pub(crate) fn lost_in_a_revert(place: &Place) {
    reverted(place);
    give_up(place);
}

pub(crate) const DAMAGES: &[Damage] = &[
    Damage {
        name: "a store that was being made",
        make: |place| fs::write(root(place, "root-cow.img.aside-commit"), "half").unwrap(),
        found: &[("leftover", "root-cow.img.aside-commit")],
        severity: Mendable,
    },
    Damage {
        name: "a commit that was cut before its store was in place",
        make: |place| link(place, "root-cow.img", "root-cow.img.3@2030-01-01T00:00:00Z"),
        found: &[("leftover-revision", "root-cow.img.3@2030-01-01T00:00:00Z")],
        severity: Mendable,
    },
    Damage {
        name: "a revert that was cut in the middle",
        make: reverted,
        found: &[("leftover", "root.img.aside-revert")],
        severity: Mendable,
    },
    Damage {
        name: "an import that was cut before its store was in place",
        make: |place| {
            fs::rename(root(place, "root-cow.img"), root(place, "root-cow.img.aside-import"))
                .unwrap();
            fs::copy(root(place, "root-cow.img.aside-import"), root(place, "root-cow.img"))
                .unwrap();
        },
        found: &[("leftover", "root-cow.img.aside-import")],
        severity: Mendable,
    },
    Damage {
        name: "a growth that was cut",
        make: |place| resize(place, "root.img", 2 << 20),
        found: &[("base-long", "root.img")],
        severity: Mendable,
    },
    Damage {
        name: "a VM that was cut off",
        make: crashed,
        found: &[("uncommitted", "root-dirty.img")],
        severity: Note,
    },
    Damage {
        name: "names of a run",
        make: |place| {
            for (from, to) in [("root.img", "root.img"), ("root-cow.img", "root-snap.img")] {
                fs::hard_link(root(place, from), place.path(VM).join(to)).unwrap();
            }
        },
        found: &[("leftover-of-run", "root.img"), ("leftover-of-run", "root-snap.img")],
        severity: Mendable,
    },
    Damage {
        name: "a device that nobody wants any more",
        make: |place| {
            place.prepare("work");
            for name in
                ["root.img", "root-snap.img", "private-dirty.img", "volatile-dirty.img", "run.toml"]
            {
                fs::remove_file(place.path(VM).join(name)).unwrap();
            }
        },
        found: &[("stray-device", "*")],
        severity: Mendable,
    },
    Damage {
        name: "one that somebody has open",
        make: |place| {
            place.prepare("work");
            let names = place.mapped.names();
            let volatile = names.iter().find(|name| name.starts_with("volatile-")).unwrap();
            place.mapped.set_open(Path::new(volatile), 1);
            fs::remove_file(place.path(VM).join("volatile-dirty.img")).unwrap();
        },
        found: &[("stray-open", "*")],
        severity: Human,
    },
    Damage {
        name: "a written base without its store",
        make: |place| {
            crashed(place);
            fs::remove_file(root(place, "root-cow.img")).unwrap();
        },
        found: &[("store-missing", "root.img")],
        severity: Human,
    },
    Damage {
        name: "a store without its base",
        make: |place| fs::remove_file(root(place, "root.img")).unwrap(),
        found: &[("store-without-base", "root-cow.img")],
        severity: Human,
    },
    Damage {
        name: "a store that is none",
        make: |place| fs::write(root(place, "root-cow.img"), "nothing").unwrap(),
        found: &[("store-unreadable", "root-cow.img")],
        severity: Human,
    },
    Damage {
        name: "a store that the kernel gave up",
        make: |place| {
            crashed(place);
            give_up(place);
        },
        found: &[("store-lost", "root-cow.img"), ("uncommitted", "root-dirty.img")],
        severity: Human,
    },
    Damage {
        name: "a written image that is not the base",
        make: |place| fs::write(root(place, "root-dirty.img"), "other").unwrap(),
        found: &[("dirty-elsewhere", "root-dirty.img")],
        severity: Human,
    },
    Damage {
        name: "a base that was cut short",
        make: |place| resize(place, "root.img", 4096),
        found: &[("base-short", "root.img")],
        severity: Human,
    },
    Damage {
        name: "a base that is written to, and nothing says so",
        make: |place| {
            crashed(place);
            fs::remove_file(root(place, "root-dirty.img")).unwrap();
        },
        found: &[("written-unsaid", "root-cow.img")],
        severity: Human,
    },
    Damage {
        name: "a number that is taken twice",
        make: |place| {
            let kept = fs::read_dir(place.path(TEMPLATE)).unwrap().flatten();
            let kept =
                kept.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains(".1@"));
            fs::copy(kept.unwrap(), root(place, "root-cow.img.2@2030-01-01T00:00:00Z")).unwrap();
        },
        found: &[("number-twice", "root-cow.img.2@2030-01-01T00:00:00Z")],
        severity: Human,
    },
    Damage {
        name: "an image of no volume",
        make: |place| fs::write(root(place, "data-cow.img"), "x").unwrap(),
        found: &[("unknown-volume", "data-cow.img")],
        severity: Human,
    },
    Damage {
        name: "a version that somebody reads",
        make: |place| {
            let pool = place.pool();
            place.prepare("work");
            let id = "debian:root".parse().unwrap();
            ebbtide::vm::export(&pool, &id).unwrap();
            place.release("work", Ending::Commit);
        },
        found: &[("export", "*")],
        severity: Note,
    },
];
