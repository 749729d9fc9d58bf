//! The store in a running machine: what `status` says, and what `watch` does about it.

use crate::machine::{MAPPED, small_root, stage};
use serde_json::Value;
use tempfile::NamedTempFile;
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

const MOUNT: &str = "mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt";
/// Somebody is logged in on the first serial port, which is the console.
const LOG_IN: &str = "mkdir -p /run/systemd/sessions && echo TTY=ttyS0 > /run/systemd/sessions/1";
/// Its log ends up in a file.
const WATCH: &str = "ebbtide-init watch 2> /run/log &";
const HASH: &str = "sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum < /mnt/data";

/// A store `PO` of 78 MiB over a root of 256 MiB.
fn small_store(image: &Image, root: &NamedTempFile) -> Qemu {
    Qemu::boot(image)
        .root(Disk::read_only(root.path()))
        .volatile(Disk::empty(Size::mib(80)))
        .cmdline("ebbtide.swap=0")
}

/// The first words of the status line of device-mapper: used and total, in sectors.
fn sectors(vm: &Vm) -> Result<(u64, u64)> {
    let line = vm.run(&format!("dmsetup status {MAPPED}"))?;
    let numbers = line.split(' ').nth(3).and_then(|word| word.split_once('/'));
    let (used, total) = numbers.unwrap_or_else(|| panic!("{line}"));
    Ok((used.parse().expect("a number"), total.parse().expect("a number")))
}

fn status(vm: &Vm) -> Result<Value> {
    let text = vm.run("ebbtide-init status --json")?;
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// Writes from 64 MiB on into the mapped root, past the file system, until the store is at least
/// `percent` full.
fn fill(vm: &Vm, percent: u64) -> Result<()> {
    loop {
        let (used, total) = sectors(vm)?;
        let Some(more) = (total * percent).div_ceil(100).checked_sub(used).filter(|n| *n > 0)
        else {
            return Ok(());
        };
        let (at, count) = (64 * 256 + used / 8, more.div_ceil(8));
        vm.run(&format!(
            "dd if=/dev/urandom of=/dev/mapper/dmroot bs=4k seek={at} count={count} conv=fsync 2>&1"
        ))?;
    }
}

fn wait_for_log(vm: &Vm, text: &str) -> Result<String> {
    vm.run(&format!(
        "n=0; until grep '{text}' /run/log; do n=$((n+1)); [ $n -lt 300 ] || {{ cat /run/log; exit 1; }}; \
         sleep 0.1; done"
    ))
}

fn status_says_what_device_mapper_says(vm: &Vm) -> Result<()> {
    fill(vm, 30)?;
    let (used, total) = sectors(vm)?;
    let said = status(vm)?;
    let store = &said["store"];
    assert_eq!((&said["root"], &store["type"]), (&"snapshot".into(), &"PO".into()));
    assert_eq!(
        (&store["used_bytes"], &store["total_bytes"]),
        (&(used * 512).into(), &(total * 512).into())
    );
    assert_eq!((&store["health"], &store["encrypted"]), (&"fine".into(), &false.into()));
    assert!(store["seconds_to_full"].is_u64() && store["can_fill"] == true, "{said}");
    assert_eq!(said["private"], Value::Null);
    let people = vm.run("ebbtide-init status")?;
    println!("{people}");
    assert!(people.contains("% full: ") && people.contains(" of 78 MiB"), "{people}");
    Ok(())
}

/// The boot has read the copy of its initramfs: what is wrong with the file here is only said.
fn a_mistake_in_the_file_of_settings_hides_no_store(vm: &Vm) -> Result<()> {
    vm.run("mkdir -p /etc/ebbtide && echo speed=high > /etc/ebbtide/init.conf")?;
    let said = vm.run("ebbtide-init status 2>&1; rm /etc/ebbtide/init.conf")?;
    assert!(said.contains("found \"speed=high\"") && said.contains("alone counts"), "{said}");
    assert!(said.contains("% full"), "{said}");
    Ok(())
}

/// A root that is written to, of 64 MiB so far, at `/mnt`. The root of `watch` is the one that it is in.
pub(crate) fn grows_with_its_disk(vm: &Vm) -> Result<()> {
    vm.run(
        "cd /mnt; mkdir -p proc sys dev run; for d in proc sys dev run; do mount --bind /$d $d; done; \
         cp /usr/sbin/ebbtide-init . || cp /usr/bin/ebbtide-init .",
    )?;
    vm.run("chroot /mnt /ebbtide-init watch 2> /run/log &")?;
    wait_for_log(vm, "<6>root vda is writable, without a store: file systems alone are watched")?;
    vm.resize_disk("root", Size::mib(128))?;
    wait_for_log(vm, "<6>ext4 on vda has grown from 64 MiB to 128 MiB")?;
    assert_eq!(vm.run("grep -c . /run/log; cat /mnt/srv/original")?, "2\nas it was");
    vm.kernel_log_is_clean()
}

#[test]
fn a_store_is_watched_from_its_thresholds_over_its_growth_to_its_end() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = small_root(&image, Size::mib(256));
    let vm = require!(small_store(&image, &root).start());
    assert_eq!(vm.try_run("ebbtide-init status")?.status, 1, "a root that is not there");
    vm.run(&format!("ebbtide-init root && {MOUNT} && {LOG_IN}"))?;
    vm.expect_line("of copy-on-write room can fill")?;
    assert!(vm.run(&format!("dmsetup table {MAPPED}"))?.contains(" PO "));
    vm.run("dd if=/dev/urandom of=/mnt/data bs=1M count=8 2>&1 && sync")?;
    let before = vm.run(HASH)?;
    status_says_what_device_mapper_says(&vm)?;
    a_mistake_in_the_file_of_settings_hides_no_store(&vm)?;
    vm.run(WATCH)?;

    fill(&vm, 80)?;
    let warned = wait_for_log(&vm, "75 % full")?;
    assert!(warned.starts_with("<4>copy-on-write room of the root is 75 % full"), "{warned}");
    assert!(
        warned.contains("of 78 MiB are left") && warned.contains("turns read-only"),
        "{warned}"
    );
    vm.expect_console("ebbtide: copy-on-write room of the root is 75 % full")?;

    fill(&vm, 96)?;
    assert!(wait_for_log(&vm, "95 % full")?.starts_with("<3>"));
    vm.resize_disk("volatile", Size::mib(160))?;
    wait_for_log(&vm, "<6>room for copy-on-write grew from 78 MiB to 158 MiB")?;
    let (used, total) = sectors(&vm)?;
    assert_eq!(total, 158 << 11);
    assert!(used * 2 < total);
    assert_eq!(vm.run(HASH)?, before, "data before and after");

    // The new room is used, and its thresholds are told again.
    fill(&vm, 80)?;
    vm.run("n=0; until [ $(grep -c '75 % full' /run/log) = 2 ]; do n=$((n+1)); [ $n -lt 300 ]; sleep 0.1; done")?;
    assert_eq!(vm.run(HASH)?, before, "data after the new room was used");
    assert_eq!(vm.run("grep -c '95 % full' /run/log")?, "1");
    vm.kernel_log_is_clean()?;
    is_told_when_it_is_full(&vm)
}

/// With what can still be done: the root has turned read-only, and reads go on.
fn is_told_when_it_is_full(vm: &Vm) -> Result<()> {
    vm.run(
        "dd if=/dev/urandom of=/dev/mapper/dmroot bs=1M seek=64 count=180 conv=fsync 2>&1; true",
    )?;
    let told = wait_for_log(vm, "room of the root is full")?;
    assert!(told.contains("Reads go on") && told.contains("restart"), "{told}");
    vm.expect_console(
        "ebbtide: copy-on-write room of the root is full: the root has become read-only",
    )?;
    assert!(vm.console().contains("Snapshot overflowed"));
    assert!(vm.run(&format!("dmsetup status {MAPPED}"))?.ends_with("Overflow"));
    assert_eq!(status(vm)?["store"]["health"], "full");
    assert!(vm.run("ebbtide-init status")?.contains("full: the root is read-only"));
    vm.run("dd if=/dev/mapper/dmroot of=/dev/null bs=1M")?;
    vm.run("umount /mnt; echo 3 > /proc/sys/vm/drop_caches")?;
    assert_eq!(vm.run(&format!("{MOUNT} -o ro,noload && cat /mnt/srv/original"))?, "as it was");
    Ok(())
}

#[test]
fn a_store_that_cannot_fill_is_looked_at_every_ten_seconds_grows_and_is_not_warned_of() -> Result<()>
{
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    vm.run(&format!("ebbtide-init root && {MOUNT}"))?;
    an_idle_watch_wakes_once_in_ten_seconds(&vm)?;
    assert!(vm.run(&format!("dmsetup table {MAPPED}"))?.contains(" N "));
    vm.run("dd if=/dev/urandom of=/mnt/data bs=1M count=8 2>&1 && sync")?;
    let (before, (_, total)) = (vm.run(HASH)?, sectors(&vm)?);
    vm.run(WATCH)?;
    vm.resize_disk("volatile", Size::gib(1))?;
    let grew = wait_for_log(&vm, "grew from")?;
    assert_eq!(sectors(&vm)?.1, total + (512 << 11), "{grew}");
    assert_eq!(vm.run(HASH)?, before);
    assert_eq!(status(&vm)?["store"]["seconds_to_full"], Value::Null);
    assert_eq!(vm.run("cat /run/log")?, grew);
    Ok(())
}

/// One look every ten seconds, and nothing between.
fn an_idle_watch_wakes_once_in_ten_seconds(vm: &Vm) -> Result<()> {
    vm.run("strace -f -r -o /run/trace ebbtide-init watch > /dev/null 2>&1 &")?;
    vm.run("sleep 25; kill $(busybox pidof ebbtide-init)")?;
    let polls: usize = vm.run("grep -c poll /run/trace")?.parse().expect("a number");
    println!("{}", vm.run("tail -n 25 /run/trace")?);
    assert!((3..=4).contains(&polls), "{polls} polls in 25 s");
    Ok(())
}

#[test]
fn an_encrypted_store_grows_under_a_mounted_root() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = small_root(&image, Size::mib(256));
    let vm = require!(small_store(&image, &root).cmdline("ebbtide.encrypt=yes").start());
    vm.run(&format!("ebbtide-init root && {MOUNT}"))?;
    assert_eq!(status(&vm)?["store"]["encrypted"], true);
    vm.run("dd if=/dev/urandom of=/mnt/data bs=1M count=8 2>&1 && sync")?;
    let before = vm.run(HASH)?;
    vm.run(WATCH)?;
    // Somebody writes all the time.
    vm.run(
        "(while :; do dd if=/dev/urandom of=/mnt/busy bs=64k count=16 conv=notrunc,fsync; done) \
         > /dev/null 2>&1 &",
    )?;
    fill(&vm, 90)?;
    vm.resize_disk("volatile", Size::mib(160))?;
    wait_for_log(&vm, "<6>room for copy-on-write grew from 78 MiB to 158 MiB")?;
    assert_eq!(sectors(&vm)?.1, 158 << 11);
    fill(&vm, 80)?;
    assert_eq!(vm.run(HASH)?, before, "data before and after");
    assert!(vm.run("dmsetup table dmroot-cow")?.contains(":64:logon:ebbtide:dmroot-cow "));
    vm.kernel_log_is_clean()
}

/// A disk that has grown while nobody watched, and one that shrinks, of which nothing is made.
#[test]
fn catches_up_with_a_disk_that_grew_before_and_never_shrinks() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = small_root(&image, Size::mib(256));
    let vm = require!(small_store(&image, &root).start());
    vm.run("ebbtide-init root")?;
    vm.resize_disk("volatile", Size::mib(100))?;
    vm.run(WATCH)?;
    wait_for_log(&vm, "grew from 78 MiB to 98 MiB")?;
    vm.resize_disk("volatile", Size::mib(90))?;
    vm.run("n=0; until [ $(cat /sys/block/vdb/size) = 184320 ]; do n=$((n+1)); [ $n -lt 100 ]; sleep 0.1; done; sleep 1")?;
    assert_eq!(sectors(&vm)?.1, 98 << 11);
    assert_eq!(vm.run("grep -c . /run/log")?, "1");
    Ok(())
}

/// In a whole system with an encrypted store of 159 MiB: on by default, small, heard in the journal and on a
/// terminal, and at work when the host enlarges a disk.
pub(crate) fn is_small_and_is_heard(vm: &Vm) -> Result<()> {
    assert_eq!(status(vm)?["store"]["encrypted"], true);
    println!("{}", vm.run("systemctl status --no-pager ebbtide-watch")?);
    is_small(vm)?;

    // `script` has a terminal of its own, and somebody is logged in on it.
    vm.run(
        "setsid script -qfc 'tty > /run/tty; sleep 300' /run/typed > /dev/null 2>&1 & \
         n=0; until [ -s /run/tty ]; do n=$((n+1)); [ $n -lt 100 ]; sleep 0.1; done; \
         mkdir -p /run/systemd/sessions; echo TTY=$(sed s,/dev/,, /run/tty) > /run/systemd/sessions/c1",
    )?;
    let (used, total) = sectors(vm)?;
    let more = (total * 80 / 100).saturating_sub(used) / 8;
    vm.run(&format!("dd if=/dev/urandom of=/root/fill bs=4k count={more} conv=fsync 2>&1"))?;
    vm.run("n=0; until grep -q '75 % full' /run/typed; do n=$((n+1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done")?;
    let journal = vm.run("journalctl -u ebbtide-watch -p warning -o cat --no-pager")?;
    assert!(journal.contains("copy-on-write room of the root is 75 % full"), "{journal}");
    println!("{journal}\n{}", vm.run("ebbtide-init status")?);

    let before = vm.run("sync; sha256sum /root/fill")?;
    vm.resize_disk("volatile", Size::mib(512))?;
    wait_for_journal(vm, "grew from")?;
    assert_eq!(sectors(vm)?.1, 510 << 11);
    vm.run("udevadm settle; echo 3 > /proc/sys/vm/drop_caches")?;
    assert_eq!(vm.run("sha256sum /root/fill")?, before);
    is_made_large_again(vm)?;
    assert_eq!(vm.run("sha256sum /root/fill")?, before);
    vm.resize_disk("private", Size::mib(512))?;
    wait_for_journal(vm, "ext4 on vdc has grown from 255 MiB to 512 MiB")?;
    assert!(vm.run("findmnt -bno SIZE /rw")?.parse::<u64>().is_ok_and(|size| size > 400 << 20));
    println!("{}", vm.run("ebbtide-init status")?);
    println!("{}", vm.run("journalctl -u ebbtide-watch --no-pager; systemd-analyze security ebbtide-watch --no-pager | tail -n 1")?);
    assert_eq!(vm.try_run("systemctl --failed --no-legend")?.text(), "");
    is_small(vm)
}

/// Waits until the unit has said something.
pub(crate) fn wait_for_journal(vm: &Vm, text: &str) -> Result<()> {
    vm.run(&format!(
        "n=0; until journalctl -u ebbtide-watch -o cat | grep '{text}'; do n=$((n+1)); \
         [ $n -lt 300 ] || {{ journalctl -u ebbtide-watch; exit 1; }}; sleep 0.1; done"
    ))
    .map(drop)
}

/// udev is kept from taking over the old table on the disk; a tool that does so is put right.
fn is_made_large_again(vm: &Vm) -> Result<()> {
    let sectors = "cat /sys/class/block/vdb2/size";
    let large = vm.run(sectors)?;
    assert_eq!(large, (510_u64 << 11).to_string());
    assert_eq!(vm.try_run("flock --exclusive --nonblock /dev/vdb true")?.status, 1, "not held");
    vm.run("flock --shared --nonblock /dev/vdb true")?;
    vm.run("partx --update /dev/vdb")?;
    assert_ne!(vm.run(sectors)?, large, "the tool took nothing over");
    vm.run(&format!(
        "n=0; until [ $({sectors}) = {large} ]; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.1; done"
    ))?;
    Ok(())
}

/// Less than half a MiB is its own. How many pages of its program and of libraries are resident with them is the kernel's to
/// say, which maps what is in the page cache around each that is asked for: 1.7 MB, or a page more than that.
fn is_small(vm: &Vm) -> Result<()> {
    let pid = vm.run("systemctl show -P MainPID ebbtide-watch")?;
    let memory = vm.run(&format!("grep -E 'Rss|VmRSS|VmHWM' /proc/{pid}/status"))?;
    println!("{memory}");
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    let own = memory.lines().find(|line| line.starts_with("RssAnon")).and_then(kib);
    assert!(own.is_some_and(|kib| kib < 512), "{memory}");
    Ok(())
}
