//! Which paths cannot be bound at all, and which not by a file on the private disk.

use crate::binds::below;

/// Why `/` is refused.
pub(crate) const NOT_THE_ROOT: &str = "a path other than / itself";

/// Trees that the kernel and the running system make.
const MADE_AT_BOOT: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];
/// Trees of programs, what reads the declarations themselves, and what chooses programs and libraries.
const OF_THE_TEMPLATE: [&str; 15] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/boot",
    "/etc/ebbtide",
    "/etc/qubes-bind-dirs.d",
    "/etc/alternatives",
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
];
/// Trees of which the private disk may take a part, and not the whole.
const IN_PARTS_ONLY: [&str; 2] = ["/etc", "/var"];

/// Returns what would be right instead, when a path cannot be bound. It is plain: absolute, without
/// empty parts, `.` and `..`. It is asked for the path as declared, and again without links.
#[must_use]
pub fn refusal(path: &str, rw: &str, from_volume: bool) -> Option<&'static str> {
    let is_in = |tree: &&str| below(path, tree).is_some();
    if matches!(path, "" | "/") {
        return Some(NOT_THE_ROOT);
    }
    if MADE_AT_BOOT.iter().any(is_in) {
        return Some("a path outside of /proc, /sys, /dev and /run");
    }
    if below(path, rw).is_some() || below(rw, path).is_some() {
        return Some("a path that does not hold the place of the private disk, and is not in it");
    }
    if !from_volume || below(path, "/usr/local").is_some() {
        return None;
    }
    if OF_THE_TEMPLATE.iter().any(is_in) {
        return Some("a path outside of the template's programs, for a file on the private disk");
    }
    let whole = IN_PARTS_ONLY.contains(&path);
    whole.then_some("a part of it, for a file on the private disk")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_nobody_may_bind() {
        for path in [
            "/",
            "/proc",
            "/proc/1",
            "/sys/x",
            "/dev",
            "/dev/shm",
            "/run",
            "/run/user",
            "/rw",
            "/rw/home",
            "/srv/rw",
            "/srv/rw/x",
            "/srv",
        ] {
            let rw = if path.starts_with("/srv") { "/srv/rw" } else { "/rw" };
            assert!(refusal(path, rw, false).is_some(), "{path}");
        }
        for path in ["/process", "/running/x", "/rwx", "/devices", "/usr", "/etc", "/bin/x"] {
            assert_eq!(refusal(path, "/rw", false), None, "{path}");
        }
    }

    #[test]
    fn a_file_on_the_private_disk_cannot_replace_the_templates_programs() {
        for path in [
            "/usr",
            "/usr/bin",
            "/usr/bin/sudo",
            "/usr/lib/x",
            "/usr/locale",
            "/bin",
            "/bin/sh",
            "/sbin/init",
            "/lib",
            "/lib64/x",
            "/lib32",
            "/libx32/x",
            "/boot",
            "/boot/x",
            "/etc/ld.so.preload",
            "/etc/ld.so.cache",
            "/etc/ld.so.conf",
            "/etc/ld.so.conf.d/x.conf",
            "/etc/alternatives/editor",
            "/etc",
            "/var",
            "/etc/ebbtide",
            "/etc/ebbtide/binds.d",
            "/etc/qubes-bind-dirs.d/x",
        ] {
            assert!(refusal(path, "/rw", true).is_some(), "{path}");
        }
        for path in [
            "/usr/local",
            "/usr/local/bin/x",
            "/etc/ssh",
            "/var/lib/tor",
            "/root",
            "/opt/x",
            "/home",
            "/library/x",
            "/lib128",
            "/etc/ld.so.conf.d-x",
        ] {
            assert_eq!(refusal(path, "/rw", true), None, "{path}");
        }
    }
}
