//! The mapped root and its store, in a running machine.

use crate::root::{Root, named};
use ebbtide_format::{
    dm_table::{Snapshot, SnapshotStatus},
    snapshot_table::SnapshotTable,
    units::Sectors,
};
use ebbtide_init::{encrypted::Encrypted, options::MAPPED_ROOT, plan::UUID_PREFIX, usage::Usage};
use ebbtide_sys::dm::{Control, Status};
use nix::time::{ClockId, clock_gettime};
use std::{fs, io, path::Path, time::Duration};

/// What the root is.
pub(crate) enum Found {
    /// A snapshot.
    Snapshot(Store),
    /// The device of this name, written to directly.
    Writable(String),
}

/// A snapshot that is mapped.
#[derive(Debug)]
pub(crate) struct Store {
    /// Device-mapper.
    pub(crate) control: Control,
    /// What it was mapped with.
    pub(crate) table: SnapshotTable,
    /// Size of the mapped root.
    size: Sectors,
}

/// Finds out what the root is.
///
/// # Errors
/// When there is none, or when device-mapper may not be asked or gives no answer.
pub(crate) fn find(root: &Root) -> io::Result<Found> {
    let link = root.path(format!("dev/mapper/{MAPPED_ROOT}"));
    if let Ok(to) = fs::read_link(&link) {
        let device = to.file_name().unwrap_or_default().to_string_lossy();
        if !device.starts_with("dm-") {
            return Ok(Found::Writable(device.into_owned()));
        }
    }
    let control = open(root)?;
    let found = control.table(MAPPED_ROOT).map_err(|error| named(&link, &error))?;
    let wanted = |found: &str| {
        let text = format!("{}: found {found}; wanted a snapshot that is mapped", link.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    // Whatever stands on a partition that is not ours must not be written over by a store that grows.
    let uuid = control.info(MAPPED_ROOT).map_err(|error| named(&link, &error))?.uuid;
    if found.is_some() && !uuid.starts_with(UUID_PREFIX) {
        return Err(wanted(&format!("a device that is not ours, its identifier is \"{uuid}\"")));
    }
    let Status { target, sectors, text } = found.ok_or_else(|| wanted("no table"))?;
    let table = SnapshotTable::parse(&text).filter(|_| target == Snapshot::TARGET);
    let table = table.ok_or_else(|| wanted(&format!("\"{target} {text}\"")))?;
    Ok(Found::Snapshot(Store { control, table, size: Sectors(sectors) }))
}

fn open(root: &Root) -> io::Result<Control> {
    let path = root.path("dev/mapper/control");
    Control::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let text = format!("{}: {error}; only root may ask device-mapper", path.display());
            io::Error::new(error.kind(), text)
        }
        _ => named(&path, &error),
    })
}

impl Store {
    /// Looks how full it is.
    ///
    /// # Errors
    /// When the device has gone, or says something that no snapshot says.
    pub(crate) fn look(&self) -> io::Result<Usage> {
        let mapped = Path::new(MAPPED_ROOT);
        let status = self.control.status(MAPPED_ROOT).map_err(|error| named(mapped, &error))?;
        let text = status.map(|status| status.text).unwrap_or_default();
        let status = SnapshotStatus::parse(&text).map_err(|found| {
            let text = format!("status of {MAPPED_ROOT}: found \"{found}\"; wanted numbers");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        Ok(Usage::new(status, &self.table, self.size, uptime()))
    }

    /// Tells whether it lies on our encrypted device.
    pub(crate) fn is_encrypted(&self, root: &Root) -> io::Result<bool> {
        Ok(self.below(root)? == Encrypted::Store.name())
    }

    /// Returns the name in device-mapper of what it lies on, empty if that is no mapped device.
    pub(crate) fn below(&self, root: &Root) -> io::Result<String> {
        root.attribute(format!("sys/dev/block/{}/dm/name", self.table.cow))
    }
}

/// Returns the time since the machine started, sleep included.
pub(crate) fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}
