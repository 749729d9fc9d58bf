//! A run begins: volumes made ready, and a QEMU whose machine stands still, at its first instruction or where another one
//! stood.

use super::{
    ENGINE,
    args::{Begins, Host, SANDBOX, Sockets, arguments},
    child::Running,
    fit, nic,
    runtime::Runtime,
    told,
    written::Written,
};
use crate::{
    engine::machine::{self, Machine},
    error::{Error, Result},
    name::VmName,
    pool::{
        Pool,
        driver::{Disk, Ending},
    },
    vm::{
        self, Guard, Instance, Memory, Run, Vm,
        savestate::{self, Source},
    },
};
use qemu::{Accelerator, Deadline};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

/// How long a memory may take to be read or written: as on a slow disk that is busy.
pub(super) const LIMIT: Duration = Duration::from_secs(1800);

/// How a VM is started.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// Further arguments of QEMU.
    pub extra: Vec<OsString>,
    /// Whether a clone of the VM is made and run in its place.
    pub instance: Option<Instance>,
    /// The savestate, or the snapshot with memory, that the machine goes on from; `None` for a start from the beginning.
    pub from: Option<String>,
    /// Whether the machine starts from the beginning where it cannot go on from that.
    pub or_cold: bool,
    /// Whether it stands still, without whoever asked for it, until somebody wants it.
    pub ready: bool,
}

/// A QEMU that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) qemu: Running,
    pub(super) written: Written,
    pub(super) machine: Machine,
    pub(super) accelerator: Accelerator,
    /// Whether the machine goes on from where another one stood.
    pub(super) goes_on: bool,
}

/// Makes everything ready up to a machine that stands still. When something fails, the volumes are stopped. What is to be
/// said on the way is said by `say`.
pub(super) fn begin(
    pool: &Pool,
    guard: &Guard,
    runtime: &Runtime,
    how: &How,
    stale: &dyn Fn(&VmName),
    say: &mut dyn FnMut(String),
) -> Result<Begun> {
    // What needs nothing of the VM comes first: without QEMU, nothing is begun.
    let program = qemu::program().map_err(told)?;
    let accelerator = Accelerator::probe(&program).map_err(told)?;
    let sandbox = qemu::sandbox_works(&program, SANDBOX).map_err(told)?;
    if !sandbox {
        log::warn!("QEMU runs without its sandbox, which does not work here");
    }
    let host = Host { accelerator, sandbox };
    let beginning = Beginning { pool, guard, runtime, program, host, extra: &how.extra };
    let name = &guard.vm().name;
    let cold =
        || beginning.cold().map_err(|error| of_qemu(error, &format!("{name} is not started")));
    let Some(id) = &how.from else { return cold() };
    let resumed = savestate::source(pool, id).and_then(|source| {
        let is_another = how.instance.is_none() && source.of != Some(guard.vm().record.uuid);
        let sentence = is_another.then(|| others(pool, guard.vm(), &source)).transpose()?;
        let begun = beginning.from(&source)?;
        sentence.into_iter().for_each(&mut *say);
        Ok(begun)
    });
    match resumed {
        Err(error) if how.or_cold => {
            say(format!("{name} does not go on from {id}, and starts anew: {}", error.chain()));
            give_up(pool, id, stale);
            cold()
        }
        resumed => {
            resumed.map_err(|error| of_qemu(error, &format!("{name} does not go on from {id}")))
        }
    }
}

/// Says what became of what QEMU said something against.
fn of_qemu(error: Error, what: &str) -> Error {
    match error {
        Error::Program { program, said } => {
            Error::Program { program: format!("{what}: {program}"), said }
        }
        other => other,
    }
}

/// Says whose disks a VM has from now on.
fn others(pool: &Pool, vm: &Vm, source: &Source) -> Result<String> {
    let kept = vm.volumes(pool)?.into_iter().filter(|volume| volume.role.is_kept());
    let kept: Vec<_> = kept.map(|volume| volume.id.to_string()).collect();
    let of = &source.vm;
    Ok(match kept.as_slice() {
        [] => format!("{} goes on as {of} was", vm.name),
        [one] => format!("{one} goes on as that of {of} was: what it had is the version before"),
        several => format!(
            "{} go on as those of {of} were: what they had are the versions before",
            several.join(", ")
        ),
    })
}

/// Removes a hot savestate from which no machine goes on, so that there is another one.
fn give_up(pool: &Pool, id: &str, stale: &dyn Fn(&VmName)) {
    let Ok(savestate) = savestate::find(pool, id) else { return };
    if savestate.kind != savestate::Kind::Hot {
        return;
    }
    match savestate::remove(pool, &savestate) {
        Ok(_) => stale(&savestate.vm),
        Err(error) => log::warn!("{}", error.chain()),
    }
}

struct Beginning<'a> {
    pool: &'a Pool,
    guard: &'a Guard,
    runtime: &'a Runtime,
    program: PathBuf,
    host: Host,
    extra: &'a [OsString],
}

impl Beginning<'_> {
    fn cold(&self) -> Result<Begun> {
        let run = self.run()?;
        let disks = vm::prepare(self.pool, self.guard, run.clone())?;
        // Nothing has run, so nothing is written; what an earlier run left stays.
        self.ended(self.launch(run, disks, Begins::Cold).map(|(begun, _)| begun), Ending::Keep)
    }

    fn from(&self, source: &Source) -> Result<Begun> {
        let mut run = self.run()?;
        let disks = savestate::prepare_from(self.pool, self.guard, &mut run, source)?;
        // What is there is another machine's, which did not go on.
        self.ended(self.resume(run, disks, source), Ending::Discard)
    }

    fn resume(&self, run: Run, disks: Vec<Disk>, source: &Source) -> Result<Begun> {
        let (begun, now) = self.launch(run, disks, Begins::Incoming(&source.memory))?;
        let name = self.guard.vm().name.as_str();
        let monitor = &begun.qemu.monitor;
        let qemu = monitor.version().map_err(told)?;
        fit::check(name, &source.memory, &Memory { qemu, machine: now })?;
        let loaded = monitor.load(source.open(self.pool)?, Deadline::after(LIMIT));
        let plugged = loaded.and_then(|()| match nic::device(&begun.machine) {
            Some(card) => monitor.plug(&card),
            None => Ok(()),
        });
        match plugged {
            Ok(()) => Ok(begun),
            Err(error) => Err(begun.qemu.ended_by(told(error))),
        }
    }

    /// Starts QEMU, and returns what its machine is made of, too.
    fn launch(
        &self,
        mut run: Run,
        disks: Vec<Disk>,
        begins: Begins<'_>,
    ) -> Result<(Begun, Vec<String>)> {
        let Self { pool, guard, runtime, host, .. } = self;
        let paths = disks.iter().map(|disk| (disk.id.volume.to_string(), disk.path.clone()));
        run.disks = paths.collect();
        let written = Written::watch(pool, guard.vm())?;
        let machine = machine::of(pool, guard.vm(), disks)?;
        let lines = fit::lines(&machine, host.accelerator);
        if let Begins::Incoming(then) = begins {
            let now = Memory { qemu: then.qemu.clone(), machine: lines.clone() };
            fit::check(guard.vm().name.as_str(), then, &now)?;
        }
        let (console, monitor, agent) = (runtime.console(), runtime.monitor(), runtime.agent());
        let arguments = |supervisor| {
            let (console, monitor, agent) = (&console, &monitor, &agent);
            let sockets = Sockets { console, monitor, agent, supervisor };
            arguments(&machine, *host, sockets, begins, self.extra)
        };
        let qemu = Running::start(&self.program, arguments, guard.lock_file()?)?;
        run.pid = Some(qemu.id());
        vm::write_run(pool, guard, &run)?;
        let goes_on = matches!(begins, Begins::Incoming(_));
        Ok((Begun { qemu, written, machine, accelerator: host.accelerator, goes_on }, lines))
    }

    /// Stops the volumes when nothing has begun.
    fn ended(&self, begun: Result<Begun>, ending: Ending) -> Result<Begun> {
        begun.inspect_err(|_| {
            if let Err(error) = vm::release(self.pool, self.guard, ending) {
                log::error!("{error}");
            }
        })
    }

    fn run(&self) -> Result<Run> {
        let mut run = Run::new(ENGINE)?;
        run.sockets = sockets(self.runtime);
        Ok(run)
    }
}

fn sockets(runtime: &Runtime) -> BTreeMap<String, PathBuf> {
    let sockets = [
        ("agent", runtime.agent()),
        ("console", runtime.console()),
        ("qmp", runtime.monitor()),
        ("supervisor", runtime.supervisor()),
    ];
    sockets.into_iter().map(|(name, path)| (name.to_owned(), path)).collect()
}

impl Running {
    /// Returns why it has ended, where it has: what it said last, or else `error`.
    fn ended_by(mut self, error: Error) -> Error {
        if !self.monitor.is_closed() {
            return error;
        }
        self.wait();
        match self.last_words() {
            words if words.is_empty() => error,
            said => Error::Program { program: "QEMU".into(), said },
        }
    }
}
