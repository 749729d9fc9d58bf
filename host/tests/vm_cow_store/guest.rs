//! The volatile disk of a guest of ours, with what it wrote over its root.

use crate::kernels::{Folder, must, refuses, same, text};
use std::{fs, process::Command};
use vmtest::{Disk, Image, Qemu, Result, Size, require};

const WRITE: &str = "ebbtide-init root && mkdir -p /mnt && mount -t ext4 /dev/mapper/dmroot /mnt \
     && echo new > /mnt/srv/original && dd if=/dev/urandom of=/mnt/large bs=1M count=5 \
     && umount /mnt && dd if=/dev/mapper/dmroot of=/dev/vdc bs=1M conv=fsync";

/// One boot and another, of QEMU. A guest divides its volatile disk, and writes over its root: with a store that keeps a
/// table that can be seen later, and without one it cannot.
#[test]
fn what_a_guest_of_ours_wrote_is_merged_from_its_volatile_disk() -> Result<()> {
    let image = require!(Image::named("stage"));
    let (root, folder) = (image.root(), Folder::new());
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(&root))
        .volatile(Disk::empty(Size::mib(512)))
        .disk(Disk::empty(Size::bytes(fs::metadata(&root).unwrap().len())).serial("shown"));
    let mut vm = require!(machine.cmdline("ebbtide.overflow=PO").start());
    vm.run(WRITE)?;
    assert!(vm.run("dmsetup table dmroot")?.contains(" PO 8"));
    vm.power_off()?;

    let (volatile, out) = (vm.drive("volatile")?.path().to_owned(), folder.at("out"));
    let info = must(&["cow", "info", "--backing", text(&root), text(&volatile)]).out;
    for said in ["of a volatile disk", "chunk:   4 KiB", "state:   valid", ", fits\n"] {
        assert!(info.contains(said), "{said}: {info}");
    }
    must(&["cow", "merge", "--backing", text(&root), text(&volatile), text(&out)]);
    let shown = fs::read(vm.drive("shown")?.path()).unwrap();
    same("the volatile disk", &folder.read("out"), &shown);
    assert!(fs::read(&root).unwrap() != shown, "nothing was written");
    let cat = Command::new("debugfs").args(["-R", "cat /srv/original"]).arg(&out).output();
    assert_eq!(String::from_utf8(cat.unwrap().stdout).unwrap(), "new\n");

    vm.power_cycle_as(|machine| machine.cmdline_without("ebbtide.").cmdline("ebbtide.overflow=N"))?;
    vm.run(WRITE)?;
    assert!(vm.run("dmsetup table dmroot")?.contains(" N "));
    vm.power_off()?;
    let info = must(&["cow", "info", "--backing", text(&root), text(&volatile)]).out;
    assert!(info.contains("kind N"), "{info}");
    let words = ["cow", "merge", "--backing", text(&root), text(&volatile)];
    refuses(&[&words[..], &[text(&folder.at("none"))]].concat(), &["keeps no table"]);
    assert!(!folder.at("none").exists());
    Ok(())
}
