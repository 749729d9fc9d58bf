//! The system calls of one program: a trace of strace over all its threads flows in, counts and bytes flow out.

use super::super::syscalls::{Syscalls, is_clone};

const READS: [&str; 4] = ["read", "pread64", "readv", "preadv"];
const WRITES: [&str; 5] = ["write", "pwrite64", "writev", "pwritev", "copy_file_range"];

/// What one program did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) calls: Syscalls,
    pub(super) clones: u64,
    /// Bytes that it read and wrote.
    pub(super) read: u64,
    pub(super) written: u64,
}

impl Trace {
    /// Reads what `strace -f` wrote: a process number, a call and what it returned in a line, or in two where another
    /// thread came between.
    pub(super) fn parse(text: &str) -> Self {
        let mut trace = Self::default();
        for line in text.lines() {
            let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
            trace.add(call);
        }
        trace
    }

    fn add(&mut self, call: &str) {
        let (name, rest) = match call.strip_prefix("<... ") {
            // It was counted when it began.
            Some(resumed) => resumed.split_once(' ').unwrap_or_default(),
            None => match self.calls.add(call) {
                Some(begun) => begun,
                None => return,
            },
        };
        self.clones += u64::from(is_clone(name, rest) && !call.starts_with('<'));
        let returned = rest.rsplit_once(" = ").and_then(|(_, value)| value.parse::<u64>().ok());
        if READS.contains(&name) {
            self.read += returned.unwrap_or_default();
        } else if WRITES.contains(&name) {
            self.written += returned.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_calls_of_all_threads() {
        let text = r#"101 openat(AT_FDCWD, "/cow.uml", O_RDONLY|O_CLOEXEC) = 3
101 pread64(3, "MOOO\0\0 = 7"..., 4136, 0) = 4136
102 pwrite64(4, "x"..., 8192, 4096 <unfinished ...>
101 ioctl(4, BTRFS_IOC_CLONE_RANGE or FICLONERANGE, {src_fd=3, src_offset=1} <unfinished ...>
102 <... pwrite64 resumed>)         = 8192
101 <... ioctl resumed>) = 0
101 read(3, 0x7ff, 8) = -1 EAGAIN (Resource temporarily unavailable)
101 --- SIGCHLD {si_signo=SIGCHLD} ---
101 fsync(4) = 0
102 +++ exited with 0 +++
101 exit_group(0) = ?
"#;
        let trace = Trace::parse(text);
        assert_eq!((trace.calls.total(), trace.calls.flushes(), trace.clones), (7, 1, 1));
        assert_eq!((trace.read, trace.written), (4136, 8192));
        assert!(
            trace.calls.listed().starts_with("exit_group 1, fsync 1"),
            "{}",
            trace.calls.listed()
        );
    }
}
