//! Files that are locked exclusively for as long as a process lives.
//!
//! `flock(2)` has no bound of its own. A signal that ends the wait belongs to the whole process, which is not ours in a
//! library, so a thread waits in its place. When it comes too late, it gives the lock back at once.

use crate::pool::store::{Held, Wait};
use ebbtide_sys::lock::{exclusive_at_last, exclusive_at_once, shared};
use nix::libc;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// A lock, which is this opening of the file: whoever inherits the descriptor keeps it too.
#[derive(Debug)]
pub(super) struct Locked(File);

impl Held for Locked {
    fn file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

/// Locks a file, which is made when it is missing.
pub(super) fn lock(path: &Path, wait: Wait) -> io::Result<Locked> {
    match wait {
        Wait::Yes => lock_within(path, Duration::from_secs(60)),
        Wait::Briefly => lock_within(path, Duration::from_millis(100)),
        Wait::No => lock_within(path, Duration::ZERO),
    }
}

/// Returns whether somebody has a file locked.
pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    match options.open(path).and_then(|file| shared(&file)) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

fn lock_within(path: &Path, patience: Duration) -> io::Result<Locked> {
    let deadline = Instant::now() + patience;
    loop {
        let file = open(path)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let file = match exclusive_at_once(&file) {
            Ok(()) => file,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !patience.is_zero() => {
                wait_for(file, path, left)?
            }
            Err(error) => return Err(error),
        };
        // Its directory may have been removed meanwhile, and made again: whoever locks now locks another file.
        if is_there(&file, path)? {
            return Ok(Locked(file));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)
}

fn is_there(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (here.dev(), here.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn wait_for(file: File, path: &Path, patience: Duration) -> io::Result<File> {
    let (tell, told) = mpsc::sync_channel(1);
    thread::Builder::new().name("lock".into()).spawn(move || {
        let locked = loop {
            match exclusive_at_last(&file) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                ended => break ended.map(|()| file),
            }
        };
        // Nobody is told any more when it came too late; the lock ends with what is dropped here.
        drop(tell.send(locked));
    })?;
    told.recv_timeout(patience).unwrap_or_else(|_| {
        let text = format!("{} is locked by somebody else", path.display());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_refused_at_once_or_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        assert!(!is_locked(&path).unwrap() && !path.exists());
        let held = lock(&path, Wait::No).unwrap();
        assert!(is_locked(&path).unwrap());
        assert_eq!(lock(&path, Wait::No).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let error = lock_within(&path, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let waiter = thread::spawn({
            let path = path.clone();
            move || lock(&path, Wait::Yes)
        });
        drop(held);
        let second = waiter.join().unwrap().unwrap();
        drop(second);
        // Whoever waited in vain above holds nothing now.
        lock(&path, Wait::Yes).unwrap();
    }

    #[test]
    fn a_lock_is_on_the_file_that_has_the_name_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = lock(&path, Wait::No).unwrap();
        let waiter = thread::spawn({
            let path = path.clone();
            move || lock(&path, Wait::Yes)
        });
        thread::sleep(Duration::from_millis(100));
        fs::remove_file(&path).unwrap();
        drop(held);
        let locked = waiter.join().unwrap().unwrap();
        assert!(is_there(&locked.0, &path).unwrap());
    }

    #[test]
    fn a_lock_lasts_while_anybody_has_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let locked = lock(&path, Wait::No).unwrap();
        let inherited = locked.file().unwrap().try_clone().unwrap();
        drop(locked);
        assert!(is_locked(&path).unwrap());
        drop(inherited);
        assert!(!is_locked(&path).unwrap());
    }

    #[test]
    fn a_link_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert_eq!(lock(&path, Wait::No).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert!(!dir.path().join("elsewhere").exists());
    }
}
