//! How full the copy-on-write store is, how fast it fills, and when that is worth a word.
//!
//! In: the status of the snapshot, its table, its size and the time since the machine started. Out:
//! [`Usage`]; and from one look to the next an [`Alarm`]. The store is empty at every start, so what
//! it holds has grown since then.

use core::{fmt, time::Duration};
use ebbtide_format::{
    dm_table::SnapshotStatus,
    exception_store,
    snapshot_table::{Kind, SnapshotTable},
    units::{Bytes, Sectors},
};

/// How full it is when it is told, in percent.
pub const THRESHOLDS: [u8; 3] = [75, 90, 95];

/// The store at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Kind of store.
    pub kind: Kind,
    /// Unit of copying.
    pub chunk: Bytes,
    /// Whether there is less room than rewriting all of the root takes.
    pub can_fill: bool,
    /// What it is like.
    pub health: Health,
    /// Time since the machine started.
    pub uptime: Duration,
}

/// What the store is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// At work.
    Fine(Room),
    /// It is full: writes fail, reads go on. Device-mapper gives no numbers any more.
    Full,
    /// It was full, or could not be written: every read fails.
    Invalid,
}

/// Numbers of a store at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Data and metadata.
    pub used: Bytes,
    /// All that there is.
    pub total: Bytes,
    /// The metadata in `used`.
    pub metadata: Bytes,
}

impl Usage {
    /// Puts together what was read of a snapshot of `size`.
    #[must_use]
    pub fn new(
        status: SnapshotStatus,
        table: &SnapshotTable,
        size: Sectors,
        uptime: Duration,
    ) -> Self {
        let wanted = exception_store::room_for_all(size, table.chunk);
        let (health, can_fill) = match status {
            SnapshotStatus::Active { used, total, metadata } => {
                let [used, total, metadata] = [used, total, metadata].map(Sectors::bytes);
                (Health::Fine(Room { used, total, metadata }), total < wanted.bytes())
            }
            SnapshotStatus::Overflow => (Health::Full, true),
            SnapshotStatus::Invalid => (Health::Invalid, true),
        };
        Self { kind: table.kind, chunk: table.chunk.bytes(), can_fill, health, uptime }
    }

    /// Returns the numbers, while there are any.
    #[must_use]
    pub const fn room(&self) -> Option<Room> {
        match self.health {
            Health::Fine(room) => Some(room),
            Health::Full | Health::Invalid => None,
        }
    }

    /// Returns how much data was copied since the machine started.
    #[must_use]
    pub fn grown(&self) -> Option<Bytes> {
        self.room().map(|room| Bytes(room.used.0.saturating_sub(room.metadata.0)))
    }

    /// Returns how much of the room an hour took, on average since the machine started; `None` in its
    /// first second.
    #[must_use]
    pub fn per_hour(&self) -> Option<Bytes> {
        let used = u128::from(self.room()?.used.0);
        let milliseconds = Some(self.uptime.as_millis()).filter(|ms| *ms >= 1000)?;
        Some(Bytes(u64::try_from(used * 3_600_000 / milliseconds).unwrap_or(u64::MAX)))
    }

    /// Returns when it is full if it goes on like this; `None` where it cannot fill or does not grow.
    #[must_use]
    pub fn to_full(&self) -> Option<Duration> {
        let room = self.room().filter(|_| self.can_fill)?;
        let left = u128::from(room.total.0.saturating_sub(room.used.0));
        let pace = self.per_hour().filter(|pace| pace.0 > 0)?;
        let seconds = left * 3600 / u128::from(pace.0);
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }
}

impl Room {
    /// Returns how full it is in tenths of a percent, rounded down; a store without room is full.
    #[must_use]
    pub fn permille(self) -> u16 {
        let (used, total) = (u128::from(self.used.0), u128::from(self.total.0));
        (used * 1000).checked_div(total).map_or(1000, |p| p.min(1000) as u16)
    }
}

/// What changed for the worse since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// It is as full as one of [`THRESHOLDS`] now.
    Reached(u8),
    /// It is full.
    Full,
    /// It is lost.
    Invalid,
}

/// What has been told so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    threshold: u8,
    health: Option<Alarm>,
}

impl Told {
    /// Returns what is to be told now, and remembers it: each threshold once, the highest when several
    /// were passed at once. Where room has grown since, a threshold is told again when it is reached
    /// again. Nothing is told of a store that cannot fill.
    pub fn look(&mut self, usage: &Usage) -> Option<Alarm> {
        let room = match usage.health {
            Health::Fine(room) => room,
            Health::Full => return self.once(Alarm::Full),
            Health::Invalid => return self.once(Alarm::Invalid),
        };
        let reached = |limit: &u8| usage.can_fill && room.permille() >= u16::from(*limit) * 10;
        let threshold = THRESHOLDS.into_iter().rfind(reached).unwrap_or(0);
        let before = core::mem::replace(&mut self.threshold, threshold);
        (threshold > before).then_some(Alarm::Reached(threshold))
    }

    fn once(&mut self, alarm: Alarm) -> Option<Alarm> {
        (self.health.replace(alarm) != Some(alarm)).then_some(alarm)
    }
}

/// A time as a reader wants it: `40 s`, `12 min`, `5 h 20 min`, `3 days`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min"),
            (0..3, _, _) => write!(f, "{hours} h {} min", minutes % 60),
            (0..1000, _, _) => write!(f, "{days} days"),
            _ => f.write_str("years"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::{string::ToString, vec::Vec};
    use proptest::prelude::*;

    const ROOT: Sectors = Sectors(8 << 21);

    /// A `PO` store of 1000 MiB over a root of 8 GiB, in use for an hour.
    pub(crate) fn used_mib(used: u64, total: u64) -> Usage {
        let sectors = |mib| Sectors(mib << 11);
        let active = SnapshotStatus::Active {
            used: sectors(used),
            total: sectors(total),
            metadata: Sectors(16),
        };
        of(active)
    }

    fn of(status: SnapshotStatus) -> Usage {
        let table = SnapshotTable::parse("254:0 254:34 PO 8").unwrap();
        Usage::new(status, &table, ROOT, Duration::from_secs(3600))
    }

    #[test]
    fn reckons_pace_and_time_to_full() {
        let usage = used_mib(250, 1000);
        assert_eq!(usage.per_hour(), Some(Bytes::mib(250)));
        assert_eq!(usage.to_full(), Some(Duration::from_secs(3 * 3600)));
        assert_eq!(usage.room().map(Room::permille), Some(250));
        assert_eq!(usage.grown(), Some(Bytes((250 << 20) - 8192)));
    }

    #[test]
    fn a_store_that_cannot_fill_or_does_not_grow_is_never_full() {
        let large = used_mib(8000, 9000);
        assert!(!large.can_fill && large.to_full().is_none());
        assert_eq!(Told::default().look(&large), None);
        assert_eq!(used_mib(0, 1000).to_full(), None);
        assert!(used_mib(0, 1000).can_fill);
    }

    #[test]
    fn each_threshold_is_told_once_and_the_highest_of_several() {
        let mut told = Told::default();
        let alarms = [749, 750, 899, 910, 990, 1000, 1000];
        let alarms: Vec<_> = alarms.map(|used| told.look(&used_mib(used, 1000))).into();
        let reached = |limit| Some(Alarm::Reached(limit));
        assert_eq!(alarms, [None, reached(75), None, reached(90), reached(95), None, None]);
        assert_eq!(Told::default().look(&used_mib(990, 1000)), reached(95));
    }

    #[test]
    fn growth_arms_a_threshold_again() {
        let mut told = Told::default();
        assert_eq!(told.look(&used_mib(960, 1000)), Some(Alarm::Reached(95)));
        assert_eq!(told.look(&used_mib(960, 1200)), None);
        assert_eq!(told.look(&used_mib(1090, 1200)), Some(Alarm::Reached(90)));
    }

    #[test]
    fn the_end_is_told_once() {
        let mut told = Told::default();
        assert_eq!(told.look(&of(SnapshotStatus::Overflow)), Some(Alarm::Full));
        assert_eq!(told.look(&of(SnapshotStatus::Overflow)), None);
        assert_eq!(told.look(&of(SnapshotStatus::Invalid)), Some(Alarm::Invalid));
        assert_eq!(told.look(&of(SnapshotStatus::Invalid)), None);
    }

    #[test]
    fn spans_are_short() {
        let text = |seconds| Span(Duration::from_secs(seconds)).to_string();
        assert_eq!(text(59), "59 s");
        assert_eq!(text(3599), "59 min");
        assert_eq!(text(19200), "5 h 20 min");
        assert_eq!(text(259_200), "3 days");
        assert_eq!(text(u64::MAX), "years");
    }

    proptest! {
        #[test]
        fn any_numbers_will_do(
            used: u64, total: u64, metadata: u64, size: u32, seconds: u64
        ) {
            let [used, total, metadata] = [used, total, metadata].map(Sectors);
            let status = SnapshotStatus::Active { used, total, metadata };
            let table = SnapshotTable::parse("1:0 1:1 N 8").unwrap();
            let uptime = Duration::from_secs(seconds);
            let usage = Usage::new(status, &table, Sectors(size.into()), uptime);
            prop_assert!(usage.room().unwrap().permille() <= 1000);
            let (_, _) = (usage.per_hour(), usage.to_full());
            prop_assert!(usage.can_fill || Told::default().look(&usage).is_none());
        }

        /// Whatever the looks are: what is told is reached, and above what was told since it last grew.
        #[test]
        fn alarms_follow_the_looks(looks: Vec<(u16, u16)>) {
            let mut told = Told::default();
            let mut last = 0;
            for (used, total) in looks {
                let (used, total) = (u64::from(used % 1000), 1 + u64::from(total % 1000));
                let usage = used_mib(used, total);
                let permille = usage.room().unwrap().permille();
                let alarm = told.look(&usage);
                let reached = THRESHOLDS.into_iter().filter(|t| permille >= u16::from(*t) * 10).max();
                let wanted = reached.filter(|t| *t > last);
                prop_assert_eq!(alarm, wanted.map(Alarm::Reached));
                last = reached.unwrap_or(0);
            }
        }
    }
}
