//! What is bound from the private disk.
//!
//! In: the options, the files that declare binds, and the private disk. Out: a mount each, and the
//! record of them. Everything is held open before it is looked at, and mounted by what is held, so
//! nothing that happens to a path meanwhile leads a mount elsewhere. A bind that fails costs itself.

use super::{
    Site, Tally, Volume, declarations,
    job::{Job, hold, jobs, kind},
    record, sources,
};
use crate::tree::{open, resolve::make_beneath};
use ebbtide_init::{
    binds::{Kind, below},
    options::Options,
};
use ebbtide_sys::mount_tree;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::fstat,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Failures that are told one by one: a console is slow. The record has all of them.
const MOST_TOLD: usize = 64;

/// Binds what the options and the declarations name.
pub(crate) fn set_up(options: &Options, site: &Site, volume: &Volume, tally: &mut Tally) {
    let binds = declarations::read(options, site, volume, tally);
    let mut jobs = jobs(binds, site, &options.rw);
    sources::make(&mut jobs, site, volume);
    let mut around = Vec::new();
    for job in &mut jobs {
        if job.failed.is_none()
            && let Err(why) = bind(job, &mut around, site, volume)
        {
            job.fail(&why);
        }
    }
    tell(&jobs, tally);
    if let Err(error) = record::write(&jobs, &options.rw) {
        log::warn!("status will not know what is bound: {error}");
    }
}

fn tell(jobs: &[Job], tally: &mut Tally) {
    let mut failed = 0;
    for job in jobs {
        let Some(why) = &job.failed else { continue };
        failed += 1;
        if failed <= MOST_TOLD {
            let (path, by) = (&job.bind.path, &job.bind.by);
            tally.fail(&format_args!("{path} is not bound, declared by {by}: {why}"));
        }
    }
    if failed > MOST_TOLD {
        let more = failed - MOST_TOLD;
        tally.fail(&format_args!("{more} more paths are not bound; /run/ebbtide/binds says why"));
    }
    log::info!("bound {} paths from the private disk", jobs.len() - failed);
}

/// A directory that has been bound, and may have others nested in it.
struct Around {
    path: String,
    /// Its mount; what is resolved from here sees what is mounted below it.
    root: OwnedFd,
}

fn bind(job: &Job, around: &mut Vec<Around>, site: &Site, volume: &Volume) -> Result<(), String> {
    while around.last().is_some_and(|outer| below(&job.path, &outer.path).is_none()) {
        around.pop();
    }
    let source = hold(volume.root.as_fd(), &job.source)?;
    let (source, source_kind) = source.ok_or("nothing to bind is there")?;
    if let Some(wanted) = job.bind.wishes.kind
        && wanted != source_kind
    {
        return Err(format!("found {source_kind} on the private disk; wanted {wanted}"));
    }
    let target = match around.last() {
        Some(outer) => nested(outer, job, source_kind, volume)?,
        None => target(job, source_kind, site)?,
    };
    let (from, to) = (status(&source)?, status(&target)?);
    let target_kind = kind(open::kind(&to))?;
    if source_kind != target_kind {
        return Err(format!("found {source_kind} on the private disk; wanted {target_kind}"));
    }
    // A run that was cut has bound it; or it is nested, and the same thing from inside.
    let root = if (from.st_dev, from.st_ino) == (to.st_dev, to.st_ino) {
        target
    } else {
        let tree = mount_tree::clone(source.as_fd()).map_err(text)?;
        mount_tree::attach(tree.as_fd(), target.as_fd()).map_err(text)?;
        tree
    };
    if source_kind == Kind::Directory {
        around.push(Around { path: job.path.clone(), root });
    }
    Ok(())
}

/// Holds, or makes, the place in the root.
fn target(job: &Job, kind: Kind, site: &Site) -> Result<OwnedFd, String> {
    match held(site.root(), job.path.trim_start_matches('/')) {
        Err(Errno::ENOENT) => {}
        found => return found.map_err(text),
    }
    let (made, mode) = sources::shape(kind);
    let path = Path::new(&job.path);
    let place = site.writing(|| make_beneath(site.root(), path, made, mode)).map_err(text)?;
    // A link that leads nowhere would have been followed only now.
    if place.path == path { Ok(place.fd) } else { Err(leads_to(&place.path)) }
}

/// Holds, or makes, the place in a directory that has been bound: there it is the private disk, where no
/// link is followed.
fn nested(outer: &Around, job: &Job, kind: Kind, volume: &Volume) -> Result<OwnedFd, String> {
    let rest = below(&job.path, &outer.path).unwrap_or_default();
    match held(outer.root.as_fd(), rest) {
        Err(Errno::ENOENT) if !volume.read_only => {}
        Err(Errno::ELOOP) => {
            return Err(format!("a symbolic link is in the way below {}", outer.path));
        }
        found => return found.map_err(text),
    }
    let (made, mode) = sources::shape(kind);
    let place = make_beneath(outer.root.as_fd(), Path::new(rest), made, mode).map_err(text)?;
    if place.path == Path::new("/").join(rest) { Ok(place.fd) } else { Err(leads_to(&place.path)) }
}

/// Holds what is at a path below `dir`: mounts are crossed, links are not.
fn held(dir: BorrowedFd<'_>, path: &str) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    openat2(dir, path, how)
}

fn status(of: &OwnedFd) -> Result<nix::sys::stat::FileStat, String> {
    fstat(of).map_err(text)
}

fn leads_to(path: &Path) -> String {
    format!("leads to {}, which was not there", path.display())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
