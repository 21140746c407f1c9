//! What a sync has brought, united with what is kept. Pure: nothing is read or written here.

use std::{collections::BTreeMap, fmt};

use grab_model::Symbol;
use jiff::civil::Date;

use super::{RowStatus, TableRow, rows::TableRecord};

/// A table after a sync, and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableMerge<T> {
    /// The rows to keep, by place.
    pub rows: Vec<TableRow<T>>,
    /// Rows that were not known.
    pub added: u64,
    /// Rows that the server does not send any more: they stay in the table, and are not applied any more.
    pub withdrawn: u64,
    /// Rows that said once more what another one of the same sync said.
    pub duplicates: u64,
    /// Places of which the sync brought rows that contradict each other.
    pub contradictions: Vec<RowConflict>,
    /// Rows that cannot be, in words: they are not in the table.
    pub refused: Vec<String>,
}

/// Rows of one place that cannot all be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowConflict {
    /// The symbol.
    pub ticker: Symbol,
    /// The day.
    pub date: Date,
    /// What the row says that is applied.
    pub kept: String,
    /// What the others say.
    pub others: Vec<String>,
}

impl fmt::Display for RowConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticker, date, kept, others } = self;
        write!(f, "{ticker} {date}: {kept} is applied, {} was sent as well", others.join(", "))
    }
}

type Places<R> = BTreeMap<(Symbol, Date), Vec<R>>;

/// Unites what is kept with what a sync brought at an instant (UTC ms). `covers` says of a kept row whether this sync would
/// have brought it if the server still had it: if so, and it did not, the row is withdrawn.
///
/// - Rows of one place that agree are one row; the later ones are counted as duplicates.
/// - Of rows of one place that contradict each other one is current: the one that was current before, so that what is
///   derived does not change because of a doubt; else the best by [`TableRecord::rank`]. Of splits that is one whose type does not
///   contradict its own ratio, then the one whose ratio is nearest to 1: it does the least if it is wrong, and a jump in
///   prices stays that everybody can see. The others are kept as `contradicted`.
/// - A row that the server has withdrawn stays, with the `last_seen` that it had.
///
/// The order in which rows were brought does not matter.
#[must_use]
pub fn merge<T: TableRecord>(
    held: Vec<TableRow<T>>,
    brought: Vec<T>,
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
    let mut brought = merged.unique(brought);
    let mut known: Places<TableRow<T>> = BTreeMap::new();
    for kept in held {
        known.entry(place(&kept.row)).or_default().push(kept);
    }
    for place in brought.keys() {
        known.entry(place.clone()).or_default();
    }
    for (place, kept) in known {
        let brought = brought.remove(&place).unwrap_or_default();
        if brought.is_empty() {
            merged.keep_unseen(kept, &covers);
        } else {
            merged.unite(place, kept, brought, at_ms);
        }
    }
    merged
}

fn place<T: TableRecord>(row: &T) -> (Symbol, Date) {
    let (symbol, date) = row.place();
    (symbol.clone(), date)
}

impl<T: TableRecord> TableMerge<T> {
    /// What was brought without nonsense and duplicates, the best first in each place.
    fn unique(&mut self, mut brought: Vec<T>) -> Places<T> {
        brought.sort_by_cached_key(|row| (place(row), row.rank()));
        let mut places: Places<T> = BTreeMap::new();
        for row in brought {
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

    /// Rows of a place of which nothing was brought.
    fn keep_unseen(&mut self, kept: Vec<TableRow<T>>, covers: &impl Fn(&T) -> bool) {
        for kept in kept {
            let kept = if covers(&kept.row) { self.withdraw(kept) } else { kept };
            self.rows.push(kept);
        }
    }

    /// Rows of a place of which something was brought: the server's word on all of it.
    fn unite(&mut self, (ticker, date): (Symbol, Date), kept: Vec<TableRow<T>>, brought: Vec<T>, at_ms: i64) {
        let mut now = Vec::new();
        let mut gone = kept;
        for row in brought {
            let was = gone.iter().position(|kept| kept.row.agrees_with(&row)).map(|at| gone.remove(at));
            now.push(self.seen(was, row, at_ms));
        }
        // The best is first: it is current if none was.
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

    /// Says it if rows of one place are not all applied.
    fn note_contradiction(&mut self, ticker: Symbol, date: Date, rows: &[TableRow<T>]) {
        let (current, others): (Vec<_>, Vec<_>) =
            rows.iter().partition(|kept| kept.standing == RowStatus::Current);
        if !others.is_empty() {
            let kept = current.into_iter().map(|kept| kept.row.claim()).collect();
            let others = others.into_iter().map(|kept| kept.row.claim()).collect();
            self.contradictions.push(RowConflict { ticker, date, kept, others });
        }
    }

    /// A row that was brought, with what was known of it.
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
