//! System calls of a program and its children: what strace wrote flows in, a summary or call by call; counts by name flow
//! out.

use std::collections::BTreeMap;

/// How often each system call was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Syscalls(BTreeMap<String, u64>);

impl Syscalls {
    /// Parses the summary: lines of `% time, seconds, usecs/call, calls, [errors], name`.
    pub(crate) fn parse(summary: &str) -> Self {
        let count = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first()?.parse::<f64>().ok()?;
            let name = (*words.last()?).to_owned();
            Some((name, words.get(3)?.parse().ok()?))
        };
        Syscalls(summary.lines().filter_map(count).filter(|(name, _)| name != "total").collect())
    }

    /// Counts the call that a line of a trace begins with, and returns its name and what follows; `None` for any other line.
    pub(crate) fn add<'a>(&mut self, line: &'a str) -> Option<(&'a str, &'a str)> {
        let (name, rest) = line.split_once('(')?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        *self.0.entry(name.to_owned()).or_default() += 1;
        Some((name, rest))
    }

    /// Returns how many there were in all.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns how many programs were started.
    pub(crate) fn execs(&self) -> u64 {
        self.count(&["execve", "execveat"])
    }

    /// Returns how many processes and threads were made.
    pub(crate) fn forks(&self) -> u64 {
        self.count(&["fork", "vfork", "clone", "clone3"])
    }

    /// Returns how many waited until something was on its disk.
    pub(crate) fn flushes(&self) -> u64 {
        self.count(&["fsync", "fdatasync", "syncfs", "sync"])
    }

    fn count(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.0.get(*name)).sum()
    }

    /// Returns the names and counts, the most frequent first.
    pub(crate) fn listed(&self) -> String {
        let mut calls: Vec<_> = self.0.iter().collect();
        calls.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
        let words: Vec<_> = calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
        words.join(", ")
    }
}

/// Returns whether a call, with what follows its name, clones the whole of a file or a range.
pub(crate) fn is_clone(name: &str, rest: &str) -> bool {
    name == "ioctl" && ["FICLONE,", "FICLONERANGE,"].iter().any(|word| rest.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_summary_with_and_without_errors() {
        let calls = Syscalls::parse(
            "% time     seconds  usecs/call     calls    errors syscall\n\
             ------ ----------- ----------- --------- --------- ----------------\n\
             \x20 0.00    0.000000           0        12         5 openat\n\
             \x20 0.00    0.000000           0         3           execve\n\
             \x20 0.00    0.000000           0         2           vfork\n\
             ------ ----------- ----------- --------- --------- ----------------\n\
             100.00    0.000000           0        17         5 total\n",
        );
        assert_eq!((calls.total(), calls.execs(), calls.forks()), (17, 3, 2));
        assert_eq!(calls.listed(), "openat 12, execve 3, vfork 2");
    }
}
