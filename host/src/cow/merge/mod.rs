//! A COW file and its backing become a new file, and both stay as they are.
//!
//! In: a COW file and its backing. Out: a file that is there when it is whole and durable, and not before; or a block
//! device that was given on purpose. Its content is what a VM saw of the device at last.
//!
//! Where the backing can be cloned, the new file begins as its clone, and what the COW file holds is cloned or written over
//! that. Where it cannot, the file is written once, in order: what the COW file holds, and what the backing has between,
//! so nothing is copied that would be written over. Blocks of zeros then become holes, whoever wrote them.

mod new;
mod nonzero;
mod room;
mod target;

use super::{Backing, Cow, Disk, Done, Sharing, in_use, overlay::Between};
use crate::{Error, Result, file::Progress};
use ebbtide_format::units::Bytes;
use std::path::{Path, PathBuf};
use target::Target;

pub(super) use new::{cannot_make, new_file};
pub(super) use room::{Room, can_share};
pub(super) use target::{exists, is_free};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The COW file.
    pub cow: &'a Path,
    /// Its backing, where that is not what the COW file records.
    pub backing: Option<&'a Path>,
    /// What is made.
    pub out: &'a Path,
    /// Whether extents may be cloned.
    pub sharing: Sharing,
    /// Whether a block device may be written over.
    pub force: bool,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Its path.
    pub out: PathBuf,
    /// Its size.
    pub size: Bytes,
    /// What was cloned and copied of the COW file.
    pub done: Done,
    /// What became of the backing.
    pub backing: FromBacking,
}

/// What the new file has of the backing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromBacking {
    /// It was cloned.
    Cloned,
    /// So much of it was copied.
    Copied(Bytes),
}

/// Merges a COW file and its backing into a new file, or over a device. When it returns, all of it is durable.
///
/// # Errors
/// Refused: `out` exists, or is a device that is not to be written over or is too small; somebody writes to the COW file
/// or to the backing; they do not fit each other; there is no room. Failed on the way, also because one of them was
/// written to meanwhile: no file is made; a device has a part of it.
pub fn merge(options: &Options<'_>, progress: &mut dyn Progress) -> Result<Merged> {
    let sources = Sources::open(options.cow, options.backing)?;
    match target::target(options, &sources)? {
        Target::New => new_file(options.out, |file| {
            new::fill(&sources, options.out, file, options.sharing, progress)
        }),
        Target::Device(device, _held) => over(&sources, &device, progress),
    }
}

/// A COW file and its backing, open to be read and kept from being written to.
pub(super) struct Sources {
    pub(super) cow: Cow,
    pub(super) backing: Backing,
    _held: [in_use::Held; 2],
}

impl Sources {
    /// Opens both.
    ///
    /// # Errors
    /// As [`merge`].
    pub(super) fn open(cow: &Path, backing: Option<&Path>) -> Result<Self> {
        let cow = Cow::open(cow)?;
        let held_cow = in_use::hold(&cow.disk, in_use::Others::MayRead)?;
        let backing = Backing::find(&cow, backing)?;
        let held_backing = in_use::hold(&backing.disk, in_use::Others::MayRead)?;
        let sources = Self { cow, backing, _held: [held_cow, held_backing] };
        sources.are_steady()?;
        Ok(sources)
    }

    /// Asserts that both are what they were when they were opened.
    pub(super) fn are_steady(&self) -> Result<()> {
        self.cow.disk.is_steady()?;
        self.backing.disk.is_steady()
    }
}

/// Writes every byte of the device that was written to over another.
fn over(sources: &Sources, device: &Disk, progress: &mut dyn Progress) -> Result<Merged> {
    log::info!("writes over {}", device.path.display());
    let merged = new::bring_all(sources, device, Sharing::Never, Between::All, progress)?;
    sources.are_steady()?;
    let path = device.path.display();
    device.file.sync_all().map_err(Error::doing(format_args!("sync {path}")))?;
    Ok(merged)
}
