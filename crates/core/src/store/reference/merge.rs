//! Merges the rows of a sync with the stored ones. Pure: nothing is read or written here.

use std::{collections::BTreeMap, fmt};

use grab_model::Symbol;
use jiff::civil::Date;

use super::{RowStatus, TableRow, rows::TableRecord};

/// A table after a sync, and the facts to report.
#[derive(Clone, Debug, PartialEq)]
pub struct TableMerge<T> {
    /// The rows to store, by symbol and day.
    pub rows: Vec<TableRow<T>>,
    /// New rows.
    pub added: u64,
    /// Rows that the server does not send any more: they stay in the table, but are no longer applied.
    pub withdrawn: u64,
    /// Rows that repeat another one of the same sync.
    pub duplicates: u64,
    /// Symbols and days for which the sync has rows that contradict each other.
    pub contradictions: Vec<RowConflict>,
    /// Descriptions of invalid rows: they are not in the table.
    pub refused: Vec<String>,
}

/// Rows of one symbol and day that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowConflict {
    /// The symbol.
    pub ticker: Symbol,
    /// The day.
    pub date: Date,
    /// The claim of the row that is applied.
    pub kept: String,
    /// The claims of the others.
    pub others: Vec<String>,
}

impl fmt::Display for RowConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticker, date, kept, others } = self;
        write!(f, "{ticker} {date}: {kept} is applied, {} was sent as well", others.join(", "))
    }
}

type Places<R> = BTreeMap<(Symbol, Date), Vec<R>>;

/// Merges the stored rows with those that a sync fetched at an instant (UTC ms). `covers` returns whether this sync
/// would have fetched a stored row if the server still had it: if so, and it did not, the row is withdrawn.
///
/// - Rows of one symbol and day that agree are one row; the later ones are counted as duplicates.
/// - Of rows of one symbol and day that contradict each other one is current: the one that was current before, so that
///   derived files do not change because of a conflict; else the best by [`TableRecord::rank`]. Of splits that is one
///   whose type does not contradict its own ratio, then the one whose ratio is nearest to 1: if it is wrong, it changes
///   prices least, and the jump in prices stays visible. The others are stored as `contradicted`.
/// - A row that the server has withdrawn stays, with its old `last_seen`.
///
/// The order in which rows were fetched does not matter.
#[must_use]
pub fn merge<T: TableRecord>(
    stored: Vec<TableRow<T>>,
    fetched: Vec<T>,
    at_ms: i64,
    covers: impl Fn(&T) -> bool,
) -> TableMerge<T> {
    let mut merged = TableMerge {
        rows: Vec::new(),
        added: 0,
        withdrawn: 0,
        duplicates: 0,
        contradictions: Vec::new(),
        refused: Vec::new(),
    };
    let mut fetched = merged.unique(fetched);
    let mut known: Places<TableRow<T>> = BTreeMap::new();
    for kept in stored {
        known.entry(place(&kept.row)).or_default().push(kept);
    }
    for place in fetched.keys() {
        known.entry(place.clone()).or_default();
    }
    for (place, kept) in known {
        let fetched = fetched.remove(&place).unwrap_or_default();
        if fetched.is_empty() {
            merged.keep_unseen(kept, &covers);
        } else {
            merged.unite(place, kept, fetched, at_ms);
        }
    }
    merged
}

fn place<T: TableRecord>(row: &T) -> (Symbol, Date) {
    let (symbol, date) = row.place();
    (symbol.clone(), date)
}

impl<T: TableRecord> TableMerge<T> {
    /// The fetched rows without invalid ones and duplicates, the best first for each symbol and day.
    fn unique(&mut self, mut fetched: Vec<T>) -> Places<T> {
        fetched.sort_by_cached_key(|row| (place(row), row.rank()));
        let mut places: Places<T> = BTreeMap::new();
        for row in fetched {
            if let Some(why) = row.nonsense() {
                self.refused.push(why);
                continue;
            }
            let rows = places.entry(place(&row)).or_default();
            match rows.iter_mut().find(|known| known.agrees_with(&row)) {
                Some(known) => {
                    known.fill(&row);
                    self.duplicates += 1;
                }
                None => rows.push(row),
            }
        }
        places
    }

    /// Keeps the rows of a symbol and day for which nothing was fetched.
    fn keep_unseen(&mut self, kept: Vec<TableRow<T>>, covers: &impl Fn(&T) -> bool) {
        for kept in kept {
            let kept = if covers(&kept.row) { self.withdraw(kept) } else { kept };
            self.rows.push(kept);
        }
    }

    /// Merges the rows of a symbol and day for which something was fetched: the server sent all of its rows for them.
    fn unite(&mut self, (ticker, date): (Symbol, Date), kept: Vec<TableRow<T>>, fetched: Vec<T>, at_ms: i64) {
        let mut now = Vec::new();
        let mut gone = kept;
        for row in fetched {
            let was = gone.iter().position(|kept| kept.row.agrees_with(&row)).map(|at| gone.remove(at));
            now.push(self.seen(was, row, at_ms));
        }
        // The best row is first: it becomes current if no row was current before.
        let current = now.iter().position(|kept| kept.standing == RowStatus::Current).unwrap_or_default();
        for (at, kept) in now.iter_mut().enumerate() {
            kept.standing = if at == current { RowStatus::Current } else { RowStatus::Contradicted };
        }
        self.note_contradiction(ticker, date, &now);
        self.rows.extend(now);
        for kept in gone {
            let kept = self.withdraw(kept);
            self.rows.push(kept);
        }
    }

    /// Records a conflict if not all rows of one symbol and day are applied.
    fn note_contradiction(&mut self, ticker: Symbol, date: Date, rows: &[TableRow<T>]) {
        let (current, others): (Vec<_>, Vec<_>) =
            rows.iter().partition(|kept| kept.standing == RowStatus::Current);
        if !others.is_empty() {
            let kept = current.into_iter().map(|kept| kept.row.claim()).collect();
            let others = others.into_iter().map(|kept| kept.row.claim()).collect();
            self.contradictions.push(RowConflict { ticker, date, kept, others });
        }
    }

    /// Returns a fetched row together with its known history.
    fn seen(&mut self, was: Option<TableRow<T>>, row: T, at_ms: i64) -> TableRow<T> {
        let Some(was) = was else {
            self.added += 1;
            let standing = RowStatus::Contradicted;
            return TableRow { row, first_seen_ms: at_ms, last_seen_ms: at_ms, standing };
        };
        let mut row = row;
        row.fill(&was.row);
        TableRow { row, last_seen_ms: was.last_seen_ms.max(at_ms), ..was }
    }

    fn withdraw(&mut self, mut kept: TableRow<T>) -> TableRow<T> {
        self.withdrawn += u64::from(kept.standing != RowStatus::Withdrawn);
        kept.standing = RowStatus::Withdrawn;
        kept
    }
}
