//! Tests that cargo-nextest runs: which of them flows in, counts flow out of its JUnit file.

use std::fs;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::thread;

use super::counts::Counts;
use super::options::Options;
use crate::failure::{Context, Failure, Result};
use crate::{process, workspace};

/// The binaries whose tests boot machines; `.config/nextest.toml` limits the same ones.
const MACHINES: &str = "binary_id(/^(ebbtide-init::boot|vmtest::(stage|uml|xen)|ebbtide::vm_.*)$/)";

/// The binaries whose tests mount file systems of their own.
const ROOT: &str = "binary_id(ebbtide::root_*)";

/// Which tests.
#[derive(Clone, Copy)]
pub(crate) enum Tests {
    /// Those that boot machines.
    Machines,
    /// Those that mount file systems of their own.
    Root,
    /// All others.
    Pure,
}

/// Builds the tests and returns how many are wanted.
pub(crate) fn list(tests: Tests, options: &Options) -> Result<usize> {
    let mut command = nextest("list", tests, options);
    // Building takes long and says where it is.
    command.args(["--message-format", "oneline"]).stderr(Stdio::inherit());
    Ok(process::output(&mut command)?.lines().filter(|line| !line.is_empty()).count())
}

/// Runs them.
pub(crate) fn run(tests: Tests, options: &Options) -> Result<Counts> {
    let profile = if super::is_required() { "ci" } else { "default" };
    // Nextest keeps its files there, wherever cargo builds. Whatever is there afterwards is of this run.
    let report = workspace::root().join("target/nextest").join(profile).join("junit.xml");
    let _ = fs::remove_file(&report);
    let mut run = nextest("run", tests, options);
    run.args(["--profile", profile, "--no-tests", "pass"]);
    if !matches!(tests, Tests::Pure) {
        run.arg("--test-threads").arg(waiting().to_string());
    }
    let ended = process::run(&mut run);
    let text = match (fs::read_to_string(&report), &ended) {
        (Ok(text), _) => text,
        (Err(_), Err(_)) => return ended.map(|()| Counts::default()),
        (Err(error), Ok(())) => {
            return Err(error).context(|| format!("cannot read {}", report.display()));
        }
    };
    let counts = counts(&text).ok_or_else(|| {
        Failure::new(format!("{} does not say how many tests failed", report.display()))
    })?;
    match ended {
        Err(failure) if counts.failed == 0 => Err(failure),
        _ => Ok(counts),
    }
}

/// Returns how many tests run at once that wait for disks and machines now and then: one more than there are processors.
fn waiting() -> usize {
    thread::available_parallelism().map_or(2, NonZeroUsize::get) + 1
}

fn nextest(verb: &str, tests: Tests, options: &Options) -> Command {
    let mut command = workspace::cargo();
    command.args(["nextest", verb, "--workspace", "--filterset"]);
    command.arg(match tests {
        Tests::Machines => MACHINES.to_owned(),
        Tests::Root => ROOT.to_owned(),
        Tests::Pure => format!("not ({MACHINES} | {ROOT})"),
    });
    command.args(&options.filter);
    command
}

/// Returns the counts that the outermost element of a JUnit file gives.
fn counts(junit: &str) -> Option<Counts> {
    let element = junit.split_once("<testsuites ")?.1.split_once('>')?.0;
    let number = |name: &str| -> Option<usize> {
        let value = element.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
        value.parse().ok()
    };
    let failed = number("failures")? + number("errors")?;
    Some(Counts { passed: number("tests")?.checked_sub(failed)?, failed, skipped: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_report_says() {
        let junit = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="12" failures="2" errors="1" uuid="0" timestamp="t" time="1.5">
    <testsuite name="xtask::bin/xtask" tests="3" disabled="0" errors="9" failures="9">"#;
        assert_eq!(counts(junit), Some(Counts { passed: 9, failed: 3, skipped: 0 }));
    }

    #[test]
    fn a_report_without_numbers_is_no_success() {
        for junit in
            ["", "<testsuites >", r#"<testsuites name="x" tests="1" failures="2" errors="0">"#]
        {
            assert_eq!(counts(junit), None, "{junit}");
        }
    }

    #[test]
    fn the_configuration_limits_the_same_tests() {
        let path = workspace::root().join(".config/nextest.toml");
        assert!(fs::read_to_string(path).unwrap().contains(MACHINES));
    }
}
