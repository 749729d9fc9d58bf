//! Measures what templates, their versions and their AppVMs cost on the file system of a directory, and what the plain
//! protocol of clones costs on the same images.
//!
//! `versions volumes DIR ROUNDS [SHAPE…]`, `versions many DIR ROUNDS EBBTIDE`, `versions calls DIR`. What is found goes out as lines
//! of words that `cargo xtask bench host` reads: `extents SHAPE NUMBER`, `took WHO SHAPE NANOSECONDS WHAT…`. It fills DIR
//! and cleans nothing up.

mod calls;
mod image;
mod many;
mod ours;
mod plain;
mod shape;
mod turns;
mod volumes;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Whatever ends a measurement.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["volumes", dir, rounds, shapes @ ..] => {
            number(rounds).and_then(|n| volumes::measure(Path::new(dir), n, shapes))
        }
        ["many", dir, rounds, ebbtide] => {
            number(rounds).and_then(|n| many::measure(Path::new(dir), n, &PathBuf::from(ebbtide)))
        }
        ["calls", dir] => calls::run(Path::new(dir)),
        // Cargo starts every benchmark with `--bench`; this one needs a file system of its own.
        _ => Err("wanted volumes DIR ROUNDS [SHAPE…], many DIR ROUNDS EBBTIDE, or calls DIR; \
                  `cargo xtask bench host` says it right"
            .into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("versions: {error}");
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
