//! Converts splits and renames to columns and back, and compares rows that contradict each other.

use std::cmp::Reverse;

use grab_model::{Rename, Split, Symbol};
use jiff::civil::Date;

use super::{
    RowStatus, TableRow,
    columns::{ColumnType, ColumnValues, DecodedTable, TableColumns, days_since_epoch},
};

/// A kind of row that has a table of its own.
pub trait TableRecord: Clone {
    /// The table's name, which is also that of its file.
    const TABLE: &'static str;

    /// The table's columns; the last three are those of [`TableRow`].
    const COLUMNS: TableColumns;

    /// The order among rows that contradict each other: the least is the best.
    type Rank: Ord;

    /// The symbol and day, for which only one row can be current.
    fn place(&self) -> (&Symbol, Date);

    /// Whether two rows of one symbol and day do not contradict each other.
    fn agrees_with(&self, other: &Self) -> bool;

    /// Its rank among rows of its symbol and day that contradict it.
    fn rank(&self) -> Self::Rank;

    /// A short description of its content.
    fn claim(&self) -> String;

    /// Why the row is invalid. None if it is valid.
    fn nonsense(&self) -> Option<String>;

    /// Fills its missing fields from another row that agrees with it.
    fn fill(&mut self, other: &Self);

    /// The columns of its own, without those of [`TableRow`].
    fn columns(rows: &[TableRow<Self>]) -> Vec<ColumnValues>;

    /// Reads a row of a file. None if it is invalid.
    fn read(file: &DecodedTable, row: usize) -> Option<Self>;
}

impl TableRecord for Split {
    const TABLE: &'static str = "splits";
    const COLUMNS: TableColumns = &[
        ("ticker", ColumnType::Text),
        ("execution_date", ColumnType::Day),
        ("split_from", ColumnType::Number),
        ("split_to", ColumnType::Number),
        ("adjustment_type", ColumnType::OptionalText),
        ("id", ColumnType::OptionalText),
        ("first_seen", ColumnType::Instant),
        ("last_seen", ColumnType::Instant),
        ("status", ColumnType::Text),
    ];

    /// Whether its type contradicts its own ratio; the distance of the ratio from 1; then the other fields, so that the
    /// order in which rows were fetched does not matter.
    type Rank = (bool, u64, u64, u64, Option<String>);

    fn place(&self) -> (&Symbol, Date) {
        (&self.ticker, self.execution_date)
    }

    fn agrees_with(&self, other: &Self) -> bool {
        let (one, two) = (self.split_from * other.split_to, other.split_from * self.split_to);
        one.to_bits() == two.to_bits()
    }

    fn rank(&self) -> Self::Rank {
        let (from, to) = (self.split_from, self.split_to);
        let contradicts_itself = match self.adjustment_type.as_deref() {
            Some("forward_split" | "stock_dividend") => to < from,
            Some("reverse_split") => from < to,
            Some(_) | None => false,
        };
        // The bits of positive float64 numbers have the same order as the numbers.
        let far_from_one = from.max(to) / from.min(to);
        (contradicts_itself, far_from_one.to_bits(), from.to_bits(), to.to_bits(), self.id.clone())
    }

    fn claim(&self) -> String {
        format!("{}:{}", self.split_from, self.split_to)
    }

    fn nonsense(&self) -> Option<String> {
        let is_wrong = |number: f64| !number.is_finite() || number <= 0.0;
        let is_nonsense = is_wrong(self.split_from) || is_wrong(self.split_to);
        is_nonsense.then(|| {
            let (ticker, date, claim) = (&self.ticker, self.execution_date, self.claim());
            format!("{ticker} {date}: {claim} is no ratio of shares")
        })
    }

    fn fill(&mut self, other: &Self) {
        fill(&mut self.adjustment_type, other.adjustment_type.as_ref());
        fill(&mut self.id, other.id.as_ref());
    }

    fn columns(rows: &[TableRow<Self>]) -> Vec<ColumnValues> {
        let rows = || rows.iter().map(|kept| &kept.row);
        vec![
            ColumnValues::Text(rows().map(|split| split.ticker.to_string()).collect()),
            ColumnValues::Days(rows().map(|split| days_since_epoch(split.execution_date)).collect()),
            ColumnValues::Numbers(rows().map(|split| split.split_from).collect()),
            ColumnValues::Numbers(rows().map(|split| split.split_to).collect()),
            ColumnValues::OptionalText(rows().map(|split| split.adjustment_type.clone()).collect()),
            ColumnValues::OptionalText(rows().map(|split| split.id.clone()).collect()),
        ]
    }

    fn read(file: &DecodedTable, row: usize) -> Option<Self> {
        let split = Self {
            ticker: file.text(0, row)?.parse().ok()?,
            execution_date: file.day(1, row)?,
            split_from: file.number(2, row)?,
            split_to: file.number(3, row)?,
            adjustment_type: file.optional_text(4, row),
            id: file.optional_text(5, row),
        };
        split.nonsense().is_none().then_some(split)
    }
}

impl TableRecord for Rename {
    const TABLE: &'static str = "renames";
    const COLUMNS: TableColumns = &[
        ("composite_figi", ColumnType::OptionalText),
        ("cik", ColumnType::OptionalText),
        ("name", ColumnType::OptionalText),
        ("ticker", ColumnType::Text),
        ("date", ColumnType::Day),
        ("asked_as", ColumnType::Text),
        ("first_seen", ColumnType::Instant),
        ("last_seen", ColumnType::Instant),
        ("status", ColumnType::Text),
    ];

    /// The requested symbol first, if the service returned the company under it; then the other fields, so that the
    /// order in which rows were fetched does not matter.
    type Rank = (Reverse<bool>, Symbol, Option<String>, Option<String>);

    fn place(&self) -> (&Symbol, Date) {
        (&self.asked_as, self.date)
    }

    fn agrees_with(&self, other: &Self) -> bool {
        self.ticker == other.ticker
    }

    fn rank(&self) -> Self::Rank {
        (
            Reverse(self.ticker == self.asked_as),
            self.ticker.clone(),
            self.composite_figi.clone(),
            self.name.clone(),
        )
    }

    fn claim(&self) -> String {
        self.ticker.to_string()
    }

    fn nonsense(&self) -> Option<String> {
        None
    }

    fn fill(&mut self, other: &Self) {
        fill(&mut self.composite_figi, other.composite_figi.as_ref());
        fill(&mut self.cik, other.cik.as_ref());
        fill(&mut self.name, other.name.as_ref());
    }

    fn columns(rows: &[TableRow<Self>]) -> Vec<ColumnValues> {
        let rows = || rows.iter().map(|kept| &kept.row);
        vec![
            ColumnValues::OptionalText(rows().map(|rename| rename.composite_figi.clone()).collect()),
            ColumnValues::OptionalText(rows().map(|rename| rename.cik.clone()).collect()),
            ColumnValues::OptionalText(rows().map(|rename| rename.name.clone()).collect()),
            ColumnValues::Text(rows().map(|rename| rename.ticker.to_string()).collect()),
            ColumnValues::Days(rows().map(|rename| days_since_epoch(rename.date)).collect()),
            ColumnValues::Text(rows().map(|rename| rename.asked_as.to_string()).collect()),
        ]
    }

    fn read(file: &DecodedTable, row: usize) -> Option<Self> {
        Some(Self {
            composite_figi: file.optional_text(0, row),
            cik: file.optional_text(1, row),
            name: file.optional_text(2, row),
            ticker: file.text(3, row)?.parse().ok()?,
            date: file.day(4, row)?,
            asked_as: file.text(5, row)?.parse().ok()?,
        })
    }
}

fn fill(known: &mut Option<String>, other: Option<&String>) {
    if known.is_none() {
        *known = other.cloned();
    }
}

/// All columns of a table.
pub fn all_columns<T: TableRecord>(rows: &[TableRow<T>]) -> Vec<ColumnValues> {
    let mut columns = T::columns(rows);
    columns.push(ColumnValues::Instants(rows.iter().map(|kept| kept.first_seen_ms).collect()));
    columns.push(ColumnValues::Instants(rows.iter().map(|kept| kept.last_seen_ms).collect()));
    columns.push(ColumnValues::Text(rows.iter().map(|kept| kept.standing.as_str().to_owned()).collect()));
    columns
}

/// Reads a row of a file with its history. None if it is invalid.
pub fn read_kept<T: TableRecord>(file: &DecodedTable, row: usize) -> Option<TableRow<T>> {
    let seen = T::COLUMNS.len().checked_sub(3)?;
    Some(TableRow {
        row: T::read(file, row)?,
        first_seen_ms: file.instant(seen, row)?,
        last_seen_ms: file.instant(seen + 1, row)?,
        standing: RowStatus::parse(file.text(seen + 2, row)?)?,
    })
}
