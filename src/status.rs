//! `ebbtide-init status`: a look at a running machine.

use crate::{
    failure::Failure,
    root::Root,
    store::{self, Found},
};
use ebbtide_init::{
    mountinfo,
    options::Options,
    report::{self, BINDS, Report},
};

/// Looks at everything that is told.
///
/// # Errors
/// When the root is not there although the kernel command line names it, or may not be looked at.
pub(crate) fn look(root: &Root, options: &Options) -> Result<Report, Failure> {
    let state = if options.wanted { root_state(root)? } else { report::Root::Other };
    let mounts = root.read("proc/self/mountinfo")?;
    let private = mountinfo::at(&mounts, &options.rw).filter(|_| options.wanted);
    let record = root.read(BINDS.trim_start_matches('/'))?;
    let binds = report::binds(&record, &mounts, private.as_ref());
    Ok(Report { root: state, uptime: store::uptime(), private, binds })
}

fn root_state(root: &Root) -> Result<report::Root, Failure> {
    Ok(match store::find(root)? {
        Found::Writable(device) => report::Root::Writable { device },
        Found::Snapshot(store) => {
            report::Root::Snapshot { usage: store.look()?, encrypted: store.is_encrypted(root)? }
        }
    })
}
