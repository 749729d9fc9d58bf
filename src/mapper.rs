//! The mapped root: made, started, found again, removed.

use crate::root::named;
use ebbtide_format::dm_table::Snapshot;
use ebbtide_init::{options::MAPPED_ROOT, plan::UUID_PREFIX};
use ebbtide_sys::dm::Control;
use std::{io, path::Path};

/// Device-mapper, opened when it is first needed and kept.
#[derive(Debug, Default)]
pub(crate) struct Mapper {
    control: Option<Control>,
    /// Known when it was made by this process.
    minor: Option<u32>,
}

impl Mapper {
    fn control(&mut self) -> io::Result<&Control> {
        let control = match self.control.take() {
            Some(control) => control,
            None => {
                let path = Path::new("/dev/mapper/control");
                Control::open(path).map_err(|e| named(path, &e))?
            }
        };
        Ok(self.control.insert(control))
    }

    /// Asks for the target; the kernel loads its module on this, where it can.
    pub(crate) fn ask_for_snapshots(&mut self) -> io::Result<()> {
        self.control()?.find_target(Snapshot::TARGET)
    }

    /// Creates, loads and resumes; a device whose table fails is removed, because the kernel leaves
    /// it behind.
    pub(crate) fn map(&mut self, snapshot: &Snapshot, uuid: &str) -> io::Result<()> {
        let control = self.control()?;
        let minor = create(control, uuid)?;
        let started = control
            .load(MAPPED_ROOT, snapshot.size.0, Snapshot::TARGET, &snapshot.arguments())
            .and_then(|()| control.resume(MAPPED_ROOT));
        if let Err(error) = started {
            if let Err(second) = control.remove(MAPPED_ROOT) {
                log::error!("could not remove {MAPPED_ROOT} after it failed to start: {second}");
            }
            let reason = "the kernel log has the reason, on a line with \"device-mapper\"";
            return Err(io::Error::new(error.kind(), format!("{error}; {reason}")));
        }
        self.minor = Some(minor);
        Ok(())
    }

    /// Removes the mapped root.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        self.minor = None;
        self.control()?.remove(MAPPED_ROOT)
    }

    /// Returns the name of the mapped root below `/dev`.
    pub(crate) fn name(&mut self) -> io::Result<String> {
        let minor = match self.minor {
            Some(minor) => minor,
            None => self.control()?.info(MAPPED_ROOT)?.minor,
        };
        Ok(format!("dm-{minor}"))
    }
}

fn create(control: &Control, uuid: &str) -> io::Result<u32> {
    match control.create(MAPPED_ROOT, uuid) {
        // Without a table a device is not in sysfs, so nobody could see what an earlier run left.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            let found = control.info(MAPPED_ROOT)?;
            if found.has_table || !found.uuid.starts_with(UUID_PREFIX) {
                return Err(io::Error::new(
                    error.kind(),
                    format!("{error}; found \"{}\"", found.uuid),
                ));
            }
            control.remove(MAPPED_ROOT)?;
            control.create(MAPPED_ROOT, uuid)
        }
        other => other,
    }
}
