//! Whether the host's disks took all that a machine wrote.
//!
//! The kernel tells a write that failed to each opening of the file once, and to an opening that is newer than the
//! failure only while nobody has heard of it. QEMU may have heard, and the guest have gone on; so the images are opened
//! before QEMU starts, and asked by that opening.

use crate::{
    error::{Error, Result},
    pool::{Pool, driver::Ending},
    vm::Vm,
};
use std::fs::File;

/// The images of a machine that may become versions.
#[derive(Debug)]
pub(super) struct Written(Vec<(String, File)>);

impl Written {
    /// Opens the images of a VM that is prepared.
    pub(super) fn watch(pool: &Pool, vm: &Vm) -> Result<Self> {
        let volumes = vm.volumes(pool)?.into_iter().filter(|volume| volume.role.is_kept());
        let open = |volume: crate::pool::driver::Volume| {
            let path = pool.store().real(&volume.files.dirty());
            let file = File::open(&path).map_err(Error::doing(format!("open {}", path.display())));
            Ok((volume.id.to_string(), file?))
        };
        volumes.map(open).collect::<Result<_>>().map(Self)
    }

    /// Makes durable what is to be committed, and returns how the machine ends: with a disk that did not take all of it,
    /// nothing becomes a version.
    pub(super) fn confirm(&self, decided: (Ending, Option<String>)) -> (Ending, Option<String>) {
        if decided.0 != Ending::Commit {
            return decided;
        }
        for (volume, file) in &self.0 {
            if let Err(error) = file.sync_all() {
                let cut = format!("not all that was written to {volume} is on the disk: {error}");
                return (Ending::Keep, Some(cut));
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_did_not_take_is_no_version() {
        let taken = || ("work:root".into(), tempfile::tempfile().unwrap());
        // A device that cannot be synced.
        let failing = ("work:private".into(), File::open("/dev/null").unwrap());
        let clean = (Ending::Commit, None);
        assert_eq!(Written(vec![taken()]).confirm(clean.clone()), clean);
        let written = Written(vec![taken(), failing]);
        let (ending, cut) = written.confirm(clean);
        assert_eq!(ending, Ending::Keep);
        assert!(cut.unwrap().contains("work:private"));
        assert_eq!(written.confirm((Ending::Discard, None)), (Ending::Discard, None));
    }
}
