//! A stop, as whoever asks for it sees it: by the VM's supervisor, or by QEMU's monitor when that is gone.

use super::{
    client::{self, connect, socket},
    freeze::thaw_left,
    holders::Holder,
    news::{Heard, News, Report, Request, say},
    start::Watch,
    told,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
    vm::{self, Allow, Guard, Run, Status},
};
use qemu::{Deadline, Monitor};
use serde_json::json;
use std::time::Duration;

/// After how long the power button is pressed again: a guest that still boots has not heard it.
const AGAIN: Duration = Duration::from_secs(10);
/// How long QEMU, or whoever stops the volumes, may take after QEMU was told to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a VM is stopped.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// Whether what it wrote is dropped.
    pub discard: bool,
    /// Whether QEMU is ended without asking the guest.
    pub force: bool,
    /// How long the guest may take.
    pub limit: Duration,
}

/// What a stop came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// The VM's supervisor has stopped the volumes.
    Settled(Report),
    /// There is nobody who answers: QEMU is to be ended, and whoever takes the VM's lock next stops its volumes.
    Unattended,
}

/// Stops a running VM, and waits for its end.
///
/// # Errors
/// The guest does not shut down within the limit; it goes on then, and so may its shutdown.
pub fn stop(name: &VmName, run: &Run, how: Stop) -> Result<Stopped> {
    if let Some(watch) = watch(run)?
        && let Some(report) = by_supervisor(name, watch, how)?
    {
        return Ok(Stopped::Settled(report));
    }
    Ok(Stopped::Unattended)
}

/// Ends a VM whose supervisor is gone or does not answer, by QEMU's monitor, and takes its lock, which settles what is
/// left. With force, what does not answer is killed.
///
/// # Errors
/// As for [`stop`] and [`Guard::take`].
pub fn settle(pool: &Pool, name: &VmName, run: &Run, how: Stop) -> Result<Guard> {
    let qemu = Holder::qemu(pool, name, run)?;
    let guard = unattended(pool, name, qemu.as_ref(), run, how)?;
    // Whoever asked for the stop may count on QEMU's memory being free.
    if let Some(qemu) = qemu {
        qemu.wait(Deadline::after(PATIENCE));
    }
    Ok(guard)
}

fn unattended(
    pool: &Pool,
    name: &VmName,
    qemu: Option<&Holder>,
    run: &Run,
    how: Stop,
) -> Result<Guard> {
    // A QEMU that only begins does not listen yet, and one that is killed has a machine's memory to give back.
    if let Some(guard) = take(pool, name, || by_monitor(name, run, how))? {
        return Ok(guard);
    }
    if !how.force {
        let text = format!("{name} cannot be asked to shut down: its sockets are gone");
        let hint =
            format!("shut it down from within, or pull the plug by 'ebbtide stop {name} --force'");
        return Err(Refusal::new(RefusalKind::Busy, text).hint(hint).into());
    }
    qemu.map_or(Ok(()), |qemu| qemu.kill(Deadline::after(PATIENCE)))?;
    // A supervisor that lives settles it now.
    if let Some(guard) = take(pool, name, || Ok(()))? {
        return Ok(guard);
    }
    if let Some(supervisor) = Holder::supervisor(pool, name)? {
        supervisor.kill(Deadline::after(PATIENCE))?;
    }
    Guard::take(pool, name, "stop", Allow::Stopped)
}

/// Takes the lock of a VM, after doing something each time; `None` when somebody else has it for too long. What waits is
/// the lock itself, for a moment at a time.
fn take(
    pool: &Pool,
    name: &VmName,
    mut first: impl FnMut() -> Result<()>,
) -> Result<Option<Guard>> {
    let deadline = Deadline::after(PATIENCE);
    loop {
        first()?;
        match Guard::take(pool, name, "stop", Allow::Stopped) {
            Err(Error::Refused(refusal))
                if refusal.kind == RefusalKind::Busy && may_pass(pool, name)? => {}
            taken => return taken.map(Some),
        }
        if deadline.left().is_none() {
            return Ok(None);
        }
    }
}

/// Returns whether what keeps the VM ends with its lock.
fn may_pass(pool: &Pool, name: &VmName) -> Result<bool> {
    let status = vm::status(pool, &pool.vm(name)?)?;
    Ok(!matches!(status, Status::Prepared(_) | Status::Elsewhere(_)))
}

/// Ends a QEMU that waits to be let run by somebody who is gone. One that runs stays.
pub(super) fn end_unstarted(run: &Run) {
    // One that goes on from where another one stood is paused until it is let run.
    if let Ok(monitor) = client::monitor(run)
        && (is_unstarted(&monitor) || is_one_of(&monitor, &["paused"]))
        && monitor.tell("quit", &json!({})).is_ok()
    {
        has_ended(&monitor, Deadline::after(PATIENCE));
    }
}

/// Returns whether QEMU has never let its machine run.
fn is_unstarted(monitor: &Monitor) -> bool {
    is_one_of(monitor, &["prelaunch", "inmigrate"])
}

/// Returns whether QEMU calls the status of its machine so.
fn is_one_of(monitor: &Monitor, words: &[&str]) -> bool {
    let status = monitor.execute("query-status", &json!({}));
    status.is_ok_and(|status| words.iter().any(|word| status["status"] == *word))
}

/// Connects to the supervisor of a running VM; `None` when it is gone.
///
/// # Errors
/// The run is not ours.
pub fn watch(run: &Run) -> Result<Option<Watch>> {
    let Ok(stream) = connect(socket(run, "supervisor")?) else { return Ok(None) };
    let heard = Heard::new(&stream)?;
    Ok(Some(Watch { stream, heard }))
}

/// Returns `None` when the supervisor goes before QEMU does, and when it does not answer and QEMU is to end by force.
fn by_supervisor(name: &VmName, mut watch: Watch, how: Stop) -> Result<Option<Report>> {
    if how.discard {
        // Heard before anything ends: the decision is the supervisor's, at the end.
        say(&watch.stream, &Request::Discard);
        let deadline = Deadline::after(PATIENCE);
        loop {
            if !watch.heard.wait(deadline) {
                return if how.force { Ok(None) } else { Err(no_answer(name).into()) };
            }
            match watch.heard.next() {
                Some(News::Noted) => break,
                // Too late: it has ended by itself.
                Some(News::Ended(report)) => return Ok(Some(report)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
    let request = if how.force { Request::Quit } else { Request::Powerdown };
    let (limit, deadline) = if how.force {
        (PATIENCE, Deadline::after(PATIENCE))
    } else {
        (how.limit, Deadline::exactly(how.limit))
    };
    say(&watch.stream, &request);
    let mut paused = None;
    loop {
        if !watch.heard.wait(deadline.but_at_most(AGAIN)) {
            if deadline.left().is_none() {
                // It kills a QEMU that does not end by itself, so it is the one that hangs.
                return if how.force {
                    Ok(None)
                } else {
                    Err(too_long(name, limit, paused).into())
                };
            }
            say(&watch.stream, &request);
            continue;
        }
        match watch.heard.next() {
            Some(News::Ended(report)) => return Ok(Some(report)),
            Some(News::Paused(why)) => paused = why,
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

fn by_monitor(name: &VmName, run: &Run, how: Stop) -> Result<()> {
    // Nobody listens: it is gone.
    let Ok(stream) = connect(socket(run, "qmp")?) else { return Ok(()) };
    let monitor = Monitor::new(stream).map_err(told)?;
    let negotiated = monitor.negotiate().map_err(told);
    if monitor.is_closed() {
        return Ok(());
    }
    if how.force {
        // One that does not answer is killed by whoever has asked for this.
        if negotiated.is_ok() && monitor.tell("quit", &json!({})).is_ok() {
            has_ended(&monitor, Deadline::after(PATIENCE));
        }
        return Ok(());
    }
    negotiated?;
    if is_unstarted(&monitor) {
        let _ = monitor.tell("quit", &json!({}));
        has_ended(&monitor, Deadline::after(PATIENCE));
        return Ok(());
    }
    if is_one_of(&monitor, &["paused", "finish-migrate", "postmigrate"]) {
        // An instant of it was being taken, and whoever did that is gone.
        let _ = monitor.tell("cont", &json!({}));
    }
    if let Ok(agent) = socket(run, "agent") {
        thaw_left(agent);
    }
    let deadline = Deadline::exactly(how.limit);
    while deadline.left().is_some() {
        if monitor.tell("system_powerdown", &json!({})).is_err()
            || has_ended(&monitor, deadline.but_at_most(AGAIN))
        {
            return Ok(());
        }
    }
    Err(too_long(name, how.limit, None).into())
}

/// Waits for QEMU to hang up.
fn has_ended(monitor: &Monitor, deadline: Deadline) -> bool {
    while monitor.event(deadline).is_some() {}
    monitor.is_closed()
}

fn no_answer(name: &VmName) -> Refusal {
    let text = format!("the supervisor of {name} does not answer");
    let hint = format!("'ebbtide stop {name} --force' pulls the plug without it");
    Refusal::new(RefusalKind::Unable, text).hint(hint)
}

fn too_long(name: &VmName, limit: Duration, paused: Option<String>) -> Refusal {
    let seconds = limit.as_secs();
    if let Some(why) = paused {
        let text = format!("{name} has not shut down within {seconds} s: it stands still, {why}");
        return Refusal::new(RefusalKind::Busy, text).hint(
            "it goes on by itself within seconds once that is mended, and shuts down when it is asked again",
        );
    }
    let text = format!("{name} has not shut down within {seconds} s; it was asked to, and goes on");
    Refusal::new(RefusalKind::Busy, text).hint(format!(
        "'ebbtide stop {name} --timeout S' waits longer, 'ebbtide stop {name} --force' pulls the plug"
    ))
}
