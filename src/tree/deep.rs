//! Trees that no path reaches the end of.

use super::open;
use nix::sys::stat::{Mode, mkdirat};
use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Makes `levels` directories, each in the one before, the first with this name.
pub(crate) fn nest(parent: &Path, name: &str, levels: usize) {
    let mut dir = OwnedFd::from(File::open(parent).unwrap());
    for level in 0..levels {
        let name = if level == 0 { name } else { "d" };
        mkdirat(&dir, name, Mode::S_IRWXU).unwrap();
        dir = open::directory(dir.as_fd(), name).unwrap();
    }
}
