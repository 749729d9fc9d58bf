//! `ebbtide-init mounts`: what is kept, mounted where it belongs.
//!
//! In: a machine whose root is mounted. Out: the private disk at its place, filled and bound, and the
//! modules disk. What fails is named in the log and counted; the rest is done, for a boot without
//! `/home` is better than none. One run at a time: two would format, mount and bind over each other.

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

pub(crate) use grow::grow_mounted;
pub(crate) use site::Site;
pub(crate) use tally::Tally;
pub(crate) use volume::Volume;

use crate::{failure::Failure, kernel, observe, root::Root, root::named};
use ebbtide_init::{
    options::Options,
    step::{MARKERS, Marker},
};
use ebbtide_sys::lock;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Mounts everything below `root`, where the root is mounted. After a run in which nothing failed, a
/// second one does nothing.
///
/// # Errors
/// When the machine cannot be looked at, another run does not end, or a part of the work failed; the
/// log says which.
pub(crate) fn set_up(options: &Options, root: &Path) -> Result<(), Failure> {
    if !options.wanted {
        log::info!("mounts: nothing to do");
        return Ok(());
    }
    let _alone = lock(options.timeout)?;
    let machine = Root::at("/");
    let marker = Marker::Mounts.to_string();
    if machine.has(marker.trim_start_matches('/')) {
        let failed = machine.attribute(marker.trim_start_matches('/'))?;
        if failed.is_empty() {
            log::info!("mounts: nothing to do");
            return Ok(());
        }
        log::info!("mounts: {failed} failed in an earlier run; all is tried again");
    }
    let observed = observe::observe(&machine, options)?;
    let site = Site::at(root, &observed)?;
    let mut tally = Tally::default();
    // First: a bind from the private disk, whose content is hostile, could lead it elsewhere.
    modules_disk::set_up(options, &observed, &site, &mut tally);
    if let Some(volume) = private::set_up(options, &observed, &site, &mut tally) {
        populate::first_boot(options, &site, &volume, &mut tally);
        binds::set_up(options, &site, &volume, &mut tally);
    }
    site.leave();
    match tally.failed() {
        0 => Ok(kernel::mark(&Marker::Mounts)?),
        failed => {
            let text = format!("{failed}\n");
            fs::write(&marker, text).map_err(|error| named(Path::new(&marker), &error))?;
            let text = format!("mounts: {failed} of the mounts failed; the reasons are above");
            Err(io::Error::other(text).into())
        }
    }
}

/// Waits until no other run is at work. The lock ends with what is returned, and with this process:
/// no program that it runs inherits it.
fn lock(patience: Duration) -> io::Result<File> {
    kernel::make_folder(Path::new(MARKERS))?;
    let path: PathBuf = Path::new(MARKERS).join("mounts.lock");
    let file = File::create(&path).and_then(|file| lock::exclusive(&file, patience).map(|()| file));
    file.map_err(|error| named(&path, &error))
}
