//! The private disk: looked at, formatted when blank, checked, mounted, grown.
//!
//! In: the options and what was observed. Out: the mounted volume, or a line that says why there is none.

use super::{
    Site, Tally, Volume, attach, check,
    check::Verdict,
    format::{self, Making},
    grow, look,
};
use crate::{failure::Failure, kernel::node, observe, patience::Patience, root::Root};
use ebbtide_format::{
    signature::{Content, FileSystem, Kind},
    units::Bytes,
};
use ebbtide_init::{
    observed::{Observed, Usage},
    options::Options,
    private_volume::{self, Decision, PrivateDisk, Refusal, Why},
    role::Role,
};
use std::io;

/// Mounts the private disk at its place; `None` when there is none, or when it cannot be used, which
/// has been told then.
pub(crate) fn set_up(
    options: &Options,
    observed: &Observed,
    site: &Site,
    tally: &mut Tally,
) -> Option<Volume> {
    match volume(options, observed, site, tally) {
        Ok(None) => None,
        Ok(Some(volume)) => Some(volume),
        Err(failure) => {
            tally.fail(&format_args!("{failure}; the boot goes on without {}", options.rw));
            None
        }
    }
}

fn volume(
    options: &Options,
    observed: &Observed,
    site: &Site,
    tally: &mut Tally,
) -> Result<Option<Volume>, Failure> {
    let Some(disk) = find(options, observed)? else {
        log::info!("no private disk, so nothing at {}", options.rw);
        return Ok(None);
    };
    if let Some(place) = &disk.mounted_at {
        // An earlier run was cut after this.
        return if *place == site.path().join(attach::below(&options.rw)).to_string_lossy() {
            Ok(Some(attach::open(site, &options.rw)?))
        } else {
            let why = Why::InUse(Usage::MountedAt(place.clone()));
            Err(Refusal::Disk { disk: disk.name, size: disk.size, why }.into())
        };
    }
    let content = look::look(&node(&disk.name), disk.size)?;
    let (found, grows) = match private_volume::decide(&disk, content, options)? {
        Decision::Leave => {
            let name = &disk.name;
            log::warn!("private disk {name} is blank and stays so, as ebbtide.format=no asks for");
            return Ok(None);
        }
        Decision::Use { file_system, grow } => (file_system, grow),
        Decision::Format { kind, size, again } => {
            if again {
                log::warn!(
                    "formatting {} was cut before anybody used it; it begins anew",
                    disk.name
                );
            }
            (make(options, site, &disk, kind, size)?, false)
        }
    };
    let verdict = match disk.read_only {
        true => Verdict::ReadOnly,
        false if found.kind.is_ext() => check::ext(site, &node(&disk.name), tally),
        false => Verdict::Writable,
    };
    attach::mount(&options.rw, site, &disk, found, verdict)?;
    let volume = attach::open(site, &options.rw)?;
    if grows
        && verdict == Verdict::Writable
        && !volume.read_only
        && let Err(error) = grow::grow(&volume.root, found, &disk.name, disk.size)
    {
        log::warn!("{error}");
    }
    Ok(Some(volume))
}

/// Finds the disk; one that the options name is waited for.
fn find(options: &Options, observed: &Observed) -> Result<Option<PrivateDisk>, Failure> {
    let mut patience = Patience::new(options.timeout);
    let mut found = private_volume::disk(options, observed);
    loop {
        match found {
            Err(refusal) if refusal.may_pass() && patience.look_again(Role::Private)? => {
                let observed = observe::observe(&Root::at("/"), options)?;
                found = private_volume::disk(options, &observed);
            }
            decided => return Ok(decided?),
        }
    }
}

/// Makes a file system, and looks whether it is there.
fn make(
    options: &Options,
    site: &Site,
    disk: &PrivateDisk,
    kind: Kind,
    size: Bytes,
) -> Result<FileSystem, Failure> {
    let (name, word) = (&disk.name, kind.word());
    log::info!("private disk {name} ({}) is blank and gets {word}", disk.size);
    let (node, disposable) = (node(name), options.disposable);
    let making = Making { disk: &node, disk_size: disk.size, kind, size, disposable };
    let failed = |why: &dyn std::fmt::Display| {
        io::Error::other(format!("private disk {name}: wanted {word} on it; {why}"))
    };
    format::format(site, &making).map_err(|error| failed(&error))?;
    match look::look(&node, disk.size)? {
        Content::FileSystem(found) => Ok(found),
        _ => Err(failed(&"mkfs reported none, and there is none").into()),
    }
}
