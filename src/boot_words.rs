//! What the kernel command line says to whoever mounts the root and starts the real init.
//!
//! The words are the kernel's own (Documentation/admin-guide/kernel-parameters.txt); the last one wins.

use crate::options::{OnFailure, words};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};

/// The words that matter once the root is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootWords {
    /// `root=`, as it stands there.
    pub root: Option<String>,
    /// `rootfstype=`: file systems to try, in this order; empty to find out.
    pub types: Vec<String>,
    /// What `rootflags=` asks of the mount, whatever the file system.
    pub flags: Vec<MountWord>,
    /// The rest of `rootflags=`, for the file system, with commas between.
    pub data: String,
    /// `rw`; `ro` is the default. In `rootflags=` they win over the words of their own.
    pub writable: bool,
    /// `init=`.
    pub init: Option<String>,
}

/// A word of `rootflags=` that every file system has; `mount(8)` makes a flag of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountWord {
    /// No device nodes.
    NoDev,
    /// No set-user-ID.
    NoSuid,
    /// No programs.
    NoExec,
    /// No access times.
    NoAtime,
    /// No access times of folders.
    NoDirAtime,
    /// Every access time.
    StrictAtime,
    /// Each write at once.
    Sync,
    /// Each change of a folder at once.
    DirSync,
    /// Times in memory for as long as possible.
    LazyTime,
}

/// File systems of a root, tried in this order where the command line names none: commonest first.
pub const ROOT_TYPES: [&str; 6] = ["ext4", "xfs", "btrfs", "squashfs", "erofs", "f2fs"];

const MOUNT_WORDS: [(&str, MountWord); 9] = [
    ("nodev", MountWord::NoDev),
    ("nosuid", MountWord::NoSuid),
    ("noexec", MountWord::NoExec),
    ("noatime", MountWord::NoAtime),
    ("nodiratime", MountWord::NoDirAtime),
    ("strictatime", MountWord::StrictAtime),
    ("sync", MountWord::Sync),
    ("dirsync", MountWord::DirSync),
    ("lazytime", MountWord::LazyTime),
];

/// Words that take others back.
const OPPOSITES: [(&str, &[MountWord]); 10] = [
    ("dev", &[MountWord::NoDev]),
    ("suid", &[MountWord::NoSuid]),
    ("exec", &[MountWord::NoExec]),
    ("atime", &[MountWord::NoAtime]),
    ("diratime", &[MountWord::NoDirAtime]),
    ("relatime", &[MountWord::NoAtime, MountWord::StrictAtime]),
    ("nostrictatime", &[MountWord::StrictAtime]),
    ("async", &[MountWord::Sync]),
    ("nolazytime", &[MountWord::LazyTime]),
    ("defaults", &[MountWord::NoDev, MountWord::NoSuid, MountWord::NoExec, MountWord::Sync]),
];

/// Words for programs that read fstab; no file system knows them.
const NOBODYS: [&str; 6] = ["auto", "noauto", "nouser", "nofail", "_netdev", "norelatime"];

impl BootWords {
    /// Reads the kernel command line; there is nothing in it that cannot be taken.
    #[must_use]
    pub fn parse(command_line: &str) -> Self {
        let mut found = Self::default();
        let mut in_flags = None;
        for word in words(command_line) {
            // What follows is for the init.
            if word == "--" {
                break;
            }
            match word.split_once('=') {
                Some(("root", value)) => found.root = Some(value.to_string()),
                Some(("rootfstype", value)) => {
                    found.types =
                        parts(value).filter(|kind| *kind != "auto").map(String::from).collect();
                }
                Some(("rootflags", value)) => in_flags = found.set_flags(value),
                Some(("init", value)) if !value.is_empty() => found.init = Some(value.to_string()),
                None if word == "ro" => found.writable = false,
                None if word == "rw" => found.writable = true,
                _ => {}
            }
        }
        found.writable = in_flags.unwrap_or(found.writable);
        found
    }

    /// Takes the flags over as `mount(8)` does, and returns what they say about writing.
    fn set_flags(&mut self, value: &str) -> Option<bool> {
        self.flags.clear();
        self.data.clear();
        let mut writable = None;
        for part in parts(value) {
            if let Some((_, word)) = MOUNT_WORDS.iter().find(|(text, _)| *text == part) {
                self.flags.push(*word);
            } else if let Some((_, taken)) = OPPOSITES.iter().find(|(text, _)| *text == part) {
                self.flags.retain(|word| !taken.contains(word));
            } else if matches!(part, "ro" | "rw") {
                writable = Some(part == "rw");
            } else if !NOBODYS.contains(&part) && !part.starts_with("x-") && !part.starts_with("X-")
            {
                if !self.data.is_empty() {
                    self.data.push(',');
                }
                self.data.push_str(part);
            }
        }
        writable
    }
}

/// Returns what is to be done when the boot fails, from texts that may be the reason why it does:
/// a word that cannot be taken counts for nothing.
#[must_use]
pub fn on_failure(command_line: &str, conf: &str) -> OnFailure {
    let mut found = OnFailure::default();
    let lines = conf.lines().filter_map(|line| line.split_once('='));
    let lines = lines.filter(|(key, _)| key.trim() == "failure").map(|(_, value)| value.trim());
    let words = words(command_line);
    let words = words.iter().filter_map(|word| word.strip_prefix("ebbtide.failure="));
    for value in lines.chain(words) {
        found = OnFailure::from_word(value).unwrap_or(found);
    }
    found
}

fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    #[test]
    fn reads_the_words_of_the_kernel_and_the_last_one_wins() {
        let words = BootWords::parse(
            "root=/dev/vda rw root=/dev/mapper/dmroot ro rootfstype=xfs,ext4 init=/bin/a \
             rootflags=noatime,subvol=@,,nodev,compress=zstd:1 init=/srv/b -- init=/no rw",
        );
        assert_eq!(words.root.as_deref(), Some("/dev/mapper/dmroot"));
        assert_eq!(words.types, ["xfs", "ext4"]);
        assert_eq!(words.flags, [MountWord::NoAtime, MountWord::NoDev]);
        assert_eq!(words.data, "subvol=@,compress=zstd:1");
        assert_eq!(words.init.as_deref(), Some("/srv/b"));
        assert!(!words.writable);
        assert!(BootWords::parse("ro quiet rw").writable);
    }

    #[test]
    fn flags_of_every_mount_do_not_reach_the_file_system() {
        for (flags, wanted, data) in [
            ("defaults,relatime,x-systemd.device-timeout=9,errors=panic", &[][..], "errors=panic"),
            ("noatime,nodev,atime,dev,exec,suid,async", &[], ""),
            ("noatime,lazytime,x-initrd.mount,X-a", &[MountWord::NoAtime, MountWord::LazyTime], ""),
            ("strictatime,relatime,nodev,nofail", &[MountWord::NoDev], ""),
        ] {
            let words = BootWords::parse(&format!("rootflags={flags}"));
            assert_eq!((words.flags.as_slice(), words.data.as_str()), (wanted, data), "{flags}");
        }
    }

    #[test]
    fn whether_the_root_can_be_written_to_is_said_last_by_its_flags() {
        assert!(BootWords::parse("rootflags=rw,subvol=@ ro").writable);
        assert!(!BootWords::parse("rw rootflags=ro").writable);
        assert!(BootWords::parse("rootflags=ro rw rootflags=noatime").writable);
        assert_eq!(BootWords::parse("rootflags=rw,subvol=@ ro").data, "subvol=@");
    }

    #[test]
    fn a_mistake_elsewhere_does_not_hide_what_a_failure_comes_to() {
        for (line, conf, wanted) in [
            ("", "", OnFailure::PowerOff),
            ("ebbtide.failure=reboot ebbtide.chunk=7", "nonsense", OnFailure::Reboot),
            ("", "# x\n failure = shell", OnFailure::Shell),
            ("ebbtide.failure=reboot", "failure=shell", OnFailure::Reboot),
            ("ebbtide.failure=shell ebbtide.failure=explode", "", OnFailure::Shell),
        ] {
            assert_eq!(on_failure(line, conf), wanted, "{line:?} {conf:?}");
        }
    }

    proptest! {
        #[test]
        fn takes_any_text(line in ".{0,200}", conf in "(.{0,40}\n){0,4}") {
            let words = BootWords::parse(&line);
            prop_assert!(!words.data.contains(",,"));
            let _ = on_failure(&line, &conf);
        }
    }
}
