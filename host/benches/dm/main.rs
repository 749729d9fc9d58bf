//! Measures a pool of driver dm with the device-mapper of the machine that it runs in.
//!
//! `dm around DIR COUNT`, `dm turns DIR COUNT ROUND EBBTIDE PEER`, `dm calls DIR COUNT WHO EBBTIDE PEER`,
//! `dm writes DIR SECTORS STORES`, `dm memory DIR COUNT`. What is found goes out as lines of words that
//! `cargo xtask bench dm` reads. It is root there, and DIR is on a file system of its own.

mod around;
mod calls;
mod contestants;
mod counters;
mod memory;
mod turns;
mod writes;

use std::{error::Error, path::Path, process::ExitCode};

/// Whatever ends a measurement.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("dm: {error}");
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

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["around", dir, count] => around::make(Path::new(dir), number(count)?),
        ["turns", dir, count, round, ebbtide, peer] => {
            turns::measure(Path::new(dir), number(count)?, number(round)?, ebbtide, peer)
        }
        ["calls", dir, count, who, ebbtide, peer] => {
            calls::run(Path::new(dir), number(count)?, who, ebbtide, peer)
        }
        ["writes", dir, sectors, stores] => {
            writes::measure(Path::new(dir), number(sectors)?, number(stores)?)
        }
        ["memory", dir, count] => memory::measure(Path::new(dir), number(count)?),
        // Cargo starts every benchmark with `--bench`; this one needs a machine of its own.
        _ => Err(
            "wanted around, turns, calls, writes or memory; `cargo xtask bench dm` says it right"
                .into(),
        ),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| format!("{text:?} is no number").into())
}
