//! `ebbtide-init watch`: looks at the store now and then, tells people, and enlarges it.
//!
//! In: a timer, and the kernel's uevents, of which one tells that a disk has another size. Out: lines
//! in the journal and on terminals; a larger partition. One process, which sleeps between looks.

mod growth;
mod terminals;

use crate::{
    events::Events,
    failure::Failure,
    root::Root,
    store::{self, Found},
};
use ebbtide_init::{mountinfo, options::Options, usage::Told, warning::Warning};
use growth::Growth;
use std::time::{Duration, Instant};

/// Device-mapper tells nobody that a store fills up, so it is asked. At 100 MB a second 10 s are 1 GB.
const INTERVAL: Duration = Duration::from_secs(10);

/// Watches until it is ended.
///
/// # Errors
/// When there is no mapped root, or it goes away.
pub(crate) fn run(root: &Root, options: &Options) -> Result<(), Failure> {
    if !options.wanted {
        log::info!("nothing to watch: root= on the kernel command line does not name dmroot");
        return Ok(());
    }
    let store = match store::find(root)? {
        Found::Snapshot(store) => store,
        Found::Writable(device) => {
            log::info!("nothing to watch: root {device} is writable and has no store");
            return Ok(());
        }
    };
    // Before the first look: a disk that grows between the two is not missed.
    let events = Events::of_disks();
    let mut growth = Growth::find(root, &store)?;
    let mut told = Told::default();
    loop {
        let next = Instant::now() + INTERVAL;
        if let Some(growth) = &mut growth {
            growth.look(root, &store);
        }
        let usage = store.look()?;
        if let Some(alarm) = told.look(&usage) {
            let mounts = root.read("proc/self/mountinfo")?;
            let kept = mountinfo::at(&mounts, &options.rw).filter(|mount| !mount.fs_read_only);
            let kept = kept.as_ref().map(|mount| mount.place.as_str());
            tell(root, &Warning { alarm, usage: &usage, kept });
        }
        events.wait(next)?;
    }
}

fn tell(root: &Root, warning: &Warning<'_>) {
    let text = warning.to_string();
    if warning.is_urgent() {
        log::error!("{text}");
    } else {
        log::warn!("{text}");
    }
    terminals::tell(root, &text);
}
