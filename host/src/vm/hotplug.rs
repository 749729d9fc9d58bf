//! Disks of a VM that a toolstack attaches one after the other: Xen's, by its block scripts.
//!
//! The first disk prepares the whole VM, and the last one that goes releases it; what is attached in between is in
//! `run.toml`. A VM that somebody has prepared by hand is not released by that.

use super::{Allow, Guard, Outcomes, Run, life, run};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VolumeId,
    pool::{
        Pool,
        driver::{Disk, Ending},
        store::Wait,
    },
};

/// What a detached disk came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detached {
    /// It was not attached under that name.
    Already,
    /// Others still are, or the VM stays prepared.
    Disk,
    /// It was the last, and the VM is released.
    Released(Outcomes),
}

/// Attaches a disk, for whoever is called `by`: the VM is prepared where it is not. Several of one VM may come at once.
/// Repeatable. Returns what was settled, and the disk.
///
/// # Errors
/// The VM runs otherwise, or has no such disk; the disk is attached already, by the name that is told.
pub fn attach(pool: &Pool, id: &VolumeId, by: &str) -> Result<(Vec<String>, Disk)> {
    let guard = take(pool, id, "attach")?;
    let volume = guard.vm().volume(pool, &id.volume)?;
    let was_prepared = guard.is_prepared();
    if !was_prepared {
        life::prepare(pool, &guard, Run::new(run::HOTPLUG)?)?;
    }
    let attached = record(pool, &guard, id, by);
    let disk = attached.and_then(|()| pool.driver().disk(&volume, guard.vm().root_access()));
    match disk {
        Ok(disk) => Ok((guard.said().to_vec(), disk)),
        Err(error) if was_prepared => Err(error),
        Err(error) => {
            // Nobody would end what this began.
            if let Err(second) = life::release(pool, &guard, Ending::Discard) {
                log::warn!("{}", second.chain());
            }
            Err(error)
        }
    }
}

/// Detaches what `by` has attached of a VM's disk; when it is the last one, the VM ends as `ending` says. With `None` it
/// stays prepared, for a guest that was saved and comes back.
///
/// # Errors
/// A file operation or a device; a repeat goes on.
pub fn detach(pool: &Pool, id: &VolumeId, by: &str, ending: Option<Ending>) -> Result<Detached> {
    let guard = take(pool, id, "detach")?;
    let Some(mut run) = run::read_run(pool, guard.vm())?.filter(|_| guard.is_prepared()) else {
        return Ok(Detached::Already);
    };
    let disk = id.volume.as_str();
    let is_attached = run.attached.get(disk).is_some_and(|found| found == by);
    if !is_attached && !run.attached.is_empty() {
        return Ok(Detached::Already);
    }
    run.attached.remove(disk);
    let is_last = run.attached.is_empty() && run.engine == run::HOTPLUG;
    match ending.filter(|_| is_last) {
        // Until it is released it is attached: a repeat of what fails goes on here.
        Some(ending) => life::release(pool, &guard, ending).map(Detached::Released),
        None => run::write_run(pool, &guard, &run).map(|()| Detached::Disk),
    }
}

/// Takes the lock of a VM whose other disks are attached at the same time.
fn take(pool: &Pool, id: &VolumeId, purpose: &str) -> Result<Guard> {
    let purpose = format!("{purpose} of {}", id.volume);
    Guard::take_waiting(pool, &id.vm, &purpose, Allow::Prepared, Wait::Yes)
}

/// Writes who has a disk attached.
fn record(pool: &Pool, guard: &Guard, id: &VolumeId, by: &str) -> Result<()> {
    let Some(mut run) = run::read_run(pool, guard.vm())? else {
        let text = format!("{} is not prepared any more", id.vm);
        return Err(Error::Refused(Refusal::new(RefusalKind::Busy, text)));
    };
    match run.attached.insert(id.volume.to_string(), by.into()) {
        Some(other) if other == by => Ok(()),
        Some(other) => {
            let text = format!("{id} is attached already, by {other}");
            Err(Refusal::new(RefusalKind::Busy, text)
                .hint(format!("one guest at a time runs {}: end the other one first", id.vm))
                .into())
        }
        None => run::write_run(pool, guard, &run),
    }
}
