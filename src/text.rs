//! Reports as text for people: lines, rows of a label and a value, tables. Labels and columns are aligned here alone.

use std::fmt::{self, Display, Formatter};

/// The width of a label, in characters. A longer one moves its own value only.
const LABEL: usize = 9;

/// The text of a report: a first line that says how it went, and details below it.
#[derive(Clone, Debug, Default)]
pub struct Text {
    lines: Vec<String>,
}

/// How the cells of a column are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table: each column is as wide as its widest cell.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<String>,
    aligns: Vec<Align>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    cells: Vec<String>,
    note: Option<String>,
}

impl Text {
    /// A text with a first line.
    #[must_use]
    pub fn new(first: impl Display) -> Self {
        Self { lines: vec![first.to_string()] }
    }

    /// Adds a line.
    pub fn line(&mut self, line: impl Display) {
        self.lines.push(line.to_string());
    }

    /// Adds a detail without a label.
    pub fn item(&mut self, item: impl Display) {
        self.line(format_args!("  {item}"));
    }

    /// Adds a detail with a label.
    pub fn row(&mut self, label: &str, value: impl Display) {
        self.line(format_args!("  {label:<LABEL$} {value}"));
    }

    /// Adds details with the same label.
    pub fn rows<T: Display>(&mut self, label: &str, values: impl IntoIterator<Item = T>) {
        values.into_iter().for_each(|value| self.row(label, value));
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        self.lines.extend(table.lines());
    }

    /// Adds another text below this one.
    pub fn append(&mut self, other: Self) {
        self.lines.extend(other.lines);
    }

    /// This text with another first line.
    #[must_use]
    pub fn with_first(mut self, first: impl Display) -> Self {
        if let Some(line) = self.lines.first_mut() {
            *line = first.to_string();
        }
        self
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let (head, aligns) = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).unzip();
        Self { head, aligns, rows: Vec::new() }
    }

    /// Adds a row: one cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.head.len());
        self.rows.push(Row { cells, note: None });
    }

    /// Adds a note below the last row, beside the first column.
    pub fn note(&mut self, note: Option<String>) {
        if let Some(row) = self.rows.last_mut() {
            row.note = note;
        }
    }

    fn lines(&self) -> Vec<String> {
        let all = || std::iter::once(&self.head).chain(self.rows.iter().map(|row| &row.cells));
        let width = |column: usize| all().filter_map(|row| Some(row.get(column)?.chars().count())).max();
        let widths: Vec<_> = (0..self.head.len()).map(|column| width(column).unwrap_or_default()).collect();
        let mut lines = vec![self.aligned(&self.head, &widths)];
        let first = widths.first().copied().unwrap_or_default();
        for Row { cells, note } in &self.rows {
            lines.push(self.aligned(cells, &widths));
            lines.extend(note.iter().map(|note| format!("{:first$}  {note}", "")));
        }
        lines
    }

    fn aligned(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).zip(&self.aligns);
        let cells: Vec<_> = cells
            .map(|((cell, &width), align)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_columns_are_aligned() {
        let mut text = Text::new("complete");
        text.row("tasks", 3);
        text.rows("empty", ["AAPL", "MSFT"]);
        let mut table = Table::new(&[("ticker", Align::Left), ("bars", Align::Right), ("why", Align::Left)]);
        table.row(vec!["É".into(), "1,000".into(), String::new()]);
        table.row(vec!["KIM%70L".into(), "2".into(), "late".into()]);
        table.note(Some("for a reason".into()));
        text.table(&table);
        let expected = "complete\n  tasks     3\n  empty     AAPL\n  empty     MSFT\nticker    bars  why\n\
                        É        1,000\nKIM%70L      2  late\n         for a reason";
        assert_eq!(text.to_string(), expected);
    }
}
