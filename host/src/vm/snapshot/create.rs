//! A snapshot is taken: begun while the VM may run, held while it stands still, finished while it may run again.

use super::{FILE, FORMAT, Snapshot, clone::copy_kernel};
use crate::{
    error::{Refusal, RefusalKind, Result},
    pool::{Pool, SNAPSHOTS, store::Progress},
    record as text,
    vm::{
        self, Guard, Still, Vm,
        aside::Aside,
        instant::{Instant, Which, instants},
        sweep,
    },
};
use jiff::Timestamp;
use std::path::Path;
use uuid::Uuid;

/// A snapshot that is being taken.
///
/// ```text
/// let mut taking = Taking::begin(pool, guard, label, is_with_memory)?;    // the machine runs
/// let held = taking.hold(pool, still, progress);                          // it stands still
/// match held { Ok(()) => taking.finish(pool)?, Err(_) => taking.discard(pool) }    // it runs again
/// ```
#[derive(Debug)]
pub struct Taking {
    uuid: Uuid,
    label: Option<String>,
    vm: Vm,
    aside: Aside,
    instant: Instant,
    time: Timestamp,
}

impl Taking {
    /// Makes the directory of a snapshot of the disks that a VM keeps, and with memory of all that its machine has, and
    /// writes out what would be waited for later. Whoever has the VM's lock does all of this.
    ///
    /// # Errors
    /// The driver writes disks in place; the label is none; a file operation fails. Nothing is there then.
    pub fn begin(
        pool: &Pool,
        guard: &Guard,
        label: Option<&str>,
        is_with_memory: bool,
    ) -> Result<Self> {
        label.map_or(Ok(()), check_label)?;
        let vm = pool.vm(&guard.vm().name)?;
        instants(pool, &vm)?;
        let uuid = Uuid::new_v4();
        let aside = {
            let lock = pool.lock()?;
            for sentence in sweep::asides(pool, &lock)? {
                log::warn!("{sentence}");
            }
            Aside::begin(pool, &Path::new(SNAPSHOTS).join(uuid.to_string()), &lock)?
        };
        let which = if is_with_memory { Which::All } else { Which::Kept };
        let begun = copy_kernel(pool, &vm.dir, &aside.dir)
            .and_then(|()| Instant::prepare(pool, &vm, &aside.dir, which));
        match begun {
            Ok(instant) => {
                let (label, time) = (label.map(Into::into), Timestamp::now());
                Ok(Self { uuid, label, vm, aside, instant, time })
            }
            Err(error) => {
                aside.discard(pool);
                Err(error)
            }
        }
    }

    /// Takes the disks of this instant, and the machine's memory where there is an engine that saves it: while nobody
    /// writes to the disks. When it fails, [`Taking::discard`] follows.
    ///
    /// # Errors
    /// A file operation fails; the engine refuses.
    pub fn hold(
        &mut self,
        pool: &Pool,
        still: Option<&mut dyn Still>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.time = Timestamp::now();
        self.instant.hold(pool, still, progress)
    }

    /// Makes what was held durable, puts it into place, and makes it what the VM's disks began with. Durable when it
    /// returns.
    ///
    /// # Errors
    /// A file operation fails; nothing is there then, or the next command that makes or removes a VM removes it. When that
    /// was the last one, the snapshot is there, and the VM does not say so.
    pub fn finish(self, pool: &Pool) -> Result<Snapshot> {
        let Self { uuid, label, vm, aside, instant, time } = self;
        let made = instant.sync(pool).and_then(|(disks, memory)| {
            let lock = pool.lock()?;
            // Others remove snapshots while the machine runs.
            let mut now = pool.vm(&vm.name)?;
            let parent = now.record.parent;
            let snapshot = Snapshot {
                format: FORMAT,
                uuid,
                vm: vm.name,
                snapshot_of: Some(vm.record.uuid),
                parent,
                label,
                time,
                memory,
                disks,
                record: vm::Record { parent, ..vm.record },
            };
            let record = text::print(&snapshot, Path::new(FILE))?;
            aside.finish(pool.store(), FILE, record, &lock)?;
            now.record.parent = Some(uuid);
            vm::rewrite(pool, &now, &lock)?;
            Ok(snapshot)
        });
        if made.is_err() {
            aside.discard(pool);
        }
        made
    }

    /// Removes what was begun.
    pub fn discard(self, pool: &Pool) {
        self.aside.discard(pool);
    }
}

/// Checks that a label can be shown, and be told from a UUID.
fn check_label(label: &str) -> Result<(), Refusal> {
    let problem = if label.is_empty() {
        "it is empty"
    } else if label.chars().any(char::is_control) {
        "it has a control character"
    } else if label.parse::<Uuid>().is_ok() {
        "it is a UUID"
    } else {
        return Ok(());
    };
    Err(Refusal::new(RefusalKind::Invalid, format!("{label:?} is no label: {problem}")))
}

/// Takes a snapshot of the disks that a VM keeps, and with an engine that saves its memory of all that its machine has.
/// Whoever has the VM's lock takes it, so the disks are of one instant: of a VM that does not run, or whose engine has
/// paused it. Durable when it returns.
///
/// # Errors
/// As for the parts of [`Taking`].
pub fn snapshot(
    pool: &Pool,
    guard: &Guard,
    label: Option<&str>,
    still: Option<&mut dyn Still>,
    progress: &mut dyn Progress,
) -> Result<Snapshot> {
    let mut taking = Taking::begin(pool, guard, label, still.is_some())?;
    match taking.hold(pool, still, progress) {
        Ok(()) => taking.finish(pool),
        Err(error) => {
            taking.discard(pool);
            Err(error)
        }
    }
}
