//! The command channel on ttyS1: scripts go in, exit status and output come out.
//!
//! Line based. The guest says `<<ready>>` once; the host sends one line, the base64 of a shell script;
//! the guest runs it and answers `<<done STATUS BASE64>>` with its standard output and error. Anything
//! else on the line, before an answer too, is skipped.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::search::find;

/// The longest script that the guest's serial line takes in one piece without losing bytes.
const LONGEST_SCRIPT: usize = 24 << 10;

/// What a script in the guest came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The exit status of the shell.
    pub status: i32,
    /// Standard output and standard error, as they came.
    pub output: Vec<u8>,
}

impl Reply {
    /// Returns the output as text, without the line ends at its end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim_end_matches(['\n', '\r']).to_owned()
    }

    /// Returns whether the status is 0.
    pub fn succeeded(&self) -> bool {
        self.status == 0
    }
}

/// One line of the guest that means something.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Ready,
    Done(Reply),
}

/// Parses one line; `None` when it is none of the protocol's.
fn parse(line: &[u8]) -> Option<std::result::Result<Said, String>> {
    if find(line, b"<<ready>>").is_some() {
        return Some(Ok(Said::Ready));
    }
    let start = find(line, b"<<done ")?;
    let damaged = || format!("a damaged answer: {:?}", crate::outcome::readable(&line[start..]));
    Some(parse_done(&line[start + 7..]).map(Said::Done).ok_or_else(damaged))
}

/// Parses what follows `<<done `: `STATUS BASE64>>`.
fn parse_done(rest: &[u8]) -> Option<Reply> {
    let rest = &rest[..find(rest, b">>")?];
    let (status, encoded) = rest.split_at(find(rest, b" ")?);
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    let output = STANDARD.decode(encoded.trim_ascii()).ok()?;
    Some(Reply { status, output })
}

/// The lines that have arrived, and which of them have been taken.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    taken: usize,
    searched: usize,
}

impl Lines {
    /// Takes the next whole line with a meaning out of `text`, all that has been heard so far.
    fn next(&mut self, text: &[u8]) -> Option<std::result::Result<Said, String>> {
        while let Some(length) = text.get(self.searched..)?.iter().position(|&b| b == b'\n') {
            let end = self.searched + length;
            let line = &text[self.taken..end];
            (self.taken, self.searched) = (end + 1, end + 1);
            if let Some(said) = parse(line) {
                return Some(said);
            }
        }
        self.searched = text.len();
        None
    }

    /// Takes lines until the guest says that it is ready.
    pub(crate) fn ready(&mut self, text: &[u8]) -> Option<()> {
        while let Some(said) = self.next(text) {
            if said == Ok(Said::Ready) {
                return Some(());
            }
        }
        None
    }

    /// Takes lines until there is an answer to a script.
    pub(crate) fn reply(&mut self, text: &[u8]) -> Option<std::result::Result<Reply, String>> {
        Some(match self.next(text)? {
            Ok(Said::Done(reply)) => Ok(reply),
            // Not at the start: the agent was started again and has lost the script.
            Ok(Said::Ready) => Err("<<ready>> instead of an answer".into()),
            Err(found) => Err(found),
        })
    }
}

/// The host's end of the channel of one run of a machine.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    state: Mutex<State>,
}

/// Where the exchange stands.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) lines: Lines,
    /// The guest has said that it is ready.
    pub(crate) ready: bool,
    /// A script whose answer was given up on: what comes next would be taken for another's.
    pub(crate) unanswered: Option<String>,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, state: Mutex::default() }
    }

    /// Takes the channel for one exchange.
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a script to the guest, which has said that it is ready.
    pub(crate) fn send(&self, script: &str) -> Result<(), Error> {
        if script.len() > LONGEST_SCRIPT {
            let (has, may) = (script.len(), LONGEST_SCRIPT);
            return Err(Error::Description(format!("a script of {has} bytes; {may} fit the line")));
        }
        let line = STANDARD.encode(script) + "\n";
        let sent = (&self.stream).write_all(line.as_bytes());
        sent.map_err(Error::io("sending a script to the guest"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(status: i32, output: &[u8]) -> Reply {
        Reply { status, output: output.to_vec() }
    }

    #[test]
    fn garbage_before_and_between_the_lines_is_skipped() {
        let text = b"\0\xff[ 1.0] noise\nnoise<<ready>>\r\nZWNobw==\n\n[2.0] x <<done 3 aGkK>>\r\n";
        let mut lines = Lines::default();
        assert_eq!(lines.ready(text), Some(()));
        assert_eq!(lines.reply(text), Some(Ok(reply(3, b"hi\n"))));
        assert_eq!(lines.reply(text), None);
    }

    #[test]
    fn an_answer_without_output_is_an_answer() {
        assert_eq!(parse(b"<<done 0 >>"), Some(Ok(Said::Done(reply(0, b"")))));
    }

    #[test]
    fn an_incomplete_line_waits_for_its_end() {
        let text = b"<<done 0 aGkK>>\n";
        let mut lines = Lines::default();
        for length in 0..text.len() {
            assert_eq!(lines.reply(&text[..length]), None, "{length}");
        }
        assert_eq!(lines.reply(text), Some(Ok(reply(0, b"hi\n"))));
    }

    #[test]
    fn damaged_answers_are_named() {
        for line in ["<<done 0 aGk", "<<done x aGkK>>", "<<done 0 aG!K>>", "<<done 0>>"] {
            let found = parse(line.as_bytes());
            assert!(
                matches!(&found, Some(Err(text)) if text.contains("<<done")),
                "{line} {found:?}"
            );
        }
        let mut lines = Lines::default();
        assert!(matches!(lines.reply(b"<<ready>>\n"), Some(Err(_))));
    }

    proptest! {
        #[test]
        fn a_flipped_byte_never_panics_and_never_hangs(at in 0usize..15, flip in 1u8..) {
            let mut line = *b"<<done 0 aGkK>>\n";
            line[at] ^= flip;
            let mut lines = Lines::default();
            let _ = lines.reply(&line);
            prop_assert_eq!(lines.reply(&line), None);
        }

        #[test]
        fn what_the_guest_encodes_comes_back(status in 0i32..256, output: Vec<u8>) {
            let line = format!("<<done {status} {}>>", STANDARD.encode(&output));
            prop_assert_eq!(parse(line.as_bytes()), Some(Ok(Said::Done(reply(status, &output)))));
        }
    }
}
