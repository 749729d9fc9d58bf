//! Damages of files and of VMs.

use crate::{
    damage::{Damage, human, mended, note},
    tree::Tree,
};
use ebbtide::pool::check::Severity;
use std::{fs, os::unix::fs::symlink};

fn appvm(tree: &Tree, name: &str, number: u32, template: &str) {
    let rest = format!("kind = \"appvm\"\ntemplate = \"{template}\"\n");
    tree.record(&format!("appvms/{name}"), number, &rest);
    tree.image(&format!("appvms/{name}/private.img"), 6, 2);
}

/// What is not ours, of another kind, or left over.
pub(crate) const FILES: &[Damage] = &[
    note(
        |tree| {
            tree.write("notes.txt", "mine");
            tree.write("vm-templates/README", "mine");
            tree.write("appvms/work/firewall.xml", "mine");
            tree.write("appvms/work/root.img~", "mine");
            tree.write("snapshots/list", "mine");
        },
        &[
            ("unknown-file", "notes.txt"),
            ("unknown-file", "vm-templates/README"),
            ("unknown-file", "appvms/work/firewall.xml"),
            ("unknown-file", "appvms/work/root.img~"),
            ("unknown-file", "snapshots/list"),
        ],
    ),
    human(
        |tree| {
            fs::create_dir(tree.path("appvms/work/root.img")).unwrap();
            tree.write("appvms/work/root.img/mine", "mine");
        },
        &[("wrong-kind", "appvms/work/root.img")],
    ),
    human(
        |tree| {
            tree.remove("vm-templates/debian/kernel");
            symlink("/vmlinuz", tree.path("vm-templates/debian/kernel")).unwrap();
        },
        &[("wrong-kind", "vm-templates/debian/kernel")],
    ),
    human(
        |tree| {
            let aside = tree.path("vm-templates/debian/root.img.aside-import");
            symlink("root.img", aside).unwrap();
        },
        &[("wrong-kind", "vm-templates/debian/root.img.aside-import")],
    ),
    human(|tree| tree.write("snapshots", "mine"), &[("wrong-kind", "snapshots")]),
    mended(
        |tree| tree.image("vm-templates/debian/root.img.aside-import", 9, 9),
        &[("leftover", "vm-templates/debian/root.img.aside-import")],
        &["vm-templates/debian/root.img.aside-import"],
    ),
    mended(
        |tree| tree.write("appvms/work/.aside-vm.toml", "half"),
        &[("leftover", "appvms/work/.aside-vm.toml")],
        &["appvms/work/.aside-vm.toml"],
    ),
    mended(
        |tree| {
            tree.write("appvms/.aside-new/vm.toml", "half");
            tree.image("appvms/.aside-new/private.img", 9, 9);
        },
        &[("leftover-directory", "appvms/.aside-new")],
        &["appvms/.aside-new", "appvms/.aside-new/vm.toml", "appvms/.aside-new/private.img"],
    ),
    Damage {
        make: |tree| {
            tree.image("appvms/.aside-new/private.img", 9, 9);
            tree.write("appvms/.aside-new/mine", "mine");
        },
        found: &[("leftover-directory", "appvms/.aside-new")],
        severity: Severity::Mendable,
        gone: &["appvms/.aside-new/private.img"],
    },
];

/// Records of VMs.
pub(crate) const VMS: &[Damage] = &[
    human(|tree| tree.remove("appvms/work/vm.toml"), &[("record-missing", "appvms/work")]),
    human(
        |tree| tree.write("appvms/work/vm.toml", "format = 1\ncolour = \"red\"\n"),
        &[("record-unreadable", "appvms/work/vm.toml")],
    ),
    human(
        |tree| tree.record("appvms/work", 2, "kind = \"template\"\n"),
        &[("record-unreadable", "appvms/work/vm.toml")],
    ),
    human(
        |tree| appvm(tree, "debian", 9, "debian"),
        &[("name-twice", "appvms/debian"), ("template-is-itself", "appvms/debian/vm.toml")],
    ),
    human(|tree| appvm(tree, "copy", 2, "debian"), &[("uuid-twice", "appvms/work")]),
    human(|tree| appvm(tree, "me", 9, "me"), &[("template-is-itself", "appvms/me/vm.toml")]),
    human(
        |tree| appvm(tree, "orphan", 9, "fedora"),
        &[("template-missing", "appvms/orphan/vm.toml")],
    ),
    human(|tree| appvm(tree, "child", 9, "work"), &[("template-is-none", "appvms/child/vm.toml")]),
    human(
        |tree| {
            appvm(tree, "a", 7, "b");
            appvm(tree, "b", 8, "c");
            appvm(tree, "c", 9, "a");
        },
        &[
            ("template-cycle", "appvms/a/vm.toml"),
            ("template-cycle", "appvms/b/vm.toml"),
            ("template-cycle", "appvms/c/vm.toml"),
        ],
    ),
    human(
        |tree| tree.record("vm-templates/debian", 1, "kind = \"template\"\ntemplate = \"x\"\n"),
        &[("record-unreadable", "vm-templates/debian/vm.toml")],
    ),
    human(
        |tree| tree.record("appvms/work", 2, "kind = \"appvm\"\n"),
        &[("record-unreadable", "appvms/work/vm.toml")],
    ),
    note(
        |tree| tree.rename("vm-templates/debian/kernel", "vm-templates/debian/initrd"),
        &[("initrd-alone", "vm-templates/debian/initrd")],
    ),
];
