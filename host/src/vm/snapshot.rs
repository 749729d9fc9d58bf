//! Snapshots.

/// The record's file in the directory of a snapshot.
pub(super) const FILE: &str = "snapshot.toml";
