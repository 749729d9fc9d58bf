//! A pool of driver dm under Xen's own toolstack: templates and their VMs are domains, whose disks come from the block
//! script and whose guests find them by their Xen names.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

use std::{path::Path, process::Command};
use tempfile::TempDir;
use vmtest::{Disk, Ending, Image, Result, Size, Xen, XenVm, require};

/// A pool on its own file system, with one template and two VMs, and a configuration of xl for each.
const SET_UP: &str = r#"
set -e
mkdir -p /srv && mount /dev/vda /srv
ebbtide pool create /srv/pool --driver dm
ebbtide template create debian --root /dev/vdb --private 0 --swap 16M \
    --kernel /boot/domu-vmlinuz --initrd /boot/domu-initrd.img --cmdline "$(cat /boot/domu-cmdline)"
ebbtide vm create work --template debian --private 64M --swap 16M
ebbtide vm create play --template debian --private 0 --swap 16M
for vm in debian work play; do
    ebbtide vm set $vm memory=128M
    # Emulated processors have no support for another type.
    ebbtide export-config $vm --format xl | sed 's/"pvh"/"pv"/' > /run/$vm.cfg
done
cat /run/work.cfg
"#;

const POOL: &str = "export EBBTIDE_POOL=/srv/pool\n";

/// What there is of devices, and what the pool has to say.
const LEFT: &str = "dmsetup ls; losetup --all; xl list | awk 'NR > 1 {print $1}'; \
    xenstore-ls /local/domain/0/backend/vbd 2>/dev/null | grep params; ebbtide pool check";

struct Host(XenVm);

impl Host {
    fn run(&self, script: &str) -> Result<String> {
        let said = self.0.run(&format!("{POOL}{script}"))?;
        println!("{:>6.1} s  {}", self.0.powered_on().elapsed().as_secs_f32(), script.trim());
        Ok(said)
    }

    fn start(&self, vm: &str) -> Result<String> {
        self.run(&format!("flock /run/{vm}.lock xl create /run/{vm}.cfg || {{ cat /var/log/xen/block-ebbtide.log; false; }}"))
    }

    fn shut_down(&self, vm: &str) -> Result<String> {
        self.run(&format!("xl shutdown {vm} && flock --wait 90 /run/{vm}.lock true"))
    }

    fn in_guest(&self, vm: &str, script: &str) -> Result<String> {
        let said = self.0.run_in(vm, script)?;
        println!("{:>6.1} s  in {vm}: {script}", self.0.powered_on().elapsed().as_secs_f32());
        Ok(said)
    }

    /// What a guest sees of its root.
    fn root(&self, vm: &str) -> Result<String> {
        self.in_guest(vm, "cat /sysroot/srv/original")
    }
}

fn disk(dir: &Path) -> std::path::PathBuf {
    let disk = dir.join("pool");
    std::fs::File::create_new(&disk).unwrap().set_len(1 << 30).unwrap();
    let made = Command::new("mkfs.ext4").arg("-q").arg(&disk).status();
    assert!(made.unwrap().success());
    disk
}

/// One boot: two VMs of a template and the template itself; a commit while the VMs run, save and restore, and the end.
#[test]
fn templates_and_their_vms_are_domains_of_xen() -> Result<()> {
    let image = require!(Image::named("xen"));
    let folder = TempDir::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("xen/block-ebbtide");
    let xen = Xen::boot(&image)
        .memory(Size::mib(1280))
        .disk(Disk::writable(disk(folder.path())))
        .disk(Disk::read_only(image.root()))
        .file(env!("CARGO_BIN_EXE_ebbtide"), "/usr/bin/ebbtide")
        .file(&script, "/etc/xen/scripts/block-ebbtide");
    let host = Host(require!(xen.start()));
    let config = host.run(SET_UP)?;
    assert!(config.contains("script=block-ebbtide, target=/srv/pool/work:root"), "{config}");

    // Two VMs share one version, each over a store of its own on its volatile disk.
    host.start("work")?;
    host.start("play")?;
    let mounts = host.in_guest("work", "cat /proc/mounts")?;
    for mounted in ["/dev/mapper/dmroot /sysroot ext4 rw", "/dev/xvdb /sysroot/rw ext4 rw"] {
        assert!(mounts.contains(mounted), "{mounted}: {mounts}");
    }
    host.in_guest("work", "echo mine > /sysroot/srv/original; echo kept > /sysroot/rw/file; sync")?;
    assert_eq!(host.root("play")?, "as it was");
    let devices = host.run("dmsetup ls | cut -d- -f1 | sort | uniq -c | tr -s ' '")?;
    assert_eq!(
        devices, " 1 origin\n 2 snapshot\n 2 volatile",
        "one version for both, and a private disk"
    );

    // The template is edited in a domain of its own, and committed by its shutdown, while they run.
    host.start("debian")?;
    host.in_guest("debian", "echo new > /sysroot/srv/original; sync")?;
    assert_eq!((host.root("work")?, host.root("play")?), ("mine".into(), "as it was".into()));
    host.shut_down("debian")?;
    let list = host.run("ebbtide vm list; ebbtide template versions debian")?;
    assert!(list.lines().filter(|line| line.contains("yes")).count() == 2, "{list}");
    assert_eq!(host.root("play")?, "as it was");

    // Saved, it keeps its version and all that it has, and the pool waits for it.
    host.run("xl save work /run/memory && flock --wait 90 /run/work.lock true")?;
    let shown = host.run("ebbtide vm show work; cat /var/log/xen/block-ebbtide.log")?;
    assert!(shown.contains("prepared, hotplug since"), "{shown}");
    host.run("flock /run/work.lock xl restore /run/memory && rm /run/memory")?;
    assert_eq!(host.root("work")?, "mine");

    // What was written to the root is forgotten, what is on the private disk is not, and the next start is the new version.
    host.shut_down("work")?;
    host.run("xl destroy play && flock --wait 90 /run/play.lock true")?;
    let left = host.run(LEFT)?;
    assert_eq!(left, "No devices found\nDomain-0\n3 VMs and templates: nothing is wrong");
    host.start("work")?;
    assert_eq!(host.root("work")?, "new");
    assert_eq!(host.in_guest("work", "cat /sysroot/rw/file")?, "kept");
    host.shut_down("work")?;
    assert_eq!(host.run(LEFT)?, left);

    // What cannot be attached says so to the toolstack.
    let refused = host.0.try_run("xl create /run/work.cfg 'name=\"two\"' 'disk=[\"format=raw, vdev=xvda, access=ro, \
        backendtype=phy, script=block-ebbtide, target=/srv/pool/wrk:root\"]' 2>&1; xl list | grep two; \
        cat /var/log/xen/block-ebbtide.log")?;
    assert!(refused.text().contains("no template and no VM named wrk"), "{}", refused.text());
    assert!(!refused.text().lines().any(|line| line.starts_with("two ")), "{}", refused.text());
    assert_eq!(host.0.power_off()?.ending, Ending::PoweredOff);
    Ok(())
}
