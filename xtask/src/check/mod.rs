//! `cargo xtask check`: the tree flows in, what a reader should not have to look for flows out.

mod licences;
mod manual;
mod paths;
mod scripts;
mod spdx;
mod tree;

use std::process::Command;
use std::time::Instant;

use crate::failure::{self, Failure, Result};
use crate::process;
use crate::test::counts::Counts;
use crate::test::{fuzz, heading};
use crate::workspace;

/// How a check ended that found nothing wrong.
enum Verdict {
    /// With something to add, or not.
    Fine(String),
    /// It needs what is not here; why.
    NotHere(String),
}

/// A check: what it looks at, and how.
type Check = (&'static str, fn() -> Result<Verdict>);

const CHECKS: [Check; 11] = [
    ("format", format),
    ("machine paths", paths::check),
    ("scripts", scripts::check),
    ("udev rules", udev_rules),
    ("manual", manual::check),
    ("licences and sources", licences::check),
    ("clippy", clippy),
    ("documentation", documentation),
    ("ebbtide-format without std", without_std),
    ("host without device-mapper", without_dm),
    ("fuzz targets", fuzz_targets),
];

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        return Err(Failure::usage(format!("check: unknown argument {unknown}")));
    }
    let mut lines = Vec::new();
    let mut counts = Vec::new();
    for (name, check) in CHECKS {
        heading(name);
        let start = Instant::now();
        let verdict = check();
        let (word, note) = match verdict {
            Ok(Verdict::Fine(note)) => ("ok", note),
            Ok(Verdict::NotHere(why)) => ("not here", why),
            Err(failure) => {
                failure::report(&failure);
                ("FAILED", String::new())
            }
        };
        if word != "not here" {
            counts.push(Counts::one(word == "ok"));
        }
        let took = start.elapsed().as_secs_f64();
        let line = format!("{took:>7.1} s  {word:<8}  {name:<28}{note}");
        println!("{}", line.trim_end());
        lines.push(line);
    }
    heading("all");
    lines.iter().for_each(|line| println!("{}", line.trim_end()));
    let sum: Counts = counts.into_iter().sum();
    println!("{sum}");
    if sum.failed > 0 { Err(Failure::told()) } else { Ok(()) }
}

/// Runs a command whose output speaks for itself.
fn run(command: &mut Command) -> Result<Verdict> {
    process::run(command).map(|()| Verdict::Fine(String::new()))
}

fn format() -> Result<Verdict> {
    run(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    run(workspace::cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
}

fn clippy() -> Result<Verdict> {
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run(workspace::cargo().args(clippy))
}

fn fuzz_targets() -> Result<Verdict> {
    run(fuzz::cargo("clippy").args(["--bins", "--", "-D", "warnings"]))
}

fn documentation() -> Result<Verdict> {
    let mut doc = workspace::cargo();
    doc.args(["doc", "--quiet", "--workspace", "--no-deps"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// The crate says `no_std`; its features must not be what makes it compile.
fn without_std() -> Result<Verdict> {
    let check = ["check", "--quiet", "--package", "ebbtide-format", "--no-default-features"];
    run(workspace::cargo().args(check))
}

/// Who packages it may leave out what needs libdevmapper.
fn without_dm() -> Result<Verdict> {
    let clippy = ["clippy", "--quiet", "--package", "ebbtide", "--no-default-features"];
    run(workspace::cargo().args(clippy).args(["--lib", "--bins", "--", "-D", "warnings"]))
}

/// Newer versions of udev read rules without loading them.
fn udev_rules() -> Result<Verdict> {
    let Some(udevadm) = process::find("udevadm") else {
        return Ok(Verdict::NotHere("there is no udevadm".to_owned()));
    };
    if process::output(Command::new(&udevadm).args(["verify", "--help"])).is_err() {
        return Ok(Verdict::NotHere("this udevadm has no `verify`".to_owned()));
    }
    let rules: Vec<_> = tree::files()?
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rules"))
        .collect();
    run(Command::new(udevadm).arg("verify").args(&rules))
}
