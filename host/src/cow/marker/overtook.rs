//! COW files over which a merge of another one has gone.
//!
//! A merge in place sets the time of the backing back, so by that alone every COW file of the backing still fits.

use super::{Identity, Marker, State};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;

/// Times of files are those of the last tick of the kernel's clock, which is at most so old.
const TICK: SignedDuration = SignedDuration::from_millis(20);

impl Marker {
    /// Returns the merge of another COW file, by its path and when it ended, that came after the last write to this one:
    /// what this one was written over is gone. An older state of the merged one is another too, wherever it lies. A device
    /// says nothing of its writes.
    #[must_use]
    pub fn overtook(&self, cow: &Identity, backing: &Identity) -> Option<(&Path, Timestamp)> {
        let State::Merged { at, after } = &self.state else { return None };
        // Something else was put in its place since. What only has another time may have been written to, and still has it.
        if !after.is_one(backing) && !is_copy(after, backing) {
            return None;
        }
        let last_write = cow.modified?;
        let merges = self.earlier.iter().map(|earlier| (&earlier.cow, earlier.at));
        let mut merges = merges.chain([(&self.cow, *at)]);
        let is_later = |at: Timestamp| at.duration_since(last_write) > TICK;
        // A file that has the place of the merged one may be a copy that was made before, and so may its content.
        let found = merges.find(|(other, at)| match other.is_one(cow) {
            true => other.modified.is_some_and(|merged| last_write < merged),
            false => is_later(*at),
        });
        found.map(|(other, at)| (other.path.as_path(), at))
    }
}

/// Returns whether what was known as `after` was copied, with its time, to where it is now: the marker, which is beside it,
/// tells of another place, so it came along.
fn is_copy(after: &Identity, now: &Identity) -> bool {
    let is_elsewhere = after.path != now.path;
    let is_file = after.modified.is_some();
    is_elsewhere && is_file && (after.size, after.modified) == (now.size, now.modified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::marker::Earlier;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn file(name: &str, inode: i64, modified: i64) -> Identity {
        let time = Some(time(modified));
        Identity {
            path: format!("/srv/{name}").into(),
            size: 4096,
            inode: Some(inode),
            created: self::time(inode).into(),
            modified: time,
            changed: time,
        }
    }

    /// One merge ended at 100, another at 200.
    fn marker() -> Marker {
        let root = file("root.img", 1, 50);
        Marker {
            state: State::Merged { at: time(200), after: root.clone() },
            cow: file("two.cow", 3, 150),
            format: String::new(),
            backing: root,
            earlier: vec![Earlier { cow: file("one.cow", 2, 50), at: time(100) }],
        }
    }

    #[test]
    fn a_cow_file_is_overtaken_by_merges_of_others_that_ended_after_its_last_write() {
        let (marker, root) = (marker(), file("root.img", 1, 50));
        let overtook = |cow: &Identity| {
            marker.overtook(cow, &root).map(|(path, at)| (path.to_str().unwrap(), at.as_second()))
        };
        assert_eq!(overtook(&file("old.cow", 9, 60)), Some(("/srv/one.cow", 100)));
        assert_eq!(overtook(&file("later.cow", 9, 160)), Some(("/srv/two.cow", 200)));
        assert_eq!(overtook(&file("new.cow", 9, 200)), None);
        assert_eq!(overtook(&file("one.cow", 2, 50)), Some(("/srv/two.cow", 200)));
        assert_eq!(overtook(&file("two.cow", 3, 150)), None, "it is the one");
        assert_eq!(overtook(&file("two.cow", 3, 180)), None, "it is the one, written to since");
    }

    #[test]
    fn a_backing_that_was_touched_or_moved_still_has_the_merge() {
        let old = file("old.cow", 9, 60);
        let touched = Identity { modified: Some(time(51)), ..file("root.img", 1, 50) };
        for root in [touched, file("moved.img", 1, 50)] {
            assert!(marker().overtook(&old, &root).is_some(), "{root:?}");
        }
    }

    #[test]
    fn a_backing_that_was_copied_with_its_marker_is_the_one() {
        let old = file("old.cow", 9, 60);
        assert!(marker().overtook(&old, &file("copy.img", 7, 50)).is_some());
        assert_eq!(marker().overtook(&old, &file("copy.img", 7, 51)), None);
        let larger = Identity { size: 8192, ..file("copy.img", 7, 50) };
        assert_eq!(marker().overtook(&old, &larger), None);
    }

    #[test]
    fn an_older_cow_file_in_the_place_of_the_merged_one_is_overtaken() {
        let (marker, root) = (marker(), file("root.img", 1, 50));
        let overtook = |inode, modified| {
            let cow = file("two.cow", inode, modified);
            marker.overtook(&cow, &root).map(|(path, at)| (path.to_str().unwrap(), at.as_second()))
        };
        assert_eq!(overtook(3, 149), Some(("/srv/two.cow", 200)), "written over with its time");
        assert_eq!(overtook(9, 150), Some(("/srv/two.cow", 200)), "a copy of the merged one");
        assert_eq!(overtook(9, 199), Some(("/srv/two.cow", 200)));
        assert_eq!(overtook(9, 201), None, "a new one");
    }

    #[test]
    fn a_backing_that_was_put_in_place_since_has_nothing_of_the_merge() {
        let old = file("old.cow", 9, 60);
        assert_eq!(marker().overtook(&old, &file("root.img", 7, 50)), None);
        assert_eq!(marker().overtook(&old, &file("root.img", 7, 51)), None);
        let merging = Marker { state: State::Merging, ..marker() };
        assert_eq!(merging.overtook(&old, &file("root.img", 1, 50)), None);
    }
}
