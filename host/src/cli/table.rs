//! Aligned columns.

/// A table: a heading and rows of as many cells.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Returns a table with a heading and no rows.
    pub(crate) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Returns the text: two spaces between columns, none at the end of a line. No rows: nothing, also no heading.
    pub(crate) fn text(&self) -> String {
        if self.rows.len() == 1 {
            return String::new();
        }
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &self.rows {
            let line: String =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Returns lines of `name: value`, the values below each other.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    fields.iter().map(|(name, value)| format!("{:<width$} {value}\n", format!("{name}:"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_below_each_other_and_lines_have_no_end_of_spaces() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(["größer".into(), "stopped".into()]);
        table.row(["b".into(), String::new()]);
        assert_eq!(table.text(), "NAME    STATE\ngrößer  stopped\nb\n");
    }

    #[test]
    fn an_empty_table_is_no_text() {
        assert_eq!(Table::new(["NAME"]).text(), "");
    }
}
