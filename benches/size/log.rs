//! The tool with files, and the facade of a log.

use std::error::Error;
use std::io::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};

#[path = "files.rs"]
mod files;

struct Standard;

impl Log for Standard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let _ = writeln!(io::stderr(), "{}", record.args());
    }

    fn flush(&self) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    log::set_logger(&Standard).map_err(|error| error.to_string())?;
    log::set_max_level(LevelFilter::Info);
    log::info!("started with {} arguments", std::env::args().count());
    files::main()
}
