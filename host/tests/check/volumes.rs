//! Damages of volumes, their versions, and snapshots.

use crate::{
    damage::{Damage, human, mended, note},
    tree::at,
};
use std::time::SystemTime;

/// Images that a volume has now.
pub(crate) const VOLUMES: &[Damage] = &[
    human(
        |tree| {
            tree.image("appvms/work/data.img", 9, 9);
            tree.image("appvms/work/data-dirty.img", 9, 9);
        },
        &[
            ("unknown-volume", "appvms/work/data.img"),
            ("unknown-volume", "appvms/work/data-dirty.img"),
        ],
    ),
    human(
        |tree| tree.remove("appvms/work/private.img"),
        &[("clean-missing", "appvms/work/private.img")],
    ),
    human(
        |tree| tree.rename("appvms/work/private.img", "appvms/work/private-dirty.img"),
        &[("dirty-without-clean", "appvms/work/private-dirty.img")],
    ),
    note(
        |tree| tree.image("appvms/work/private-dirty.img", 9, 9),
        &[("uncommitted", "appvms/work/private-dirty.img")],
    ),
    human(
        |tree| tree.sized("appvms/work/private-dirty.img", 9, 4096, at(9)),
        &[("dirty-smaller", "appvms/work/private-dirty.img")],
    ),
    mended(
        |tree| tree.link("appvms/work/private.img", "appvms/work/private-dirty.img"),
        &[("linked-to-version", "appvms/work/private-dirty.img")],
        &["appvms/work/private-dirty.img"],
    ),
    mended(
        |tree| {
            tree.remove("vm-templates/debian/root-precache.img");
            tree.link("vm-templates/debian/root.img", "vm-templates/debian/root-precache.img");
        },
        &[("linked-to-version", "vm-templates/debian/root-precache.img")],
        &["vm-templates/debian/root-precache.img"],
    ),
    mended(
        |tree| tree.image("vm-templates/debian/root-precache.img", 3, 3),
        &[("precache-stale", "vm-templates/debian/root-precache.img")],
        &["vm-templates/debian/root-precache.img"],
    ),
    mended(
        |tree| tree.sized("vm-templates/debian/root-precache.img", 3, 4096, at(2)),
        &[("precache-stale", "vm-templates/debian/root-precache.img")],
        &["vm-templates/debian/root-precache.img"],
    ),
    mended(
        |tree| tree.image("appvms/work/volatile-dirty.img", 9, 9),
        &[("leftover-of-run", "appvms/work/volatile-dirty.img")],
        &["appvms/work/volatile-dirty.img"],
    ),
    mended(
        |tree| tree.link("vm-templates/debian/root.img", "appvms/work/root.img"),
        &[("leftover-of-run", "appvms/work/root.img")],
        &["appvms/work/root.img"],
    ),
    mended(
        |tree| {
            tree.sized("appvms/work/root-dirty.img", 3, 65536, SystemTime::UNIX_EPOCH);
        },
        &[("leftover-of-run", "appvms/work/root-dirty.img")],
        &["appvms/work/root-dirty.img"],
    ),
    human(
        |tree| {
            tree.image("appvms/work/root.img", 9, 9);
            tree.image("appvms/play/root-dirty.img", 9, 9);
        },
        &[("own-content", "appvms/work/root.img"), ("own-content", "appvms/play/root-dirty.img")],
    ),
];

/// Versions that are kept, and exports.
pub(crate) const VERSIONS: &[Damage] = &[
    note(
        |tree| {
            tree.link(
                "vm-templates/debian/root.img",
                "vm-templates/debian/root.img.3@2026-11-20T12:00:00Z",
            );
            let pins = "kind = \"template\"\n[pins.root]\ngood = 3\n";
            tree.record("vm-templates/debian", 1, pins);
        },
        &[],
    ),
    mended(
        |tree| {
            tree.link(
                "vm-templates/debian/root.img",
                "vm-templates/debian/root.img.3@2026-11-20T12:00:00Z",
            );
        },
        &[("leftover-revision", "vm-templates/debian/root.img.3@2026-11-20T12:00:00Z")],
        &["vm-templates/debian/root.img.3@2026-11-20T12:00:00Z"],
    ),
    human(
        |tree| tree.image("appvms/work/root.img.1@2026-11-20T10:00:00Z", 9, 0),
        &[("revision-of-unkept", "appvms/work/root.img.1@2026-11-20T10:00:00Z")],
    ),
    human(
        |tree| tree.image("vm-templates/debian/root.img.2@2026-11-20T11:30:00Z", 9, 1),
        &[("number-twice", "vm-templates/debian/root.img.2@2026-11-20T11:30:00Z")],
    ),
    note(
        |tree| {
            tree.link(
                "vm-templates/debian/root.img.1@2026-11-20T10:00:00Z",
                "vm-templates/debian/root.img.3@2026-11-20T10:00:00Z",
            );
        },
        &[
            ("same-version", "vm-templates/debian/root.img.3@2026-11-20T10:00:00Z"),
            ("revision-order", "vm-templates/debian/root.img.3@2026-11-20T10:00:00Z"),
        ],
    ),
    note(
        |tree| {
            tree.rename(
                "vm-templates/debian/root.img.2@2026-11-20T11:00:00Z",
                "vm-templates/debian/root.img.5@2026-11-20T11:00:00Z",
            );
        },
        &[("revision-gap", "vm-templates/debian/root.img.5@2026-11-20T11:00:00Z")],
    ),
    human(
        |tree| {
            let pins = "kind = \"template\"\n[pins.root]\ngood = 2\nold = 9\n";
            tree.record("vm-templates/debian", 1, pins);
        },
        &[("pin-gone", "vm-templates/debian/vm.toml")],
    ),
    note(
        |tree| {
            let export = "private.img.export-00000000-0000-4000-8000-000000000001";
            tree.link("appvms/work/private.img", &format!("appvms/work/{export}"));
        },
        &[("export", "appvms/work/private.img.export-00000000-0000-4000-8000-000000000001")],
    ),
];
