//! What was written as a COW file of user-mode Linux: version 3, sectors of 512 bytes, aligned to 4 KiB.

use crate::{
    Result,
    case::Case,
    random::{Of, fill},
};
use ebbtide_format::{
    uml_cow::{self, Seen},
    units::Bytes,
};
use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, path::Path, time::UNIX_EPOCH};

const SECTOR: u64 = 512;
/// How many pieces are written before they go to the disk, as a guest writes: now and then.
const AT_ONCE: usize = 1000;

/// Writes the COW file of `case`, whose backing is there already.
pub(crate) fn make(path: &Path, case: &Case, backing: &Path) -> Result<()> {
    let file = File::create_new(path)?;
    let modified = backing.metadata()?.modified()?.duration_since(UNIX_EPOCH)?.as_secs();
    let name = backing.as_os_str().as_encoded_bytes();
    let head = uml_cow::head(name, u32::try_from(modified)?, Bytes(case.size))?;
    file.write_all_at(&head, 0)?;

    let header = Seen::parse(&head)?.believe()?;
    file.set_len(header.end())?;
    let mut buffer = Vec::new();
    for (count, piece) in case.as_written().enumerate() {
        mark(&file, header.bitmap().start, piece)?;
        buffer.resize((piece.end - piece.start) as usize, 0);
        fill(&mut buffer, piece.start, Of::Written);
        file.write_all_at(&buffer, header.data() + piece.start)?;
        if count % AT_ONCE == AT_ONCE - 1 {
            file.sync_data()?;
        }
    }
    Ok(file.sync_all()?)
}

/// Sets the bits of a piece, which is whole bytes of the bitmap: 4 KiB are 8 sectors.
fn mark(file: &File, bitmap: u64, piece: &Range<u64>) -> Result<()> {
    let (first, end) = (piece.start / SECTOR / 8, piece.end / SECTOR / 8);
    Ok(file.write_all_at(&vec![0xff; (end - first) as usize], bitmap + first)?)
}
