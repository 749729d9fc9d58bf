//! The modules disk, in a machine without a distribution.

use crate::machine::stage;
use std::process::Command;
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// The root as an initramfs mounts it.
const ROOT: &str =
    "ebbtide-init root && mkdir -p /mnt && mount -t ext4 -o ro /dev/mapper/dmroot /mnt";
const MOUNTS: &str = "ebbtide-init mounts --root /mnt 2>&1";

fn with_modules_disk(machine: Qemu) -> Qemu {
    let empty = Disk::empty(Size::mib(32)).serial("modules").prepared_by(|path| {
        let made = Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(path).status()?;
        if made.success() { Ok(()) } else { Err(std::io::Error::other("mke2fs failed")) }
    });
    machine.disk(empty)
}

/// Fills the disk with the modules of the stage image, at `place` on it, and mounts the root.
fn fill(vm: &Vm, place: &str) -> Result<()> {
    let place = place.replace("VERSION", &vm.run("uname -r")?);
    vm.run(&format!(
        "mkdir -p /fill && mount -t ext4 /dev/vdc /fill && mkdir -p /fill/{place}/kernel && \
         cp /lib/modules/*.ko /fill/{place}/kernel && echo of-the-disk > /fill/{place}/modules.dep && \
         umount /fill"
    ))?;
    vm.run(ROOT).map(drop)
}

/// Returns the place of the modules in the root.
fn place(vm: &Vm) -> Result<String> {
    Ok(format!("/mnt/lib/modules/{}", vm.run("uname -r")?))
}

#[test]
fn modules_of_the_disk_can_be_loaded_and_written_over() -> Result<()> {
    for at in ["VERSION", "lib/modules/VERSION", "."] {
        let machine = with_modules_disk(stage(&require!(Image::named("stage"))));
        let vm = require!(machine.start());
        fill(&vm, at)?;
        let disk = vm.disk_stats("modules")?;
        vm.run(MOUNTS)?;
        let place = place(&vm)?;
        vm.run(&format!("rmmod squashfs && insmod {place}/kernel/squashfs.ko"))?;
        vm.run(&format!("echo mine > {place}/modules.dep && rm {place}/kernel/ext4.ko"))?;
        assert_eq!(vm.run(&format!("cat {place}/modules.dep"))?, "mine", "{at}");
        let mounts = vm.run("cat /proc/mounts")?;
        let overlay = mounts.lines().find(|line| line.contains(&place)).unwrap_or_default();
        assert!(overlay.starts_with("overlay ") && overlay.contains("nosuid,nodev"), "{mounts}");
        assert!(mounts.contains("/dev/vdc /run/ebbtide/modules/disk ext4 ro,nosuid,nodev"));
        assert_eq!(vm.run("stat -c %a /run/ebbtide/modules")?, "700");
        // The root is as an initramfs has mounted it, and the disk has not been written to.
        assert!(mounts.contains("/dev/mapper/dmroot /mnt ext4 ro"), "{mounts}");
        assert_eq!(vm.disk_stats("modules")?.since(disk).written, Size::mib(0));
        vm.kernel_log_is_clean()?;
    }
    Ok(())
}

#[test]
fn modules_are_bound_read_only_where_there_is_no_overlay() -> Result<()> {
    let machine = with_modules_disk(stage(&require!(Image::named("stage"))));
    let vm = require!(machine.start());
    fill(&vm, "VERSION")?;
    vm.run("rmmod overlay")?;
    vm.run(MOUNTS)?;
    vm.expect_line("read-only, for there is no overlay")?;
    let place = place(&vm)?;
    vm.run(&format!("rmmod squashfs && insmod {place}/kernel/squashfs.ko"))?;
    let refused = vm.try_run(&format!("echo mine > {place}/modules.dep"))?;
    assert!(refused.text().contains("Read-only file system"), "{}", refused.text());
    let mounts = vm.run("cat /proc/mounts")?;
    assert!(mounts.contains(&format!("/dev/vdc {place} ext4 ro,nosuid,nodev")), "{mounts}");
    vm.kernel_log_is_clean()
}

#[test]
fn a_root_with_modules_keeps_them() -> Result<()> {
    let machine = with_modules_disk(stage(&require!(Image::named("stage"))));
    let vm = require!(machine.start());
    fill(&vm, "VERSION")?;
    let place = place(&vm)?;
    vm.run(&format!("mount -o remount,rw /mnt && mkdir -p {place}/kernel"))?;
    vm.run(MOUNTS)?;
    vm.expect_line("modules of the root itself are used")?;
    assert!(!vm.run("cat /proc/mounts")?.contains("vdc"));
    Ok(())
}

#[test]
fn a_second_run_of_mounts_does_nothing() -> Result<()> {
    let machine = with_modules_disk(stage(&require!(Image::named("stage"))));
    let vm = require!(machine.start());
    fill(&vm, "VERSION")?;
    vm.run(MOUNTS)?;
    let before = vm.run("cat /proc/self/mountinfo")?;
    vm.run(MOUNTS)?;
    vm.expect_line("mounts: nothing to do")?;
    assert_eq!(vm.run("cat /proc/self/mountinfo")?, before);
    // As after a run that was cut.
    vm.run("rm /run/ebbtide/mounts")?;
    vm.run(MOUNTS)?;
    assert_eq!(vm.run("cat /proc/self/mountinfo")?, before);
    vm.run(&format!("umount {} && rm /run/ebbtide/mounts", place(&vm)?))?;
    vm.run(MOUNTS)?;
    assert_eq!(vm.run("cat /proc/mounts | wc -l")?, before.lines().count().to_string());
    Ok(())
}

#[test]
fn a_modules_disk_without_modules_for_this_kernel_is_named() -> Result<()> {
    let machine = with_modules_disk(stage(&require!(Image::named("stage"))));
    let vm = require!(machine.start());
    // A link that leads out of the disk is no directory of it.
    vm.run("mkdir -p /fill /elsewhere && mount -t ext4 /dev/vdc /fill")?;
    vm.run("ln -s /elsewhere /fill/$(uname -r) && umount /fill")?;
    vm.run(ROOT)?;
    let said = vm.try_run(MOUNTS)?;
    assert_eq!(said.status, 1);
    assert!(said.text().contains("modules disk: wanted "), "{}", said.text());
    Ok(())
}

#[test]
fn a_modules_disk_is_missed_only_when_it_was_named() -> Result<()> {
    let image = require!(Image::named("stage"));
    let vm = require!(stage(&image).start());
    vm.run(ROOT)?;
    assert_eq!(vm.run(MOUNTS)?, "");
    let vm =
        require!(stage(&image).cmdline("ebbtide.modules=serial=spare ebbtide.timeout=1s").start());
    vm.run(ROOT)?;
    let said = vm.try_run(MOUNTS)?;
    assert_eq!(said.status, 1);
    assert!(
        said.text().contains("modules disk is missing: wanted serial=spare"),
        "{}",
        said.text()
    );
    Ok(())
}

/// A host that gives a file system which cannot be written to, made of one kernel's directory alone.
#[test]
fn a_modules_disk_may_be_a_squashfs() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("modules.dep"), "of-the-disk\n").expect("a file is written");
    let image = folder.path().join("squashfs");
    let packed = Command::new("mksquashfs")
        .arg(folder.path())
        .arg(&image)
        .args(["-quiet", "-no-progress"])
        .status()
        .expect("mksquashfs runs");
    assert!(packed.success(), "mksquashfs failed");
    let disk = Disk::read_only(&image).serial("modules");
    let vm = require!(stage(&require!(Image::named("stage"))).disk(disk).start());
    vm.run(ROOT)?;
    vm.run(MOUNTS)?;
    let place = place(&vm)?;
    assert_eq!(vm.run(&format!("cat {place}/modules.dep"))?, "of-the-disk");
    vm.run(&format!("echo mine > {place}/modules.dep"))?;
    assert!(vm.run("cat /proc/mounts")?.contains("/run/ebbtide/modules/disk squashfs ro"));
    vm.kernel_log_is_clean()
}
