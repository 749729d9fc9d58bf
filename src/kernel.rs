//! The steps as system calls.

use crate::{apply::Kernel, claim::Claim, events, root::named};
use ebbtide_format::{
    dm_table::Snapshot,
    gpt_table::Table,
    swap::SwapArea,
    units::{Bytes, Sectors},
};
use ebbtide_init::{
    layout::Extent,
    options::MAPPED_ROOT,
    plan::UUID_PREFIX,
    step::{MARKERS, Marker, Step, Target, Undo},
};
use ebbtide_sys::{block, dm::Control, partition, swap};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

/// The running kernel.
#[derive(Debug)]
pub(crate) struct Linux {
    patience: Duration,
    claim: Option<Claim>,
}

impl Linux {
    /// Returns the kernel; no single wait takes longer than `patience`.
    pub(crate) const fn new(patience: Duration) -> Self {
        Self { patience, claim: None }
    }

    fn claimed(&self) -> io::Result<&File> {
        let claim = self.claim.as_ref().map(Claim::file);
        claim.ok_or_else(|| io::Error::other("the disk has not been claimed"))
    }

    /// Adds a partition. Somebody may have read the new table and added it before us; then it has to
    /// be the same.
    fn add_partition(&mut self, device: &str, index: u32, extent: Extent) -> io::Result<()> {
        if let Some(claim) = &mut self.claim {
            claim.let_partitions_be_claimed();
        }
        match partition::add(self.claimed()?, index, extent.start.0..extent.end().0) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                let found = known_partition(device);
                if found == Some((extent.start.sectors(), extent.length.sectors())) {
                    Ok(())
                } else {
                    let found = found.map_or_else(
                        || "a partition that overlaps it".to_string(),
                        |(start, size)| format!("{size} at {start}"),
                    );
                    Err(io::Error::new(error.kind(), format!("{error}; found {found}")))
                }
            }
            other => other,
        }
    }

    /// Removes a partition; udev may have it open for a look at its content.
    fn remove_partition(&self, device: &str, index: u32) -> io::Result<()> {
        let disk = self.claimed()?;
        events::when_closed(&node(device), self.patience, || partition::remove(disk, index))
    }

    fn write_table(&self, table: &Table) -> io::Result<()> {
        let ends = table.build().map_err(io::Error::other)?;
        let disk = self.claimed()?;
        disk.write_all_at(&ends.head, 0)?;
        disk.write_all_at(&ends.tail, ends.tail_at)?;
        disk.sync_data()
    }
}

impl Kernel for Linux {
    fn perform(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Claim { disk } => {
                self.claim = Some(Claim::take(&node(disk), self.patience)?);
                Ok(())
            }
            Step::Discard { size, .. } => discard(self.claimed()?, *size),
            Step::RemovePartition { index, device, .. } => self.remove_partition(device, *index),
            Step::WriteTable { table, .. } => self.write_table(table),
            Step::Mark(marker) => mark(marker),
            Step::AddPartition { device, index, extent, .. } => {
                self.add_partition(device, *index, *extent)
            }
            Step::WriteSwap { device, area, length } => write_swap(device, *area, *length),
            Step::ClearStore { device, length } => {
                write_start(&node(device), &vec![0; length.0 as usize])
            }
            Step::RemoveUnstarted => control()?.remove(MAPPED_ROOT),
            Step::Map { snapshot, uuid } => map(snapshot, uuid),
            Step::Occupy { at, length } => rewrite(&mapped_node()?, *at, *length),
            Step::SwapOn { device } => swap::on(&node(device)),
            Step::Link { target } => link(target),
            Step::Announce { device } => {
                let path = PathBuf::from(format!("/sys/class/block/{device}/uevent"));
                fs::write(&path, "change").map_err(|e| named(&path, &e))
            }
        }
    }

    fn take_back(&mut self, undo: &Undo) -> io::Result<()> {
        match undo {
            Undo::RemovePartition { index, device, .. } => self.remove_partition(device, *index),
            Undo::Unmark(marker) => fs::remove_file(marker.to_string()),
            Undo::Unmap => control()?.remove(MAPPED_ROOT),
            Undo::SwapOff { device } => swap::off(&node(device)),
            Undo::Unlink => fs::remove_file(link_path()),
        }
    }
}

/// Opens device-mapper.
pub(crate) fn control() -> io::Result<Control> {
    let path = Path::new("/dev/mapper/control");
    Control::open(path).map_err(|e| named(path, &e))
}

fn node(device: &str) -> PathBuf {
    Path::new("/dev").join(device)
}

fn link_path() -> PathBuf {
    Path::new("/dev/mapper").join(MAPPED_ROOT)
}

/// A discard is a wish: it makes the image behind the disk small again, and nothing depends on it.
fn discard(disk: &File, size: Sectors) -> io::Result<()> {
    if let Err(error) = block::discard(disk, 0..size.bytes().0) {
        log::warn!("discard failed, old content stays on the host: {error}");
    }
    Ok(())
}

fn known_partition(device: &str) -> Option<(Sectors, Sectors)> {
    let number = |what| {
        let path = format!("/sys/class/block/{device}/{what}");
        fs::read_to_string(path).ok()?.trim().parse().ok().map(Sectors)
    };
    Some((number("start")?, number("size")?))
}

fn mark(marker: &Marker) -> io::Result<()> {
    let path = PathBuf::from(marker.to_string());
    make_folder(Path::new(MARKERS))?;
    make_folder(path.parent().unwrap_or(Path::new(MARKERS)))?;
    File::create(&path).map(drop).map_err(|e| named(&path, &e))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(named(path, &error)),
        _ => Ok(()),
    }
}

fn write_swap(device: &str, area: SwapArea, length: Bytes) -> io::Result<()> {
    let mut bytes = area.header();
    bytes.resize(length.0 as usize, 0);
    write_start(&node(device), &bytes)
}

fn write_start(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let device = File::options().write(true).open(path).map_err(|e| named(path, &e))?;
    device.write_all_at(bytes, 0)?;
    device.sync_data()
}

/// Creates, loads and resumes; a device whose table fails is removed, because the kernel leaves it
/// behind.
fn map(snapshot: &Snapshot, uuid: &str) -> io::Result<()> {
    let control = control()?;
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
            control.create(MAPPED_ROOT, uuid)?;
        }
        other => other?,
    }
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
    Ok(())
}

fn mapped_node() -> io::Result<PathBuf> {
    Ok(node(&format!("dm-{}", control()?.info(MAPPED_ROOT)?.minor)))
}

/// Reads a range and writes it back, past the page cache: a cached write could wait until after the
/// file system's own first write.
fn rewrite(path: &Path, at: Bytes, length: Bytes) -> io::Result<()> {
    const ALIGNMENT: usize = 4096;
    let device = File::options()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_DIRECT)
        .open(path)
        .map_err(|e| named(path, &e))?;
    let length = length.0 as usize;
    let mut room = vec![0; length + ALIGNMENT];
    let from = room.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let bytes = &mut room[from..from + length];
    device.read_exact_at(bytes, at.0)?;
    device.write_all_at(bytes, at.0)
}

/// Makes the link; udev may have made the same one.
fn link(target: &Target) -> io::Result<()> {
    let to = match target {
        Target::Mapped => format!("../dm-{}", control()?.info(MAPPED_ROOT)?.minor),
        Target::Device(device) => format!("../{device}"),
    };
    let path = link_path();
    make_folder(Path::new("/dev/mapper"))?;
    match symlink(&to, &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_link(&path).is_ok_and(|found| found == Path::new(&to)) {
                Ok(())
            } else {
                Err(named(&path, &error))
            }
        }
        other => other.map_err(|e| named(&path, &e)),
    }
}
