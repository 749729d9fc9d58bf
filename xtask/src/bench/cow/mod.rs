//! `cargo xtask bench cow`: what merges of COW files cost, against the limit and against the tools of the field.
//!
//! `host/benches/cow` measures, on a btrfs, an XFS and an ext4 that are made for it; here its lines become tables, with the
//! goal beside each figure. All contestants take turns on equal data. System calls are counted by strace.

mod disk;
mod figures;
mod tables;
mod trace;

use std::ffi::OsStr;
use std::fs;

use self::disk::{Disk, KINDS, Kind};
use self::figures::Figures;
use self::trace::Trace;
use super::programs::Programs;
use super::report::Report;
use crate::failure::{Context, Failure, Result};
use crate::process;

/// Rounds of each case and each file system.
const ROUNDS: usize = 5;
/// Where system calls are counted: it clones, and writes in place.
const COUNTED: &str = "xfs";

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    if !process::is_root() {
        return Err(Failure::new(
            "bench cow mounts file systems of its own, which only root may: run it with sudo",
        ));
    }
    let rounds = rounds.unwrap_or(ROUNDS).to_string();
    let programs = Programs::build("cow")?;
    let mut report = Report::new("cow");
    report.say(format!("Medians (smallest–largest) of rounds: {rounds}; ratios are of the same round. Page cache warm, file"));
    report.say(
        "system at rest, backing equal before each. The slowest take part in every third round.",
    );
    report.say("");
    let disk = Disk::make()?;
    for kind in KINDS {
        let measure = ["measure".as_ref(), disk.mounted().as_os_str(), rounds.as_ref()];
        let found = run(&disk, kind, &programs, &measure)?;
        tables::times(&mut report, kind.name, &Figures::parse(&found)?);
        if kind.name == COUNTED {
            tables::calls(&mut report, kind.name, &count(&disk, kind, &programs)?);
            let large =
                run(&disk, kind, &programs, &["large".as_ref(), disk.mounted().as_os_str()])?;
            let memory = large.lines().map(|line| memory(line).ok_or_else(|| unread(line)));
            tables::large(&mut report, &memory.collect::<Result<Vec<_>>>()?);
        }
    }
    report.save()
}

/// Runs a verb of the program that measures on a new file system; the last word is the command line.
fn run(disk: &Disk, kind: Kind, programs: &Programs, words: &[&OsStr]) -> Result<String> {
    disk.format(kind)?;
    let mut all = vec![programs.bench.as_os_str()];
    all.extend_from_slice(words);
    all.push(programs.ebbtide.as_os_str());
    disk.run(kind, &all)
}

/// Returns the system calls and the memory of each merge.
fn count(disk: &Disk, kind: Kind, programs: &Programs) -> Result<Vec<(String, Trace, u64)>> {
    let traces = super::folder().join("cow.traces");
    fs::create_dir_all(&traces).context(|| format!("cannot make {}", traces.display()))?;
    let words = ["calls".as_ref(), disk.mounted().as_os_str(), traces.as_os_str()];
    let said = run(disk, kind, programs, &words)?;
    let mut found: Vec<(String, Trace, u64)> = Vec::new();
    for line in said.lines() {
        if let Some((path, who)) = line.strip_prefix("trace ").and_then(|rest| rest.split_once(' '))
        {
            let text = fs::read_to_string(path).context(|| format!("cannot read {path}"))?;
            found.push((who.to_owned(), Trace::parse(&text), 0));
        } else {
            let (who, bytes) = memory(line).ok_or_else(|| unread(line))?;
            let merge = found.iter_mut().find(|(name, _, _)| *name == who);
            merge.ok_or_else(|| unread(line))?.2 = bytes;
        }
    }
    fs::remove_dir_all(&traces).context(|| format!("cannot remove {}", traces.display()))?;
    Ok(found)
}

/// Reads a line `memory BYTES WHAT…`.
fn memory(line: &str) -> Option<(String, u64)> {
    let (bytes, what) = line.strip_prefix("memory ")?.split_once(' ')?;
    Some((what.to_owned(), bytes.parse().ok()?))
}

fn unread(line: &str) -> Failure {
    Failure::new(format!("cow said what nobody reads: {line}"))
}
