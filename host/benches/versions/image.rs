//! Images in the shapes that are measured, fragmented by what fragments images: blocks written here and there, and synced.

use super::{
    Result,
    shape::{BLOCK, Shape},
};
use ebbtide_sys::fiemap;
use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// What an image in one extent has as data.
const ONE: usize = 4 << 20;
/// How many blocks are written before they go to the disk.
const AT_ONCE: usize = 5000;

/// Makes the image of a shape in `dir`, says how many extents it came to have, and returns it.
///
/// # Errors
/// It has 2 % more or fewer extents than the shape.
pub(crate) fn make(dir: &Path, shape: Shape) -> Result<PathBuf> {
    let path = dir.join(format!("{shape}.img"));
    let file = File::create_new(&path)?;
    file.set_len(shape.bytes())?;
    if shape.extents == 1 {
        file.write_all_at(&vec![0xeb; ONE], 0)?;
    } else {
        for places in shape.places().chunks(AT_ONCE) {
            for place in places {
                let word = place.to_le_bytes();
                file.write_all_at(&word.repeat(BLOCK as usize / word.len()), *place)?;
            }
            file.sync_data()?;
        }
    }
    file.sync_all()?;
    let found = extents(&path)?;
    println!("extents {shape} {found}");
    if found.abs_diff(shape.extents) > shape.extents / 50 {
        return Err(format!("the image {shape} has {found} extents").into());
    }
    Ok(path)
}

/// Returns how many extents a file has.
pub(crate) fn extents(path: &Path) -> Result<u64> {
    Ok(fiemap::extents(&File::open(path)?)?.len() as u64)
}

/// Writes what an update of a template stands for, at the same place each time, so that the shape stays what it is. It is
/// on the disk when this returns, as after the last flush of a guest that shuts down.
pub(crate) fn edit(path: &Path, round: usize) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    file.write_all_at(&vec![round as u8; 1 << 20], 0)?;
    Ok(file.sync_data()?)
}
