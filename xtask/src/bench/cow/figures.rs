//! What `cow` found: its lines flow in, samples by case and contestant flow out.

use std::collections::BTreeMap;

use super::super::sample::Sample;
use crate::failure::{Failure, Result};

/// A backing, and what was written over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) name: String,
    /// Bytes of the backing.
    pub(super) size: u64,
    /// Number of pieces.
    pub(super) pieces: u64,
    /// Bytes in all pieces.
    pub(super) bytes: u64,
}

/// All figures of one file system.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// In the order in which they were measured.
    pub(super) cases: Vec<Case>,
    /// Case, contestant, and what it is compared with, in the order in which they first were measured.
    turns: Vec<(String, String, String)>,
    /// Milliseconds by case and contestant, of each round.
    took: BTreeMap<(String, String), BTreeMap<u64, f64>>,
}

impl Figures {
    /// Reads the lines `case NAME SIZE PIECES BYTES` and `took CASE ROUND NANOSECONDS WHO… / LIMIT…`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut figures = Self::default();
        for line in text.lines() {
            figures
                .line(line)
                .ok_or_else(|| Failure::new(format!("cow said what nobody reads: {line}")))?;
        }
        Ok(figures)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "case" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [name, size, pieces, bytes] = words.as_slice() else { return None };
                let number = |word: &str| word.parse().ok();
                let (size, pieces, bytes) = (number(size)?, number(pieces)?, number(bytes)?);
                self.cases.push(Case { name: (*name).into(), size, pieces, bytes });
            }
            "took" => {
                let words: Vec<&str> = rest.splitn(4, ' ').collect();
                let [case, round, nanoseconds, names] = words.as_slice() else { return None };
                let (who, limit) = names.split_once(" / ")?;
                let turn = ((*case).to_owned(), who.to_owned(), limit.to_owned());
                if !self.turns.contains(&turn) {
                    self.turns.push(turn);
                }
                let ms = nanoseconds.parse::<f64>().ok()? / 1e6;
                let rounds = self.took.entry(((*case).into(), who.into())).or_default();
                rounds.insert(round.parse().ok()?, ms);
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns the contestants of a case, each with what it is compared with.
    pub(super) fn of(&self, case: &str) -> Vec<(&str, &str)> {
        let turns = self.turns.iter().filter(|(of, _, _)| of == case);
        turns.map(|(_, who, limit)| (who.as_str(), limit.as_str())).collect()
    }

    /// Returns the times of one contestant, in ms; empty when it was not measured.
    pub(super) fn took(&self, case: &str, who: &str) -> Sample {
        self.rounds(case, who).into_iter().flat_map(BTreeMap::values).copied().collect()
    }

    /// Returns how many times as long as another one it took, round by round.
    pub(super) fn times(&self, case: &str, who: &str, other: &str) -> Sample {
        let (Some(these), Some(those)) = (self.rounds(case, who), self.rounds(case, other)) else {
            return Sample::default();
        };
        these.iter().filter_map(|(round, ms)| Some(ms / those.get(round)?)).collect()
    }

    fn rounds(&self, case: &str, who: &str) -> Option<&BTreeMap<u64, f64>> {
        self.took.get(&(case.into(), who.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_one_of_the_same_round() {
        let text = "case tiny 4096 5 80\n\
                    took tiny 0 1000000 limit / limit\n\
                    took tiny 0 2000000 ours, copying / limit\n\
                    took tiny 1 10000000 ours, copying / limit\n\
                    took tiny 1 10000000 limit / limit\n\
                    took tiny 2 5000000 limit / limit\n";
        let figures = Figures::parse(text).unwrap();
        let case = Case { name: "tiny".into(), size: 4096, pieces: 5, bytes: 80 };
        assert_eq!(figures.cases, [case]);
        assert_eq!(figures.of("tiny"), [("limit", "limit"), ("ours, copying", "limit")]);
        assert_eq!(figures.took("tiny", "limit").median(), 5.0);
        assert_eq!(figures.times("tiny", "ours, copying", "limit").median(), 1.5);
        assert!(figures.times("dense", "ours, copying", "limit").is_empty());
    }

    #[test]
    fn a_line_that_nobody_reads_is_no_figure() {
        for line in ["took tiny 0 5 limit", "took tiny 0 soon a / b", "case tiny 1 2", "hello"] {
            let failure = Figures::parse(line).unwrap_err();
            assert!(failure.to_string().contains(line), "{failure}");
        }
    }
}
