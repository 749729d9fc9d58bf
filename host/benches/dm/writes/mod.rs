//! What a guest's writes come to below a base: with so many sectors in a chunk, and so many versions that are to be kept
//! from them. No version is the loop device itself.

mod disk;
mod load;
mod upgrade;

use self::disk::Disk;
use super::{Result, counters::Done};
use std::{fs, path::Path, time::Instant};

/// A part of the base, in MiB.
pub(super) type Part = std::ops::Range<u64>;

/// The parts of the base; what one load touches no other does.
const SYNCHRONOUS: Part = 0..256;
const RANDOM: Part = 256..512;
const SEQUENTIAL: Part = 512..544;
const READ: Part = 544..576;

/// Says `wrote SECTORS VERSIONS LOAD GUEST BASE STORES SPACE NANOSECONDS` of each load, in bytes, and
/// `read SECTORS VERSIONS BYTES NANOSECONDS`. SPACE is what one store takes.
pub(crate) fn measure(dir: &Path, sectors: usize, versions: usize) -> Result<()> {
    fs::create_dir_all(dir)?;
    let plain = Disk::start(dir, "plain", sectors, versions, |image| {
        load::fill(image, SEQUENTIAL.start..READ.end)
    })?;
    let path = plain.path.clone();
    let run = |name, work: &dyn Fn() -> Result<()>| written(&plain, name, work);
    run("synchronous", &|| load::synchronous(&path, SYNCHRONOUS))?;
    run("random", &|| load::random(&path, RANDOM))?;
    run("sequential", &|| load::sequential(&path, SEQUENTIAL))?;
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    let began = Instant::now();
    let bytes = load::read(&plain.version, READ)?;
    println!("read {sectors} {versions} {bytes} {}", began.elapsed().as_nanos());
    plain.stop()?;

    let system =
        Disk::start(dir, "system", sectors, versions, |image| upgrade::install(dir, image))?;
    written(&system, "upgrade", || upgrade::upgrade(dir, &system.path))?;
    system.stop()?;
    Ok(fs::remove_dir_all(dir)?)
}

/// Does something to the disk and says what came of it.
fn written(disk: &Disk, load: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (guest, base, stores, space) = (disk.guest()?, disk.base()?, disk.stores()?, disk.space()?);
    let began = Instant::now();
    work().map_err(|error| format!("{load}: {error}"))?;
    let took = began.elapsed();
    let since = |now: Done, then| now.since(then).written;
    println!(
        "wrote {} {} {load} {} {} {} {} {}",
        disk.sectors,
        disk.versions,
        since(disk.guest()?, guest),
        since(disk.base()?, base),
        since(disk.stores()?, stores),
        disk.space()? - space,
        took.as_nanos()
    );
    Ok(())
}
