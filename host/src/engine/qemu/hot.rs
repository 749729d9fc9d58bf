//! Hot savestates: a clone of a VM is started, runs until it is as somebody would want to find it, and is kept as it is then.

use super::{
    client::hot_savestate,
    fit,
    news::News,
    start::{Watch, start},
    stop::{Stop, stop},
    told,
};
use crate::{
    engine::machine,
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, store::Wait},
    vm::{
        self, Instance, Run, Status, Vm,
        record::Hot,
        savestate::{self, HOT_LOCK, Savestate},
    },
};
use qemu::{Agent, Deadline};
use std::{io, process::Command, time::Duration};

/// How long a guest may take until its agent answers.
const BOOT: Duration = Duration::from_secs(600);
/// How often it is looked whether a machine that is waited for is still there, and wanted.
const OFTEN: Duration = Duration::from_millis(500);
/// How long a machine may take to end by force.
const END: Duration = Duration::from_secs(10);
/// How often a savestate is made when there are new versions by the time it is there.
const MOST: u32 = 5;

/// Whether a hot savestate is made that is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Only when there is none of the VM's current versions.
    Stale,
    /// In any case, once.
    Any,
}

/// Makes the hot savestate of a VM, and again when the VM or its template has new versions by then. `supervisor` returns the
/// program that runs a clone of the VM named. Returns `None` when it is not needed, or somebody makes it already.
///
/// # Errors
/// The pool can have none; it is not known when to take it; the clone does not start, or ends too early; and as for
/// [`super::savestate`].
pub fn refresh(
    pool: &Pool,
    name: &VmName,
    need: Need,
    supervisor: &dyn Fn(&VmName) -> Result<Command>,
) -> Result<Option<Savestate>> {
    savestate::check(pool, &pool.vm(name)?)?;
    let mut made = None;
    // Who finds the lock taken relies on whoever has it to look once more after it was let go.
    while is_needed(pool, name, need, made.as_ref())? {
        let vm = pool.vm(name)?;
        let file = vm.dir.join(HOT_LOCK);
        let _lock = match pool.store().lock(&file, Wait::Briefly) {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                return Ok(made);
            }
            lock => lock.map_err(Error::doing(format!("lock {}", file.display())))?,
        };
        end_leftovers(pool, &vm)?;
        for _ in 0..MOST {
            if !is_needed(pool, name, need, made.as_ref())? {
                break;
            }
            made = make(pool, &pool.vm(name)?, supervisor)?.or(made);
        }
        if is_stale(pool, &pool.vm(name)?)? {
            log::warn!(
                "{name} has new versions again and again; its hot savestate is of older ones"
            );
            return Ok(made);
        }
    }
    Ok(made)
}

fn is_needed(pool: &Pool, name: &VmName, need: Need, made: Option<&Savestate>) -> Result<bool> {
    Ok((need == Need::Any && made.is_none()) || is_stale(pool, &pool.vm(name)?)?)
}

/// Returns whether a VM is one of which a hot savestate is made, and there is none that a start of it would be like now: of its
/// current versions, with the settings that it and its template have.
///
/// # Errors
/// The savestates cannot be listed, or a file cannot be looked at.
pub(super) fn is_stale(pool: &Pool, vm: &Vm) -> Result<bool> {
    if vm.record.ahead().hot.is_none() {
        return Ok(false);
    }
    let Some(hot) = savestate::hot_of(pool, vm)? else { return Ok(true) };
    Ok(!hot.memory.machine.contains(&fit::boots(&machine::boot(pool, vm)?)))
}

/// Makes the hot savestate of a VM once, and removes the one before it. `None` when it is to be another one by now, or none.
fn make(
    pool: &Pool,
    vm: &Vm,
    supervisor: &dyn Fn(&VmName) -> Result<Command>,
) -> Result<Option<Savestate>> {
    let hot = vm.record.ahead.hot.ok_or_else(|| never(&vm.name))?;
    let said = &mut |sentence: &str| log::info!("{sentence}");
    let ready = start(pool, &vm.name, supervisor(&vm.name)?, said)?;
    let seed = ready.name().clone();
    let watch = ready.go()?;
    let Status::Running(run) = vm::status(pool, &pool.vm(&seed)?)? else {
        return Err(too_early(&seed).into());
    };
    let mut seed = Seed { pool, of: &vm.name, hot, name: seed, run, watch };
    let taken = match seed.wait() {
        Ok(true) => hot_savestate(&seed.name, &seed.run, &vm.name).map(Some),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    let ended = stop(&seed.name, &seed.run, Stop { discard: true, force: true, limit: END });
    let Some(taken) = taken? else { return ended.map(|_| None) };
    let savestate = savestate::find(pool, &taken.to_string())?;
    savestate::replace_hot(pool, &savestate)?;
    // Whoever wants none any more removes what is there, and may have come before this one was.
    if pool.vm(&vm.name)?.record.ahead.hot.is_none() {
        savestate::remove(pool, &savestate)?;
        return Err(never(&vm.name).into());
    }
    ended.map(|_| Some(savestate))
}

/// A clone of a VM that runs until a hot savestate is taken of it.
struct Seed<'a> {
    pool: &'a Pool,
    of: &'a VmName,
    /// When it is to be taken.
    hot: Hot,
    name: VmName,
    run: Run,
    watch: Watch,
}

impl Seed<'_> {
    /// Waits until it is one that a hot savestate is to be taken of. `false` when nobody wants that any more.
    fn wait(&mut self) -> Result<bool> {
        match self.hot {
            Hot::After(time) => {
                let deadline = Deadline::exactly(Duration::try_from(time).unwrap_or_default());
                while deadline.left().is_some() {
                    if !self.is_wanted(deadline.but_at_most(OFTEN))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Hot::Agent => {
                let socket = super::client::socket(&self.run, "agent")?;
                let mut agent = Agent::connect(socket).map_err(told)?;
                let deadline = Deadline::after(BOOT);
                while agent.wait(deadline.but_at_most(OFTEN)).is_err() {
                    if !self.is_wanted(Deadline::exactly(Duration::ZERO))? {
                        return Ok(false);
                    }
                    if deadline.left().is_none() {
                        return Err(no_agent(self.of, deadline.waited()).into());
                    }
                }
                Ok(true)
            }
        }
    }

    /// Returns at the deadline whether it is wanted still, unless it has ended by then.
    fn is_wanted(&mut self, deadline: Deadline) -> Result<bool> {
        while self.watch.heard.wait(deadline) {
            match self.watch.heard.next() {
                Some(News::Ended(_)) | None => return Err(too_early(&self.name).into()),
                Some(_) => {}
            }
            if deadline.left().is_none() {
                break;
            }
        }
        Ok(self.pool.vm(self.of)?.record.ahead.hot == Some(self.hot))
    }
}

/// Ends what somebody who was cut off has started for a hot savestate of a VM. The caller has the lock for that.
fn end_leftovers(pool: &Pool, vm: &Vm) -> Result<()> {
    let is_seed = |other: &Vm| {
        other.record.base.as_ref() == Some(&vm.name)
            && other.record.flags.instance == Some(Instance::Seed)
    };
    for seed in pool.vms()?.vms.iter().filter(|other| is_seed(other)) {
        if let Status::Running(run) = vm::status(pool, seed)? {
            log::info!("{} was left running, and is ended", seed.name);
            stop(&seed.name, &run, Stop { discard: true, force: true, limit: END })?;
        }
    }
    Ok(())
}

fn too_early(seed: &VmName) -> Refusal {
    let text = format!("{seed} has ended before a savestate could be taken of it");
    Refusal::new(RefusalKind::Unable, text)
}

fn no_agent(name: &VmName, waited: Duration) -> Refusal {
    let text = format!(
        "no agent has answered in a machine of {name} within {} s, and its hot savestate is taken when one does",
        waited.as_secs()
    );
    Refusal::new(RefusalKind::Unable, text).hint(format!(
        "qemu-guest-agent in the guest is one; 'ebbtide vm set {name} hot=30s' needs none"
    ))
}

fn never(name: &VmName) -> Refusal {
    let text = format!("{name} does not say when its hot savestate is to be taken");
    Refusal::new(RefusalKind::Rule, text).hint(format!(
        "'ebbtide vm set {name} hot=agent' takes it when the guest's agent answers, hot=30s after that time"
    ))
}
