//! Which known words are like one that is not known.

/// Returns the known words that differ from `word` in at most a third of its letters, the nearest first, at most three.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    let mut near: Vec<_> = known
        .map(|known| (distance(word, known), known))
        .filter(|(distance, known)| *distance <= most || known.starts_with(word))
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, known)| known).take(3).collect()
}

/// Returns how many letters are put in, taken out or exchanged between two words (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, letter) in one.chars().enumerate() {
        let mut corner = done;
        row[0] = done + 1;
        for (place, found) in other.iter().enumerate() {
            let exchanged = corner + usize::from(*found != letter);
            corner = row[place + 1];
            row[place + 1] = exchanged.min(corner + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_beginnings_and_not_strangers() {
        let known = ["memory", "cpus", "network", "cmdline"];
        assert_eq!(nearest("memroy", known.into_iter()), ["memory"]);
        assert_eq!(nearest("net", known.into_iter()), ["network"]);
        assert!(nearest("colour", known.into_iter()).is_empty());
    }
}
