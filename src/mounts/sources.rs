//! What is bound for the first time, made on the private disk.
//!
//! In: the binds. Out: for each something to bind: what was there, a copy of what the root has, or
//! something empty. All of it is built aside and made durable at once, so a cut leaves whole copies or
//! none. What is nested in a copy is made in it.
//!
//! A directory that only leads to something else that is kept is a way (`tree::way`). Once it is to be
//! bound itself, the rest of what the root has there is put into it.

use super::{
    Site, Volume,
    job::{Job, hold},
};
use crate::tree::{
    aside::Aside,
    copy::{self, copy},
    open,
    resolve::{Made, make_beneath, resolve},
    way,
};
use ebbtide_init::binds::{Kind, below, order};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::stat::{Mode, fchmod},
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
        made = build(&aside, jobs, &missing, site, volume);
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
                && (!matches!(hold(volume.root.as_fd(), &job.source), Ok(Some(_)))
                    || leads_on(volume, Path::new(&job.source)))
            {
                job.fail(&format_args!("nothing to bind could be made: {error}"));
            }
        }
    }
}

/// Returns those that have nothing to bind, or only a way to something else.
fn missing(jobs: &mut [Job], volume: &Volume) -> Vec<usize> {
    let mut missing = Vec::new();
    for (at, job) in jobs.iter_mut().enumerate() {
        if job.failed.is_some() {
            continue;
        }
        match hold(volume.root.as_fd(), &job.source) {
            Ok(Some((_, Kind::Directory)))
                if job.kind() == Kind::Directory && leads_on(volume, Path::new(&job.source)) =>
            {
                if volume.read_only {
                    job.fail(
                        &"only paths below it are kept so far, and the private disk can only be read",
                    );
                } else {
                    missing.push(at);
                }
            }
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

/// Tells whether a directory of the private disk is a way.
fn leads_on(volume: &Volume, source: &Path) -> bool {
    open::directory(volume.root.as_fd(), source).is_ok_and(|dir| way::is_way(dir.as_fd()))
}

/// Builds what is missing; returns those that are to be published.
fn build(
    aside: &Aside<'_>,
    jobs: &mut [Job],
    missing: &[usize],
    site: &Site,
    volume: &Volume,
) -> Vec<usize> {
    let mut made: Vec<usize> = Vec::new();
    // The copy, among those that are being made, that the next one may lie in.
    let mut outer: Option<usize> = None;
    for at in missing.iter().copied() {
        if let Some(parent) = failed_around(jobs, at) {
            let why = format!("it is nested in {}, which is not bound", jobs[parent].path);
            jobs[at].fail(&why);
            continue;
        }
        let nested =
            outer.and_then(|outer| Some((outer, below(&jobs[at].source, &jobs[outer].source)?)));
        let lies_in =
            nested.filter(|(outer, _)| !is_kept_between(volume, &jobs[*outer], &jobs[at]));
        let done = match lies_in {
            Some((outer, rest)) => within(aside, &jobs[at], &name(outer), rest),
            None => by_itself(aside, &jobs[at], &name(at), site),
        };
        let (alone, nested) = (lies_in.is_none(), nested.is_some());
        match done.and_then(|found| dress(&jobs[at], found.as_ref(), site)) {
            Ok(()) if alone => {
                made.push(at);
                // What is kept elsewhere, /home and /usr/local, holds no other.
                if !nested && jobs[at].source.starts_with("bind-dirs/") {
                    outer = Some(at);
                }
            }
            Ok(()) => {}
            Err(why) => {
                jobs[at].fail(&why);
                if alone {
                    // A full disk is not full for the next one.
                    aside.discard(&name(at));
                }
            }
        }
    }
    made
}

/// Returns a bind that has failed, and that the one at `at` is nested in.
fn failed_around(jobs: &[Job], at: usize) -> Option<usize> {
    let mut path = jobs[at].path.as_str();
    while let Some((above, _)) = path.rsplit_once('/') {
        path = above;
        match jobs[..at].binary_search_by(|job| order(&job.path, above)) {
            Ok(parent) if jobs[parent].failed.is_some() => return Some(parent),
            _ => {}
        }
    }
    None
}

/// Tells whether something between the two is kept already: it stays, and a copy made now is not seen
/// in it.
fn is_kept_between(volume: &Volume, outer: &Job, inner: &Job) -> bool {
    let (outer, inner) = (Path::new(&outer.source), Path::new(&inner.source));
    let mut between = inner.ancestors().skip(1).take_while(|path| *path != outer);
    between.any(|path| {
        open::directory(volume.root.as_fd(), path).is_ok_and(|dir| !way::is_way(dir.as_fd()))
    })
}

fn name(at: usize) -> OsString {
    at.to_string().into()
}

/// Makes what nothing else holds; returns it, opened, if it is new or is to be changed.
fn by_itself(
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

/// Renames what was built to where it is kept, or puts it into the way that is there.
fn publish(aside: &Aside<'_>, job: &mut Job, at: usize, volume: &Volume) {
    let path = Path::new(&job.source);
    let (Some(parent), Some(leaf)) = (path.parent(), path.file_name()) else { return };
    let done = folder(aside, volume.root.as_fd(), parent).and_then(|parent| {
        match aside.publish(&name(at), parent.as_fd(), leaf) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                complete(aside, &name(at), parent.as_fd(), leaf)
            }
            done => done,
        }
    });
    match done {
        Ok(()) => {}
        Err(error) if leads_on(volume, path) => job.fail(&format_args!(
            "only paths below it are kept so far, and the rest could not be put there: {error}"
        )),
        Err(error) => job.fail(&format_args!("nothing to bind could be made: {error}")),
    }
}

/// Fills a way. Anything else that is there has come with what is around it, and is kept.
fn complete(
    aside: &Aside<'_>,
    built: &OsStr,
    parent: BorrowedFd<'_>,
    leaf: &OsStr,
) -> io::Result<()> {
    match open::directory(parent, leaf) {
        Ok(dir) if way::is_way(dir.as_fd()) => {
            way::fill(Some(open::directory(aside.dir(), built)?.as_fd()), dir.as_fd())
        }
        _ => Ok(()),
    }
}

/// Opens the folder on the private disk that something is kept in, and makes what is missing of it.
fn folder(aside: &Aside<'_>, root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return root.try_clone_to_owned();
    }
    match open::directory(root, path) {
        Err(Errno::ENOENT) => {}
        found => return Ok(found?),
    }
    let mut dir = root.try_clone_to_owned()?;
    for (depth, part) in path.iter().enumerate() {
        let found = open::directory(dir.as_fd(), part);
        dir = match (found, depth) {
            // A private directory of the root may be above what is kept: nobody gets around it here.
            (Err(Errno::ENOENT), 0) => way::make(aside, dir.as_fd(), part, 0o700, false)?,
            // What is in something that is kept is kept with it.
            (Err(Errno::ENOENT), _) => {
                let leads_on = depth == 1 || way::is_way(dir.as_fd());
                way::make(aside, dir.as_fd(), part, 0o755, leads_on)?
            }
            (found, _) => found?,
        };
    }
    Ok(dir)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
