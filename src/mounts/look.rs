//! Looks at what is on a disk.

use crate::root::named;
use ebbtide_format::{
    signature::{self, Content, Probed},
    units::Bytes,
};
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, path::Path};

/// Reads a disk of this size and says what is on it. Mostly a glance does; a disk that seems to be blank
/// or foreign is read at every place where something could be.
///
/// # Errors
/// When the disk cannot be read. A part that cannot be read is never taken for zeros.
pub(crate) fn look(disk: &Path, size: Bytes) -> io::Result<Content> {
    let file = File::open(disk).map_err(|error| named(disk, &error))?;
    let read = |ranges: Vec<Range<u64>>| -> io::Result<Content> {
        let mut probed = Probed::new(size);
        for range in ranges {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact_at(&mut bytes, range.start).map_err(|error| named(disk, &error))?;
            probed.add(range.start, bytes);
        }
        Ok(signature::classify(&probed))
    };
    match read(signature::glance(size))? {
        known @ Content::FileSystem(_) => Ok(known),
        _ => read(signature::ranges(size)),
    }
}
