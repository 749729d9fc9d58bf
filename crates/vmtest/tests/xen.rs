//! Boots Xen and uses all that its test machine offers, with a domain whose disks come from a script.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use tempfile::NamedTempFile;
use vmtest::{Disk, Ending, Image, Result, Size, Xen, XenVm, require};

/// A hotplug script as a user writes one: a loop device for each disk.
const SCRIPT: &str = r#"#!/bin/bash
. "$(dirname "$0")/block-common.sh"
case $command in
add)
    if [ "$(xenstore_read "$XENBUS_PATH/mode")" = r ]; then only=--read-only; fi
    node=$(losetup $only --find --show "$(xenstore_read "$XENBUS_PATH/params")")
    xenstore_write "$XENBUS_PATH/node" "$node"
    write_dev "$node"
    ;;
remove)
    losetup --detach "$(xenstore_read "$XENBUS_PATH/node")"
    ;;
esac
"#;

/// Makes a domain of what dom0 has for it: root, private and volatile disk by their places.
const CREATE: &str = r#"
truncate -s 64M /run/private; truncate -s 128M /run/volatile
disk() { echo "'format=raw, vdev=$1, access=$2, script=block-test, target=$3'"; }
cat > /run/work.cfg <<END
name = 'work'
type = 'pv'
kernel = '/boot/domu-vmlinuz'
ramdisk = '/boot/domu-initrd.img'
extra = '$(cat /boot/domu-cmdline)'
memory = 128
disk = [ $(disk xvda r /dev/vda), $(disk xvdb rw /run/private), $(disk xvdc rw /run/volatile) ]
END
flock /run/work.lock xl create /run/work.cfg
"#;

/// Has the domain shut down, and waits for the `xl` that cleans up.
const SHUT_DOWN: &str = "xl shutdown work && flock --wait 60 /run/work.lock true";

/// The domains that there are.
const NAMES: &str = "xl list | awk 'NR > 1 {print $1}'";

/// Loop devices, and the disks that the store knows of.
const DISKS: &str =
    "losetup --all; xenstore-ls /local/domain/0/backend/vbd 2>/dev/null | grep params || :";

/// One boot, since it takes most of the time: each part goes on from the one before.
#[test]
fn a_domain_on_disks_of_a_script_is_paused_and_leaves_nothing() -> Result<()> {
    let image = require!(Image::named("xen"));
    let script = NamedTempFile::new().unwrap();
    script.as_file().write_all(SCRIPT.as_bytes()).unwrap();
    fs::set_permissions(script.path(), PermissionsExt::from_mode(0o750)).unwrap();
    let xen = Xen::boot(&image)
        .disk(Disk::read_only(image.root()))
        .disk(Disk::empty(Size::mib(64)))
        .file(script.path(), "/etc/xen/scripts/block-test");
    let vm = require!(xen.start());
    told("dom0 takes commands", &vm);
    dom0_has_what_was_given_to_it(&vm)?;
    vm.run(CREATE)?;
    told("the domain was made", &vm);
    the_guest_finds_its_disks_by_their_places(&vm)?;
    a_paused_domain_does_not_answer(&vm)?;
    told("paused and gone on", &vm);
    disks_come_and_go(&vm)?;
    told("disks added and removed", &vm);

    vm.run(SHUT_DOWN)?;
    nothing_is_left(&vm)?;
    told("shut down", &vm);
    let error = vm.run_in("work", "true").unwrap_err().to_string();
    assert!(error.contains("# in work: true") && error.contains("status 125"), "{error}");
    assert_eq!(vm.power_off()?.ending, Ending::PoweredOff);
    told("off", &vm);
    vm.kernel_log_is_clean()
}

fn told(what: &str, vm: &XenVm) {
    println!("{:>6.1} s  {what}", vm.powered_on().elapsed().as_secs_f32());
}

fn dom0_has_what_was_given_to_it(vm: &XenVm) -> Result<()> {
    assert!(vm.run("xl info xen_caps")?.contains("xen-3.0-x86_64"));
    assert_eq!(vm.run(NAMES)?, "Domain-0");
    assert_eq!(vm.run("stat -c '%a %U' /etc/xen/scripts/block-test")?, "750 root");
    assert_eq!(vm.run("cat /sys/block/vda/ro /sys/block/vdb/ro")?, "1\n0");
    // Disks, file systems and device-mapper of dom0 are those of any host.
    vm.run("mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && echo kept > /mnt/file && umount /mnt")?;
    vm.run("dmsetup create d --table '0 2048 linear /dev/vdb 0' && dmsetup remove d")?;
    assert!(vm.run("dmsetup targets")?.contains("snapshot-origin"));
    Ok(())
}

fn the_guest_finds_its_disks_by_their_places(vm: &XenVm) -> Result<()> {
    let mounts = vm.run_in("work", "cat /proc/mounts")?;
    told("the domain takes commands", vm);
    assert!(mounts.contains("/dev/mapper/dmroot /sysroot ext4 rw"), "{mounts}");
    assert!(mounts.contains("/dev/xvdb /sysroot/rw ext4 rw"), "{mounts}");
    assert_eq!(vm.run_in("work", "cat /sys/block/xvda/ro /sysroot/srv/original")?, "1\nas it was");
    let console = vm.run("cat /var/log/xen/console/guest-work.log")?;
    assert!(console.contains("ebbtide: root xvda (64 MiB, read-only)"), "{console}");
    assert!(console.contains("domu: the root is mounted"), "{console}");
    let script = "echo new > /sysroot/srv/original; echo mark > /run/mark; sync\n\
                  echo out; echo err >&2; exit 3";
    let reply = vm.try_run_in("work", script)?;
    assert_eq!((reply.status, reply.text().as_str()), (3, "out\nerr"));
    Ok(())
}

fn a_paused_domain_does_not_answer(vm: &XenVm) -> Result<()> {
    vm.run("xl pause work")?;
    let reply = vm.try_run("echo 'echo too late' | domu work 1")?;
    assert_eq!(reply.status, 124);
    assert!(reply.text().contains("work has not answered within 1 s"), "{}", reply.text());
    vm.run("xl unpause work")?;
    // The answer to the other script comes first, and is not taken for the one to this.
    assert_eq!(vm.run_in("work", "cat /run/mark")?, "mark");
    Ok(())
}

fn nothing_is_left(vm: &XenVm) -> Result<()> {
    assert_eq!((vm.run(NAMES)?.as_str(), vm.run(DISKS)?.as_str()), ("Domain-0", ""));
    Ok(())
}

fn disks_come_and_go(vm: &XenVm) -> Result<()> {
    let disk = "format=raw, vdev=xvdd, access=rw, script=block-test, target=/run/more";
    vm.run(&format!("truncate -s 8M /run/more && xl block-attach work '{disk}'"))?;
    vm.run_in("work", "printf written | dd of=/dev/xvdd conv=fsync 2>&1")?;
    vm.run("xl block-detach work xvdd")?;
    assert_eq!(vm.run("head -c 7 /run/more")?, "written");
    let disks = vm.run(DISKS)?;
    assert!(!disks.contains("/run/more") && disks.contains("/run/private"), "{disks}");
    Ok(())
}
