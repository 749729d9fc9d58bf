//! The steps as system calls.

use crate::{apply::Kernel, claim::Claim, direct, encryption, events, mapper::Mapper, root::named};
use ebbtide_format::{gpt_table::Table, units::Sectors};
use ebbtide_init::{
    layout::Extent,
    options::MAPPED_ROOT,
    step::{MARKERS, Marker, Step, Target, Undo},
};
use ebbtide_sys::{block, partition, swap};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

/// The running kernel.
#[derive(Debug)]
pub(crate) struct Linux {
    patience: Duration,
    claim: Option<Claim>,
    mapper: Mapper,
}

impl Linux {
    /// Returns the kernel; no single wait takes longer than `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, claim: None, mapper: Mapper::default() }
    }

    /// Has the kernel load what a snapshot needs, where it can; what came of it is observed.
    pub(crate) fn ask_for_snapshots(&mut self) {
        let _ = self.mapper.ask_for_snapshots();
    }

    /// Has the kernel load what encryption needs, where it can, and tells whether it has it now. Built
    /// into a kernel, it is not seen in `/sys/module`.
    pub(crate) fn has_encryption(&mut self) -> bool {
        self.mapper.ask_for_encryption().is_ok()
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
        direct::write(disk, &ends.head, 0)?;
        direct::write(disk, &ends.tail, ends.tail_at)?;
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
            Step::Encrypt { part, crypt, uuid } => {
                encryption::set_up(&mut self.mapper, *part, crypt, uuid, self.patience)
            }
            Step::WriteSwap { device, area, length } => {
                direct::write_start(&node(device), &area.header(), length.0 as usize)
            }
            Step::ClearStore { device, length } => {
                direct::write_start(&node(device), &[], length.0 as usize)
            }
            Step::RemoveUnstarted => self.mapper.remove(),
            Step::RemoveEncrypted { part } => {
                encryption::remove_left(&mut self.mapper, *part, self.patience)
            }
            Step::Map { snapshot, uuid } => self.mapper.map(snapshot, uuid),
            Step::Occupy { at, length } => {
                direct::rewrite(&node(&self.mapper.name()?), at.0, length.0 as usize)
            }
            Step::SwapOn { device } => swap::on(&node(device)),
            Step::Link { target: Target::Mapped } => link(&self.mapper.name()?),
            Step::Link { target: Target::Device(device) } => link(device),
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
            Undo::Decrypt { part } => encryption::take_down(&mut self.mapper, *part),
            Undo::Unmap => self.mapper.remove(),
            Undo::SwapOff { device } => swap::off(&node(device)),
            Undo::Unlink => fs::remove_file(link_path()),
        }
    }
}

/// Returns the path of a device's node.
pub(crate) fn node(device: &str) -> PathBuf {
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

pub(crate) fn mark(marker: &Marker) -> io::Result<()> {
    let path = PathBuf::from(marker.to_string());
    make_folder(Path::new(MARKERS))?;
    make_folder(path.parent().unwrap_or(Path::new(MARKERS)))?;
    File::create(&path).map(drop).map_err(|e| named(&path, &e))
}

pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(named(path, &error)),
        _ => Ok(()),
    }
}

/// Makes the link; udev may have made the same one.
fn link(device: &str) -> io::Result<()> {
    let (to, path) = (format!("../{device}"), link_path());
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
