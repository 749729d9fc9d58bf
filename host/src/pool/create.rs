//! A new pool.

use super::{
    Pool,
    config::{self, Config, DriverName},
    driver::{
        dm,
        linux::{self, FileSystem},
    },
    lock, record,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    file::aside,
    vm::Kind,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The directory of snapshots.
pub(crate) const SNAPSHOTS: &str = "snapshots";

/// What a new pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Create {
    /// How versions share what they have in common; `None` for what the file system can.
    pub driver: Option<DriverName>,
    /// Whether versions that share nothing are better than no pool.
    pub allow_copy: bool,
    /// How many versions of a disk are kept where a VM's record says nothing.
    pub keep: u32,
}

impl Default for Create {
    fn default() -> Self {
        Self { driver: None, allow_copy: false, keep: config::KEEP }
    }
}

impl Pool {
    /// Makes a pool, and its directory where that is missing. Durable when it returns, and repeatable after a cut:
    /// `pool.toml` comes last.
    ///
    /// # Errors
    /// The directory is a pool, or has something in it; the file system cannot clone files and copies are not
    /// allowed. Nothing is made then.
    pub fn create(dir: &Path, options: &Create) -> Result<Self> {
        let doing = |what: &str| format!("{what} {}", dir.display());
        let dir = std::path::absolute(dir).map_err(Error::doing(doing("find")))?;
        refuse_content(&dir)?;
        refuse_inside(&dir)?;
        let near = existing(&dir);
        let found = linux::probe(near)
            .map_err(Error::doing(format!("write a test file in {}", near.display())))?;
        let driver = choose(&dir, options, &found)?;
        if driver == DriverName::Dm {
            dm::probe()?;
        }
        let config = Config { format: config::FORMAT, driver, keep: options.keep };

        fs::create_dir_all(&dir).map_err(Error::doing(doing("make directory")))?;
        let pool = Self::over(dir, &config);
        let _lock = pool.lock()?;
        // Somebody else may have made one here a moment ago.
        refuse_content(pool.dir())?;
        for name in [Kind::Template.directory(), Kind::AppVm.directory(), SNAPSHOTS] {
            log::info!("make directory {name}");
            match pool.store().make_dir(Path::new(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.map_err(Error::doing(format!("make directory {name}")))?,
            }
        }
        record::replace(pool.store(), Path::new(config::FILE), config.print()?)?;
        sync_parent(pool.dir())?;
        Ok(pool)
    }
}

/// Makes the name of a new directory durable.
fn sync_parent(dir: &Path) -> Result<()> {
    let Some(parent) = dir.parent() else { return Ok(()) };
    fs::File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(Error::doing(format!("sync directory {}", parent.display())))
}

/// Returns the directory, or the nearest one above it that is there.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir)
}

/// Refuses a directory with anything but what a new file system has, or a cut has left of this.
fn refuse_content(dir: &Path) -> Result<()> {
    let names = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(Error::doing(format!("list {}", dir.display())))?,
    };
    if dir.join(config::FILE).exists() {
        let text = format!("{} is a pool already", dir.display());
        return Err(Refusal::new(RefusalKind::Exists, text).into());
    }
    let aside = aside(Path::new(config::FILE));
    let ours = [
        lock::FILE.into(),
        Kind::Template.directory().into(),
        Kind::AppVm.directory().into(),
        SNAPSHOTS.into(),
        aside,
        PathBuf::from("lost+found"),
    ];
    for entry in names {
        let entry = entry.map_err(Error::doing(format!("list {}", dir.display())))?;
        let is_ours = ours.contains(&PathBuf::from(entry.file_name()));
        // What is below lost+found is the file system's; a directory of ours that has something is not new.
        let is_empty = entry.file_name() == "lost+found"
            || fs::read_dir(entry.path()).map_or(true, |mut names| names.next().is_none());
        if !is_ours || !is_empty {
            let text = format!(
                "{} is no pool, and is not empty: it has {:?}",
                dir.display(),
                entry.file_name()
            );
            return Err(Refusal::new(RefusalKind::Exists, text)
                .hint("give a directory that is empty or does not exist")
                .into());
        }
    }
    Ok(())
}

/// Refuses a directory below another pool, whose files it would be among.
fn refuse_inside(dir: &Path) -> Result<(), Refusal> {
    let is_pool = |dir: &&Path| dir.join(config::FILE).exists();
    match dir.ancestors().skip(1).find(is_pool) {
        None => Ok(()),
        Some(pool) => {
            let text = format!("{} is inside of the pool {}", dir.display(), pool.display());
            Err(Refusal::new(RefusalKind::Rule, text).hint("give a directory outside of it"))
        }
    }
}

/// Decides how versions share what they have in common, where there can be any.
pub(super) fn choose(
    dir: &Path,
    options: &Create,
    found: &FileSystem,
) -> Result<DriverName, Refusal> {
    if !found.lacks.is_empty() {
        let text = format!(
            "the file system of {} is {}, which does not have what every pool needs: {}",
            dir.display(),
            found.name,
            found.lacks.join(", ")
        );
        let hint = "choose a directory on btrfs, on XFS, or with --allow-copy on ext4";
        return Err(Refusal::new(RefusalKind::Unable, text).hint(hint));
    }
    match options.driver {
        Some(driver @ (DriverName::Copy | DriverName::Dm)) => Ok(driver),
        _ if found.clones => Ok(DriverName::Reflink),
        None if options.allow_copy => Ok(DriverName::Copy),
        _ => {
            let text = format!(
                "the file system of {} is {}, which cannot clone files; wanted btrfs, or XFS made with reflink=1",
                dir.display(),
                found.name
            );
            let refusal = Refusal::new(RefusalKind::Unable, text);
            if options.allow_copy {
                return Err(refusal.hint("with --allow-copy, leave '--driver reflink' out"));
            }
            Err(refusal.hint(
                "--allow-copy makes a pool that copies instead: each start of a template or of a private disk then \
                 takes as long, and as much space, as a copy of what is written in it; --driver dm needs root, and \
                 copies nothing",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_system(clones: bool) -> FileSystem {
        FileSystem { name: "ext4".into(), clones, lacks: Vec::new() }
    }

    #[test]
    fn refuses_a_file_system_without_what_every_driver_needs() {
        let lacks = vec!["hard links", "locks of files"];
        let found = FileSystem { name: "vfat".into(), clones: true, lacks };
        for driver in [None, Some(DriverName::Copy), Some(DriverName::Reflink)] {
            let options = Create { driver, allow_copy: true, ..Create::default() };
            let refused = choose(Path::new("/pool"), &options, &found).unwrap_err();
            assert!(refused.text.contains("vfat"), "{refused}");
            assert!(refused.text.ends_with(": hard links, locks of files"), "{refused}");
        }
    }

    #[test]
    fn refuses_a_file_system_that_cannot_clone_and_names_the_way() {
        let refused =
            choose(Path::new("/pool"), &Create::default(), &file_system(false)).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Unable);
        assert!(refused.text.contains("ext4") && refused.text.contains("btrfs"), "{refused}");
        assert!(refused.hint.unwrap().contains("--allow-copy"));
        let reflink = Create { driver: Some(DriverName::Reflink), ..Create::default() };
        choose(Path::new("/pool"), &reflink, &file_system(false)).unwrap_err();
        let both = Create { allow_copy: true, ..reflink };
        let refused = choose(Path::new("/pool"), &both, &file_system(false)).unwrap_err();
        assert!(refused.hint.unwrap().contains("leave '--driver reflink' out"));
    }

    #[test]
    fn clones_where_it_can_and_copies_where_it_may() {
        let allow = Create { allow_copy: true, ..Create::default() };
        let copy = Create { driver: Some(DriverName::Copy), ..Create::default() };
        let choose = |options, clones| choose(Path::new("/p"), options, &file_system(clones));
        assert_eq!(choose(&allow, true).unwrap(), DriverName::Reflink);
        assert_eq!(choose(&allow, false).unwrap(), DriverName::Copy);
        assert_eq!(choose(&copy, true).unwrap(), DriverName::Copy);
    }

    #[test]
    fn makes_directory_and_pool_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new/pool");
        let options = Create { allow_copy: true, keep: 5, driver: None };
        Pool::create(&dir, &options).unwrap();
        assert_eq!(Pool::open(&dir).unwrap().keep(), 5);
        let error = Pool::create(&dir, &options).unwrap_err();
        assert!(error.to_string().contains("is a pool already"), "{error}");
    }

    #[test]
    fn a_pool_in_a_pool_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let options = Create { allow_copy: true, ..Create::default() };
        Pool::create(&dir.path().join("pool"), &options).unwrap();
        let inner = dir.path().join("pool/appvms/inner");
        let error = Pool::create(&inner, &options).unwrap_err();
        assert!(error.to_string().contains("is inside of the pool"), "{error}");
        assert!(!inner.exists());
    }

    #[test]
    fn leaves_a_directory_with_files_of_others_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "x").unwrap();
        let options = Create { allow_copy: true, ..Create::default() };
        let error = Pool::create(dir.path(), &options).unwrap_err();
        assert!(error.to_string().contains("thesis.txt"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn goes_on_after_a_cut() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["vm-templates", "lost+found"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join(".aside-pool.toml"), "form").unwrap();
        let options = Create { allow_copy: true, ..Create::default() };
        Pool::create(dir.path(), &options).unwrap();
        Pool::open(dir.path()).unwrap();
    }
}
