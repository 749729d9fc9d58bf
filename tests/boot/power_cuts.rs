//! The power goes while a private disk is used for the first time.

use crate::faults::reset;
use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// How often it goes in each of four tests: half of them at any moment, half once the disk is formatted,
/// which takes most of the time.
const CUTS: u32 = 5;

/// The root as an initramfs mounts it.
const ROOT: &str =
    "ebbtide-init root && mkdir -p /mnt && mount -t ext4 -o ro /dev/mapper/dmroot /mnt";
const MOUNTS: &str = "ebbtide-init mounts --root /mnt";

#[test]
fn a_cut_at_any_moment_of_the_first_boot_loses_nothing() -> Result<()> {
    loses_nothing(&Moment::Any, 1)
}

#[test]
fn a_cut_at_any_other_moment_of_the_first_boot_loses_nothing() -> Result<()> {
    loses_nothing(&Moment::Any, 2)
}

#[test]
fn a_cut_while_homes_are_made_loses_nothing() -> Result<()> {
    loses_nothing(&Moment::Filling, 3)
}

#[test]
fn another_cut_while_homes_are_made_loses_nothing() -> Result<()> {
    loses_nothing(&Moment::Filling, 4)
}

/// When the power goes.
enum Moment {
    /// From the first look at the disk on.
    Any,
    /// After it has been formatted and mounted.
    Filling,
}

/// Formatted, filled and bound by a machine that is cut, a private disk is whole after the next start. What
/// its user has synced then outlives a cut of the start after.
fn loses_nothing(when: &Moment, number: u64) -> Result<()> {
    let mut dice = Dice::new(number);
    // The programs of a distribution without its boot, which takes most of the time.
    let image = require!(Image::named("debian-initramfs-tools"));
    let stage = require!(Image::named("stage"));
    let machine = Qemu::boot(&stage)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::gib(2)))
        .private(Disk::empty(Size::mib(128)));
    let mut vm = require!(machine.start());
    let began = start(&vm, when)?;
    vm.expect_console("paths from the private disk")?;
    let span = began.elapsed().mul_f32(1.2);
    println!("the power goes within {span:?}");
    vm.run("while [ ! -e /run/ebbtide/mounts ]; do sleep 0.1; done")?;
    is_whole(&vm)?;

    for cut in 0..CUTS {
        let moment = dice.throw(span);
        begin_anew(&vm)?;
        start(&vm, when)?;
        sleep(moment);
        vm.power_cycle()?;
        println!("cut {cut} after {moment:?} left a disk that is {}", state(&vm)?);

        vm.run(ROOT)?;
        vm.run(MOUNTS)?;
        vm.expect_console("paths from the private disk")?;
        is_whole(&vm)?;
    }
    keeps_what_its_user_has_synced(&mut vm, dice.throw(span))
}

/// As after the start of a machine with a blank disk, without the start.
fn begin_anew(vm: &Vm) -> Result<()> {
    vm.run(
        "grep -o ' /mnt[^ ]*' /proc/mounts | busybox tac | while read -r at; do umount \"$at\"; done; \
         dd if=/dev/zero of=/dev/vdc bs=1M count=128 conv=fsync 2>&1",
    )?;
    reset(vm)
}

/// Its user writes, and the power goes while the next start is at work.
fn keeps_what_its_user_has_synced(vm: &mut Vm, moment: Duration) -> Result<()> {
    vm.run("echo mine > /mnt/home/user/file && sync /mnt/home/user/file")?;
    vm.run("mv /mnt/home/user/.profile /mnt/home/user/profile && sync /mnt/home/user")?;
    vm.power_cycle()?;

    start(vm, &Moment::Any)?;
    sleep(moment);
    vm.power_cycle()?;
    vm.run(ROOT)?;
    vm.run(MOUNTS)?;
    assert_eq!(vm.run("cat /mnt/home/user/file")?, "mine", "cut after {moment:?}");
    let home = vm.run("ls -A /mnt/home/user")?;
    assert!(home.contains("profile") && !home.contains(".profile"), "filled twice: {home}");
    Ok(())
}

/// Starts the work and returns when the span of the moment has begun.
fn start(vm: &Vm, when: &Moment) -> Result<Instant> {
    vm.run(ROOT)?;
    vm.run(&format!("setsid {MOUNTS} > /dev/null 2>&1 &"))?;
    if matches!(when, Moment::Filling) {
        vm.expect_console("is mounted at /rw")?;
    }
    Ok(Instant::now())
}

/// Returns how far the work on the disk has come; nothing is written, not even by its journal.
fn state(vm: &Vm) -> Result<&'static str> {
    let look = "mkdir -p /look && mount -t ext4 -o ro,noload /dev/vdc /look && ls -A /look && umount /look";
    let found = vm.try_run(look)?;
    let names = found.text();
    let has = |name: &str| names.lines().any(|line| line == name);
    Ok(match (found.succeeded(), has(".ebbtide-aside"), has("home") && has("usrlocal")) {
        (false, ..) => "not formatted",
        (_, false, true) => "filled",
        (_, false, false) => "empty",
        (_, true, _) => "half filled",
    })
}

/// Mounted, bound, and filled with all that a home and `/usr/local` begin with.
fn is_whole(vm: &Vm) -> Result<()> {
    let mounts = vm.run("cat /proc/mounts")?;
    for place in ["/mnt/rw", "/mnt/home", "/mnt/usr/local"] {
        assert!(
            mounts.contains(&format!("/dev/vdc {place} ext4 rw")),
            "{place} is missing\n{mounts}"
        );
    }
    let compared = "chroot /mnt sh -c 'for f in $(ls -A /etc/skel); do cmp /etc/skel/$f /home/user/$f; done; \
        stat -c %u:%g:%a /home/user /home/user/.profile; /usr/local/bin/tool; cat /usr/local/etc/tool.conf; \
        readlink /usr/local/lib/tool/link; ls -A /rw'";
    let found = vm.run(compared)?;
    let wanted =
        "1000:1000:700\n1000:1000:644\ntool of the template\nof the template\n../../bin/tool\n";
    assert!(found.starts_with(wanted), "{found}");
    assert!(!found.contains("aside"), "something was left over: {found}");
    Ok(())
}

/// Numbers that look random, the same for the same seed: xorshift64 (Marsaglia, 2003).
struct Dice(u64);

impl Dice {
    /// Returns those of `EBBTIDE_SEED`, which is printed, else others each time.
    fn new(number: u64) -> Self {
        let given = std::env::var("EBBTIDE_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            now.as_nanos() as u64
        });
        println!("EBBTIDE_SEED={seed}");
        Self((seed ^ number) | 1 << 63)
    }

    /// Returns a time shorter than `limit`.
    fn throw(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}
