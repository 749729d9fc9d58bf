//! Memory for a device of 16 TiB.

use crate::{Result, case::Case, data, memory, random::Random};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    process::Command,
};

/// The largest device that is promised.
const SIZE: u64 = 16 << 40;
/// Pieces of the COW file of user-mode Linux, and how long each is.
const PIECES: u64 = 6000;
const PIECE: u64 = 32 << 10;
const BLOCK: u64 = 4096;
/// Exceptions of the store: more than are kept in memory at once, of the smallest chunks.
const EXCEPTIONS: u64 = 3 << 20;
const CHUNK: u64 = 512;

/// Measures in `dir` and says `memory BYTES WHAT…`.
pub(crate) fn measure(dir: &Path, ebbtide: &Path) -> Result<()> {
    let dir = dir.join("large");
    fs::create_dir(&dir)?;
    let (backing, uml, out) = (dir.join("backing.img"), dir.join("cow.uml"), dir.join("out.img"));
    File::create_new(&backing)?.set_len(SIZE)?;
    let mut random = Random(0x6c61_7267);
    let part = SIZE / PIECES / BLOCK;
    let begin = |at: u64, random: &mut Random| (at * part + random.below(part - 8)) * BLOCK;
    let begins: Vec<u64> = (0..PIECES).map(|at| begin(at, &mut random)).collect();
    let pieces = begins.into_iter().map(|begin| begin..begin + PIECE).collect();
    data::uml::make(&uml, &Case::new("large", SIZE, pieces, &mut random), &backing)?;

    let cow = |words: &[&str]| {
        let mut command = Command::new(ebbtide);
        command.arg("cow").args(words);
        command
    };
    say("info", cow(&["info"]).arg(&uml))?;
    say("new file", cow(&["merge"]).arg(&uml).arg(&out))?;
    say("in place, cloning", cow(&["merge", "--in-place"]).arg(&uml))?;
    fs::remove_file(dir.join("backing.img.ebbtide-merge"))?;
    say("in place, copying", cow(&["merge", "--in-place", "--copy"]).arg(&uml))?;

    let store = dir.join("cow.store");
    scattered_store(&store)?;
    let mut info = cow(&["info", "--backing"]);
    say("info of a store of 3 Mi chunks", info.arg(&backing).arg(&store))?;
    let mut merge = cow(&["merge", "--in-place", "--force", "--backing"]);
    say("in place, a store of 3 Mi chunks", merge.arg(&backing).arg(&store))
}

fn say(what: &str, command: &Command) -> Result<()> {
    println!("memory {} {what}", memory::taken(command)?);
    Ok(())
}

/// Writes a store whose chunks are beside each other in the device and nowhere in the store; their content is holes.
fn scattered_store(path: &Path) -> Result<()> {
    let file = File::create_new(path)?;
    let per_area = CHUNK / 16;
    file.set_len((2 + EXCEPTIONS + EXCEPTIONS / per_area) * CHUNK)?;
    file.write_all_at(&data::store::header(CHUNK)?, 0)?;
    // An odd factor leads to every number below a power of two once.
    let all = EXCEPTIONS.next_power_of_two();
    let olds = (0..all).map(|n| n.wrapping_mul(0x9e37_79b1) % all);
    let olds: Vec<u64> = olds.take(usize::try_from(EXCEPTIONS)?).collect();
    for (area, olds) in (0..).zip(olds.chunks(usize::try_from(per_area)?)) {
        let first = 1 + area * (per_area + 1);
        let words = (first + 1..).zip(olds).flat_map(|(new, old)| [*old, new]);
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        file.write_all_at(&bytes, first * CHUNK)?;
    }
    Ok(file.sync_all()?)
}
