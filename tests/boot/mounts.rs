//! What is kept, in Debian: mounted by each initramfs and by the running system, and gone with the power.

use crate::{
    debian::is_up_on_dmroot,
    machine::{debian, with_script},
};
use std::time::Duration;
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

#[test]
fn initramfs_tools_keeps_homes_and_forgets_the_rest() -> Result<()> {
    keeps_homes_and_forgets_the_rest(debian(&require!(Image::named("debian-initramfs-tools"))))
}

#[test]
fn dracut_with_systemd_keeps_homes_and_forgets_the_rest() -> Result<()> {
    keeps_homes_and_forgets_the_rest(debian(&require!(Image::named("debian-dracut-systemd"))))
}

#[test]
fn dracut_without_systemd_keeps_homes_and_forgets_the_rest() -> Result<()> {
    keeps_homes_and_forgets_the_rest(debian(&require!(Image::named("debian-dracut"))))
}

/// An initramfs that sets up the root and nothing else: the unit of the running system does the rest.
#[test]
fn a_running_system_keeps_homes_and_forgets_the_rest() -> Result<()> {
    let image = require!(Image::named("debian-initramfs-tools"));
    let none = "#!/bin/sh\necho 'test: no mounts in the initramfs' > /dev/kmsg\n";
    let folder = with_script(&image, "scripts/local-bottom/ebbtide", none);
    let vm = keeps_homes(debian(&image).initrd(folder.path().join("initrd")))?;
    vm.expect_console("test: no mounts in the initramfs")?;
    assert_eq!(vm.run("systemctl is-active ebbtide-mounts.service")?, "active");
    shuts_down_cleanly(&vm)
}

fn keeps_homes_and_forgets_the_rest(machine: Qemu) -> Result<()> {
    let vm = keeps_homes(machine)?;
    // The unit of an initramfs lends its state to the one of the same name, so it is the log that tells.
    let times = vm.run("dmesg | grep -c 'ebbtide: .* is mounted at /rw'")?;
    assert_eq!(times, "1", "the running system did it again");
    shuts_down_cleanly(&vm)
}

fn keeps_homes(machine: Qemu) -> Result<Vm> {
    let mut vm = match machine.private(Disk::empty(Size::mib(256))).start() {
        Ok(vm) => vm,
        Err(error) => panic!("{error}"),
    };
    is_up_on_dmroot(&vm)?;
    what_is_kept_is_mounted(&vm)?;
    vm.run("su user -c 'echo mine > ~/file' && echo more >> /usr/local/etc/tool.conf && sync")?;
    vm.run("echo gone > /root/file && sync")?;
    vm.power_cycle()?;

    is_up_on_dmroot(&vm)?;
    what_is_kept_is_mounted(&vm)?;
    assert_eq!(vm.run("cat /home/user/file")?, "mine");
    assert_eq!(vm.run("cat /usr/local/etc/tool.conf")?, "of the template\nmore");
    assert_eq!(vm.try_run("test -e /root/file")?.status, 1, "a file came back");
    Ok(vm)
}

/// The mounts, what they are filled with, and a root that has been left as it was.
fn what_is_kept_is_mounted(vm: &Vm) -> Result<()> {
    let source = |place: &str| vm.run(&format!("findmnt -no SOURCE {place}"));
    assert_eq!(source("/rw")?, "/dev/vdc");
    assert_eq!(source("/home")?, "/dev/vdc[/home]");
    assert_eq!(source("/usr/local")?, "/dev/vdc[/usrlocal]");
    for place in ["/rw", "/home", "/usr/local"] {
        let options = vm.run(&format!("findmnt -no OPTIONS {place}"))?;
        for wanted in ["rw", "nosuid", "nodev"] {
            assert!(options.split(',').any(|option| option == wanted), "{place}: {options}");
        }
    }
    assert_eq!(vm.run("stat -c '%U %G' /home/user")?, "user user");
    assert_eq!(
        vm.run("su user -c 'cmp ~/.profile /etc/skel/.profile && stat -c %U ~/.profile'")?,
        "user"
    );
    assert_eq!(vm.run("tool")?, "tool of the template");
    Ok(())
}

/// Shutdown reaches its end, and every mount has a unit that ends in order while somebody uses it.
fn shuts_down_cleanly(vm: &Vm) -> Result<()> {
    vm.run("systemd-run --quiet --uid=user --working-directory=/home/user sleep 1000")?;
    let outcome = vm.power_off_within(Duration::from_secs(90))?;
    for unit in ["home.mount", "rw.mount", "usr-local.mount"] {
        let done =
            outcome.console.lines().any(|line| line.contains("Unmounted") && line.contains(unit));
        assert!(done, "{unit} was not unmounted\n{}", outcome.console);
    }
    for trouble in ["[FAILED]", "Failed unmounting", "Failed to unmount", "busy", "Timed out"] {
        assert!(!outcome.console.contains(trouble), "{trouble}\n{}", outcome.console);
    }
    vm.kernel_log_is_clean()
}
