//! QEMU's monitor: commands go out as JSON lines, answers and events come back on a reader thread.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};

use crate::deadline::Deadline;
use crate::error::{Error, Result};

/// For an answer of QEMU.
const LIMIT: Duration = Duration::from_secs(20);
/// How many events wait to be looked at; the oldest go first. A guest can cause as many as it likes.
const MOST_EVENTS: usize = 1000;

/// The connection to one QEMU process.
#[derive(Debug)]
pub struct Monitor {
    stream: UnixStream,
    next: Mutex<u64>,
    inbox: Arc<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    received: Mutex<Received>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Received {
    answers: HashMap<u64, Value>,
    events: VecDeque<Event>,
    closed: bool,
}

/// Something that has happened to the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `SHUTDOWN`, `RESET`, …
    pub name: String,
    /// What QEMU says of it; `Null` when that is nothing.
    pub data: Value,
}

impl Event {
    fn parse(message: &Value) -> Option<Self> {
        Some(Self { name: message["event"].as_str()?.to_owned(), data: message["data"].clone() })
    }

    /// Returns why the machine shuts down, if this event says so: `guest-shutdown`, `host-signal`, …
    #[must_use]
    pub fn shutdown_reason(&self) -> Option<&str> {
        (self.name == "SHUTDOWN").then(|| self.data["reason"].as_str().unwrap_or("no reason"))
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_all(&self, stream: UnixStream) {
        for line in BufReader::new(stream).lines().map_while(std::io::Result::ok) {
            let Ok(message) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let mut received = self.lock();
            if let Some(id) = message["id"].as_u64() {
                received.answers.insert(id, message);
            } else if let Some(event) = Event::parse(&message) {
                if received.events.len() == MOST_EVENTS {
                    received.events.pop_front();
                }
                received.events.push_back(event);
            }
            self.changed.notify_all();
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn wait<T>(
        &self,
        deadline: Deadline,
        mut look: impl FnMut(&mut Received) -> Option<T>,
    ) -> Option<T> {
        let mut received = self.lock();
        loop {
            if let Some(found) = look(&mut received) {
                return Some(found);
            }
            if received.closed {
                return None;
            }
            let woken = self.changed.wait_timeout(received, deadline.left()?);
            received = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Monitor {
    /// Starts the conversation on a connected socket.
    ///
    /// # Errors
    /// When the socket cannot be duplicated, or no thread started.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let (theirs, reader) = (Arc::clone(&inbox), stream.try_clone());
        let reader = reader.map_err(Error::io("duplicating the monitor's socket"))?;
        thread::Builder::new()
            .name("monitor".into())
            .spawn(move || theirs.read_all(reader))
            .map_err(Error::io("starting a reader thread"))?;
        Ok(Self { stream, next: Mutex::default(), inbox })
    }

    /// Leaves the negotiation that every monitor begins with.
    ///
    /// # Errors
    /// As for [`Monitor::execute`].
    pub fn negotiate(&self) -> Result<()> {
        self.execute("qmp_capabilities", &json!({})).map(drop)
    }

    /// Runs one command and returns what it returned.
    ///
    /// # Errors
    /// When QEMU refuses it, has ended, or does not answer in time.
    pub fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        self.ask(command, arguments, None)
    }

    /// Gives QEMU a descriptor of its own for the same open file, by a name that its commands know it by.
    ///
    /// # Errors
    /// As for [`Monitor::execute`].
    pub fn give(&self, name: &str, file: impl AsFd) -> Result<()> {
        self.ask("getfd", &json!({"fdname": name}), Some(file.as_fd())).map(drop)
    }

    fn ask(&self, command: &str, arguments: &Value, file: Option<BorrowedFd<'_>>) -> Result<Value> {
        let refused = |answer: String| Error::Monitor { command: command.into(), answer };
        let id = self.send(command, arguments, true, file)?;
        let answer = self.inbox.wait(Deadline::after(LIMIT), |got| got.answers.remove(&id));
        let mut answer = answer.ok_or_else(|| refused("no answer".into()))?;
        match answer.get("error") {
            Some(error) => Err(refused(error["desc"].as_str().unwrap_or("no reason").to_owned())),
            None => Ok(answer["return"].take()),
        }
    }

    /// Sends a command and does not wait for an answer.
    ///
    /// # Errors
    /// When QEMU has ended.
    pub fn tell(&self, command: &str, arguments: &Value) -> Result<()> {
        self.send(command, arguments, false, None).map(drop)
    }

    /// Sends a command, and a descriptor beside it; its answer has a number only where somebody waits for it.
    fn send(
        &self,
        command: &str,
        arguments: &Value,
        numbered: bool,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<u64> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut message = json!({"execute": command, "arguments": arguments});
        if numbered {
            *next += 1;
            message["id"] = json!(*next);
        }
        // One line after the other, whoever sends them.
        let line = format!("{message}\n");
        let sent = match file {
            Some(file) => send_beside(&self.stream, line.as_bytes(), file),
            None => (&self.stream).write_all(line.as_bytes()),
        };
        sent.map_err(Error::io(format!("sending {command} to QEMU")))?;
        Ok(*next)
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// As for [`Monitor::execute`].
    pub fn system_powerdown(&self) -> Result<()> {
        self.execute("system_powerdown", &json!({})).map(drop)
    }

    /// Sets the size of the disk behind `node`, in bytes.
    ///
    /// # Errors
    /// As for [`Monitor::execute`].
    pub fn block_resize(&self, node: &str, size: u64) -> Result<()> {
        let arguments = json!({"node-name": node, "size": size});
        self.execute("block_resize", &arguments).map(drop)
    }

    /// Waits for the next event; `None` when QEMU has hung up or the deadline comes first.
    pub fn event(&self, deadline: Deadline) -> Option<Event> {
        self.inbox.wait(deadline, |got| got.events.pop_front())
    }

    /// Returns whether QEMU has hung up.
    pub fn is_closed(&self) -> bool {
        self.inbox.lock().closed
    }

    /// Returns, once QEMU has ended, why it said that it would: `guest-shutdown`, `guest-reset`, …
    pub fn shutdown_reason(&self) -> Option<String> {
        self.inbox.wait(Deadline::after(LIMIT), |got| got.closed.then_some(()))?;
        let received = self.inbox.lock();
        received.events.iter().rev().find_map(Event::shutdown_reason).map(str::to_owned)
    }
}

impl Drop for Monitor {
    /// Lets the next client have the monitor: the reader thread has the socket open, too.
    fn drop(&mut self) {
        // Fails where QEMU has hung up.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Sends a line and a descriptor, which arrives with the line's first byte.
fn send_beside(mut stream: &UnixStream, line: &[u8], file: BorrowedFd<'_>) -> std::io::Result<()> {
    let descriptors = [file.as_raw_fd()];
    let beside = [ControlMessage::ScmRights(&descriptors)];
    let parts = [IoSlice::new(line)];
    let sent = sendmsg::<()>(stream.as_raw_fd(), &parts, &beside, MsgFlags::empty(), None)?;
    stream.write_all(line.get(sent..).unwrap_or_default())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A monitor and a thread that plays QEMU: it reads `answers.len()` commands, then hangs up.
    pub(crate) fn played(
        answers: &'static [&'static str],
    ) -> (Monitor, thread::JoinHandle<Vec<String>>) {
        let (ours, mut qemu) = UnixStream::pair().unwrap();
        let play = move || {
            let mut commands = BufReader::new(qemu.try_clone().unwrap()).lines();
            let answer = |answer: &&str| {
                let command = commands.next().unwrap().unwrap();
                qemu.write_all(answer.as_bytes()).unwrap();
                command
            };
            answers.iter().map(answer).collect()
        };
        (Monitor::new(ours).unwrap(), thread::spawn(play))
    }

    #[test]
    fn answers_are_told_from_events_greetings_and_noise() {
        let (monitor, qemu) = played(&[
            "{\"QMP\":{}}\nnoise\n{\"event\":\"RESUME\"}\n{\"return\":{},\"id\":1}\n",
            "{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-shutdown\"}}\n\
             {\"error\":{\"class\":\"GenericError\",\"desc\":\"no such node\"},\"id\":2}\n",
        ]);
        monitor.negotiate().unwrap();
        let error = monitor.block_resize("disk7", 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused block_resize: no such node");
        assert_eq!(monitor.shutdown_reason().as_deref(), Some("guest-shutdown"));
        assert!(qemu.join().unwrap()[1].contains("\"size\":1048576"));
    }

    #[test]
    fn a_descriptor_arrives_beside_its_command() {
        use nix::sys::socket::{ControlMessageOwned, recvmsg};
        let (ours, theirs) = UnixStream::pair().unwrap();
        let monitor = Monitor::new(ours).unwrap();
        let qemu = thread::spawn(move || {
            let mut line = [0; 200];
            let mut space = nix::cmsg_space!([std::os::fd::RawFd; 2]);
            let mut parts = [std::io::IoSliceMut::new(&mut line)];
            let fd = theirs.as_raw_fd();
            let got = recvmsg::<()>(fd, &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
            let given = got.cmsgs().unwrap().map(|beside| match beside {
                ControlMessageOwned::ScmRights(given) => given.len(),
                _ => 0,
            });
            let given = given.sum::<usize>();
            (&theirs).write_all(b"{\"return\":{},\"id\":1}\n").unwrap();
            (given, String::from_utf8_lossy(&line).contains("\"fdname\":\"memory\""))
        });
        monitor.give("memory", tempfile::tempfile().unwrap()).unwrap();
        assert_eq!(qemu.join().unwrap(), (1, true));
    }

    #[test]
    fn a_monitor_that_hangs_up_gives_no_answer() {
        let (monitor, _qemu) = played(&["{\"QMP\":{}}\n"]);
        assert!(monitor.negotiate().unwrap_err().to_string().contains("no answer"));
        assert_eq!(monitor.shutdown_reason(), None);
    }
}
