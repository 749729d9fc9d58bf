//! `ebbtide snapshot tree`.

mod dot;
mod forest;
mod svg;
mod text;

use super::shown::Family;
use crate::cli::{Context, out, shown::unreadable};
use ebbtide::{
    Result, VmName,
    vm::{snapshots, snapshots_of},
};
use forest::Forest;

/// Draw the snapshots of a VM as the tree that they are, and where the VM is in it
///
/// A snapshot is below the one that the disks had begun with. `* now` is the VM as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template; of one that is gone, the name that it had, or its UUID
    #[arg(value_name = "VM")]
    name: VmName,
    /// Print a graph for Graphviz's dot
    #[arg(long, conflicts_with = "json")]
    dot: bool,
    /// Print a picture as SVG
    #[arg(long, conflicts_with_all = ["json", "dot"])]
    svg: bool,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let (all, refused) = snapshots(&pool)?;
    let whose = snapshots_of(&pool, &all, &options.name)?;
    if context.json {
        out::json(&Family::of(&pool, &all)?.vm(&whose)?)?;
    } else {
        let forest = Forest::new(&all, &whose);
        out::text(&match (options.dot, options.svg) {
            (true, _) => dot::draw(&forest),
            (_, true) => svg::draw(&forest),
            _ => text::draw(&forest),
        })?;
    }
    unreadable(refused)
}
