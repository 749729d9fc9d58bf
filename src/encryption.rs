//! A partition under encryption: its key, its device and the link to that, made and removed.

use crate::{
    events,
    kernel::{make_folder, node},
    mapper::Mapper,
    root::named,
};
use ebbtide_format::dm_table::Crypt;
use ebbtide_init::encrypted::Encrypted;
use ebbtide_sys::{key::Key, keyring};
use std::{ffi::CString, fs, io, os::unix::fs::symlink, path::Path, time::Duration};

/// Sets one part up; when that fails, nothing of it is left.
///
/// The key goes from the kernel's random source to the kernel's keyring, and nowhere else.
pub(crate) fn set_up(
    mapper: &mut Mapper,
    part: Encrypted,
    crypt: &Crypt,
    uuid: &str,
    patience: Duration,
) -> io::Result<()> {
    keyring::join_users()?;
    let mut room = [0; Crypt::KEY_BYTES];
    let key = Key::draw(&mut room, patience)?;
    keyring::add(&description(part)?, &key)?;
    drop(key);
    let started = mapper.start(part.name(), uuid, crypt.size, Crypt::TARGET, &crypt.arguments());
    let is_mapped = started.is_ok();
    let Err(error) = started.and_then(|minor| link(part, minor)) else {
        if part == Encrypted::Swap {
            // Its table is never loaded again, unlike that of a store that grows.
            if let Err(error) = forget(part) {
                log::warn!("the key of {} stays in the keyring: {error}", part.name());
            }
        }
        return Ok(());
    };
    let left = if is_mapped { take_down(mapper, part) } else { forget(part) };
    if let Err(second) = left {
        log::error!("could not remove {} after it failed to start: {second}", part.name());
    }
    Err(error)
}

/// Removes one part, or has it removed with its last user.
pub(crate) fn take_down(mapper: &mut Mapper, part: Encrypted) -> io::Result<()> {
    unlink(part)?;
    mapper.control()?.remove(part.name())?;
    forget(part)
}

/// Removes what an earlier run has left of one part. Its partition has to be free afterwards, so a
/// look that udev takes at the device is waited for.
pub(crate) fn remove_left(
    mapper: &mut Mapper,
    part: Encrypted,
    patience: Duration,
) -> io::Result<()> {
    unlink(part)?;
    let control = mapper.control()?;
    let device = node(&format!("dm-{}", control.info(part.name())?.minor));
    events::when_closed(&device, patience, || control.remove_unused(part.name()))?;
    keyring::join_users()?;
    forget(part)
}

fn description(part: Encrypted) -> io::Result<CString> {
    Ok(CString::new(part.key())?)
}

/// Takes the key away; without a device nobody needs it.
fn forget(part: Encrypted) -> io::Result<()> {
    match keyring::remove(&description(part)?) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOKEY) => Ok(()),
        decided => decided,
    }
}

/// Makes the link by which the steps that follow name the device. There is one device of the name, so
/// a link to another is an old one.
fn link(part: Encrypted, minor: u32) -> io::Result<()> {
    let (to, path) = (format!("../dm-{minor}"), node(&part.device()));
    // Whoever makes the same one, udev for one, may be first.
    let is_there = || fs::read_link(&path).is_ok_and(|found| found == Path::new(&to));
    make_folder(Path::new("/dev/mapper"))?;
    if is_there() {
        return Ok(());
    }
    unlink(part)?;
    match symlink(&to, &path) {
        Err(error) if !is_there() => Err(named(&path, &error)),
        _ => Ok(()),
    }
}

fn unlink(part: Encrypted) -> io::Result<()> {
    let path = node(&part.device());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(&path, &error)),
        _ => Ok(()),
    }
}
