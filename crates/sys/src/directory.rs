//! Reading a directory by its descriptor.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

/// Where the length of an entry and its name stand in `struct linux_dirent64`,
/// include/linux/dirent.h: u64 inode, i64 offset, u16 length, u8 type, name with a zero at its end.
const LENGTH: usize = 16;
const NAME: usize = 19;
/// Of a batch; an entry takes 280 bytes at most.
const BATCH: usize = 4096;

/// The names in an open directory, in the kernel's order, read in batches. The one descriptor that it
/// takes stays at hand for what is done with the names.
#[derive(Debug)]
pub struct Entries {
    dir: OwnedFd,
    batch: Vec<u8>,
    at: usize,
}

impl Entries {
    /// Reads `dir`, which was opened for reading, from where it stands.
    #[must_use]
    pub fn of(dir: OwnedFd) -> Self {
        Self { dir, batch: Vec::new(), at: 0 }
    }

    /// Returns the directory.
    #[must_use]
    pub fn into_dir(self) -> OwnedFd {
        self.dir
    }

    /// Returns the next name, without `.` and `..`.
    ///
    /// # Errors
    /// When the directory cannot be read; `InvalidData` when the kernel returned no whole entry.
    pub fn next_name(&mut self) -> io::Result<Option<CString>> {
        loop {
            if self.at >= self.batch.len() && !self.fill()? {
                return Ok(None);
            }
            let name = self.take().ok_or(io::ErrorKind::InvalidData)?;
            if !matches!(name.as_bytes(), b"." | b"..") {
                return Ok(Some(name));
            }
        }
    }

    fn take(&mut self) -> Option<CString> {
        let entry = self.batch.get(self.at..)?;
        let length = entry.get(LENGTH..LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes(length.try_into().ok()?));
        let name = entry.get(NAME..length)?;
        let name = name.split(|byte| *byte == 0).next()?;
        self.at += length;
        CString::new(name).ok()
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.batch.resize(BATCH, 0);
        self.at = 0;
        let (fd, room) = (self.dir.as_raw_fd(), self.batch.as_mut_ptr());
        // SAFETY: the kernel writes at most BATCH bytes, which the vector has.
        let got = unsafe { libc::syscall(libc::SYS_getdents64, fd, room, BATCH) };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error());
        self.batch.truncate(*got.as_ref().unwrap_or(&0));
        got.map(|got| got > 0)
    }
}

impl AsFd for Entries {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn every_name_comes_once_over_many_batches() {
        let path = std::env::temp_dir().join(format!("ebbtide-entries-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let mut wanted: Vec<String> =
            (0..500).map(|n| format!("{n}-{}", "x".repeat(n % 240))).collect();
        for name in &wanted {
            File::create(path.join(name)).unwrap();
        }
        let mut entries = Entries::of(File::open(&path).unwrap().into());
        let mut found = Vec::new();
        while let Some(name) = entries.next_name().unwrap() {
            found.push(name.into_string().unwrap());
        }
        fs::remove_dir_all(&path).unwrap();
        wanted.sort();
        found.sort();
        assert_eq!(found, wanted);
    }
}
