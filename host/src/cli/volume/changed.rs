//! `ebbtide volume changed`.

use super::content::Content;
use crate::cli::{Context, human, out, progress::Bar, table::Table, value};
use ebbtide::{Error, Result, pool::store::Progress, volume::changed::changed};
use ebbtide_format::units::Bytes;
use serde::Serialize;
use std::{fs::File, ops::Range};

/// List the blocks in which two versions or images differ
///
/// Each is VM:VOL for the current version, VM:VOL@REV or VM:VOL@LABEL for a kept one, VM:VOL@dirty for what is
/// uncommitted, or the path of an image. What both share on the disk is not read.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The one
    #[arg(value_name = "A", value_parser = one)]
    one: Content,
    /// The other
    #[arg(value_name = "B", value_parser = one)]
    other: Content,
}

fn one(text: &str) -> Result<Content, String> {
    text.parse().map_err(value::said)
}

/// The changed blocks; all in bytes.
#[derive(Debug, Serialize)]
struct Changed {
    size: u64,
    changed: u64,
    ranges: Vec<RangeShown>,
}

/// A range of bytes.
#[derive(Debug, Serialize)]
struct RangeShown {
    start: u64,
    length: u64,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let (one, other) = (options.one.open(context)?, options.other.open(context)?);
    let mut bar = Bar::new("compare");
    let ranges = changed(&one, &other, |done, whole| bar.bytes(Bytes(done), Bytes(whole)));
    drop(bar);
    let doing = || format!("compare {} and {}", options.one, options.other);
    let ranges = ranges.map_err(Error::doing(doing()))?;
    let size = |file: &File| file.metadata().map(|found| found.len());
    let sizes = size(&one).and_then(|one| Ok(one.max(size(&other)?)));
    let found = Changed {
        size: sizes.map_err(Error::doing(doing()))?,
        changed: ranges.iter().map(|range| range.end - range.start).sum(),
        ranges: ranges.into_iter().map(show).collect(),
    };
    if context.json { out::json(&found) } else { out::text(&text(&found)) }
}

fn show(range: Range<u64>) -> RangeShown {
    RangeShown { start: range.start, length: range.end - range.start }
}

fn text(found: &Changed) -> String {
    let mut table = Table::new(["START", "LENGTH"]);
    for range in &found.ranges {
        table.row([range.start.to_string(), range.length.to_string()]);
    }
    let (changed, size) = (human::size(Bytes(found.changed)), human::size(Bytes(found.size)));
    table.text() + &format!("{changed} of {size} differ\n")
}
