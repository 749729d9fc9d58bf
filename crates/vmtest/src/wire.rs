//! What is heard from a guest: reader threads bring in its two serial lines, waits look at both.
//!
//! Both lines share one lock and one condition, so that a wait for the command channel also sees
//! the kernel panic on the console.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, Result};
use crate::limit::{Deadline, LAST_WORDS};
use crate::search::{AnyOf, line_around};

/// Everything heard since power on.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Bytes of ttyS0.
    pub(crate) console: Vec<u8>,
    /// Bytes of ttyS1.
    pub(crate) channel: Vec<u8>,
    open: usize,
}

/// Which serial line a thread reads.
pub(crate) enum Line {
    /// ttyS0, copied to the log.
    Console(File),
    /// ttyS1.
    Channel,
}

/// Why a wait ended without what was waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Both lines are closed: the machine has ended.
    Closed,
    /// A line on the console says that the guest has given up.
    GaveUp(String),
    /// The time limit was reached.
    TimeLimit,
}

/// The two serial lines of a running guest.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Wire {
    /// Starts a thread that reads `source` to its end.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn follow(
        self: &Arc<Self>,
        line: Line,
        source: impl Read + Send + 'static,
    ) -> Result<()> {
        self.lock().open += 1;
        let wire = Arc::clone(self);
        let thread = thread::Builder::new().name("vmtest-serial".into());
        thread
            .spawn(move || wire.read_all(line, source))
            .map(drop)
            .map_err(Error::io("starting a reader thread"))
    }

    fn read_all(&self, mut line: Line, mut source: impl Read) {
        let mut piece = [0; 16 << 10];
        loop {
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                // A killed QEMU resets the connection: the line is closed either way.
                Err(_) => break,
            };
            if let Line::Console(log) = &mut line {
                // A full disk must not end the test; the text in memory goes on.
                let _ = log.write_all(&piece[..read]);
            }
            let mut heard = self.lock();
            match line {
                Line::Console(_) => heard.console.extend_from_slice(&piece[..read]),
                Line::Channel => heard.channel.extend_from_slice(&piece[..read]),
            }
            self.changed.notify_all();
        }
        self.lock().open -= 1;
        self.changed.notify_all();
    }

    /// Waits until `look` finds something in what has been heard.
    ///
    /// After a line with one of the `fatal` patterns the guest gets a moment for its last words.
    pub(crate) fn wait<T>(
        &self,
        fatal: &[String],
        mut deadline: Deadline,
        mut look: impl FnMut(&Heard) -> Option<T>,
    ) -> std::result::Result<T, Stop> {
        let mut fatal = AnyOf::new(fatal.iter().map(String::as_str), 0);
        let mut gave_up_at = None;
        let mut heard = self.lock();
        loop {
            if let Some(found) = look(&heard) {
                return Ok(found);
            }
            if heard.open == 0 {
                return Err(Stop::Closed);
            }
            if gave_up_at.is_none() {
                gave_up_at = fatal.look(&heard.console).map(|(_, range)| range.start);
                if gave_up_at.is_some() {
                    deadline = deadline.but_at_most(LAST_WORDS);
                }
            }
            let Some(left) = deadline.left() else {
                let line = gave_up_at.map(|at| line_around(&heard.console, at));
                return Err(line.map_or(Stop::TimeLimit, Stop::GaveUp));
            };
            let woken = self.changed.wait_timeout(heard, left);
            heard = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives a look at everything heard so far.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::search::Search;

    fn wire() -> (Arc<Wire>, UnixStream) {
        let (ours, guests) = UnixStream::pair().unwrap();
        let wire = Arc::new(Wire::default());
        wire.follow(Line::Channel, ours).unwrap();
        (wire, guests)
    }

    #[test]
    fn wakes_up_for_a_match_that_is_split_over_two_writes() {
        let (wire, mut guest) = wire();
        guest.write_all(b"<<rea").unwrap();
        let writer = thread::spawn(move || {
            guest.write_all(b"dy>>\n").unwrap();
            guest
        });
        let mut search = Search::new("<<ready>>", 0);
        let limit = Deadline::exactly(Duration::from_secs(10));
        assert_eq!(wire.wait(&[], limit, |heard| search.look(&heard.channel)), Ok(0..9));
        drop(writer.join().unwrap());
    }

    #[test]
    fn says_that_the_line_is_closed_or_the_time_is_over() {
        let (wire, guest) = wire();
        let short = Deadline::exactly(Duration::from_millis(20));
        assert_eq!(wire.wait(&[], short, |_| None::<()>), Err(Stop::TimeLimit));
        drop(guest);
        let long = Deadline::exactly(Duration::from_secs(60));
        assert_eq!(wire.wait(&[], long, |_| None::<()>), Err(Stop::Closed));
    }

    #[test]
    fn a_panic_on_the_console_ends_the_wait_for_the_channel() {
        let (wire, _guest) = wire();
        wire.lock().console.extend(b"x\n[ 1.0] Kernel panic - not syncing: no init\n");
        let (fatal, begun) = (["Kernel panic".to_owned()], Instant::now());
        let limit = Deadline::exactly(Duration::from_secs(60));
        let stop = wire.wait(&fatal, limit, |heard| heard.channel.first().copied());
        assert_eq!(stop, Err(Stop::GaveUp("[ 1.0] Kernel panic - not syncing: no init".into())));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
