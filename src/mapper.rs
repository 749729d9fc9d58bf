//! Mapped devices of ours: made, started, found again, removed.

use crate::root::named;
use ebbtide_format::{
    dm_table::{Crypt, Snapshot},
    units::Sectors,
};
use ebbtide_init::{options::MAPPED_ROOT, plan::UUID_PREFIX};
use ebbtide_sys::dm::Control;
use std::{io, path::Path};

/// Device-mapper, opened when it is first needed and kept.
#[derive(Debug, Default)]
pub(crate) struct Mapper {
    control: Option<Control>,
    /// Of the root; known when it was made by this process.
    minor: Option<u32>,
}

impl Mapper {
    pub(crate) fn control(&mut self) -> io::Result<&Control> {
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

    /// Asks for the target of encryption in the same way.
    pub(crate) fn ask_for_encryption(&mut self) -> io::Result<()> {
        self.control()?.find_target(Crypt::TARGET)
    }

    /// Maps the root.
    pub(crate) fn map(&mut self, snapshot: &Snapshot, uuid: &str) -> io::Result<()> {
        let (size, arguments) = (snapshot.size, snapshot.arguments());
        self.minor = Some(self.start(MAPPED_ROOT, uuid, size, Snapshot::TARGET, &arguments)?);
        Ok(())
    }

    /// Creates, loads and resumes, and returns the minor number; a device whose table fails is
    /// removed, because the kernel leaves it behind.
    pub(crate) fn start(
        &mut self,
        name: &str,
        uuid: &str,
        size: Sectors,
        target: &str,
        arguments: &str,
    ) -> io::Result<u32> {
        let control = self.control()?;
        let minor = create(control, name, uuid)?;
        let started =
            control.load(name, size.0, target, arguments).and_then(|()| control.resume(name));
        if let Err(error) = started {
            if let Err(second) = control.remove(name) {
                log::error!("could not remove {name} after it failed to start: {second}");
            }
            let reason = "the kernel log has the reason, on a line with \"device-mapper\"";
            return Err(io::Error::new(error.kind(), format!("{error}; {reason}")));
        }
        Ok(minor)
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

fn create(control: &Control, name: &str, uuid: &str) -> io::Result<u32> {
    match control.create(name, uuid) {
        // Without a table a device is not in sysfs, so nobody could see what an earlier run left.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            let found = control.info(name)?;
            if found.has_table || !found.uuid.starts_with(UUID_PREFIX) {
                return Err(io::Error::new(
                    error.kind(),
                    format!("{error}; found \"{}\"", found.uuid),
                ));
            }
            control.remove(name)?;
            control.create(name, uuid)
        }
        other => other,
    }
}
