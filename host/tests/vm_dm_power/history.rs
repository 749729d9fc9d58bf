//! What is done while it is recorded, and what is there before and after each part.

use ebbtide::{
    pool::driver::{Retention, Volume},
    volume::{Files, Role},
};
use ebbtide_format::units::Bytes;
use std::{collections::BTreeMap, path::Path};

const CHUNKS: usize = 64;
pub(crate) const CHUNK: usize = 4096;

/// The template.
pub(crate) fn template() -> Volume {
    Volume {
        id: "debian:root".parse().unwrap(),
        files: Files::new(Path::new("vm-templates/debian"), "root".parse().unwrap()),
        role: Role::Origin,
        source: None,
        size: Bytes((CHUNKS * CHUNK) as u64),
        retention: Retention { keep: 10, ..Retention::default() },
    }
}

/// A letter for each chunk.
pub(crate) type Image = String;

/// Returns the chunks that a VM writes for this letter: all of them once, for content that is written over where it is.
pub(crate) fn written(letter: u8) -> impl Iterator<Item = usize> {
    (0..CHUNKS).filter(move |n| letter == b'a' || (usize::from(letter) + n) % 3 != 0)
}

/// Returns what a disk has after these were written.
fn image(letters: &[u8]) -> Image {
    let mut chunks = [b'.'; CHUNKS];
    for letter in letters {
        written(*letter).for_each(|n| chunks[n] = *letter);
    }
    String::from_utf8(chunks.into()).unwrap()
}

/// What a user sees: the current version, and kept ones by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) current: Image,
    pub(crate) revisions: BTreeMap<u64, Image>,
}

fn seen(current: &[u8], revisions: &[&[u8]]) -> Seen {
    let revisions = (1..).zip(revisions.iter().map(|letters| image(letters))).collect();
    Seen { current: image(current), revisions }
}

/// A part of what is recorded: it ends with a mark of its name.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) old: Seen,
    /// When it has returned.
    pub(crate) new: Seen,
}

/// Returns the parts, in order.
pub(crate) fn parts() -> Vec<Part> {
    let b = seen(b"ab", &[b"", b"a"]);
    let c = seen(b"abc", &[b"", b"a", b"ab"]);
    let a = seen(b"a", &[b"", b"a", b"ab", b"abc"]);
    let part = |name, old: &Seen, new: &Seen| Part { name, old: old.clone(), new: new.clone() };
    vec![
        part("write c", &b, &b),
        part("commit", &b, &c),
        part("write d", &c, &c),
        part("discard", &c, &c),
        part("revert", &c, &a),
    ]
}
