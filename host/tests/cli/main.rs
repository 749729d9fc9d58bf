//! What the program prints: a test is a transcript, `cases/NAME.txt`.
//!
//! A line `$ COMMAND` is run by sh in an empty directory of the case, in which `ebbtide` is the program that is
//! shipped. What follows is standard output, then standard error with `! ` before each line, then `[exit N]` unless it
//! is 0. Lines that begin with `# ` are for readers. UUIDs, times, inodes and the directory are masked. With
//! `EBBTIDE_BLESS=1` the transcripts are written from what the program says: read the difference.
//!
//! Those in which machines run are in `../vm_cli`.

#[path = "../background/mod.rs"]
mod background;
#[path = "../../../tests/plan/diff.rs"]
mod diff;
mod mask;
mod script;
mod trials;

use script::Around;
use std::process::ExitCode;

fn main() -> ExitCode {
    let around = Around { can_run: || true, functions: "", end: |_| () };
    trials::run("tests/cli/cases", around)
}
