//! Written pages on their way to the disk, before anybody waits for them.

use std::{fs::File, io, ops::Range, os::fd::AsRawFd as _};

/// Starts to write what is dirty of a range to the disk, and waits for none of it. It makes nothing durable; a sync that
/// follows has less to do.
///
/// # Errors
/// The kernel's: a file system or a device may have failed to write before.
pub fn start(file: &File, range: Range<u64>) -> io::Result<()> {
    let offset = |at: u64| i64::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge);
    let (at, length) = (offset(range.start)?, offset(range.end.saturating_sub(range.start))?);
    // SAFETY: sync_file_range(2) reads and writes no memory of ours; the file is borrowed, so it is open.
    let result =
        unsafe { libc::sync_file_range(file.as_raw_fd(), at, length, libc::SYNC_FILE_RANGE_WRITE) };
    crate::outcome::check(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_a_file_is_understood() {
        let file = File::open("/proc/self/exe").unwrap();
        start(&file, 0..4096).unwrap();
        start(&file, 4096..4096).unwrap();
        let error = start(&file, 0..u64::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
