//! One run of a VM, from its lock to the stop of its volumes: in a process that nobody waits for.

mod ended;
mod started;

use super::{
    args::node,
    begin::{Begun, How},
    control::{self, ASKER, Control, Happened},
    ending::Seen,
    events::Events,
    freeze::set_clock,
    news::{Failure, News, Request},
    nic,
    runtime::Runtime,
    take::{Take, plug_again},
};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
    vm::{self, Guard, Vm},
};
use jiff::Timestamp;
use qemu::Deadline;
use serde_json::json;
use std::{os::unix::net::UnixStream, time::Duration};
use uuid::Uuid;

/// How long QEMU may take to end once it is told to.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how long a machine that stands still because of a disk is let go on: by then somebody may have made room.
const RETRY: Duration = Duration::from_secs(5);
/// How long a machine that is to stand ready runs first: one that is emulated needs that for what comes with a resume.
const WARM: Duration = Duration::from_secs(1);
/// How often a guest is asked to shut down after this process was told to end, and how long that may take. A host that
/// goes down gives 90 s to what runs.
const AGAIN: Duration = Duration::from_secs(10);
const MOST_ASKED: u32 = 6;

/// What is called on the way.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// When standard error has become the VM's log.
    pub logged: &'a dyn Fn(),
    /// When a VM may need another hot savestate, or those that were made of it or boot from it.
    pub stale: &'a dyn Fn(&VmName),
}

/// Runs a VM, and returns when it has ended and its next start is prepared. What comes of it is told to `asker`, and to
/// whoever connects later; once the VM has a log, standard error is that log.
///
/// The caller is in a session of its own, has no more threads than this one, and passes nothing on to children.
///
/// # Errors
/// It has no one to tell.
pub fn supervise(
    pool: &Pool,
    name: &VmName,
    how: &How,
    asker: UnixStream,
    hooks: Hooks<'_>,
) -> Result<()> {
    control::block()?;
    let mut control = Control::new(asker)?;
    control.hear_signals()?;
    let started = Started::new(pool, name, how, &control, hooks);
    match started {
        Ok(started) => {
            if let Some(name) = started.run(&mut control) {
                (hooks.stale)(&name);
            }
        }
        Err(error) => control.tell(&News::Failed(Failure::from(&error))),
    }
    Ok(())
}

/// Returns what removes the logs of a VM that is about to be removed.
///
/// # Errors
/// Its directory cannot be looked at.
pub fn forget(pool: &Pool, vm: &Vm) -> Result<impl FnOnce() + use<>> {
    let runtime = Runtime::of(started::identity(pool, vm)?);
    Ok(move || {
        if let Err(error) = runtime.remove() {
            log::warn!("{error}");
        }
    })
}

/// A VM whose QEMU is there.
struct Started<'a> {
    pool: &'a Pool,
    guard: Guard,
    runtime: Runtime,
    begun: Begun,
    /// Whether it stands still until somebody wants it.
    is_ready: bool,
    /// Whether it has stood so.
    has_stood: bool,
}

impl<'a> Started<'a> {
    /// Lets the machine run, waits for its end, and stops its volumes. Returns the VM when it may have new versions.
    fn run(mut self, control: &mut Control) -> Option<VmName> {
        if let Err(error) = control.follow(&self.begun.qemu.monitor) {
            self.begun.qemu.kill();
            log::error!("{error}");
        }
        if self.is_ready {
            self.warm_up(control);
        } else {
            control.tell(&News::Started(self.begun.qemu.id()));
        }
        let (mut ran, mut retries, mut asked) = (false, false, 0);
        let mut is_late = self.begun.goes_on;
        let mut events = Events::new(kept(self.pool, &self.guard));
        while let Some(happened) = control.next() {
            match happened {
                Happened::Asked(number, Request::Go) => {
                    let is_first = !ran && (number == ASKER || self.is_ready);
                    if is_first {
                        ran = self.go();
                        control.tell(&News::Running);
                    }
                    control.answer(number, &News::Handed(is_first && ran));
                }
                Happened::Asked(number, Request::Snapshot { label, memory }) => {
                    let took = self.may_take(ran, &events);
                    let mut say = |sentence: String| {
                        log::warn!("{sentence}");
                        control.answer(number, &News::Said(sentence));
                    };
                    let took = took.and_then(|()| {
                        self.take(&events).snapshot(label.as_deref(), memory, &mut say)
                    });
                    control.answer(number, &answer(took));
                }
                Happened::Asked(number, Request::Savestate(hot)) => {
                    let took = self.may_take(ran, &events);
                    let took = took.and_then(|()| self.take(&events).savestate(hot.as_ref()));
                    control.answer(number, &answer(took));
                }
                // Nobody ever let it run: there is no guest that could hear a button.
                Happened::Asked(_, Request::Powerdown) if !ran && self.is_ready => {
                    self.quit(control)
                }
                Happened::Asked(number, Request::Powerdown) => {
                    self.press(&events);
                    control.answer(number, &News::Paused(events.paused.clone()));
                }
                Happened::Asked(number, Request::Look) => {
                    control.answer(number, &News::Paused(events.paused.clone()));
                }
                Happened::Asked(_, Request::Quit) => self.quit(control),
                Happened::Told if asked > 0 => {}
                Happened::Told | Happened::Again if ran && asked < MOST_ASKED => {
                    log::info!("told to end: the guest is to shut down");
                    asked += 1;
                    self.press(&events);
                    let _ = control.later(AGAIN, Happened::Again);
                }
                Happened::Told | Happened::Again => self.quit(control),
                Happened::Overdue => self.begun.qemu.kill(),
                Happened::Warm => {
                    // Somebody may have wanted it meanwhile.
                    if !ran {
                        self.stand_still();
                    }
                    if ran || self.has_stood {
                        control.tell(&News::Started(self.begun.qemu.id()));
                    }
                }
                // Nobody wants it any more, and it has done nothing yet.
                Happened::Left(ASKER) if !ran && !self.is_ready => self.begun.qemu.kill(),
                Happened::Event(event) => {
                    events.hear(&event);
                    if event.name == "DEVICE_DELETED" && event.data["device"] == nic::NIC {
                        self.plug_again();
                    }
                    if events.paused.is_some() && !retries {
                        retries = control.later(RETRY, Happened::Retry).is_ok();
                    }
                }
                Happened::Retry => {
                    retries = false;
                    if events.paused.is_some() {
                        // Where nothing has changed, the same write fails again, and says so.
                        let _ = self.begun.qemu.monitor.tell("cont", &json!({}));
                    }
                }
                Happened::Closed => break,
                _ => {}
            }
            // QEMU tells of an agent that was in the memory only when the machine has gone on.
            if ran && is_late && events.agent {
                is_late = false;
                set_clock(&self.runtime.agent());
            }
        }
        let status = self.begun.qemu.wait();
        // Whoever waits to be removed leaves nothing.
        let discard = control.discard() || self.is_volatile();
        let (reason, lost) = (events.reason.as_deref(), events.lost.as_deref());
        let seen = Seen { ran, reason, lost, status, discard };
        self.settle(seen, control)
    }

    /// Tells QEMU something, and does not wait for what it says: it may never say anything again.
    fn say(&self, command: &str) {
        log::info!("{:.0} {command}", Timestamp::now());
        if let Err(error) = self.begun.qemu.monitor.tell(command, &json!({})) {
            log::warn!("{error}");
        }
    }

    /// Ends QEMU, which may not answer any more.
    fn quit(&mut self, control: &Control) {
        self.say("quit");
        if control.later(PATIENCE, Happened::Overdue).is_err() {
            self.begun.qemu.kill();
        }
    }

    /// Refuses to take an instant of a machine that stands still already.
    fn may_take(&self, ran: bool, events: &Events) -> Result<()> {
        let name = &self.guard.vm().name;
        let text = match &events.paused {
            Some(why) => format!("{name} stands still, {why}"),
            None if !ran => format!("{name} was not let run yet"),
            None => return Ok(()),
        };
        Err(Refusal::new(RefusalKind::Busy, text).into())
    }

    fn take(&self, events: &Events) -> Take<'_> {
        Take {
            pool: self.pool,
            guard: &self.guard,
            monitor: &self.begun.qemu.monitor,
            machine: &self.begun.machine,
            accelerator: self.begun.accelerator,
            agent: events.agent.then(|| self.runtime.agent()),
        }
    }

    /// Gives the machine its network card again, where a guest has given it up later than it was waited for.
    fn plug_again(&self) {
        if let Err(error) = plug_again(&self.begun.qemu.monitor, &self.begun.machine) {
            log::warn!("{error}");
        }
    }

    /// Presses the power button. A machine that stands still could not hear it.
    fn press(&self, events: &Events) {
        if events.paused.is_some() {
            self.say("cont");
        }
        self.say("system_powerdown");
    }

    /// Lets a machine that goes on from somewhere else take that in: another generation number, a network card, code that an
    /// emulator has to translate anew. It is [`Happened::Warm`] then.
    fn warm_up(&mut self, control: &Control) {
        let went = self.begun.qemu.monitor.execute("cont", &json!({})).map_err(super::told);
        let warm = Deadline::after(WARM).left().unwrap_or_default();
        self.or_kill(&went.and_then(|_| control.later(warm, Happened::Warm)));
    }

    /// Has a machine that is warm stand still, so that whoever wants it does not wait for that.
    fn stand_still(&mut self) {
        let stood = self.begun.qemu.monitor.execute("stop", &json!({}));
        self.has_stood = self.or_kill(&stood.map(drop).map_err(super::told));
    }

    /// Ends QEMU where a machine is not as it is to be. Returns whether it is.
    fn or_kill(&mut self, is: &Result<()>) -> bool {
        if let Err(error) = is {
            log::error!("{}", error.chain());
            self.begun.qemu.kill();
        }
        is.is_ok()
    }

    fn go(&mut self) -> bool {
        let told = vm::goes_on(self.pool, &self.guard);
        let monitor = &self.begun.qemu.monitor;
        let went = told.and_then(|()| monitor.execute("cont", &json!({})).map_err(super::told));
        self.or_kill(&went.map(drop))
    }
}

fn answer(took: Result<Uuid>) -> News {
    match took {
        Ok(uuid) => News::Took(uuid),
        Err(error) => {
            log::warn!("{}", error.chain());
            News::Refused(Failure::from(&error))
        }
    }
}

/// Returns the disks whose content outlives the run.
fn kept(pool: &Pool, guard: &Guard) -> Vec<String> {
    let volumes = guard.vm().volumes(pool).unwrap_or_default();
    volumes
        .iter()
        .filter(|volume| volume.role.is_kept())
        .map(|volume| node(&volume.id.volume).to_owned())
        .collect()
}
