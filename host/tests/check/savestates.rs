//! Damages of savestates.

use crate::{
    damage::{Damage, human, mended, note},
    tree::Tree,
};
use std::fs;

const ONE: &str = "savestates/00000000-0000-4000-8000-000000000001";

/// Writes a savestate of `work` with a private disk.
fn savestate(tree: &Tree) {
    let record = fs::read_to_string(tree.path("appvms/work/vm.toml")).unwrap();
    let record = record.replace("format = 1\n", "[record]\nformat = 1\n");
    let text = format!(
        "format = 1\nuuid = \"00000000-0000-4000-8000-000000000001\"\nvm = \"work\"\n\
         of = \"00000000-0000-4000-8000-000000000002\"\nkind = \"manual\"\ntime = \"2026-11-20T10:00:00Z\"\n\
         memory = {{ qemu = \"7.2.0\", machine = [] }}\n\
         [[disks]]\nuuid = \"00000000-0000-4000-8001-000000000001\"\nvolume = \"private\"\nuncommitted = false\n{record}"
    );
    tree.write(&format!("{ONE}/savestate.toml"), &text);
    tree.write(&format!("{ONE}/memory"), "bits");
    tree.image(&format!("{ONE}/private.img"), 5, 0);
}

/// Savestates of a VM.
pub(crate) const SAVESTATES: &[Damage] = &[
    human(
        |tree| fs::create_dir_all(tree.path(ONE)).unwrap(),
        &[("savestate-broken", "savestates/00000000-0000-4000-8000-000000000001")],
    ),
    mended(
        |tree| tree.write("savestates/.aside-1/memory", "half"),
        &[("leftover-directory", "savestates/.aside-1")],
        &["savestates/.aside-1", "savestates/.aside-1/memory"],
    ),
    human(
        |tree| {
            savestate(tree);
            tree.write(&format!("{ONE}/savestate.toml"), "half");
        },
        &[("savestate-broken", "savestates/00000000-0000-4000-8000-000000000001")],
    ),
    human(
        |tree| {
            savestate(tree);
            fs::remove_file(tree.path(&format!("{ONE}/memory"))).unwrap();
        },
        &[("savestate-broken", "savestates/00000000-0000-4000-8000-000000000001")],
    ),
    note(
        |tree| {
            savestate(tree);
            tree.write(&format!("{ONE}/mine"), "mine");
            tree.write("savestates/mine", "mine");
        },
        &[
            ("unknown-file", "savestates/00000000-0000-4000-8000-000000000001/mine"),
            ("unknown-file", "savestates/mine"),
        ],
    ),
];
