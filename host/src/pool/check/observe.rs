//! Pool → seen. Nothing is locked and nothing is made; what goes on meanwhile is seen as in use.

use super::seen::{Entry, Life, Seen, SeenSnapshot, SeenVm, StoreSeen, Text, is_aside};
use crate::{
    error::{Error, Result},
    name::{COW, VmName, VolumeName},
    pool::{
        Pool,
        driver::{Given, Stray, dm::look_at_store},
        store::{Kind as FileKind, Stat, Store},
    },
    vm::{
        self, Snapshot, Status, Vm,
        record::{FILE, Kind, Record},
    },
    volume::{self, Role},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How often a VM is looked at until nothing changes meanwhile; then it counts as in use.
const LOOKS: u32 = 3;

/// Looks at all of a pool but the content of images.
///
/// # Errors
/// A directory that cannot be read.
pub fn observe(pool: &Pool) -> Result<Seen> {
    let store = pool.store();
    let root = stat(store, Path::new(""))?.ok_or_else(|| Error::Unreadable {
        path: pool.dir().into(),
        problem: "it is gone".into(),
    })?;
    let mut seen = Seen {
        root,
        top: list(store, Path::new(""))?,
        vms: Vec::new(),
        others: Vec::new(),
        strays: strays(pool),
        snapshots: Vec::new(),
        now: SystemTime::now(),
    };
    for kind in [Kind::Template, Kind::AppVm] {
        for entry in directory(store, &seen, kind.directory())? {
            let is_vm = entry.name().is_some_and(|name| name.parse::<VmName>().is_ok());
            match entry.stat.kind {
                FileKind::Directory if is_vm || is_aside(&entry.path) => {
                    seen.vms.push(of_vm(pool, kind, &entry)?);
                }
                _ => seen.others.push(entry),
            }
        }
    }
    for entry in directory(store, &seen, "snapshots")? {
        let entries = match entry.stat.kind {
            FileKind::Directory => list(store, &entry.path)?,
            _ => Vec::new(),
        };
        let record = snapshot(store, &entry.path);
        seen.snapshots.push(SeenSnapshot { dir: entry, entries, record });
    }
    Ok(seen)
}

/// Lists a directory of the pool, if it is one and in the pool's file system.
fn directory(store: &dyn Store, seen: &Seen, name: &str) -> Result<Vec<Entry>> {
    let entry = seen.top.iter().find(|entry| entry.name() == Some(name));
    match entry {
        Some(entry)
            if entry.stat.kind == FileKind::Directory
                && entry.stat.inode.device == seen.root.inode.device =>
        {
            list(store, &entry.path)
        }
        _ => Ok(Vec::new()),
    }
}

/// Looks at the directory of a VM whose locks the caller has, which say nothing of one that is prepared.
pub(in crate::pool) fn held(pool: &Pool, seen: &SeenVm) -> Result<SeenVm> {
    let directory = Entry { path: seen.dir.clone(), stat: seen.stat };
    let now = once(pool, seen.kind, &directory)?;
    let life = match as_vm(&now) {
        Some(vm) => known(vm::status_of_locked(pool, &vm))?,
        None => Life::Stopped,
    };
    Ok(SeenVm { life, locked: Vec::new(), ..now })
}

/// Looks at a VM's directory. A change of it while it is looked at is somebody's work.
fn of_vm(pool: &Pool, kind: Kind, directory: &Entry) -> Result<SeenVm> {
    let store = pool.store();
    let mut seen = once(pool, kind, directory)?;
    for _ in 1..LOOKS {
        let now = stat(store, &directory.path)?;
        let same = now.is_some_and(|now| now.modified == seen.stat.modified);
        if seen.life == Life::InUse || (same && life(pool, &seen)? == seen.life) {
            return Ok(seen);
        }
        seen = once(pool, kind, directory)?;
    }
    seen.life = Life::InUse;
    Ok(seen)
}

fn once(pool: &Pool, kind: Kind, directory: &Entry) -> Result<SeenVm> {
    let store = pool.store();
    let mut seen = SeenVm {
        dir: directory.path.clone(),
        kind,
        file_name: directory.path.file_name().unwrap_or_default().into(),
        stat: stat(store, &directory.path)?.unwrap_or(directory.stat),
        entries: Vec::new(),
        record: Text::Missing,
        volumes: BTreeMap::new(),
        life: Life::Stopped,
        locked: Vec::new(),
        stores: None,
    };
    seen.record = record(store, &seen);
    seen.life = life(pool, &seen)?;
    seen.entries = list(store, &directory.path)?;
    seen.locked = locked(store, &seen)?;
    seen.volumes = volumes(pool, &seen)?;
    seen.stores = (pool.driver().given() == Given::Device).then(|| stores(store, &seen));
    Ok(seen)
}

/// Returns the devices that are not as they should be; where they cannot be looked at, the log says why.
fn strays(pool: &Pool) -> Vec<Stray> {
    pool.driver().strays().unwrap_or_else(|error| {
        log::warn!("the pool's devices were not looked at: {}", error.chain());
        Vec::new()
    })
}

/// Reads what the exception stores in a VM's directory say.
fn stores(store: &dyn Store, seen: &SeenVm) -> BTreeMap<PathBuf, Result<StoreSeen, String>> {
    let is_store = |name: &VolumeName, kind: &volume::FileKind| {
        let is_version = matches!(kind, volume::FileKind::Clean | volume::FileKind::Revision(_));
        is_version && name.without(COW).is_some()
    };
    let stores = seen.images().filter(|(name, kind, _)| is_store(name, kind));
    let look = |entry: &Entry| match look_at_store(&store.real(&entry.path)) {
        Err(Error::Unreadable { problem, .. }) => Err(problem),
        looked => looked.map_err(|error| error.chain()),
    };
    stores.map(|(_, _, entry)| (entry.path.clone(), look(entry))).collect()
}

/// Returns the volumes whose own locks are held.
fn locked(store: &dyn Store, seen: &SeenVm) -> Result<Vec<VolumeName>> {
    let mut locked = Vec::new();
    for entry in &seen.entries {
        let volume = entry
            .name()
            .and_then(|name| name.strip_prefix('.')?.strip_suffix(".lock")?.parse().ok());
        if let Some(volume) = volume
            && is_locked(store, &entry.path)?
        {
            locked.push(volume);
        }
    }
    Ok(locked)
}

fn record(store: &dyn Store, seen: &SeenVm) -> Text<Record> {
    let file = seen.dir.join(FILE);
    read(store, &file, |text| Record::parse(text, &file, seen.kind))
}

/// Reads the record of a snapshot; one that is being made or removed has none yet, or any more.
fn snapshot(store: &dyn Store, dir: &Path) -> Text<Snapshot> {
    if is_aside(dir) {
        return Text::Missing;
    }
    let file = dir.join("snapshot.toml");
    read(store, &file, |text| vm::read_unrelated(text, dir, &file))
}

fn read<T>(store: &dyn Store, file: &Path, parse: impl Fn(&[u8]) -> Result<T>) -> Text<T> {
    let record = match store.read(file) {
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Text::Missing;
        }
        Err(error) => return Text::Unreadable(error.to_string()),
        Ok(text) => parse(&text),
    };
    match record {
        Ok(record) => Text::Read(record),
        Err(Error::Unreadable { problem, .. }) => Text::Unreadable(problem),
        Err(error) => Text::Unreadable(error.to_string()),
    }
}

pub(in crate::pool) fn list(store: &dyn Store, dir: &Path) -> Result<Vec<Entry>> {
    let names = match store.names(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(Error::doing(format_args!("list {}", dir.display())))?,
    };
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let path: PathBuf = dir.join(name);
        // What is gone by now was never there.
        if let Some(stat) = stat(store, &path)? {
            entries.push(Entry { path, stat });
        }
    }
    Ok(entries)
}

pub(in crate::pool) fn stat(store: &dyn Store, path: &Path) -> Result<Option<Stat>> {
    store.stat(path).map_err(Error::doing(format_args!("look at {}", path.display())))
}

pub(in crate::pool) fn is_locked(store: &dyn Store, path: &Path) -> Result<bool> {
    store.is_locked(path).map_err(Error::doing(format_args!("look at {}", path.display())))
}

/// Returns whether a VM is used, and by whom.
fn life(pool: &Pool, seen: &SeenVm) -> Result<Life> {
    if is_locked(pool.store(), &seen.dir.join(".lock"))? {
        return Ok(Life::InUse);
    }
    let Some(vm) = as_vm(seen) else { return Ok(Life::Stopped) };
    known(vm::status(pool, &vm))
}

fn known(status: Result<Status>) -> Result<Life> {
    match status {
        Ok(Status::Stopped) => Ok(Life::Stopped),
        Ok(Status::CutOff(_)) => Ok(Life::CutOff),
        Ok(
            Status::Running(_) | Status::Prepared(_) | Status::Elsewhere(_) | Status::Busy { .. },
        ) => Ok(Life::InUse),
        Err(Error::Unreadable { problem, .. }) => Ok(Life::Unclear(problem)),
        Err(error) => Err(error),
    }
}

/// Returns the volumes that a VM's record describes.
fn volumes(pool: &Pool, seen: &SeenVm) -> Result<BTreeMap<VolumeName, Role>> {
    let Some(vm) = as_vm(seen) else { return Ok(BTreeMap::new()) };
    let volumes = vm.volumes(pool)?;
    Ok(volumes.into_iter().map(|volume| (volume.id.volume, volume.role)).collect())
}

fn as_vm(seen: &SeenVm) -> Option<Vm> {
    Some(Vm { name: seen.name()?, dir: seen.dir.clone(), record: seen.read()?.clone() })
}
