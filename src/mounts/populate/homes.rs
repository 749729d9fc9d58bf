//! Homes: one for each user of the root, owned by the number that the root gives the user.

use super::{HOME, New, folder, folders};
use crate::{
    mounts::{Site, Tally},
    root::named,
    tree::{
        copy::{Owner, copy},
        open,
        owner::{Ids, follow},
        remove::remove,
        resolve::resolve,
    },
};
use ebbtide_init::passwd::{DEEPEST_HOME, HOMES, Home, homes};
use nix::{
    errno::Errno,
    sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat},
    unistd::{Gid, Uid, fchown},
};
use std::{
    ffi::OsStr,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const PASSWD: &str = "/etc/passwd";
const SKEL: &str = "/etc/skel";
/// No list of users is longer.
const LONGEST: u64 = 1 << 20;

/// Makes the homes that are missing and follows users whose number has changed.
pub(super) fn set_up(site: &Site, new: &mut New<'_>, tally: &mut Tally) {
    let users = match users(site) {
        Ok(users) => users,
        Err(error) => return tally.fail(&format_args!("no homes are made: {error}")),
    };
    let skel = skel(site);
    match open::pin(new.volume.root.as_fd(), HOME) {
        Err(Errno::ENOENT) => {
            new.build(HOME, tally, |dir, name, tally| {
                all_homes(&users, skel.as_ref(), dir, name, tally)
            });
        }
        Ok(found) if fstat(&found).is_ok_and(|stat| open::kind(&stat) == SFlag::S_IFDIR) => {
            for home in outer_first(&users) {
                set_up_one(home, skel.as_ref(), found.as_fd(), new, tally);
            }
        }
        Ok(found) => new.tell_unless_folder(HOME, &found, tally),
        Err(error) => tally.fail(&format_args!("{}/{HOME}: {error}", new.rw)),
    }
}

/// Reads the root's list of users; a root without one has none.
fn users(site: &Site) -> io::Result<Vec<Home>> {
    let path = Path::new(PASSWD);
    let found = match resolve(site.root(), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(|error| named(path, &error))?,
    };
    let mut bytes = Vec::new();
    open::again(found.fd.as_fd())
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| named(path, &error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("{PASSWD} is longer than {LONGEST} bytes")));
    }
    let has_home = |home: &Home| {
        let path = Path::new(HOMES).join(&home.path);
        let stat = resolve(site.root(), &path).and_then(|found| Ok(fstat(&found.fd)?));
        stat.is_ok_and(|stat| open::kind(&stat) == SFlag::S_IFDIR)
    };
    let (homes, left_out) = homes(&String::from_utf8_lossy(&bytes), has_home);
    if left_out > 0 {
        log::warn!(
            "{left_out} users of {PASSWD} get no home: there are {} before them",
            homes.len()
        );
    }
    Ok(homes)
}

/// Holds what every new home begins with; a root without it is fine.
fn skel(site: &Site) -> Option<OwnedFd> {
    let found = match resolve(site.root(), Path::new(SKEL)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        found => found.and_then(|found| Ok((fstat(&found.fd)?, found.fd))),
    };
    match found {
        Ok((stat, fd)) if open::kind(&stat) == SFlag::S_IFDIR => return Some(fd),
        Ok((stat, _)) => {
            log::warn!("new homes are empty: {SKEL} is {}", open::word(open::kind(&stat)))
        }
        Err(error) => log::warn!("new homes are empty: {SKEL}: {error}"),
    }
    None
}

/// A home in a home comes after it.
fn outer_first(users: &[Home]) -> impl Iterator<Item = &Home> {
    (1..=DEEPEST_HOME).flat_map(move |depth| users.iter().filter(move |home| home.depth() == depth))
}

/// Builds the folder of homes. A home that cannot be made is left out, for a later boot.
fn all_homes(
    users: &[Home],
    skel: Option<&OwnedFd>,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    tally: &mut Tally,
) -> io::Result<()> {
    let top = folder(dir, name)?;
    for home in outer_first(users) {
        let (parent, last) = home.split();
        let made = folders(top.as_fd(), parent.unwrap_or_default())
            .and_then(|parent| one_home(home, skel, parent.as_fd(), OsStr::new(last)));
        if let Err(error) = made {
            tally.fail(&format_args!("/home/{} is not made: {error}", home.path));
        }
    }
    Ok(())
}

/// Makes one home, with what the root has for new users in it; a part of one is taken away again.
fn one_home(
    home: &Home,
    skel: Option<&OwnedFd>,
    dir: BorrowedFd<'_>,
    name: &OsStr,
) -> io::Result<()> {
    let fill = || {
        match skel {
            Some(skel) => drop(copy(skel.as_fd(), dir, name, Owner::Give(home.uid, home.gid))?),
            None => mkdirat(dir, name, Mode::S_IRWXU)?,
        }
        let made = open::directory(dir, name)?;
        fchown(&made, Some(Uid::from_raw(home.uid)), Some(Gid::from_raw(home.gid)))?;
        Ok(fchmod(&made, Mode::S_IRWXU)?)
    };
    let filled: io::Result<()> = fill();
    if let Err(error) = &filled
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        let _ = remove(dir, name);
    }
    filled
}

/// Makes one home beneath those that are there, or follows its user.
fn set_up_one(
    home: &Home,
    skel: Option<&OwnedFd>,
    homes: BorrowedFd<'_>,
    new: &mut New<'_>,
    tally: &mut Tally,
) {
    let path = format!("{HOME}/{}", home.path);
    let done = match open::pin(homes, home.path.as_str()) {
        Err(Errno::ENOENT) => {
            new.build(&path, tally, |dir, name, _| one_home(home, skel, dir, name));
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(found) => follow_user(home, found.as_fd()),
    };
    if let Err(error) = done {
        tally.fail(&format_args!("{}/{path} of {}: {error}", new.rw, home.user));
    }
}

/// Gives a home to its user's new number. A home of root has not lost its user: somebody wants it so.
fn follow_user(home: &Home, found: BorrowedFd<'_>) -> io::Result<()> {
    let stat = fstat(found)?;
    let kind = open::kind(&stat);
    if kind != SFlag::S_IFDIR {
        let text = format!("it is {}; wanted a directory, so it is left alone", open::word(kind));
        return Err(io::Error::other(text));
    }
    let (mut from, to) = (Ids::of(&stat), Ids { uid: home.uid, gid: home.gid });
    if from.uid == to.uid || from.uid == 0 {
        return Ok(());
    }
    if from.gid == 0 {
        from.gid = to.gid;
    }
    let followed = follow(found, from, to)?;
    log::info!(
        "/home/{} was of user {} and is of {}, user {} now: {} files",
        home.path,
        from.uid,
        home.user,
        to.uid,
        followed.changed
    );
    match followed.failed {
        0 => Ok(()),
        failed => Err(io::Error::other(format!("{failed} files keep their old owner"))),
    }
}
