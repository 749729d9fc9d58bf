//! What a COW file of any kind holds, as a new COW file of user-mode Linux over the same backing.
//!
//! In: a COW file and its backing. Out: a file with the header and the bitmap that the kernel would have written, and
//! the data where it would be: the kernel goes on with it. (The other format of an export, a raw image, is a merge.)

use super::{
    Done, Run, Runs, Sharing,
    create::{New, may_be_backing},
    disk::Disk,
    merge::{Room, Sources, can_share, exists, is_free, new_file},
    transfer::{Part, Zeros, bring},
};
use crate::{Error, Result, file::Progress, file::sparse};
use ebbtide_format::{
    uml_cow::{Header, mark},
    units::{Bytes, SECTOR},
};
use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

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
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its path.
    pub out: PathBuf,
    /// The backing that it records.
    pub backing: PathBuf,
    /// The size of the device.
    pub size: Bytes,
    /// What was cloned and copied.
    pub done: Done,
}

/// Makes a COW file of user-mode Linux that holds what another COW file holds. When it returns, it is durable.
///
/// # Errors
/// As [`super::merge::merge`]; a merge into the backing is unfinished; the backing is larger than user-mode Linux can use.
pub fn uml(options: &Options<'_>, progress: &mut dyn Progress) -> Result<Exported> {
    let sources = Sources::open(options.cow, options.backing)?;
    let backing = &sources.backing.disk;
    may_be_backing(backing)?;
    let new = New::over(backing)?;
    if !is_free(options.out)? {
        return Err(exists(&options.out.display().to_string()).into());
    }
    new_file(options.out, |file| {
        let done = fill(&sources, &new, options, file, progress)?;
        let (out, backing) = (options.out.into(), backing.path.clone());
        Ok(Exported { out, backing, size: sources.backing.size(), done })
    })
}

fn fill(
    sources: &Sources,
    new: &New,
    options: &Options<'_>,
    file: &File,
    progress: &mut dyn Progress,
) -> Result<Done> {
    let (cow, out, size) = (&sources.cow, options.out, sources.backing.size());
    let doing = || Error::doing(format!("make {}", out.display()));
    let to = Disk::of(out, file.try_clone().map_err(doing())?)?;
    let can_share = can_share(&cow.disk, &to, options.sharing)?;
    let sharing = if can_share { options.sharing } else { Sharing::Never };
    new.fill(file).map_err(doing())?;
    // `New` made this header itself.
    let Some(header) = new.header() else { return Ok(Done::default()) };
    let to = Disk { size: Bytes(header.end()), ..to };
    let parts = || Ok::<_, Error>(parts(cow.runs(size)?, &cow.disk, header.data(), sharing));
    let room = Room::find(parts, &to, Zeros::LeftOut)?;

    log::info!("makes {} of {}", out.display(), cow.disk.path.display());
    bitmap(cow.runs(size)?, &header, file, out)?;
    let done = bring(parts()?, &to, Zeros::LeftOut, |done, _| {
        progress.bytes(done.bytes(), room.whole);
    })?;
    sources.are_steady()?;
    Ok(done)
}

/// Returns runs of a COW file as parts of one whose data begins at `data`.
fn parts<'a>(
    runs: Runs<'a>,
    from: &'a Disk,
    data: u64,
    sharing: Sharing,
) -> impl Iterator<Item = Result<Part<'a>>> {
    runs.map(move |run| {
        let run = run?;
        Ok(Part { run: Run { at: data + run.at, ..run }, from, sharing })
    })
}

/// How much of a bitmap is in memory: that of 4 GiB.
const PIECE: usize = 1 << 20;

/// A piece of the bitmap.
struct Piece {
    /// Which one.
    number: u64,
    bits: Vec<u8>,
}

/// Writes the bitmap of runs.
fn bitmap(runs: Runs<'_>, header: &Header<'_>, file: &File, out: &Path) -> Result<()> {
    let place = header.bitmap();
    let mut piece = Piece { number: 0, bits: vec![0; PIECE] };
    let doing = || Error::doing(format!("write the bitmap of {}", out.display()));
    for run in runs {
        let Range { start, end } = run?.range();
        let mut sectors = start / SECTOR..end.div_ceil(SECTOR);
        while !sectors.is_empty() {
            let number = sectors.start / Piece::SECTORS;
            if number != piece.number {
                piece.write(file, &place).map_err(doing())?;
                piece.number = number;
                piece.bits.fill(0);
            }
            mark(&mut piece.bits, number * Piece::SECTORS, sectors.clone());
            sectors.start = sectors.end.min((number + 1) * Piece::SECTORS);
        }
    }
    piece.write(file, &place).map_err(doing())
}

impl Piece {
    const SECTORS: u64 = PIECE as u64 * 8;

    /// Writes what of it is not zero.
    fn write(&self, file: &File, place: &Range<u64>) -> std::io::Result<()> {
        let at = place.start + self.number * PIECE as u64;
        sparse::runs(&self.bits)
            .into_iter()
            .try_for_each(|run| file.write_all_at(&self.bits[run.clone()], at + run.start as u64))
    }
}
