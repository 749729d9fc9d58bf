//! A started machine: what a test asks of it, and what it finds.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::disk::Drive;
use crate::error::{Error, Result};
use crate::limit::Deadline;
use crate::log::Log;
use crate::outcome::{Ending, Evidence, Outcome, readable};
use crate::qemu::Qemu;
use crate::run::Run;
use crate::scan::complaints;
use crate::size::Size;
use crate::stats::{self, DiskStats};
use crate::wire::{Heard, Stop};
use crate::xen::with_files;
use ::qemu::Accelerator;

/// A machine that has been switched on; dropping it pulls the plug and deletes its disks.
#[derive(Debug)]
pub struct Vm {
    // Dropped first: QEMU is gone before its files are.
    pub(crate) run: Run,
    machine: Qemu,
    program: PathBuf,
    accelerator: Accelerator,
    drives: Vec<Drive>,
    log: Log,
    starts: u32,
    /// Up to where the console of this run has been matched by `expect_…`.
    pub(crate) cursor: Mutex<usize>,
    /// How much of the console an error has shown already.
    shown: AtomicUsize,
    dir: TempDir,
}

impl Vm {
    /// Makes the drives of `machine` and switches it on.
    pub(crate) fn start(
        mut machine: Qemu,
        program: &Path,
        accelerator: Accelerator,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("vmtest-")
            .tempdir()
            .map_err(Error::io("making a folder for the machine"))?;
        let disks = machine.disks.iter().cloned().enumerate();
        let drives: Vec<Drive> = disks.map(|(n, disk)| Drive::new(disk, n, dir.path())).collect();
        drives.iter().try_for_each(|drive| drive.make(0))?;
        machine.initrd = with_files(&machine.initrd, &machine.files, dir.path())?;
        let log = Log::new()?;
        let run = Run::start(&machine, &drives, (program, accelerator), dir.path(), (&log, 0))?;
        Ok(Self {
            run,
            machine,
            program: program.to_owned(),
            accelerator,
            drives,
            log,
            starts: 1,
            cursor: Mutex::default(),
            shown: AtomicUsize::new(0),
            dir,
        })
    }

    /// Pulls the plug, unless the machine has ended, and switches the same machine on again.
    ///
    /// The volatile disk is empty again; others keep what the guest has written to them.
    ///
    /// # Errors
    /// As for the first start.
    pub fn power_cycle(&mut self) -> Result<()> {
        self.run.kill();
        self.drives.iter().try_for_each(|drive| drive.make(self.starts))?;
        let how = (self.program.as_path(), self.accelerator);
        let log = (&self.log, self.starts);
        self.run = Run::start(&self.machine, &self.drives, how, self.dir.path(), log)?;
        self.starts += 1;
        self.cursor = Mutex::default();
        self.shown = AtomicUsize::new(0);
        Ok(())
    }

    /// Like [`Vm::power_cycle`], with something else about the machine; the disks stay as they are.
    ///
    /// # Errors
    /// As for the first start.
    pub fn power_cycle_as(&mut self, change: impl FnOnce(Qemu) -> Qemu) -> Result<()> {
        let disks = self.machine.disks.clone();
        self.machine = Qemu { disks, ..change(self.machine.clone()) };
        self.power_cycle()
    }

    /// Pulls the plug.
    pub fn pull_the_plug(&self) {
        self.run.kill();
    }

    /// Presses the power button, to which only a guest that handles it reacts.
    ///
    /// # Errors
    /// When QEMU does not take the command.
    pub fn press_power_button(&self) -> Result<()> {
        Ok(self.run.monitor.system_powerdown()?)
    }

    /// Has the guest shut down in its own way and waits for the end.
    ///
    /// # Errors
    /// When it ends in another way, or not within `limit`.
    pub fn power_off_within(&self, limit: Duration) -> Result<Outcome> {
        self.send_without_reply(
            "if [ -d /run/systemd/system ]; then exec systemctl --no-block poweroff; fi\n\
             sync; poweroff -f || busybox poweroff -f || echo o > /proc/sysrq-trigger",
        )?;
        self.wait_for_end(limit).powered_off()
    }

    /// Waits for the machine to end by itself.
    pub fn wait_for_end(&self, limit: Duration) -> Outcome {
        let deadline = Deadline::after(limit);
        let stop = self.run.wire.wait(&self.machine.fatal, deadline, |_| None::<()>);
        let ending = stop.map_or_else(|stop| self.ending(stop), |()| Ending::TimeLimit);
        if !matches!(ending, Ending::PoweredOff | Ending::Reset) {
            self.log.keep();
        }
        let (waited, evidence) = (deadline.waited(), self.last_lines());
        Outcome { ending, waited, console: self.console(), evidence }
    }

    /// Waits for something in what is heard from the guest.
    pub(crate) fn wait<T>(
        &self,
        deadline: Deadline,
        wanted: impl FnOnce() -> String,
        look: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T> {
        self.run.wire.wait(&self.machine.fatal, deadline, look).map_err(|stop| Error::Waited {
            wanted: wanted(),
            ending: self.ending(stop),
            waited: deadline.waited(),
            evidence: self.evidence(),
        })
    }

    fn ending(&self, stop: Stop) -> Ending {
        match stop {
            Stop::Closed => self.run.ending(&self.machine.fatal),
            Stop::GaveUp(line) => Ending::Panicked(line),
            Stop::TimeLimit => Ending::TimeLimit,
        }
    }

    /// Returns the console's last lines for an error; it names the log, so that is kept.
    pub(crate) fn evidence(&self) -> Evidence {
        self.log.keep();
        let evidence = self.last_lines();
        self.shown.store(self.run.wire.lock().console.len(), Ordering::Relaxed);
        evidence
    }

    fn last_lines(&self) -> Evidence {
        Evidence::new(&self.run.wire.lock().console, self.log.path().to_owned())
    }

    /// Returns the console text of this run, without terminal control.
    pub fn console(&self) -> String {
        readable(&self.run.wire.lock().console)
    }

    /// Returns the file with the console of all runs; it stays when the test fails.
    pub fn console_log(&self) -> &Path {
        self.log.path()
    }

    /// Checks that the kernel has not complained in any run so far.
    ///
    /// # Errors
    /// `Complaints` with the lines.
    pub fn kernel_log_is_clean(&self) -> Result<()> {
        self.kernel_log_is_clean_except(&[])
    }

    /// Checks that the kernel's complaints all hold one of the `allowed` texts.
    ///
    /// # Errors
    /// `Complaints` with the lines that hold none.
    pub fn kernel_log_is_clean_except(&self, allowed: &[&str]) -> Result<()> {
        let lines = complaints(&self.log.read()?, allowed);
        if lines.is_empty() {
            return Ok(());
        }
        Err(Error::Complaints { lines, evidence: self.evidence() })
    }

    /// Returns the disk with this serial, or `diskN` for the one at place N without a serial.
    ///
    /// # Errors
    /// When there is none, with the names that there are.
    pub fn drive(&self, name: &str) -> Result<&Drive> {
        self.drives.iter().find(|drive| drive.name() == name).ok_or_else(|| {
            let names: Vec<&str> = self.drives.iter().map(Drive::name).collect();
            Error::Description(format!("there is no disk {name}, only {}", names.join(", ")))
        })
    }

    /// Returns what the guest has read from and written to a disk in this run.
    ///
    /// # Errors
    /// When there is no such disk, or the machine has ended.
    pub fn disk_stats(&self, name: &str) -> Result<DiskStats> {
        stats::of(&self.run.monitor, &self.drive(name)?.node)
    }

    /// Sets the size of a disk while the guest runs.
    ///
    /// # Errors
    /// When there is no such disk, or QEMU refuses.
    pub fn resize_disk(&self, name: &str, size: Size) -> Result<()> {
        Ok(self.run.monitor.block_resize(&self.drive(name)?.node, size.as_bytes())?)
    }

    /// Returns what runs the guest's instructions: times under emulation are good as ratios only.
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// Returns the instant of the last power on.
    pub fn powered_on(&self) -> Instant {
        self.run.powered_on
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.run.kill();
        if !std::thread::panicking() {
            return;
        }
        let heard = self.run.wire.lock().console.len();
        if heard == self.shown.load(Ordering::Relaxed) {
            eprintln!("console of {}: {}", self.machine.name, self.log.path().display());
            return;
        }
        let evidence = self.last_lines();
        eprintln!("console of {}, start {}:\n{evidence}", self.machine.name, self.starts);
    }
}
