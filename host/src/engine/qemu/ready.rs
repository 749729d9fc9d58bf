//! Disposables that stand ready: resumed before anybody wants one, handed over at a start, and made again behind it.
//!
//! Each is a VM of its own, `NAME-dispN`, whose machine has gone on from the hot savestate of `NAME` up to its first
//! instruction, and stands still. Its supervisor lets it run for the first who asks. One that has failed is none: it has
//! ended, and so it is gone.

use super::{
    begin::How,
    client::hand_over,
    hot::is_stale,
    memory::{self, Room},
    start::start,
    stop::{Stop, settle, stop},
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, store::Wait},
    vm::{
        self, Instance, Run, Status, Vm,
        savestate::{self, READY_LOCK},
    },
};
use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    time::Duration,
};
use uuid::Uuid;

/// How long one that is not wanted any more may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said of those that stood ready.
const STOOD: &str = " stood ready, and ";
/// How often it is looked whether they are all there.
const MOST: u32 = 5;
/// How many of them are told of.
const MOST_TOLD: usize = 3;

/// A disposable that stands ready.
struct Standing {
    name: VmName,
    run: Run,
}

/// What came of asking for one.
#[derive(Debug, Default)]
pub struct Handed {
    /// The one that runs now, if there was one.
    pub name: Option<VmName>,
    /// Which others stood ready, did not run, and were removed: a sentence for each.
    pub failed: Vec<String>,
}

/// Lets a disposable of a VM run that stands ready, and makes it an ordinary one.
///
/// # Errors
/// The pool cannot be read. One that fails is passed over.
pub fn take_ready(pool: &Pool, of: &Vm) -> Result<Handed> {
    let mut handed = Handed::default();
    let Some(hot) = savestate::hot_of(pool, of)? else { return Ok(handed) };
    for one in standing(pool, &of.name)? {
        if one.run.resumed != Some(hot.uuid) {
            continue;
        }
        match hand_over(&one.name, &one.run) {
            Ok(true) => {
                vm::becomes_disposable(pool, &one.name)?;
                handed.name = Some(one.name);
                break;
            }
            // Somebody was earlier, and may have been cut off before it was written down.
            Ok(false) => {
                if let Err(error) = vm::becomes_disposable(pool, &one.name) {
                    log::info!("{}: {}", one.name, error.chain());
                }
            }
            Err(error) => {
                let why = error.chain();
                let sentence = format!("{} stood ready, and is removed: {why}", one.name);
                tell_failed(pool, &of.name, &sentence);
                handed.failed.push(sentence);
                end(pool, &one);
            }
        }
    }
    Ok(handed)
}

/// Makes as many disposables of a VM stand ready as its record wants and as there is memory for, and ends those that are too
/// many or go on from an older savestate. Returns a sentence for each thing that went wrong. `supervisor` is as for
/// [`start`]. Does nothing while somebody else does it. `failed` is what went wrong before; it is kept with what goes wrong here,
/// for [`last_failure`].
///
/// # Errors
/// The pool cannot be read or locked.
pub fn refill(
    pool: &Pool,
    name: &VmName,
    failed: Option<String>,
    supervisor: &dyn Fn(&VmName, &How) -> Result<Command>,
) -> Result<Vec<String>> {
    let mut wrong: Vec<String> = failed.into_iter().collect();
    for _ in 0..MOST {
        let Some(more) = refill_once(pool, name, &wrong, supervisor)? else { break };
        wrong.extend(more);
        // Who found the lock taken relies on whoever had it to look once more after it was let go.
        let vm = pool.vm(name)?;
        match unmet(pool, &vm)? {
            Some(Unmet::Others) => {}
            // Without a savestate of the current versions nothing is made, nor again what was not made just now.
            Some(Unmet::TooFew) if wrong.is_empty() && !is_stale(pool, &vm)? => {}
            _ => break,
        }
    }
    Ok(wrong)
}

/// Does the work of [`refill`] under its lock, once, and returns what went wrong beside `before`; `None` when somebody else has
/// that.
fn refill_once(
    pool: &Pool,
    name: &VmName,
    before: &[String],
    supervisor: &dyn Fn(&VmName, &How) -> Result<Command>,
) -> Result<Option<Vec<String>>> {
    let file = file_of(&pool.vm(name)?);
    let lock = match pool.store().lock(&file, Wait::No) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        lock => lock.map_err(Error::doing(format!("lock {}", file.display())))?,
    };
    let mut wrong = Vec::new();
    loop {
        let vm = pool.vm(name)?;
        let hot = savestate::hot_of(pool, &vm)?.map(|savestate| savestate.uuid);
        let wanted = vm.record.ahead().ready as usize;
        let there = fitting(pool, &vm, hot, wanted)?;
        let Some(hot) = hot.filter(|_| there < wanted) else { break };
        if let Err(error) = one_more(pool, &vm, hot, supervisor) {
            wrong.push(format!("no more disposables stand ready: {}", error.chain()));
            break;
        }
    }
    if let Some(file) = lock.file() {
        // What became of those that stood ready is told until there is more of it.
        let noted = pool.store().read(&file_of(&pool.vm(name)?)).unwrap_or_default();
        let noted = String::from_utf8_lossy(&noted).into_owned();
        let ended = noted.lines().filter(|line| line.contains(STOOD)).rev().take(MOST_TOLD);
        let mut told: Vec<String> = ended.map(str::to_owned).collect();
        told.reverse();
        told.extend(before.iter().chain(&wrong).cloned());
        vm::note(file, &told.join("\n"));
    }
    Ok(Some(wrong))
}

/// Keeps what is to be told of a disposable that stood ready and has failed, for [`last_failure`].
pub(super) fn tell_failed(pool: &Pool, of: &VmName, sentence: &str) {
    let Ok(vm) = pool.vm(of) else { return };
    let path = pool.store().real(&file_of(&vm));
    let added = OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{sentence}"));
    if let Err(error) = added {
        log::warn!("{}: {error}", path.display());
    }
}

fn file_of(vm: &Vm) -> PathBuf {
    vm.dir.join(READY_LOCK)
}

/// Returns how many disposables of a VM stand ready.
///
/// # Errors
/// The pool cannot be read.
pub fn count_ready(pool: &Pool, of: &VmName) -> Result<usize> {
    Ok(standing(pool, of)?.len())
}

/// Returns whether something is to be made ahead of a VM that is not there, or is there and not to be.
///
/// # Errors
/// The pool cannot be read.
pub fn is_due(pool: &Pool, vm: &Vm) -> Result<bool> {
    Ok(is_stale(pool, vm)? || unmet(pool, vm)?.is_some())
}

/// How those that stand ready are not as they should be.
enum Unmet {
    /// There are too few.
    TooFew,
    /// There are too many, or such as go on from an older savestate.
    Others,
}

/// Returns how those of a VM are not as they should be, if they are not.
fn unmet(pool: &Pool, vm: &Vm) -> Result<Option<Unmet>> {
    let there = standing(pool, &vm.name)?;
    let wanted = vm.record.ahead().ready as usize;
    if wanted == 0 && there.is_empty() {
        return Ok(None);
    }
    let hot = savestate::hot_of(pool, vm)?.map(|savestate| savestate.uuid);
    if there.len() > wanted || there.iter().any(|one| one.run.resumed != hot) {
        return Ok(Some(Unmet::Others));
    }
    Ok((there.len() < wanted).then_some(Unmet::TooFew))
}

/// Ends the disposables of a VM that stand ready, because it is to be removed.
///
/// # Errors
/// The pool cannot be read.
pub fn end_ready(pool: &Pool, of: &VmName) -> Result<()> {
    standing(pool, of)?.iter().for_each(|one| end(pool, one));
    Ok(())
}

/// Returns what went wrong when disposables of a VM were last made ready, if anything did.
#[must_use]
pub fn last_failure(pool: &Pool, of: &Vm) -> Option<String> {
    let said = pool.store().read(&file_of(of)).ok()?;
    Some(String::from_utf8_lossy(&said).trim().to_owned()).filter(|said| !said.is_empty())
}

/// Ends those that are not to stand ready any more, and returns how many of the wanted ones do.
fn fitting(pool: &Pool, vm: &Vm, hot: Option<Uuid>, wanted: usize) -> Result<usize> {
    let mut there = 0;
    for one in standing(pool, &vm.name)? {
        if one.run.resumed == hot && there < wanted {
            there += 1;
        } else {
            end(pool, &one);
        }
    }
    Ok(there)
}

/// Makes one more stand ready.
fn one_more(
    pool: &Pool,
    vm: &Vm,
    hot: Uuid,
    supervisor: &dyn Fn(&VmName, &How) -> Result<Command>,
) -> Result<()> {
    if let Room::Short { free, kept } = memory::room_for(vm.record.engine.memory)? {
        let memory = vm.record.engine.memory;
        let text = format!(
            "one takes {memory}; free are {free}, of which {kept} are kept for everything else"
        );
        return Err(Refusal::new(RefusalKind::Unable, text).into());
    }
    let how = How {
        instance: Some(Instance::Ready),
        from: Some(hot.to_string()),
        ready: true,
        ..How::default()
    };
    // It stands without us from then on.
    let name = vm.record.flags.version_of.as_ref().unwrap_or(&vm.name);
    start(pool, name, supervisor(name, &how)?, &mut |said| log::info!("{said}")).map(drop)
}

/// Returns the disposables of a VM that stand ready, by name.
fn standing(pool: &Pool, of: &VmName) -> Result<Vec<Standing>> {
    let mut found = Vec::new();
    for vm in pool.vms()?.vms {
        let is_one = vm.record.flags.instance == Some(Instance::Ready);
        if !is_one || vm.record.base.as_ref() != Some(of) {
            continue;
        }
        if let Status::Running(run) = vm::status(pool, &vm)? {
            found.push(Standing { name: vm.name, run });
        }
    }
    Ok(found)
}

/// Ends one that stands ready; it is gone then.
fn end(pool: &Pool, one: &Standing) {
    let how = Stop { discard: true, force: true, limit: PATIENCE };
    let ended = match stop(&one.name, &one.run, how) {
        Ok(super::Stopped::Settled(_)) => Ok(()),
        Ok(super::Stopped::Unattended) => settle(pool, &one.name, &one.run, how).map(drop),
        Err(error) => Err(error),
    };
    let swept = ended.and_then(|()| vm::follow_up(pool).map(drop));
    if let Err(error) = swept {
        log::warn!("{} stood ready, and does not end: {}", one.name, error.chain());
    }
}
