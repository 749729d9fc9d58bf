//! `ebbtide volume discard`.

use crate::cli::{Context, context::said, out, value};
use ebbtide::{Result, name::VolumeId, vm::discard};
use serde::Serialize;

/// Drop what a cut-off VM left uncommitted on a disk
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk
    #[arg(value_name = "VM:VOL", value_parser = value::volume)]
    volume: VolumeId,
}

/// Whether there was anything.
#[derive(Debug, Serialize)]
struct Discarded {
    volume: String,
    discarded: bool,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let id = &options.volume;
    let (sentences, dropped) = discard(&context.open()?, &id.vm, Some(&id.volume))?;
    said(&sentences);
    let discarded = dropped.contains(id);
    if context.json {
        return out::json(&Discarded { volume: id.to_string(), discarded });
    }
    out::line(&if discarded {
        format!("{id}: what was uncommitted is dropped")
    } else {
        format!("{id}: nothing was uncommitted")
    })
}
