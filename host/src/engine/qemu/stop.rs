//! A stop, as whoever asks for it sees it: by the VM's supervisor, or by QEMU's monitor when that is gone.

use super::{
    client::{connect, socket},
    news::{Heard, News, Report, Request, say},
    start::Watch,
    told,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
    vm::{Allow, Guard, Run},
};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
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
    /// QEMU is gone, and there is nobody who stops the volumes: whoever takes the VM's lock next settles that.
    Unattended,
}

/// Stops a running VM, and waits for its end.
///
/// # Errors
/// The guest does not shut down within the limit; it goes on then, and so may its shutdown. With force: QEMU does not end.
pub fn stop(name: &VmName, run: &Run, how: Stop) -> Result<Stopped> {
    if let Some(watch) = watch(run)?
        && let Some(report) = by_supervisor(name, watch, how)?
    {
        return Ok(Stopped::Settled(report));
    }
    Ok(Stopped::Unattended)
}

/// Ends a VM whose supervisor is gone, by QEMU's monitor, and takes its lock, which settles what is left.
///
/// # Errors
/// As for [`stop`] and [`Guard::take`].
pub fn settle(pool: &Pool, name: &VmName, run: &Run, how: Stop) -> Result<Guard> {
    // A QEMU that only begins does not listen yet, and one that is killed has a machine's memory to give back.
    let deadline = Deadline::exactly(PATIENCE);
    loop {
        by_monitor(name, run, how)?;
        match Guard::take(pool, name, "stop", Allow::Stopped) {
            Err(Error::Refused(refusal))
                if refusal.kind == RefusalKind::Busy && deadline.left().is_some() =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            taken => return taken,
        }
    }
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

/// Returns `None` when the supervisor goes before QEMU does.
fn by_supervisor(name: &VmName, mut watch: Watch, how: Stop) -> Result<Option<Report>> {
    if how.discard {
        // Heard before anything ends: the decision is the supervisor's, at the end.
        say(&watch.stream, &Request::Discard);
        while let Some(news) = watch.heard.next() {
            match news {
                News::Noted => break,
                // Too late: it has ended by itself.
                News::Ended(report) => return Ok(Some(report)),
                _ => {}
            }
        }
    }
    let request = if how.force { Request::Quit } else { Request::Powerdown };
    let limit = if how.force { PATIENCE.max(how.limit) } else { how.limit };
    let deadline = Deadline::exactly(limit);
    say(&watch.stream, &request);
    let mut paused = None;
    loop {
        if !watch.heard.wait(deadline.but_at_most(AGAIN)) {
            deadline.left().ok_or_else(|| too_long(name, how, limit, paused.as_deref()))?;
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
        let quits = negotiated.is_ok() && monitor.tell("quit", &json!({})).is_ok();
        if quits && has_ended(&monitor, Deadline::exactly(PATIENCE)) {
            return Ok(());
        }
        return kill_qemu(name, run);
    }
    negotiated?;
    let deadline = Deadline::exactly(how.limit);
    while deadline.left().is_some() {
        if monitor.tell("system_powerdown", &json!({})).is_err()
            || has_ended(&monitor, deadline.but_at_most(AGAIN))
        {
            return Ok(());
        }
    }
    Err(too_long(name, how, how.limit, None).into())
}

/// Waits for QEMU to hang up.
fn has_ended(monitor: &Monitor, deadline: Deadline) -> bool {
    while monitor.event(deadline).is_some() {}
    monitor.is_closed()
}

/// Kills a QEMU that does not answer. The VM's lock is held, so the number is still its own.
fn kill_qemu(name: &VmName, run: &Run) -> Result<()> {
    let killed = run.pid.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let killed = killed.map(|pid| kill(pid, Signal::SIGKILL));
    match killed {
        Some(Ok(()) | Err(Errno::ESRCH)) => Ok(()),
        Some(Err(errno)) => Err(Error::doing(format!("kill the QEMU of {name}"))(errno.into())),
        None => {
            let text = format!("the QEMU of {name} does not answer, and its process is not known");
            Err(Refusal::new(RefusalKind::Unable, text).into())
        }
    }
}

fn too_long(name: &VmName, how: Stop, limit: Duration, paused: Option<&str>) -> Refusal {
    let seconds = limit.as_secs();
    if how.force {
        let text = format!("{name} was told to end {seconds} s ago, and has not ended");
        return Refusal::new(RefusalKind::Unable, text);
    }
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
