//! The log of a service: lines on standard error, which systemd's journal reads.
//!
//! Format: `<PRIORITY>TEXT` (sd-daemon(3)), one write a line.

use crate::kmsg::priority;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::{self, Write};

struct Journal;

/// Makes standard error the log of this process.
pub(crate) fn init() {
    if log::set_logger(&Journal).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = format!("<{}>{}\n", priority(record.level()), record.args());
        let _ = io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}
