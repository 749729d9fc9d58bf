//! How a machine or a wait ended, and the console text that shows it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// How many of the console's last lines an error shows.
const SHOWN_LINES: usize = 80;

/// Why a machine stopped, or why a wait for it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The guest powered itself off.
    PoweredOff,
    /// The guest asked for a reset, which ends the machine.
    Reset,
    /// The kernel panicked; the line that says so.
    Panicked(String),
    /// It stopped for another reason: its exit status, and what it said.
    Stopped(String),
    /// The time limit was reached while the machine still ran.
    TimeLimit,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => f.write_str("the guest powered off"),
            Self::Reset => f.write_str("the guest reset the machine"),
            Self::Panicked(line) => write!(f, "the kernel panicked: {line}"),
            Self::Stopped(how) => write!(f, "the machine stopped ({how})"),
            Self::TimeLimit => f.write_str("the time limit was reached"),
        }
    }
}

/// How a run of a machine ended, with all that its console said in that run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Why it ended.
    pub ending: Ending,
    /// How long was waited for the end.
    pub waited: Duration,
    /// The console text since the last power on.
    pub console: String,
    pub(crate) evidence: Evidence,
}

impl Outcome {
    /// Returns whether the guest ended by powering off or by a reset of its own, without a panic.
    pub fn ended_by_itself(&self) -> bool {
        matches!(self.ending, Ending::PoweredOff | Ending::Reset)
    }

    /// Returns this outcome if the guest powered off.
    ///
    /// # Errors
    /// With the ending and the console, when it ended in any other way or not at all.
    pub fn powered_off(self) -> Result<Self> {
        if self.ending == Ending::PoweredOff {
            return Ok(self);
        }
        Err(Error::Waited {
            wanted: "the guest to power off".into(),
            ending: self.ending,
            waited: self.waited,
            evidence: self.evidence,
        })
    }
}

/// The last lines of a console, and the file that holds all of it.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The last lines, without control characters.
    pub tail: String,
    /// The whole console log.
    pub log: PathBuf,
}

impl Evidence {
    pub(crate) fn new(console: &[u8], log: PathBuf) -> Self {
        let text = readable(console);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        Self { tail, log }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.log.display();
        if self.tail.is_empty() {
            return write!(f, "the console said nothing ({log})");
        }
        write!(f, "--- console, last lines; all of it: {log}\n{}\n--- end of console", self.tail)
    }
}

/// Turns console bytes into text: no carriage returns, colours, cursor movements or bells.
pub(crate) fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // CSI sequence: parameters up to a final byte in @..~
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {}
                chars.next();
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text_has_no_terminal_control() {
        let raw = b"\x1bc\x1b[2J[  \x1b[0;32mOK\x1b[0m  ] up\r\nnext\x07\n\x1b[";
        assert_eq!(readable(raw), "c[  OK  ] up\nnext\n");
    }

    #[test]
    fn evidence_shows_the_last_lines_and_names_the_log() {
        let console: String = (0..200).map(|n| format!("line {n}\n")).collect();
        let shown = Evidence::new(console.as_bytes(), "/logs/x.log".into()).to_string();
        assert!(shown.contains("line 120\n") && shown.contains("line 199\n"));
        assert!(!shown.contains("line 119\n"));
        assert!(shown.contains("/logs/x.log"));
    }
}
