//! An archive that the kernel unpacks: entries flow in, the bytes of a cpio flow out, the same for the same entries.
//!
//! Format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst): a header of `070701` and thirteen numbers
//! of eight hexadecimal digits, the name with a zero, padding to four bytes, the content, padding again.

use std::collections::BTreeMap;

/// The last entry, by its name.
const TRAILER: &str = "TRAILER!!!";

enum Entry {
    Folder,
    File { mode: u32, content: Vec<u8> },
    Character { major: u32, minor: u32 },
}

/// What is to be unpacked, by path without a slash at its beginning.
#[derive(Default)]
pub(crate) struct Archive(BTreeMap<String, Entry>);

impl Archive {
    /// Adds a folder, with those above it.
    pub(crate) fn folder(&mut self, path: &str) {
        let above = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| &path[..at]);
        for folder in above.chain([path]) {
            self.0.entry(folder.to_owned()).or_insert(Entry::Folder);
        }
    }

    /// Adds a file, with its folder.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.add(path, Entry::File { mode, content: content.into() });
    }

    /// Adds a character device, with its folder.
    pub(crate) fn character(&mut self, path: &str, major: u32, minor: u32) {
        self.add(path, Entry::Character { major, minor });
    }

    fn add(&mut self, path: &str, entry: Entry) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        self.0.insert(path.to_owned(), entry);
    }

    /// Returns the bytes: folders before what is in them, owned by root, without a time.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (path, entry)) in (1..).zip(&self.0) {
            put(&mut bytes, number, path, entry);
        }
        put(&mut bytes, 0, TRAILER, &Entry::File { mode: 0, content: Vec::new() });
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, number: u32, path: &str, entry: &Entry) {
    let (mode, links, content, device) = match entry {
        Entry::Folder => (0o040_755, 2, &[][..], (0, 0)),
        Entry::File { mode: 0, content } => (0, 1, content.as_slice(), (0, 0)),
        Entry::File { mode, content } => (0o100_000 | mode, 1, content.as_slice(), (0, 0)),
        Entry::Character { major, minor } => (0o020_600, 1, &[][..], (*major, *minor)),
    };
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let name = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
    bytes.extend(b"070701");
    // Inode, mode, owner, group, links, time, length, device (2), number of the device (2), length of the name, check.
    for field in [number, mode, 0, 0, links, 0, length, 0, 0, device.0, device.1, name, 0] {
        bytes.extend(format!("{field:08x}").bytes());
    }
    bytes.extend(path.bytes().chain([0]));
    pad(bytes);
    bytes.extend(content);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn another_program_reads_what_was_written() {
        let mut archive = Archive::default();
        archive.file("lib/modules/x.ko", 0o644, b"module".as_slice());
        archive.file("init", 0o755, b"odd".as_slice());
        archive.character("dev/console", 5, 1);
        archive.folder("proc");
        let mut cpio = Command::new("cpio")
            .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cpio.stdin.take().unwrap().write_all(&archive.bytes()).unwrap();
        let said = String::from_utf8(cpio.wait_with_output().unwrap().stdout).unwrap();
        let lines: Vec<String> =
            said.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
                "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
                "-rwxr-xr-x 1 0 0 3 Jan 1 1970 init",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 lib",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 lib/modules",
                "-rw-r--r-- 1 0 0 6 Jan 1 1970 lib/modules/x.ko",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 proc",
            ]
        );
    }

    #[test]
    fn the_same_entries_in_any_order_are_the_same_bytes() {
        let (mut one, mut other) = (Archive::default(), Archive::default());
        one.file("a/b", 0o644, b"1".as_slice());
        one.folder("c");
        other.folder("c");
        other.file("a/b", 0o644, b"1".as_slice());
        assert_eq!(one.bytes(), other.bytes());
    }
}
