//! Complaints of a kernel: console text goes in, the lines that no healthy boot prints come out.

use crate::outcome::readable;

/// What a kernel prints when something is wrong with it or its disks.
const COMPLAINTS: &[&str] = &[
    "BUG:",
    "kernel BUG at",
    "WARNING: CPU:",
    "WARNING: possible",
    "Oops",
    "Call Trace:",
    "general protection fault",
    "unable to handle",
    "Kernel panic - not syncing",
    "I/O error",
    "critical medium error",
    "critical target error",
    "EXT4-fs error",
    "EXT4-fs warning",
    "Aborting journal",
    "XFS: Internal error",
    "BTRFS error",
    "BTRFS critical",
    "blocked for more than",
    "soft lockup",
    "hard LOCKUP",
    "detected stalls",
    "self-detected stall",
    "Out of memory",
    "invoked oom-killer",
    "segfault at",
    "device-mapper: snapshots: Invalidating",
    "device-mapper: snapshots: Snapshot overflowed",
    "Attempted to kill init",
];

/// Returns the lines of `console` that hold a complaint and none of the `allowed` texts.
pub fn complaints(console: &[u8], allowed: &[&str]) -> Vec<String> {
    let complains = |line: &str| COMPLAINTS.iter().any(|text| line.contains(text));
    let is_allowed = |line: &str| allowed.iter().any(|text| line.contains(text));
    let text = readable(console);
    let lines = text.lines().map(str::trim);
    lines.filter(|line| complains(line) && !is_allowed(line)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_complaints_and_nothing_in_a_healthy_boot() {
        let healthy = b"[    0.1] mce: CPU supports 10 MCE banks\r\n\
            [    0.2] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable\r\n\
            [    0.3] EXT4-fs (dm-0): mounted filesystem with ordered data mode\r\n\
            [    0.4] ebbtide: step 1/7 discard vdc\r\n";
        assert_eq!(complaints(healthy, &[]), Vec::<String>::new());

        let ill = b"ok\r\n[ 9.1] Buffer I/O error on dev dm-0, logical block 1\r\n\
            [ 9.2] INFO: task mount:77 blocked for more than 120 seconds.\r\n\
            [ 9.3] WARNING: CPU: 0 PID: 1 at fs/inode.c:1\r\n";
        let found = complaints(ill, &[]);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], "[ 9.1] Buffer I/O error on dev dm-0, logical block 1");
    }

    #[test]
    fn allowed_lines_are_left_out_one_by_one() {
        let text = b"I/O error, dev vda, sector 1\nI/O error, dev vdb, sector 1\n";
        assert_eq!(complaints(text, &["dev vda"]), ["I/O error, dev vdb, sector 1"]);
    }
}
