//! `cargo xtask bench boot`: from the first instruction of process 1 to that of the real init, by `ebbtide-init boot` and by
//! an initramfs of initramfs-tools that does the same work; and how large the initramfs of each is.
//!
//! The times are the kernel's own: its line `Run /init as init process`, and a line that the real init writes first of all.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use vmtest::{Disk, Ending, Image, Qemu, Size};

use super::guest;
use super::report::Report;
use super::sample::Sample;
use crate::failure::{Context, Failure, Result};

/// Boots of each contestant.
const ROUNDS: usize = 5;
/// How many times as fast as initramfs-tools is the goal.
const GOAL: f64 = 3.0;
/// For one boot.
const LIMIT: Duration = Duration::from_secs(180);

/// A busy host misses the ticks by which an emulated timer is checked, and the kernel panics. The real init of every boot says that it is there, shows the kernel's log and ends the machine.
const INIT: &str = "no_timer_check init=/bin/busybox -- sh -c \"echo bench: the real init runs > /dev/kmsg; busybox dmesg; \
                    busybox poweroff -f\"";
const FROM: &str = "Run /init as init process";
const TO: &str = "bench: the real init runs";

/// A part of a boot ends with the line that holds the text.
type Part = (&'static str, &'static str);

const OURS: [Part; 7] = [
    ("to main, /proc /sys /dev /run", "boot: process 1 runs"),
    ("modules", "modules are loaded"),
    ("root", "/dev/mapper/dmroot is ready"),
    ("mount root, find init", "boot: the root is mounted"),
    ("mounts", "boot: mounts are done"),
    ("switch, empty initramfs", "files of the initramfs are gone"),
    ("exec", TO),
];
const THEIRS: [Part; 4] = [
    ("scripts, udev, modules", "becomes writable"),
    ("root", "/dev/mapper/dmroot is ready"),
    ("mount root", "EXT4-fs (dm-0): mounted"),
    ("scripts, switch, exec", TO),
];

/// A kind of initramfs, with or without the kernel's messages on the serial console, which is slow.
struct Contestant {
    name: &'static str,
    image: &'static str,
    words: &'static str,
    parts: &'static [Part],
}

const CONTESTANTS: [Contestant; 4] = [
    Contestant { name: "boot", image: "debian-boot", words: "", parts: &OURS },
    Contestant {
        name: "initramfs-tools",
        image: "debian-initramfs-tools",
        words: "",
        parts: &THEIRS,
    },
    Contestant { name: "boot, quiet", image: "debian-boot", words: "loglevel=4", parts: &OURS },
    Contestant {
        name: "initramfs-tools, quiet",
        image: "debian-initramfs-tools",
        words: "loglevel=4",
        parts: &THEIRS,
    },
];

/// Images whose initramfs is weighed.
const WEIGHED: [&str; 4] =
    ["debian-boot", "debian-initramfs-tools", "debian-dracut", "debian-dracut-systemd"];

/// Milliseconds of one contestant.
struct Times {
    whole: Sample,
    parts: Vec<Sample>,
}

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    let rounds = rounds.unwrap_or(ROUNDS);
    let images: Vec<Image> =
        WEIGHED.iter().map(|name| guest::image(name)).collect::<Result<_>>()?;
    let image = |name: &str| images.iter().zip(WEIGHED).find(|(_, n)| *n == name).map(|(i, _)| i);
    let mut times: Vec<Times> = CONTESTANTS
        .iter()
        .map(|c| Times { whole: Sample::default(), parts: vec![Sample::default(); c.parts.len()] })
        .collect();
    for round in 0..rounds {
        for (contestant, times) in CONTESTANTS.iter().zip(&mut times) {
            let image = image(contestant.image)
                .ok_or_else(|| Failure::new(format!("no image {}", contestant.image)))?;
            times.add(contestant, &boot(image, contestant.words)?)?;
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    let mut report = Report::new("boot");
    report.say(format!(
        "Debian 12, from `{FROM}` to the first line of the real init, {rounds} boots each, in turn; same kernel, disks,"
    ));
    report.say("root and command line. Milliseconds: median (smallest–largest).");
    report.say("");
    compare(&mut report, &times);
    weigh(&mut report, &images)?;
    report.save()
}

fn boot(image: &Image, words: &str) -> Result<String> {
    let machine = Qemu::boot(image)
        .cmdline(words)
        .cmdline(INIT)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::gib(2)));
    let vm = machine.start().context(|| "cannot start a machine".to_owned())?;
    let outcome = vm.wait_for_end(LIMIT);
    if outcome.ending == Ending::PoweredOff {
        return Ok(outcome.console);
    }
    Err(Failure::new(format!("{}: {}\n{}", image.name(), outcome.ending, outcome.console)))
}

impl Times {
    fn add(&mut self, contestant: &Contestant, console: &str) -> Result<()> {
        let began = at(console, FROM)?;
        self.whole.add(at(console, TO)? - began);
        let mut before = began;
        for ((_, text), sample) in contestant.parts.iter().zip(&mut self.parts) {
            let now = at(console, text)?;
            if now < before {
                return Err(Failure::new(format!("`{text}` is not in its place in:\n{console}")));
            }
            sample.add(now - before);
            before = now;
        }
        Ok(())
    }
}

/// Returns when the kernel's log got the line with a text, in milliseconds since the start of the kernel. The lines that
/// repeat the command line hold the text of the real init too, and are none of its own.
fn at(console: &str, text: &str) -> Result<f64> {
    let time = |line: &str| {
        let (time, _) = line.split_once('[')?.1.split_once(']')?;
        time.trim().parse::<f64>().ok()
    };
    let found = console
        .lines()
        .filter(|line| line.contains(text) && !line.contains("echo bench:"))
        .find_map(time);
    found.map(|seconds| seconds * 1e3).ok_or_else(|| {
        Failure::new(format!("the kernel's log has no line with `{text}`:\n{console}"))
    })
}

fn compare(report: &mut Report, all: &[Times]) {
    let rows: Vec<Vec<String>> = CONTESTANTS
        .iter()
        .zip(all)
        .map(|(contestant, times)| {
            vec![contestant.name.to_owned(), times.whole.to_string(), times.whole.range()]
        })
        .collect();
    report.table(&["process 1 to the real init", "ms", "range"], &rows);
    for (contestant, times) in CONTESTANTS.iter().zip(all) {
        let parts = contestant.parts.iter().zip(&times.parts);
        let rows: Vec<Vec<String>> = parts
            .map(|((name, _), sample)| vec![(*name).to_owned(), sample.to_string(), sample.range()])
            .collect();
        report.table(&[contestant.name, "ms", "range"], &rows);
    }
    for pair in [0, 2] {
        let (ours, theirs) = (&all[pair].whole, &all[pair + 1].whole);
        report.goal(
            theirs.median() >= GOAL * ours.median(),
            format!(
                "{} as fast as {}, at least {GOAL}×",
                ours.ratio(theirs),
                CONTESTANTS[pair + 1].name
            ),
        );
    }
    report.say("");
}

fn weigh(report: &mut Report, images: &[Image]) -> Result<()> {
    let mut rows = Vec::new();
    let mut first = None;
    for image in images {
        let (raw, packed) = (length(&image.initrd())?, packed(&image.initrd())?);
        let first = *first.get_or_insert(packed);
        let kib = |bytes: u64| bytes.div_ceil(1024).to_string();
        let times = format!("{:.1}×", packed as f64 / first as f64);
        rows.push(vec![image.name().to_owned(), kib(raw), kib(packed), times]);
    }
    report.table(&["initramfs, KiB", "unpacked", "gzip -9", "× boot"], &rows);
    Ok(())
}

fn length(file: &Path) -> Result<u64> {
    let found = std::fs::metadata(file).context(|| format!("cannot see {}", file.display()))?;
    Ok(found.len())
}

/// Packs each in the same way, whatever its generator would have chosen.
fn packed(file: &Path) -> Result<u64> {
    let cannot = || format!("cannot pack {}", file.display());
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "-n", "-c"]).arg(file).stdin(Stdio::null());
    Ok(gzip.output().context(cannot)?.stdout.len() as u64)
}
