//! What `versions` found: its lines flow in, samples by operation flow out.

use std::collections::BTreeMap;

use super::super::sample::Sample;
use crate::failure::{Failure, Result};

/// All figures of one measurement.
#[derive(Debug, Default)]
pub(in super::super) struct Figures {
    /// The shapes of images in the order in which they were made, and how many extents each has.
    pub(in super::super) extents: Vec<(String, u64)>,
    /// Milliseconds by whose, of which shape, and what.
    took: BTreeMap<(String, String, String), Sample>,
    /// Sizes and other numbers, by what they are.
    bytes: BTreeMap<String, u64>,
}

impl Figures {
    /// Reads the lines `extents SHAPE NUMBER`, `took WHO SHAPE NANOSECONDS WHAT…` and `bytes NUMBER WHAT…`.
    pub(in super::super) fn parse(text: &str) -> Result<Self> {
        let mut figures = Self::default();
        for line in text.lines() {
            figures
                .line(line)
                .ok_or_else(|| Failure::new(format!("versions said what nobody reads: {line}")))?;
        }
        Ok(figures)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["extents", shape, number] => {
                self.extents.push(((*shape).into(), number.parse().ok()?));
            }
            ["bytes", number, what @ ..] if !what.is_empty() => {
                self.bytes.insert(what.join(" "), number.parse().ok()?);
            }
            ["took", who, shape, nanoseconds, what @ ..] if !what.is_empty() => {
                let key = ((*who).into(), (*shape).into(), what.join(" "));
                self.took.entry(key).or_default().add(nanoseconds.parse::<f64>().ok()? / 1e6);
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns a number that was found; 0 when it was not.
    pub(in super::super) fn bytes(&self, what: &str) -> u64 {
        self.bytes.get(what).copied().unwrap_or_default()
    }

    /// Returns the times of an operation; empty when it was not measured.
    pub(in super::super) fn of(&self, who: &str, shape: &str, what: &str) -> Sample {
        self.took.get(&(who.into(), shape.into(), what.into())).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_measured() {
        let text = "extents 1g-10k 10003\n\
                    took ours 1g-10k 500000 root start\n\
                    took ours 1g-10k 1500000 root start\n\
                    took plain 1g-10k 80000000 root start\n";
        let figures = Figures::parse(text).unwrap();
        assert_eq!(figures.extents, [("1g-10k".to_owned(), 10_003)]);
        let [ours, plain] = ["ours", "plain"].map(|who| figures.of(who, "1g-10k", "root start"));
        assert_eq!((ours.median(), plain.median()), (1.0, 80.0));
        assert_eq!(figures.of("ours", "1g-1", "root start").median(), 0.0);
    }

    #[test]
    fn a_line_that_nobody_reads_is_no_figure() {
        for line in ["took ours 1g-1 5", "took ours 1g-1 soon commit", "extents 1g-1", "hello"] {
            let failure = Figures::parse(line).unwrap_err();
            assert!(failure.to_string().contains(line), "{failure}");
        }
    }
}
