//! Many AppVMs on one version: what they have in common, in the kernel's memory.

use super::{
    Result,
    around::{app, name, template},
    counters::{devices, memory},
};
use ebbtide::{
    name::VolumeName,
    pool::{
        Pool,
        driver::{Access, Ending, Volume},
    },
};
use ebbtide_format::units::Bytes;
use std::{fs, fs::File, io::Read as _, path::Path};

/// Length of the root: large enough to be told from noise.
const ROOT: Bytes = Bytes::mib(128);
/// The template.
const TEMPLATE: &str = "wide";
/// How many read all of it.
const READERS: usize = 4;

/// Says `memory WHEN AVAILABLE CACHED BUFFERS SLAB LOOPS DEVICES`, in KiB, without, with one and with `count` AppVMs.
pub(crate) fn measure(dir: &Path, count: usize) -> Result<()> {
    let pool = Pool::open(dir)?;
    template(&pool, TEMPLATE, ROOT)?;
    let mut roots: Vec<Volume> = Vec::new();
    for at in 0..count {
        let vm = format!("wide-{}", name(at)?).parse()?;
        app(&pool, &vm, TEMPLATE)?;
        roots.push(pool.vm(&vm)?.volume(&pool, &VolumeName::root())?);
    }
    say("without")?;
    let mut disks = Vec::new();
    for (at, root) in roots.iter().enumerate() {
        disks.push(pool.driver().start(root, Access::Shared)?.path);
        if at == 0 {
            say("one")?;
        }
    }
    say("many")?;
    for (at, disk) in disks.iter().step_by(disks.len().div_ceil(READERS)).enumerate() {
        read(disk)?;
        print("read", at + 1)?;
    }
    for root in &roots {
        pool.driver().stop(root, Ending::Discard)?;
    }
    say("stopped")
}

/// Reads a disk from one end to the other by way of the page cache.
fn read(disk: &Path) -> Result<()> {
    let (mut file, mut piece) = (File::open(disk)?, vec![0; 1 << 20]);
    while file.read(&mut piece)? > 0 {}
    Ok(())
}

/// Says it when nothing is cached that need not be.
pub(crate) fn say(when: &str) -> Result<()> {
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    print(when, 0)
}

fn print(when: &str, number: usize) -> Result<()> {
    let all = ["MemAvailable", "Cached", "Buffers", "Slab"];
    let all: Vec<String> =
        all.iter().map(|what| Ok(memory(what)?.to_string())).collect::<Result<_>>()?;
    let when = if number == 0 { when.to_owned() } else { format!("{when}-{number}") };
    println!("memory {when} {} {} {}", all.join(" "), devices("loop")?, devices("dm-")?);
    Ok(())
}
