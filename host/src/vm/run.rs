//! `run.toml`: who runs a VM, since when, and in which boot of the machine.

use super::{Guard, Vm};
use crate::{
    error::{Error, Result},
    pool::{Pool, record::replace},
    record as text,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::OnceLock};
use uuid::Uuid;

/// The file's name in the directory of the VM.
pub(crate) const FILE: &str = "run.toml";
/// The version of the format that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;
/// The engine's name of whoever runs a VM with something that is not ours.
pub const PREPARE: &str = "prepare";
/// That of a toolstack which attaches disk after disk: the first prepares the VM, the last releases it.
pub const HOTPLUG: &str = "hotplug";

/// Who runs a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Always 1; a record with a larger one is refused.
    pub format: u32,
    /// The engine, `qemu`, or [`PREPARE`].
    pub engine: String,
    /// The engine's process, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The boot of the machine.
    pub boot: Uuid,
    /// The machine, by its `/etc/machine-id`; `None` where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The machine's name at that time, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When it was started.
    pub since: Timestamp,
    /// The savestate or snapshot that the machine goes on from; `None` where it began from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Uuid>,
    /// Whether a machine that goes on from there has not been let run yet: all on its disks is another's. It is written
    /// before the disks are made, and taken back before the machine runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands: bool,
    /// Sockets of the engine, by what they are for: `qmp`, `console`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sockets: BTreeMap<String, PathBuf>,
    /// The disks: serial and path. [`super::prepare`] writes them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disks: BTreeMap<String, PathBuf>,
    /// What has which disk attached, by the serial: the toolstack's own name for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attached: BTreeMap<String, String>,
}

impl Run {
    /// Returns whether whoever runs it is not ours, so that no lock tells how long it does.
    #[must_use]
    pub fn is_of_others(&self) -> bool {
        matches!(self.engine.as_str(), PREPARE | HOTPLUG)
    }

    /// Returns whether another machine that has the same pool ran it. Nothing here tells whether it still does: `flock`
    /// may end at the machine, as on OCFS2 or an NFS mount with `local_lock`.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        match (self.machine.as_deref(), machine_id()) {
            (Some(theirs), Some(ours)) => theirs != ours,
            _ => false,
        }
    }

    /// Returns what is known before anything runs: the engine, now, this boot and this machine.
    ///
    /// # Errors
    /// The machine does not tell which boot it is.
    pub fn new(engine: &str) -> Result<Self> {
        Ok(Self {
            format: FORMAT,
            engine: engine.into(),
            pid: None,
            boot: boot_id()?,
            machine: machine_id().map(Into::into),
            host: line("/proc/sys/kernel/hostname"),
            since: Timestamp::now(),
            resumed: None,
            stands: false,
            sockets: BTreeMap::new(),
            disks: BTreeMap::new(),
            attached: BTreeMap::new(),
        })
    }
}

/// Returns which boot of the machine this is, which a process asks once.
///
/// # Errors
/// `/proc` is not there, or does not say.
pub fn boot_id() -> Result<Uuid> {
    static BOOT: OnceLock<Uuid> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(*boot);
    }
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).map_err(Error::doing(format!("read {path}")))?;
    let boot = text.trim().parse().map_err(|_| Error::Unreadable {
        path: path.into(),
        problem: format!("wanted a UUID, found {:?}", text.trim()),
    })?;
    Ok(*BOOT.get_or_init(|| boot))
}

/// Returns which machine this is, which a process asks once. `None` where nobody has said.
fn machine_id() -> Option<&'static str> {
    static MACHINE: OnceLock<Option<String>> = OnceLock::new();
    let read = || line("/etc/machine-id").filter(|id| id != "uninitialized");
    MACHINE.get_or_init(read).as_deref()
}

/// Returns the line in a file of the machine, if there is one.
fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Replaces what is known about the run of a VM, such as the engine's process once it has one. Durable.
///
/// # Errors
/// Names the operation that failed.
pub fn write_run(pool: &Pool, guard: &Guard, run: &Run) -> Result<()> {
    let file = guard.vm().dir.join(FILE);
    replace(pool.store(), &file, text::print(run, &file)?)
}

/// Says that a machine that goes on from elsewhere runs from now on: what is on its disks is the VM's. Durable.
///
/// # Errors
/// Names the operation that failed; the machine must not run then.
pub fn goes_on(pool: &Pool, guard: &Guard) -> Result<()> {
    match read_run(pool, guard.vm())? {
        Some(run) if run.stands => write_run(pool, guard, &Run { stands: false, ..run }),
        _ => Ok(()),
    }
}

/// Returns who runs a VM, or ran it when it was cut off.
pub(crate) fn read_run(pool: &Pool, vm: &Vm) -> Result<Option<Run>> {
    let file = vm.dir.join(FILE);
    let content = match pool.store().read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(Error::doing(format!("read {}", file.display())))?,
    };
    text::parse(&content, &pool.store().real(&file), FORMAT).map(Some)
}
