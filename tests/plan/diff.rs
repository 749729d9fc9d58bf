//! Two texts, shown so that the eye finds the difference.

use std::fmt;

/// The wanted text and the one that was found.
pub(crate) struct Diff<'a>(pub(crate) &'a str, pub(crate) &'a str);

/// Lines that both have begin with blanks, wanted ones with `-`, found ones with `+`.
impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted: Vec<&str> = self.0.lines().collect();
        let found: Vec<&str> = self.1.lines().collect();
        let common = longest_common(&wanted, &found);
        let (mut w, mut d) = (0, 0);
        for (in_wanted, in_found) in common.into_iter().chain([(wanted.len(), found.len())]) {
            for line in &wanted[w..in_wanted] {
                writeln!(f, "- {line}")?;
            }
            for line in &found[d..in_found] {
                writeln!(f, "+ {line}")?;
            }
            if let Some(line) = wanted.get(in_wanted) {
                writeln!(f, "  {line}")?;
            }
            (w, d) = (in_wanted + 1, in_found + 1);
        }
        if self.0.ends_with('\n') != self.1.ends_with('\n') {
            writeln!(f, "(one of them does not end with a newline)")?;
        }
        Ok(())
    }
}

/// Returns the places of the longest common subsequence, by the table that every textbook has: the
/// texts are short.
fn longest_common(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let mut length = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            length[i][j] = if a[i] == b[j] {
                length[i + 1][j + 1] + 1
            } else {
                length[i + 1][j].max(length[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut places) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            places.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if length[i + 1][j] >= length[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    places
}
