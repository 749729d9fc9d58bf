//! Measures what merges of COW files cost on the file system of a directory, and what they cost the tools of the field.
//!
//! `cow measure DIR ROUNDS EBBTIDE` takes times, `cow calls DIR TRACES EBBTIDE` leaves a trace of each merge, `cow large
//! DIR EBBTIDE` is memory for 16 TiB, `cow memory PROGRAM ARGS…` says how much memory one program took. What is found goes
//! out as lines of words that `cargo xtask bench cow` reads. It fills DIR and cleans nothing up but what it makes again.

mod calls;
mod case;
mod contestants;
mod data;
mod extents;
mod large;
mod limit;
mod memory;
mod place;
mod random;
mod rest;
mod rounds;
mod run;

use std::{error::Error, path::Path, process::ExitCode};

/// Whatever ends a measurement.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["measure", dir, rounds, ebbtide] => {
            number(rounds).and_then(|n| rounds::measure(Path::new(dir), n, Path::new(ebbtide)))
        }
        ["calls", dir, traces, ebbtide] => {
            calls::run(Path::new(dir), Path::new(traces), Path::new(ebbtide))
        }
        ["large", dir, ebbtide] => large::measure(Path::new(dir), Path::new(ebbtide)),
        ["memory", program, args @ ..] => memory::of(program, args),
        // Cargo starts every benchmark with `--bench`; this one needs a file system of its own.
        _ => Err(
            "wanted measure DIR ROUNDS EBBTIDE, calls DIR TRACES EBBTIDE, large DIR EBBTIDE, or \
                  memory PROGRAM ARGS…; `cargo xtask bench cow` says it right"
                .into(),
        ),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("cow: {error}");
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
