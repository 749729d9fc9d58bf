//! One loop device for each file, always: two would bypass each other's copies, and nothing would tell.

use crate::pool::store::Inode;
use ebbtide_sys::{
    lease,
    loop_device::{self, Status},
};
use nix::sys::stat::{major, minor};
use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// How often another free one is asked for when somebody takes it.
const TRIES: u32 = 64;

/// A loop device that is open, and so stays what it is.
#[derive(Debug)]
pub(super) struct Attached {
    _device: File,
    /// `loop7`.
    pub(super) name: String,
    /// `MAJOR:MINOR`.
    pub(super) number: String,
}

/// A loop device over a file.
#[derive(Debug)]
pub(super) struct Over {
    /// `loop7`.
    pub(super) name: String,
    device: File,
    status: Status,
}

/// Returns the loop device over a whole file: the one that there is, or a new one, which goes with its last user. `known`
/// is one that may be over it.
///
/// # Errors
/// There is more than one, or one over a part of the file or without the right to write.
pub(super) fn attach(path: &Path, known: Option<&str>) -> io::Result<Attached> {
    let file = File::options().read(true).write(true).open(path)?;
    // A loop device has its file open. To ask all of them takes as long as there are many, and most files have none.
    if matches!(lease::is_opened(&file), Ok(false)) {
        return make(&file, path);
    }
    let found = file.metadata()?;
    let inode = Inode { device: found.dev(), number: found.ino() };
    // One that does not go with its last user is somebody else's, and there may be another.
    let known = known.map(|name| look(name, inode)).transpose()?.flatten();
    if let Some(one) = known.filter(|known| known.status.autoclear) {
        return whole(one, &file, path);
    }
    let mut loops = over(inode)?;
    match (loops.pop(), loops.len()) {
        (None, _) => make(&file, path),
        (Some(one), 0) => whole(one, &file, path),
        (Some(one), _) => {
            loops.push(one);
            let names: Vec<String> =
                loops.into_iter().map(|one| format!("/dev/{}", one.name)).collect();
            let text = format!(
                "{} has more than one loop device: {}; each would bypass what the others copy, so detach those that are not the pool's",
                path.display(),
                names.join(", ")
            );
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
    }
}

/// Takes a device that there is, which has to reach as far as the file does by now.
fn whole(one: Over, file: &File, path: &Path) -> io::Result<Attached> {
    let Status { offset, size_limit, read_only, .. } = one.status;
    if offset != 0 || size_limit != 0 || read_only {
        let text = format!(
            "/dev/{} is over {} already, {}; wanted one over the whole file, to write",
            one.name,
            path.display(),
            if read_only { "read-only" } else { "over a part of it" }
        );
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
    }
    if (&one.device).seek(SeekFrom::End(0))? < file.metadata()?.len() {
        loop_device::set_capacity(&one.device)?;
    }
    attached(one.name, one.device)
}

fn make(file: &File, path: &Path) -> io::Result<Attached> {
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    for _ in 0..TRIES {
        let number = loop_device::free(&control)?;
        let device = File::options().read(true).write(true).open(format!("/dev/loop{number}"))?;
        match loop_device::configure(&device, file) {
            // Somebody else has it by now.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => {
                let text = format!("cannot put /dev/loop{number} over {}: {error}", path.display());
                return Err(io::Error::new(error.kind(), text));
            }
            Ok(()) => return attached(format!("loop{number}"), device),
        }
    }
    let text = format!("no loop device stayed free for {}", path.display());
    Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
}

fn attached(name: String, device: File) -> io::Result<Attached> {
    let number = device.metadata()?.rdev();
    let number = format!("{}:{}", major(number), minor(number));
    Ok(Attached { _device: device, name, number })
}

/// Returns the loop devices over a file. They are open: one that goes with its last user stays while it is looked at.
pub(super) fn over(file: Inode) -> io::Result<Vec<Over>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("loop") && entry.path().join("loop").exists() {
            found.extend(look(&name, file)?);
        }
    }
    Ok(found)
}

/// Returns a loop device if it is over this file.
fn look(name: &str, file: Inode) -> io::Result<Option<Over>> {
    // Where it was open to write, udev would look at its content when it is closed.
    let device = match File::open(format!("/dev/{name}")) {
        // It goes at this moment.
        Err(error)
            if matches!(error.raw_os_error(), Some(nix::libc::ENXIO | nix::libc::ENOENT)) =>
        {
            return Ok(None);
        }
        device => device?,
    };
    let status = loop_device::status(&device)?;
    let status = status.filter(|found| (found.device, found.inode) == (file.device, file.number));
    Ok(status.map(|status| Over { name: name.into(), device, status }))
}

/// Returns the file below a loop device; `(deleted)` stands behind one that has no name any more.
pub(super) fn file(major: u32, minor: u32) -> Option<PathBuf> {
    let text =
        fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/loop/backing_file")).ok()?;
    Some(text.trim_end_matches('\n').into())
}
