//! `cargo xtask bench host`: what versions, commits and starts cost, against the plain protocol of clones.
//!
//! `host/benches/versions` measures, on a btrfs and on an XFS that are made for it; here its lines become tables, with the
//! goal beside each figure. Both protocols take turns on the same images. System calls are counted by strace.

pub(super) mod calls;
pub(super) mod figures;
pub(super) mod file_system;
pub(super) mod tables;

use self::figures::Figures;
use self::file_system::{FileSystem, KINDS};
use super::programs::Programs;
use super::report::Report;
use crate::failure::{Context, Failure, Result};
use crate::process;

/// Rounds of each shape and each file system.
const ROUNDS: usize = 5;

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    if !process::is_root() {
        return Err(Failure::new(
            "bench host mounts file systems of its own, which only root may: run it with sudo",
        ));
    }
    let rounds = rounds.unwrap_or(ROUNDS).to_string();
    let programs = Programs::build("versions")?;
    let mut report = Report::new("host");
    report.say(format!("Medians (smallest–largest) of rounds of each shape: {rounds}. Ours and the plain protocol in turn, in ms."));
    report.say("");
    for kind in KINDS {
        report.say(format!("== {kind}"));
        report.say("");
        let [versions, ebbtide] = [&programs.bench, &programs.ebbtide].map(|path| path.as_os_str());
        let run = |verb: &str, words: &[&std::ffi::OsStr]| {
            let system = FileSystem::make(kind)?;
            let mut all = vec![versions, verb.as_ref(), system.mounted().as_os_str()];
            all.extend_from_slice(words);
            Figures::parse(&system.run(&all)?)
        };
        tables::volumes(&mut report, &run("volumes", &[rounds.as_ref()])?);
        tables::many(&mut report, &run("many", &[rounds.as_ref(), ebbtide])?);
        tables::calls(&mut report, &count(kind, &programs)?);
    }
    report.save()
}

/// Returns the system calls of each operation.
fn count(kind: &'static str, programs: &Programs) -> Result<Vec<calls::Operation>> {
    let system = FileSystem::make(kind)?;
    let trace = super::folder().join("host.trace");
    let [strace, option] = ["strace", "-o"].map(std::ffi::OsStr::new);
    let words = [
        strace,
        option,
        trace.as_os_str(),
        programs.bench.as_os_str(),
        "calls".as_ref(),
        system.mounted().as_os_str(),
    ];
    system.run(&words)?;
    let text =
        std::fs::read_to_string(&trace).context(|| format!("cannot read {}", trace.display()))?;
    let found = calls::operations(&text);
    if found.is_empty() {
        return Err(Failure::new(format!("{} has no marks", trace.display())));
    }
    Ok(found)
}
