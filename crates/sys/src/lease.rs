//! Leases: whether anybody else has a file open, whether or not they lock it.

use crate::outcome::check;
use std::{fs::File, io, os::fd::AsRawFd as _};

/// Sets which signal tells that somebody waits (include/uapi/asm-generic/fcntl.h; all architectures but PA-RISC).
const F_SETSIG: libc::c_int = 10;

/// Returns whether somebody has the file open to write to it, ourselves included: another program, a loop device, a
/// swap file.
///
/// A lease is taken and given back at once (`fcntl(2)`, `F_SETLEASE`); nobody is kept waiting longer than that.
///
/// # Errors
/// The file is opened to be written, or is a device; it belongs to somebody else; its file system has no leases.
pub fn is_written(read: &File) -> io::Result<bool> {
    is_taken(read, libc::F_RDLCK)
}

/// Returns whether somebody has the file open at all, other than by this opening.
///
/// # Errors
/// As [`is_written`].
pub fn is_opened(only: &File) -> io::Result<bool> {
    is_taken(only, libc::F_WRLCK)
}

fn is_taken(file: &File, kind: libc::c_int) -> io::Result<bool> {
    // Who opens the file in between makes the kernel send a signal, which would end us if it were SIGIO.
    control(file, F_SETSIG, libc::SIGURG)?;
    match control(file, libc::F_SETLEASE, kind) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
        Ok(()) => control(file, libc::F_SETLEASE, libc::F_UNLCK).map(|()| false),
    }
}

fn control(file: &File, command: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as the file is borrowed, and these commands take a number.
    check(unsafe { libc::fcntl(file.as_raw_fd(), command, value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn whoever_else_has_it_open_is_seen() {
        let path = std::env::temp_dir().join(format!("ebbtide-lease-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!((is_written(&file).unwrap(), is_opened(&file).unwrap()), (false, false));
        let reader = File::open(&path).unwrap();
        assert_eq!((is_written(&file).unwrap(), is_opened(&file).unwrap()), (false, true));
        drop(reader);
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        assert_eq!((is_written(&file).unwrap(), is_opened(&file).unwrap()), (true, true));
        drop(writer);
        assert_eq!((is_written(&file).unwrap(), is_opened(&file).unwrap()), (false, false));
        std::fs::remove_file(path).unwrap();
    }
}
