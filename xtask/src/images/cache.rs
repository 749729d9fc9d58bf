//! The folder of what was built: a name, a hash and a way to build flow in, the path of a finished entry flows out.
//!
//! An entry is `cache/NAME-HASH`. It is built aside and renamed into place, so whatever has that name is whole.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::fingerprint::DIGITS;
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Log};
use crate::workspace;

/// Begins the name of an entry that is being built.
const ASIDE: &str = ".building-";

/// The folder of all images, locked against other builders as long as this value lives.
pub(crate) struct Cache {
    base: PathBuf,
    _lock: File,
}

/// The wish to build what is there already, granted once for each entry: images share most of them.
pub(crate) struct Force {
    wanted: bool,
    done: RefCell<BTreeSet<String>>,
}

impl Force {
    /// Makes the wish, or its absence.
    pub(crate) fn new(wanted: bool) -> Self {
        Force { wanted, done: RefCell::default() }
    }

    /// Returns whether it was made.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    fn grant(&self, name: &str) -> bool {
        self.wanted && self.done.borrow_mut().insert(name.to_owned())
    }
}

/// Returns the folder of all images: `EBBTIDE_IMAGES`, or one below the repository whatever cargo's target folder is.
pub(crate) fn base() -> PathBuf {
    std::env::var_os("EBBTIDE_IMAGES")
        .map_or_else(|| workspace::root().join("target/vm-images"), PathBuf::from)
}

/// Returns whether the image `name` is there, made from what `hash` stands for.
pub(crate) fn is_current(name: &str, hash: &str) -> bool {
    let link = base().join(name);
    fs::read_link(&link).is_ok_and(|target| target == target_of(name, hash))
        && link.join("cmdline").is_file()
}

impl Cache {
    /// Waits for other builders, then removes what they left half built.
    pub(crate) fn lock() -> Result<Self> {
        let base = base();
        let cache = base.join("cache");
        fs::create_dir_all(&cache).context(|| format!("cannot make {}", cache.display()))?;
        let path = base.join(".lock");
        let lock = File::create(&path).context(|| format!("cannot write {}", path.display()))?;
        if lock.try_lock().is_err() {
            eprintln!("another process builds images, waiting for it");
            lock.lock().context(|| format!("cannot lock {}", path.display()))?;
        }
        let cache = Cache { base, _lock: lock };
        for stale in cache.entries(|name| name.starts_with(ASIDE))? {
            remove(&stale)?;
        }
        Ok(cache)
    }

    /// Returns the entry `name` for `hash`, built where it is missing or `force` asks for it.
    ///
    /// `build` fills an empty folder. When it is done the entry is in place and older ones of that name are gone.
    pub(crate) fn entry(
        &self,
        name: &str,
        hash: &str,
        force: &Force,
        build: impl FnOnce(&Path, &Log) -> Result<()>,
    ) -> Result<PathBuf> {
        let entry = self.base.join(target_of(name, hash));
        if !force.grant(name) && entry.is_dir() {
            return Ok(entry);
        }
        eprintln!("building {name}");
        let log = Log::create(&self.base.join("logs").join(format!("{name}.log")))?;
        let aside = self.base.join("cache").join(format!("{ASIDE}{name}"));
        fs::create_dir(&aside).context(|| format!("cannot make {}", aside.display()))?;
        if let Err(failure) = log.step(name, || build(&aside, &log)) {
            remove(&aside)?;
            return Err(failure).context(|| format!("cannot build {name}"));
        }
        let replaced = self.base.join("cache").join(format!("{ASIDE}{name}.replaced"));
        if entry.is_dir() {
            fs::rename(&entry, &replaced)
                .context(|| format!("cannot replace {}", entry.display()))?;
        }
        fs::rename(&aside, &entry)
            .context(|| format!("cannot put {} in place", entry.display()))?;
        remove(&replaced)?;
        for other in self.entries(|found| is_version_of(found, name))? {
            if other != entry {
                remove(&other)?;
            }
        }
        Ok(entry)
    }

    /// Makes the image `name` lead to its entry for `hash`.
    pub(crate) fn publish(&self, name: &str, hash: &str) -> Result<()> {
        let aside = self.base.join(format!(".{name}.link"));
        let link = self.base.join(name);
        let _ = fs::remove_file(&aside);
        std::os::unix::fs::symlink(target_of(name, hash), &aside)
            .and_then(|()| fs::rename(&aside, &link))
            .context(|| format!("cannot make the link {}", link.display()))
    }

    fn entries(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
        let folder = self.base.join("cache");
        let cannot = || format!("cannot list {}", folder.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).context(cannot)? {
            let entry = entry.context(cannot)?;
            if wanted(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

fn target_of(name: &str, hash: &str) -> PathBuf {
    Path::new("cache").join(format!("{name}-{hash}"))
}

/// Returns whether `entry` is `NAME-HASH` for this very name, not for a longer one that begins the same.
fn is_version_of(entry: &str, name: &str) -> bool {
    entry.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')).is_some_and(|hash| {
        hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Removes a tree whose files may belong to several users.
fn remove(path: &Path) -> Result<()> {
    let result = process::output(process::as_root("rm").arg("-rf").arg(path));
    match result {
        Ok(_) => Ok(()),
        Err(failure) => Err(Failure::new(format!("cannot remove {}: {failure}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_entry_is_forced_once() {
        let force = Force::new(true);
        assert!(force.grant("kernel") && force.grant("stage") && !force.grant("kernel"));
        assert!(!Force::new(false).grant("kernel"));
    }

    #[test]
    fn knows_its_own_versions_only() {
        assert!(is_version_of("debian-dracut-0123456789abcdef", "debian-dracut"));
        assert!(!is_version_of("debian-dracut-systemd-0123456789abcdef", "debian-dracut"));
        assert!(!is_version_of("debian-dracut", "debian-dracut"));
        assert!(!is_version_of(".building-debian-dracut", "debian-dracut"));
    }
}
