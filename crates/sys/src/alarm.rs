//! A bound for system calls that wait and have none.

use crate::outcome::check;
use std::{io, time::Duration};

/// A timer whose signal interrupts system calls of this thread and does nothing else; dropping it
/// stops it. The signal SIGALRM is taken over and given back.
pub(crate) struct Alarm {
    /// The kernel's first timer has the number 0, which the C library gives out as a null pointer.
    timer: Option<libc::timer_t>,
    before: libc::sigaction,
}

extern "C" fn nothing(_signal: libc::c_int) {}

impl Alarm {
    /// Rings after `delay` and then ten times a second: one ring could come between the look at the
    /// clock and the wait.
    pub(crate) fn ring_from(delay: Duration) -> io::Result<Self> {
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
