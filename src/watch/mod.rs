//! `ebbtide-init watch`: looks at the store now and then, tells people, and uses room that the host adds.
//!
//! In: a timer, and the kernel's uevents, of which one tells that a disk has another size. Out: lines
//! in the journal and on terminals; a larger partition, larger file systems. One process, which sleeps
//! between looks.

mod file_system;
mod growth;
mod terminals;

use crate::{
    events::Events,
    failure::Failure,
    root::Root,
    store::{self, Found, Store},
};
use ebbtide_init::{mountinfo, options::Options, usage::Told, warning::Warning};
use file_system::FileSystem;
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
    let found = store::find(root)?;
    // Before the first look: a disk that grows between the two is not missed.
    let events = Events::of_disks();
    let mut file_systems = vec![FileSystem::at(options.rw.clone())];
    let mut watched = match found {
        Found::Snapshot(store) => Some(Watched::new(root, store)?),
        Found::Writable(device) => {
            log::info!(
                "root {device} is writable, without a store: file systems alone are watched"
            );
            file_systems.push(FileSystem::at("/".into()));
            None
        }
    };
    let mut changed = true;
    loop {
        let next = Instant::now() + INTERVAL;
        if let Some(watched) = &mut watched {
            watched.look(root, options)?;
        }
        for file_system in &mut file_systems {
            if changed || file_system.has_failed() {
                file_system.look(root);
            }
        }
        changed = events.wait(next)?;
    }
}

/// The store of a root, and what has been told of it.
struct Watched {
    store: Store,
    growth: Option<Growth>,
    told: Told,
}

impl Watched {
    fn new(root: &Root, store: Store) -> Result<Self, Failure> {
        Ok(Self { growth: Growth::find(root, &store)?, store, told: Told::default() })
    }

    fn look(&mut self, root: &Root, options: &Options) -> Result<(), Failure> {
        if let Some(growth) = &mut self.growth {
            growth.look(root, &self.store);
        }
        let usage = self.store.look()?;
        if let Some(alarm) = self.told.look(&usage) {
            let mounts = root.read("proc/self/mountinfo")?;
            let kept = mountinfo::at(&mounts, &options.rw).filter(|mount| !mount.fs_read_only);
            let kept = kept.as_ref().map(|mount| mount.place.as_str());
            tell(root, &Warning { alarm, usage: &usage, kept });
        }
        Ok(())
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
