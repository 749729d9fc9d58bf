//! A file lock that is waited for, with a bound.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// Locks an open file exclusively (`flock(2)`), waiting at most `patience`. The lock lasts until the
/// file is closed.
///
/// `flock` has no limit of its own, and a close is reported by inotify before the lock ends, so a
/// timer interrupts the wait: the signal SIGALRM is taken over and given back.
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

fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as the file is borrowed.
    check(unsafe { libc::flock(file.as_raw_fd(), operation) })
}

/// A timer whose signal interrupts system calls of this thread and does nothing else; dropping it
/// stops it.
struct Alarm {
    /// The kernel's first timer has the number 0, which the C library gives out as a null pointer.
    timer: Option<libc::timer_t>,
    before: libc::sigaction,
}

extern "C" fn nothing(_signal: libc::c_int) {}

impl Alarm {
    /// Rings after `delay` and then ten times a second: one ring could come between the look at the
    /// clock and the wait.
    fn ring_from(delay: Duration) -> io::Result<Self> {
        // SAFETY: all fields of a sigaction may be zero: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as *const () as libc::sighandler_t;
        let mut before = action;
        // SAFETY: both structures outlive the call, and the handler touches nothing.
        check(unsafe { libc::sigaction(libc::SIGALRM, &raw const action, &raw mut before) })?;
        let mut alarm = Self { timer: None, before };
        alarm.create()?;
        // A delay of zero would stop the timer instead.
        alarm.set(delay.max(Duration::from_millis(1)), Duration::from_millis(100))?;
        Ok(alarm)
    }

    fn create(&mut self) -> io::Result<()> {
        // SAFETY: all fields of a sigevent may be zero.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        // SAFETY: gettid has no arguments.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = std::ptr::null_mut();
        let (event, made) = (&raw mut event, &raw mut timer);
        // SAFETY: both outlive the call; the thread that is named is this one.
        check(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, event, made) })?;
        self.timer = Some(timer);
        Ok(())
    }

    fn set(&self, delay: Duration, interval: Duration) -> io::Result<()> {
        let time = |duration: Duration| libc::timespec {
            tv_sec: duration.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(duration.subsec_nanos() as i32),
        };
        let times = libc::itimerspec { it_interval: time(interval), it_value: time(delay) };
        let Some(timer) = self.timer else { return Ok(()) };
        // SAFETY: the timer exists until `drop`, the structure outlives the call.
        check(unsafe { libc::timer_settime(timer, 0, &raw const times, std::ptr::null_mut()) })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            // SAFETY: the timer exists and is not used after this.
            let _ = unsafe { libc::timer_delete(timer) };
        }
        // SAFETY: the structure is what the kernel gave out before.
        let _ =
            unsafe { libc::sigaction(libc::SIGALRM, &raw const self.before, std::ptr::null_mut()) };
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
