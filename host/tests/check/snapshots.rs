//! Damages of snapshots, and of what comes after them.

use crate::{
    damage::{Damage, human, mended, note},
    tree::Tree,
};
use std::fs;

/// Writes a snapshot of `work` with a private disk, and more lines in its record.
fn snapshot(tree: &Tree, number: u32, more: &str) {
    let dir = format!("snapshots/00000000-0000-4000-8000-{number:012}");
    let record = fs::read_to_string(tree.path("appvms/work/vm.toml")).unwrap();
    let record = record.replace("format = 1\n", "[record]\nformat = 1\n");
    let text = format!(
        "format = 1\nuuid = \"00000000-0000-4000-8000-{number:012}\"\nvm = \"work\"\n\
         snapshot_of = \"00000000-0000-4000-8000-000000000002\"\ntime = \"2026-11-20T10:00:00Z\"\n{more}\
         [[disks]]\nuuid = \"00000000-0000-4000-8001-{number:012}\"\nvolume = \"private\"\nuncommitted = false\n{record}"
    );
    tree.write(&format!("{dir}/snapshot.toml"), &text);
    tree.image(&format!("{dir}/private.img"), 5, 0);
}

fn parent(number: u32) -> String {
    format!("parent = \"00000000-0000-4000-8000-{number:012}\"\n")
}

/// Snapshots of a VM.
pub(crate) const SNAPSHOTS: &[Damage] = &[
    human(
        |tree| {
            fs::create_dir_all(tree.path("snapshots/00000000-0000-4000-8000-000000000001"))
                .unwrap();
        },
        &[
            ("snapshot-without-record", "snapshots/00000000-0000-4000-8000-000000000001"),
            ("snapshot-without-images", "snapshots/00000000-0000-4000-8000-000000000001"),
        ],
    ),
    mended(
        |tree| tree.image("snapshots/.aside-1/root.img", 9, 9),
        &[("leftover-directory", "snapshots/.aside-1")],
        &["snapshots/.aside-1", "snapshots/.aside-1/root.img"],
    ),
    mended(
        |tree| {
            snapshot(tree, 1, "");
            tree.write("snapshots/00000000-0000-4000-8000-000000000001/.aside-snapshot.toml", "h");
        },
        &[("leftover", "snapshots/00000000-0000-4000-8000-000000000001/.aside-snapshot.toml")],
        &["snapshots/00000000-0000-4000-8000-000000000001/.aside-snapshot.toml"],
    ),
    human(
        |tree| {
            snapshot(tree, 1, "");
            tree.write("snapshots/00000000-0000-4000-8000-000000000001/snapshot.toml", "half");
        },
        &[("snapshot-unreadable", "snapshots/00000000-0000-4000-8000-000000000001/snapshot.toml")],
    ),
    human(
        |tree| {
            snapshot(tree, 1, "");
            let dir = "snapshots/00000000-0000-4000-8000-000000000001";
            tree.rename(&format!("{dir}/private.img"), &format!("{dir}/root.img"));
        },
        &[
            (
                "snapshot-image-missing",
                "snapshots/00000000-0000-4000-8000-000000000001/private.img",
            ),
            ("snapshot-file-unnamed", "snapshots/00000000-0000-4000-8000-000000000001/root.img"),
        ],
    ),
    human(
        |tree| snapshot(tree, 1, "memory = { qemu = \"7.2\", machine = [] }\n"),
        &[("snapshot-memory-missing", "snapshots/00000000-0000-4000-8000-000000000001/memory")],
    ),
    note(
        |tree| {
            snapshot(tree, 1, "");
            tree.write("snapshots/00000000-0000-4000-8000-000000000001/memory", "bits");
            tree.write("snapshots/00000000-0000-4000-8000-000000000001/mine", "mine");
            tree.write("snapshots/mine", "mine");
        },
        &[
            ("snapshot-file-unnamed", "snapshots/00000000-0000-4000-8000-000000000001/memory"),
            ("unknown-file", "snapshots/00000000-0000-4000-8000-000000000001/mine"),
            ("unknown-file", "snapshots/mine"),
        ],
    ),
    human(
        |tree| {
            snapshot(tree, 1, &parent(1));
            snapshot(tree, 3, &parent(4));
            snapshot(tree, 4, &parent(3));
            snapshot(tree, 5, &parent(3));
        },
        &[
            ("snapshot-own-parent", "snapshots/00000000-0000-4000-8000-000000000001/snapshot.toml"),
            ("snapshot-cycle", "snapshots/00000000-0000-4000-8000-000000000003/snapshot.toml"),
            ("snapshot-cycle", "snapshots/00000000-0000-4000-8000-000000000004/snapshot.toml"),
        ],
    ),
    human(
        |tree| snapshot(tree, 2, ""),
        &[("snapshot-of-itself", "snapshots/00000000-0000-4000-8000-000000000002/snapshot.toml")],
    ),
    note(
        |tree| {
            snapshot(tree, 1, &parent(9));
            let text = fs::read_to_string(tree.path("appvms/play/vm.toml")).unwrap();
            tree.write("appvms/play/vm.toml", &(text + &parent(9)));
        },
        &[
            ("parent-gone", "snapshots/00000000-0000-4000-8000-000000000001/snapshot.toml"),
            ("parent-gone", "appvms/play/vm.toml"),
        ],
    ),
    mended(
        |tree| {
            let text = "format = 1\nsnapshot = \"00000000-0000-4000-8000-000000000009\"\n";
            tree.write("appvms/work/revert.toml", text);
        },
        &[("revert-cut-short", "appvms/work/revert.toml")],
        &["appvms/work/revert.toml"],
    ),
];
