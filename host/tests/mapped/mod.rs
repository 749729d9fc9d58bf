//! A device-mapper in this process, over real files: what `snapshot-origin` and `snapshot` do, without a kernel that has
//! them. Stores are read and written in the format of the kernel's.
//!
//! Each device is a file that anybody can open. What is written to the file of an origin is brought to its base, chunk
//! after chunk and each first to the stores of all versions that are mapped, when it is flushed: by [`Mapped::flush`], and
//! before the device is held back or goes.

#![allow(dead_code, clippy::unwrap_used, reason = "tests; each program uses what it needs")]

use ebbtide::pool::{
    driver::dm::{
        devices::{Change, Devices, Found, Table},
        name::Name,
    },
    store::Inode,
};
use ebbtide_format::{
    exception_store::{EXCEPTION, HEAD, Header, Seen, exceptions},
    units::{Bytes, Sectors},
};
use nix::unistd::{Whence, lseek};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
};
use tempfile::TempDir;

/// How much is written at once: not more than the smallest chunk.
const PIECE: usize = 4096;

/// The devices of a machine.
#[derive(Debug)]
pub(crate) struct Mapped {
    dir: TempDir,
    devices: Mutex<BTreeMap<Name, Device>>,
    /// How many changes are made before all fail, as for a process that is killed.
    pub(crate) budget: AtomicI64,
}

#[derive(Debug)]
struct Device {
    table: Table,
    /// The file below, or the store of a version.
    below: File,
    store: Option<Store>,
    suspended: bool,
    opened: u32,
}

/// A persistent store that is in use.
#[derive(Debug)]
struct Store {
    file: File,
    header: Header,
    exceptions: BTreeMap<u64, u64>,
    /// Exceptions are in the areas in this order.
    count: u64,
}

impl Store {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut head = [0; HEAD];
        file.read_exact_at(&mut head, 0)?;
        let size = Bytes(file.metadata()?.len());
        let header = Seen::parse(&head).unwrap().believe(size).unwrap();
        let mut store = Self { file, header, exceptions: BTreeMap::new(), count: 0 };
        for area in 0.. {
            let range = header.area(area).expect("a store of ours has room");
            let mut bytes = vec![0; (range.end - range.start) as usize];
            store.file.read_exact_at(&mut bytes, range.start)?;
            let mut all = exceptions(&bytes);
            for exception in &mut all {
                header.check(exception, Bytes(u64::MAX / 2)).unwrap();
                assert_eq!(store.exceptions.insert(exception.old, exception.new), None);
                store.count += 1;
            }
            if all.ended() {
                break;
            }
        }
        Ok(store)
    }

    /// Keeps what a chunk of the base has, if that is not kept yet.
    fn keep(&mut self, old: u64, base: &File) {
        if self.exceptions.contains_key(&old) {
            return;
        }
        let (area, index) =
            (self.count / self.header.per_area(), self.count % self.header.per_area());
        let new = area * (self.header.per_area() + 1) + 2 + index;
        let chunk = self.header.chunk().0;
        let mut content = vec![0; chunk as usize];
        read(base, &mut content, old * chunk);
        self.file.write_all_at(&content, self.header.data(new)).unwrap();
        let at = self.header.area(area).expect("it cannot fill").start + index * EXCEPTION;
        let pair = (u128::from(new) << 64 | u128::from(old)).to_le_bytes();
        self.file.write_all_at(&pair, at).unwrap();
        self.exceptions.insert(old, new);
        self.count += 1;
    }
}

/// Reads what is there; the rest is zeros.
fn read(file: &File, buffer: &mut [u8], at: u64) {
    buffer.fill(0);
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64).unwrap() {
            0 => break,
            count => done += count,
        }
    }
}

fn inode(file: &File) -> Inode {
    let found = file.metadata().unwrap();
    Inode { device: found.dev(), number: found.ino() }
}

/// Returns the parts of a file that are not holes.
fn data(file: &File) -> Vec<Range<u64>> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Ok(start) = lseek(file, at, Whence::SeekData) {
        at = lseek(file, start, Whence::SeekHole).unwrap();
        parts.push(start as u64..at as u64);
    }
    parts
}

/// Copies what is not a hole.
fn copy(from: &File, to: &File) {
    for part in data(from) {
        let mut bytes = vec![0; (part.end - part.start) as usize];
        read(from, &mut bytes, part.start);
        to.write_all_at(&bytes, part.start).unwrap();
    }
}

impl Mapped {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Has the files of the devices in a directory below this one.
    pub(crate) fn below(dir: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("mapped-").tempdir_in(dir).unwrap();
        Self { dir, devices: Mutex::default(), budget: AtomicI64::new(i64::MAX) }
    }

    /// The machine goes down: all devices are gone, and what was not flushed to them.
    pub(crate) fn crash(&self) {
        for name in std::mem::take(&mut *self.devices.lock().unwrap()).into_keys() {
            std::fs::remove_file(self.path(&name)).unwrap();
        }
    }

    /// Returns the names of the devices.
    pub(crate) fn names(&self) -> Vec<String> {
        self.devices.lock().unwrap().keys().map(ToString::to_string).collect()
    }

    /// Says that a program has a device open, or has it no more.
    pub(crate) fn set_open(&self, path: &Path, count: u32) {
        let name = self.name(path);
        self.devices.lock().unwrap().get_mut(&name).unwrap().opened = count;
    }

    fn name(&self, path: &Path) -> Name {
        path.file_name().unwrap().to_str().unwrap().parse().unwrap()
    }

    /// Brings what was written to the file of a device to what is below.
    pub(crate) fn flush(&self, path: &Path) {
        flush(&mut self.devices.lock().unwrap(), self.name(path), &self.file(path));
    }

    fn file(&self, path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    fn map(&self, name: Name, table: &Table) -> io::Result<()> {
        let mut devices = self.devices.lock().unwrap();
        assert!(!devices.contains_key(&name), "{name} is there already");
        let open = |path: &PathBuf| File::options().read(true).write(true).open(path);
        let (below, store) = match table {
            Table::Origin { file, .. } => (open(file)?, None),
            Table::File { file, .. } => (open(file)?, None),
            Table::Snapshot { base, store, .. } => (open(base)?, Some(Store::open(store)?)),
            Table::Copy { of, store, .. } => {
                devices.get_mut(of).unwrap().opened += 1;
                (open(store)?, None)
            }
        };
        let content = File::create_new(self.dir.path().join(name.to_string()))?;
        content.set_len(table.size().bytes().0)?;
        match (table, &store) {
            (Table::Copy { of, .. }, _) => copy(&self.file(&self.path(of)), &content),
            (_, Some(store)) => version(&below, store, &content),
            _ => copy(&below, &content),
        }
        content.set_len(table.size().bytes().0)?;
        let device = Device { table: table.clone(), below, store, suspended: false, opened: 0 };
        devices.insert(name, device);
        Ok(())
    }

    /// Takes one of the changes that are left.
    pub(crate) fn spend(&self) -> io::Result<()> {
        match self.budget.fetch_sub(1, Ordering::Relaxed) {
            left if left > 0 => Ok(()),
            _ => Err(io::Error::other("killed")),
        }
    }
}

/// Writes out a version: the base, and over it what the store has.
fn version(base: &File, store: &Store, to: &File) {
    copy(base, to);
    let chunk = store.header.chunk().0;
    let mut content = vec![0; chunk as usize];
    for (old, new) in &store.exceptions {
        read(&store.file, &mut content, store.header.data(*new));
        to.write_all_at(&content, old * chunk).unwrap();
    }
}

fn flush(devices: &mut BTreeMap<Name, Device>, name: Name, content: &File) {
    let Some(device) = devices.get(&name) else { return };
    let size = device.table.size().bytes().0;
    let below = device.below.try_clone().unwrap();
    match device.table {
        Table::Origin { .. } => assert!(!device.suspended, "it is held back"),
        // A version is only read, and a copy is forgotten.
        Table::Snapshot { .. } | Table::Copy { .. } => return,
        Table::File { .. } => return copy(content, &below),
    }
    let base = inode(&below);
    for part in data(content) {
        for at in (part.start..part.end.min(size)).step_by(PIECE) {
            let length = (size - at).min(PIECE as u64) as usize;
            let (mut new, mut old) = ([0; PIECE], [0; PIECE]);
            let (new, old) = (&mut new[..length], &mut old[..length]);
            read(content, new, at);
            read(&below, old, at);
            if new == old {
                continue;
            }
            for other in devices.values_mut() {
                let is_over = inode(&other.below) == base;
                if let Some(store) = other.store.as_mut().filter(|_| is_over)
                    && at < other.table.size().bytes().0
                {
                    store.keep(at / store.header.chunk().0, &below);
                }
            }
            below.write_all_at(new, at).unwrap();
        }
    }
}

impl Devices for Mapped {
    fn found(&self, which: &dyn Fn(&Name) -> bool) -> io::Result<Vec<Found>> {
        let devices = self.devices.lock().unwrap();
        let of_ours = devices.iter().filter(|(name, _)| which(name));
        let found = of_ours.map(|(name, device)| Found {
            name: *name,
            opened: device.opened,
            suspended: device.suspended,
            is_live: true,
            size: device.table.size(),
        });
        Ok(found.collect())
    }

    fn apply(&self, change: &Change) -> io::Result<()> {
        self.spend()?;
        match change {
            Change::Map(name, table) => self.map(*name, table),
            Change::Grow(name, table) => {
                let content = self.file(&self.path(name));
                let mut devices = self.devices.lock().unwrap();
                let device = devices.get_mut(name).unwrap();
                // A file takes what is written behind the end of the device, and that is in no device.
                content.set_len(device.table.size().bytes().0)?;
                content.set_len(table.size().bytes().0)?;
                (device.table, device.suspended) = (table.clone(), false);
                Ok(())
            }
            Change::Suspend(name) => {
                self.flush(&self.path(name));
                self.devices.lock().unwrap().get_mut(name).unwrap().suspended = true;
                Ok(())
            }
            Change::Resume(name) => {
                self.devices.lock().unwrap().get_mut(name).unwrap().suspended = false;
                Ok(())
            }
            Change::Remove(name) => {
                let mut devices = self.devices.lock().unwrap();
                let path = self.path(name);
                if !devices[name].suspended {
                    flush(&mut devices, *name, &self.file(&path));
                }
                let device = devices.remove(name).unwrap();
                assert_eq!(device.opened, 0, "{name} is open");
                if let Table::Copy { of, .. } = device.table {
                    devices.get_mut(&of).unwrap().opened -= 1;
                }
                std::fs::remove_file(path)
            }
        }
    }

    fn path(&self, name: &Name) -> PathBuf {
        let path = self.dir.path().join(name.to_string());
        let devices = self.devices.try_lock();
        // A version has what its store has by now.
        if let Ok(devices) = devices
            && let Some(Device { below, store: Some(store), table, .. }) = devices.get(name)
        {
            let content = self.file(&path);
            content.set_len(0).unwrap();
            content.set_len(table.size().bytes().0).unwrap();
            version(below, store, &content);
            content.set_len(table.size().bytes().0).unwrap();
        }
        path
    }

    fn holders(&self, _name: &Name) -> Vec<String> {
        vec!["a test".into()]
    }

    fn loops(&self, _file: Inode) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn files(&self, name: &Name) -> Vec<PathBuf> {
        match self.devices.lock().unwrap().get(name).map(|device| device.table.clone()) {
            Some(Table::Snapshot { base, store, .. }) => vec![base, store],
            Some(Table::Origin { file, .. } | Table::File { file, .. }) => vec![file],
            _ => Vec::new(),
        }
    }
}

/// A length in sectors, for tests.
pub(crate) const fn sectors(count: u64) -> Sectors {
    Sectors(count)
}
