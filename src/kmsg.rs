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
        let line = format!("<{}>ebbtide: {}\n", DAEMON | priority(record.level()), record.args());
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
