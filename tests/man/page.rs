//! A manual page: the source of one in mdoc(7) flows in, sections, items and examples flow out.
//!
//! Only what the pages of this repository use is understood, for mandoc checks the rest.

use std::fs;
use std::path::Path;

/// The lines of a page, comments left out.
pub(crate) struct Page(Vec<String>);

/// What an item of a list says.
pub(crate) struct Item {
    /// The words after `.It`; items that share a text are one after the other.
    pub(crate) head: Vec<String>,
    /// The lines up to the next item or to the end of the list, lists in it among them.
    pub(crate) text: Vec<String>,
}

impl Page {
    /// Reads `man/NAME`.
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let is_comment = |line: &&str| line.starts_with(".\\\"");
        Self(text.lines().filter(|line| !is_comment(line)).map(str::to_owned).collect())
    }

    /// Returns the lines of a section, or of a part of one.
    pub(crate) fn section(&self, title: &str) -> &[String] {
        let is = |kind: &str, line: &str| line.strip_prefix(kind).map(str::trim) == Some(title);
        let starts = |line: &String| is(".Sh ", line) || is(".Ss ", line);
        let at = self.0.iter().position(starts);
        let at = at.unwrap_or_else(|| panic!("there is no section {title}"));
        let part = self.0[at].starts_with(".Ss");
        let ends = |line: &&String| line.starts_with(".Sh ") || part && line.starts_with(".Ss ");
        let rest = &self.0[at + 1..];
        &rest[..rest.iter().take_while(|line| !ends(line)).count()]
    }

    /// Returns every line.
    pub(crate) fn lines(&self) -> &[String] {
        &self.0
    }
}

/// Returns the items of the outer lists.
pub(crate) fn items(lines: &[String]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut depth = 0;
    for line in lines {
        match line.split_once(' ').unwrap_or((line, "")) {
            (".Bl", _) => depth += 1,
            (".El", _) => depth -= 1,
            (".It", head) if depth == 1 => {
                let head = head.split_whitespace().map(str::to_owned).collect();
                items.push(Item { head, text: Vec::new() });
                continue;
            }
            _ => {}
        }
        if let Some(item) = items.last_mut().filter(|_| depth > 0) {
            item.text.push(line.clone());
        }
    }
    // Heads without a text share the next one's.
    for at in (1..items.len()).rev() {
        if items[at - 1].text.is_empty() {
            items[at - 1].text = items[at].text.clone();
        }
    }
    items
}

/// Returns the displays that stand as they are typed.
pub(crate) fn literals(lines: &[String]) -> Vec<String> {
    let blocks = lines.split(|line| line.starts_with(".Bd -literal")).skip(1);
    let inside = |block: &[String]| {
        let lines = block.iter().take_while(|line| *line != ".Ed");
        lines.fold(String::new(), |text, line| text + &typed(line) + "\n")
    };
    blocks.map(inside).collect()
}

/// Returns the text of a line without the escapes of roff.
pub(crate) fn typed(line: &str) -> String {
    const ESCAPES: [(&str, &str); 5] =
        [("\\&", ""), ("\\-", "-"), ("\\(aq", "'"), ("\\(dq", "\""), ("\\e", "\\")];
    let plain = |line: String, (escape, text): (&str, &str)| line.replace(escape, text);
    ESCAPES.into_iter().fold(line.to_owned(), plain)
}

/// Returns the words after each `Cm` of a head or a line: what is to be typed.
pub(crate) fn typed_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let words: Vec<_> = words.into_iter().collect();
    words.windows(2).filter(|pair| matches!(pair[0], "Cm" | ".Cm")).map(|pair| pair[1]).collect()
}
