//! What is mounted where: lines of `/proc/self/mountinfo`.
//!
//! ```text
//! 36 35 98:0 /root /mount/point rw,nosuid shared:1 - ext4 /dev/vdb rw,errors=remount-ro
//! id parent number root place options optional …   - type source options of the file system
//! ```
//! Blanks and backslashes in a text stand there as `\` and three octal digits. Source: proc(5).

use crate::binds::below;
use alloc::{string::String, vec::Vec};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Number of the file system's device, `MAJOR:MINOR`.
    pub number: String,
    /// Where it is mounted.
    pub place: String,
    /// Type of the file system.
    pub kind: String,
    /// What was mounted, mostly a path.
    pub source: String,
    /// Whether it can only be read, here or at all.
    pub read_only: bool,
    /// Whether the file system itself can only be read. A service that is protected sees every mount as
    /// one that can only be read here.
    pub fs_read_only: bool,
}

impl Mount {
    /// Parses a line; `None` for what no kernel writes.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ').skip(2);
        let number = fields.next()?.into();
        let place = unescaped(fields.nth(1)?);
        let options = fields.next()?;
        let mut fields = fields.skip_while(|field| *field != "-").skip(1);
        let (kind, source) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let is_ro = |options: &str| options.split(',').any(|option| option == "ro");
        let fs_read_only = is_ro(fields.next()?);
        let read_only = is_ro(options) || fs_read_only;
        Some(Self { number, place, kind, source, read_only, fs_read_only })
    }
}

/// Returns the mount that is seen at `place`: the last one there.
#[must_use]
pub fn at(mountinfo: &str, place: &str) -> Option<Mount> {
    mountinfo.lines().filter_map(Mount::parse).rfind(|mount| mount.place == place)
}

/// Returns the mount that `path` lies in: the innermost, and of several at one place the last.
#[must_use]
pub fn around(mountinfo: &str, path: &str) -> Option<Mount> {
    let is_around = |mount: &Mount| mount.place == "/" || below(path, &mount.place).is_some();
    let mounts = mountinfo.lines().filter_map(Mount::parse).filter(is_around);
    mounts.max_by_key(|mount| mount.place.len())
}

fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        let byte = match more {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', more @ ..] if *first == b'\\' => {
                rest = more;
                (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
            }
            _ => *first,
        };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:16 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 254:32 / /rw rw,nosuid,nodev shared:2 master:1 - ext4 /dev/vdb rw
31 22 254:32 /my\\040home /home ro,nosuid - ext4 /dev/vdb rw
32 22 0:5 / /home/a\\134b\\040c rw - tmpfs none ro
33 22 0:6 / /rw rw - tmpfs over rw
";

    #[test]
    fn the_last_mount_at_a_place_is_seen() {
        assert_eq!(at(MOUNTS, "/rw").map(|m| m.source), Some("over".into()));
        assert_eq!(at(MOUNTS, "/").map(|m| m.kind), Some("ext4".into()));
        assert_eq!(at(MOUNTS, "/r"), None);
    }

    #[test]
    fn either_options_make_it_read_only_and_escapes_are_read() {
        let mount = at(MOUNTS, "/home").unwrap();
        assert!(mount.read_only && !mount.fs_read_only);
        let mount = at(MOUNTS, "/home/a\\b c").unwrap();
        assert!(mount.read_only && mount.fs_read_only && mount.number == "0:5");
        let mount = at(MOUNTS, "/").unwrap();
        assert!(!mount.read_only && !mount.fs_read_only);
    }

    #[test]
    fn a_path_lies_in_the_innermost_mount_around_it_and_in_the_last_there() {
        let place = |path| around(MOUNTS, path).map(|mount| (mount.place, mount.source));
        let is = |place: &str, source: &str| Some((String::from(place), String::from(source)));
        assert_eq!(place("/rw/home/x"), is("/rw", "over"));
        assert_eq!(place("/rwx"), is("/", "/dev/root"));
        assert_eq!(place("/home"), is("/home", "/dev/vdb"));
        assert_eq!(place("/home/a\\b c/d"), is("/home/a\\b c", "none"));
        assert_eq!(around("", "/home"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_will_do(text in "[ -~\\\\0-7\n]{0,80}") {
            let _ = at(&text, "/");
            let _ = unescaped(&text);
        }
    }
}
