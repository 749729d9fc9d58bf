//! `cargo xtask bench snapshots`: what snapshots and clones cost, whatever the size, and what a thousand of them do.
//!
//! `host/benches/snapshots` measures, on a btrfs and on an XFS that are made for it; here its lines become tables, with the
//! goal beside each figure.

mod tables;

use super::host::figures::Figures;
use super::host::file_system::{FileSystem, KINDS};
use super::programs::Programs;
use super::report::Report;
use crate::failure::{Failure, Result};
use crate::process;
use std::ffi::OsStr;

/// Rounds of each shape and each file system.
const ROUNDS: usize = 5;

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    if !process::is_root() {
        return Err(Failure::new(
            "bench snapshots mounts file systems of its own, which only root may: run it with sudo",
        ));
    }
    let rounds = rounds.unwrap_or(ROUNDS).to_string();
    let programs = Programs::build("snapshots")?;
    let mut report = Report::new("snapshots");
    report.say(format!("Medians (smallest–largest) of rounds: {rounds}. Times in ms."));
    report.say("");
    for kind in KINDS {
        report.say(format!("== {kind}"));
        report.say("");
        let [snapshots, ebbtide] =
            [&programs.bench, &programs.ebbtide].map(|path| path.as_os_str());
        let run = |verb: &str, words: &[&OsStr]| {
            let system = FileSystem::make(kind)?;
            let mut all = vec![snapshots, verb.as_ref(), system.mounted().as_os_str()];
            all.extend_from_slice(words);
            Figures::parse(&system.run(&all)?)
        };
        tables::sizes(&mut report, &run("sizes", &[rounds.as_ref()])?);
        tables::clones(&mut report, &run("clones", &[])?);
        tables::tree(&mut report, &run("tree", &[rounds.as_ref(), ebbtide])?);
    }
    report.save()
}
