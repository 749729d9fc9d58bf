//! The names of a volume's files in its VM's directory, printed and read.
//!
//! ```text
//! root.img                           clean: the current version; an inode that is never opened for writing
//! root-dirty.img                     what a running VM writes; there too after a crash
//! root-precache.img                  the next dirty image, made in the background
//! root.img.7@2026-11-20T10:00:00Z    revision 7; `root.img@TIME` is read too
//! root.img.export-UUID               a version that somebody exports, until they end it
//! root.img.aside-…                   being made: renamed into place or removed by the next command
//! ```

use super::revision::Revision;
use crate::name::{COW, USED, VolumeName};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a file is to a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// The current version.
    Clean,
    /// What the running VM writes.
    Dirty,
    /// The next dirty image.
    Precache,
    /// A kept version.
    Revision(Revision),
    /// A version that is being exported.
    Export(Uuid),
    /// Being made, for the purpose named: `import`, `resize`, `revert`, `precache`, …
    Aside(String),
}

/// A volume's files: its directory, relative to the pool, and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Files {
    /// The VM's directory.
    pub dir: PathBuf,
    /// The volume.
    pub name: VolumeName,
}

impl Files {
    /// Returns the files of volume `name` of the VM in `dir`.
    #[must_use]
    pub fn new(dir: &Path, name: VolumeName) -> Self {
        Self { dir: dir.into(), name }
    }

    /// Returns the path of a file.
    #[must_use]
    pub fn path(&self, kind: &FileKind) -> PathBuf {
        self.dir.join(file_name(&self.name, kind))
    }

    /// Returns the path of the current version.
    #[must_use]
    pub fn clean(&self) -> PathBuf {
        self.path(&FileKind::Clean)
    }

    /// Returns the path of what the running VM writes.
    #[must_use]
    pub fn dirty(&self) -> PathBuf {
        self.path(&FileKind::Dirty)
    }

    /// Returns the path of the next dirty image.
    #[must_use]
    pub fn precache(&self) -> PathBuf {
        self.path(&FileKind::Precache)
    }

    /// Returns the files of the exception stores of this volume, where versions are kept in such: `root-cow.img`, `root-cow.img.7@…`.
    #[must_use]
    pub fn cow(&self) -> Self {
        Self { dir: self.dir.clone(), name: self.name.with(COW) }
    }

    /// Returns the names under which exception stores are used for this volume: `root-snap.img`.
    #[must_use]
    pub fn used(&self) -> Self {
        Self { dir: self.dir.clone(), name: self.name.with(USED) }
    }

    /// Returns the volume for which a store is used, when these are names of such.
    #[must_use]
    pub fn used_by(&self) -> Option<Self> {
        Some(Self { dir: self.dir.clone(), name: self.name.without(USED)? })
    }

    /// Returns the path of something that is being made.
    #[must_use]
    pub fn aside(&self, purpose: &str) -> PathBuf {
        self.path(&FileKind::Aside(purpose.into()))
    }
}

/// Returns the name of a file.
#[must_use]
pub fn file_name(volume: &VolumeName, kind: &FileKind) -> String {
    match kind {
        FileKind::Clean => format!("{volume}.img"),
        FileKind::Dirty => format!("{volume}-dirty.img"),
        FileKind::Precache => format!("{volume}-precache.img"),
        FileKind::Revision(revision) => format!("{volume}.img{revision}"),
        FileKind::Export(id) => format!("{volume}.img.export-{id}"),
        FileKind::Aside(purpose) => format!("{volume}.img.aside-{purpose}"),
    }
}

/// Returns which volume's file has this name, and what it is to it. `None` for every name that [`file_name`] does not
/// give: such a file is not ours and is left alone.
#[must_use]
pub fn read_name(name: &str) -> Option<(VolumeName, FileKind)> {
    let (stem, rest) = name.split_once(".img")?;
    let (volume, kind) = match rest {
        "" => stem
            .strip_suffix("-dirty")
            .map(|volume| (volume, FileKind::Dirty))
            .or_else(|| stem.strip_suffix("-precache").map(|volume| (volume, FileKind::Precache)))
            .unwrap_or((stem, FileKind::Clean)),
        _ => {
            let kind = if let Some(purpose) = rest.strip_prefix(".aside-") {
                FileKind::Aside(purpose.into())
            } else if let Some(id) = rest.strip_prefix(".export-") {
                FileKind::Export(id.parse().ok()?)
            } else {
                FileKind::Revision(rest.parse().ok()?)
            };
            (stem, kind)
        }
    };
    let volume = VolumeName::of_file(volume)?;
    (file_name(&volume, &kind) == name).then_some((volume, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for name in [
            "root.img",
            "root-dirty.img",
            "root-precache.img",
            "root.img.7@2026-11-20T10:00:00Z",
            "private.img@2018-01-02T03:04:05Z",
            "root.img.aside-import",
            "a*b c.img",
            "root-cow.img",
            "root-cow.img.7@2026-11-20T10:00:00Z",
            "root-snap.img.export-00000000-0000-0000-0000-000000000007",
        ] {
            let (volume, kind) = read_name(name).unwrap_or_else(|| panic!("{name} is not read"));
            assert_eq!(file_name(&volume, &kind), name);
        }
    }

    #[test]
    fn other_names_are_nobodys() {
        for name in [
            "root",
            "root.img~",
            "root.img.07@2026-11-20T10:00:00Z",
            "root.img.7",
            "root.img@yesterday",
            ".img",
            "-dirty.img",
            "-cow.img",
            "root-cow-cow.img",
            "root.img.bak",
        ] {
            assert_eq!(read_name(name), None, "{name}");
        }
    }
}
