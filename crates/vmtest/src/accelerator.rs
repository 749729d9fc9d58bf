//! Hardware virtualisation or emulation: decided by running something, never by `/dev/kvm` being there.
//!
//! A QEMU binary goes in, an [`Accelerator`] comes out. Where KVM opens and creates its CPUs and the
//! guest still never runs, the probe's guest does not end, and the limit turns the answer to TCG.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::boot_sector;
use crate::error::{Error, Result};
use crate::limit::Deadline;
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
                Error::Description(format!("EBBTIDE_ACCEL is {wanted:?}, not `kvm` or `tcg`"))
            });
        }
        remembered(answer_file().as_deref(), || {
            if !Path::new("/dev/kvm").exists() {
                return Ok(Self::Tcg);
            }
            Ok(if runs(qemu, Self::Kvm, LIMIT)? { Self::Kvm } else { Self::Tcg })
        })
    }

    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "kvm" => Some(Self::Kvm),
            "tcg" => Some(Self::Tcg),
            _ => None,
        }
    }

    /// Returns the CPU model for a guest, the same in every run.
    pub(crate) const fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            // Byte-wise `rep movs` is slow when emulated: a model without ERMS.
            Self::Tcg => "Nehalem",
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

/// Returns the file with the answer for this boot of the host, `None` where boots have no number.
fn answer_file() -> Option<PathBuf> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(std::env::temp_dir().join(format!("ebbtide-accelerator-{}", boot.trim())))
}

/// Returns the answer in `file`, or asks and writes it there.
fn remembered(
    file: Option<&Path>,
    ask: impl FnOnce() -> Result<Accelerator>,
) -> Result<Accelerator> {
    let known = file.and_then(|file| std::fs::read_to_string(file).ok());
    if let Some(answer) = known.as_deref().and_then(Accelerator::parse) {
        return Ok(answer);
    }
    let answer = ask()?;
    if let Some(file) = file {
        // Another test may read at this moment: it sees the whole answer or none. Failing to
        // write one costs the next test a probe.
        let aside = file.with_extension(std::process::id().to_string());
        let written = std::fs::write(&aside, answer.name());
        let _ = written.and_then(|()| std::fs::rename(&aside, file));
    }
    Ok(answer)
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
    let probe = Process::start(command).map_err(Error::io(format!("starting {qemu:?}")))?;
    let status = probe.wait(Deadline::exactly(limit));
    probe.kill();
    Ok(status.and_then(|status| status.code()) == Some(boot_sector::EXIT_STATUS))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
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
        let qemu = crate::require!(crate::qemu::program());
        assert!(runs(&qemu, Accelerator::Tcg, Duration::from_secs(60)).unwrap());
    }

    #[test]
    fn an_answer_is_asked_for_once_and_nonsense_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("answer");
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            Ok(Accelerator::Tcg)
        };
        for _ in 0..3 {
            assert_eq!(remembered(Some(&file), ask).unwrap(), Accelerator::Tcg);
        }
        assert_eq!(asked.get(), 1);
        std::fs::write(&file, "warp").unwrap();
        assert_eq!(remembered(Some(&file), ask).unwrap(), Accelerator::Tcg);
        assert_eq!(asked.get(), 2);
    }
}
