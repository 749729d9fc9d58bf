//! A walk over everything beneath a directory, with one descriptor for each level.

use super::open;
use ebbtide_sys::directory::Entries;
use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::stat::{FileStat, SFlag, fstatat},
};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// How many levels beneath its top a walk goes: far more than people nest, and few enough to hold a
/// descriptor for each within a process's usual 1024, twice.
pub(crate) const DEEPEST: usize = 256;

/// Of a longer path so many characters are shown of each end.
const SHOWN: usize = 80;

/// What is done on a walk. An error ends it.
pub(crate) trait Visit {
    /// Is shown what is not a directory.
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> io::Result<()>;

    /// Is shown a directory before what is in it.
    fn enter(&mut self, _dir: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
        Ok(())
    }

    /// Is shown a directory, opened, after what is in it.
    fn leave(&mut self, dir: BorrowedFd<'_>, name: &CStr, left: BorrowedFd<'_>) -> io::Result<()>;

    /// Is shown a directory that is not entered, since it lies deeper than [`DEEPEST`].
    fn deep(&mut self, _dir: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
        Err(io::Error::other(format!("nested deeper than {DEEPEST} directories")))
    }

    /// Is told what has failed, here or in a function above, and where below the top.
    fn failed(&mut self, place: Place<'_>, error: io::Error) -> io::Result<()> {
        Err(place.name(&error))
    }
}

/// Where a walk is.
pub(crate) struct Place<'w> {
    levels: &'w [Level],
    pub(crate) name: &'w CStr,
}

impl Place<'_> {
    /// Puts the path below the top into an error, such that it fits a line of the kernel's log and says
    /// nothing to a terminal: somebody else has chosen the names.
    pub(crate) fn name(&self, error: &io::Error) -> io::Error {
        let mut path = String::new();
        for name in self.levels.iter().skip(1).map(|level| level.name.as_c_str()).chain([self.name])
        {
            if !path.is_empty() {
                path.push('/');
            }
            let name = String::from_utf8_lossy(name.to_bytes());
            path.extend(name.chars().map(|c| if c.is_control() { '?' } else { c }));
        }
        let length = path.chars().count();
        if length > 2 * SHOWN {
            let first: String = path.chars().take(SHOWN).collect();
            let last: String = path.chars().skip(length - SHOWN).collect();
            path = format!("{first}[…]{last}");
        }
        io::Error::new(error.kind(), format!("{path}: {error}"))
    }
}

struct Level {
    entries: Entries,
    /// Its name in the level above; the top has none.
    name: CString,
}

/// Shows `visit` everything beneath `top`, which is open for reading; not `top` itself.
///
/// # Errors
/// What a visit ends it with.
pub(crate) fn walk(top: OwnedFd, visit: &mut dyn Visit) -> io::Result<()> {
    let mut levels = vec![Level { entries: Entries::of(top), name: CString::default() }];
    while let Some(level) = levels.last_mut() {
        let entry = level.entries.next_name();
        let error = match entry {
            Ok(Some(name)) => match step(&mut levels, &name, visit) {
                Ok(()) => continue,
                Err(error) => (name, error),
            },
            Ok(None) => {
                let Some(left) = levels.pop() else { break };
                let Some(parent) = levels.last() else { break };
                match visit.leave(parent.entries.as_fd(), &left.name, left.entries.as_fd()) {
                    Ok(()) => continue,
                    Err(error) => (left.name, error),
                }
            }
            // A directory that cannot be read has no more entries.
            Err(error) => {
                let Some(left) = levels.pop() else { break };
                (left.name, error)
            }
        };
        visit.failed(Place { levels: &levels, name: &error.0 }, error.1)?;
    }
    Ok(())
}

fn step(levels: &mut Vec<Level>, name: &CString, visit: &mut dyn Visit) -> io::Result<()> {
    let depth = levels.len();
    let Some(dir) = levels.last().map(|level| level.entries.as_fd()) else { return Ok(()) };
    let stat = match fstatat(dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(()),
        found => found?,
    };
    if open::kind(&stat) != SFlag::S_IFDIR {
        return visit.file(dir, name, &stat);
    }
    if depth > DEEPEST {
        return visit.deep(dir, name);
    }
    let opened = open::directory(dir, name.as_c_str())?;
    visit.enter(dir, name)?;
    levels.push(Level { entries: Entries::of(opened), name: name.clone() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    struct Stubborn;

    impl Visit for Stubborn {
        fn file(&mut self, _: BorrowedFd<'_>, _: &CStr, _: &FileStat) -> io::Result<()> {
            Err(Errno::EACCES.into())
        }

        fn leave(&mut self, _: BorrowedFd<'_>, _: &CStr, _: BorrowedFd<'_>) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(path: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap();
        walk(File::open(dir.path()).unwrap().into(), &mut Stubborn).unwrap_err().to_string()
    }

    #[test]
    fn a_failure_names_its_path_in_one_short_line() {
        let text = Errno::EACCES.desc();
        assert!(said("a/b/c").starts_with(&format!("a/b/c: {text}")));
        assert!(said("a/\x1b[2J\nebbtide: b").starts_with("a/?[2J?ebbtide: b: "));
        let long = said(&format!("a/{}c", "ü/".repeat(200)));
        assert!(long.starts_with("a/ü/") && long.contains("ü/c: ") && long.len() < 400, "{long}");
    }
}
