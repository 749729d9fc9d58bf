//! Copying a tree of the template.
//!
//! As `cp -a` does: mode, owner, time, links, holes, access lists and file capabilities. A file with
//! several names becomes several files. Pipes, sockets and device nodes are left out, and so is what
//! is mounted in the tree.

use super::{
    open,
    walk::{Place, Visit, walk},
};
use ebbtide_sys::xattr;
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, readlinkat},
    sys::{
        sendfile::sendfile64,
        stat::{
            FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, futimens, mkdirat, utimensat,
        },
        time::TimeSpec,
    },
    unistd::{Gid, Uid, Whence, fchown, fchownat, ftruncate, lseek64, symlinkat},
};
use std::{
    ffi::{CStr, CString, OsStr},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

/// One call copies no more, so that a signal need not wait for a large file.
const PIECE: i64 = 16 << 20;
/// The kernel's limit for the names, and the value, of attributes.
const LONGEST: usize = 64 << 10;

/// Who owns a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Whoever owns the original.
    Keep,
    /// This user and group.
    Give(u32, u32),
}

/// Copies the directory or regular file `from` to `name` in `to_parent`, where there is nothing; `from`
/// may be held only (`O_PATH`). Returns how many entries were left out. Nothing is durable yet.
///
/// # Errors
/// With the path below `from` when something cannot be copied; a part of the copy is there then.
pub(crate) fn copy(
    from: BorrowedFd<'_>,
    to_parent: BorrowedFd<'_>,
    name: &OsStr,
    owner: Owner,
) -> io::Result<u64> {
    let from: OwnedFd = open::again(from)?.into();
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut copy = Copy { owner, to: Vec::new(), left_out: 0, room: Vec::new() };
    if open::kind(&fstat(&from)?) == SFlag::S_IFREG {
        copy.regular(from.as_fd(), to_parent, &name)?;
        return Ok(0);
    }
    copy.to.push(made(to_parent, &name)?);
    walk(from.try_clone()?, &mut copy)?;
    copy.close(from.as_fd())?;
    Ok(copy.left_out)
}

/// Gives the directory `to` what `from` has beside its content.
///
/// # Errors
/// When the file system does not take it.
pub(crate) fn dress(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut copy = Copy { owner: Owner::Keep, to: Vec::new(), left_out: 0, room: Vec::new() };
    copy.dress(from, to, &fstat(from)?)
}

struct Copy {
    owner: Owner,
    /// The directories that are being filled, the innermost last.
    to: Vec<OwnedFd>,
    left_out: u64,
    /// For attributes.
    room: Vec<u8>,
}

impl Visit for Copy {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> io::Result<()> {
        let to = self.innermost()?;
        match open::kind(stat) {
            SFlag::S_IFREG => {
                let from = open::file(dir, name)?.0;
                self.regular(from.as_fd(), to.as_fd(), name)
            }
            SFlag::S_IFLNK => self.link(dir, to.as_fd(), name, stat),
            _ => {
                self.left_out += 1;
                Ok(())
            }
        }
    }

    fn enter(&mut self, _dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let made = made(self.innermost()?.as_fd(), name)?;
        self.to.push(made);
        Ok(())
    }

    fn leave(
        &mut self,
        _dir: BorrowedFd<'_>,
        _name: &CStr,
        left: BorrowedFd<'_>,
    ) -> io::Result<()> {
        self.close(left)
    }

    /// Where something is mounted there is an empty directory in the copy.
    fn failed(&mut self, place: Place<'_>, error: io::Error) -> io::Result<()> {
        if error.raw_os_error() != Some(Errno::EXDEV as i32) {
            return Err(place.name(&error));
        }
        self.left_out += 1;
        let to = made(self.innermost()?.as_fd(), place.name)?;
        Ok(fchmod(&to, Mode::from_bits_truncate(0o755))?)
    }
}

impl Copy {
    /// Returns the directory that is being filled, as a descriptor of its own.
    fn innermost(&self) -> io::Result<OwnedFd> {
        self.to.last().ok_or_else(|| Errno::EBADF.into()).and_then(OwnedFd::try_clone)
    }

    /// Finishes the innermost directory: what is in it would change its time again.
    fn close(&mut self, from: BorrowedFd<'_>) -> io::Result<()> {
        match self.to.pop() {
            Some(to) => self.dress(from, to.as_fd(), &fstat(from)?),
            None => Ok(()),
        }
    }

    fn regular(
        &mut self,
        from: BorrowedFd<'_>,
        to_parent: BorrowedFd<'_>,
        name: &CStr,
    ) -> io::Result<()> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
        let to = open::beneath(to_parent, name, flags, Mode::from_bits_truncate(0o600))?;
        let stat = fstat(from)?;
        content(from, to.as_fd(), stat.st_size)?;
        self.dress(from, to.as_fd(), &stat)
    }

    fn link(
        &self,
        dir: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        stat: &FileStat,
    ) -> io::Result<()> {
        symlinkat(readlinkat(dir, name)?.as_os_str(), to, name)?;
        let (uid, gid) = self.owner_of(stat);
        fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let (accessed, modified) = times(stat);
        let flags = UtimensatFlags::NoFollowSymlink;
        Ok(utimensat(to, name, &accessed, &modified, flags)?)
    }

    /// Gives a copy what the original has: the owner first, since that takes rights away.
    fn dress(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &FileStat,
    ) -> io::Result<()> {
        let (uid, gid) = self.owner_of(stat);
        fchown(to, Some(uid), Some(gid))?;
        let rights = match self.owner {
            Owner::Keep => 0o7777,
            // What ran as its owner would run as another one now.
            Owner::Give(..) if open::kind(stat) == SFlag::S_IFREG => 0o1777,
            Owner::Give(..) => 0o3777,
        };
        fchmod(to, Mode::from_bits_truncate(stat.st_mode & rights))?;
        self.attributes(from, to)?;
        let (accessed, modified) = times(stat);
        Ok(futimens(to, &accessed, &modified)?)
    }

    fn owner_of(&self, stat: &FileStat) -> (Uid, Gid) {
        let (uid, gid) = match self.owner {
            Owner::Keep => (stat.st_uid, stat.st_gid),
            Owner::Give(uid, gid) => (uid, gid),
        };
        (Uid::from_raw(uid), Gid::from_raw(gid))
    }

    /// Copies the attributes that are the file's own; a label of a security module is not. A file system
    /// that keeps none is fine.
    fn attributes(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
        let Ok(1..) = xattr::list(from, &mut []) else { return Ok(()) };
        self.room.resize(2 * LONGEST, 0);
        let (names, value) = self.room.split_at_mut(LONGEST);
        let length = xattr::list(from, names)?;
        for name in names.get(..length).unwrap_or(&[]).split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if !is_copied(name, self.owner) {
                continue;
            }
            let length = xattr::get(from, name, value)?;
            match xattr::set(to, name, value.get(..length).unwrap_or(&[])) {
                Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {}
                done => done?,
            }
        }
        Ok(())
    }
}

fn is_copied(name: &CStr, owner: Owner) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || (name == b"security.capability" && owner == Owner::Keep)
}

/// Makes a directory that only we can look into until it is finished.
fn made(parent: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    mkdirat(parent, name, Mode::S_IRWXU)?;
    open::directory(parent, name)
}

/// Copies what is in a file and leaves its holes out.
fn content(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: i64) -> io::Result<()> {
    let mut at = 0;
    while at < size {
        let data = match lseek64(from, at, Whence::SeekData) {
            // From here on there is a hole.
            Err(Errno::ENXIO) => break,
            found => found?,
        };
        let end = lseek64(from, data, Whence::SeekHole)?.min(size);
        lseek64(to, data, Whence::SeekSet)?;
        at = data;
        while at < end {
            let piece = usize::try_from((end - at).min(PIECE)).unwrap_or(0);
            // Nothing more: it has become shorter.
            if sendfile64(to, from, Some(&mut at), piece)? == 0 {
                return Ok(());
            }
        }
    }
    Ok(ftruncate(to, size)?)
}

fn times(stat: &FileStat) -> (TimeSpec, TimeSpec) {
    (
        TimeSpec::new(stat.st_atime, stat.st_atime_nsec),
        TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink},
        path::Path,
        process::Command,
    };
    use tempfile::tempdir;

    fn copy_at(dir: &Path, to: &str, owner: Owner) -> io::Result<u64> {
        let from = File::open(dir.join("from")).unwrap();
        copy(from.as_fd(), File::open(dir).unwrap().as_fd(), OsStr::new(to), owner)
    }

    fn is_root() -> bool {
        nix::unistd::geteuid().is_root()
    }

    /// Makes a tree with one of each.
    fn fill(from: &Path) {
        fs::create_dir_all(from.join("bin/deeper")).unwrap();
        fs::write(from.join("bin/tool"), "tool").unwrap();
        fs::set_permissions(from.join("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::set_permissions(from.join("bin"), fs::Permissions::from_mode(0o2775)).unwrap();
        fs::write(from.join("bin/deeper/large"), vec![7; 300_000]).unwrap();
        fs::write(from.join("empty"), "").unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        symlink("/etc", from.join("folder-link")).unwrap();
        if is_root() {
            lchown(from.join("link"), Some(7), Some(8)).unwrap();
            lchown(from.join("empty"), Some(7), Some(8)).unwrap();
        }
    }

    /// Lists a tree by another program than ours.
    fn listing(tree: &Path) -> String {
        let script = "find . -printf '%P %y %m %U %G %s %T@ %l\\n' | sort; find . -type f -print0 \
                      | sort -z | xargs -0 sha256sum";
        let output = Command::new("sh").args(["-c", script]).current_dir(tree).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        // The room that a directory takes is the file system's affair.
        let lines = text.lines().map(|line| {
            let mut words: Vec<&str> = line.split(' ').collect();
            if words.get(1) == Some(&"d") {
                words.remove(5);
            }
            words.join(" ")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_copy_is_what_cp_makes() {
        let dir = tempdir().unwrap();
        fill(&dir.path().join("from"));
        let cp = Command::new("cp").args(["-a", "from", "wanted"]).current_dir(dir.path()).status();
        assert!(cp.unwrap().success());
        assert_eq!(copy_at(dir.path(), "copy", Owner::Keep).unwrap(), 0);
        let wanted = listing(&dir.path().join("wanted"));
        assert!(wanted.contains("4755") && wanted.contains("/etc/passwd"), "{wanted}");
        assert_eq!(listing(&dir.path().join("copy")), wanted);
    }

    #[test]
    fn a_user_gets_everything_and_no_bits_that_run_as_somebody() {
        if !is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let dir = tempdir().unwrap();
        fill(&dir.path().join("from"));
        copy_at(dir.path(), "copy", Owner::Give(1000, 1001)).unwrap();
        for path in ["", "bin", "bin/tool", "link", "folder-link", "empty"] {
            let found = fs::symlink_metadata(dir.path().join("copy").join(path)).unwrap();
            assert_eq!((found.uid(), found.gid()), (1000, 1001), "{path}");
        }
        let tool = fs::metadata(dir.path().join("copy/bin/tool")).unwrap();
        assert_eq!(tool.mode() & 0o7777, 0o755);
    }

    #[test]
    fn pipes_and_sockets_are_left_out_and_nothing_waits() {
        let dir = tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        nix::unistd::mkfifo(&from.join("pipe"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        assert_eq!(copy_at(dir.path(), "copy", Owner::Keep).unwrap(), 2);
        assert_eq!(fs::read_dir(dir.path().join("copy")).unwrap().count(), 0);
    }

    #[test]
    fn holes_stay_holes_and_a_file_alone_is_copied() {
        let dir = tempdir().unwrap();
        let from = File::create(dir.path().join("from")).unwrap();
        from.write_all_at(b"begin", 4 << 20).unwrap();
        from.write_all_at(b"end", 40 << 20).unwrap();
        from.set_len(50 << 20).unwrap();
        copy_at(dir.path(), "copy", Owner::Keep).unwrap();
        let copy = fs::metadata(dir.path().join("copy")).unwrap();
        assert_eq!(copy.len(), 50 << 20);
        assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
        assert!(
            fs::read(dir.path().join("copy")).unwrap()
                == fs::read(dir.path().join("from")).unwrap()
        );
    }

    #[test]
    fn attributes_of_the_file_are_copied() {
        let dir = tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        for path in [from.clone(), from.join("file")] {
            let file = File::open(&path).or_else(|_| File::create(&path)).unwrap();
            if let Err(error) = xattr::set(file.as_fd(), c"user.note", b"text") {
                println!("skipped: no attributes here: {error}");
                return;
            }
        }
        copy_at(dir.path(), "copy", Owner::Keep).unwrap();
        for path in ["copy", "copy/file"] {
            let mut value = [0; 16];
            let copy = File::open(dir.path().join(path)).unwrap();
            assert_eq!(xattr::get(copy.as_fd(), c"user.note", &mut value).unwrap(), 4);
        }
    }

    #[test]
    fn what_is_there_is_never_written_to() {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("from"), "new").unwrap();
        fs::write(dir.path().join("kept"), "kept").unwrap();
        symlink("kept", dir.path().join("link")).unwrap();
        for to in ["kept", "link"] {
            assert!(copy_at(dir.path(), to, Owner::Keep).is_err());
        }
        assert_eq!(fs::read(dir.path().join("kept")).unwrap(), b"kept");
    }
}
