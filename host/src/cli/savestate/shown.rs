//! A savestate as it is printed.

use crate::cli::human;
use ebbtide::{
    Result, VmName,
    pool::Pool,
    vm::savestate::{Kind, Savestate, is_current, size},
};
use ebbtide_format::units::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// A savestate.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    uuid: Uuid,
    vm: VmName,
    /// The VM, by its UUID.
    of: Uuid,
    kind: Kind,
    time: Timestamp,
    template: Option<VmName>,
    /// What the memory takes, in bytes.
    memory: u64,
    /// What the machine was.
    machine: Vec<String>,
    qemu: String,
    /// Whether the VM would be started on the same versions now; `null` when it is gone.
    is_current: Option<bool>,
}

impl Shown {
    /// Looks at a savestate.
    pub(crate) fn new(pool: &Pool, savestate: &Savestate) -> Result<Self> {
        let vm = pool.vm(&savestate.vm).ok().filter(|vm| vm.record.uuid == savestate.of);
        Ok(Self {
            uuid: savestate.uuid,
            vm: savestate.vm.clone(),
            of: savestate.of,
            kind: savestate.kind,
            time: savestate.time,
            template: savestate.template.clone(),
            memory: size(pool, savestate)?.0,
            machine: savestate.memory.machine.clone(),
            qemu: savestate.memory.qemu.clone(),
            is_current: vm.map(|vm| is_current(pool, &vm, savestate)).transpose()?,
        })
    }

    /// Returns the row of a table.
    pub(crate) fn row(&self) -> [String; 6] {
        let versions = match self.is_current {
            Some(true) => "current",
            Some(false) => "older",
            None => "of a VM that is gone",
        };
        [
            self.uuid.to_string(),
            self.vm.to_string(),
            self.kind.to_string(),
            human::time(self.time),
            human::size(Bytes(self.memory)),
            versions.into(),
        ]
    }
}
