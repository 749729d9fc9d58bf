//! A VM: its record, and its volumes through its life.
//!
//! Locks are taken in the order pool, VM, volume. A [`Guard`] is the lock of a VM: whoever changes its disks has one.

mod aside;
mod copy;
mod export;
mod flags;
mod guard;
mod hotplug;
mod image;
mod import;
mod instance;
pub mod instant;
mod life;
mod lineage;
mod list;
mod make;
pub mod record;
mod remove;
mod resize;
mod run;
pub mod savestate;
mod set;
mod settle;
mod snapshot;
mod status;
mod sweep;
mod versioning;
mod versions;
mod volatile;
mod volumes;

pub use copy::{clone, replace};
pub use export::export;
pub(crate) use guard::note;
pub use guard::{Allow, Guard};
pub use hotplug::{Detached, attach, detach};
pub use import::import;
pub use instance::{becomes_disposable, instance, instance_elsewhere};
pub use instant::{InstantDisk, Memory, Still, disk_uuid};
pub use life::{precache, prepare, release};
pub use lineage::{Lineage, Reference};
pub use list::{Listed, Listing, list, look};
pub use make::{NewTemplate, NewVm, RootSource, create, create_template};
pub use record::{Flags, Instance, Kind, Record, Versioned as HowVersioned};
pub use remove::{Removed, remove};
pub use resize::resize;
pub use run::{HOTPLUG, PREPARE, Run, boot_id, goes_on, write_run};
pub use set::{KEYS, set};
pub use snapshot::{
    NEVER_REVERTED, RemovedSnapshot, RevertedVm, Snapshot, Taking, Whose, clone_snapshot,
    find_snapshot, remove_snapshot, revert_vm, snapshot, snapshots, snapshots_of, vm_of,
};
pub(crate) use snapshot::{ancestry, read_unrelated};
pub(crate) use status::status_of_locked;
pub use status::{Status, status};
pub use sweep::{follow_up, sweep};
pub use versioning::make_version;
pub use versions::{
    Outcomes, Pick, Reverted, Versioned, Versions, commit, discard, pin, revert, unpin, versions,
};
pub use volumes::volatile_size;

use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, record as text, store::Lock},
};
use std::path::PathBuf;

/// A VM or a template: its record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// Its name, which is that of its directory.
    pub name: VmName,
    /// Its directory, relative to the pool.
    pub dir: PathBuf,
    /// What `vm.toml` says.
    pub record: Record,
}

impl Vm {
    /// Refuses to change the disks of one that is immutable.
    ///
    /// # Errors
    /// It is.
    pub fn changeable(&self) -> Result<(), Refusal> {
        if !self.record.flags.immutable {
            return Ok(());
        }
        let name = &self.name;
        let text = format!("{name} is immutable: its disks do not change");
        Err(Refusal::new(RefusalKind::Rule, text).hint(format!(
            "'ebbtide start {name}' starts a clone of it, 'ebbtide vm clone {name} NAME' makes one"
        )))
    }
}

/// Replaces the record of a VM. Durable. The pool is locked, so that nobody else writes it.
fn rewrite(pool: &Pool, vm: &Vm, _pool_is_locked: &Lock) -> Result<()> {
    text::replace(pool.store(), &vm.dir.join(record::FILE), vm.record.print()?)
}
