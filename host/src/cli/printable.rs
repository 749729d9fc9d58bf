//! Text of others on its way to a terminal.

use std::borrow::Cow;

/// Returns text with what could steer a terminal written out: names of files and headers come from others.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(steers) {
        return text.into();
    }
    let mut printed = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if steers(c) => printed.extend(c.escape_default()),
            c => printed.push(c),
        }
    }
    printed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_written_out_and_the_rest_stays() {
        assert_eq!(printable("a\x1b[31mb\r\u{9b}\n\tö"), "a\\u{1b}[31mb\\r\\u{9b}\n\tö");
        assert!(matches!(printable("plain\ntext"), Cow::Borrowed("plain\ntext")));
    }
}
