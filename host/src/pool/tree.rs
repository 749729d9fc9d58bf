//! Whose files are a pool's, as those see it who have a path and no pool.

use super::config;
use std::path::{Path, PathBuf};

/// Returns the directory of the pool in whose tree a file really lies, wherever links to it are. Nothing is in a pool that
/// is not there, or cannot be looked at.
#[must_use]
pub fn pool_of(file: &Path) -> Option<PathBuf> {
    let real = file.canonicalize().ok()?;
    real.ancestors().skip(1).find(|dir| dir.join(config::FILE).is_file()).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_file_is_of_the_pool_in_which_it_really_lies() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (pool, vm) = (dir.join("pool"), dir.join("pool/appvms/work"));
        fs::create_dir_all(&vm).unwrap();
        fs::write(vm.join("root.img"), "version").unwrap();
        fs::write(dir.join("other.img"), "other").unwrap();
        symlink(vm.join("root.img"), dir.join("to.img")).unwrap();
        symlink(dir.join("other.img"), vm.join("out.img")).unwrap();
        assert_eq!(pool_of(&vm.join("root.img")), None);

        fs::write(pool.join(config::FILE), "").unwrap();
        for inside in [vm.join("root.img"), dir.join("to.img"), vm.join("../work/root.img")] {
            assert_eq!(pool_of(&inside), Some(pool.clone()), "{}", inside.display());
        }
        for outside in [dir.join("other.img"), vm.join("out.img"), vm.join("gone.img")] {
            assert_eq!(pool_of(&outside), None, "{}", outside.display());
        }
    }
}
