//! The system calls of each operation: a trace of strace with marks in it flows in, counts flow out.

use super::super::syscalls::{Syscalls, is_clone};

/// What stands around an operation in the trace: a look at a path that is nowhere.
const BEGIN: &str = "\"/ebbtide-bench/begin/";
const END: &str = "\"/ebbtide-bench/end\"";

/// One operation, as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Operation {
    /// Whose, and what.
    pub(in super::super) name: String,
    /// Number of clones.
    pub(super) clones: u64,
    pub(in super::super) calls: Syscalls,
}

impl Operation {
    fn add(&mut self, line: &str) {
        if let Some((name, rest)) = self.calls.add(line) {
            self.clones += u64::from(is_clone(name, rest));
        }
    }
}

/// Returns the operations between marks, in their order.
pub(in super::super) fn operations(trace: &str) -> Vec<Operation> {
    let (mut all, mut open) = (Vec::new(), None::<Operation>);
    for line in trace.lines() {
        if let Some((_, rest)) = line.split_once(BEGIN) {
            let name = rest.split('"').next().unwrap_or_default().to_owned();
            open = Some(Operation { name, ..Operation::default() });
        } else if line.contains(END) {
            all.extend(open.take());
        } else if let Some(operation) = &mut open {
            // Behind the number of a process, where several are traced.
            operation.add(line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start());
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
        assert_eq!(
            (operation.calls.total(), operation.calls.flushes(), operation.clones),
            (5, 2, 2)
        );
        assert_eq!(operation.calls.listed(), "ioctl 2, fdatasync 1, fsync 1, openat 1");
    }

    #[test]
    fn an_operation_without_an_end_is_none() {
        assert_eq!(operations("statx(0, \"/ebbtide-bench/begin/x\", 0)\nfsync(3) = 0\n"), []);
    }
}
