//! A start, as whoever asks for it sees it.

use super::{
    news::{Heard, News, Report, Request, say},
    stop::end_unstarted,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::Pool,
    vm::{self, Status},
};
use ebbtide_sys::inherited::keep_descriptors;
use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

/// A VM that is ready and stands still. When this is dropped, the VM ends, and nothing of it is left.
#[derive(Debug)]
pub struct Ready<'a> {
    pool: &'a Pool,
    name: VmName,
    stream: UnixStream,
    heard: Heard,
}

/// Somebody who waits for the end of a VM.
#[derive(Debug)]
pub struct Watch {
    pub(super) stream: UnixStream,
    pub(super) heard: Heard,
}

/// Has a VM started by `supervisor`, a program that calls [`super::supervise`] with its standard output as the asker.
/// `said` is called with each thing that was settled on the way.
///
/// # Errors
/// Why it is not started. Nothing is left of it then.
pub fn start<'a>(
    pool: &'a Pool,
    name: &VmName,
    mut supervisor: Command,
    said: &mut dyn FnMut(&str),
) -> Result<Ready<'a>> {
    let doing = || format!("start a supervisor for {name}");
    let (ours, theirs) = UnixStream::pair().map_err(Error::doing(doing()))?;
    supervisor.stdin(Stdio::null()).stdout(OwnedFd::from(theirs));
    // Whoever waits for the end of a descriptor of ours does not wait for the machine's.
    keep_descriptors().map_err(Error::doing(doing()))?;
    supervisor.spawn().map_err(Error::doing(doing()))?;
    // The command has a copy of the supervisor's end, and that one must close with it.
    drop(supervisor);
    let mut heard = Heard::new(&ours)?;
    let mut name = name.clone();
    loop {
        match heard.next() {
            Some(News::Named(found)) => name = found,
            Some(News::Said(sentence)) => said(&sentence),
            Some(News::Started(_)) => {
                return Ok(Ready { pool, name, stream: ours, heard });
            }
            Some(News::Failed(failure)) => return Err(failure.into()),
            Some(News::Ended(report)) => return Err(ended(&name, report).into()),
            Some(_) => {}
            None => return Err(gone(pool, &name)),
        }
    }
}

impl Ready<'_> {
    /// Returns the VM that is ready.
    #[must_use]
    pub fn name(&self) -> &VmName {
        &self.name
    }

    /// Lets the machine run; it goes on without this process.
    ///
    /// # Errors
    /// It has ended before it ran.
    pub fn go(mut self) -> Result<Watch> {
        say(&self.stream, &Request::Go);
        loop {
            match self.heard.next() {
                Some(News::Running) => {
                    return Ok(Watch { stream: self.stream, heard: self.heard });
                }
                Some(News::Ended(report)) => return Err(ended(&self.name, report).into()),
                Some(_) => {}
                None => return Err(gone(self.pool, &self.name)),
            }
        }
    }
}

impl Watch {
    /// Waits until the VM has ended and its volumes are stopped; `None` when nobody is left who does that.
    pub fn ended(&mut self) -> Option<Report> {
        loop {
            if let News::Ended(report) = self.heard.next()? {
                return Some(report);
            }
        }
    }

    /// Asks the guest to shut down.
    pub fn power_down(&self) {
        say(&self.stream, &Request::Powerdown);
    }
}

fn ended(name: &VmName, report: Report) -> Refusal {
    let why = report.cut.unwrap_or_else(|| "the guest shut down".into());
    Refusal::new(RefusalKind::Unable, format!("{name} has ended already: {why}"))
}

/// Ends what a supervisor that was killed has left, where it has not let it run.
fn gone(pool: &Pool, name: &VmName) -> Error {
    if let Ok(Status::Running(run)) = pool.vm(name).and_then(|vm| vm::status(pool, &vm)) {
        end_unstarted(&run);
    }
    let text = format!("the supervisor of {name} ended before it said that the VM runs");
    let hint = format!("'ebbtide stop {name}' ends and settles what is left");
    Refusal::new(RefusalKind::Unable, text).hint(hint).into()
}
