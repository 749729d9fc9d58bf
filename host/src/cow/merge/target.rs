//! What a merge goes to: nothing that is there is written over, but for a device that is given on purpose.

use super::{Options, Sources};
use crate::{
    Error, Result,
    cow::{Disk, in_use},
    error::{Refusal, RefusalKind},
};
use ebbtide_format::units::Bytes;
use std::{fs, io, os::unix::fs::FileTypeExt as _, path::Path};

/// What a merge goes to.
pub(super) enum Target {
    /// A file that is to be made.
    New,
    /// A device, open to be written, from which others are kept.
    Device(Disk, in_use::Held),
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Backing,
    Cow,
    Device,
    Other,
}

/// Returns what a merge goes to.
///
/// # Errors
/// Something is there that is not to be written over; the device is in use, or too small.
pub(super) fn target(options: &Options<'_>, sources: &Sources) -> Result<Target> {
    let out = options.out;
    let seen = look(out, sources)?;
    decide(seen, options.force, out)?;
    if seen == Seen::Nothing {
        return Ok(Target::New);
    }
    let device = Disk::open_to_write(out)?;
    fits(sources.backing.size(), device.size, out)?;
    let held = in_use::hold(&device, in_use::Others::MayNot)?;
    Ok(Target::Device(device, held))
}

/// Looks at what has the name, or what that is a link to.
pub(in crate::cow) fn is_free(out: &Path) -> Result<bool> {
    match out.symlink_metadata() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::doing(format_args!("look at {}", out.display()))(error)),
    }
}

fn look(out: &Path, sources: &Sources) -> Result<Seen> {
    if is_free(out)? {
        return Ok(Seen::Nothing);
    }
    // A link that leads nowhere has the name all the same.
    let Ok(found) = fs::metadata(out) else { return Ok(Seen::Other) };
    Ok(match found.file_type() {
        _ if sources.backing.disk.is(&found) => Seen::Backing,
        _ if sources.cow.disk.is(&found) => Seen::Cow,
        kind if kind.is_block_device() => Seen::Device,
        _ => Seen::Other,
    })
}

fn decide(seen: Seen, force: bool, out: &Path) -> Result<(), Refusal> {
    let out = out.display();
    let rule = |text: String| Refusal::new(RefusalKind::Rule, text);
    Err(match seen {
        Seen::Nothing => return Ok(()),
        Seen::Device if force => return Ok(()),
        Seen::Backing => {
            rule(format!("{out} is the backing, which a merge to a new file only reads"))
                .hint("'ebbtide cow merge --in-place COW' merges into the backing itself")
        }
        Seen::Cow => rule(format!("{out} is the COW file itself, which a merge only reads"))
            .hint("give a name that is free"),
        Seen::Device => rule(format!("{out} is a block device, and would be written over"))
            .hint("--force writes over it"),
        Seen::Other => exists(&out.to_string()),
    })
}

/// Returns the refusal of a name that is taken.
pub(in crate::cow) fn exists(out: &str) -> Refusal {
    let text = format!("{out} is there already, and is not written over");
    Refusal::new(RefusalKind::Exists, text).hint("give a name that is free")
}

/// Asserts that a device has room for an image. What is behind the image stays.
fn fits(image: Bytes, device: Bytes, out: &Path) -> Result<(), Refusal> {
    if image <= device {
        return Ok(());
    }
    let text = format!("the merged image has {image}; {} has {device}", out.display());
    Err(Refusal::new(RefusalKind::Unable, text).hint("give a device that is large enough"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_there_is_written_over_but_a_device_on_purpose() {
        let allowed = |seen, force| decide(seen, force, Path::new("out")).is_ok();
        for force in [false, true] {
            assert!(allowed(Seen::Nothing, force));
            assert_eq!(allowed(Seen::Device, force), force);
            for seen in [Seen::Backing, Seen::Cow, Seen::Other] {
                assert!(!allowed(seen, force), "{seen:?}");
            }
        }
    }

    #[test]
    fn a_device_is_at_least_as_large_as_the_image() {
        let out = Path::new("out");
        assert!(fits(Bytes(512), Bytes(512), out).is_ok());
        assert!(fits(Bytes(512), Bytes(1024), out).is_ok());
        assert!(fits(Bytes(1024), Bytes(512), out).is_err());
    }
}
