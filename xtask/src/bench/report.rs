//! What a benchmark found: lines and tables flow in, the terminal and `target/bench/NAME.txt` get the same text.

use std::fs;

use crate::failure::{Context, Result};

/// A text that grows, shown as it does.
pub(crate) struct Report {
    name: &'static str,
    text: String,
}

impl Report {
    /// Begins the report that is saved as `NAME.txt`.
    pub(crate) fn new(name: &'static str) -> Self {
        Report { name, text: String::new() }
    }

    /// Adds a line.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref().trim_end();
        println!("{line}");
        self.text += line;
        self.text.push('\n');
    }

    /// Adds a table: the head and the rows, first column to the left, all others to the right.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
        let width =
            |at: usize| lines.iter().filter_map(|l| l.get(at)).map(|c| c.chars().count()).max();
        let widths: Vec<usize> = (0..head.len()).map(|at| width(at).unwrap_or(0)).collect();
        for line in &lines {
            let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
                if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            self.say(cells.collect::<Vec<_>>().join("  "));
        }
        self.say("");
    }

    /// Adds whether a goal is reached.
    pub(crate) fn goal(&mut self, reached: bool, goal: impl AsRef<str>) {
        self.say(format!("{} {}", if reached { "PASS" } else { "FAIL" }, goal.as_ref()));
    }

    /// Writes the file.
    pub(crate) fn save(self) -> Result<()> {
        let path = super::folder().join(format!("{}.txt", self.name));
        fs::create_dir_all(super::folder())
            .and_then(|()| fs::write(&path, &self.text))
            .context(|| format!("cannot write {}", path.display()))
    }
}
