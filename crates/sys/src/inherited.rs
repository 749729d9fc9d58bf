//! What a program has of whoever started it, and what it hands on: descriptors and signals.

use crate::outcome::check;
use std::{io, os::unix::process::CommandExt, process::Command};

/// Has no program that this process starts inherit a descriptor above 2 that is open now.
///
/// # Errors
/// The kernel's; it is older than 5.11.
pub fn keep_descriptors() -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: no descriptor is closed; who needs one in another program says so after this.
    check(unsafe { libc::close_range(3, libc::c_uint::MAX, flags) })
}

/// Has `command` begin with these signals blocked. They reach a program that never unblocks them in no way.
pub fn block_signals(command: &mut Command, signals: &'static [libc::c_int]) {
    let block = move || {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: it is the memory of a set of signals, which is made here.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for &signal in signals {
            // SAFETY: the set has been made.
            check(unsafe { libc::sigaddset(set.as_mut_ptr(), signal) })?;
        }
        // SAFETY: the set has been made; that of before is not asked for.
        check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) })
    };
    // SAFETY: between fork and exec it only makes calls that may be made there, and takes no memory.
    unsafe { command.pre_exec(block) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_begins_with_a_blocked_signal_outlives_it() {
        for (signals, lives) in [(&[libc::SIGTERM][..], true), (&[], false)] {
            let mut command = Command::new("sh");
            command.args(["-c", "kill -TERM $$; true"]);
            block_signals(&mut command, signals);
            assert_eq!(command.status().unwrap().success(), lives);
        }
    }
}
