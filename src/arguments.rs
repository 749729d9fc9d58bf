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
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

pub(crate) const HELP: &str = "\
Makes a read-only root writable for one boot.

Usage: ebbtide-init root
       ebbtide-init plan [--root DIR] [--cmdline TEXT]

Commands:
  root    Divide the volatile disk into swap and copy-on-write room, and map
          /dev/mapper/dmroot over the read-only root. Run before the root is
          mounted. Does nothing unless root= on the kernel command line names
          dmroot; a second run does nothing and says so.
  plan    Print the steps that root would take, numbered, and take none. Unlike
          root it does not have the kernel load dm-snapshot.

Options of plan:
  --root DIR      look at /proc, /sys, /dev and /etc below DIR instead of /
  --cmdline TEXT  use TEXT as the kernel command line
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

Exit status: 0 done or nothing to do, 1 refused or failed, 2 usage.
";

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// What was found and what was wanted, for the user.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.map(|a| a.to_string_lossy().into_owned());
    let verb = arguments.next().ok_or("found no command; wanted root or plan")?;
    let command = match verb.as_str() {
        "root" => Command::Root,
        "plan" => return plan(arguments),
        "-h" | "--help" | "help" => Command::Help,
        "-V" | "--version" => Command::Version,
        other => {
            return Err(format!("found the command \"{other}\"; wanted root or plan"));
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
    }

    #[test]
    fn names_what_it_does_not_know() {
        for (words, named) in [
            ("", "no command"),
            ("rooot", "rooot"),
            ("root now", "now"),
            ("plan --rot /", "--rot"),
            ("plan --root", "without a value"),
        ] {
            let error = parse_words(words).unwrap_err();
            assert!(error.contains(named), "{words}: {error}");
        }
    }
}
