//! A run is over: its volumes are stopped as QEMU ended, and everybody is told what became of them.

use super::Started;
use crate::{
    engine::qemu::{
        control::Control,
        ending::{FORCED, Seen, decide, how_ended},
        news::{Failure, News, Report},
        ready,
    },
    name::VmName,
    pool::driver::Ending,
    vm::{self, Instance},
};

impl Started<'_> {
    /// Returns whether the VM goes when it has ended, by what its record says now.
    pub(super) fn is_volatile(&self) -> bool {
        self.pool.vm(&self.guard.vm().name).is_ok_and(|vm| vm.record.flags.volatile)
    }

    /// Returns of which VM it was a disposable that stood ready, if it was one and nobody ended it. Of one that has never
    /// stood whoever has it started is told.
    fn stood_ready(&self, seen: Seen<'_>) -> Option<VmName> {
        if seen.ran || !self.has_stood || seen.reason == Some(FORCED) {
            return None;
        }
        let record = self.pool.vm(&self.guard.vm().name).ok()?.record;
        record.base.filter(|_| record.flags.instance == Some(Instance::Ready))
    }

    /// Stops the volumes as QEMU's end was, lets the VM go, and tells everybody.
    pub(super) fn settle(self, seen: Seen<'_>, control: &mut Control) -> Option<VmName> {
        let (mut ending, cut) = self.begun.written.confirm(decide(seen));
        if self.begun.goes_on && !seen.ran {
            // Its disks are those of another machine, which did not go on.
            ending = Ending::Discard;
        }
        log::info!("{} ended: {}", self.guard.vm().name, cut.as_deref().unwrap_or("it shut down"));
        let stood_ready = self.stood_ready(seen);
        let failed = cut.is_some() && seen.reason != Some(FORCED);
        let log = failed.then(|| self.runtime.log());
        // That it was never let run is what is expected of one that stands ready.
        let why = how_ended(seen).unwrap_or_else(|| "it shut down".into());
        let mut report = Report::new(cut, log);
        match vm::release(self.pool, &self.guard, ending) {
            Ok(volumes) => report.tell(&volumes),
            Err(error) => {
                let failure = Failure::from(&error);
                log::error!("{failure}");
                report.failure = Some(failure);
            }
        }
        if report.log.is_some() {
            self.runtime.keep_log();
        } else if let Err(error) = self.runtime.remove() {
            log::warn!("{error}");
        }
        let name = self.guard.vm().name.clone();
        let Self { pool, guard, begun, .. } = self;
        // The lock last: whoever has it may make the directory anew.
        drop((begun, guard));
        match vm::follow_up(pool) {
            Ok(said) => report.said = said,
            Err(error) => log::warn!(
                "what the end of {name} made possible is not done yet: {}",
                error.chain()
            ),
        }
        control.tell(&News::Ended(report));
        if let Some(of) = stood_ready {
            ready::tell_failed(pool, &of, &format!("{name} stood ready, and has ended: {why}"));
            return Some(of);
        }
        if ending != Ending::Keep
            && pool.vm(&name).is_ok()
            && let Err(error) = vm::precache(pool, &name)
        {
            log::warn!("the next start of {name} is not prepared: {error}");
        }
        (ending == Ending::Commit).then_some(name)
    }
}
