//! `cargo xtask bench mounts`: what `ebbtide-init mounts` costs with more and more binds.
//!
//! System calls are counted, not timed: the count is the same on every machine. A time stands beside it as the ratio
//! to that of the fewest binds.

use std::path::{Path, PathBuf};
use std::process::Command;

use vmtest::{Disk, Image, Qemu, Size};

use super::guest;
use super::report::Report;
use super::sample::Sample;
use super::syscalls::Syscalls;
use crate::failure::{Context, Result};
use crate::process;

/// Starts of a machine for each number of binds.
const ROUNDS: usize = 3;
/// How many binds are made; the last is the number that the goal names.
const BINDS: [u64; 5] = [0, 25, 50, 100, 200];
/// How far the calls for one more bind may differ between few binds and many.
const LINEAR_WITHIN: f64 = 0.05;

/// What is measured for one number of binds.
#[derive(Default)]
struct Measured {
    calls: Syscalls,
    ms: Sample,
}

/// Image, initramfs and private disk of all machines here.
struct Stage {
    image: Image,
    initramfs: PathBuf,
    private: PathBuf,
}

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    let rounds = rounds.unwrap_or(ROUNDS);
    let stage = Stage::make()?;
    let mut all: Vec<Measured> = BINDS.iter().map(|_| Measured::default()).collect();
    for round in 0..rounds {
        for (binds, measured) in BINDS.iter().zip(&mut all) {
            measured.ms.add(stage.time(*binds)?);
            if round == 0 {
                measured.calls = stage.count(*binds)?;
            }
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    let mut report = Report::new("mounts");
    report.say("Each bind is a directory that is there on both sides, declared in the template.");
    report.say("");
    let few = all[0].calls.total();
    let per_bind = |binds: u64, calls: u64| calls.saturating_sub(few) as f64 / binds.max(1) as f64;
    let rows: Vec<_> = BINDS
        .iter()
        .zip(&all)
        .map(|(binds, measured)| {
            let calls = measured.calls.total();
            let each =
                if *binds == 0 { String::new() } else { format!("{:.2}", per_bind(*binds, calls)) };
            vec![
                binds.to_string(),
                calls.to_string(),
                each,
                format!("{} ({})", measured.ms, measured.ms.range()),
            ]
        })
        .collect();
    report.table(&["binds", "system calls", "for each bind", "ms"], &rows);
    let [first, last] = [1, BINDS.len() - 1].map(|at| per_bind(BINDS[at], all[at].calls.total()));
    let linear = (last / first - 1.0).abs() <= LINEAR_WITHIN;
    report.goal(
        linear,
        format!(
            "{first:.2} calls for each of {} binds, {last:.2} for each of {}",
            BINDS[1],
            BINDS[BINDS.len() - 1]
        ),
    );
    report.say(format!(
        "With {} binds: {}",
        BINDS[BINDS.len() - 1],
        all[BINDS.len() - 1].calls.listed()
    ));
    report.say("");
    report.save()
}

impl Stage {
    fn make() -> Result<Self> {
        let image = guest::image("stage")?;
        let clock = guest::clock()?;
        let initramfs = guest::initramfs(&image, &[("clock", clock.as_path())])?;
        let private = private_disk(&super::folder().join("private"))?;
        Ok(Self { image, initramfs, private })
    }

    fn time(&self, binds: u64) -> Result<f64> {
        let said = self.run(binds, "/bench/clock ebbtide-init mounts --root /mnt")?;
        Ok(guest::number(&said, "clock total")? / 1e6)
    }

    fn count(&self, binds: u64) -> Result<Syscalls> {
        let count = "strace -f -c -o /run/calls ebbtide-init mounts --root /mnt; cat /run/calls";
        Ok(Syscalls::parse(&self.run(binds, count)?))
    }

    /// Starts a machine, declares `binds` binds in its root, and runs `script`.
    fn run(&self, binds: u64, script: &str) -> Result<String> {
        let machine = Qemu::boot(&self.image)
            .initrd(&self.initramfs)
            .cmdline("loglevel=4 ebbtide.binds=no")
            .root(Disk::read_only(self.image.root()))
            .private(Disk::copy_of(&self.private))
            .volatile(Disk::empty(Size::gib(1)));
        let vm = machine.start().context(|| "cannot start a machine".to_owned())?;
        let script = format!(
            "ebbtide-init root && mkdir -p /mnt && busybox mount -t ext4 /dev/mapper/dmroot /mnt && \
             mkdir -p /mnt/etc/ebbtide/binds.d /mnt/rw || exit\n\
             i=0; while [ $i -lt {binds} ]; do mkdir -p /mnt/srv/b$i; echo /srv/b$i; i=$((i+1)); done \
             > /mnt/etc/ebbtide/binds.d/many.conf\n\
             {script}\n\
             [ $(grep -c ' /mnt/srv/b' /proc/self/mountinfo) = {binds} ]"
        );
        vm.run(&script).context(|| format!("with {binds} binds"))
    }
}

/// Makes a private disk that holds the source of every bind.
fn private_disk(tree: &Path) -> Result<PathBuf> {
    let _ = std::fs::remove_dir_all(tree);
    for at in 0..BINDS[BINDS.len() - 1] {
        let folder = tree.join(format!("bind-dirs/srv/b{at}"));
        std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    }
    let image = super::folder().join("private.img");
    let _ = std::fs::remove_file(&image);
    let mut mkfs = Command::new("mke2fs");
    mkfs.args(["-q", "-t", "ext4", "-E", "root_owner=0:0,lazy_itable_init=0", "-d"])
        .arg(tree)
        .arg(&image)
        .arg("64M");
    process::output(&mut mkfs)?;
    Ok(image)
}
