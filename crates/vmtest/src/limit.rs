//! Time limits: a written limit and `EBBTIDE_TIME_SCALE` go in, a deadline comes out.
//!
//! Every wait of this crate ends at a [`Deadline`]; none sleeps in a loop.

use std::time::{Duration, Instant};

/// For one boot, to the first answer of the guest.
pub(crate) const BOOT: Duration = Duration::from_secs(180);
/// For one command in the guest.
pub(crate) const COMMAND: Duration = Duration::from_secs(120);
/// For an answer of QEMU itself.
pub(crate) const MONITOR: Duration = Duration::from_secs(20);
/// For a killed process to be gone.
pub(crate) const KILLED: Duration = Duration::from_secs(10);
/// For the rest of a kernel's last words, once it has panicked.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(3);

/// The instant at which a wait gives up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    started: Instant,
    at: Instant,
}

impl Deadline {
    /// Starts a wait that may last `limit`, multiplied by `EBBTIDE_TIME_SCALE`.
    pub(crate) fn after(limit: Duration) -> Self {
        let scale = std::env::var("EBBTIDE_TIME_SCALE").ok();
        Self::exactly(scaled(limit, scale.as_deref()))
    }

    /// Starts a wait that may last `limit`, whatever the scale.
    pub(crate) fn exactly(limit: Duration) -> Self {
        let started = Instant::now();
        Self { started, at: started + limit }
    }

    /// Returns the time that is left, `None` when there is none.
    pub(crate) fn left(self) -> Option<Duration> {
        self.at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Returns how long the wait has lasted.
    pub(crate) fn waited(self) -> Duration {
        self.started.elapsed()
    }

    /// Returns this wait, ended after `limit` from now if that is earlier.
    pub(crate) fn but_at_most(self, limit: Duration) -> Self {
        Self { started: self.started, at: self.at.min(Instant::now() + limit) }
    }
}

/// Multiplies a limit; a scale that is no number between 0.1 and 100 counts as 1.
fn scaled(limit: Duration, scale: Option<&str>) -> Duration {
    let scale = scale.and_then(|text| text.trim().parse::<f64>().ok());
    limit.mul_f64(scale.filter(|s| (0.1..=100.0).contains(s)).unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn scale_multiplies_and_nonsense_does_not() {
        assert_eq!(scaled(TEN, Some("2.5")), Duration::from_secs(25));
        for nonsense in [None, Some(""), Some("soon"), Some("-1"), Some("NaN"), Some("inf")] {
            assert_eq!(scaled(TEN, nonsense), TEN, "{nonsense:?}");
        }
    }

    #[test]
    fn a_shortened_wait_never_gets_longer() {
        let short = Deadline::exactly(Duration::from_millis(5)).but_at_most(TEN);
        assert!(short.left().is_none_or(|left| left <= Duration::from_millis(5)));
    }
}
