//! One bind on its way: where it goes once links are followed, and what has become of it.

use super::Site;
use crate::tree::{
    open,
    resolve::{Resolved, resolve},
};
use ebbtide_init::{
    bind_rules,
    binds::{Bind, Kind, order, place_on_volume},
};
use nix::{
    errno::Errno,
    fcntl::readlinkat,
    sys::stat::{SFlag, fstat},
};
use std::{
    fmt::Display,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;
const ODD: &str = "a symbolic link leads to .. of something that is not there";

/// A bind, and what is known about it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) bind: Bind,
    /// The path without links, in the root.
    pub(crate) path: String,
    /// Where it is kept, below the private disk's root.
    pub(crate) source: String,
    /// What is at the path before anything is bound; `None` for nothing.
    pub(crate) found: Option<Kind>,
    /// Why it is not bound.
    pub(crate) failed: Option<String>,
}

impl Job {
    /// Returns what is made where there is nothing.
    pub(crate) fn kind(&self) -> Kind {
        self.found.or(self.bind.wishes.kind).unwrap_or(Kind::Directory)
    }

    /// Says why it is not bound.
    pub(crate) fn fail(&mut self, why: &dyn Display) {
        self.failed = Some(why.to_string());
    }
}

/// Follows the links of every bind; a parent still precedes what is nested in it, and two that lead to
/// the same place are one.
pub(crate) fn jobs(binds: Vec<Bind>, site: &Site, rw: &str) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::with_capacity(binds.len());
    for bind in binds {
        let job = job(bind, site, rw);
        match jobs.binary_search_by(|other| order(&other.path, &job.path)) {
            // The one that names the place itself says more about it than a link to it.
            Ok(at) if job.bind.path == job.path => jobs[at] = job,
            Ok(_) => {}
            Err(at) => jobs.insert(at, job),
        }
    }
    jobs
}

fn job(bind: Bind, site: &Site, rw: &str) -> Job {
    let followed = follow(&bind.path, site).and_then(|(path, found)| {
        let from_volume = bind.by.source.on_volume;
        let path = path.into_os_string().into_string().unwrap_or_default();
        match bind_rules::refusal(&path, rw, from_volume) {
            None if path.chars().any(char::is_control) => Err("leads to an odd name".to_string()),
            None => Ok((path, found)),
            Some(wanted) => Err(format!("leads to {path:?}; wanted {wanted}")),
        }
    });
    let (path, found, failed) = match followed {
        Ok((path, found)) => (path, found, None),
        Err(why) => (bind.path.clone(), None, Some(why)),
    };
    let source = place_on_volume(&bind.path, &path);
    let mut job = Job { bind, path, source, found, failed };
    if let (Some(found), Some(wanted)) = (job.found, job.bind.wishes.kind)
        && found != wanted
    {
        job.fail(&format_args!("found {found}; wanted {wanted}"));
    }
    job
}

/// Returns the path without links, and what is there. Of a path that is not there the part that is
/// decides, and a link that leads nowhere says what is to be made.
fn follow(path: &str, site: &Site) -> Result<(PathBuf, Option<Kind>), String> {
    let mut path = PathBuf::from(path);
    for _ in 0..MOST_LINKS {
        let (above, rest) = existing(&path, site)?;
        let stat = fstat(&above.fd).map_err(text)?;
        let kind = kind(open::kind(&stat))?;
        let mut parts = rest.components();
        let Some(Component::Normal(next)) = parts.next() else {
            return if rest.as_os_str().is_empty() {
                Ok((above.path, Some(kind)))
            } else {
                Err(ODD.to_string())
            };
        };
        if kind == Kind::File {
            return Err(format!("{} is a regular file", above.path.display()));
        }
        let Ok(link) = readlinkat(&above.fd, next) else {
            let plain = parts.all(|part| matches!(part, Component::Normal(_)));
            return if plain { Ok((above.path.join(rest), None)) } else { Err(ODD.to_string()) };
        };
        if stat.st_dev != fstat(site.root()).map_err(text)?.st_dev {
            return Err("a symbolic link outside of the root's own file system".to_string());
        }
        path = above.path.join(link).join(parts.as_path());
    }
    Err("more than 40 symbolic links".to_string())
}

/// Returns the longest part of a path that is there, and the rest.
fn existing<'p>(path: &'p Path, site: &Site) -> Result<(Resolved, &'p Path), String> {
    let mut above = path;
    loop {
        match resolve(site.root(), above) {
            Ok(found) => return Ok((found, path.strip_prefix(above).unwrap_or(path))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                above = above.parent().ok_or_else(|| error.to_string())?;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Returns the kind of what can be bound.
pub(crate) fn kind(found: SFlag) -> Result<Kind, String> {
    match found {
        SFlag::S_IFDIR => Ok(Kind::Directory),
        SFlag::S_IFREG => Ok(Kind::File),
        other => Err(format!("found {}; wanted a directory or a regular file", open::word(other))),
    }
}

/// Takes hold of something, and returns its kind; `None` when it is not there.
pub(crate) fn hold(dir: BorrowedFd<'_>, path: &str) -> Result<Option<(OwnedFd, Kind)>, String> {
    let held = match open::pin(dir, path) {
        Ok(held) => held,
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP) => {
            return Err("a symbolic link is in the way on the private disk".to_string());
        }
        Err(error) => return Err(error.to_string()),
    };
    let stat = fstat(held.as_fd()).map_err(text)?;
    let kind = kind(open::kind(&stat))?;
    Ok(Some((held, kind)))
}

fn text(error: impl Display) -> String {
    error.to_string()
}
