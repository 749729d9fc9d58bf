//! The init of the root: found before anything is given up for it, started at the very end.

use super::SYSROOT;
use crate::{failure::Failure, root::named};
use ebbtide_init::boot_words::BootWords;
use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{SFlag, fstat},
    unistd::execv,
};
use std::{
    convert::Infallible,
    ffi::{CString, OsString},
    fs::File,
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
};

const USUAL: [&str; 3] = ["/sbin/init", "/etc/init", "/bin/init"];
const HINT: &str = "is this disk a root? init= on the kernel command line names another program";

/// Returns its path in the root: the one of `init=`, else the first of the usual ones that is a program.
///
/// # Errors
/// When there is none, with what was found at each place.
pub(super) fn find(boot: &BootWords) -> Result<String, Failure> {
    let root = File::open(SYSROOT).map_err(|error| named(Path::new(SYSROOT), &error))?;
    let named = boot.init.as_deref();
    let places = named.as_ref().map_or(USUAL.as_slice(), std::slice::from_ref);
    let mut found = String::new();
    for path in places {
        match check(&root, path) {
            Ok(()) => return Ok((*path).to_string()),
            Err(error) => found.push_str(&format!("{path}: {error}; ")),
        }
    }
    let found = found.trim_end_matches("; ");
    Err(Failure::Boot {
        said: format!("init: wanted a program in the root; found {found}"),
        hint: HINT,
    })
}

/// Links of the root are followed as they will be when it is the root.
fn check(root: &File, path: &str) -> io::Result<()> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let found = fstat(&openat2(root, path, how)?)?;
    let is_file = found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
    if is_file && found.st_mode & 0o111 != 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("no program, its mode is {:o}", found.st_mode)))
}

/// Starts it in the place of this process, with the words that the kernel passed on.
///
/// # Errors
/// The kernel's, if it cannot be started.
pub(super) fn start(init: &str, words: &[OsString]) -> Result<Infallible, Failure> {
    let program = CString::new(init).unwrap_or_default();
    let mut arguments = vec![program.clone()];
    arguments.extend(words.iter().filter_map(|word| CString::new(word.as_bytes()).ok()));
    ebbtide_sys::start::undo();
    execv(&program, &arguments).map_err(|error| Failure::Boot {
        said: format!("init: wanted {init} started; found {error}"),
        hint: HINT,
    })
}
