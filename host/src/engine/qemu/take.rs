//! A running machine stands still for a moment, in which an instant of it is taken.

use super::{begin::LIMIT, fit, freeze::Frozen, nic, told};
use crate::{
    engine::machine::Machine,
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, store::Unseen},
    vm::{
        self, Guard, Memory, Still,
        savestate::{self, Of},
    },
};
use qemu::{Accelerator, Deadline, Monitor};
use serde_json::json;
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long a guest may take to give up its network card: it needs some hundredths of a second, unless it still boots.
const UNPLUG: Duration = Duration::from_secs(10);

/// A machine that runs, and of which an instant is taken.
#[derive(Debug)]
pub(super) struct Take<'a> {
    pub(super) pool: &'a Pool,
    pub(super) guard: &'a Guard,
    pub(super) monitor: &'a Monitor,
    pub(super) machine: &'a Machine,
    pub(super) accelerator: Accelerator,
    /// The socket of the guest's agent, where there is one.
    pub(super) agent: Option<PathBuf>,
}

impl Take<'_> {
    /// Takes a snapshot, and returns its UUID. What is to be said on the way is said by `say`.
    pub(super) fn snapshot(
        &self,
        label: Option<&str>,
        with_memory: bool,
        say: &mut dyn FnMut(String),
    ) -> Result<Uuid> {
        let mut taking = vm::Taking::begin(self.pool, self.guard, label, with_memory)?;
        let held = match with_memory {
            true => self.with_memory(|still| taking.hold(self.pool, Some(still), &mut Unseen)),
            false => self.disks_alone(say, || taking.hold(self.pool, None, &mut Unseen)),
        };
        match held {
            Ok(()) => Ok(taking.finish(self.pool)?.uuid),
            Err(error) => {
                taking.discard(self.pool);
                Err(error)
            }
        }
    }

    /// Takes a savestate, a hot one for the VM `hot` if there is one, and returns its UUID.
    pub(super) fn savestate(&self, hot: Option<&VmName>) -> Result<Uuid> {
        let owner = hot.map(|name| self.pool.vm(name)).transpose()?;
        let of = owner.as_ref().map_or(Of::Itself, Of::Hot);
        let mut taking = savestate::Taking::begin(self.pool, self.guard, of)?;
        match self.with_memory(|still| taking.hold(self.pool, still)) {
            Ok(()) => Ok(taking.finish(self.pool)?.uuid),
            Err(error) => {
                taking.discard(self.pool);
                Err(error)
            }
        }
    }

    /// Has the machine stand still without a network card, and go on with one.
    fn with_memory(&self, hold: impl FnOnce(&mut dyn Still) -> Result<()>) -> Result<()> {
        if nic::device(self.machine).is_some() {
            let unplugged = self.monitor.unplug(nic::NIC, Deadline::after(UNPLUG));
            unplugged.map_err(|error| self.keeps_its_card(&told(error)))?;
        }
        let held = self.paused(|| {
            let mut memory = Paused(self);
            hold(&mut memory)
        });
        let plugged = plug_again(self.monitor, self.machine);
        held.and(plugged)
    }

    /// Has the machine stand still with its file systems written out, where the guest has an agent. A memory has what is not
    /// written, and one in which the guest waits would wait for ever.
    fn disks_alone(
        &self,
        say: &mut dyn FnMut(String),
        hold: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let frozen = self.agent.as_deref().and_then(|agent| Frozen::freeze(agent, say));
        let held = self.paused(hold);
        if let Some(frozen) = frozen {
            frozen.thaw();
        }
        held
    }

    /// Has the machine stand still, and go on whatever happens.
    fn paused(&self, hold: impl FnOnce() -> Result<()>) -> Result<()> {
        let since = Instant::now();
        let stopped = self.monitor.execute("stop", &json!({})).map(drop).map_err(told);
        let held = stopped.and_then(|()| hold());
        let goes_on = self.monitor.execute("cont", &json!({})).map(drop).map_err(told);
        log::info!(
            "{} stood still for {:.3} s",
            self.guard.vm().name,
            since.elapsed().as_secs_f64()
        );
        held.and(goes_on)
    }

    fn keeps_its_card(&self, error: &Error) -> Error {
        let name = &self.guard.vm().name;
        let text = format!("the memory of {name} cannot be saved: {}", error.chain());
        let hint =
            "a guest that has booted, and loaded acpiphp or pciehp, gives up its network card";
        Refusal::new(RefusalKind::Unable, text).hint(hint).into()
    }
}

/// Gives a machine its network card, where it should have one and has none.
pub(super) fn plug_again(monitor: &Monitor, machine: &Machine) -> Result<()> {
    let Some(card) = nic::device(machine) else { return Ok(()) };
    if monitor.has(nic::NIC).map_err(told)? {
        return Ok(());
    }
    monitor.plug(&card).map_err(told)
}

/// A machine that stands still.
struct Paused<'a>(&'a Take<'a>);

impl Still for Paused<'_> {
    fn save(&mut self, file: &Path) -> Result<Memory> {
        let Take { monitor, accelerator, .. } = self.0;
        // What a guest has in its memory is nobody's business.
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create_new(true).mode(0o600).open(file);
        let opened = opened.map_err(Error::doing(format!("make {}", file.display())))?;
        monitor.save(&opened, Deadline::after(LIMIT)).map_err(told)?;
        let mut machine = self.0.machine.clone();
        for disk in &mut machine.disks {
            // It may have grown since the start.
            if let Ok(found) = fs::metadata(&disk.path)
                && found.is_file()
            {
                disk.size.0 = found.len();
            }
        }
        let qemu = monitor.version().map_err(told)?;
        Ok(Memory { qemu, machine: fit::lines(&machine, *accelerator) })
    }
}
