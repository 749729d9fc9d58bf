//! The agent that runs in a guest, qemu-ga: commands go out as JSON lines on the socket of its port, answers come back.
//!
//! Nothing that a guest says is believed beyond the answer that is asked for, and everything has a limit: a guest may say
//! nothing, or anything, for ever.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deadline::Deadline;
use crate::error::{Error, Result};

/// The longest answer of ours that an agent gives; a longer one is none.
const LONGEST: usize = 1 << 16;
/// The byte that stands before the answer to `guest-sync-delimited`: no JSON has it.
const SENTINEL: u8 = 0xff;
/// After how long an agent is asked again whether it is there: it may have begun since.
const AGAIN: Duration = Duration::from_secs(1);

/// The connection to an agent.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    heard: Vec<u8>,
    /// What the next synchronisation is numbered.
    next: u64,
}

impl Agent {
    /// Connects to the port that an agent has in the guest. Whether there is one is not known by that.
    ///
    /// # Errors
    /// Nobody listens, or somebody else is connected.
    pub fn connect(socket: &Path) -> Result<Self> {
        let doing = format!("connecting to {}", socket.display());
        let stream = UnixStream::connect(socket).map_err(Error::io(doing))?;
        // What a client before this one has asked may be answered now.
        let next = u64::from(std::process::id()) << 16;
        Ok(Self { stream, heard: Vec::new(), next })
    }

    /// Waits until the agent answers, and skips what it has said before.
    ///
    /// # Errors
    /// It does not answer before the deadline.
    pub fn wait(&mut self, deadline: Deadline) -> Result<()> {
        loop {
            match self.synchronise(deadline.but_at_most(AGAIN)) {
                Err(Error::Agent { .. }) if deadline.left().is_some() => {}
                other => return other,
            }
        }
    }

    fn synchronise(&mut self, deadline: Deadline) -> Result<()> {
        self.next += 1;
        let id = self.next;
        // The byte ends whatever the agent has heard half of.
        self.send(&[SENTINEL])?;
        self.say("guest-sync-delimited", &json!({"id": id}))?;
        loop {
            let line = self.line("guest-sync-delimited", deadline)?;
            let start = line.iter().rposition(|byte| *byte == SENTINEL).map_or(0, |at| at + 1);
            let answer = serde_json::from_slice::<Value>(&line[start..]);
            if answer.is_ok_and(|answer| answer["return"] == id) {
                return Ok(());
            }
        }
    }

    /// Runs one command of the agent, and returns what it returned.
    ///
    /// # Errors
    /// The agent refuses, or does not answer before the deadline.
    pub fn execute(
        &mut self,
        command: &str,
        arguments: &Value,
        deadline: Deadline,
    ) -> Result<Value> {
        self.say(command, arguments)?;
        let line = self.line(command, deadline)?;
        let refused = |why: &str| did(format!("refused {command}: {why}"));
        let mut answer: Value =
            serde_json::from_slice(&line).map_err(|_| refused("an answer that is no JSON"))?;
        match answer.get("error") {
            Some(error) => Err(refused(error["desc"].as_str().unwrap_or("no reason"))),
            None => Ok(answer["return"].take()),
        }
    }

    /// Has the guest write out its file systems, and write no more. [`Agent::thaw`] ends that. The agent has just answered,
    /// by [`Agent::wait`]: one that did not is told nothing, and holds nothing later.
    ///
    /// # Errors
    /// As for [`Agent::execute`]; it may be done all the same, or later.
    pub fn freeze(&mut self, deadline: Deadline) -> Result<()> {
        self.execute("guest-fsfreeze-freeze", &json!({}), deadline).map(drop)
    }

    /// Lets the guest write to its file systems.
    ///
    /// # Errors
    /// As for [`Agent::execute`].
    pub fn thaw(&mut self, deadline: Deadline) -> Result<()> {
        // What was given up on may be answered now.
        self.wait(deadline)?;
        self.execute("guest-fsfreeze-thaw", &json!({}), deadline).map(drop)
    }

    fn say(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let message = json!({"execute": command, "arguments": arguments});
        self.send(format!("{message}\n").as_bytes())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        // A port that nobody reads takes some, and then nothing.
        let limited = self.stream.set_write_timeout(Some(AGAIN));
        limited.and_then(|()| self.stream.write_all(bytes)).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => did("reads nothing".into()),
            _ => Error::io("talking to the guest's agent")(error),
        })
    }

    /// Returns the next line that is not empty.
    fn line(&mut self, command: &str, deadline: Deadline) -> Result<Vec<u8>> {
        loop {
            // Also where there is always something to be heard.
            let Some(left) = deadline.left() else {
                return Err(did(format!("does not answer {command}")));
            };
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    return Ok(line);
                }
                continue;
            }
            if self.heard.len() > LONGEST {
                self.heard.clear();
            }
            let mut bytes = [0; 4096];
            let limited = self.stream.set_read_timeout(Some(left));
            match limited.and_then(|()| self.stream.read(&mut bytes)) {
                Ok(0) => {
                    return Err(Error::io("talking to the guest's agent")(
                        ErrorKind::UnexpectedEof.into(),
                    ));
                }
                Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(Error::io("talking to the guest's agent")(error)),
            }
        }
    }
}

fn did(did: String) -> Error {
    Error::Agent { did }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    fn soon() -> Deadline {
        Deadline::exactly(Duration::from_secs(10))
    }

    /// Plays an agent that says `noise` first, answers synchronisations, and everything else by `answer`.
    fn played(
        noise: &'static [u8],
        answer: &'static str,
    ) -> (Agent, thread::JoinHandle<Vec<String>>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let play = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(noise).unwrap();
            let mut heard = Vec::new();
            let mut commands = BufReader::new(stream.try_clone().unwrap());
            loop {
                let mut line = Vec::new();
                if commands.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                    return heard;
                }
                let line: Vec<u8> = line.into_iter().filter(|byte| *byte != SENTINEL).collect();
                let said: Value = serde_json::from_slice(&line).unwrap();
                heard.push(said["execute"].as_str().unwrap().to_owned());
                let answer = match &said["arguments"]["id"] {
                    Value::Null => format!("{answer}\n").into_bytes(),
                    id => [&[SENTINEL], format!("{{\"return\": {id}}}\n").as_bytes()].concat(),
                };
                stream.write_all(&answer).unwrap();
            }
        });
        let agent = Agent::connect(&socket).unwrap();
        (agent, play)
    }

    #[test]
    fn what_an_agent_said_to_others_is_skipped() {
        let noise = b"{\"return\": 3}\n{\"error\": {\"desc\": \"no JSON\"}}\nhalf of a li";
        let (mut agent, play) = played(noise, "{\"return\": 2}");
        agent.wait(soon()).unwrap();
        agent.freeze(soon()).unwrap();
        agent.thaw(soon()).unwrap();
        drop(agent);
        let sync = "guest-sync-delimited";
        let wanted = [sync, "guest-fsfreeze-freeze", sync, "guest-fsfreeze-thaw"];
        assert_eq!(play.join().unwrap(), wanted);
    }

    #[test]
    fn an_agent_that_refuses_has_a_reason() {
        let (mut agent, _play) = played(b"", "{\"error\": {\"desc\": \"not here\"}}");
        let error = agent.freeze(soon()).unwrap_err();
        assert!(error.to_string().contains("guest-fsfreeze-freeze: not here"), "{error}");
    }

    #[test]
    fn an_agent_that_never_ends_is_not_listened_to_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"{\"return\": 1}\n").is_ok() {}
        });
        let mut agent = Agent::connect(&socket).unwrap();
        assert!(agent.wait(Deadline::exactly(Duration::from_millis(100))).is_err());
    }

    #[test]
    fn an_agent_that_is_not_there_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let _listener = UnixListener::bind(&socket).unwrap();
        let mut agent = Agent::connect(&socket).unwrap();
        let error = agent.wait(Deadline::exactly(Duration::from_millis(50))).unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
    }
}
