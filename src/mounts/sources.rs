//! What is bound for the first time, made on the private disk.
//!
//! In: the binds. Out: for each something to bind: what was there, a copy of what the root has, or
//! something empty. All of it is built aside and made durable at once, so a cut leaves whole copies or
//! none. What is nested in a copy is made in it.

use super::{
    Site, Volume,
    job::{Job, hold},
};
use crate::tree::{
    aside::Aside,
    copy::{self, copy},
    open,
    resolve::{Made, make_beneath, resolve},
};
use ebbtide_init::binds::{Kind, below};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::stat::{Mode, fchmod, mkdirat},
    unistd::{Gid, Uid, fchown},
};
use std::{
    ffi::{OsStr, OsString},
    fmt::Display,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// The largest `/etc/passwd` or `/etc/group` that is searched.
const LARGEST_LIST: u64 = 4 << 20;

/// Makes what is missing; a bind that cannot have it fails.
pub(crate) fn make(jobs: &mut [Job], site: &Site, volume: &Volume) {
    let missing = missing(jobs, volume);
    if missing.is_empty() {
        return;
    }
    let mut made = Vec::new();
    let done = Aside::begin(volume).and_then(|aside| {
        made = build(&aside, jobs, &missing, site);
        aside.settle()?;
        for at in &made {
            publish(&aside, &mut jobs[*at], *at, volume);
        }
        aside.finish()
    });
    if let Err(error) = done {
        // What has been published is whole; what has not is not there.
        log::warn!("what is bound for the first time may be lost at a power cut: {error}");
        for at in missing {
            let job = &mut jobs[at];
            if job.failed.is_none()
                && !matches!(hold(volume.root.as_fd(), &job.source), Ok(Some(_)))
            {
                job.fail(&format_args!("nothing to bind could be made: {error}"));
            }
        }
    }
}

/// Returns those that have nothing to bind.
fn missing(jobs: &mut [Job], volume: &Volume) -> Vec<usize> {
    let mut missing = Vec::new();
    for (at, job) in jobs.iter_mut().enumerate() {
        if job.failed.is_some() {
            continue;
        }
        match hold(volume.root.as_fd(), &job.source) {
            Ok(Some(_)) => {}
            Ok(None) if volume.read_only => {
                job.fail(&"nothing to bind is there, and the private disk can only be read");
            }
            Ok(None) => missing.push(at),
            Err(why) => job.fail(&why),
        }
    }
    missing
}

/// Builds what is missing; returns those that are to be published.
fn build(aside: &Aside<'_>, jobs: &mut [Job], missing: &[usize], site: &Site) -> Vec<usize> {
    let mut made: Vec<usize> = Vec::new();
    // The copy, among those that are being made, that the next one may lie in.
    let mut outer: Option<usize> = None;
    for at in missing.iter().copied() {
        let lies_in =
            outer.and_then(|outer| Some((outer, below(&jobs[at].source, &jobs[outer].source)?)));
        let done = match lies_in {
            Some((outer, rest)) => within(aside, &jobs[at], &name(outer), rest),
            None => alone(aside, &jobs[at], &name(at), site),
        };
        match done.and_then(|found| dress(&jobs[at], found.as_ref(), site)) {
            Ok(()) if lies_in.is_none() => {
                made.push(at);
                // What is kept elsewhere, /home and /usr/local, holds no other.
                if jobs[at].source.starts_with("bind-dirs/") {
                    outer = Some(at);
                }
            }
            Ok(()) => {}
            Err(why) => jobs[at].fail(&why),
        }
    }
    made
}

fn name(at: usize) -> OsString {
    at.to_string().into()
}

/// Makes what nothing else holds; returns it, opened, if it is new or is to be changed.
fn alone(
    aside: &Aside<'_>,
    job: &Job,
    name: &OsStr,
    site: &Site,
) -> Result<Option<OwnedFd>, String> {
    if job.found.is_none() {
        return empty(aside.dir(), name.as_ref(), job.kind()).map(Some);
    }
    let from = resolve(site.root(), job.path.as_ref()).map_err(text)?;
    let left_out = copy(from.fd.as_fd(), aside.dir(), name, copy::Owner::Keep).map_err(text)?;
    if left_out > 0 {
        log::warn!(
            "{}: {left_out} entries are not kept; they are pipes, sockets, devices or mounts",
            job.path
        );
    }
    if job.bind.wishes.owner.is_none() && job.bind.wishes.mode.is_none() {
        return Ok(None);
    }
    let flags = OFlag::O_RDONLY;
    open::beneath(aside.dir(), name, flags, Mode::empty()).map(Some).map_err(text)
}

/// Makes what lies in a copy that is new too, unless it came with that.
fn within(
    aside: &Aside<'_>,
    job: &Job,
    outer: &OsStr,
    rest: &str,
) -> Result<Option<OwnedFd>, String> {
    let outer = open::directory(aside.dir(), outer).map_err(text)?;
    match hold(outer.as_fd(), rest)? {
        Some(_) => Ok(None),
        None => empty(outer.as_fd(), rest.as_ref(), job.kind()).map(Some),
    }
}

fn empty(dir: BorrowedFd<'_>, path: &Path, kind: Kind) -> Result<OwnedFd, String> {
    let (made, mode) = shape(kind);
    make_beneath(dir, path, made, mode).map_err(text)?;
    open::beneath(dir, path, OFlag::O_RDONLY, Mode::empty()).map_err(text)
}

/// Returns how something empty is made.
pub(crate) const fn shape(kind: Kind) -> (Made, u32) {
    match kind {
        Kind::Directory => (Made::Directory, 0o755),
        Kind::File => (Made::File, 0o644),
    }
}

/// Gives what was made the owner and the mode that are asked for.
fn dress(job: &Job, made: Option<&OwnedFd>, site: &Site) -> Result<(), String> {
    let Some(made) = made else { return Ok(()) };
    if let Some(owner) = &job.bind.wishes.owner {
        let (passwd, group) = (list(site, "/etc/passwd"), list(site, "/etc/group"));
        let (uid, gid) = owner
            .numbers(&passwd, &group)
            .map_err(|account| format!("found the owner {account}; wanted one of this system"))?;
        fchown(made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(text)?;
    }
    if let Some(mode) = job.bind.wishes.mode {
        fchmod(made, Mode::from_bits_truncate(mode)).map_err(text)?;
    }
    Ok(())
}

/// Reads a list of accounts; one that cannot be read has none.
fn list(site: &Site, path: &str) -> String {
    let read = || {
        let found = resolve(site.root(), path.as_ref())?;
        let mut bytes = Vec::new();
        open::again(found.fd.as_fd())?.take(LARGEST_LIST).read_to_end(&mut bytes)?;
        io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// Renames what was built to where it is kept.
fn publish(aside: &Aside<'_>, job: &mut Job, at: usize, volume: &Volume) {
    let path = Path::new(&job.source);
    let (Some(parent), Some(leaf)) = (path.parent(), path.file_name()) else { return };
    let done = folder(volume.root.as_fd(), parent)
        .and_then(|parent| aside.publish(&name(at), parent.as_fd(), leaf));
    if let Err(error) = done {
        job.fail(&format_args!("nothing to bind could be made: {error}"));
    }
}

/// Opens the folder on the private disk that something is kept in, and makes what is missing of it.
fn folder(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return root.try_clone_to_owned();
    }
    match open::directory(root, path) {
        Err(Errno::ENOENT) => {}
        found => return Ok(found?),
    }
    let mut dir = root.try_clone_to_owned()?;
    for part in path {
        dir = match open::directory(dir.as_fd(), part) {
            Err(Errno::ENOENT) => {
                mkdirat(&dir, part, Mode::S_IRWXU)?;
                let made = open::directory(dir.as_fd(), part)?;
                fchmod(&made, Mode::from_bits_truncate(0o755))?;
                made
            }
            found => found?,
        };
    }
    Ok(dir)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
