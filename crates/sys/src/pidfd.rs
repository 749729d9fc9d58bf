//! A process that is meant, and not the one that has got its number since.

use crate::outcome::check;
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Opens a process: readable when it has ended.
///
/// # Errors
/// The kernel's; `ESRCH` where there is no such process.
pub fn open(number: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
    let descriptor = i32::try_from(opened).unwrap_or(-1);
    check(descriptor)?;
    // SAFETY: the kernel has just made it, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Kills an open process.
///
/// # Errors
/// The kernel's; `ESRCH` where it has ended.
pub fn kill(process: &OwnedFd) -> io::Result<()> {
    let no_more = std::ptr::null::<libc::siginfo_t>();
    let process = process.as_raw_fd();
    // SAFETY: the descriptor is open, and the kernel takes a null pointer for no further words.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, libc::SIGKILL, no_more, 0) };
    check(i32::try_from(sent).unwrap_or(-1)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::process::ExitStatusExt, process::Command};

    #[test]
    fn an_open_process_is_killed_once() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = open(child.id()).unwrap();
        kill(&process).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(kill(&process).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
