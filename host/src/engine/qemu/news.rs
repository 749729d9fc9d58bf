//! What a supervisor and its clients say to each other: one JSON value a line, on a stream socket.

use super::readable::is_readable;
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeId},
    pool::driver::Outcome,
};
use qemu::Deadline;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};
use uuid::Uuid;

/// The longest line; a longer one is nobody's of ours.
const LONGEST: u64 = 1 << 20;

/// What a supervisor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum News {
    /// Which VM it is: of one that is made for this run nobody knew that.
    Named(VmName),
    /// Something was settled on the way.
    Said(String),
    /// QEMU is there with this number, and waits for [`Request::Go`].
    Started(u32),
    /// The VM was not started, and nothing of the start is left.
    Failed(Failure),
    /// The machine runs.
    Running,
    /// [`Request::Discard`] was heard.
    Noted,
    /// The answer to [`Request::Look`] and [`Request::Powerdown`]: why the machine stands still, if it does.
    Paused(Option<String>),
    /// The answer to [`Request::Go`]: whether it is the machine of whoever asked.
    Handed(bool),
    /// The answer to [`Request::Snapshot`] and [`Request::Savestate`]: what was taken.
    Took(Uuid),
    /// The other answer to these: why not. The machine goes on.
    Refused(Failure),
    /// The VM has ended, its volumes are stopped, and it can be started again.
    Ended(Report),
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Request {
    /// The machine is to run. From whoever asked for the start, or the first who wants one that stands ready.
    Go,
    /// A snapshot is to be taken.
    Snapshot {
        /// What a person calls it.
        label: Option<String>,
        /// Whether it has the memory, too.
        memory: bool,
    },
    /// A savestate is to be taken: a hot one for the VM named, else one of this VM.
    Savestate(Option<VmName>),
    /// The guest is to shut down.
    Powerdown,
    /// This client wants to know whether the machine stands still.
    Look,
    /// The machine is to end at once.
    Quit,
    /// What the VM wrote is to be dropped when it ends while this client still listens.
    Discard,
}

/// How a VM ended, and what became of its volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Why it was cut off; `None` when the guest shut down.
    pub cut: Option<String>,
    /// What became of its volumes.
    volumes: Vec<Told>,
    /// Why its volumes could not be stopped.
    pub failure: Option<Failure>,
    /// Where QEMU's last words are, when it was cut off.
    pub log: Option<PathBuf>,
    /// What the end has made possible: versions that were due, VMs that waited to be removed.
    #[serde(default)]
    pub said: Vec<String>,
}

impl Report {
    /// Returns one without volumes yet.
    pub(super) fn new(cut: Option<String>, log: Option<PathBuf>) -> Self {
        Self { cut, log, ..Self::default() }
    }

    /// Returns what became of the volumes.
    #[must_use]
    pub fn outcomes(&self) -> Vec<(VolumeId, Outcome)> {
        self.volumes.iter().filter_map(Told::heard).collect()
    }

    /// Says what became of the volumes.
    pub(super) fn tell(&mut self, outcomes: &[(VolumeId, Outcome)]) {
        self.volumes = outcomes.iter().map(|(id, outcome)| Told::new(id, *outcome)).collect();
    }
}

/// What became of a volume, on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    volume: String,
    outcome: Word,
    /// The revision that the version before is kept as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

/// [`Outcome`] in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Committed,
    Unchanged,
    Kept,
    Discarded,
    Forgotten,
}

impl Told {
    fn new(id: &VolumeId, outcome: Outcome) -> Self {
        let (word, kept) = match outcome {
            Outcome::Committed(kept) => (Word::Committed, kept),
            Outcome::Unchanged => (Word::Unchanged, None),
            Outcome::Kept => (Word::Kept, None),
            Outcome::Discarded => (Word::Discarded, None),
            Outcome::Forgotten => (Word::Forgotten, None),
        };
        Self { volume: id.to_string(), outcome: word, kept: kept.as_ref().map(ToString::to_string) }
    }

    fn heard(&self) -> Option<(VolumeId, Outcome)> {
        let outcome = match self.outcome {
            Word::Committed => {
                Outcome::Committed(self.kept.as_deref().and_then(|text| text.parse().ok()))
            }
            Word::Unchanged => Outcome::Unchanged,
            Word::Kept => Outcome::Kept,
            Word::Discarded => Outcome::Discarded,
            Word::Forgotten => Outcome::Forgotten,
        };
        Some((self.volume.parse().ok()?, outcome))
    }
}

/// An error on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whether a value was not understood.
    invalid: bool,
    /// The error with its causes.
    text: String,
    /// What to do.
    hint: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let invalid =
            matches!(error, Error::Refused(refusal) if refusal.kind == RefusalKind::Invalid);
        Self { invalid, text: error.chain(), hint: error.hint().map(str::to_owned) }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = if failure.invalid { RefusalKind::Invalid } else { RefusalKind::Unable };
        Refusal { kind, text: failure.text, hint: failure.hint }.into()
    }
}

/// Says something. A listener that is gone hears nothing, which is no failure of ours.
pub(super) fn say(mut stream: &UnixStream, what: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(what) {
        let _ = stream.write_all(format!("{line}\n").as_bytes());
    }
}

/// What is heard on a stream, line by line.
#[derive(Debug)]
pub(super) struct Heard(BufReader<UnixStream>);

impl Heard {
    /// Listens to a stream.
    pub(super) fn new(stream: &UnixStream) -> Result<Self> {
        let stream = stream.try_clone().map_err(Error::doing("listen to a supervisor"))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Waits until something is said, or the other end is gone; `false` when the deadline comes first.
    pub(super) fn wait(&self, deadline: Deadline) -> bool {
        !self.0.buffer().is_empty() || is_readable(self.0.get_ref(), deadline)
    }

    /// Returns what is said next, `None` when the other end is gone or says nonsense.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut line = String::new();
        let read = self.0.by_ref().take(LONGEST).read_line(&mut line);
        match read {
            Ok(length) if length > 0 => serde_json::from_str(&line).ok(),
            _ => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_said_is_heard_and_nonsense_is_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let error = Error::from(Refusal::new(RefusalKind::Invalid, "no").hint("yes"));
        let said = [
            News::Said("x was settled\nindeed".into()),
            News::Started(7),
            News::Failed(Failure::from(&error)),
            News::Ended(Report { cut: Some("why".into()), ..Report::default() }),
        ];
        said.iter().for_each(|news| say(&ours, news));
        say(&ours, &"nonsense");
        let mut heard = Heard::new(&theirs).unwrap();
        for news in &said {
            assert_eq!(heard.next::<News>().as_ref(), Some(news));
        }
        assert_eq!(heard.next::<News>(), None);
        drop(ours);
        assert_eq!(heard.next::<News>(), None);
    }

    #[test]
    fn an_error_keeps_its_causes_its_hint_and_whether_it_was_a_value() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let failed = Error::from(Failure::from(&Error::doing("link a as b")(full)));
        assert_eq!(failed.to_string(), "cannot link a as b: no storage space");
        let refused = Refusal::new(RefusalKind::Invalid, "no").hint("yes");
        assert!(matches!(
            Error::from(Failure::from(&Error::from(refused.clone()))),
            Error::Refused(found) if found == refused
        ));
    }

    #[test]
    fn what_became_of_volumes_arrives_as_it_was() {
        let id = |text: &str| text.parse().unwrap();
        let revision = "2@2026-11-20T10:00:00Z".parse().ok();
        let outcomes = [
            (id("debian:root"), Outcome::Committed(revision)),
            (id("debian:private"), Outcome::Committed(None)),
            (id("work:root"), Outcome::Forgotten),
            (id("work:private"), Outcome::Unchanged),
            (id("a:private"), Outcome::Kept),
            (id("b:private"), Outcome::Discarded),
        ];
        let mut report = Report::default();
        report.tell(&outcomes);
        let text = serde_json::to_string(&report).unwrap();
        let heard: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(heard.outcomes(), outcomes);
    }

    #[test]
    fn a_wait_ends_at_its_deadline_at_a_word_and_at_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut heard = Heard::new(&theirs).unwrap();
        assert!(!heard.wait(Deadline::exactly(Duration::from_millis(20))));
        let long = Deadline::exactly(Duration::from_secs(60));
        say(&ours, &News::Noted);
        say(&ours, &News::Running);
        for news in [News::Noted, News::Running] {
            assert!(heard.wait(long));
            assert_eq!(heard.next(), Some(news));
        }
        drop(ours);
        assert!(heard.wait(long));
        assert_eq!(heard.next::<News>(), None);
    }

    #[test]
    fn a_listener_that_is_gone_is_no_failure() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        say(&ours, &Request::Go);
    }
}
