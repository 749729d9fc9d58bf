//! The command line of the program itself.

use std::{ffi::OsString, path::PathBuf};

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Set the root up.
    Root,
    /// Say what `Root` would do, on the machine below a folder.
    Plan {
        /// The folder.
        root: PathBuf,
        /// Stands in for the kernel command line.
        command_line: Option<String>,
    },
    /// Mount the private disk, what is bound from it, and the modules disk.
    Mounts {
        /// Where the root is mounted.
        root: PathBuf,
    },
    /// Be the whole initramfs.
    Boot,
    /// Say how full the store is, and what is bound from where.
    Status {
        /// As JSON.
        json: bool,
    },
    /// Watch the store.
    Watch,
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

pub(crate) const HELP: &str = "\
Makes a read-only root writable for one boot, and mounts what is kept.

Usage: ebbtide-init root
       ebbtide-init plan [--root DIR] [--cmdline TEXT]
       ebbtide-init mounts [--root DIR]
       ebbtide-init boot
       ebbtide-init status [--json]
       ebbtide-init watch

Commands:
  root    Divide the volatile disk into swap and copy-on-write room, and map
          /dev/mapper/dmroot over the read-only root. Run before the root is
          mounted. Does nothing unless root= on the kernel command line names
          dmroot; a second run does nothing and says so.
  plan    Print the steps that root would take, numbered, and take none. Unlike
          root it does not have the kernel load dm-snapshot.
  mounts  Check, mount and grow the private disk; format it when it is blank;
          fill it at its first boot; bind from it what is declared; mount the
          modules disk. Run once the root is mounted. What fails is named, and
          the rest is done.
  boot    Be the whole initramfs, as process 1: load modules, root, mount the
          root, mounts, and start the real init.
  status  Say how full the copy-on-write store is, how fast it fills, and what
          is bound from where.
  watch   Warn when the store is 75, 90 and 95 % full. Enlarge it, and what is on
          the private disk and on a writable root, as soon as the host enlarges
          the disk. Runs until it is ended.

Options of plan:
  --root DIR      look at /proc, /sys, /dev and /etc below DIR instead of /
  --cmdline TEXT  use TEXT as the kernel command line
Options of mounts:
  --root DIR      the root is mounted at DIR, as in an initramfs; default /
Options of status:
  --json          print one JSON object
Options:
  -h, --help      print this help
  -V, --version   print the version

Settings stand on the kernel command line as ebbtide.KEY=VALUE, or in
/etc/ebbtide/init.conf as lines KEY = VALUE; the command line wins.
  root, private,       auto, /dev/NAME, serial=NAME or PARTLABEL=NAME; auto is
  volatile, modules    the disk with that serial, else xvda to xvdd or ubda to ubdd
  swap                 auto, 0, or a size such as 512M; auto is 1G, at most a
                       quarter of the volatile disk
  chunk                unit of copying, a power of two from 4K to 1M; default 4K
  overflow             auto, N or PO: what a full store does; auto is N where it
                       cannot fill, else PO, which turns the root read-only
  timeout              bound of each wait for a disk, in seconds; default 30s
  encrypt              yes or no: swap and store under a random key; default no
  rw                   where the private disk is mounted; default /rw
  binds                paths bound from it without a file that declares them, with
                       commas between, or no; default /home,/usr/local
  volume-binds         yes or no: whether files on it may declare binds; default yes
  format               ext4, xfs, btrfs or no: what a blank one is formatted with;
                       default ext4
  disposable           yes or no: whether it is thrown away with the machine and
                       needs no journal; default no
  failure              poweroff, reboot or shell: what boot does when it cannot go
                       on; default poweroff

Exit status: 0 done or nothing to do, 1 refused or failed, 2 usage.
";

const VERBS: &str = "root, plan, mounts, boot, status or watch";

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// What was found and what was wanted, for the user.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.map(|a| a.to_string_lossy().into_owned());
    let verb = arguments.next().ok_or_else(|| format!("found no command; wanted {VERBS}"))?;
    let command = match verb.as_str() {
        "root" => Command::Root,
        "plan" => return plan(arguments),
        "mounts" => return mounts(arguments),
        "boot" => Command::Boot,
        "status" => return status(arguments),
        "watch" => Command::Watch,
        "-h" | "--help" | "help" => Command::Help,
        "-V" | "--version" => Command::Version,
        other => {
            return Err(format!("found the command \"{other}\"; wanted {VERBS}"));
        }
    };
    match arguments.next().as_deref() {
        None => Ok(command),
        Some("-h" | "--help") => Ok(Command::Help),
        Some(more) => Err(format!("found \"{more}\" after {verb}; wanted nothing more")),
    }
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut root, mut command_line) = (PathBuf::from("/"), None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("found {argument} without a value"));
        match argument.as_str() {
            "--root" => root = value()?.into(),
            "--cmdline" => command_line = Some(value()?),
            "-h" | "--help" => return Ok(Command::Help),
            other => {
                return Err(format!("found \"{other}\"; wanted --root DIR or --cmdline TEXT"));
            }
        }
    }
    Ok(Command::Plan { root, command_line })
}

fn mounts(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut root = PathBuf::from("/");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--root" => {
                root = arguments.next().ok_or("found --root without a value")?.into();
            }
            "-h" | "--help" => return Ok(Command::Help),
            other => return Err(format!("found \"{other}\"; wanted --root DIR")),
        }
    }
    Ok(Command::Mounts { root })
}

fn status(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut json = false;
    for argument in arguments {
        match argument.as_str() {
            "--json" => json = true,
            "-h" | "--help" => return Ok(Command::Help),
            other => return Err(format!("found \"{other}\"; wanted --json")),
        }
    }
    Ok(Command::Status { json })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Command, String> {
        parse(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn reads_every_command() {
        assert_eq!(parse_words("root"), Ok(Command::Root));
        assert_eq!(
            parse_words("plan --root /tmp/x --cmdline ro"),
            Ok(Command::Plan { root: "/tmp/x".into(), command_line: Some("ro".into()) })
        );
        assert_eq!(parse_words("plan --help"), Ok(Command::Help));
        assert_eq!(parse_words("--version"), Ok(Command::Version));
        let mounts = Command::Mounts { root: "/sysroot".into() };
        assert_eq!(parse_words("mounts --root /sysroot"), Ok(mounts));
        assert_eq!(parse_words("status --json"), Ok(Command::Status { json: true }));
        assert_eq!(parse_words("watch"), Ok(Command::Watch));
    }

    #[test]
    fn names_what_it_does_not_know() {
        for (words, named) in [
            ("", "no command"),
            ("rooot", "rooot"),
            ("root now", "now"),
            ("plan --rot /", "--rot"),
            ("plan --root", "without a value"),
            ("mounts --root", "without a value"),
            ("status --yaml", "--yaml"),
            ("watch 5", "5"),
        ] {
            let error = parse_words(words).unwrap_err();
            assert!(error.contains(named), "{words}: {error}");
        }
    }
}
