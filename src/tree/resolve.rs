//! Paths of the root, which the programs in it see through links.
//!
//! In: the root's directory and a path. Out: what is there, held open, and the path without links. A
//! link is followed only where it lies on the root's own file system: any other may have been put
//! there by whoever used the machine.

use super::open;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat},
    sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat},
};
use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;
/// More than fit a path that the kernel takes, and links may lengthen one at every turn.
const MOST_STEPS: usize = 8192;

/// Something in the root.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// It, held (`O_PATH`).
    pub(crate) fd: OwnedFd,
    /// Its absolute path in the root, without links.
    pub(crate) path: PathBuf,
}

/// What is made where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// A directory.
    Directory,
    /// An empty regular file.
    File,
}

/// Finds what `path` leads to in the root.
///
/// # Errors
/// As the kernel's; `ELOOP` after 40 links; and a text of its own for a link that is not followed.
pub(crate) fn resolve(root: BorrowedFd<'_>, path: &Path) -> io::Result<Resolved> {
    find(root, path, None)
}

/// Finds what `path` leads to in the root, and makes what is missing: directories on the way with mode
/// 0755, the last as `made` with `mode`. What is there stays as it is, of whatever kind.
///
/// # Errors
/// As [`resolve`]; `EROFS` comes as it is.
pub(crate) fn make_beneath(
    root: BorrowedFd<'_>,
    path: &Path,
    made: Made,
    mode: u32,
) -> io::Result<Resolved> {
    find(root, path, Some((made, Mode::from_bits_truncate(mode))))
}

fn find(root: BorrowedFd<'_>, path: &Path, make: Option<(Made, Mode)>) -> io::Result<Resolved> {
    let plain = !path.as_os_str().as_bytes().split(|byte| *byte == b'/').any(|part| part == b"..");
    if plain {
        match held(root, path) {
            Ok(fd) => return Ok(Resolved { fd, path: clean(path) }),
            Err(Errno::ELOOP) => {}
            Err(Errno::ENOENT) if make.is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut way =
        Way { root, dir: held(root, Path::new("/"))?, done: PathBuf::from("/"), links: 0 };
    let mut rest = Vec::new();
    put(&mut rest, path);
    for _ in 0..MOST_STEPS {
        let Some(part) = rest.pop() else { return Ok(Resolved { fd: way.dir, path: way.done }) };
        let make = make.map(|(made, mode)| if rest.is_empty() { (made, mode) } else { PARENT });
        way.step(&part, make, &mut rest)?;
    }
    Err(Errno::ELOOP.into())
}

const PARENT: (Made, Mode) = (Made::Directory, Mode::from_bits_truncate(0o755));

/// A path on its way through the root.
struct Way<'r> {
    root: BorrowedFd<'r>,
    /// Where it has come to, held.
    dir: OwnedFd,
    /// The same as text.
    done: PathBuf,
    links: usize,
}

impl Way<'_> {
    fn step(
        &mut self,
        part: &OsStr,
        make: Option<(Made, Mode)>,
        rest: &mut Vec<OsString>,
    ) -> io::Result<()> {
        if part == ".." {
            self.done.pop();
            self.dir = held(self.root, &self.done)?;
            return Ok(());
        }
        let next = match one(self.dir.as_fd(), part) {
            Err(Errno::ENOENT) if make.is_some() => self.make(part, make)?,
            found => found?,
        };
        if open::kind(&fstat(&next)?) != SFlag::S_IFLNK {
            self.dir = next;
            self.done.push(part);
            return Ok(());
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if fstat(&self.dir)?.st_dev != fstat(self.root)?.st_dev {
            let link = self.done.join(part);
            let text = format!(
                "{}: a symbolic link outside of the root's own file system is not followed",
                link.display()
            );
            return Err(io::Error::other(text));
        }
        let target = PathBuf::from(readlinkat(&next, "")?);
        if target.is_absolute() {
            self.done = PathBuf::from("/");
            self.dir = held(self.root, &self.done)?;
        }
        put(rest, &target);
        Ok(())
    }

    fn make(&self, part: &OsStr, make: Option<(Made, Mode)>) -> nix::Result<OwnedFd> {
        let (made, mode) = make.ok_or(Errno::ENOENT)?;
        // The mask of the process takes bits away.
        match made {
            Made::Directory => {
                match mkdirat(&self.dir, part, mode) {
                    Err(Errno::EEXIST) => return one(self.dir.as_fd(), part),
                    made => made?,
                }
                let dir = open::directory(self.dir.as_fd(), part)?;
                fchmod(&dir, mode)?;
            }
            Made::File => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                match openat(&self.dir, part, flags, mode) {
                    Err(Errno::EEXIST) => {}
                    made => fchmod(made?, mode)?,
                }
            }
        }
        one(self.dir.as_fd(), part)
    }
}

/// Holds one name in a directory; here mounts are crossed, for the root consists of them.
fn one(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(dir, name, how)
}

/// Holds what is at a path of the root that has no links.
fn held(root: BorrowedFd<'_>, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_IN_ROOT
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    openat2(root, path, how)
}

/// Puts the parts of a path on what is still to go, the first one last.
fn put(rest: &mut Vec<OsString>, path: &Path) {
    let parts = path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/');
    let parts = parts.filter(|part| !matches!(*part, b"" | b"."));
    rest.extend(parts.map(|part| OsString::from_vec(part.to_vec())));
}

/// Returns a path without `..` as an absolute one without empty parts.
fn clean(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    put(&mut rest, path);
    let mut done = PathBuf::from("/");
    while let Some(part) = rest.pop() {
        done.push(part);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        os::unix::fs::{PermissionsExt, symlink},
    };
    use tempfile::{TempDir, tempdir};

    fn root() -> (TempDir, File) {
        let dir = tempdir().unwrap();
        for path in ["var/lib", "usr/lib", "run"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let links =
            [("lib", "usr/lib"), ("var/run", "/run"), ("up", "../../../usr"), ("loop", "loop")];
        for (link, target) in links {
            symlink(target, dir.path().join(link)).unwrap();
        }
        let root = File::open(dir.path()).unwrap();
        (dir, root)
    }

    fn path_of(root: &File, path: &str) -> io::Result<String> {
        resolve(root.as_fd(), Path::new(path)).map(|found| found.path.display().to_string())
    }

    #[test]
    fn links_lead_to_places_of_the_root_only() {
        let (_dir, root) = root();
        for (path, wanted) in [
            ("/", "/"),
            ("/var//lib/./", "/var/lib"),
            ("/lib", "/usr/lib"),
            ("/var/run", "/run"),
            ("/up/lib", "/usr/lib"),
            // `/run/..` is the root, as it is for the programs in it.
            ("/var/run/../lib", "/usr/lib"),
            ("/var/../../../var/lib", "/var/lib"),
        ] {
            assert_eq!(path_of(&root, path).unwrap(), wanted, "{path}");
        }
        let number = |path| path_of(&root, path).unwrap_err().raw_os_error();
        assert_eq!(number("/loop"), Some(Errno::ELOOP as i32));
        assert_eq!(number("/etc/passwd"), Some(Errno::ENOENT as i32));
    }

    #[test]
    fn what_is_held_is_what_the_path_says() {
        let (dir, root) = root();
        fs::write(dir.path().join("usr/lib/file"), "").unwrap();
        let found = resolve(root.as_fd(), Path::new("/lib/file")).unwrap();
        let wanted = nix::sys::stat::stat(&dir.path().join("usr/lib/file")).unwrap();
        assert_eq!(fstat(&found.fd).unwrap().st_ino, wanted.st_ino);
        assert_eq!(path_of(&root, "/lib/file/x").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_link_on_another_file_system_is_refused_by_name() {
        // Somebody else's file system: the kernel's.
        let root = File::open("/").unwrap();
        let error = path_of(&root, "/proc/self/status").unwrap_err().to_string();
        assert!(error.starts_with("/proc/self: a symbolic link outside"), "{error}");
    }

    #[test]
    fn what_is_missing_is_made_with_its_mode() {
        let (dir, root) = root();
        let make = |path, made| make_beneath(root.as_fd(), Path::new(path), made, 0o750);
        assert_eq!(make("/lib/a/b", Made::Directory).unwrap().path, Path::new("/usr/lib/a/b"));
        assert_eq!(make("/var/run/x/file", Made::File).unwrap().path, Path::new("/run/x/file"));
        make("/lib/a", Made::File).unwrap();
        let mode = |path| fs::metadata(dir.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode("usr/lib/a"), 0o40755);
        assert_eq!(mode("usr/lib/a/b"), 0o40750);
        assert_eq!(mode("run/x/file"), 0o100_750);
        let error = make("/run/x/file/y", Made::Directory).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
