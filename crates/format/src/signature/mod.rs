//! What is on a disk: nothing, a file system, something else by name, or something unknown.
//!
//! In: the size of a disk and the bytes at the places that [`ranges`] names. Out: [`Content`]. Whoever
//! wrote the disk may have meant harm, so no field is trusted and everything is bounded.
//!
//! A file system owns all bytes up to its end: what looks like another signature in there is data of
//! its users, and must not keep them from it. Only two things that both begin the disk are a conflict.

mod file_system;
mod marker;
mod named;
mod places;
mod probed;

pub use file_system::{FileSystem, Kind};
pub use marker::{MARKER_SIZE, TAIL, file_system_end, marker};
pub use places::{glance, ranges};
pub use probed::Probed;

/// What is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Zeros wherever something could be.
    Blank,
    /// A file system at its place.
    FileSystem(FileSystem),
    /// Something else that is known, by name.
    Other(&'static str),
    /// Two things that begin in the same place, by name.
    Several(&'static str, &'static str),
    /// A file system without a whole beginning: a copy of its superblock, or a damaged one.
    Remains {
        /// Of which kind.
        of: Kind,
        /// Where, in bytes.
        at: u64,
    },
    /// It was being formatted by us, and the power went: nobody has ever used it.
    BeingFormatted,
    /// Something that is not zero and not known.
    Unknown {
        /// Where the first byte of it is, among those that were read.
        at: u64,
    },
}

/// Tells what is on a disk by what was read of it.
#[must_use]
pub fn classify(probed: &Probed) -> Content {
    let found = file_system::find(probed);
    let first = named::at_start(probed);
    match (found, first) {
        // The names of whole disks and their tables go with it: an image for discs and sticks alike.
        ([Some(one), None], _) if one.kind == Kind::Iso9660 => Content::FileSystem(one),
        ([Some(one), Some(other)], _) => Content::Several(one.kind.word(), other.kind.word()),
        ([Some(one), _], Some(name)) => Content::Several(one.kind.word(), name),
        ([Some(one), _], None) => with_tail(probed, one),
        ([None, _], Some(name)) => Content::Other(name),
        ([None, _], None) => without_start(probed),
    }
}

/// A file system, unless what follows it says that it is a part of something, or not finished.
fn with_tail(probed: &Probed, file_system: FileSystem) -> Content {
    if file_system::is_kept_for_others(probed, file_system.kind) {
        return Content::Other("ext4 with multi-mount protection");
    }
    // Another program may have made and used it since, and our marker lies where it did not write.
    if file_system.size.0 <= file_system_end(probed.disk()).0
        && marker::is_there(probed)
        && !file_system::was_mounted(probed, file_system.kind)
    {
        return Content::BeingFormatted;
    }
    match named::member_at_end(probed, file_system.size.0) {
        Some(name) => Content::Other(name),
        None => Content::FileSystem(file_system),
    }
}

fn without_start(probed: &Probed) -> Content {
    if let Some(name) = named::further_in(probed).or_else(|| named::at_end(probed)) {
        return Content::Other(name);
    }
    // Only now: no mkfs of ours leaves a name, so what has one came after the marker.
    if marker::is_there(probed) {
        return Content::BeingFormatted;
    }
    if let Some((of, at)) = file_system::remains(probed) {
        return Content::Remains { of, at };
    }
    match probed.first_non_zero() {
        Some(at) => Content::Unknown { at },
        None => Content::Blank,
    }
}

#[cfg(test)]
mod tests;
