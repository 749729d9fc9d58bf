//! The first boot of a private disk: homes and `/usr/local`, and a folder for settings.
//!
//! In: the private disk and the root. Out: `home`, `usrlocal` and `config` on the disk. Each is built
//! aside and appears whole; what is there already is kept, whatever it is.

mod homes;
#[cfg(test)]
mod tests;

use super::{Site, Tally, Volume};
use crate::tree::{
    aside::Aside,
    copy::{Owner, copy},
    open,
    resolve::resolve,
};
use ebbtide_init::options::Options;
use nix::{
    errno::Errno,
    sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat},
};
use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const HOME: &str = "home";
const USR_LOCAL: &str = "usrlocal";
const CONFIG: &str = "config";

/// Makes what is missing, and follows users whose number has changed.
pub(crate) fn first_boot(options: &Options, site: &Site, volume: &Volume, tally: &mut Tally) {
    if volume.read_only {
        log::warn!("{} can only be read: nothing is made there, no user is followed", options.rw);
        return;
    }
    let is_bound = |path| options.binds.iter().any(|bound| bound == path);
    let mut new = New { rw: &options.rw, volume, aside: None, built: 0, ready: Vec::new() };
    if is_bound("/home") {
        homes::set_up(site, &mut new, tally);
    }
    // What a template installs there must reach its machines, so it stays on the template.
    if site.forgets && is_bound("/usr/local") {
        new.unless_there(USR_LOCAL, tally, |dir, name, _| usr_local(site, dir, name));
    }
    new.unless_there(CONFIG, tally, |dir, name, _| folder(dir, name).map(drop));
    new.publish(tally);
}

fn usr_local(site: &Site, dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let from = match resolve(site.root(), Path::new("/usr/local")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return folder(dir, name).map(drop);
        }
        found => found?,
    };
    let kind = open::kind(&fstat(&from.fd)?);
    if kind != SFlag::S_IFDIR {
        let text = format!("{} of the root is {}", from.path.display(), open::word(kind));
        return Err(io::Error::other(text));
    }
    let left_out = copy(from.fd.as_fd(), dir, name, Owner::Keep)?;
    if left_out > 0 {
        log::warn!("{left_out} pipes, devices or mounts in /usr/local of the root are not copied");
    }
    Ok(())
}

/// What this run makes on the private disk.
struct New<'v> {
    /// Where the disk is mounted, for messages.
    rw: &'v str,
    volume: &'v Volume,
    /// Begun with the first thing to build: most boots build nothing, and write nothing.
    aside: Option<Aside<'v>>,
    built: usize,
    /// What has been built, by its name aside and its path on the disk.
    ready: Vec<(String, String)>,
}

impl New<'_> {
    /// Builds what is to be at `path` on the disk, and nothing when there is something.
    fn unless_there(
        &mut self,
        path: &str,
        tally: &mut Tally,
        build: impl FnOnce(BorrowedFd<'_>, &OsStr, &mut Tally) -> io::Result<()>,
    ) {
        match open::pin(self.volume.root.as_fd(), path) {
            Err(Errno::ENOENT) => self.build(path, tally, build),
            Err(error) => tally.fail(&format_args!("{}/{path}: {error}", self.rw)),
            Ok(found) => self.tell_unless_folder(path, &found, tally),
        }
    }

    fn tell_unless_folder(&self, path: &str, found: &OwnedFd, tally: &mut Tally) {
        match fstat(found).map(|stat| open::kind(&stat)) {
            Ok(SFlag::S_IFDIR) => {}
            Ok(kind) => tally.fail(&format_args!(
                "{}/{path} is {}; wanted a directory, so it is left alone",
                self.rw,
                open::word(kind)
            )),
            Err(error) => tally.fail(&format_args!("{}/{path}: {error}", self.rw)),
        }
    }

    /// Builds something aside; `build` is told the folder and the name for it.
    fn build(
        &mut self,
        path: &str,
        tally: &mut Tally,
        build: impl FnOnce(BorrowedFd<'_>, &OsStr, &mut Tally) -> io::Result<()>,
    ) {
        self.built += 1;
        let name = self.built.to_string();
        let built = self.begun().and_then(|aside| build(aside.dir(), OsStr::new(&name), tally));
        match built {
            Ok(()) => self.ready.push((name, path.to_string())),
            Err(error) => {
                tally.fail(&format_args!("{}/{path} is not made: {error}", self.rw));
                // A full disk is not full for the next one.
                if let Some(aside) = &self.aside {
                    aside.discard(OsStr::new(&name));
                }
            }
        }
    }

    fn begun(&mut self) -> io::Result<&Aside<'_>> {
        let aside = match self.aside.take() {
            Some(aside) => aside,
            None => Aside::begin(self.volume)?,
        };
        Ok(self.aside.insert(aside))
    }

    /// Lets everything that was built appear, and removes what a cut run has left.
    fn publish(mut self, tally: &mut Tally) {
        if self.aside.is_none() && !Aside::is_left(self.volume) {
            return;
        }
        let (rw, ready) = (self.rw, std::mem::take(&mut self.ready));
        if let Err(error) = self.begun().and_then(|aside| aside.settle()) {
            return tally.fail(&format_args!("nothing new on {rw}: {error}"));
        }
        let Some(aside) = self.aside else { return };
        for (name, path) in &ready {
            let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
            let done = folders(self.volume.root.as_fd(), parent)
                .and_then(|to| aside.publish(OsStr::new(name), to.as_fd(), OsStr::new(last)));
            match done {
                Ok(()) => log::info!("{rw}/{path} is made"),
                Err(error) => tally.fail(&format_args!("{rw}/{path} is not made: {error}")),
            }
        }
        if let Err(error) = aside.finish() {
            tally.fail(&format_args!("{rw}: what was made may be lost in a power cut: {error}"));
        }
    }
}

/// Makes a directory of root that everybody can look into.
fn folder(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let mode = Mode::from_bits_truncate(0o755);
    mkdirat(dir, name, mode)?;
    let made = open::directory(dir, name)?;
    // The mask of the process takes bits away.
    fchmod(&made, mode)?;
    Ok(made)
}

/// Opens a directory at `path` below `dir`, and makes what is missing of it.
fn folders(dir: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let mut dir = open::directory(dir, ".")?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        dir = match open::directory(dir.as_fd(), part) {
            Err(Errno::ENOENT) => folder(dir.as_fd(), OsStr::new(part))?,
            found => found?,
        };
    }
    Ok(dir)
}
