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
    /// `rw`; `ro` is the default.
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
}

const MOUNT_WORDS: [(&str, MountWord); 7] = [
    ("nodev", MountWord::NoDev),
    ("nosuid", MountWord::NoSuid),
    ("noexec", MountWord::NoExec),
    ("noatime", MountWord::NoAtime),
    ("nodiratime", MountWord::NoDirAtime),
    ("strictatime", MountWord::StrictAtime),
    ("sync", MountWord::Sync),
];

impl BootWords {
    /// Reads the kernel command line; there is nothing in it that cannot be taken.
    #[must_use]
    pub fn parse(command_line: &str) -> Self {
        let mut found = Self::default();
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
                Some(("rootflags", value)) => found.set_flags(value),
                Some(("init", value)) if !value.is_empty() => found.init = Some(value.to_string()),
                None if word == "ro" => found.writable = false,
                None if word == "rw" => found.writable = true,
                _ => {}
            }
        }
        found
    }

    fn set_flags(&mut self, value: &str) {
        self.flags.clear();
        self.data.clear();
        for part in parts(value) {
            if let Some((_, word)) = MOUNT_WORDS.iter().find(|(text, _)| *text == part) {
                self.flags.push(*word);
            } else if !matches!(part, "defaults" | "relatime") {
                if !self.data.is_empty() {
                    self.data.push(',');
                }
                self.data.push_str(part);
            }
        }
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
