//! The claims: what a machine on a read-only root can do, and what is left of it.

use vmtest::{Image, Size, Vm};

use super::host;
use super::story::{Proof, Story};
use crate::failure::{Context, Result};

/// What the guest is asked before it writes, after it has, and once the power is back.
const FILE: &str = "cat /root/diary 2>&1";
const HOSTNAME: &str = "cat /etc/hostname";
const PACKAGE: &str = "dpkg-query --show --showformat '${db:Status-Status}' fdisk 2>&1";
const PROGRAM: &str = "command -v sfdisk || echo none";

/// What is kept.
const KEPT: &str = "cat /home/user/letter";
const TOOL: &str = "/usr/local/bin/greet";

/// The file system below `/`.
const ROOT: &str = "findmnt --noheadings --output SOURCE,FSTYPE /";

/// Tells them all; `checksum` is that of the root image before the machine was switched on.
pub(crate) fn tell(story: &mut Story, vm: &mut Vm, image: &Image, checksum: &str) -> Result<()> {
    story.claim("The machine cannot write to its root disk.", vm, |proof| {
        proof.says("blockdev --getro /dev/vda", "1")?;
        proof.says("lsblk --nodeps --noheadings --output SERIAL /dev/vda", "root")
    })?;
    story.claim("Its root is a device above that disk, and can be written to.", vm, |proof| {
        proof.says(ROOT, "/dev/mapper/dmroot ext4")?;
        proof.says("test -w / && echo writable", "writable")?;
        proof.show("dmesg | grep -o 'ebbtide: .*'").map(drop)
    })?;
    let hostname = writes(story, vm)?;
    story.claim(
        "The private disk was blank; it is formatted, filled and in its place.",
        vm,
        |proof| {
            for (place, source) in [
                ("/rw", "/dev/vdb"),
                ("/home", "/dev/vdb[/home]"),
                ("/usr/local", "/dev/vdb[/usrlocal]"),
            ] {
                proof.says(&format!("findmnt --noheadings --output SOURCE {place}"), source)?;
            }
            proof.says("stat --format '%U %a' /home/user", "user 700")?;
            proof.says(
                &format!("su user -c 'echo dear friend > /home/user/letter'; sync; {KEPT}"),
                "dear friend",
            )?;
            proof.says(
                &format!(
                    "printf '#!/bin/sh\necho hello\n' > {TOOL}; chmod +x {TOOL}; sync; {TOOL}"
                ),
                "hello",
            )
        },
    )?;
    story.claim("Swap is on.", vm, |proof| {
        proof.says("awk 'NR > 1 {print $1}' /proc/swaps", "/dev/vdc1")
    })?;
    story.claim("The store below the root is never taken for the root.", vm, store_is_no_root)?;
    let volatile = vm.drive("volatile").context(|| "no volatile disk".to_owned())?;
    let used = volatile.allocated().context(|| "cannot see the volatile disk".to_owned())?;
    story.claim("The host pays for what was written, not for the disk's size.", vm, |proof| {
        let line =
            format!("{} of {} taken", host::mebibytes(used), host::mebibytes(super::VOLATILE));
        proof.seen(line, used > Size::mib(8) && used < Size::mib(256));
        Ok(())
    })?;

    story.claim(
        "The host enlarges the volatile disk, and there is more room at once.",
        vm,
        |proof| grows(proof, vm),
    )?;

    println!("\n   The power is cut without a warning, and comes back.");
    story.part("boot again", || {
        vm.power_cycle().context(|| "cannot cut the power".to_owned())?;
        vm.wait_until_ready().context(|| "the machine does not come up again".to_owned())
    })?;
    story.claim("All that was written is gone.", vm, |proof| {
        proof.says(FILE, "cat: /root/diary: No such file or directory")?;
        proof.says(HOSTNAME, &hostname)?;
        proof.says(PACKAGE, "installed")?;
        proof.says(PROGRAM, "/usr/sbin/sfdisk")
    })?;
    story.claim("What is to be kept is there: the home and /usr/local.", vm, |proof| {
        proof.says(KEPT, "dear friend")?;
        proof.says(TOOL, "hello")
    })?;
    story.claim(
        "The machine can write again, and the kernel has nothing to complain.",
        vm,
        |proof| {
            proof.says(ROOT, "/dev/mapper/dmroot ext4")?;
            proof.says("echo again > /root/diary; cat /root/diary", "again")?;
            match vm.kernel_log_is_clean() {
                Ok(()) => {
                    proof.seen("no warning and no I/O error on the console of either boot", true)
                }
                Err(error) => proof.seen(error, false),
            }
            Ok(())
        },
    )?;
    story.claim("The root image is the same, byte by byte.", vm, |proof| {
        let after = host::sha256(&image.root())?;
        proof.seen(format!("sha256 before  {checksum}"), true);
        proof.seen(format!("sha256 now     {after}"), after == checksum);
        Ok(())
    })
}

/// Has the machine write, and returns the name that it had before.
fn writes(story: &mut Story, vm: &Vm) -> Result<String> {
    let mut hostname = String::new();
    story.claim("The machine writes where it likes: files, its name, its packages.", vm, |proof| {
        hostname = proof.show(HOSTNAME)?;
        proof.says(PROGRAM, "/usr/sbin/sfdisk")?;
        proof.says("echo dear diary > /root/diary; sync; cat /root/diary", "dear diary")?;
        proof.says("echo another > /etc/hostname; cat /etc/hostname", "another")?;
        proof.says("dpkg --purge fdisk > /dev/null 2>&1; echo $?", "0")?;
        proof.says(PROGRAM, "none")?;
        proof.says("dd if=/dev/urandom of=/root/noise bs=1M count=32 2>/dev/null; sync; du -m /root/noise | cut -f1", "32")
    })?;
    Ok(hostname)
}

/// The service sees the disk grow; nothing is reloaded, and the root stays mounted.
fn grows(proof: &mut Proof<'_>, vm: &Vm) -> Result<()> {
    proof.says("systemctl is-active ebbtide-watch", "active")?;
    proof.show("ebbtide-init status")?;
    vm.resize_disk("volatile", super::ENLARGED)
        .context(|| "cannot enlarge the volatile disk".to_owned())?;
    let grown = "for i in $(seq 50); do journalctl --unit ebbtide-watch --output cat | grep grew && break; sleep .1; done";
    let said = proof.show(grown)?;
    proof.seen(
        format!(
            "the host: {} are now {}",
            host::mebibytes(super::VOLATILE),
            host::mebibytes(super::ENLARGED)
        ),
        said.contains("grew"),
    );
    proof.show("ebbtide-init status | head -n 5").map(drop)
}

/// The first block of the root that is written to holds its UUID and label: in the store these must not be seen.
fn store_is_no_root(proof: &mut Proof<'_>) -> Result<()> {
    let uuid = proof.show("findmnt --noheadings --output UUID /")?;
    proof.says(&format!("readlink --canonicalize /dev/disk/by-uuid/{uuid}"), "/dev/dm-0")?;
    let probed =
        proof.show("blkid --probe --output export /dev/vdc2 | grep -v ^PART_ENTRY_UUID")?;
    let listed =
        proof.show("lsblk --noheadings --list --paths --output NAME,TYPE,FSTYPE,UUID /dev/vdc")?;
    let store = listed.lines().filter(|line| line.starts_with("/dev/vdc2"));
    let said: String = store.chain(probed.lines()).collect();
    proof.seen(
        "the root's UUID for the store: never",
        !said.contains(&uuid) && !said.contains("ext4"),
    );
    Ok(())
}
