//! Who talks to a supervisor: a socket that is listened to, and everything that happens, in one line.

use super::news::{Heard, News, Request, say};
use crate::error::{Error, Result};
use nix::sys::signal::{SigSet, Signal};
use qemu::{Deadline, Event, Monitor};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

/// How many clients are listened to; more wait.
const MOST_CLIENTS: usize = 64;
/// The number of whoever asked for the start.
pub(super) const ASKER: u64 = 0;

/// Something that a supervisor acts on.
#[derive(Debug)]
pub(super) enum Happened {
    /// The machine.
    Event(Event),
    /// QEMU has hung up.
    Closed,
    /// There is a client.
    Came(u64, UnixStream),
    /// A client wants something.
    Asked(u64, Request),
    /// A client is gone.
    Left(u64),
    /// QEMU has been told to end some time ago.
    Overdue,
    /// A machine that is to stand ready has run for long enough.
    Warm,
    /// A machine that stands still may go on by now.
    Retry,
    /// This process was told to end.
    Told,
    /// That was some time ago.
    Again,
}

/// The clients, and what happens.
#[derive(Debug)]
pub(super) struct Control {
    happened: Receiver<Happened>,
    tell: Sender<Happened>,
    clients: BTreeMap<u64, Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    discard: bool,
}

impl Control {
    /// Begins with whoever asked for the start.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn new(asker: UnixStream) -> Result<Self> {
        let (tell, happened) = mpsc::channel();
        let mut control = Self { happened, tell, clients: BTreeMap::new() };
        control.meet(ASKER, asker)?;
        Ok(control)
    }

    /// Has the signals that tell a process to end heard here. All threads are to block them: see [`block`].
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn hear_signals(&self) -> Result<()> {
        let signals = signals();
        let tell = self.tell.clone();
        begin(
            "signals",
            move || {
                while signals.wait().is_ok() && tell.send(Happened::Told).is_ok() {}
            },
        )
    }

    /// Listens for more clients.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(super) fn listen(&self, path: &Path) -> Result<()> {
        let listener = UnixListener::bind(path)
            .map_err(Error::doing(format!("make socket {}", path.display())))?;
        let tell = self.tell.clone();
        begin("clients", move || {
            for (number, stream) in (ASKER + 1..).zip(listener.incoming()) {
                // Without descriptors for more, those who are there go on.
                let Ok(stream) = stream else { return };
                if tell.send(Happened::Came(number, stream)).is_err() {
                    return;
                }
            }
        })
    }

    /// Follows what QEMU says.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn follow(&self, monitor: &Arc<Monitor>) -> Result<()> {
        let (tell, monitor) = (self.tell.clone(), Arc::clone(monitor));
        begin("events", move || {
            loop {
                // What it said last is heard after it has hung up.
                let closed = monitor.is_closed();
                let happened = match monitor.event(Deadline::exactly(Duration::from_secs(3600))) {
                    Some(event) => Happened::Event(event),
                    None if closed => break,
                    None => continue,
                };
                if tell.send(happened).is_err() {
                    return;
                }
            }
            let _ = tell.send(Happened::Closed);
        })
    }

    /// Returns what happens next. Clients come and go by themselves.
    pub(super) fn next(&mut self) -> Option<Happened> {
        loop {
            match self.happened.recv().ok()? {
                Happened::Came(number, stream) => {
                    if self.clients.len() < MOST_CLIENTS
                        && let Err(error) = self.meet(number, stream)
                    {
                        log::warn!("a client is not listened to: {error}");
                    }
                }
                Happened::Asked(number, Request::Discard) => {
                    log::info!("client {number} asks to drop what is written");
                    if let Some(client) = self.clients.get_mut(&number) {
                        client.discard = true;
                        say(&client.stream, &News::Noted);
                    }
                }
                Happened::Left(number) => {
                    self.clients.remove(&number);
                    return Some(Happened::Left(number));
                }
                other => return Some(other),
            }
        }
    }

    /// Returns whether somebody who still listens wants what was written to be dropped.
    pub(super) fn discard(&mut self) -> bool {
        // Whoever is gone may have left without our having looked.
        while let Ok(happened) = self.happened.try_recv() {
            if let Happened::Left(number) = happened {
                self.clients.remove(&number);
            }
        }
        self.clients.values().any(|client| client.discard)
    }

    /// Has something happen after some time.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn later(&self, time: Duration, happened: Happened) -> Result<()> {
        let tell = self.tell.clone();
        begin("later", move || {
            thread::sleep(time);
            let _ = tell.send(happened);
        })
    }

    /// Tells one client.
    pub(super) fn answer(&self, number: u64, what: &impl Serialize) {
        if let Some(client) = self.clients.get(&number) {
            say(&client.stream, what);
        }
    }

    /// Tells all clients.
    pub(super) fn tell(&self, what: &impl Serialize) {
        for client in self.clients.values() {
            say(&client.stream, what);
        }
    }

    fn meet(&mut self, number: u64, stream: UnixStream) -> Result<()> {
        // A client that does not read must not keep the volumes from being stopped.
        let limit = Some(Duration::from_secs(5));
        stream.set_write_timeout(limit).map_err(Error::doing("listen to a client"))?;
        let mut heard = Heard::new(&stream)?;
        let tell = self.tell.clone();
        begin("client", move || {
            while let Some(request) = heard.next::<Request>() {
                if tell.send(Happened::Asked(number, request)).is_err() {
                    return;
                }
            }
            let _ = tell.send(Happened::Left(number));
        })?;
        self.clients.insert(number, Client { stream, discard: false });
        Ok(())
    }
}

fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT].into_iter().collect()
}

/// Blocks the signals that tell a process to end, for this thread and those that it starts.
///
/// # Errors
/// The kernel's.
pub(super) fn block() -> Result<()> {
    signals().thread_block().map_err(|errno| Error::doing("block signals")(errno.into()))
}

fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map(drop)
        .map_err(Error::doing("start a thread"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::qemu::news::Report;

    fn control() -> (Control, UnixStream) {
        let (asker, ours) = UnixStream::pair().unwrap();
        (Control::new(ours).unwrap(), asker)
    }

    #[test]
    fn whoever_asked_to_discard_must_still_be_there() {
        let (mut control, asker) = control();
        say(&asker, &Request::Discard);
        say(&asker, &Request::Go);
        assert!(matches!(control.next(), Some(Happened::Asked(ASKER, Request::Go))));
        assert_eq!(Heard::new(&asker).unwrap().next::<News>(), Some(News::Noted));
        assert!(control.discard());
        drop(asker);
        assert!(matches!(control.next(), Some(Happened::Left(ASKER))));
        assert!(!control.discard());
    }

    #[test]
    fn every_client_hears_of_the_end() {
        let (mut control, asker) = control();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("supervisor");
        control.listen(&path).unwrap();
        let other = UnixStream::connect(&path).unwrap();
        say(&other, &Request::Go);
        assert!(matches!(control.next(), Some(Happened::Asked(1, Request::Go))));
        control.tell(&News::Ended(Report::default()));
        for client in [&asker, &other] {
            let news = Heard::new(client).unwrap().next::<News>();
            assert_eq!(news, Some(News::Ended(Report::default())));
        }
    }
}
