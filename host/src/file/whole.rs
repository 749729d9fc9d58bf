//! A new file outside of the pool that has its name when it is whole, and not before.
//!
//! Until then it has none (`O_TMPFILE`), and is gone with whoever makes it; on file systems that cannot do that, it has a
//! name that says what it is.

use nix::{
    fcntl::{AT_FDCWD, AtFlags, RenameFlags, renameat2},
    libc,
    unistd::linkat,
};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

/// Makes a file that only its owner may read, fills it, and returns what `fill` did. Durable when it returns; when it fails, nothing is there.
///
/// # Errors
/// `AlreadyExists` when something has the name, also when it got it meanwhile.
pub(crate) fn make<T, E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let dir = directory(path);
    let filled = match unnamed(dir) {
        Ok(file) => {
            let filled = fill(&file)?;
            file.sync_all()?;
            name(&file, path)?;
            filled
        }
        Err(error) if cannot_be_unnamed(&error) => named(path, fill)?,
        Err(error) => return Err(error.into()),
    };
    super::sync_names(dir)?;
    Ok(filled)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Opens a new file of a directory that has no name in it.
fn unnamed(dir: &Path) -> io::Result<File> {
    options().custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC).open(dir)
}

/// Returns whether the file system, or an old kernel, has no files without names.
fn cannot_be_unnamed(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL))
}

/// Gives a file that has none its name.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let descriptor = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    Ok(linkat(AT_FDCWD, &descriptor, AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?)
}

/// Makes the file beside its name, and renames it.
fn named<T, E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let (aside, file) = aside(path)?;
    let made = fill(&file).and_then(|filled| {
        file.sync_all()?;
        rename(&aside, path)?;
        Ok(filled)
    });
    made.inspect_err(|_| remove(&aside))
}

/// Makes a file beside another, with its rights, fills it, and renames it over that one. Durable when it returns; when it
/// fails, and after a cut, the old one is there or the new one, whole.
///
/// # Errors
/// The kernel's.
pub(crate) fn replace(
    path: &Path,
    old: &File,
    fill: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let found = old.metadata()?;
    let (aside, file) = aside(path)?;
    let made = fill(&file).and_then(|()| {
        let new = file.metadata()?;
        if (found.uid(), found.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(found.uid()), Some(found.gid()))?;
        }
        file.set_permissions(found.permissions())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    });
    made.inspect_err(|_| remove(&aside))?;
    super::sync_names(directory(path))
}

/// Returns where a new file of that name is made.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

/// Opens a new file beside a name, and returns what it is called.
fn aside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".aside-{}", uuid::Uuid::new_v4()));
    let aside = PathBuf::from(aside);
    let file = options().create_new(true).custom_flags(libc::O_CLOEXEC).open(&aside)?;
    Ok((aside, file))
}

fn remove(aside: &Path) {
    if let Err(error) = fs::remove_file(aside) {
        log::warn!("{} is left behind: {error}", aside.display());
    }
}

/// Renames a file to a name that nothing has.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // The file system cannot look and rename in one step.
        Err(nix::errno::Errno::EINVAL) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

    /// Both ways to make it.
    type Make = fn(&Path, &mut dyn FnMut(&File) -> io::Result<()>) -> io::Result<()>;
    const WAYS: [Make; 2] = [|path, fill| make(path, fill), |path, fill| named(path, fill)];

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        for (way, file) in WAYS.iter().zip(["unnamed", "named"]) {
            let path = dir.path().join(file);
            way(&path, &mut |mut out| {
                assert!(!path.exists(), "{file}");
                out.write_all(b"half")
            })
            .unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"half");
            let error = way(&path, &mut |mut out| out.write_all(b"more")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"half");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_is_replaced_when_the_new_one_is_whole_and_keeps_its_rights() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let old = File::open(&path).unwrap();
        let fill = |mut out: &File| {
            assert_eq!(fs::read(&path).unwrap(), b"old");
            out.write_all(b"new")
        };
        replace(&path, &old, fill).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
        replace(&path, &old, |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for way in WAYS {
            let path = dir.path().join("file");
            way(&path, &mut |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
