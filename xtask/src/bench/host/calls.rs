//! The system calls of each operation: a trace of strace with marks in it flows in, counts flow out.

use std::collections::BTreeMap;

/// What stands around an operation in the trace: a look at a path that is nowhere.
const BEGIN: &str = "\"/ebbtide-bench/begin/";
const END: &str = "\"/ebbtide-bench/end\"";
/// What waits until something is on its disk.
const FLUSHES: [&str; 4] = ["fsync", "fdatasync", "syncfs", "sync"];
/// What clones: the whole of a file, or a range.
const CLONES: [&str; 2] = ["FICLONE,", "FICLONERANGE,"];

/// One operation, as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Operation {
    /// Whose, and what.
    pub(super) name: String,
    /// Number of clones.
    pub(super) clones: u64,
    calls: BTreeMap<String, u64>,
}

impl Operation {
    /// Returns the number of system calls.
    pub(super) fn total(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Returns the number of calls that wait for a disk.
    pub(super) fn flushes(&self) -> u64 {
        FLUSHES.iter().filter_map(|name| self.calls.get(*name)).sum()
    }

    /// Returns the names and counts, the most frequent first.
    pub(super) fn listed(&self) -> String {
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
        let words: Vec<_> = calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
        words.join(", ")
    }

    fn add(&mut self, line: &str) {
        let Some((name, rest)) = line.split_once('(') else { return };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return;
        }
        *self.calls.entry(name.to_owned()).or_default() += 1;
        self.clones += u64::from(name == "ioctl" && CLONES.iter().any(|word| rest.contains(word)));
    }
}

/// Returns the operations between marks, in their order.
pub(super) fn operations(trace: &str) -> Vec<Operation> {
    let (mut all, mut open) = (Vec::new(), None::<Operation>);
    for line in trace.lines() {
        if let Some((_, rest)) = line.split_once(BEGIN) {
            let name = rest.split('"').next().unwrap_or_default().to_owned();
            open = Some(Operation { name, ..Operation::default() });
        } else if line.contains(END) {
            all.extend(open.take());
        } else if let Some(operation) = &mut open {
            operation.add(line);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_between_the_marks() {
        let trace = r#"openat(AT_FDCWD, "/before", O_RDONLY) = 3
statx(AT_FDCWD, "/ebbtide-bench/begin/ours commit", AT_STATX_SYNC_AS_STAT, STATX_ALL, 0x7ff) = -1 ENOENT (No such file or directory)
openat(AT_FDCWD, "/pool/root-dirty.img", O_RDONLY|O_CLOEXEC) = 3
fsync(3)                                = 0
ioctl(4, BTRFS_IOC_CLONE or FICLONE, 3) = 0
ioctl(4, FICLONERANGE, {src_fd=3}) = 0
--- SIGALRM {si_signo=SIGALRM, si_code=SI_TIMER} ---
fdatasync(3)                            = 0
statx(AT_FDCWD, "/ebbtide-bench/end", AT_STATX_SYNC_AS_STAT, STATX_ALL, 0x7ff) = -1 ENOENT (No such file or directory)
fsync(9) = 0
"#;
        let found = operations(trace);
        assert_eq!(found.len(), 1);
        let operation = &found[0];
        assert_eq!(operation.name, "ours commit");
        assert_eq!((operation.total(), operation.flushes(), operation.clones), (5, 2, 2));
        assert_eq!(operation.listed(), "ioctl 2, fdatasync 1, fsync 1, openat 1");
    }

    #[test]
    fn an_operation_without_an_end_is_none() {
        assert_eq!(operations("statx(0, \"/ebbtide-bench/begin/x\", 0)\nfsync(3) = 0\n"), []);
    }
}
