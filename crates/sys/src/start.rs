//! The start of a program without the one of the standard library.
//!
//! That one prepares threads and a message for a stack that overflows; for it, it reads
//! `/proc/self/maps` and maps a stack for signals. Under emulation it takes twice as long as all the
//! rest of the start. What protects data is kept: [`run`].

use std::{
    ffi::{CStr, OsStr, OsString, c_char, c_int},
    os::unix::ffi::OsStrExt,
};

/// Makes a function the whole program: it gets the arguments that follow the program's name, and
/// returns the exit status.
///
/// For a crate with `#![no_main]`. The standard output is not flushed after it.
#[macro_export]
macro_rules! program {
    ($function:path) => {
        // SAFETY: no other symbol of the program has the name; and the C library, which calls this
        // once, hands over what `run` wants.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn main(
            count: ::core::ffi::c_int,
            arguments: *const *const ::core::ffi::c_char,
        ) -> ::core::ffi::c_int {
            // SAFETY: as above.
            unsafe { $crate::start::run($function, count, arguments) }
        }
    };
}

/// Calls `program` as the standard library would: with the descriptors 0 to 2 open, so that no
/// message lands on a disk that was opened in the place of one, and with `EPIPE` where a reader has
/// gone, not with the end of the process in the middle of its steps.
///
/// # Safety
/// `arguments` must point to `count` C strings that are never changed.
pub unsafe fn run(
    program: fn(Vec<OsString>) -> u8,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    for descriptor in 0..3 {
        // SAFETY: F_GETFD has no argument; a descriptor that is not open is an error.
        let closed = unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0;
        // SAFETY: the path is a C string.
        if closed && unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } != descriptor {
            // Process 1 must not end, and may have to make the device first: it opens them itself.
            if std::process::id() == 1 {
                break;
            }
            std::process::abort();
        }
    }
    // SAFETY: nothing else has set a handler yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller promises that there are as many pointers.
    let arguments = unsafe { std::slice::from_raw_parts(arguments, count) };
    let text = |argument: &*const c_char| {
        // SAFETY: the caller promises that each leads to a C string that stays as it is.
        OsStr::from_bytes(unsafe { CStr::from_ptr(*argument) }.to_bytes()).to_os_string()
    };
    c_int::from(program(arguments.iter().skip(1).map(text).collect()))
}

/// Has signals do again what they do in a new process, for a program that is to take this one's place.
pub fn undo() {
    // SAFETY: no code of this process is called for a signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
