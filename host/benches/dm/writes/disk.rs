//! A template's root that is written to while older versions of it are in use.

use super::super::{Result, counters::Done};
use ebbtide::{
    pool::{
        driver::{
            Access, Commit as _, DmDriver, Ending, LinuxStore, Retention, Volume, Volumes as _,
            dm::{self, devices::Devices},
        },
        store::Inode,
    },
    volume::{Files, Role},
};
use ebbtide_format::units::{Bytes, Chunk};
use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// Length of the root.
const SIZE: Bytes = Bytes::mib(640);

/// It, while it is written to.
pub(super) struct Disk {
    pub(super) sectors: usize,
    /// How many versions there are to be kept.
    pub(super) versions: usize,
    /// What the guest writes to.
    pub(super) path: PathBuf,
    /// What is read of the newest version.
    pub(super) version: PathBuf,
    /// Loop devices, by their names in `/dev`.
    base: String,
    stores: Vec<String>,
    /// The store of the newest version.
    store: Option<PathBuf>,
    driver: DmDriver,
    root: Volume,
    readers: Vec<Volume>,
}

impl Disk {
    /// Makes a root, has `make` fill its image, and starts it while so many versions are in use: the newest by a VM, as
    /// each before it that something was written after.
    pub(super) fn start(
        dir: &Path,
        name: &str,
        sectors: usize,
        versions: usize,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let devices = dm::devices();
        let chunk = Chunk::from_bytes(Bytes(sectors as u64 * 512)).ok_or("no such chunk")?;
        let driver = DmDriver::new(Arc::new(LinuxStore::copy(dir)), Arc::clone(&devices), chunk);
        let root = volume(&format!("vm-templates/{name}"), Role::Origin)?;
        fs::create_dir_all(dir.join(&root.files.dir))?;
        let image = dir.join(root.files.clean());
        File::create(&image)?.set_len(SIZE.0)?;
        make(&image)?;
        File::open(&image)?.sync_all()?;
        let mut disk = Self {
            sectors,
            versions,
            path: PathBuf::new(),
            version: PathBuf::new(),
            base: String::new(),
            stores: Vec::new(),
            store: None,
            driver,
            root,
            readers: Vec::new(),
        };
        if versions == 0 {
            let said = Command::new("losetup").args(["--find", "--show"]).arg(&image).output()?;
            disk.path = String::from_utf8(said.stdout)?.trim().into();
            disk.version = disk.path.clone();
            disk.base = name_of(&disk.path)?;
            return Ok(disk);
        }
        disk.driver.begin(&disk.root)?;
        for at in 1..=versions {
            let role = Role::Snapshot { of: disk.root.id.clone() };
            let reader = volume(&format!("appvms/{name}-{at}"), role)?;
            fs::create_dir_all(dir.join(&reader.files.dir))?;
            disk.version = disk.driver.start(&reader, Access::Shared)?.path;
            disk.readers.push(reader);
            if at < versions {
                disk.write_version(at)?;
            }
        }
        disk.path = disk.driver.start(&disk.root, Access::Copy)?.path;
        let loops = |path: &Path| one(&*devices, path);
        disk.base = loops(&image)?;
        for reader in &disk.readers {
            disk.stores.push(loops(&dir.join(reader.files.used().clean()))?);
        }
        disk.store = Some(dir.join(disk.root.files.cow().clean()));
        Ok(disk)
    }

    /// Writes to the end of the root, where no load does, and commits.
    fn write_version(&self, number: usize) -> Result<()> {
        let path = self.driver.start(&self.root, Access::Copy)?.path;
        let file = File::options().write(true).open(path)?;
        file.write_all_at(&[number as u8; 4096], SIZE.0 - 4096)?;
        file.sync_all()?;
        drop(file);
        self.driver.commit(&self.root)?;
        Ok(())
    }

    /// Returns what the guest has done so far.
    pub(super) fn guest(&self) -> Result<Done> {
        Done::of(&name_of(&self.path)?)
    }

    /// Returns what the base has done so far.
    pub(super) fn base(&self) -> Result<Done> {
        Done::of(&self.base)
    }

    /// Returns what all stores have done so far.
    pub(super) fn stores(&self) -> Result<Done> {
        self.stores.iter().try_fold(Done::default(), |all, name| Ok(all.and(Done::of(name)?)))
    }

    /// Returns what the store of the newest version takes.
    pub(super) fn space(&self) -> Result<u64> {
        let Some(store) = &self.store else { return Ok(0) };
        let file = File::open(store)?;
        file.sync_all()?;
        Ok(file.metadata()?.blocks() * 512)
    }

    /// Ends all uses.
    pub(super) fn stop(self) -> Result<()> {
        if self.versions == 0 {
            Command::new("losetup").arg("--detach").arg(&self.path).status()?;
            return Ok(());
        }
        self.driver.stop(&self.root, Ending::Commit)?;
        for reader in &self.readers {
            self.driver.stop(reader, Ending::Discard)?;
        }
        Ok(())
    }
}

fn volume(dir: &str, role: Role) -> Result<Volume> {
    let vm = dir.rsplit('/').next().unwrap_or_default();
    let files = |dir: &Path| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Files::new(dir, "root".parse()?))
    };
    let source = match role.source() {
        Some(of) => Some(files(&Path::new("vm-templates").join(of.vm.as_str()))?),
        None => None,
    };
    Ok(Volume {
        id: format!("{vm}:root").parse()?,
        files: files(Path::new(dir))?,
        role,
        source,
        size: SIZE,
        retention: Retention { keep: 2, ..Retention::default() },
    })
}

/// Returns the loop device over a file.
fn one(devices: &dyn Devices, path: &Path) -> Result<String> {
    let found = fs::metadata(path)?;
    let loops = devices.loops(Inode { device: found.dev(), number: found.ino() })?;
    match loops.as_slice() {
        [one] => Ok(one.clone()),
        other => Err(format!("{} has the loop devices {other:?}", path.display()).into()),
    }
}

/// Returns the kernel's name of a device.
fn name_of(path: &Path) -> Result<String> {
    let real = fs::canonicalize(path)?;
    let name = real.file_name().ok_or("a device has a name")?;
    Ok(name.to_string_lossy().into_owned())
}
