//! The limit: what was written goes from memory to its places, in the order of the device.

use crate::{Result, case::Written};
use std::{fs::File, io::Read as _, os::unix::fs::FileExt as _, path::Path};

/// How much of a backing is copied at once.
const PIECE: usize = 1 << 20;

/// Writes all pieces over `backing`. Durable when it returns.
pub(crate) fn in_place(written: &Written, backing: &Path) -> Result<()> {
    let file = File::options().write(true).open(backing)?;
    over(written, &file)?;
    Ok(file.sync_all()?)
}

/// Writes a copy of `backing`, and all pieces over it. Durable when it returns.
pub(crate) fn new(written: &Written, backing: &Path, out: &Path) -> Result<()> {
    let (mut from, to) = (File::open(backing)?, File::create_new(out)?);
    let (mut buffer, mut at) = (vec![0; PIECE], 0);
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        to.write_all_at(&buffer[..length], at)?;
        at += length as u64;
    }
    over(written, &to)?;
    Ok(to.sync_all()?)
}

fn over(written: &Written, file: &File) -> Result<()> {
    for (at, bytes) in written.each() {
        file.write_all_at(bytes, at)?;
    }
    Ok(())
}
