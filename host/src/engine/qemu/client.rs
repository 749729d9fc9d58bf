//! Whoever starts, stops, attaches to or resizes a VM: the other end of a supervisor, and of QEMU's monitor.

use super::{
    ENGINE,
    args::node,
    news::{Heard, News, Request, say},
    told,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeName},
    vm::Run,
};
use ebbtide_format::units::Bytes;
use ebbtide_sys::lock::exclusive_at_once;
use qemu::{Deadline, Monitor};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::Path,
    time::Duration,
};
use uuid::Uuid;

/// How long a supervisor may take to answer whoever only looks.
const GLANCE: Duration = Duration::from_secs(1);

/// Returns a socket of a run of ours.
pub(super) fn socket<'a>(run: &'a Run, what: &str) -> Result<&'a Path> {
    if run.engine != ENGINE {
        let text = format!("the engine is {}, not {ENGINE}: its {what} is not ours", run.engine);
        return Err(Refusal::new(RefusalKind::Rule, text).into());
    }
    run.sockets.get(what).map(AsRef::as_ref).ok_or_else(|| {
        let text =
            format!("the run has no socket {what}: it is of another version of this program");
        Refusal::new(RefusalKind::Unable, text).into()
    })
}

pub(super) fn connect(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).map_err(Error::doing(format!("connect to {}", path.display())))
}

/// Returns why a running VM stands still, such as a host without space; `None` when it does not, or nobody says.
#[must_use]
pub fn paused(run: &Run) -> Option<String> {
    let stream = connect(socket(run, "supervisor").ok()?).ok()?;
    let mut heard = Heard::new(&stream).ok()?;
    say(&stream, &Request::Look);
    let deadline = Deadline::exactly(GLANCE);
    while heard.wait(deadline) {
        if let News::Paused(why) = heard.next()? {
            return why;
        }
    }
    None
}

/// Takes a snapshot of a running VM: all disks that it keeps, of one instant, and with `memory` the whole machine, which can go
/// on from there. The machine stands still for that moment. Durable when it returns. A sentence is said where the guest's agent
/// has not held its file systems.
///
/// # Errors
/// The VM has ended meanwhile, stands still, or its supervisor is gone; the driver cannot; the guest does not give up its network
/// card, for a memory. Nothing is there then, and the machine goes on.
pub fn snapshot(
    name: &VmName,
    run: &Run,
    label: Option<&str>,
    memory: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Uuid> {
    take(name, run, &Request::Snapshot { label: label.map(Into::into), memory }, say)
}

/// Takes a savestate of a running VM, which goes on. Durable when it returns.
///
/// # Errors
/// As for [`snapshot`].
pub fn savestate(name: &VmName, run: &Run) -> Result<Uuid> {
    take(name, run, &Request::Savestate(None), &mut |_| {})
}

/// Takes the hot savestate of `owner` of the VM `name`, which runs and has the same versions.
///
/// # Errors
/// As for [`snapshot`].
pub(super) fn hot_savestate(name: &VmName, run: &Run, owner: &VmName) -> Result<Uuid> {
    take(name, run, &Request::Savestate(Some(owner.clone())), &mut |_| {})
}

fn take(name: &VmName, run: &Run, request: &Request, say_on: &mut dyn FnMut(&str)) -> Result<Uuid> {
    let (stream, mut heard) = supervisor(name, run)?;
    say(&stream, request);
    loop {
        match heard.next() {
            Some(News::Took(uuid)) => return Ok(uuid),
            Some(News::Refused(failure)) => return Err(failure.into()),
            Some(News::Ended(_)) => return Err(ended(name).into()),
            Some(News::Said(sentence)) => say_on(&sentence),
            Some(_) => {}
            None => return Err(gone(name).into()),
        }
    }
}

/// Lets a machine run that stands ready. Returns whether it is the caller's: `false` when somebody was earlier.
///
/// # Errors
/// It has ended, or its supervisor is gone.
pub fn hand_over(name: &VmName, run: &Run) -> Result<bool> {
    let (stream, mut heard) = supervisor(name, run)?;
    say(&stream, &Request::Go);
    loop {
        match heard.next() {
            Some(News::Handed(is_ours)) => return Ok(is_ours),
            Some(News::Ended(_)) => return Err(ended(name).into()),
            Some(_) => {}
            None => return Err(gone(name).into()),
        }
    }
}

fn supervisor(name: &VmName, run: &Run) -> Result<(UnixStream, Heard)> {
    let stream = connect(socket(run, "supervisor")?).map_err(|_| gone(name))?;
    let heard = Heard::new(&stream)?;
    Ok((stream, heard))
}

fn ended(name: &VmName) -> Refusal {
    Refusal::new(RefusalKind::Unable, format!("{name} has ended meanwhile"))
}

fn gone(name: &VmName) -> Refusal {
    let text = format!("the supervisor of {name} is gone, or is of another version");
    Refusal::new(RefusalKind::Unable, text)
        .hint(format!("'ebbtide stop {name}' and 'ebbtide start {name}' give it another one"))
}

/// Connects to the monitor of a running VM. It has one client at a time; others wait, for 20 s at most.
///
/// # Errors
/// The VM has ended meanwhile, or another client stays.
pub fn monitor(run: &Run) -> Result<Monitor> {
    let monitor = Monitor::new(connect(socket(run, "qmp")?)?).map_err(told)?;
    monitor.negotiate().map_err(told)?;
    Ok(monitor)
}

/// Tells a running VM that what it writes to has become larger.
///
/// # Errors
/// The VM has ended meanwhile, or QEMU refuses.
pub fn resize(run: &Run, volume: &VolumeName, size: Bytes) -> Result<()> {
    monitor(run)?.block_resize(node(volume), size.0).map_err(told)
}

/// The guest's first serial port.
#[derive(Debug)]
pub struct Attached {
    /// What the guest says, and hears.
    pub stream: UnixStream,
    /// Others are kept away until this is dropped.
    _alone: File,
}

/// Connects to the guest's first serial port, which one client at a time has.
///
/// # Errors
/// Another client is attached; the VM has ended meanwhile.
pub fn attach(name: &VmName, run: &Run) -> Result<Attached> {
    let path = socket(run, "console")?;
    let lock = path.with_file_name("attached");
    let doing = || format!("lock {}", lock.display());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let alone = options.open(&lock).map_err(Error::doing(doing()))?;
    match exclusive_at_once(&alone) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = format!("the console of {name} is attached to another terminal");
            return Err(Refusal::new(RefusalKind::Busy, text).hint("detach there first").into());
        }
        other => other.map_err(Error::doing(doing()))?,
    }
    Ok(Attached { stream: connect(path)?, _alone: alone })
}
