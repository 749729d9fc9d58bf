//! The marker: a small file that says which COW file is merged, or was merged, into a backing file in place.
//!
//! It lies beside the backing file, and beside the COW file where the backing is a device. It is durable before the first
//! byte of the backing changes, and it stays: with it, a merge that was cut off is finished by repeating it, and one that
//! was finished is not done again over what was written since.

mod elsewhere;
mod finish;
mod identity;
mod overtook;
mod place;
mod text;
mod write;

pub(in crate::cow) use elsewhere::elsewhere;
pub use identity::Identity;
pub(crate) use identity::{Since, split};
pub use place::{beside, of};

use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
};
use jiff::Timestamp;
use nix::libc;
use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Bytes that a marker has at most: a few paths and numbers.
const MOST: u64 = 256 << 10;
/// How many finished merges of other COW files one remembers.
const EARLIER: usize = 16;

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// How far the merge is.
    pub state: State,
    /// The COW file as it was when the merge began.
    pub cow: Identity,
    /// What kind of COW file it is, for people.
    pub format: String,
    /// The backing as it was when the merge began; its time of modification is the one that it gets in the end.
    pub backing: Identity,
    /// Other COW files that were merged into it before, the last one last.
    pub earlier: Vec<Earlier>,
}

/// How far a merge in place is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It began. The backing may hold any part of it.
    Merging,
    /// It ended: the backing holds all of it.
    Merged {
        /// When.
        at: Timestamp,
        /// The backing as it was then.
        after: Identity,
    },
}

/// A COW file that was merged before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The COW file as it was then.
    pub cow: Identity,
    /// When its merge ended.
    pub at: Timestamp,
}

impl Marker {
    /// Returns whether the backing may be neither what it was nor what it is to be.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.state == State::Merging
    }
}

/// Reads a marker; `None` when there is none.
///
/// # Errors
/// Its text is not that of a marker, and what to do about it; it cannot be read.
pub fn read(file: &Path) -> Result<Option<Marker>> {
    match bytes(file) {
        Ok(bytes) => text::parse(&bytes, file).map(Some).map_err(|error| broken(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::doing(format!("read {}", file.display()))(error)),
    }
}

fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe does not wait.
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let open = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    let mut bytes = Vec::new();
    open.take(MOST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn broken(error: &Error) -> Error {
    let hint = "if no merge in place was cut off there, remove it; else correct it with an editor";
    Refusal::new(RefusalKind::Rule, error.chain()).hint(hint).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn identity(name: &str) -> Identity {
        let time = Timestamp::new(1_234_567_890, 123_456_789).ok();
        Identity {
            path: format!("/srv/{name}").into(),
            size: 4096,
            inode: Some(-7),
            created: None,
            modified: time,
            changed: time,
        }
    }

    fn marker(state: State) -> Marker {
        let earlier =
            (0..20).map(|n| Earlier { cow: identity(&n.to_string()), at: Timestamp::UNIX_EPOCH });
        Marker {
            state,
            cow: identity("work.cow"),
            format: "COW file".into(),
            backing: identity("root.img"),
            earlier: earlier.collect(),
        }
    }

    fn merged() -> State {
        State::Merged { at: Timestamp::UNIX_EPOCH, after: identity("root.img") }
    }

    #[test]
    fn what_is_written_is_read_again_and_remembers_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("root.img.ebbtide-merge");
        assert_eq!(read(&file).unwrap(), None);
        for state in [State::Merging, merged()] {
            let wanted = marker(state);
            wanted.write(&file).unwrap();
            let found = read(&file).unwrap().unwrap();
            assert_eq!(found.earlier, wanted.earlier[20 - EARLIER..]);
            assert_eq!(found, Marker { earlier: found.earlier.clone(), ..wanted });
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_that_lies_where_it_is_made_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let [file, victim] = ["m", "victim"].map(|name| dir.path().join(name));
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, crate::file::aside(&file)).unwrap();
        marker(State::Merging).write(&file).unwrap();
        assert_eq!(fs::read(victim).unwrap(), b"mine");
    }

    #[test]
    fn a_broken_marker_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m");
        marker(merged()).write(&file).unwrap();
        let good = fs::read_to_string(&file).unwrap();
        let replaced = |from: &str, to: &str| good.replacen(from, to, 1);
        let cases = [
            (String::new(), "missing field `format`"),
            (replaced("format = 1", "format = 2"), "made by a newer ebbtide"),
            (replaced("format = 1", "format = 0"), "wanted format 1, found 0"),
            (replaced("merged", "maybe"), "line 2: unknown variant `maybe`"),
            (replaced("merged", "merging"), "says how that ended"),
            (replaced("\nat = ", "\n# "), "wanted `at` and [after]"),
            (replaced("size = 4096", "size = -"), "line 8"),
            (replaced("size = 4096", "size = 4096\nother = 1"), "unknown field `other`"),
            ("#".repeat(300_000), "at most 262144 bytes"),
        ];
        for (text, wanted) in cases {
            fs::write(&file, text).unwrap();
            let error = read(&file).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(wanted) && said.contains("/m: "), "{said}");
            assert!(error.hint().unwrap().contains("remove it"));
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        read(&file).unwrap_err();
    }
}
