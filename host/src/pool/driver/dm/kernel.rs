//! The kernel's device-mapper, by the `devicemapper` crate.
//!
//! udev is told to leave the devices alone: what is on them is a guest's, and a label or a UUID of it must not become a
//! link of the host's, nor must a probe keep a device open that is to go.

use super::{
    devices::{Change, Devices, Found, Table},
    loops::{self, Attached},
    name::Name,
};
use crate::pool::store::Inode;
use devicemapper::{
    DM, DevId, DmError, DmFlags, DmName, DmOptions, DmUdevFlags, errors::Error as CoreError,
};
use ebbtide_format::units::Sectors;
use std::{
    fmt, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

/// Where devices have their names.
const NAMES: &str = "/dev/mapper";

/// The device-mapper of this machine.
#[derive(Default)]
pub struct Kernel {
    dm: OnceLock<DM>,
    /// The loop device over the base whose version was mapped last: what comes next is mapped over it as well.
    base: Mutex<Option<String>>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kernel")
    }
}

impl Kernel {
    /// Returns it without asking anything of the kernel yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn dm(&self) -> io::Result<&DM> {
        if let Some(dm) = self.dm.get() {
            return Ok(dm);
        }
        let dm = DM::new().map_err(|error| {
            let text = format!(
                "{NAMES}/control cannot be opened: {error}; wanted root, and a kernel with dm-mod and dm-snapshot"
            );
            io::Error::new(io::ErrorKind::Unsupported, text)
        })?;
        Ok(self.dm.get_or_init(|| dm))
    }

    /// Returns `MAJOR:MINOR` of a device.
    fn number(&self, name: &Name) -> io::Result<String> {
        let info = with_name(name, |id| self.dm()?.device_info(id).map_err(plain))?;
        let device = info.device();
        Ok(format!("{}:{}", device.major, device.minor))
    }

    fn map(&self, name: &Name, table: &Table) -> io::Result<()> {
        let dm = self.dm()?;
        let text = name.to_string();
        let short = DmName::new(&text).map_err(plain)?;
        dm.device_create(short, None, quiet()).map_err(plain)?;
        let mapped = self.load(name, table).and_then(|()| self.resume(name));
        mapped.inspect_err(|_| {
            if let Err(error) = self.remove(name) {
                log::warn!("{text} is left behind: {error}");
            }
        })
    }

    /// Loads a table. The loop devices are held until the device has them.
    fn load(&self, name: &Name, table: &Table) -> io::Result<()> {
        let (target, arguments, _held) = match table {
            Table::Origin { file, .. } => {
                let base = self.attach_base(file)?;
                ("snapshot-origin", base.number.clone(), [Some(base), None])
            }
            Table::File { file, .. } => {
                let file = loops::attach(file, None)?;
                ("linear", format!("{} 0", file.number), [Some(file), None])
            }
            Table::Snapshot { base, store, chunk, .. } => {
                let (base, store) = (self.attach_base(base)?, loops::attach(store, None)?);
                let arguments = format!("{} {} P {}", base.number, store.number, chunk.sectors());
                ("snapshot", arguments, [Some(base), Some(store)])
            }
            Table::Copy { of, store, chunk, .. } => {
                let (base, store) = (self.number(of)?, loops::attach(store, None)?);
                let arguments = format!("{base} {} N {}", store.number, chunk.sectors());
                ("snapshot", arguments, [None, Some(store)])
            }
        };
        let lines = [(0, table.size().0, target.to_owned(), arguments)];
        with_name(name, |id| self.dm()?.table_load(id, &lines, quiet()).map_err(plain))?;
        Ok(())
    }

    fn attach_base(&self, file: &Path) -> io::Result<Attached> {
        let mut known = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let base = loops::attach(file, known.as_deref())?;
        *known = Some(base.name.clone());
        Ok(base)
    }

    fn resume(&self, name: &Name) -> io::Result<()> {
        let info = with_name(name, |id| self.dm()?.device_suspend(id, quiet()).map_err(plain))?;
        let link = self.path(name);
        // Where udev runs it has made the link by now.
        if fs::symlink_metadata(&link).is_err() {
            match symlink(format!("../dm-{}", info.device().minor), &link) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn suspend(&self, name: &Name) -> io::Result<()> {
        // Nothing of the host's is mounted from it.
        let flags = DmFlags::DM_SUSPEND | DmFlags::DM_SKIP_LOCKFS;
        let options = quiet().set_flags(flags);
        with_name(name, |id| self.dm()?.device_suspend(id, options).map_err(plain)).map(drop)
    }

    fn remove(&self, name: &Name) -> io::Result<()> {
        with_name(name, |id| self.dm()?.device_remove(id, quiet()).map_err(plain))?;
        let link = self.path(name);
        if fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink()) {
            match fs::remove_file(&link) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Devices for Kernel {
    fn found(&self, which: &dyn Fn(&Name) -> bool) -> io::Result<Vec<Found>> {
        let dm = self.dm()?;
        let mut found = Vec::new();
        for (name, ..) in dm.list_devices().map_err(plain)? {
            let Ok(name) = name.to_string().parse::<Name>() else { continue };
            if !which(&name) {
                continue;
            }
            // It may have gone meanwhile: of another pool, since ours are locked.
            found.extend(there(look(dm, name))?);
        }
        Ok(found)
    }

    fn find(&self, name: &Name) -> io::Result<Option<Found>> {
        there(look(self.dm()?, *name))
    }

    fn apply(&self, change: &Change) -> io::Result<()> {
        match change {
            Change::Map(name, table) => self.map(name, table),
            Change::Grow(name, table) => {
                self.load(name, table)?;
                self.resume(name)
            }
            Change::Suspend(name) => self.suspend(name),
            Change::Resume(name) => self.resume(name),
            Change::Remove(name) => self.remove(name),
        }
    }

    fn path(&self, name: &Name) -> PathBuf {
        Path::new(NAMES).join(name.to_string())
    }

    fn holders(&self, name: &Name) -> Vec<String> {
        crate::cow::in_use::users(&self.path(name))
    }

    fn loops(&self, file: Inode) -> io::Result<Vec<String>> {
        Ok(loops::over(file)?.into_iter().map(|found| found.name).collect())
    }

    fn files(&self, name: &Name) -> Vec<PathBuf> {
        let Ok(dm) = self.dm() else { return Vec::new() };
        let deps = with_name(name, |id| dm.table_deps(id, DmOptions::default()).map_err(plain));
        let deps = deps.unwrap_or_default().into_iter();
        deps.filter_map(|device| loops::file(device.major, device.minor)).collect()
    }
}

fn look(dm: &DM, name: Name) -> io::Result<Found> {
    with_name(&name, |id| {
        let info = dm.device_info(id).map_err(plain)?;
        let flags = info.flags();
        let is_live = flags.contains(DmFlags::DM_ACTIVE_PRESENT);
        let options = DmOptions::default().set_flags(DmFlags::DM_STATUS_TABLE);
        let (_, lines) = dm.table_status(id, options).map_err(plain)?;
        let size = lines.iter().map(|line| line.0 + line.1).max().unwrap_or(0);
        Ok(Found {
            name,
            opened: u32::try_from(info.open_count()).unwrap_or(0),
            suspended: flags.contains(DmFlags::DM_SUSPEND),
            is_live,
            size: Sectors(if is_live { size } else { 0 }),
        })
    })
}

/// Tells udev's rules to leave a device alone but for its link.
fn quiet() -> DmOptions {
    DmOptions::default().set_udev_flags(
        DmUdevFlags::DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG
            | DmUdevFlags::DM_UDEV_DISABLE_DISK_RULES_FLAG
            | DmUdevFlags::DM_UDEV_DISABLE_OTHER_RULES_FLAG,
    )
}

/// Returns nothing of a device that is not there.
fn there(looked: io::Result<Found>) -> io::Result<Option<Found>> {
    match looked {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => Ok(None),
        looked => looked.map(Some),
    }
}

fn with_name<T>(name: &Name, act: impl FnOnce(&DevId<'_>) -> io::Result<T>) -> io::Result<T> {
    let text = name.to_string();
    act(&DevId::Name(DmName::new(&text).map_err(plain)?))
}

/// Returns the kernel's error.
fn plain(error: DmError) -> io::Error {
    match error {
        DmError::Core(CoreError::Ioctl(_, _, _, errno)) => (*errno).into(),
        other => io::Error::other(other.to_string()),
    }
}
