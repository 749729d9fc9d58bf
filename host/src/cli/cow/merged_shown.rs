//! A file that was made of a COW file and its backing, as it is printed.

use crate::cli::{human, out};
use ebbtide::cow::{
    Done,
    merge::{FromBacking, Merged},
};
use ebbtide_format::units::Bytes;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The file; sizes in bytes.
#[derive(Debug, Serialize)]
pub(super) struct MergedShown {
    #[serde(serialize_with = "out::path")]
    cow: PathBuf,
    #[serde(serialize_with = "out::path")]
    out: PathBuf,
    size: u64,
    #[serde(flatten)]
    done: DoneShown,
    backing: FromBackingShown,
}

/// What became of what the COW file holds; both together are all of it.
#[derive(Debug, Serialize)]
pub(super) struct DoneShown {
    cloned: u64,
    copied: u64,
}

/// What the file has of the backing.
#[derive(Debug, Serialize)]
struct FromBackingShown {
    cloned: bool,
    copied: u64,
}

impl MergedShown {
    /// Returns what is shown of a new file.
    pub(super) fn new(cow: &Path, merged: &Merged) -> Self {
        let backing = match merged.backing {
            FromBacking::Cloned => FromBackingShown { cloned: true, copied: 0 },
            FromBacking::Copied(bytes) => FromBackingShown { cloned: false, copied: bytes.0 },
        };
        Self {
            cow: cow.into(),
            out: merged.out.clone(),
            size: merged.size.0,
            done: (&merged.done).into(),
            backing,
        }
    }
}

impl From<&Done> for DoneShown {
    fn from(done: &Done) -> Self {
        Self { cloned: done.cloned.0, copied: done.copied.0 }
    }
}

/// Returns the sentence about a new file.
pub(super) fn sentence(cow: &Path, merged: &Merged) -> String {
    let Merged { out, done, backing, .. } = merged;
    let (cow, out, held, how) =
        (cow.display(), out.display(), human::size(done.bytes()), how(done));
    let backing = match backing {
        FromBacking::Cloned => "over a clone of its backing".to_owned(),
        FromBacking::Copied(bytes) => {
            format!("with {} copied from its backing", human::size(*bytes))
        }
    };
    format!("{cow}: {held} merged into {out}{how}, {backing}")
}

/// Returns how much of it was cloned.
pub(super) fn how(done: &Done) -> String {
    match (done.cloned, done.copied) {
        (Bytes(0), _) => String::new(),
        (_, Bytes(0)) => ", cloned".into(),
        (cloned, _) => format!(", {} of it cloned", human::size(cloned)),
    }
}
