//! Whether whoever copies a version still lives: told by a lock of one byte of its store, far behind the end, which the
//! kernel gives back with the process. Each copy has a byte of its own, since many read one store.

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use std::{fs::File, io, path::Path};
use uuid::Uuid;

/// Where the bytes begin that no store has.
const BEHIND: i64 = 1 << 62;

fn byte(id: Uuid) -> libc::flock {
    let number = i64::try_from(id.as_u128() & ((1 << 60) - 1)).unwrap_or_default();
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: BEHIND + number,
        l_len: 1,
        l_pid: 0,
    }
}

/// Says that a copy lives, as long as what is returned is open.
///
/// # Errors
/// The store cannot be opened; the file system has no such locks.
pub(super) fn tell(store: &Path, id: Uuid) -> io::Result<File> {
    let file = File::options().read(true).write(true).open(store)?;
    fcntl(&file, FcntlArg::F_OFD_SETLK(&byte(id)))?;
    Ok(file)
}

/// Returns whether a copy lives.
///
/// # Errors
/// As [`tell`].
pub(super) fn is_told(store: &Path, id: Uuid) -> io::Result<bool> {
    let file = File::open(store)?;
    let mut asked = byte(id);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked))?;
    Ok(i32::from(asked.l_type) != libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_of_a_store_lives_as_long_as_its_own_file_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        std::fs::write(&store, "x").unwrap();
        let ids = [Uuid::new_v4(), Uuid::new_v4()];
        let lives = || ids.map(|id| is_told(&store, id).unwrap());
        let one = tell(&store, ids[0]).unwrap();
        assert_eq!(lives(), [true, false]);
        let other = tell(&store, ids[1]).unwrap();
        drop(one);
        assert_eq!(lives(), [false, true]);
        drop(other);
        assert_eq!(lives(), [false, false]);
    }
}
