//! The files that declare binds, read.
//!
//! In: the folders of the root and of the private disk. Out: what they declare. Whoever used the
//! machine wrote the latter: only regular files are opened, no link is followed there, and there is a
//! bound to everything.

use super::{Site, Tally, Volume};
use crate::tree::{open, resolve::resolve};
use ebbtide_init::{
    binds::{Bind, Declared, Grammar, MOST_BINDS, Source},
    options::Options,
};
use ebbtide_sys::directory::Entries;
use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Folders of the template, in the order in which they count.
const OF_THE_TEMPLATE: [(&str, Grammar); 3] = [
    ("/usr/lib/qubes-bind-dirs.d", Grammar::BindDirs),
    ("/etc/qubes-bind-dirs.d", Grammar::BindDirs),
    ("/etc/ebbtide/binds.d", Grammar::Conf),
];
/// Folders of the private disk, after those.
const OF_THE_VOLUME: [(&str, Grammar); 2] =
    [("config/qubes-bind-dirs.d", Grammar::BindDirs), ("config/ebbtide-binds.d", Grammar::Conf)];

/// What is done for declarations in one boot.
const MOST_FILES: usize = 1000;
const MOST_NAMES: usize = 100_000;
const LARGEST_FILE: u64 = 1 << 20;
const MOST_BYTES: u64 = 8 << 20;

/// Returns what is to be bound, a parent before what is nested in it. What cannot be read is told.
pub(crate) fn read(
    options: &Options,
    site: &Site,
    volume: &Volume,
    tally: &mut Tally,
) -> Vec<Bind> {
    if !site.forgets {
        // What is installed in a template must reach the machines that are made from it.
        let home: Vec<String> =
            options.binds.iter().filter(|path| *path == "/home").cloned().collect();
        return Declared::by_options(&home, &options.rw).binds();
    }
    let declared = Declared::by_options(&options.binds, &options.rw);
    let mut reader = Reader { declared, files: 0, bytes: 0, tally };
    for (folder, grammar) in OF_THE_TEMPLATE {
        let opened = resolve(site.root(), Path::new(folder))
            .and_then(|found| Ok(open::directory(found.fd.as_fd(), ".")?));
        let hold = |name: &str| {
            let path = Path::new(folder).join(name);
            Ok(resolve(site.root(), &path)?.fd)
        };
        reader.folder(folder, grammar, opened, false, &|_, name| hold(name));
    }
    if options.volume_binds {
        for (folder, grammar) in OF_THE_VOLUME {
            let opened = open::directory(volume.root.as_fd(), folder).map_err(io::Error::from);
            let name = format!("{}/{folder}", options.rw);
            let hold = |dir: BorrowedFd<'_>, name: &str| Ok(open::pin(dir, name)?);
            reader.folder(&name, grammar, opened, true, &hold);
        }
    }
    reader.end()
}

/// How a file of a folder is taken hold of.
type Hold<'h> = &'h dyn Fn(BorrowedFd<'_>, &str) -> io::Result<OwnedFd>;

struct Reader<'t> {
    declared: Declared,
    files: usize,
    bytes: u64,
    tally: &'t mut Tally,
}

impl Reader<'_> {
    fn folder(
        &mut self,
        folder: &str,
        grammar: Grammar,
        opened: io::Result<OwnedFd>,
        on_volume: bool,
        hold: Hold<'_>,
    ) {
        let dir = match opened {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.tally.fail(&format_args!("{folder}: not read: {error}")),
        };
        let mut entries = Entries::of(dir);
        let names = match names(&mut entries, MOST_FILES - self.files) {
            Ok(names) => names,
            Err(error) => return self.tally.fail(&format_args!("{folder}: not read: {error}")),
        };
        if names.left_out {
            self.tally.fail(&format_args!(
                "{folder}: some of it is left out; wanted at most {MOST_FILES} files and \
                 {MOST_NAMES} names"
            ));
        }
        for name in names.first {
            self.files += 1;
            let path = format!("{folder}/{name}");
            let text = hold(entries.as_fd(), &name)
                .and_then(|held| open::again(held.as_fd()))
                .and_then(|file| self.text(file));
            match text {
                Ok(text) => self.declared.read(Source { name: path, on_volume }, grammar, &text),
                Err(error) => {
                    let why: &dyn std::fmt::Display = match error.raw_os_error() {
                        Some(nix::libc::ELOOP) => &"found a symbolic link; wanted a regular file",
                        Some(nix::libc::EINVAL) => &"wanted a regular file",
                        _ => &error,
                    };
                    self.tally.fail(&format_args!("{path}: not read: {why}"));
                }
            }
        }
    }

    fn text(&mut self, file: File) -> io::Result<String> {
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        let length = bytes.len() as u64;
        if length > LARGEST_FILE {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        self.bytes += length;
        if self.bytes > MOST_BYTES {
            return Err(io::Error::other("there are more than 8 MiB of declarations"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn end(self) -> Vec<Bind> {
        let Self { declared, tally, .. } = self;
        for mistake in declared.mistakes() {
            tally.fail(mistake);
        }
        if declared.unsaid() > 0 {
            tally.fail(&format_args!(
                "{} more lines that declare binds cannot be taken",
                declared.unsaid()
            ));
        }
        if declared.left_out() > 0 {
            tally.fail(&format_args!(
                "{} declarations of binds are left out; wanted at most {MOST_BINDS}",
                declared.left_out()
            ));
        }
        declared.binds()
    }
}

struct Names {
    /// In byte order.
    first: Vec<String>,
    left_out: bool,
}

/// Returns the names of a folder that end in `.conf` and that a shell's pattern would find; the first
/// `most` of them.
fn names(entries: &mut Entries, most: usize) -> io::Result<Names> {
    let mut names = Names { first: Vec::new(), left_out: false };
    for _ in 0..MOST_NAMES {
        let Some(name) = entries.next_name()? else { return Ok(names) };
        let Ok(name) = name.into_string() else {
            names.left_out = true;
            continue;
        };
        if name.starts_with('.') || !name.ends_with(".conf") {
            continue;
        }
        if name.chars().any(char::is_control) {
            names.left_out = true;
            continue;
        }
        if let Err(at) = names.first.binary_search(&name)
            && at < most
        {
            names.left_out |= names.first.len() == most;
            names.first.truncate(most.saturating_sub(1));
            names.first.insert(at, name);
        } else {
            names.left_out = true;
        }
    }
    names.left_out |= entries.next_name()?.is_some();
    Ok(names)
}
