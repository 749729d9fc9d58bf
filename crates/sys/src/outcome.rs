//! What a system call came to.

use std::io;

/// Returns the error of a call that answers with -1.
pub(crate) fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
