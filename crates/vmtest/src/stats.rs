//! What QEMU has counted for a disk.

use qemu::Monitor;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::size::Size;

/// What QEMU has counted for one disk since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskStats {
    /// Bytes read by the guest.
    pub read: Size,
    /// Bytes written by the guest.
    pub written: Size,
    /// Bytes discarded by the guest.
    pub discarded: Size,
    /// Read requests.
    pub reads: u64,
    /// Write requests.
    pub writes: u64,
    /// Discard requests.
    pub discards: u64,
    /// Flush requests.
    pub flushes: u64,
}

impl DiskStats {
    /// Returns what was counted after `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            read: self.read.since(earlier.read),
            written: self.written.since(earlier.written),
            discarded: self.discarded.since(earlier.discarded),
            reads: self.reads.saturating_sub(earlier.reads),
            writes: self.writes.saturating_sub(earlier.writes),
            discards: self.discards.saturating_sub(earlier.discards),
            flushes: self.flushes.saturating_sub(earlier.flushes),
        }
    }

    /// Parses the `stats` of one entry of `query-blockstats`.
    fn parse(stats: &Value) -> Self {
        let count = |name: &str| stats[name].as_u64().unwrap_or(0);
        Self {
            read: Size::bytes(count("rd_bytes")),
            written: Size::bytes(count("wr_bytes")),
            discarded: Size::bytes(count("unmap_bytes")),
            reads: count("rd_operations"),
            writes: count("wr_operations"),
            discards: count("unmap_operations"),
            flushes: count("flush_operations"),
        }
    }
}

/// Returns the counters of the disk behind `node`.
pub(crate) fn of(monitor: &Monitor, node: &str) -> Result<DiskStats> {
    let all = monitor.execute("query-blockstats", &json!({}))?;
    let mut entries = all.as_array().into_iter().flatten();
    let entry = entries.find(|entry| entry["node-name"] == node);
    entry.map(|entry| DiskStats::parse(&entry["stats"])).ok_or_else(|| Error::Monitor {
        command: "query-blockstats".into(),
        answer: format!("an answer without {node}"),
    })
}
