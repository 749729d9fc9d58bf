//! A COW file as it is printed.

use crate::cli::{human, printable::printable, table};
use ebbtide::cow::{
    Cow, Format, State,
    backing::Mismatch,
    in_use::User,
    info::{BackingFound, BackingInfo, Info},
    marker,
};
use ebbtide_format::units::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use std::{os::unix::fs::MetadataExt as _, path::Path};

/// A COW file; sizes in bytes.
#[derive(Debug, Serialize)]
pub(super) struct InfoShown {
    file: String,
    format: &'static str,
    version: Option<String>,
    inside: Option<RangeShown>,
    state: &'static str,
    damage: Option<String>,
    length: u64,
    allocated: u64,
    device: Option<u64>,
    unit: Option<u64>,
    changed: Option<u64>,
    runs: Option<u64>,
    in_use: Option<UserShown>,
    recorded: Option<RecordedShown>,
    backing: Option<BackingShown>,
}

/// Part of a file.
#[derive(Debug, Serialize)]
struct RangeShown {
    start: u64,
    length: u64,
}

/// Who uses something.
#[derive(Debug, Serialize)]
struct UserShown {
    who: String,
    pid: Option<u32>,
}

/// What the COW file says of its backing.
#[derive(Debug, Serialize)]
struct RecordedShown {
    path: String,
    size: u64,
    modified: Option<Timestamp>,
}

/// A backing, or why there is none.
#[derive(Debug, Serialize)]
struct BackingShown {
    path: String,
    fits: bool,
    problem: Option<String>,
    size: Option<u64>,
    modified: Option<Timestamp>,
    in_use: Option<UserShown>,
    merge: Option<MergeShown>,
}

/// A merge in place.
#[derive(Debug, Serialize)]
struct MergeShown {
    state: &'static str,
    cow: String,
    this: bool,
    at: Option<Timestamp>,
    marker: String,
}

impl InfoShown {
    /// Returns what is shown of a COW file.
    pub(super) fn new(cow: &Cow, info: &Info) -> Self {
        let (format, version, unit) = match info.format {
            Format::Uml(version) => {
                ("uml", version.map(|version| version.to_string()), version.map(|_| 512))
            }
            Format::Store { chunk } => ("store", None, chunk.map(|chunk| chunk.0)),
            Format::Transient => ("transient-store", None, None),
        };
        let (state, damage) = match &info.state {
            State::Valid => ("valid", None),
            State::Empty => ("empty", None),
            State::Invalid => ("invalid", None),
            State::Untold => ("no-table", None),
            State::Damaged(damage) => ("damaged", Some(damage.clone())),
        };
        Self {
            file: text(&cow.disk.path),
            format,
            version,
            inside: info.inside.clone().map(|range| RangeShown {
                start: range.start,
                length: range.end.saturating_sub(range.start),
            }),
            state,
            damage,
            length: cow.disk.size.0,
            allocated: cow.disk.file.metadata().map_or(0, |found| found.blocks() * 512),
            device: info.device.map(|size| size.0),
            unit,
            changed: info.held.map(|held| held.bytes.0),
            runs: info.held.map(|held| held.runs),
            in_use: info.user.as_ref().map(Into::into),
            recorded: info.recorded.as_ref().map(|recorded| RecordedShown {
                path: text(&recorded.backing),
                size: recorded.size.0,
                modified: time(recorded.modified.into()),
            }),
            backing: info.backing.as_ref().map(Into::into),
        }
    }

    /// Returns lines.
    pub(super) fn text(&self) -> String {
        let format = match (self.format, &self.version) {
            ("uml", Some(version)) => format!("COW file of user-mode Linux, version {version}"),
            ("uml", None) => "COW file of user-mode Linux".into(),
            ("store", _) => "exception store of dm-snapshot".into(),
            _ => "exception store of dm-snapshot, kind N or encrypted".into(),
        };
        let mut fields = vec![("file", self.file.clone()), ("format", format)];
        if let Some(RangeShown { start, length }) = self.inside {
            let at = format!("{} of a volatile disk, from byte {start} on", size(length));
            fields.push(("inside", at));
        }
        fields.push(("state", self.state_text()));
        let takes = format!("{}, {} allocated", exact(self.length), size(self.allocated));
        fields.push(("length", takes));
        fields.extend(self.device.map(|device| ("device", exact(device))));
        let unit = if self.format == "uml" { "sector" } else { "chunk" };
        fields.extend(self.unit.map(|bytes| (unit, size(bytes))));
        fields.extend(self.changed_text().map(|text| ("changed", text)));
        fields.extend(self.in_use.as_ref().map(|user| ("in use", format!("by {}", user.who))));
        fields.extend(self.recorded.as_ref().map(|recorded| ("written over", recorded.text())));
        fields.push(("backing", self.backing_text()));
        if let Some(backing) = &self.backing {
            let user = backing.in_use.as_ref();
            fields.extend(user.map(|user| ("its user", user.who.clone())));
            fields.extend(backing.merge.as_ref().map(|merge| ("merge", merge.text())));
        }
        printable(&table::fields(&fields)).into_owned()
    }

    fn state_text(&self) -> String {
        match self.state {
            "empty" => "empty: nothing was ever written",
            "invalid" => {
                "invalid: the kernel gave it up, since it ran full or a write to it failed"
            }
            "no-table" => {
                "no table, or encrypted: which chunks it holds was known to the kernel alone"
            }
            state => state,
        }
        .into()
    }

    fn changed_text(&self) -> Option<String> {
        let (changed, runs) = (self.changed?, self.runs?);
        let most = match self.device {
            None if changed != 0 => "; less, if the device ends within the last chunk",
            _ => "",
        };
        let noun = if runs == 1 { "run" } else { "runs" };
        Some(format!("{} in {runs} {noun}{most}", size(changed)))
    }
}

impl InfoShown {
    fn backing_text(&self) -> String {
        match &self.backing {
            Some(backing) => backing.text(),
            None if self.format == "uml" => "not known".into(),
            None => "not known: a store does not name it; give --backing FILE".into(),
        }
    }
}

impl RecordedShown {
    fn text(&self) -> String {
        let modified = self.modified.map_or("an unknown time".into(), human::time);
        format!("{}, {}, last written to at {modified}", self.path, exact(self.size))
    }
}

impl BackingShown {
    fn text(&self) -> String {
        match &self.problem {
            Some(problem) => format!("does not fit: {problem}"),
            None => format!("{}, {}, fits", self.path, exact(self.size.unwrap_or(0))),
        }
    }
}

impl MergeShown {
    fn text(&self) -> String {
        let cow = if self.this { "this COW file".into() } else { self.cow.clone() };
        match self.at {
            Some(at) => format!("{cow} was merged in place at {}", human::time(at)),
            None => format!("{cow} is being merged in place, or was until it was cut off"),
        }
    }
}

impl From<&User> for UserShown {
    fn from(user: &User) -> Self {
        let pid = match user {
            User::Process { pid, .. } => Some(*pid),
            _ => None,
        };
        Self { who: user.to_string(), pid }
    }
}

impl From<&BackingInfo> for BackingShown {
    fn from(info: &BackingInfo) -> Self {
        let found = info.found.as_ref();
        let merge = found.ok().and_then(|found| found.marker.as_ref());
        let problem = found.map_or_else(|error| Some(error.chain()), problem);
        Self {
            path: text(&info.path),
            fits: problem.is_none(),
            problem,
            size: found.ok().map(|found| found.size.0),
            modified: found.ok().and_then(|found| time(found.modified?)),
            in_use: found.ok().and_then(|found| found.user.as_ref()).map(Into::into),
            merge: merge.map(|(file, marker, this)| self::merge(file, marker, *this)),
        }
    }
}

fn merge(file: &std::path::Path, marker: &marker::Marker, this: bool) -> MergeShown {
    let (state, at) = match &marker.state {
        marker::State::Merging => ("merging", None),
        marker::State::Merged { at, .. } => ("merged", Some(*at)),
    };
    MergeShown { state, cow: text(&marker.cow.path), this, at, marker: text(file) }
}

/// Returns why it does not fit; the cause of another time before that.
fn problem(found: &BackingFound) -> Option<String> {
    found.obstacle.clone().or_else(|| found.mismatch.map(mismatch))
}

fn mismatch(mismatch: Mismatch) -> String {
    match mismatch {
        Mismatch::Size { wanted, found } => {
            format!("wanted {}; it has {}", exact(wanted.0), exact(found.0))
        }
        Mismatch::Modified { wanted, found } => {
            let shown = |seconds| time(seconds).map_or(format!("{seconds} s"), human::time);
            let (wanted, found) = (shown(wanted.into()), shown(found));
            format!("wanted one that was last written to at {wanted}; it was at {found}")
        }
    }
}

fn time(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

fn size(bytes: u64) -> String {
    human::size(Bytes(bytes))
}

/// Returns a size so that two that differ look different.
fn exact(bytes: u64) -> String {
    Bytes(bytes).to_string()
}

/// Returns a path as text: JSON has no way to tell bytes that are no UTF-8.
fn text(path: &Path) -> String {
    path.to_string_lossy().into()
}
