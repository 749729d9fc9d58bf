//! Measures what snapshots, clones and the way back cost on the file system of a directory.
//!
//! `snapshots sizes DIR ROUNDS`, `snapshots clones DIR`, `snapshots tree DIR ROUNDS EBBTIDE`. What is found goes out as
//! lines of words that `cargo xtask bench snapshots` reads: `extents SHAPE NUMBER`, `took ours SHAPE NANOSECONDS WHAT…`,
//! `bytes NUMBER WHAT…`. It fills DIR and cleans nothing up.

mod clones;
#[path = "../versions/image.rs"]
mod image;
#[path = "../versions/shape.rs"]
#[expect(dead_code, reason = "other shapes are measured here")]
mod shape;
mod sizes;
mod tree;
#[path = "../versions/turns.rs"]
#[expect(dead_code, reason = "nobody takes turns here")]
mod turns;

use ebbtide::{
    name::VmName,
    pool::{Create, Pool, store::Unseen},
    vm::{self, NewTemplate, RootSource},
};
use ebbtide_format::units::Bytes;
use std::{error::Error, path::Path, process::ExitCode};

/// Whatever ends a measurement.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["sizes", dir, rounds] => {
            number(rounds).and_then(|rounds| sizes::measure(Path::new(dir), rounds))
        }
        ["clones", dir] => clones::measure(Path::new(dir)),
        ["tree", dir, rounds, ebbtide] => number(rounds)
            .and_then(|rounds| tree::measure(Path::new(dir), rounds, Path::new(ebbtide))),
        // Cargo starts every benchmark with `--bench`; this one needs a file system of its own.
        _ => Err("wanted sizes DIR ROUNDS, clones DIR, or tree DIR ROUNDS EBBTIDE; \
                  `cargo xtask bench snapshots` says it right"
            .into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("snapshots: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| format!("{text:?} is no number of rounds").into())
}

/// Makes a pool in `dir`.
fn pool(dir: &Path) -> Result<Pool> {
    Ok(Pool::create(dir, &Create { keep: 2, ..Create::default() })?)
}

/// Makes a template whose root is `image`.
fn template(pool: &Pool, name: &str, image: &Path) -> Result<VmName> {
    let name: VmName = name.parse()?;
    let new =
        NewTemplate { private: Bytes(0), ..NewTemplate::new(RootSource::Image(image.into())) };
    vm::create_template(pool, &name, &new, &mut Unseen)?;
    Ok(name)
}
