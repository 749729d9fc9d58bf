//! Who starts and stops an AppVM, its root alone or all of its disks.

use super::{
    Result,
    around::{prepare, release},
};
use ebbtide::{
    name::{VmName, VolumeName},
    pool::{
        Pool,
        driver::{Access, Ending, Volume},
    },
};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// Who, and which disks.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    /// The driver, root alone.
    DriverRoot,
    /// The script, root alone.
    ScriptRoot,
    /// The library, all disks.
    LibraryAll,
    /// The program, all disks.
    ProgramAll,
    /// The script, all disks.
    ScriptAll,
}

/// In their order of the first round.
pub(crate) const ALL: [Who; 5] =
    [Who::DriverRoot, Who::ScriptRoot, Who::LibraryAll, Who::ProgramAll, Who::ScriptAll];

/// The pool, and what both programs need to know.
pub(crate) struct Hands {
    pool: Pool,
    ebbtide: PathBuf,
    peer: PathBuf,
}

impl Who {
    /// Returns the two words by which the figures are known.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DriverRoot => "driver root",
            Self::ScriptRoot => "script root",
            Self::LibraryAll => "library all",
            Self::ProgramAll => "program all",
            Self::ScriptAll => "script all",
        }
    }
}

impl Hands {
    /// Opens the pool once, as a process does that starts several.
    pub(crate) fn new(dir: &std::path::Path, ebbtide: &str, peer: &str) -> Result<Self> {
        Ok(Self { pool: Pool::open(dir)?, ebbtide: ebbtide.into(), peer: peer.into() })
    }

    fn root(&self, name: &str) -> Result<Volume> {
        let name: VmName = name.parse()?;
        Ok(self.pool.vm(&name)?.volume(&self.pool, &VolumeName::root())?)
    }

    /// Returns what starts, or stops, an AppVM; whatever need not be in the time is done by now.
    pub(crate) fn ready<'a>(
        &'a self,
        who: Who,
        start: bool,
        name: &'static str,
        template: &str,
    ) -> Result<Box<dyn FnOnce() -> Result<()> + 'a>> {
        let vm: VmName = name.parse()?;
        Ok(match who {
            Who::DriverRoot => {
                let (root, driver) = (self.root(name)?, self.pool.driver());
                Box::new(move || {
                    if start {
                        driver.start(&root, Access::Shared)?;
                    } else {
                        driver.stop(&root, Ending::Discard)?;
                    }
                    Ok(())
                })
            }
            Who::LibraryAll if start => Box::new(move || prepare(&self.pool, &vm)),
            Who::LibraryAll => Box::new(move || release(&self.pool, &vm)),
            Who::ProgramAll => {
                let mut command = Command::new(&self.ebbtide);
                command.arg("--pool").arg(self.pool.dir()).arg("vm");
                command.args([if start { "prepare" } else { "release" }, name]);
                Box::new(move || run(command))
            }
            Who::ScriptRoot | Who::ScriptAll => {
                let mut command = Command::new("dash");
                command.arg("-e").arg(&self.peer);
                command.arg(if start { "start" } else { "stop" });
                command.arg(if matches!(who, Who::ScriptRoot) { "root" } else { "all" });
                command.arg(self.pool.dir().join("vm-templates").join(template));
                command.arg(self.pool.dir().join("appvms").join(name));
                let volatile = self.pool.vm(&vm)?.volume(&self.pool, &VolumeName::volatile())?;
                command.env("VOLATILE", volatile.size.0.to_string());
                Box::new(move || run(command))
            }
        })
    }
}

fn run(mut command: Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
