//! What is kept, in Debian: how it is looked at after each initramfs, and mounted by the running system.

use crate::{debian::is_up, machine::with_script, watch};
use std::time::Duration;
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// An initramfs that sets up the root and nothing else: the units of the running system do the rest.
#[test]
fn units_of_a_running_system_keep_homes_and_watch_the_room() -> Result<()> {
    let image = require!(Image::named("debian-initramfs-tools"));
    let none = "#!/bin/sh\necho 'test: no mounts in the initramfs' > /dev/kmsg\n";
    let folder = with_script(&image, "scripts/local-bottom/ebbtide", none);
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::mib(161)))
        .private(Disk::empty(Size::mib(256)))
        .initrd(folder.path().join("initrd"))
        .cmdline("ebbtide.swap=0 ebbtide.encrypt=yes");
    let mut vm = require!(machine.start());
    is_up(&vm)?;
    what_is_kept_is_mounted(&vm)?;
    writes_at_home(&vm)?;
    vm.run("echo gone > /root/new && sync")?;
    vm.power_cycle()?;

    is_up(&vm)?;
    vm.expect_console("test: no mounts in the initramfs")?;
    what_is_kept_is_mounted(&vm)?;
    has_kept(&vm)?;
    assert_eq!(vm.try_run("test -e /root/new")?.status, 1, "a file came back");
    assert_eq!(vm.run("systemctl is-active ebbtide-mounts.service")?, "active");
    watch::is_small_and_is_heard(&vm)?;
    shuts_down_cleanly(&vm)
}

pub(crate) fn writes_at_home(vm: &Vm) -> Result<()> {
    vm.run("su user -c 'echo mine > ~/file' && echo more >> /usr/local/etc/tool.conf && sync")?;
    Ok(())
}

pub(crate) fn has_kept(vm: &Vm) -> Result<()> {
    assert_eq!(vm.run("cat /home/user/file")?, "mine");
    assert_eq!(vm.run("cat /usr/local/etc/tool.conf")?, "of the template\nmore");
    Ok(())
}

/// The mounts, what they are filled with, and a root that has been left as it was.
pub(crate) fn what_is_kept_is_mounted(vm: &Vm) -> Result<()> {
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
pub(crate) fn shuts_down_cleanly(vm: &Vm) -> Result<()> {
    vm.run("systemd-run --quiet --uid=user --working-directory=/home/user sleep 1000")?;
    let outcome = vm.power_off_within(Duration::from_secs(90))?;
    for unit in ["home.mount", "rw.mount", "usr-local.mount"] {
        let done =
            outcome.console.lines().any(|line| line.contains("Unmounted") && line.contains(unit));
        assert!(done, "{unit} was not unmounted\n{}", outcome.console);
    }
    // The root is still on the encrypted device of its store.
    let is_known = |line: &str| line.contains("systemd-shutdown") && line.contains(" DM ");
    let lines = outcome.console.lines().filter(|line| !is_known(line)).collect::<Vec<_>>();
    for trouble in ["FAILED", "Failed unmounting", "Failed to unmount", "busy", "Timed out"] {
        assert!(!lines.iter().any(|line| line.contains(trouble)), "{trouble}\n{}", outcome.console);
    }
    vm.kernel_log_is_clean()
}
