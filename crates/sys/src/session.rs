//! Another program in a session of its own.

use std::{
    ffi::{CStr, c_char},
    io,
    mem::MaybeUninit,
    ptr,
};

/// Starts `program` with `arguments`, its own name first among them, and `environment`, at most seven of
/// each, in a session of its own; it has the working folder and the open files of this process that
/// are not closed at an exec, and answers signals as a new process does. Returns its number; the
/// caller waits for it.
///
/// # Errors
/// The kernel's, also that of the exec.
pub fn start(program: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> io::Result<i32> {
    let (arguments, environment) = (list(arguments), list(environment));
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: it is the memory of one such value.
    check(unsafe { libc::posix_spawnattr_init(attributes) })?;
    let flags = libc::POSIX_SPAWN_SETSID | libc::POSIX_SPAWN_SETSIGDEF as i16;
    // SAFETY: the attributes have been initialised.
    check(unsafe { libc::posix_spawnattr_setflags(attributes, flags) })?;
    let mut all = MaybeUninit::uninit();
    // SAFETY: it is the memory of a set of signals, which is made here.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: both have been initialised.
    check(unsafe { libc::posix_spawnattr_setsigdefault(attributes, all.as_ptr()) })?;
    let mut number = 0;
    // SAFETY: the path is a C string, and so is every entry of the two lists, which end with a null
    // pointer.
    let started = unsafe {
        libc::posix_spawn(
            &raw mut number,
            program.as_ptr(),
            ptr::null(),
            attributes,
            arguments.as_ptr().cast(),
            environment.as_ptr().cast(),
        )
    };
    // SAFETY: initialised above, and not used again.
    unsafe { libc::posix_spawnattr_destroy(attributes) };
    check(started).map(|()| number)
}

/// Returns the list as the kernel takes it: a null pointer ends it.
fn list(texts: &[&CStr]) -> [*const c_char; 8] {
    let mut pointers = [ptr::null(); 8];
    for (pointer, text) in pointers.iter_mut().take(7).zip(texts) {
        *pointer = text.as_ptr();
    }
    pointers
}

/// These functions return the error number instead of leaving it in `errno`.
fn check(number: i32) -> io::Result<()> {
    if number == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(number)) }
}
