//! File locks: an exclusive one that is waited for, with a bound, and a shared one.

use crate::{alarm::Alarm, outcome::check};
use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// Locks an open file exclusively (`flock(2)`), waiting at most `patience`. The lock lasts until the
/// file is closed.
///
/// `flock` has no limit of its own, and a close is reported by inotify before the lock ends, so an
/// An alarm interrupts the wait.
///
/// # Errors
/// `TimedOut` when somebody else kept it locked for that long.
pub fn exclusive(file: &File, patience: Duration) -> io::Result<()> {
    match flock(file, libc::LOCK_EX | libc::LOCK_NB) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        decided => return decided,
    }
    let deadline = Instant::now() + patience;
    let _alarm = Alarm::ring_from(patience)?;
    loop {
        match flock(file, libc::LOCK_EX) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if Instant::now() >= deadline {
                    let text =
                        format!("somebody else has had it locked for {} s", patience.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
            }
            decided => return decided,
        }
    }
}

/// Locks an open file exclusively (`flock(2)`), at once or not at all. The lock lasts until all descriptors of this
/// opening are closed, those that other programs inherited too.
///
/// # Errors
/// `WouldBlock` when somebody else has it locked.
pub fn exclusive_at_once(file: &File) -> io::Result<()> {
    flock(file, libc::LOCK_EX | libc::LOCK_NB)
}

/// Like [`exclusive_at_once`], waiting however long it takes.
///
/// # Errors
/// `Interrupted` by a signal with a handler.
pub fn exclusive_at_last(file: &File) -> io::Result<()> {
    flock(file, libc::LOCK_EX)
}

/// Locks an open file together with others who share the lock (`flock(2)`), at once or not at all. The
/// lock lasts until the file is closed.
///
/// # Errors
/// `WouldBlock` when somebody has it locked exclusively.
pub fn shared(file: &File) -> io::Result<()> {
    flock(file, libc::LOCK_SH | libc::LOCK_NB)
}

fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as the file is borrowed.
    check(unsafe { libc::flock(file.as_raw_fd(), operation) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    fn open_twice(name: &str) -> (File, File) {
        let path = std::env::temp_dir().join(format!("ebbtide-{name}-{}", std::process::id()));
        let files = (File::create(&path).unwrap(), File::open(&path).unwrap());
        std::fs::remove_file(path).unwrap();
        files
    }

    #[test]
    fn whoever_shares_keeps_away_only_those_who_want_it_alone() {
        let (one, other) = open_twice("shared");
        shared(&one).unwrap();
        shared(&other).unwrap();
        let alone = flock(&other, libc::LOCK_EX | libc::LOCK_NB).unwrap_err();
        assert_eq!(alone.kind(), io::ErrorKind::WouldBlock);
        drop(one);
        flock(&other, libc::LOCK_EX | libc::LOCK_NB).unwrap();
    }

    /// One test for all: the timer and its signal belong to the whole process.
    #[test]
    fn waits_for_the_lock_and_no_longer_than_asked() {
        let (one, other) = open_twice("lock");
        exclusive(&one, Duration::ZERO).unwrap();
        for patience in [Duration::ZERO, Duration::from_millis(200)] {
            let began = Instant::now();
            let error = exclusive(&other, patience).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() >= patience);
            thread::sleep(Duration::from_millis(300));
        }

        let (ready, wait) = mpsc::channel();
        let holder = thread::spawn(move || {
            wait.recv().unwrap();
            drop(one);
        });
        ready.send(()).unwrap();
        exclusive(&other, Duration::from_millis(400)).unwrap();
        holder.join().unwrap();
        // A timer that is left behind would end the process now.
        thread::sleep(Duration::from_millis(800));
    }
}
