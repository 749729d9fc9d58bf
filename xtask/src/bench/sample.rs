//! Repeated measurements of one thing.

use std::fmt;

/// Numbers in order of size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// Adds a measurement.
    pub(crate) fn add(&mut self, value: f64) {
        let at = self.0.partition_point(|other| *other < value);
        self.0.insert(at, value);
    }

    /// Returns the one in the middle, or the mean of the two there; 0 without any.
    pub(crate) fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        match self.0.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => self.0[half],
            _ => f64::midpoint(self.0[half - 1], self.0[half]),
        }
    }

    /// Returns the median of other measurements as a multiple of this one's.
    pub(crate) fn ratio(&self, other: &Sample) -> String {
        format!("{:.1}×", other.median() / self.median())
    }

    /// The same with two digits, for small differences.
    pub(crate) fn ratio_to(&self, other: &Sample) -> String {
        format!("{:.2}", other.median() / self.median())
    }

    /// Returns every measurement less a constant.
    pub(crate) fn less(&self, constant: f64) -> Sample {
        Sample(self.0.iter().map(|value| value - constant).collect())
    }

    /// Returns the smallest and the largest.
    pub(crate) fn range(&self) -> String {
        self.fine_range(|value| format!("{value:.0}"))
    }

    /// Returns whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the smallest and the largest, each as `show` shows it.
    pub(crate) fn fine_range(&self, show: impl Fn(f64) -> String) -> String {
        match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => format!("{}–{}", show(*first), show(*last)),
            _ => String::new(),
        }
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        let mut sample = Sample::default();
        values.into_iter().for_each(|value| sample.add(value));
        sample
    }
}

/// The median, in full units.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_does_not_mind_order_or_outliers() {
        let sample: Sample = [3.0, 900.0, 1.0].into_iter().collect();
        assert_eq!(sample.median(), 3.0);
        assert_eq!(sample.range(), "1–900");
        assert_eq!([4.0, 1.0].into_iter().collect::<Sample>().median(), 2.5);
    }

    #[test]
    fn ratio_is_how_many_times_longer_the_other_takes() {
        let [short, long] = [[2.0], [13.0]].map(|values| values.into_iter().collect::<Sample>());
        assert_eq!(short.ratio(&long), "6.5×");
        assert_eq!(short.ratio(&long.less(1.0)), "6.0×");
    }
}
