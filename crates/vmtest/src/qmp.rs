//! QEMU's monitor: commands go out as JSON lines, answers and events come back on a reader thread.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::limit::{Deadline, MONITOR};
use crate::size::Size;

/// The connection to one QEMU process.
#[derive(Debug)]
pub(crate) struct Monitor {
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
    events: Vec<Value>,
    closed: bool,
}

/// What QEMU has counted for one disk since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskStats {
    /// Bytes read by the guest.
    pub read: Size,
    /// Bytes written by the guest.
    pub written: Size,
    /// Bytes discarded by the guest.
    pub discarded: Size,
    /// Read requests.
    pub reads: u64,
    /// Write requests.
    pub writes: u64,
    /// Discard requests.
    pub discards: u64,
    /// Flush requests.
    pub flushes: u64,
}

impl DiskStats {
    /// Returns what was counted after `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            read: self.read.since(earlier.read),
            written: self.written.since(earlier.written),
            discarded: self.discarded.since(earlier.discarded),
            reads: self.reads.saturating_sub(earlier.reads),
            writes: self.writes.saturating_sub(earlier.writes),
            discards: self.discards.saturating_sub(earlier.discards),
            flushes: self.flushes.saturating_sub(earlier.flushes),
        }
    }

    /// Parses the `stats` of one entry of `query-blockstats`.
    fn parse(stats: &Value) -> Self {
        let count = |name: &str| stats[name].as_u64().unwrap_or(0);
        Self {
            read: Size::bytes(count("rd_bytes")),
            written: Size::bytes(count("wr_bytes")),
            discarded: Size::bytes(count("unmap_bytes")),
            reads: count("rd_operations"),
            writes: count("wr_operations"),
            discards: count("unmap_operations"),
            flushes: count("flush_operations"),
        }
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
            } else if message.get("event").is_some() {
                received.events.push(message);
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
    pub(crate) fn new(stream: UnixStream) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let (theirs, reader) = (Arc::clone(&inbox), stream.try_clone());
        let reader = reader.map_err(Error::io("duplicating the monitor's socket"))?;
        thread::Builder::new()
            .name("vmtest-monitor".into())
            .spawn(move || theirs.read_all(reader))
            .map_err(Error::io("starting a reader thread"))?;
        Ok(Self { stream, next: Mutex::default(), inbox })
    }

    /// Leaves the negotiation that every monitor begins with.
    pub(crate) fn negotiate(&self) -> Result<()> {
        self.execute("qmp_capabilities", &json!({})).map(drop)
    }

    /// Runs one command and returns what it returned.
    ///
    /// # Errors
    /// When QEMU refuses it, has ended, or does not answer in time.
    pub(crate) fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let id = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next
        };
        let refused = |answer: String| Error::Monitor { command: command.into(), answer };
        let line = json!({"execute": command, "arguments": arguments, "id": id}).to_string() + "\n";
        (&self.stream)
            .write_all(line.as_bytes())
            .map_err(Error::io(format!("sending {command} to QEMU")))?;
        let answer = self.inbox.wait(Deadline::after(MONITOR), |got| got.answers.remove(&id));
        let mut answer = answer.ok_or_else(|| refused("no answer".into()))?;
        match answer.get("error") {
            Some(error) => Err(refused(error["desc"].as_str().unwrap_or("no reason").to_owned())),
            None => Ok(answer["return"].take()),
        }
    }

    /// Presses the power button.
    pub(crate) fn system_powerdown(&self) -> Result<()> {
        self.execute("system_powerdown", &json!({})).map(drop)
    }

    /// Sets the size of the disk behind `node`.
    pub(crate) fn block_resize(&self, node: &str, size: Size) -> Result<()> {
        let arguments = json!({"node-name": node, "size": size.as_bytes()});
        self.execute("block_resize", &arguments).map(drop)
    }

    /// Returns the counters of the disk behind `node`.
    pub(crate) fn stats(&self, node: &str) -> Result<DiskStats> {
        let all = self.execute("query-blockstats", &json!({}))?;
        let mut entries = all.as_array().into_iter().flatten();
        let entry = entries.find(|entry| entry["node-name"] == node);
        entry.map(|entry| DiskStats::parse(&entry["stats"])).ok_or_else(|| Error::Monitor {
            command: "query-blockstats".into(),
            answer: format!("an answer without {node}"),
        })
    }

    /// Returns, once QEMU has ended, why it said that it would: `guest-shutdown`, `guest-reset`, …
    pub(crate) fn shutdown_reason(&self) -> Option<String> {
        self.inbox.wait(Deadline::after(MONITOR), |got| got.closed.then_some(()))?;
        let received = self.inbox.lock();
        let shutdown = received.events.iter().rev().find(|event| event["event"] == "SHUTDOWN")?;
        shutdown["data"]["reason"].as_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A monitor and a thread that plays QEMU: it reads `answers.len()` commands, then hangs up.
    fn played(answers: &'static [&'static str]) -> (Monitor, thread::JoinHandle<Vec<String>>) {
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
        let error = monitor.block_resize("disk7", Size::mib(1)).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused block_resize: no such node");
        assert_eq!(monitor.shutdown_reason().as_deref(), Some("guest-shutdown"));
        assert!(qemu.join().unwrap()[1].contains("\"size\":1048576"));
    }

    #[test]
    fn a_monitor_that_hangs_up_gives_no_answer() {
        let (monitor, _qemu) = played(&["{\"QMP\":{}}\n"]);
        assert!(monitor.negotiate().unwrap_err().to_string().contains("no answer"));
        assert_eq!(monitor.shutdown_reason(), None);
    }
}
