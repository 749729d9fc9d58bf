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
/// How often it is looked whether a machine is still there that is waited for.
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
/// The pool can have none; it is not known when to take it; the clone does not start, or ends too early; and as for [`super::savestate`].
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
            made = Some(make(pool, &pool.vm(name)?, supervisor)?);
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

/// Makes the hot savestate of a VM once, and removes the one before it.
fn make(
    pool: &Pool,
    vm: &Vm,
    supervisor: &dyn Fn(&VmName) -> Result<Command>,
) -> Result<Savestate> {
    let hot = vm.record.ahead.hot.ok_or_else(|| never(&vm.name))?;
    let said = &mut |sentence: &str| log::info!("{sentence}");
    let ready = start(pool, &vm.name, supervisor(&vm.name)?, said)?;
    let seed = ready.name().clone();
    let mut watch = ready.go()?;
    let Status::Running(run) = vm::status(pool, &pool.vm(&seed)?)? else {
        return Err(too_early(&seed).into());
    };
    let taken = wait(&seed, &run, &mut watch, hot).and_then(|()| hot_savestate(&run, &vm.name));
    let ended = stop(&seed, &run, Stop { discard: true, force: true, limit: END });
    let savestate = savestate::find(pool, &taken?.to_string())?;
    savestate::replace_hot(pool, &savestate)?;
    // Whoever wants none any more removes what is there, and may have come before this one was.
    if pool.vm(&vm.name)?.record.ahead.hot.is_none() {
        savestate::remove(pool, &savestate)?;
        return Err(never(&vm.name).into());
    }
    ended.map(|_| savestate)
}

/// Waits until a machine is one that a hot savestate is to be taken of.
fn wait(seed: &VmName, run: &Run, watch: &mut Watch, hot: Hot) -> Result<()> {
    match hot {
        Hot::After(time) => {
            let time = Duration::try_from(time).unwrap_or_default();
            still_there(seed, watch, Deadline::exactly(time))
        }
        Hot::Agent => {
            let socket = super::client::socket(run, "agent")?;
            let mut agent = Agent::connect(socket).map_err(told)?;
            let deadline = Deadline::after(BOOT);
            while let Err(error) = agent.wait(deadline.but_at_most(OFTEN)) {
                still_there(seed, watch, Deadline::exactly(Duration::ZERO))?;
                if deadline.left().is_none() {
                    return Err(told(error));
                }
            }
            Ok(())
        }
    }
}

/// Returns at the deadline, unless the machine has ended by then.
fn still_there(seed: &VmName, watch: &mut Watch, deadline: Deadline) -> Result<()> {
    while watch.heard.wait(deadline) {
        match watch.heard.next() {
            Some(News::Ended(_)) | None => return Err(too_early(seed).into()),
            Some(_) => {}
        }
        if deadline.left().is_none() {
            break;
        }
    }
    Ok(())
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

fn never(name: &VmName) -> Refusal {
    let text = format!("{name} does not say when its hot savestate is to be taken");
    Refusal::new(RefusalKind::Rule, text).hint(format!(
        "'ebbtide vm set {name} hot=agent' takes it when the guest's agent answers, hot=30s after that time"
    ))
}
