//! `ebbtide block remove`.

use super::target::{By, Target, open};
use crate::cli::{Context, background, outcome, value};
use ebbtide::{
    Result,
    pool::driver::Ending,
    vm::{Detached, detach},
};

/// Detach a disk that `block add` attached
///
/// The last disk of a VM that goes ends its run: what a domain that has shut down wrote is committed, what another one wrote
/// is kept uncommitted, and one that was saved keeps all its disks until it comes back.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The disk; else that which XENBUS_PATH leads to
    #[arg(value_name = "/POOL/VM:VOL", value_parser = |text: &str| text.parse::<Target>().map_err(value::said))]
    target: Option<Target>,
    /// Who had it attached
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// It did not end as it should: keep what it wrote uncommitted, for its next start
    #[arg(long)]
    keep: bool,
    /// Drop what it wrote
    #[arg(long, conflicts_with = "keep")]
    discard: bool,
}

pub(super) fn run(context: &Context, options: &Options) -> Result<()> {
    let by = By::of(options.by.as_deref().or(options.target.as_ref().map(|_| "hand")));
    let target = by.target(options.target.as_ref())?;
    let pool = open(&target.pool)?;
    let ending = match (options.discard, options.keep, &by) {
        (true, ..) => Some(Ending::Discard),
        (false, true, _) => Some(Ending::Keep),
        (false, false, By::Xen(backend)) => backend.left().ending(),
        (false, false, By::Other(_)) => Some(Ending::Commit),
    };
    match detach(&pool, &target.volume, &by.to_string(), ending)? {
        Detached::Released(outcomes) => {
            background::precache(&pool, &target.volume.vm);
            outcome::print(context, &outcomes)
        }
        Detached::Already | Detached::Disk => Ok(()),
    }
}
