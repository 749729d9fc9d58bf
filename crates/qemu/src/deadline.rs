//! The end of a wait: a limit goes in, the time that is left comes out.

use std::time::{Duration, Instant};

/// The instant at which a wait gives up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    started: Instant,
    at: Instant,
}

impl Deadline {
    /// Starts a wait that may last `limit`, multiplied by `EBBTIDE_TIME_SCALE`.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let scale = std::env::var("EBBTIDE_TIME_SCALE").ok();
        Self::exactly(scaled(limit, scale.as_deref()))
    }

    /// Starts a wait that may last `limit`, whatever the scale.
    #[must_use]
    pub fn exactly(limit: Duration) -> Self {
        let started = Instant::now();
        // A limit beyond the clock's end is no limit: a year is not, either.
        let at = started.checked_add(limit).unwrap_or(started + Duration::from_secs(365 * 86_400));
        Self { started, at }
    }

    /// Returns the time that is left, `None` when there is none.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Returns how long the wait has lasted.
    #[must_use]
    pub fn waited(self) -> Duration {
        self.started.elapsed()
    }

    /// Returns this wait, ended after `limit` from now if that is earlier.
    #[must_use]
    pub fn but_at_most(self, limit: Duration) -> Self {
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
