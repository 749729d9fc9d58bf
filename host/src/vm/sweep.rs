//! What cuts have left of VMs that were being made or removed.

use super::{
    Kind, Record, Vm, aside, copy, instant, record, run,
    savestate::{self, SAVESTATES},
    versioning, volatile,
};
use crate::{
    error::{Error, Result},
    file,
    name::{VmName, VolumeId, VolumeName},
    pool::{
        Pool, SNAPSHOTS,
        check::REMOVING,
        driver::{Retention, Volume},
        step::{self, Step},
        store::{self, Lock, Unseen, Wait},
    },
    volume::{Files, Role, files::read_name},
};
use ebbtide_format::units::Bytes;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// Removes what cuts have left of VMs, snapshots and savestates that were being made, and finishes removals. Returns a sentence for
/// each thing that it did. What somebody is making now is left alone.
///
/// # Errors
/// Somebody has the pool's lock; a file operation fails.
pub fn sweep(pool: &Pool) -> Result<Vec<String>> {
    let lock = pool.lock()?;
    let mut said = asides(pool, &lock)?;
    said.extend(removals(pool, &lock)?.into_iter().map(|(_, sentence, _)| sentence));
    said.extend(tidy(pool, &lock)?);
    Ok(said)
}

/// Does what a stop or a commit has made possible: versions that are due, and VMs that waited to be removed. Returns a
/// sentence for each. Where nothing can be due, no lock is taken.
///
/// # Errors
/// Somebody has the pool's lock; a file operation fails.
pub fn follow_up(pool: &Pool) -> Result<Vec<String>> {
    let may_be_due = |vm: &Vm| {
        let flags = &vm.record.flags;
        flags.volatile
            || flags.replaces.is_some()
            || flags.inherits.is_some()
            || flags.version_of.is_some()
            || vm.record.versioned.is_some()
    };
    if !pool.vms()?.vms.iter().any(may_be_due) {
        return Ok(Vec::new());
    }
    let lock = pool.lock()?;
    tidy(pool, &lock)
}

/// Brings all VMs to where they should be: clones that replace others, versions that are due, VMs that wait to be removed.
/// Returns a sentence for each thing that it did. The pool is locked.
pub(super) fn tidy(pool: &Pool, pool_is_locked: &Lock) -> Result<Vec<String>> {
    let mut said = asides(pool, pool_is_locked)?;
    if let Err(error) = savestate::inherit(pool, pool_is_locked) {
        // It keeps nobody from anything else.
        log::warn!("a clone has not all savestates of its base yet: {}", error.chain());
    }
    said.extend(copy::follow(pool, pool_is_locked)?);
    said.extend(versioning::settle(pool, pool_is_locked)?);
    said.extend(volatile::sweep(pool, pool_is_locked)?);
    Ok(said)
}

/// Removes directories that were being built by somebody who is gone.
pub(super) fn asides(pool: &Pool, _pool_is_locked: &Lock) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for parent in [Kind::Template.directory(), Kind::AppVm.directory(), SNAPSHOTS, SAVESTATES] {
        let parent = Path::new(parent);
        for name in names(pool, parent)? {
            if !name.starts_with(aside::PREFIX) {
                continue;
            }
            let dir = parent.join(name);
            if !is_dir(pool, &dir)? || is_foreign(pool, &dir)? {
                continue;
            }
            let Some(_lock) = lock_leftover(pool, &dir)? else { continue };
            let left = clear(pool, &dir)?;
            said.push(sentence(
                format!("{}, which was being made, is removed", dir.display()),
                &left,
            ));
        }
    }
    Ok(said)
}

/// Returns whether a directory has files and none is ours: there is nothing to do, nor to say each time.
fn is_foreign(pool: &Pool, dir: &Path) -> Result<bool> {
    let names = pool.store().names(dir);
    let names = names.map_err(Error::doing(format!("list {}", dir.display())))?;
    let ours =
        |name: &OsString| name.to_str().is_some_and(|name| is_ours(name) || name == REMOVING);
    Ok(!names.is_empty() && !names.iter().any(ours))
}

/// Returns the lock of a directory that nobody builds, or works on, any more.
fn lock_leftover(pool: &Pool, dir: &Path) -> Result<Option<Lock>> {
    let file = dir.join(aside::LOCK);
    match pool.store().lock(&file, Wait::No) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        lock => lock.map(Some).map_err(Error::doing(format!("lock {}", file.display()))),
    }
}

/// Finishes removals that were cut: whose, what is to be said, and what stays.
pub(super) fn removals(
    pool: &Pool,
    pool_is_locked: &Lock,
) -> Result<Vec<(VmName, String, Vec<PathBuf>)>> {
    let mut finished = Vec::new();
    for kind in [Kind::Template, Kind::AppVm] {
        for name in pool.names_of(kind)? {
            let dir = Path::new(kind.directory()).join(&name);
            match finish_removal(pool, &dir, pool_is_locked) {
                Ok(None) => {}
                Ok(Some(left)) => {
                    let text = format!("the removal of {name} was finished");
                    finished.push((name, sentence(text, &left), left));
                }
                // Others are not kept from their work by an export that nobody ends.
                Err(Error::Refused(refusal)) => {
                    log::warn!("the removal of {name} is not finished: {refusal}");
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(finished)
}

/// Finishes the removal of the VM in a directory, if one is under way: `Some` with what stays.
pub(super) fn finish_removal(
    pool: &Pool,
    dir: &Path,
    pool_is_locked: &Lock,
) -> Result<Option<Vec<PathBuf>>> {
    // With a record it is a VM again: somebody gave it one, and says which of the two is meant.
    if !is_dir(pool, dir)?
        || !is_there(pool, &dir.join(REMOVING))?
        || is_there(pool, &dir.join(record::FILE))?
    {
        return Ok(None);
    }
    let Some(_lock) = lock_leftover(pool, dir)? else {
        log::warn!("the removal of {} is not finished: somebody works on it", dir.display());
        return Ok(None);
    };
    if let Some(vm) = removed(pool, dir)? {
        savestate::remove_all(pool, vm, pool_is_locked)?;
    }
    clear(pool, dir).map(Some)
}

/// Returns which VM the removal in a directory is of, as far as its record can be read.
fn removed(pool: &Pool, dir: &Path) -> Result<Option<Uuid>> {
    let file = dir.join(REMOVING);
    let record =
        pool.store().read(&file).map_err(Error::doing(format!("read {}", file.display())))?;
    let kinds = [Kind::Template, Kind::AppVm].into_iter();
    let mut read = kinds.filter_map(|kind| Record::parse(&record, &file, kind).ok());
    Ok(read.next().map(|record| record.uuid))
}

/// Removes the files in a directory that are ours, the record of a removal last, and the directory when nothing else is
/// in it. Returns what stays.
pub(super) fn clear(pool: &Pool, dir: &Path) -> Result<Vec<PathBuf>> {
    let vm: Option<VmName> = dir.file_name().and_then(|name| name.to_str()?.parse().ok());
    for name in [VolumeName::root(), VolumeName::private(), VolumeName::volatile()] {
        // A directory that is being built has a name that no VM has.
        let vm = vm.clone().map_or_else(|| "new".parse(), Ok)?;
        pool.driver().remove(&Volume {
            id: VolumeId { vm, volume: name.clone() },
            files: Files::new(dir, name),
            role: Role::Origin,
            source: None,
            size: Bytes(0),
            retention: Retention::default(),
        })?;
    }
    let mut steps = Vec::new();
    let mut left = Vec::new();
    let mut is_removal = false;
    for name in pool.store().names(dir).map_err(Error::doing(format!("list {}", dir.display())))? {
        let path = dir.join(&name);
        let stat = pool.store().stat(&path);
        let stat = stat.map_err(Error::doing(format!("look at {}", path.display())))?;
        let is_file = stat.is_some_and(|stat| stat.kind == store::Kind::File);
        match name.to_str() {
            Some(REMOVING) if is_file => is_removal = true,
            Some(name) if is_file && is_ours(name) => steps.push(Step::Remove(path)),
            _ => left.push(pool.store().real(&path)),
        }
    }
    let parent = dir.parent().unwrap_or(Path::new(""));
    let mut dir = dir.to_path_buf();
    if is_removal && left.is_empty() {
        // A directory without its record and with its name would be nobody's.
        let aside = parent.join(format!("{}{}", aside::PREFIX, Uuid::new_v4()));
        steps.push(Step::Rename { from: std::mem::replace(&mut dir, aside.clone()), to: aside });
    }
    if is_removal {
        steps.push(Step::Remove(dir.join(REMOVING)));
    }
    if left.is_empty() {
        step::apply(&steps, pool.store(), &mut Unseen)?;
        remove_dir(pool, &dir)?;
        steps = vec![Step::SyncDir(parent.into())];
    } else {
        steps.push(Step::SyncDir(dir));
    }
    step::apply(&steps, pool.store(), &mut Unseen)?;
    Ok(left)
}

/// Removes a directory with what is ours in it. Whoever was about to make the next image of a volume may have made its lock
/// again.
fn remove_dir(pool: &Pool, dir: &Path) -> Result<()> {
    let remove = [Step::RemoveDir(dir.into())];
    match step::apply(&remove, pool.store(), &mut Unseen) {
        Err(Error::Failed { source, .. }) if source.kind() == io::ErrorKind::DirectoryNotEmpty => {
            let ours = names(pool, dir)?.into_iter().filter(|name| is_ours(name));
            let ours = ours.map(|name| Step::Remove(dir.join(name)));
            let steps: Vec<_> = ours.chain(remove).collect();
            step::apply(&steps, pool.store(), &mut Unseen)
        }
        removed => removed,
    }
}

/// Returns whether a file in the directory of a VM or a snapshot is ours, by its name; but for the record of a removal.
fn is_ours(name: &str) -> bool {
    let records =
        [record::FILE, run::FILE, super::snapshot::FILE, super::snapshot::JOURNAL, savestate::FILE];
    let volumes = ["root", "private", "volatile"];
    records.contains(&name)
        || ["kernel", "initrd", instant::MEMORY, aside::LOCK].contains(&name)
        || [savestate::HOT_LOCK, savestate::READY_LOCK].contains(&name)
        || records
            .iter()
            .chain(&["kernel", "initrd"])
            .any(|file| file::aside(Path::new(file)) == Path::new(name))
        || volumes.iter().any(|volume| format!(".{volume}.lock") == name)
        || read_name(name).is_some_and(|(volume, _)| volumes.contains(&volume.as_str()))
}

/// Adds to a sentence which files stay.
fn sentence(text: String, left: &[PathBuf]) -> String {
    match left {
        [] => text,
        left => {
            let left: Vec<_> = left.iter().map(|path| path.display().to_string()).collect();
            format!("{text}, but for files that are not ours: {}", left.join(", "))
        }
    }
}

/// Returns the names in a directory of the pool that are text; a directory that is missing has none.
fn names(pool: &Pool, dir: &Path) -> Result<Vec<String>> {
    match pool.store().names(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => {
            let names = names.map_err(Error::doing(format!("list {}", dir.display())))?;
            Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
        }
    }
}

fn is_dir(pool: &Pool, path: &Path) -> Result<bool> {
    let stat = pool.store().stat(path);
    let stat = stat.map_err(Error::doing(format!("look at {}", path.display())))?;
    Ok(stat.is_some_and(|stat| stat.kind == store::Kind::Directory))
}

pub(super) fn is_there(pool: &Pool, path: &Path) -> Result<bool> {
    match pool.store().stat(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        stat => {
            let stat = stat.map_err(Error::doing(format!("look at {}", path.display())))?;
            Ok(stat.is_some())
        }
    }
}
