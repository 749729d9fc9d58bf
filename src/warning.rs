//! What people are told about the store: what is so, and what can still be done.

use crate::usage::{Alarm, Span, Usage};
use core::fmt;
use ebbtide_format::snapshot_table::Kind;

/// One message.
#[derive(Clone, Debug)]
pub struct Warning<'a> {
    /// What happened.
    pub alarm: Alarm,
    /// The store as it is.
    pub usage: &'a Usage,
    /// Where the private disk is mounted, if it is.
    pub kept: Option<&'a str>,
}

impl Warning<'_> {
    /// Tells whether it is time to act, and not only to know.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        !matches!(self.alarm, Alarm::Reached(..95))
    }

    fn nearly_full(&self, f: &mut fmt::Formatter<'_>, limit: u8) -> fmt::Result {
        write!(f, "copy-on-write room of the root is {limit} % full")?;
        if let Some(room) = self.usage.room() {
            let left = ebbtide_format::units::Bytes(room.total.0.saturating_sub(room.used.0));
            write!(f, ", {} of {} are left", left.rounded(), room.total.rounded())?;
        }
        if let Some(time) = self.usage.to_full() {
            write!(f, ", enough for about {} at the pace since the start", Span(time))?;
        }
        let end = match self.usage.kind {
            Kind::PersistentOverflow => "the root turns read-only",
            Kind::Transient | Kind::Persistent => "every read of the root fails",
        };
        write!(
            f,
            ". When it is full, {end}. Deleting files gives nothing back: ask the host to enlarge \
             the volatile disk, or restart, which empties it"
        )
    }

    fn save(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kept {
            Some(place) => write!(f, "save your work to {place} and restart"),
            None => f.write_str("save your work on another disk and restart"),
        }
    }
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.alarm {
            Alarm::Reached(limit) => self.nearly_full(f, limit),
            Alarm::Full => {
                f.write_str(
                    "copy-on-write room of the root is full: the root has become read-only. Reads \
                     go on, and what was written before is still there until the machine stops: ",
                )?;
                self.save(f)
            }
            Alarm::Invalid => f.write_str(
                "the copy-on-write store of the root is lost: every read of the root fails, and \
                 nothing can be saved through it. Restart the machine",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::tests::used_mib;
    use alloc::string::{String, ToString};

    fn text(alarm: Alarm, kept: Option<&str>) -> String {
        Warning { alarm, usage: &used_mib(800, 1000), kept }.to_string()
    }

    #[test]
    fn says_what_is_so_and_what_can_be_done() {
        assert_eq!(
            text(Alarm::Reached(75), None),
            "copy-on-write room of the root is 75 % full, 200 MiB of 1000 MiB are left, enough for \
             about 15 min at the pace since the start. When it is full, the root turns read-only. \
             Deleting files gives nothing back: ask the host to enlarge the volatile disk, or \
             restart, which empties it"
        );
        assert!(text(Alarm::Full, Some("/rw")).ends_with("save your work to /rw and restart"));
        assert!(!text(Alarm::Full, None).contains("/rw"));
        assert!(text(Alarm::Invalid, Some("/rw")).contains("nothing can be saved"));
    }

    #[test]
    fn the_last_threshold_is_urgent() {
        let usage = &used_mib(800, 1000);
        let urgent = |alarm| Warning { alarm, usage, kept: None }.is_urgent();
        assert!(!urgent(Alarm::Reached(75)) && !urgent(Alarm::Reached(90)));
        assert!(urgent(Alarm::Reached(95)) && urgent(Alarm::Full) && urgent(Alarm::Invalid));
    }
}
