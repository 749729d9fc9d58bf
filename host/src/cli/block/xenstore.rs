//! Xen's side of a disk, by the toolstack's own programs: what it wants is in the store, and so is the answer.
//!
//! A block script is called as `SCRIPT add` or `SCRIPT remove` with `XENBUS_PATH`, the directory of the disk's backend.
//! There it finds `params`, and leaves `physical-device`, the number of a block device in hexadecimal, and
//! `hotplug-status`. Sources: Xen's docs/misc/block-scripts.txt and tools/hotplug/Linux/block-common.sh.

use ebbtide::{Error, Result, pool::driver::Ending};
use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
};

/// The directory of a disk's backend in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend(String);

/// Why a domain lets its disks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It has shut down, or starts again.
    ShutDown,
    /// It was saved: it comes back with the disks that it had.
    Saved,
    /// It was destroyed, it crashed, the disk was taken from it while it runs; or nobody knows.
    CutOff,
}

impl Left {
    /// Returns how its VM ends; `None` for one that stays as it is.
    pub(super) const fn ending(self) -> Option<Ending> {
        match self {
            Self::ShutDown => Some(Ending::Commit),
            Self::Saved => None,
            Self::CutOff => Some(Ending::Keep),
        }
    }
}

impl Backend {
    /// Returns the one that the toolstack calls for.
    pub(super) fn of_environment() -> Option<Self> {
        let path = env::var("XENBUS_PATH").ok().filter(|path| !path.is_empty());
        path.map(Self)
    }

    pub(super) fn path(&self) -> &str {
        &self.0
    }

    /// Reads a value.
    ///
    /// # Errors
    /// It is not there; the program is not.
    pub(super) fn read(&self, key: &str) -> Result<String> {
        let said = run("xenstore-read", &[&self.at(key)])?;
        Ok(said.strip_suffix('\n').unwrap_or(&said).into())
    }

    /// Tells the toolstack which device the disk is.
    ///
    /// # Errors
    /// It is no device; the store is not written.
    pub(super) fn connected(&self, device: &Path) -> Result<()> {
        let found = fs::metadata(device);
        let number = found.map_err(Error::doing(format!("look at {}", device.display())))?.rdev();
        let number =
            format!("{:x}:{:x}", nix::sys::stat::major(number), nix::sys::stat::minor(number));
        let path = device.display().to_string();
        self.write(&[
            ("node", &path),
            ("physical-device-path", &path),
            ("physical-device", &number),
        ])?;
        self.write(&[("hotplug-status", "connected")])
    }

    /// Tells the toolstack why there is no disk.
    pub(super) fn failed(&self, why: &str) {
        let told = self.write(&[("hotplug-error", why), ("hotplug-status", "error")]);
        if let Err(error) = told {
            log::warn!("{}", error.chain());
        }
    }

    fn write(&self, values: &[(&str, &str)]) -> Result<()> {
        let words: Vec<String> =
            values.iter().flat_map(|(key, value)| [self.at(key), (*value).into()]).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run("xenstore-write", &words).map(drop)
    }

    fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.0)
    }

    /// Asks the toolstack why the domain lets this disk go.
    pub(super) fn left(&self) -> Left {
        let Some(domain) = self.domain() else { return Left::CutOff };
        match run("xl", &["list", "-v", domain]) {
            Ok(text) => left(&text),
            Err(error) => {
                log::warn!("why domain {domain} ended is not known: {}", error.chain());
                Left::CutOff
            }
        }
    }

    /// Returns the domain's number: `…/backend/vbd/DOMAIN/DISK`.
    fn domain(&self) -> Option<&str> {
        self.0.rsplit('/').nth(1).filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// Reads the line of a domain in `xl list -v`: the fourth letter of its state is an `s` once it has shut down, and then the
/// column `Reason-Code` says why, by the numbers of Xen's public/sched.h.
fn left(text: &str) -> Left {
    let mut lines = text.lines();
    let Some(header) = lines.next() else { return Left::CutOff };
    let Some(line) = lines.next() else { return Left::CutOff };
    // From the right, since a name may have blanks: label, reason, UUID, time, state.
    let mut words = line.rsplit(char::is_whitespace).filter(|word| !word.is_empty());
    let reason = words.nth(1).unwrap_or_default();
    let state = words.nth(2).unwrap_or_default();
    match (header.contains("Reason-Code") && state.as_bytes().get(3) == Some(&b's'), reason) {
        (true, "0" | "1") => Left::ShutDown,
        (true, "2") => Left::Saved,
        _ => Left::CutOff,
    }
}

/// Runs one of the toolstack's programs, and returns what it printed.
fn run(program: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(Error::doing(format!("run {program}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = match said.trim() {
        "" => format!("{} ended with {}", words.join(" "), output.status),
        said => said.into(),
    };
    Err(Error::Program { program: program.into(), said })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)\tUUID                                Reason-Code\tSecurity Label\n";

    fn listed(state: &str, reason: &str) -> String {
        format!(
            "{HEAD}s s s---s--                                         3   128     1     {state}       1.2 12345678-1234-1234-1234-123456789abc        {reason:>4}                -\n"
        )
    }

    #[test]
    fn only_a_guest_that_has_shut_down_is_committed() {
        assert_eq!(left(&listed("--ps--", "0")), Left::ShutDown);
        assert_eq!(left(&listed("---sr-", "1")), Left::ShutDown);
        assert_eq!(left(&listed("--pss-", "2")), Left::Saved);
        for (state, reason) in [
            ("---sc-", "3"),
            ("---sw-", "4"),
            ("-b----", "-"),
            ("--p---", "-"),
            ("r-----", "0"),
            ("-----d", "-"),
        ] {
            assert_eq!(left(&listed(state, reason)), Left::CutOff, "{state} {reason}");
        }
        for text in ["", HEAD, "nonsense\n---s-- 1 2 0\n"] {
            assert_eq!(left(text), Left::CutOff, "{text:?}");
        }
        assert_eq!(Left::CutOff.ending(), Some(Ending::Keep));
    }

    #[test]
    fn the_domain_is_in_the_path() {
        let domain = |path: &str| Backend(path.into()).domain().map(str::to_owned);
        assert_eq!(domain("/local/domain/0/backend/vbd/7/51712").as_deref(), Some("7"));
        assert_eq!(domain("backend/vbd/7/51712").as_deref(), Some("7"));
        assert_eq!(domain("vbd/x/51712"), None);
    }
}
