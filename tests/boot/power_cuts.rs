//! The power goes while a private disk is used for the first time.

use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// How often it goes.
const CUTS: u32 = 20;

/// The root as an initramfs mounts it.
const ROOT: &str =
    "ebbtide-init root && mkdir -p /mnt && mount -t ext4 -o ro /dev/mapper/dmroot /mnt";
const MOUNTS: &str = "ebbtide-init mounts --root /mnt";

/// Formatted, filled and bound by a machine that is cut at any moment of it, a private disk is whole
/// after the next start. What its user has synced then outlives a cut at any moment of the start after.
#[test]
fn a_cut_at_any_moment_of_the_first_boot_loses_nothing() -> Result<()> {
    let seed = std::env::var("EBBTIDE_SEED").ok().and_then(|text| text.parse().ok());
    let mut dice = Dice(seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64 | 1
    }));
    println!("EBBTIDE_SEED={}", dice.0);
    // The programs of a distribution without its boot, which takes most of the time.
    let (stage, debian) =
        (require!(Image::named("stage")), require!(Image::named("debian-initramfs-tools")));
    let machine = || {
        Qemu::boot(&stage)
            .root(Disk::read_only(debian.root()))
            .volatile(Disk::empty(Size::gib(2)))
            .private(Disk::empty(Size::mib(128)))
    };
    let vm = require!(machine().start());
    vm.run(ROOT)?;
    let began = Instant::now();
    vm.run(MOUNTS)?;
    let first = began.elapsed();
    println!("a first boot takes {first:?}");
    is_whole(&vm)?;

    let mut left = Vec::new();
    for cut in 0..CUTS {
        let mut vm = require!(machine().start());
        let moment = dice.throw(first.mul_f32(1.1));
        cut_after(&mut vm, moment)?;
        let state = state(&vm)?;
        println!("cut {cut} after {moment:?} left a disk that is {state}");
        left.push(state);

        vm.run(ROOT)?;
        vm.run(MOUNTS)?;
        is_whole(&vm)?;
        vm.run("echo mine > /mnt/home/user/file && sync /mnt/home/user/file")?;
        vm.run("mv /mnt/home/user/.profile /mnt/home/user/profile && sync /mnt/home/user")?;
        vm.power_cycle()?;

        cut_after(&mut vm, dice.throw(first))?;
        vm.run(ROOT)?;
        vm.run(MOUNTS)?;
        assert_eq!(vm.run("cat /mnt/home/user/file")?, "mine", "cut {cut} after {moment:?}");
        let home = vm.run("ls -A /mnt/home/user")?;
        assert!(
            home.contains("profile") && !home.contains(".profile"),
            "it was filled twice: {home}"
        );
    }
    let between = left.iter().filter(|state| ["empty", "half filled"].contains(state)).count();
    assert!(between > 0, "no cut met the work, only what is before and after it: {left:?}");
    Ok(())
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

/// Starts the work, pulls the plug after a while, and switches on again.
fn cut_after(vm: &mut Vm, moment: Duration) -> Result<()> {
    vm.run(ROOT)?;
    vm.run(&format!("setsid {MOUNTS} > /dev/null 2>&1 &"))?;
    sleep(moment);
    vm.power_cycle()
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
        "1000:1000:755\n1000:1000:644\ntool of the template\nof the template\n../../bin/tool\n";
    assert!(found.starts_with(wanted), "{found}");
    assert!(!found.contains("aside"), "something was left over: {found}");
    Ok(())
}

/// Numbers that look random, the same for the same seed: xorshift64 (Marsaglia, 2003).
struct Dice(u64);

impl Dice {
    /// Returns a time shorter than `limit`.
    fn throw(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}
