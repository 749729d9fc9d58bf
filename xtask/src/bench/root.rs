//! `cargo xtask bench root`: how long until the root is writable, by `ebbtide-init root` and by a script of usual tools.
//!
//! Each measurement is the first run in a machine that was just started; the contestants take turns.

use std::path::PathBuf;

use vmtest::{Disk, Image, Qemu, Size, Vm};

use super::anatomy;
use super::guest;
use super::report::Report;
use super::sample::Sample;
use super::steps::Steps;
use crate::failure::{Context, Result};
use crate::workspace::{self, Linking};

/// Starts of a machine for each contestant.
const ROUNDS: usize = 9;
/// What sfdisk sleeps before it has the kernel read the table again (`usleep(250000)` in its `write_changes`).
const SFDISK_SLEEP_MS: f64 = 250.0;
/// How many times as fast as the script is the goal.
const GOAL: f64 = 6.0;
/// Leaves the serial console to warnings, as `quiet` does on most machines.
const QUIET: &str = "loglevel=4";

/// A way to do it.
#[derive(Clone, Copy)]
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) command: &'static str,
    /// Mounts the root after it; the time of each is known by its first word.
    mount: &'static str,
    cmdline: &'static str,
    /// Place of the script in [`CONTESTANTS`] that this one is compared with.
    against: Option<usize>,
}

const fn ours(name: &'static str, command: &'static str, cmdline: &'static str) -> Contestant {
    Contestant { name, command, mount: "busybox mount", cmdline, against: None }
}

const fn script(name: &'static str, command: &'static str, cmdline: &'static str) -> Contestant {
    Contestant { name, command, mount: "mount", cmdline, against: None }
}

const fn against(script: usize, contestant: Contestant) -> Contestant {
    Contestant { against: Some(script), ..contestant }
}

pub(super) const CONTESTANTS: [Contestant; 6] = [
    against(2, ours("ebbtide-init, static", "ebbtide-init root", "")),
    against(2, ours("ebbtide-init, dynamic", "/bench/dynamic root", "")),
    script("script", "dash -e /bench/root.sh", ""),
    script("script as usual", "dash -e /bench/usual.sh", ""),
    against(5, ours("ebbtide-init, static, quiet", "ebbtide-init root", QUIET)),
    script("script, quiet", "dash -e /bench/root.sh", QUIET),
];
/// Places of the static `ebbtide-init`, of the usual script, and of the quiet static one.
pub(super) const STATIC: usize = 0;
const USUAL: usize = 3;
pub(super) const STATIC_QUIET: usize = 4;

/// The times of one contestant, in milliseconds.
#[derive(Default)]
pub(super) struct Times {
    pub(super) root: Sample,
    mount: Sample,
    both: Sample,
}

/// Image and initramfs of all machines here.
pub(super) struct Stage {
    image: Image,
    initramfs: PathBuf,
}

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    let rounds = rounds.unwrap_or(ROUNDS);
    let stage = Stage::make()?;
    let mut times: Vec<Times> = CONTESTANTS.iter().map(|_| Times::default()).collect();
    let mut steps = [Steps::default(), Steps::default()];
    for round in 0..rounds {
        for (at, (contestant, times)) in CONTESTANTS.iter().zip(&mut times).enumerate() {
            let said = stage.measure(contestant)?;
            times.add(&said, contestant)?;
            match at {
                STATIC => steps[0].add(&said),
                STATIC_QUIET => steps[1].add(&said),
                _ => {}
            }
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    let mut report = Report::new("root");
    report.say(format!(
        "First run after a start, {rounds} starts each, in turn; 2 GiB volatile disk, chunk of 8 sectors, store N."
    ));
    report.say("Milliseconds: median (smallest–largest).");
    report.say("");
    compare(&mut report, &times);
    let quick = stage.quick_verbs(rounds.min(5))?;
    anatomy::steps(&mut report, &quick, &steps, &times);
    anatomy::tools(&mut report, &stage)?;
    anatomy::calls(&mut report, &stage)?;
    report.save()
}

impl Times {
    fn add(&mut self, said: &str, contestant: &Contestant) -> Result<()> {
        let ms = |command: &str| {
            let program = command.split(' ').next().unwrap_or_default();
            guest::number(said, &format!("clock {program}")).map(|ns| ns / 1e6)
        };
        self.root.add(ms(contestant.command)?);
        self.mount.add(ms(contestant.mount)?);
        self.both.add(ms("total")?);
        Ok(())
    }
}

impl Stage {
    fn make() -> Result<Self> {
        let image = guest::image("stage")?;
        let (clock, dynamic) = (guest::clock()?, workspace::build_guest(Linking::Dynamic)?);
        let [root, usual] = ["root.sh", "usual.sh"].map(|n| super::sources().join("peer").join(n));
        let files =
            [("clock", &clock), ("dynamic", &dynamic), ("root.sh", &root), ("usual.sh", &usual)];
        let initramfs =
            guest::initramfs(&image, &files.map(|(name, path)| (name, path.as_path())))?;
        Ok(Stage { image, initramfs })
    }

    /// Starts a machine, runs a script in it and returns what it said.
    pub(super) fn run(&self, cmdline: &str, script: &str) -> Result<String> {
        let machine = Qemu::boot(&self.image)
            .initrd(&self.initramfs)
            .cmdline(cmdline)
            .root(Disk::read_only(self.image.root()))
            .volatile(Disk::empty(Size::gib(2)));
        let vm: Vm = machine.start().context(|| "cannot start a machine".to_owned())?;
        vm.run(script).context(|| "in the machine".to_owned())
    }

    fn measure(&self, contestant: &Contestant) -> Result<String> {
        let Contestant { command, mount, cmdline, .. } = contestant;
        let script = format!(
            "/bench/clock {command} --- {mount} -t ext4 /dev/mapper/dmroot /mnt || exit\n\
             touch /mnt/writable && grep -q /dev/vdb1 /proc/swaps && {{ dmesg | grep ebbtide: || :; }}"
        );
        self.run(cmdline, &script)
    }

    /// Measures the verbs that stop early: what starting costs, and what observing and planning add to it.
    fn quick_verbs(&self, rounds: usize) -> Result<[Sample; 2]> {
        let mut samples = [Sample::default(), Sample::default()];
        for _ in 0..rounds {
            for (verb, sample) in ["--version", "plan"].iter().zip(&mut samples) {
                let said = self.run(QUIET, &format!("/bench/clock ebbtide-init {verb}"))?;
                sample.add(guest::number(&said, "clock total")? / 1e6);
            }
        }
        Ok(samples)
    }
}

fn compare(report: &mut Report, all: &[Times]) {
    let cell = |sample: &Sample| format!("{sample} ({})", sample.range());
    let row = |(contestant, times): (&Contestant, &Times)| {
        vec![contestant.name.to_owned(), cell(&times.root), cell(&times.mount), cell(&times.both)]
    };
    let rows: Vec<_> = CONTESTANTS.iter().zip(all).map(row).collect();
    report.table(&["contestant", "root", "mount after it", "together"], &rows);

    let mut ratios = Vec::new();
    let pairs = CONTESTANTS.iter().enumerate().filter_map(|(at, c)| Some((at, c.against?)));
    for (ours, script) in pairs.chain([(STATIC, USUAL)]) {
        let names = format!("{} : {}", CONTESTANTS[ours].name, CONTESTANTS[script].name);
        for (what, of) in [("", root as fn(&Times) -> &Sample), (" + mount", both)] {
            let (ours, script) = (of(&all[ours]), of(&all[script]));
            let awake = script.less(SFDISK_SLEEP_MS);
            ratios.push(vec![format!("{names}{what}"), ours.ratio(script), ours.ratio(&awake)]);
        }
    }
    report.table(&["times as fast", "as it is", "less sfdisk's 250 ms"], &ratios);
    for (name, script) in [("script", 2), ("script as usual", USUAL)] {
        let ours = &all[STATIC].root;
        for (what, peer) in [
            ("as it is", all[script].root.clone()),
            ("less sfdisk's 250 ms", all[script].root.less(SFDISK_SLEEP_MS)),
        ] {
            let reached = peer.median() >= GOAL * ours.median();
            let found = ours.ratio(&peer);
            report.goal(reached, format!("{found} as fast as the {name} {what}, at least {GOAL}×"));
        }
    }
    report.say("");
}

fn root(times: &Times) -> &Sample {
    &times.root
}

fn both(times: &Times) -> &Sample {
    &times.both
}
