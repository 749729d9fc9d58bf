//! Who is measured, and how each is run.

use crate::{Result, case::Written, limit, place::Place, run::quietly};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

/// What was written, as one contestant takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Uml,
    /// Chunks of so many bytes.
    Store(u64),
    Qcow2,
}

/// What one contestant does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// Sorted writes from memory.
    Limit { new: bool },
    /// `ebbtide cow merge`.
    Ours { new: bool, copy: bool },
    /// `uml_moo`.
    Moo { new: bool },
    /// `qemu-img commit`.
    Qemu,
}

/// One who is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contestant {
    /// As tables name it.
    pub(crate) who: &'static str,
    /// What it is compared with.
    pub(crate) limit: &'static str,
    pub(crate) data: Data,
    pub(crate) does: Does,
    /// One who takes long is measured in the first of so many rounds.
    pub(crate) every: usize,
}

const LIMIT: &str = "limit";
const LIMIT_8: &str = "limit, 8 KiB";
const LIMIT_NEW: &str = "limit, new file";
/// How often those who take long are measured.
const SELDOM: usize = 3;

/// Returns those of a case. After most of them a file system that clones needs a new backing, so there are fewer on one
/// that always writes to new places.
pub(crate) fn of(case: &str, clones: bool, moves: bool) -> Vec<Contestant> {
    use Data::{Qcow2, Store, Uml};
    let one = |who, data, does| Contestant { who, limit: LIMIT, data, does, every: 1 };
    let ours = |copy| Does::Ours { new: false, copy };
    let in_place = Does::Limit { new: false };
    let mut all = vec![
        one(LIMIT, Uml, in_place),
        one("ours, copying", Uml, ours(true)),
        one("qemu-img commit", Qcow2, Does::Qemu),
    ];
    if case != "dense" {
        all.push(one("uml_moo -d", Uml, Does::Moo { new: false }));
    } else if !clones {
        all.push(one("uml_moo -d", Uml, Does::Moo { new: false }).seldom());
    }
    if clones {
        all.push(one("ours, cloning", Uml, ours(false)));
    }
    if case != "scattered" {
        return all;
    }
    all.push(one("ours, store of 4 KiB, copying", Store(4096), ours(true)));
    if !moves {
        all.push(one(LIMIT_8, Store(8192), in_place).against(LIMIT_8));
        let eight = one("ours, store of 8 KiB, copying", Store(8192), ours(true));
        all.push(eight.against(LIMIT_8));
    }
    if clones {
        all.push(one("ours, store of 4 KiB, cloning", Store(4096), ours(false)));
    }
    if clones && !moves {
        let eight = one("ours, store of 8 KiB, cloning", Store(8192), ours(false));
        all.push(eight.against(LIMIT_8));
    }
    // Where the backing is cloned too, a new file is no more work than the pieces.
    let limit = if clones { LIMIT } else { LIMIT_NEW };
    let whole = Does::Ours { new: true, copy: false };
    all.push(one("ours, new file", Uml, whole).against(limit));
    if !clones {
        all.push(one(LIMIT_NEW, Uml, Does::Limit { new: true }).against(LIMIT_NEW));
    }
    all.push(one("uml_moo, new file", Uml, Does::Moo { new: true }).against(limit).seldom());
    all
}

impl Contestant {
    fn against(self, limit: &'static str) -> Self {
        Self { limit, ..self }
    }

    fn seldom(self) -> Self {
        Self { every: SELDOM, ..self }
    }

    /// Returns the file that it merges.
    pub(crate) fn cow(&self, place: &Place) -> PathBuf {
        match self.data {
            Data::Uml => place.uml(),
            Data::Store(chunk) => place.store(chunk),
            Data::Qcow2 => place.qcow2(),
        }
    }

    /// Returns the size of what is merged as one.
    pub(crate) fn chunk(&self) -> u64 {
        match self.data {
            Data::Store(chunk) => chunk,
            Data::Uml | Data::Qcow2 => 4096,
        }
    }

    /// Returns whether it writes to a new file.
    pub(crate) fn is_new(&self) -> bool {
        matches!(
            self.does,
            Does::Limit { new: true } | Does::Ours { new: true, .. } | Does::Moo { new: true }
        )
    }

    /// Runs it to its end. Whatever it wrote is durable when this returns.
    pub(crate) fn run(&self, place: &Place, written: &Written, ebbtide: &Path) -> Result<()> {
        let (backing, cow, out) = (place.backing(), self.cow(place), place.out());
        match self.does {
            Does::Limit { new: false } => limit::in_place(written, &backing),
            Does::Limit { new: true } => limit::new(written, &backing, &out),
            // It syncs by itself.
            Does::Ours { .. } => quietly(&mut self.ours(place, ebbtide)),
            Does::Moo { new: false } => {
                quietly(Command::new("uml_moo").arg("-d").arg(cow))?;
                Ok(File::open(backing)?.sync_all()?)
            }
            Does::Moo { new: true } => {
                quietly(Command::new("uml_moo").arg(cow).arg(&out))?;
                Ok(File::open(out)?.sync_all()?)
            }
            // `-d` keeps what was merged, as all others do.
            Does::Qemu => {
                quietly(
                    Command::new("qemu-img").args(["commit", "-q", "-d", "-f", "qcow2"]).arg(cow),
                )?;
                Ok(File::open(backing)?.sync_all()?)
            }
        }
    }

    /// Returns the command line of one of ours.
    pub(crate) fn ours(&self, place: &Place, ebbtide: &Path) -> Command {
        let mut command = Command::new(ebbtide);
        command.args(["cow", "merge"]);
        let Does::Ours { new, copy } = self.does else { return command };
        if !new {
            command.arg("--in-place");
        }
        if copy {
            command.arg("--copy");
        }
        if let Data::Store(_) = self.data {
            // The COW file beside it is of the same backing, which comes back after the merge.
            command.arg("--force").arg("--backing").arg(place.backing());
        }
        command.arg(self.cow(place));
        if new {
            command.arg(place.out());
        }
        command
    }
}
