//! Examples in the documentation: rustdoc runs them, its own lines are counted.

use std::process::Stdio;

use super::counts::Counts;
use super::options::Options;
use crate::failure::{Context, Failure, Result};
use crate::workspace;

/// Runs them.
pub(crate) fn run(options: &Options) -> Result<Counts> {
    let mut command = workspace::cargo();
    command.args(["test", "--quiet", "--doc", "--workspace", "--no-fail-fast"]);
    command.args(&options.filter);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context(|| "cannot start cargo test --doc".to_owned())?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let counts: Counts = said.lines().filter_map(counts).sum();
    if !output.status.success() && counts.failed == 0 {
        return Err(Failure::new(format!("cargo test --doc: {}", output.status)));
    }
    Ok(counts)
}

/// Returns the counts in a line `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn counts(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| -> Option<usize> {
        let (number, _) = numbers
            .split("; ")
            .filter_map(|item| item.split_once(' '))
            .find(|item| item.1 == what)?;
        number.parse().ok()
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_results_of_each_crate() {
        let said = "running 2 tests\n..\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.3s\n\
            test result: FAILED. 1 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let sum: Counts = said.lines().filter_map(counts).sum();
        assert_eq!(sum, Counts { passed: 3, failed: 3, skipped: 1 });
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(counts("test result: none"), None);
        assert_eq!(counts("12 passed; 0 failed; 0 ignored"), None);
    }
}
