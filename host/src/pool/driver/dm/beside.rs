//! Whether anybody else uses a version, found without a look at everybody.

use super::uses::{entries, inode, is_directory};
use crate::{
    error::Result,
    pool::store::{Stat, Store},
    volume::{FileKind, Files, files::file_name},
};

/// Returns whether another VM uses the version that one uses by this name, as far as that is told by a name like it.
///
/// # Errors
/// A directory cannot be read.
pub(super) fn is_used_beside(store: &dyn Store, files: &Files, version: Stat) -> Result<bool> {
    let name = file_name(&files.used().name, &FileKind::Clean);
    // Its own, and that of whoever made it.
    if version.links <= 2 {
        return Ok(false);
    }
    for dir in scattered(&entries(store)?) {
        if *dir == files.dir {
            continue;
        }
        // Whatever is no directory need not be looked at, unless it is in the way.
        match inode(store, &dir.join(&name)) {
            Ok(found) if found != Some(version.inode) => {}
            Ok(_) if is_directory(store, dir)? => return Ok(true),
            Err(error) if is_directory(store, dir)? => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(false)
}

/// Returns all of them, each far from those before: VMs with similar names often run together, or not at all, and one
/// that runs is found soon in either case.
fn scattered<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let count = all.len().next_power_of_two();
    // The numbers with their bits in reverse order: the first, that in the middle, those between.
    let shift = usize::BITS - count.trailing_zeros();
    (0..count).filter_map(move |n| all.get(n.reverse_bits().checked_shr(shift).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::scattered;

    #[test]
    fn each_is_looked_at_once_and_far_from_the_one_before() {
        let order = |count: usize| -> Vec<usize> {
            scattered(&(0..count).collect::<Vec<_>>()).copied().collect()
        };
        assert!(order(0).is_empty());
        assert_eq!(order(1), [0]);
        assert_eq!(order(6), [0, 4, 2, 1, 5, 3]);
        for count in 0..70 {
            let mut all = order(count);
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count), "{count}");
        }
    }

    /// As many that run as not: whichever half it is.
    #[test]
    fn one_of_a_half_is_among_the_first_two() {
        let all: Vec<usize> = (0..400).collect();
        let place = |runs: fn(usize) -> bool| scattered(&all).position(|n| runs(*n)).unwrap();
        assert!(place(|n| n < 200) < 2 && place(|n| n >= 200) < 2);
    }
}
