//! Directories on the private disk that only lead to what is kept, and are not kept themselves.
//!
//! In: an attribute that says so. Out: such a directory, made, or filled with the rest of what it stands
//! for. Whatever is in it already is kept. A cut leaves it as a way, which is filled again.

use super::{aside::Aside, copy::dress, open};
use ebbtide_sys::{directory::Entries, xattr};
use nix::{
    errno::Errno,
    fcntl::{RenameFlags, renameat2},
    sys::stat::{Mode, fchmod, mkdirat},
};
use std::{
    ffi::{CStr, OsStr},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Says that a directory is a way. Only root can write it.
const NAME: &CStr = c"trusted.ebbtide.way";
const WAY: &[u8] = b"1";
const NO_WAY: &[u8] = b"0";
/// Longer ones are not made, as longer paths are not declared.
const DEEPEST: usize = 64;

/// Tells whether an open directory is a way.
pub(crate) fn is_way(dir: BorrowedFd<'_>) -> bool {
    let mut value = [0; 1];
    matches!(xattr::get(dir, NAME, &mut value), Ok(1)) && value == WAY
}

/// Makes a directory in `parent`, which is a way if `way` says so; it appears with all that it has.
///
/// # Errors
/// `EEXIST` when there is something.
pub(crate) fn make(
    aside: &Aside<'_>,
    parent: BorrowedFd<'_>,
    name: &OsStr,
    mode: u32,
    way: bool,
) -> io::Result<OwnedFd> {
    let built = OsStr::new("way");
    match mkdirat(aside.dir(), built, Mode::S_IRWXU) {
        // One that could not be published.
        Err(Errno::EEXIST) => {}
        done => done?,
    }
    let dir = open::directory(aside.dir(), built)?;
    fchmod(&dir, Mode::from_bits_truncate(mode))?;
    match xattr::set(dir.as_fd(), NAME, if way { WAY } else { NO_WAY }) {
        Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {}
        done => done?,
    }
    aside.publish(built, parent, name)?;
    Ok(dir)
}

/// Moves what is in `from` into `way`, unless it has that already, and makes it a directory like any
/// other: one that is `from`, if there is one.
///
/// # Errors
/// When something cannot be moved; it is a way still.
pub(crate) fn fill(from: Option<BorrowedFd<'_>>, way: BorrowedFd<'_>) -> io::Result<()> {
    level(from, way, 0)
}

fn level(from: Option<BorrowedFd<'_>>, way: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("found a way of more than 64 directories"));
    }
    // First those below: what a cut leaves must lead to them.
    let mut kept = Entries::of(open::directory(way, ".")?);
    while let Some(name) = kept.next_name()? {
        let Ok(inner) = open::directory(way, name.as_c_str()) else { continue };
        if is_way(inner.as_fd()) {
            let from = from.and_then(|from| open::directory(from, name.as_c_str()).ok());
            level(from.as_ref().map(AsFd::as_fd), inner.as_fd(), depth + 1)?;
        }
    }
    if let Some(from) = from {
        let mut new = Entries::of(open::directory(from, ".")?);
        while let Some(name) = new.next_name()? {
            let name = name.as_c_str();
            match renameat2(from, name, way, name, RenameFlags::RENAME_NOREPLACE) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        dress(from, way)?;
    }
    xattr::set(way, NAME, NO_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mounts::Volume;
    use std::{
        fs::{self, File},
        os::unix::fs::PermissionsExt,
        path::Path,
    };

    fn opened(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    /// Makes `a/b` in `dir`, two ways; `false` where no attributes are kept.
    fn ways(dir: &Path) -> bool {
        let volume = Volume { root: opened(dir), read_only: false };
        let aside = Aside::begin(&volume).unwrap();
        let made = (|| {
            let a = make(&aside, volume.root.as_fd(), OsStr::new("a"), 0o755, true)?;
            let b = make(&aside, a.as_fd(), OsStr::new("b"), 0o755, true)?;
            io::Result::Ok(is_way(a.as_fd()) && is_way(b.as_fd()))
        })();
        aside.finish().unwrap();
        let kept = made.unwrap_or(false);
        if !kept {
            println!("skipped: trusted attributes are not kept here");
        }
        kept
    }

    #[test]
    fn a_way_is_filled_around_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        if !ways(dir.path()) {
            return;
        }
        let at = |path: &str| dir.path().join(path);
        fs::create_dir(at("a/b/kept")).unwrap();
        fs::write(at("a/b/kept/x"), "mine").unwrap();
        fs::create_dir_all(at("from/b/kept")).unwrap();
        fs::create_dir_all(at("from/c/d")).unwrap();
        fs::write(at("from/b/kept/x"), "template").unwrap();
        fs::write(at("from/b/kept/y"), "template").unwrap();
        fs::write(at("from/b/z"), "template").unwrap();
        fs::set_permissions(at("from/b"), fs::Permissions::from_mode(0o711)).unwrap();
        let (from, way) = (opened(&at("from")), opened(&at("a")));
        fill(Some(from.as_fd()), way.as_fd()).unwrap();
        assert_eq!(fs::read_to_string(at("a/b/kept/x")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(at("a/b/z")).unwrap(), "template");
        assert!(at("a/c/d").is_dir() && !at("a/b/kept/y").exists());
        assert_eq!(at("a/b").metadata().unwrap().permissions().mode() & 0o7777, 0o711);
        assert!(!is_way(way.as_fd()) && !is_way(opened(&at("a/b")).as_fd()));
    }

    #[test]
    fn a_way_to_what_the_root_does_not_have_is_a_way_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        if !ways(dir.path()) {
            return;
        }
        let way = opened(&dir.path().join("a"));
        fill(None, way.as_fd()).unwrap();
        assert!(!is_way(way.as_fd()) && !is_way(opened(&dir.path().join("a/b")).as_fd()));
    }

    #[test]
    fn a_directory_without_the_attribute_is_no_way() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_way(opened(dir.path()).as_fd()));
    }
}
