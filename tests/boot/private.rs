//! The private disk up to its mount: formatted only when blank, checked, mounted, grown.

use crate::machine::sha256;
use ebbtide_format::{
    signature::{file_system_end, marker},
    units::Bytes,
};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use vmtest::{Disk, Image, Qemu, Reply, Result, Size, Vm, require};

/// Wraps and mounts the root, in whose mounts the private disk is set up.
const ROOT: &str =
    "ebbtide-init root && mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt";
const MOUNTS: &str = "ebbtide-init mounts --root /mnt";
const SIZE: Size = Size::mib(512);
/// With a second group of ext4, at 128 MiB.
const SMALL: Size = Size::mib(192);

fn machine(image: &Image) -> Qemu {
    Qemu::boot(image).root(Disk::read_only(image.root())).volatile(Disk::empty(Size::mib(256)))
}

/// Sets up the mounts with other options than before: one machine does for many disks.
fn mounts_with(vm: &Vm, options: &str) -> Result<Reply> {
    vm.try_run(&with(options))
}

fn with(options: &str) -> String {
    format!(
        "mkdir -p /etc/ebbtide && printf '{options}\\n' > /etc/ebbtide/init.conf && \
         rm -f /run/ebbtide/mounts && {MOUNTS}"
    )
}

/// A disk that was prepared by a program of the host, which gets the file as its last argument.
fn made_by(size: Size, program: &'static str, arguments: &'static [&'static str]) -> Disk {
    Disk::empty(size).prepared_by(move |path| run(Command::new(program).args(arguments).arg(path)))
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

fn ext4(size: Size) -> Disk {
    made_by(size, "mkfs.ext4", &["-q", "-F"])
}

/// Sets up the mounts, and returns what the line of the mount says.
fn mounts(vm: &Vm) -> Result<String> {
    vm.run(ROOT)?;
    vm.run(MOUNTS)?;
    vm.run("grep ' /mnt/rw ' /proc/mounts")
}

#[test]
fn a_blank_disk_is_formatted_and_kept_over_power_cuts() -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    let mut vm = require!(machine(&image).private(Disk::empty(SIZE)).start());
    // Two at once: by hand, and by the unit.
    vm.run(ROOT)?;
    vm.run(&format!("{MOUNTS} & {MOUNTS} && wait $!"))?;
    assert_eq!(vm.console().matches("vdc (512 MiB) is blank and gets ext4").count(), 1);
    let line = vm.run("grep ' /mnt/rw ' /proc/mounts")?;
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("/dev/vdc /mnt/rw ext4 rw,nosuid,nodev"), "{line}");
    assert!(line.contains("discard"), "{line}");
    vm.expect_line("private disk vdc (512 MiB) is blank and gets ext4")?;
    assert_eq!(vm.run("blkid -s LABEL -o value /dev/vdc")?, "private");
    assert!(vm.run("dumpe2fs -h /dev/vdc 2>&1 | grep features")?.contains("has_journal"));
    vm.run("echo mine > /mnt/rw/file && sync")?;
    assert_eq!(vm.run(&format!("{MOUNTS} 2>&1"))?, "", "a second run does nothing");
    vm.power_cycle()?;
    let line = mounts(&vm)?;
    assert!(line.contains(" ext4 rw,"), "{line}");
    assert_eq!(vm.run("cat /mnt/rw/file")?, "mine");
    vm.power_off()?;
    assert!(!vm.console().contains("is blank"), "it was formatted twice");
    vm.kernel_log_is_clean()
}

#[test]
fn a_blank_disk_gets_the_file_system_that_was_asked_for() -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    let machine = ["ext4", "xfs", "btrfs"]
        .into_iter()
        .fold(machine(&image), |machine, kind| machine.disk(Disk::empty(SIZE).serial(kind)));
    let vm = require!(machine.start());
    vm.run(ROOT)?;
    for kind in ["ext4", "xfs", "btrfs"] {
        let text = format!("private=serial={kind}\nformat={kind}\ndisposable=yes\nrw=/{kind}");
        let reply = mounts_with(&vm, &text)?;
        assert_eq!(reply.status, 0, "{}", reply.text());
        let line = vm.run(&format!("grep ' /mnt/{kind} ' /proc/mounts"))?;
        assert!(line.contains(&format!(" {kind} rw,nosuid,nodev")), "{line}");
        let marker = "dd if=/dev/vdX bs=1M skip=511 count=1 2>/dev/null | grep -c ebbtide; true";
        let node = line.split(' ').next().unwrap_or_default();
        assert_eq!(vm.run(&marker.replace("/dev/vdX", node))?, "0", "{kind}");
        if kind == "ext4" {
            let features = vm.run(&format!("dumpe2fs -h {node} 2>&1 | grep features"))?;
            assert!(!features.contains("has_journal"), "{features}");
        }
    }
    vm.kernel_log_is_clean()
}

#[test]
fn no_private_disk_is_fine_and_a_named_one_that_is_missing_is_not() -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    let vm = require!(machine(&image).disk(Disk::empty(SIZE).serial("other")).start());
    vm.run(ROOT)?;
    vm.run(MOUNTS)?;
    vm.expect_line("no private disk, so nothing at /rw")?;

    let reply = mounts_with(&vm, "private=serial=mine\ntimeout=1s")?;
    assert_eq!(reply.status, 1);
    let text = "private disk is missing: wanted serial=mine; found vda serial=root";
    assert!(reply.text().contains(text), "{}", reply.text());
    vm.expect_line("waiting up to 1 s for the private disk")?;

    let reply = mounts_with(&vm, "private=serial=other\nformat=no")?;
    assert_eq!(reply.status, 0);
    let text = "private disk vdc is blank and stays so";
    assert!(reply.text().contains(text), "{}", reply.text());

    let reply = mounts_with(&vm, "private=/dev/vdb")?;
    assert_eq!(reply.status, 1);
    let text = "private disk vdb (256 MiB): wanted a device for it alone; found that it is the volatile disk";
    assert!(reply.text().contains(text), "{}", reply.text());
    assert_eq!(vm.disk_stats("other")?.written, Size::mib(0));
    Ok(())
}

/// A disk whose formatting was cut, long ago.
fn marked() -> Disk {
    let size = Bytes(SMALL.as_bytes());
    let end = Size::mib(SMALL.as_bytes() / (1 << 20) - 1);
    assert_eq!(end.as_bytes(), file_system_end(size).0);
    Disk::empty(SMALL).with_bytes(end, marker(size))
}

/// Zeros the first 4 MiB of a file, as a tool that went wrong would.
fn half_blank(path: &Path) -> io::Result<()> {
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096"]).arg(path))?;
    let file = File::options().write(true).open(path)?;
    file.write_all_at(&vec![0; (4 << 20) + (64 << 10)], 0)
}

#[test]
fn refuses_foreign_private_volume_and_changes_not_one_byte_of_it() -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    let mut vfat = vec![0; 512];
    vfat[82..90].copy_from_slice(b"FAT32   ");
    let blank = || Disk::empty(SMALL);
    let cut = |path: &Path| File::options().write(true).open(path)?.set_len(300 << 20);
    let disks = [
        (blank().with_bytes(Size::mib(0), vfat), "found vfat"),
        (blank().with_bytes(Size::mib(0), *b"LUKS\xba\xbe"), "found LUKS"),
        (made_by(SMALL, "mkswap", &[]), "found swap"),
        (made_by(SMALL, "sgdisk", &["-n", "1:0:0"]), "found a partition table, with vdf1 in it"),
        (blank().with_bytes(Size::mib(128), *b"what?"), "found something unknown at 128 MiB"),
        (blank().prepared_by(half_blank), "found remains of ext4 at 128 MiB"),
        (ext4(SIZE).prepared_by(cut), "wanted all of its ext4, which is 512 MiB; found less"),
        (blank().write_protected(), "wanted a writable disk; found a blank read-only one"),
        (marked().with_bytes(Size::mib(0), *b"LUKS\xba\xbe"), "found LUKS"),
        (
            made_by(SMALL, "mkfs.ext4", &["-q", "-F", "-O", "mmp"]),
            "found ext4 with multi-mount protection",
        ),
    ];
    let named = disks.iter().enumerate();
    let machine = named.fold(machine(&image), |machine, (at, (disk, _))| {
        machine.disk(disk.clone().serial(format!("private{at}")))
    });
    let vm = require!(machine.start());
    vm.run(ROOT)?;
    for (at, (_, found)) in disks.iter().enumerate() {
        let name = format!("private{at}");
        let path = vm.drive(&name)?.path().to_owned();
        let before = sha256(&path);
        let reply = mounts_with(&vm, &format!("private=serial={name}"))?;
        assert_eq!(reply.status, 1, "{}", reply.text());
        assert!(reply.text().contains(found), "wanted {found}: {}", reply.text());
        vm.expect_line("the boot goes on without /rw")?;
        assert_eq!(vm.run("grep -c ' /mnt/rw ' /proc/mounts; true")?, "0");
        assert_eq!(vm.disk_stats(&name)?.written, Size::mib(0), "{found}");
        assert_eq!(sha256(&path), before, "{found}");
    }
    Ok(())
}

/// Pulls the plug while the file system is mounted, so that its journal is not empty.
#[test]
fn a_volume_that_was_cut_off_is_checked_and_its_files_are_there() -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    let mut vm = require!(machine(&image).private(ext4(SIZE)).start());
    mounts(&vm)?;
    vm.run("echo mine > /mnt/rw/file && sync && for i in $(seq 200); do echo > /mnt/rw/$i; done")?;
    vm.power_cycle()?;
    mounts(&vm)?;
    vm.expect_line("ebbtide: e2fsck: /dev/vdc: recovering journal")?;
    assert_eq!(vm.run("cat /mnt/rw/file")?, "mine");
    Ok(())
}

fn debugfs(path: &Path, request: &str) -> io::Result<()> {
    run(Command::new("debugfs").args(["-w", "-R", request]).arg(path).stderr(Stdio::null()))
}

#[test]
fn faults_are_repaired_or_make_it_read_only_and_are_told() -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    // A wrong count is what preening repairs; a directory that is garbage is not. The state asks
    // for a full check.
    let faulty = |fault: &'static str| {
        ext4(SIZE).prepared_by(move |path| {
            debugfs(path, fault)?;
            // Whoever used it asks for a panic at the first error.
            debugfs(path, "ssv errors 3")?;
            debugfs(path, "ssv state 0")
        })
    };
    let log_left = ext4(SIZE).prepared_by(|path| debugfs(path, "feature needs_recovery"));
    let machine = machine(&image)
        .disk(faulty("ssv free_blocks_count 7").serial("little"))
        .disk(faulty("zap_block -f /lost+found -p 255 0").serial("much"))
        .disk(log_left.serial("protected").write_protected());
    let vm = require!(machine.start());
    vm.run(ROOT)?;
    let reply = mounts_with(&vm, "private=serial=little\nrw=/little")?;
    assert_eq!(reply.status, 0, "{}", reply.text());
    vm.expect_line("private disk /dev/vdc had faults; they are repaired")?;
    let line = vm.run("grep ' /mnt/little ' /proc/mounts")?;
    assert!(line.contains(" ext4 rw,") && line.contains("errors=remount-ro"), "{line}");

    // Nothing can be made on it, so its status is 1; what counts is that it is there.
    let reply = mounts_with(&vm, "private=serial=protected\nrw=/protected")?;
    vm.expect_line("private disk vde was not left in order and cannot be written")?;
    let line = vm.run("grep ' /mnt/protected ' /proc/mounts")?;
    assert!(line.contains(" ext4 ro,nosuid,nodev"), "{}{line}", reply.text());

    let reply = mounts_with(&vm, "private=serial=much")?;
    assert_eq!(reply.status, 1, "{}", reply.text());
    assert!(reply.text().contains("has faults that e2fsck -p does not repair"), "{}", reply.text());
    vm.expect_line("UNEXPECTED INCONSISTENCY")?;
    let line = vm.run("grep ' /mnt/rw ' /proc/mounts")?;
    assert!(line.contains(" ext4 ro,nosuid,nodev"), "{line}");
    assert_ne!(vm.run("cat /run/ebbtide/mounts")?, "", "the marker tells that something failed");
    vm.try_run(MOUNTS)?;
    vm.expect_line("failed in an earlier run; all is tried again")?;
    Ok(())
}

#[test]
fn a_disk_that_the_host_has_enlarged_is_used_whole() -> Result<()> {
    const KINDS: [&str; 3] = ["ext4", "xfs", "btrfs"];
    let image = require!(Image::named("stage-tools"));
    let machine = KINDS
        .into_iter()
        .fold(machine(&image), |machine, kind| machine.disk(Disk::empty(SIZE).serial(kind).kept()));
    let mut vm = require!(machine.start());
    let set_up = |vm: &Vm| {
        vm.run(ROOT)?;
        for kind in KINDS {
            let text = format!("private=serial={kind}\nformat={kind}\nrw=/{kind}");
            let reply = mounts_with(vm, &text)?;
            assert_eq!(reply.status, 0, "{}", reply.text());
        }
        vm.run("for kind in ext4 xfs btrfs; do df -m /mnt/$kind | tail -1; done")
    };
    let room = |text: &str| -> Vec<u32> {
        let columns = text.lines().filter_map(|line| line.split_whitespace().nth(1));
        columns.filter_map(|column| column.parse().ok()).collect()
    };
    let before = room(&set_up(&vm)?);
    vm.run("for kind in ext4 xfs btrfs; do echo $kind > /mnt/$kind/file; done; sync")?;
    KINDS.iter().try_for_each(|kind| vm.resize_disk(kind, Size::gib(1)))?;
    vm.power_cycle()?;
    let after = room(&set_up(&vm)?);
    assert_eq!((before.len(), after.len()), (3, 3));
    let grown = |(before, after): (&u32, &u32)| *before < 512 && *after > before + 400;
    assert!(before.iter().zip(&after).all(grown), "{before:?} → {after:?}");
    let console = vm.console();
    for (kind, node) in KINDS.iter().zip(["vdc", "vdd", "vde"]) {
        let line = format!("{kind} on {node} has grown from 511 MiB to 1 GiB");
        assert!(console.contains(&line), "wanted {line}");
        assert_eq!(vm.run(&format!("cat /mnt/{kind}/file"))?, *kind);
    }
    grows_while_it_is_used(&vm)?;
    assert_eq!(vm.run("cd /mnt; cat ext4/file xfs/file btrfs/file")?, "ext4\nxfs\nbtrfs");
    vm.kernel_log_is_clean()
}

/// `watch` for the file system of each kind, its log in `/run/log-KIND`, and what it says of growth.
fn watch(vm: &Vm, kind: &str, under: &str) -> Result<()> {
    vm.run(&format!(
        "echo rw=/mnt/{kind} > /etc/ebbtide/init.conf; {under} ebbtide-init watch 2> /run/log-{kind} > /dev/null & \
         until ls -l /proc/$(busybox pidof ebbtide-init | cut -d' ' -f1)/fd | grep -q socket; do sleep 0.1; done"
    ))
    .map(drop)
}

fn wait_for_lines(vm: &Vm, kind: &str, text: &str) -> Result<String> {
    vm.run(&format!(
        "n=0; until grep -q '{text}' /run/log-{kind}; do n=$((n+1)); [ $n -lt 300 ] || break; sleep 0.1; done; \
         cat /run/log-{kind}"
    ))
}

/// Grown by `watch` below somebody who writes, then at the start of another that finds it grown.
fn grows_while_it_is_used(vm: &Vm) -> Result<()> {
    const KINDS: [(&str, &str); 3] = [("ext4", "vdc"), ("xfs", "vdd"), ("btrfs", "vde")];
    for (kind, _) in KINDS {
        watch(vm, kind, "")?;
        vm.run(&format!(
            "(while [ ! -e /run/stop ]; do dd if=/dev/urandom of=/mnt/{kind}/busy bs=64k count=16 \
             conv=notrunc,fsync; done) > /dev/null 2>&1 &"
        ))?;
    }
    vm.run("sleep 1")?;
    KINDS.iter().try_for_each(|(kind, _)| vm.resize_disk(kind, Size::mib(1536)))?;
    for (kind, node) in KINDS {
        let said = wait_for_lines(vm, kind, "has grown")?;
        // One line: its start has found nothing to do, although XFS has not written its size yet.
        assert_eq!(said, format!("<6>{kind} on {node} has grown from 1 GiB to 1536 MiB"), "online");
    }
    vm.run("busybox killall ebbtide-init; touch /run/stop; sleep 1")?;

    KINDS.iter().try_for_each(|(kind, _)| vm.resize_disk(kind, Size::gib(2)))?;
    // A kernel that refuses once: told, and tried again.
    let refuse =
        "strace -o /run/trace -P /mnt/ext4 -e trace=ioctl -e inject=ioctl:error=EBUSY:when=1";
    for (kind, node) in KINDS {
        watch(vm, kind, if kind == "ext4" { refuse } else { "" })?;
        let said = wait_for_lines(vm, kind, "has grown")?;
        let grown = format!("<6>{kind} on {node} has grown from 1536 MiB to 2 GiB");
        let refused = "<4>ext4 on vdc does not grow: wanted 2 GiB, found 1536 MiB, which stays: \
                       Device or resource busy (os error 16)\n";
        let refused = if kind == "ext4" { refused } else { "" };
        assert_eq!(said, format!("{refused}{grown}"), "grown before the start");
        vm.run("busybox killall ebbtide-init")?;
        let room = vm.run(&format!("df -m /mnt/{kind} | tail -1"))?;
        let mib = room.split_whitespace().nth(1).and_then(|word| word.parse::<u32>().ok());
        assert!(mib.is_some_and(|mib| mib > 1900), "{room}");
    }
    Ok(())
}

#[test]
fn a_root_without_the_tools_is_named() -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    let machine = machine(&image)
        .disk(Disk::empty(SIZE).serial("blank"))
        .disk(ext4(SIZE).serial("unchecked"));
    let vm = require!(machine.start());
    vm.run(&format!("{ROOT} && rm /mnt/usr/sbin/mkfs.ext4 /mnt/usr/sbin/e2fsck"))?;
    let reply = mounts_with(&vm, "private=serial=blank")?;
    assert_eq!(reply.status, 1);
    assert!(reply.text().contains("the root at /mnt has no mkfs.ext4"), "{}", reply.text());
    let mut same = Command::new("cmp");
    same.args(["--bytes", &SIZE.as_bytes().to_string(), "/dev/zero"]);
    run(same.arg(vm.drive("blank")?.path())).expect("the disk is blank as before");

    let reply = mounts_with(&vm, "private=serial=unchecked")?;
    assert_eq!(reply.status, 0, "{}", reply.text());
    let text = "mounted unchecked: the root at /mnt has no e2fsck";
    assert!(reply.text().contains(text), "{}", reply.text());
    assert!(vm.run("grep ' /mnt/rw ' /proc/mounts")?.contains(" rw,"));
    Ok(())
}

#[test]
fn a_power_cut_while_ext4_is_made_is_made_good_by_the_next_boot() -> Result<()> {
    survives_cuts("ext4", &[0.02, 0.15, 0.3, 0.5])
}

#[test]
fn a_power_cut_while_xfs_is_made_is_made_good_by_the_next_boot() -> Result<()> {
    survives_cuts("xfs", &[0.1, 0.3, 0.6])
}

#[test]
fn a_power_cut_while_btrfs_is_made_is_made_good_by_the_next_boot() -> Result<()> {
    survives_cuts("btrfs", &[0.1, 0.3, 0.6])
}

/// Cuts the formatting of one disk after the other off, each after such a part of the time that it takes until the first
/// disk is mounted, and has the next boot finish it.
fn survives_cuts(kind: &str, parts: &[f32]) -> Result<()> {
    let image = require!(Image::named("stage-tools"));
    let machine = (0..=parts.len()).fold(machine(&image), |machine, at| {
        machine.disk(Disk::empty(SIZE).serial(format!("disk{at}")).kept())
    });
    let mut vm = require!(machine.start());
    vm.run(ROOT)?;
    let (mut whole, mut again) = (Duration::ZERO, 0);
    for (at, part) in std::iter::once(None).chain(parts.iter().map(Some)).enumerate() {
        let text = format!("private=serial=disk{at}\nformat={kind}");
        vm.send_without_reply(&with(&text))?;
        let node = char::from(b'c' + u8::try_from(at).expect("a letter"));
        vm.expect_console(&format!("private disk vd{node} (512 MiB) is blank and gets"))?;
        let begun = Instant::now();
        if let Some(part) = part {
            std::thread::sleep(whole.mul_f32(*part));
        } else {
            vm.expect_console(&format!("{kind} on vd{node} is mounted"))?;
            whole = begun.elapsed();
        }
        vm.power_cycle()?;
        vm.run(ROOT)?;
        let reply = vm.try_run(&with(&text))?;
        assert_eq!(reply.status, 0, "cut after {part:?} of {whole:?}: {}", reply.text());
        let line = vm.run("grep ' /mnt/rw ' /proc/mounts")?;
        assert!(line.contains(&format!(" {kind} rw,")), "{line}");
        vm.run("echo mine > /mnt/rw/file && sync && umount /mnt/rw")?;
        again += u32::from(vm.console().contains("begins anew"));
    }
    println!("{kind}, {whole:?}: {again} of {} cuts came while the marker stood", parts.len());
    assert!(again > 0, "no cut came while {kind} was being made");
    Ok(())
}
