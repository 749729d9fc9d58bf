//! The start of a program without the one of the standard library.
//!
//! That one prepares threads and a message for a stack that overflows; for it, it reads
//! `/proc/self/maps` and maps a stack for signals. Under emulation it takes twice as long as all the
//! rest of the start. What protects data is kept: [`run`].

/// Makes a function the whole program; it returns the exit status.
///
/// For a crate with `#![no_main]`. The standard output is not flushed after it.
#[macro_export]
macro_rules! program {
    ($function:path) => {
        // SAFETY: the C library calls this once, and no other symbol of the program has the name.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            $crate::start::run($function)
        }
    };
}

/// Calls `program` as the standard library would: with the descriptors 0 to 2 open, so that no
/// message lands on a disk that was opened in the place of one, and with `EPIPE` where a reader has
/// gone, not with the end of the process in the middle of its steps.
pub fn run(program: fn() -> u8) -> i32 {
    for descriptor in 0..3 {
        // SAFETY: F_GETFD has no argument; a descriptor that is not open is an error.
        let closed = unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0;
        // SAFETY: the path is a C string.
        if closed && unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } != descriptor {
            std::process::abort();
        }
    }
    // SAFETY: nothing else has set a handler yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    i32::from(program())
}
