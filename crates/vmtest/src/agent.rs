//! The command channel on ttyS1: scripts go in, exit status and output come out.
//!
//! The guest says `<<ready>>` once. The host sends a shell script and a line `<<run TOKEN>>`; the guest runs it and says
//! `<<begin TOKEN>>`, what the script prints as it comes, and on a line of its own `<<done TOKEN STATUS>>`. Anything else on
//! the line, before and between answers, is skipped. No two scripts have the same token.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::outcome::readable;
use crate::search::{Search, find};

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

/// What the guest says once.
const READY: &str = "<<ready>>";

/// An answer that is waited for.
#[derive(Debug)]
struct Awaited {
    token: String,
    begin: Search,
    /// The agent was started again, and has lost the script.
    ready: Search,
    /// Where the output begins, and what ends it.
    output: Option<(usize, Search)>,
}

/// What has been taken of all that was heard.
#[derive(Debug)]
pub(crate) struct Answers {
    ready: Search,
    taken: usize,
    awaited: Option<Awaited>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { ready: Search::new(READY, 0), taken: 0, awaited: None }
    }
}

impl Answers {
    /// Looks whether the guest has said that it is ready, in `text`, all that has been heard so far.
    pub(crate) fn ready(&mut self, text: &[u8]) -> Option<()> {
        self.taken = self.ready.look(text)?.end;
        Some(())
    }

    /// Waits for the answer with this token from here on.
    fn expect(&mut self, token: String) {
        let begin = Search::new(&format!("<<begin {token}>>\n"), self.taken);
        let ready = Search::new(READY, self.taken);
        self.awaited = Some(Awaited { token, begin, ready, output: None });
    }

    /// Takes the answer that is waited for, once all of it is there.
    pub(crate) fn reply(&mut self, text: &[u8]) -> Option<Result<Reply, String>> {
        let awaited = self.awaited.as_mut()?;
        if awaited.output.is_none()
            && let Some(begin) = awaited.begin.look(text)
        {
            // Nothing may be printed: then the end of that line is the one before the answer's end.
            let end = Search::new(&format!("\n<<done {} ", awaited.token), begin.end);
            awaited.output = Some((begin.end, end));
        }
        let Some((start, end)) = &mut awaited.output else {
            awaited.ready.look(text)?;
            self.awaited = None;
            return Some(Err(format!("{READY} instead of an answer")));
        };
        let end = end.look(text)?;
        let length = find(&text[end.end..], b">>\n")?;
        let status = &text[end.end..end.end + length];
        let output = text[*start..end.start].to_vec();
        self.taken = end.end + length;
        self.awaited = None;
        let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
        let damaged = || format!("a damaged answer: {:?}", readable(&text[end.start..self.taken]));
        Some(status.map(|status| Reply { status, output }).ok_or_else(damaged))
    }
}

/// The host's end of the channel of one run of a machine.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    /// In all tokens: others may have talked to the same guest.
    name: u64,
    state: Mutex<State>,
}

/// Where the exchange stands.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) answers: Answers,
    sent: u32,
    /// The guest has said that it is ready.
    pub(crate) ready: bool,
    /// A script whose answer was given up on: it may run still.
    pub(crate) unanswered: Option<String>,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, name: RandomState::new().hash_one(0), state: Mutex::default() }
    }

    /// Takes the channel for one exchange.
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a script to the guest, which has said that it is ready.
    pub(crate) fn send(&self, state: &mut State, script: &str) -> Result<(), Error> {
        if script.len() > LONGEST_SCRIPT {
            let (has, may) = (script.len(), LONGEST_SCRIPT);
            return Err(Error::Description(format!("a script of {has} bytes; {may} fit the line")));
        }
        state.sent += 1;
        let token = format!("{:016x}-{}", self.name, state.sent);
        let text = format!("{script}\n<<run {token}>>\n");
        state.answers.expect(token);
        let sent = (&self.stream).write_all(text.as_bytes());
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

    fn waiting(token: &str) -> Answers {
        let mut answers = Answers::default();
        answers.expect(token.into());
        answers
    }

    #[test]
    fn garbage_before_and_between_the_answers_is_skipped() {
        let text = b"\0\xff[ 1.0] noise\nnoise<<ready>>\n[2.0]\n<<done t 0>>\nx <<begin t>>\nhi\n\n<<done t 3>>\nlate";
        let mut answers = Answers::default();
        assert_eq!(answers.ready(text), Some(()));
        assert_eq!(answers.reply(text), None);
        answers.expect("t".into());
        assert_eq!(answers.reply(text), Some(Ok(reply(3, b"hi\n"))));
        assert_eq!(answers.reply(text), None);
    }

    #[test]
    fn an_answer_without_output_is_an_answer() {
        let found = waiting("t").reply(b"<<begin t>>\n\n<<done t 0>>\n");
        assert_eq!(found, Some(Ok(reply(0, b""))));
    }

    #[test]
    fn an_answer_of_another_script_is_none() {
        let inner = b"<<begin u>>\n\n<<done u 0>>\n";
        assert_eq!(waiting("t").reply(inner), None);
        let text = [b"<<begin t>>\n".as_slice(), inner, b"\n<<done t 1>>\n"].concat();
        assert_eq!(waiting("t").reply(&text), Some(Ok(reply(1, inner))));
    }

    #[test]
    fn an_incomplete_answer_waits_for_its_end() {
        let text = b"<<begin t>>\nhi\n<<done t 0>>\n";
        let mut answers = waiting("t");
        for length in 0..text.len() {
            assert_eq!(answers.reply(&text[..length]), None, "{length}");
        }
        assert_eq!(answers.reply(text), Some(Ok(reply(0, b"hi"))));
    }

    #[test]
    fn damaged_answers_and_lost_scripts_are_named() {
        let found = waiting("t").reply(b"<<begin t>>\n\n<<done t x>>\n");
        assert!(matches!(&found, Some(Err(text)) if text.contains("<<done t x")), "{found:?}");
        assert!(matches!(waiting("t").reply(b"<<ready>>\n"), Some(Err(_))));
    }

    proptest! {
        #[test]
        fn a_flipped_byte_never_panics_and_never_hangs(at in 0usize..31, flip in 1u8..) {
            let mut text = *b"<<begin t>>\nhello\n<<done t 0>>\n";
            text[at] ^= flip;
            let mut answers = waiting("t");
            let _ = answers.reply(&text);
            prop_assert_eq!(answers.reply(&text), None);
        }

        #[test]
        fn what_the_guest_prints_comes_back(status in 0i32..256, output: Vec<u8>) {
            let text = [b"<<begin t>>\n", &*output, format!("\n<<done t {status}>>\n").as_bytes()].concat();
            prop_assert_eq!(waiting("t").reply(&text), Some(Ok(reply(status, &output))));
        }
    }
}
