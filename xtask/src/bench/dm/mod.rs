//! `cargo xtask bench dm`: what starts and stops cost on a pool of driver dm, against a script; what a guest's writes come to
//! with each chunk; and what AppVMs of one version have in common.
//!
//! `host/benches/dm` measures, all in one machine of user-mode Linux, whose device-mapper is real; here its lines become
//! tables, with the goal beside each figure.

mod figures;
mod machine;
mod tables;

use std::fs;

use self::figures::Figures;
use self::machine::{DISK, Machine};
use super::host::calls;
use super::programs::Programs;
use super::report::Report;
use crate::failure::{Context, Result};

/// Starts and stops of each contestant; loads of each chunk take a third of it.
const ROUNDS: usize = 9;
/// How many AppVMs run meanwhile.
const AROUND: [usize; 2] = [1, 200];
/// Chunks, in sectors.
const CHUNKS: [usize; 6] = [8, 16, 32, 64, 128, 256];
/// Versions in use.
const VERSIONS: [usize; 2] = [1, 3];

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    let rounds = rounds.unwrap_or(ROUNDS);
    let programs = Programs::build("dm")?;
    let machine = Machine::start()?;
    let (bench, ebbtide) = (programs.bench.display(), programs.ebbtide.display());
    let peer = super::sources().join("peer/dm.sh");
    let (pool, peer) = (format!("{DISK}/pool"), peer.display());
    let mut said = String::new();
    let mut say = |script: String| {
        said += &machine.run(&script)?;
        said.push('\n');
        keep(&said)
    };
    if std::env::var_os("X_STARTS").is_none() {
        for round in 0..rounds.div_ceil(3) {
            let chunks =
                CHUNKS.iter().flat_map(|chunk| VERSIONS.map(|versions| (*chunk, versions)));
            for (chunk, versions) in std::iter::once((CHUNKS[0], 0)).chain(chunks) {
                say(format!("{bench} writes {DISK}/writes {chunk} {versions}"))?;
            }
            eprintln!("loads: round {}", round + 1);
        }
    }
    let mut operations = Vec::new();
    for around in AROUND {
        say(format!("{bench} around {pool} {around}"))?;
        for round in 0..rounds {
            say(format!("{bench} turns {pool} {around} {round} {ebbtide} {peer}"))?;
            eprintln!("{around} around: round {}", round + 1);
        }
        for who in tables::ALL {
            let who = who.replace(' ', "-");
            let script = format!("{bench} calls {pool} {around} {who} {ebbtide} {peer}");
            operations.extend(calls::operations(&machine.trace(&script)?));
        }
        if around == AROUND[0] {
            say(format!("{bench} memory {pool} {}", AROUND[1]))?;
        }
    }
    machine.end()?;

    let figures = Figures::parse(&said)?;
    let mut report = Report::new("dm");
    report.say(format!(
        "User-mode Linux: ratios of times mean something, counts are exact. Rounds: {rounds}."
    ));
    report.say("");
    tables::starts(&mut report, &figures, &operations, &AROUND);
    tables::loads(&mut report, &figures, &CHUNKS, &VERSIONS);
    tables::memory(&mut report, &figures);
    report.save()
}

/// Keeps what was measured so far: it may be all.
fn keep(lines: &str) -> Result<()> {
    let path = super::folder().join("dm.lines");
    fs::create_dir_all(super::folder())
        .and_then(|()| fs::write(&path, lines))
        .context(|| format!("cannot write {}", path.display()))
}
