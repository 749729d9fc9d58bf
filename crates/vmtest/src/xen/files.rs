//! Files for a machine that runs in its initramfs: files of this machine go in, a longer initramfs comes out.
//!
//! The kernel unpacks one archive behind another. Format "newc" (Documentation/driver-api/early-userspace/
//! buffer-format.rst): a header of `070701` and thirteen numbers of eight hexadecimal digits, the name with a zero,
//! padding to four bytes, the content, padding again.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The last entry of an archive, by its name.
const TRAILER: &str = "TRAILER!!!";

/// Modes of the entries beside files: S_IFDIR and S_IFREG (inode(7)).
const FOLDER: u32 = 0o040_755;
const REGULAR: u32 = 0o100_000;

/// Links from the root of a merged `/usr`: the kernel would put a folder of that name in their place.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// A file of this machine and where it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Added {
    file: PathBuf,
    path: String,
}

impl Added {
    pub(crate) fn new(file: impl Into<PathBuf>, path: &str) -> Self {
        Self { file: file.into(), path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns whether the path begins at the root and names every folder on its way.
    pub(crate) fn path_is_whole(&self) -> bool {
        let names = self.path.strip_prefix('/').map(|rest| rest.split('/'));
        names.is_some_and(|mut names| names.all(|name| !["", ".", ".."].contains(&name)))
    }

    /// Returns the name of the entry, which is below `/usr` where the root has only a link.
    fn entry(&self) -> String {
        let name = self.path.trim_start_matches('/');
        match name.split('/').next() {
            Some(first) if MERGED.contains(&first) => format!("usr/{name}"),
            _ => name.to_owned(),
        }
    }
}

/// Returns an initramfs in `dir` that is `initrd` with these files over it, or `initrd` itself without any.
///
/// # Errors
/// When a file cannot be read, or the new one not be written.
pub(crate) fn with_files(initrd: &Path, files: &[Added], dir: &Path) -> Result<PathBuf> {
    if files.is_empty() {
        return Ok(initrd.to_owned());
    }
    let path = dir.join("initrd.img");
    let mut to = File::create(&path).map_err(Error::io("making an initramfs"))?;
    copy(initrd, &mut to)?;
    let writing = || Error::io(format!("writing {}", path.display()));
    pad(&mut to).map_err(writing())?;
    for added in files {
        put(added, &mut to)?;
    }
    head(&mut to, TRAILER, 0, 0).map_err(writing())?;
    Ok(path)
}

fn put(added: &Added, to: &mut File) -> Result<()> {
    let failed = || Error::io(format!("putting {} into the machine", added.file.display()));
    let found = added.file.metadata().map_err(failed())?;
    let name = added.entry();
    for (at, _) in name.match_indices('/') {
        head(to, &name[..at], FOLDER, 0).map_err(failed())?;
    }
    let mode = REGULAR | (found.permissions().mode() & 0o7777);
    head(to, &name, mode, found.len()).map_err(failed())?;
    let copied = copy(&added.file, to)?;
    if copied != found.len() {
        return Err(failed()(io::Error::other(format!(
            "{copied} bytes instead of {}",
            found.len()
        ))));
    }
    pad(to).map_err(failed())
}

/// Copies a file to where `to` is, in the kernel where that can.
fn copy(from: &Path, to: &mut File) -> Result<u64> {
    let failed = || Error::io(format!("copying {}", from.display()));
    let mut source = File::open(from).map_err(failed())?;
    io::copy(&mut source, to).map_err(failed())
}

fn head(to: &mut File, name: &str, mode: u32, length: u64) -> io::Result<()> {
    let length = u32::try_from(length).map_err(io::Error::other)?;
    let name_length = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
    // Inode, mode, owner, group, links, time, length, device (2), number of the device (2), length of the name, check.
    // With one link each, nobody asks for the inode.
    let fields = [0, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name_length, 0];
    let fields: String = fields.iter().map(|field| format!("{field:08x}")).collect();
    write!(to, "070701{fields}{name}\0")?;
    pad(to)
}

fn pad(to: &mut File) -> io::Result<()> {
    let at = to.stream_position()?;
    let missing = at.next_multiple_of(4) - at;
    to.write_all(&[0; 3][..usize::try_from(missing).unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn another_program_reads_both_archives_with_modes_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::write(&program, "odd").unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o750)).unwrap();
        let first = dir.path().join("first");
        let mut file = File::create(&first).unwrap();
        head(&mut file, "first", REGULAR | 0o644, 0).unwrap();
        head(&mut file, TRAILER, 0, 0).unwrap();
        // Not a multiple of four, as some that make archives leave it.
        file.set_len(file.metadata().unwrap().len() + 1).unwrap();

        let files = [Added::new(&program, "/bin/x"), Added::new(&first, "/etc/a/b")];
        let whole = with_files(&first, &files, dir.path()).unwrap();
        let skip = first.metadata().unwrap().len().next_multiple_of(4);
        let mut rest = File::open(&whole).unwrap();
        rest.seek(io::SeekFrom::Start(skip)).unwrap();
        let output = Command::new("cpio")
            .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
            .env("TZ", "UTC")
            .stdin(rest)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let length = first.metadata().unwrap().len();
        let expected = [
            "drwxr-xr-x 1 0 0 0 Jan 1 1970 usr".to_owned(),
            "drwxr-xr-x 1 0 0 0 Jan 1 1970 usr/bin".to_owned(),
            "-rwxr-x--- 1 0 0 3 Jan 1 1970 usr/bin/x".to_owned(),
            "drwxr-xr-x 1 0 0 0 Jan 1 1970 etc".to_owned(),
            "drwxr-xr-x 1 0 0 0 Jan 1 1970 etc/a".to_owned(),
            format!("-rw-r--r-- 1 0 0 {length} Jan 1 1970 etc/a/b"),
        ];
        assert_eq!(said.lines().map(line).collect::<Vec<_>>(), expected);
        assert_eq!(std::fs::read(&whole).unwrap()[..110], std::fs::read(&first).unwrap()[..110]);
    }

    #[test]
    fn a_missing_file_is_named_and_none_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let initrd = dir.path().join("image");
        std::fs::write(&initrd, "").unwrap();
        assert_eq!(with_files(&initrd, &[], dir.path()).unwrap(), initrd);
        let files = [Added::new("/nonexistent/program", "/bin/x")];
        let error = with_files(&initrd, &files, dir.path()).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/program"), "{error}");
    }
}
