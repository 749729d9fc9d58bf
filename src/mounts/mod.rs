//! `ebbtide-init mounts`: what is kept, mounted where it belongs.
//!
//! In: a machine whose root is mounted. Out: the private disk at its place, filled and bound, and the
//! modules disk. What fails is named in the log and counted; the rest is done, for a boot without
//! `/home` is better than none.

mod attach;
mod binds;
mod check;
mod declarations;
mod format;
mod grow;
mod job;
mod look;
mod modules_disk;
mod populate;
mod private;
mod program;
mod record;
mod site;
mod sources;
mod tally;
mod volume;

pub(crate) use site::Site;
pub(crate) use tally::Tally;
pub(crate) use volume::Volume;

use crate::{failure::Failure, kernel, observe, root::Root};
use ebbtide_init::{options::Options, step::Marker};
use std::{io, path::Path};

/// Mounts everything below `root`, where the root is mounted. A second run does nothing.
///
/// # Errors
/// When the machine cannot be looked at, or a part of the work failed; the log says which.
pub(crate) fn set_up(options: &Options, root: &Path) -> Result<(), Failure> {
    let machine = Root::at("/");
    if !options.wanted || machine.has(Marker::Mounts.to_string().trim_start_matches('/')) {
        log::info!("mounts: nothing to do");
        return Ok(());
    }
    let observed = observe::observe(&machine, options)?;
    let site = Site::at(root, &observed)?;
    let mut tally = Tally::default();
    if let Some(volume) = private::set_up(options, &observed, &site, &mut tally) {
        populate::first_boot(options, &site, &volume, &mut tally);
        binds::set_up(options, &site, &volume, &mut tally);
    }
    modules_disk::set_up(options, &observed, &site, &mut tally);
    site.leave();
    kernel::mark(&Marker::Mounts)?;
    match tally.failed() {
        0 => Ok(()),
        failed => {
            let text = format!("mounts: {failed} of the mounts failed; the reasons are above");
            Err(io::Error::other(text).into())
        }
    }
}
