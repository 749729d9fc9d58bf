//! A savestate is taken: begun while the machine runs, held while it stands still, finished when it runs again.

use super::{
    FILE, FORMAT, Kind, SAVESTATES, Savestate,
    current::{Begins, ran_on, versions},
    dir_of,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{Pool, step::Step, store::Unseen},
    record as text,
    vm::{
        Guard, Still, Vm,
        aside::Aside,
        disk_uuid,
        instant::{Instant, Which, instants},
        sweep,
    },
};
use jiff::Timestamp;
use std::{io, path::Path};
use uuid::Uuid;

/// Whose savestate it is to be.
#[derive(Debug, Clone, Copy)]
pub enum Of<'a> {
    /// The VM's that runs, wanted by a person.
    Itself,
    /// That of another VM with the same versions, of which the running one was made for this.
    Hot(&'a Vm),
}

/// A savestate that is being taken, in the order of [`vm::Taking`](crate::vm::Taking).
#[derive(Debug)]
pub struct Taking {
    savestate: Savestate,
    aside: Aside,
    instant: Instant,
}

impl Taking {
    /// Makes the directory of a savestate of a VM that runs, and writes out what would be waited for later. Whoever has the
    /// VM's lock does all of this.
    ///
    /// # Errors
    /// The driver writes disks in place; a file operation fails. Nothing is there then.
    pub fn begin(pool: &Pool, guard: &Guard, of: Of<'_>) -> Result<Self> {
        let vm = pool.vm(&guard.vm().name)?;
        instants(pool, &vm)?;
        let (owner, kind) = match of {
            Of::Itself => (&vm, Kind::Manual),
            Of::Hot(owner) => (owner, Kind::Hot),
        };
        let versions = versions(pool, &vm, Begins::Then)?;
        let template = ran_on(pool, &vm)?;
        let uuid = Uuid::new_v4();
        let aside = {
            let lock = pool.lock()?;
            for sentence in sweep::asides(pool, &lock)? {
                log::warn!("{sentence}");
            }
            make_directory(pool)?;
            Aside::begin(pool, &dir_of(uuid), &lock)?
        };
        match Instant::prepare(pool, &vm, &aside.dir, Which::All) {
            Ok(instant) => {
                let savestate = Savestate {
                    format: FORMAT,
                    uuid,
                    of: owner.record.uuid,
                    vm: owner.name.clone(),
                    kind,
                    time: Timestamp::now(),
                    template,
                    versions,
                    memory: crate::vm::Memory { qemu: String::new(), machine: Vec::new() },
                    disks: Vec::new(),
                    record: owner.record.clone(),
                };
                Ok(Self { savestate, aside, instant })
            }
            Err(error) => {
                aside.discard(pool);
                Err(error)
            }
        }
    }

    /// Takes the disks and the memory of this instant: while the machine stands still. When it fails,
    /// [`Taking::discard`] follows.
    ///
    /// # Errors
    /// A file operation fails; the engine refuses.
    pub fn hold(&mut self, pool: &Pool, still: &mut dyn Still) -> Result<()> {
        self.savestate.time = Timestamp::now();
        self.instant.hold(pool, Some(still), &mut Unseen)
    }

    /// Makes what was held durable and puts it into place. Durable when it returns. A hot one is there beside the one before,
    /// which [`super::replace_hot`] removes.
    ///
    /// # Errors
    /// A file operation fails; nothing is there then, or the next command that makes or removes a VM removes it.
    pub fn finish(self, pool: &Pool) -> Result<Savestate> {
        let Self { mut savestate, aside, instant } = self;
        let made = instant.sync(pool).and_then(|(disks, memory)| {
            let Some(memory) = memory else {
                let text = "a savestate without memory is none";
                return Err(Refusal::new(RefusalKind::Unable, text).into());
            };
            savestate.memory = memory;
            savestate.disks = disks;
            for disk in &mut savestate.disks {
                disk.snapshot_of = Some(disk_uuid(savestate.of, &disk.volume));
            }
            let record = text::print(&savestate, Path::new(FILE))?;
            let lock = pool.lock()?;
            aside.finish(pool.store(), FILE, record, &lock)?;
            Ok(savestate)
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

/// Makes the directory of all savestates, where it is not there.
pub(super) fn make_directory(pool: &Pool) -> Result<()> {
    let dir = Path::new(SAVESTATES);
    let step = Step::MakeDir(dir.into());
    match pool.store().make_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(Error::doing(&step))?,
    }
    log::info!("{step}");
    let step = Step::SyncDir("".into());
    pool.store().sync_dir(Path::new("")).map_err(Error::doing(step))
}
