//! `ebbtide vm release`.

use crate::cli::{Context, background, context::take, outcome};
use ebbtide::{
    Result, VmName,
    pool::driver::Ending,
    vm::{Allow, release},
};

/// End what `vm prepare` began, and commit what the guest wrote
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
    /// Drop what it wrote
    #[arg(long)]
    discard: bool,
    /// It did not end as it should: keep what it wrote uncommitted, for its next start
    #[arg(long, conflicts_with = "discard")]
    keep: bool,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let ending = match (options.discard, options.keep) {
        (true, _) => Ending::Discard,
        (false, true) => Ending::Keep,
        (false, false) => Ending::Commit,
    };
    let guard = take(&pool, &options.name, "release", Allow::Prepared)?;
    let outcomes = release(&pool, &guard, ending)?;
    background::precache(&pool, &options.name);
    outcome::print(context, &outcomes)
}
