//! `cargo xtask bench`: a question flows in, tables of measured numbers flow out.
//!
//! Every time is a median over many starts of a machine or many rounds, contestants in turn, so that whatever else the host
//! does hits all of them alike. Under emulation only ratios mean something; counts are exact.

mod anatomy;
mod boot;
mod chunk;
mod cow;
mod disposables;
mod dm;
mod guest;
mod host;
mod mounts;
mod programs;
mod report;
mod root;
mod sample;
mod size;
mod snapshots;
mod steps;
mod symbols;
mod syscalls;

use std::path::PathBuf;

use crate::failure::{Failure, Result};
use crate::workspace;

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut which = None;
    let mut rounds = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => {
                let text = args.next().map_or("", String::as_str);
                let number = text.parse().ok().filter(|rounds| *rounds > 0);
                let wrong = || {
                    Failure::usage(format!("bench: --rounds wants a number above 0, not `{text}`"))
                };
                rounds = Some(number.ok_or_else(wrong)?);
            }
            name if which.is_none() && !name.starts_with('-') => which = Some(name),
            other => return Err(Failure::usage(format!("bench: unknown argument {other}"))),
        }
    }
    match which.unwrap_or("all") {
        "root" => root::main(rounds),
        "boot" => boot::main(rounds),
        "size" => size::main(),
        "chunk" => chunk::main(rounds),
        "mounts" => mounts::main(rounds),
        "host" => host::main(rounds),
        "cow" => cow::main(rounds),
        "snapshots" => snapshots::main(rounds),
        "dm" => dm::main(rounds),
        "disposables" => disposables::main(rounds),
        "all" => {
            size::main()?;
            root::main(rounds)?;
            boot::main(rounds)?;
            mounts::main(rounds)?;
            host::main(rounds)?;
            cow::main(rounds)?;
            snapshots::main(rounds)?;
            dm::main(rounds)?;
            disposables::main(rounds)?;
            chunk::main(rounds)
        }
        other => Err(Failure::usage(format!("bench: there is no benchmark `{other}`"))),
    }
}

/// Returns the folder of results and of what is made for them.
fn folder() -> PathBuf {
    workspace::root().join("target/bench")
}

/// Returns the folder of workloads and peers.
fn sources() -> PathBuf {
    workspace::root().join("benches")
}
