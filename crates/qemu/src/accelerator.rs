//! Hardware virtualisation or emulation: decided by running something, never by `/dev/kvm` being there.
//!
//! A QEMU binary goes in, an [`Accelerator`] comes out. Where KVM opens and creates its CPUs and the
//! guest still never runs, the probe's guest does not end, and the limit turns the answer to TCG.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::boot_sector;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::memory;
use crate::process::{Process, dies_with_us};

/// How long the probe's guest may take: it needs a fifth of a second under KVM, half of one emulated.
const LIMIT: Duration = Duration::from_secs(5);

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The CPU itself.
    Kvm,
    /// QEMU's emulation.
    Tcg,
}

impl Accelerator {
    /// Returns the answer of `EBBTIDE_ACCEL`, of an earlier probe since this boot, or of a new probe.
    ///
    /// # Errors
    /// When `EBBTIDE_ACCEL` names no accelerator, or the probe's files cannot be written.
    pub fn probe(qemu: &Path) -> Result<Self> {
        if let Some(wanted) = std::env::var_os("EBBTIDE_ACCEL") {
            let wanted = wanted.to_string_lossy();
            return Self::parse(&wanted).ok_or_else(|| {
                let problem = format!("{wanted:?}, not `kvm` or `tcg`");
                Error::Variable { name: "EBBTIDE_ACCEL", problem }
            });
        }
        let ask = || {
            if !Path::new("/dev/kvm").exists() {
                return Ok(Self::Tcg);
            }
            Ok(if runs(qemu, Self::Kvm, LIMIT)? { Self::Kvm } else { Self::Tcg })
        };
        let text = |answer: &Self| answer.name().to_owned();
        memory::remembered(memory::file("accelerator").as_deref(), Self::parse, ask, text)
    }

    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "kvm" => Some(Self::Kvm),
            "tcg" => Some(Self::Tcg),
            _ => None,
        }
    }

    /// Returns the CPU model for a guest, the same in every run.
    pub const fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            // Byte-wise `rep movs` is slow when emulated: a model without ERMS. That one has no instruction for random numbers
            // either, and without it a guest waits for them at every turn of a boot: a second for each identifier, of which
            // mkfs makes four.
            Self::Tcg => "Nehalem,+rdrand",
        }
    }

    /// Returns the value of QEMU's `-accel`.
    pub const fn argument(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=multi",
        }
    }

    /// Returns the name that `EBBTIDE_ACCEL` understands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// Returns whether a guest under `accelerator` gets as far as its first few instructions.
fn runs(qemu: &Path, accelerator: Accelerator, limit: Duration) -> Result<bool> {
    let dir = tempfile::tempdir().map_err(Error::io("making a folder for the probe"))?;
    let disk = dir.path().join("probe.img");
    std::fs::write(&disk, boot_sector::disk()).map_err(Error::io("writing the probe's disk"))?;

    let mut command = dies_with_us(qemu);
    command
        .args(["-M", "q35", "-accel", accelerator.name(), "-cpu", accelerator.cpu()])
        .args(["-m", "16", "-nodefaults"])
        .args(["-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-drive", "file=probe.img,format=raw"])
        .current_dir(dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let probe =
        Process::start(command).map_err(Error::io(format!("starting {}", qemu.display())))?;
    let status = probe.wait(Deadline::exactly(limit));
    probe.kill();
    Ok(status.and_then(|status| status.code()) == Some(boot_sector::EXIT_STATUS))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    /// Returns whether a script in the place of QEMU passes as a running guest.
    fn passes(script: &str, limit: Duration) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("qemu");
        std::fs::write(&fake, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
        runs(&fake, Accelerator::Kvm, limit).unwrap()
    }

    #[test]
    fn a_guest_that_never_runs_is_given_up_on_at_the_limit() {
        let begun = Instant::now();
        assert!(!passes("trap '' TERM; exec sleep 1000", Duration::from_millis(300)));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn only_the_status_of_the_boot_sector_counts() {
        let limit = Duration::from_secs(20);
        assert!(passes("exit 33", limit));
        assert!(!passes("exit 0", limit));
        assert!(!passes("echo no KVM >&2; exit 1", limit));
    }

    #[test]
    fn the_boot_sector_runs_under_emulation() {
        let Ok(qemu) = crate::program() else {
            // The tier of the machines, which needs QEMU, says that it is missing.
            return eprintln!("skipped: QEMU is not installed");
        };
        assert!(runs(&qemu, Accelerator::Tcg, Duration::from_secs(60)).unwrap());
    }
}
