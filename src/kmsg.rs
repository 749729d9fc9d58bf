//! The log, in the kernel's: it is there before anything else, and journald picks it up later.
//!
//! Format: `<PRIORITY>ebbtide: TEXT`, one write a line (Documentation/ABI/testing/dev-kmsg).

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::Mutex,
};

const KMSG: &str = "/dev/kmsg";
/// Facility "daemon", shifted to its place in the priority.
const DAEMON: u8 = 3 << 3;
/// The kernel drops what one open of the file writes past ten lines in five seconds
/// (`DEFAULT_RATELIMIT_BURST`), silently; a fresh open begins anew.
const LINES_PER_OPEN: u8 = 10;

/// The kernel refuses a record of more than 1024 bytes, and before 6.4 of more than 976 (`LOG_LINE_MAX`).
const MOST: usize = 960;
/// Stands where a line was cut.
const CUT: &str = "…";

struct KernelLog(Mutex<Option<(File, u8)>>);

/// Makes the kernel log the log of this process. Warnings and errors go to standard error as well;
/// everything does when there is no kernel log.
pub(crate) fn init() {
    static LOG: KernelLog = KernelLog(Mutex::new(None));
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for KernelLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = format!("<{}>ebbtide: {}", DAEMON | priority(record.level()), record.args());
        cut(&mut line);
        line.push('\n');
        if self.write(line.as_bytes()).is_err() || record.level() <= Level::Warn {
            let _ = writeln!(io::stderr(), "ebbtide: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Returns the kernel's number for a level, which the journal has taken over.
pub(crate) fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        _ => 6,
    }
}

/// Cuts a line to what the kernel takes; the end of it is worth less than nothing at all.
fn cut(line: &mut String) {
    if line.len() > MOST {
        line.truncate(line.floor_char_boundary(MOST - CUT.len()));
        line.push_str(CUT);
    }
}

impl KernelLog {
    fn write(&self, line: &[u8]) -> io::Result<()> {
        let Ok(mut open) = self.0.lock() else {
            return Err(io::ErrorKind::Other.into());
        };
        let (mut file, lines) = match open.take() {
            Some((file, lines)) if lines < LINES_PER_OPEN => (file, lines),
            _ => (File::options().write(true).open(Path::new(KMSG))?, 0),
        };
        file.write_all(line)?;
        *open = Some((file, lines + 1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        for (text, length) in [("a".repeat(MOST), MOST), ("a".repeat(MOST + 1), MOST)] {
            let mut line = text;
            cut(&mut line);
            assert_eq!(line.len(), length);
        }
        let mut line = format!("a{}", "ä".repeat(MOST));
        cut(&mut line);
        assert!(line.len() <= MOST && line.ends_with("ä…"), "{line}");
    }
}
