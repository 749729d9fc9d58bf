//! What a hundred linked clones take: free space before and after.

use super::{Result, image, pool, shape::Shape, template, turns::settle};
use ebbtide::{name::VmName, vm};
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// How many are made.
const CLONES: u64 = 100;
/// Of what: the root has 40 MiB of data.
const SHAPE: Shape = Shape { gib: 10, extents: 10_000 };

/// Measures in `dir`.
pub(crate) fn measure(dir: &Path) -> Result<()> {
    let image = image::make(dir, SHAPE)?;
    let pool = pool(&dir.join("pool"))?;
    let name = template(&pool, "base", &image)?;
    let data = pool.vm(&name)?.volumes(&pool)?;
    let data = pool.driver().state(&data[0])?.current.ok_or("the base has no version")?;
    settle(dir)?;
    let before = taken(dir)?;
    for number in 0..CLONES {
        let clone: VmName = format!("clone-{number}").parse()?;
        vm::clone(&pool, &name, &clone)?;
    }
    settle(dir)?;
    let after = taken(dir)?;
    println!("bytes {} data of the base", data.allocated.0);
    println!("bytes {CLONES} clones");
    println!("bytes {} taken by all clones", after.saturating_sub(before));
    Ok(())
}

/// Returns how much of a file system is taken.
fn taken(dir: &Path) -> Result<u64> {
    let found = statvfs(dir)?;
    Ok((found.blocks() - found.blocks_free()) * found.fragment_size())
}
