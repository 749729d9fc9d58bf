//! Programs of the root, which has the tools that the guest does not bring, and what they say.

use super::Site;
use ebbtide_sys::tool::{self, End};
use std::{io, time::Duration};

/// A check of a large disk takes its time; one that takes longer than this will not end.
pub(crate) const LONG: Duration = Duration::from_secs(3600);
/// Enough to load a module.
pub(crate) const BRIEF: Duration = Duration::from_secs(30);
/// How much of what a program says is worth the log.
const LINES: usize = 20;
const CHARACTERS: usize = 200;

/// A program that was run to its end.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit status, or why there is none.
    pub(crate) status: Result<i32, String>,
    /// Whether the root has it at all.
    pub(crate) missing: bool,
    output: Vec<u8>,
}

/// Runs a program of the root, for at most `patience`.
///
/// # Errors
/// When it could not be started; nothing was done then.
pub(crate) fn run(
    site: &Site,
    name: &str,
    arguments: &[&str],
    patience: Duration,
) -> io::Result<Ran> {
    let outcome = tool::run(site.path(), name, arguments, patience)?;
    let status = match outcome.end {
        End::Exit(status) => Ok(status),
        End::Signal(signal) => Err(format!("{name} was ended by signal {signal}")),
        End::TimedOut => {
            Err(format!("{name} had not ended after {} s and was killed", patience.as_secs()))
        }
        End::Lost(errno) => {
            let error = io::Error::from_raw_os_error(errno);
            Err(format!("nobody knows how {name} ended: {error}"))
        }
        End::Missing => Err(format!("the root at {} has no {name}", site.path().display())),
    };
    Ok(Ran { status, missing: outcome.end == End::Missing, output: outcome.output })
}

impl Ran {
    /// Returns what it said, line by line: as much as is worth the log, without what could control a
    /// terminal. Names of files on the disk may be among it.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let text = String::from_utf8_lossy(&self.output);
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .take(LINES)
            .map(|line| {
                let plain = |c: char| if c.is_control() { '?' } else { c };
                line.chars().take(CHARACTERS).map(plain).collect()
            })
            .collect();
        lines.into_iter()
    }
}
