//! `cargo xtask test`: tiers and a filter flow in, one line `N passed, N failed` flows out as the last.
//!
//! A tier that cannot run is a failure under `CI=true`, elsewhere it counts as skipped and says why.

pub(crate) mod counts;
mod doc;
pub(crate) mod fuzz;
mod mounts;
mod nextest;
mod options;
mod part;
mod skips;

use std::time::{Duration, Instant};

use counts::Counts;
use options::Options;
use part::{Part, Prepared};

use crate::failure::{self, Failure, Result};

/// How one part of the tests went.
struct Outcome {
    part: Part,
    counts: Counts,
    took: Duration,
    notes: Vec<String>,
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let prepared = Prepared::new();
    let mut outcomes = Vec::new();
    for part in options.parts() {
        heading(&format!("{part}: {}", part.what()));
        outcomes.push(run(part, &options, &prepared));
    }
    let sum: Counts = outcomes.iter().map(|outcome| outcome.counts).sum();
    if let (Some(filter), true) = (&options.filter, sum == Counts::default()) {
        return Err(Failure::usage(format!("test: no test has `{filter}` in its name")));
    }
    heading("all");
    outcomes.iter().for_each(print);
    println!("{sum}");
    if sum.failed > 0 { Err(Failure::told()) } else { Ok(()) }
}

/// Prints a line that is found again in pages of output.
pub(crate) fn heading(text: &str) {
    println!("\n== {text}");
}

/// Returns whether everything has to run here.
fn is_required() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn run(part: Part, options: &Options, prepared: &Prepared) -> Outcome {
    let start = Instant::now();
    let (counts, notes) = match attempt(part, options, prepared) {
        Ok(done) => done,
        Err(failure) => {
            failure::report(&failure);
            (Counts::failed(1), vec![failure.chain()])
        }
    };
    Outcome { part, counts, took: start.elapsed(), notes }
}

fn attempt(part: Part, options: &Options, prepared: &Prepared) -> Result<(Counts, Vec<String>)> {
    let tests = part.size(options)?;
    if tests == 0 {
        return Ok((Counts::default(), Vec::new()));
    }
    if let Err(reason) = part.prepare(prepared) {
        let notes = vec![format!("cannot run here: {reason}")];
        let counts = if is_required() { Counts::failed(tests) } else { Counts::skipped(tests) };
        return Ok((counts, notes));
    }
    skips::forget()?;
    let counts = part.run(options)?;
    let skipped = skips::read()?;
    Ok((counts.of_them_skipped(skipped.len()), skipped))
}

fn print(outcome: &Outcome) {
    let Outcome { part, counts, took, notes } = outcome;
    println!("{:>7.1} s  {:<5} {counts}", took.as_secs_f64(), part.to_string());
    for line in notes.iter().flat_map(|note| note.lines()) {
        println!("             {line}");
    }
}
