//! Merges the rows of a sync with the known listing periods.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::{Timestamp, ToSpan, civil::Date};

use crate::{Listing, ListingPeriod, Symbol, new_york};

/// For how many days after a delisting a list may still show it as active: with numbers that agree, and without.
const LATE_BY_NUMBERS: i32 = 365;
const LATE: i32 = 30;

/// Defects of rows, by kind. Rows that were left out are counted by the reader of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowDefects {
    /// Rows that repeat another row of the same list: the one that was changed last is used.
    pub listed_twice: u64,
    /// Those among them that have another CIK.
    pub other_cik: u64,
    /// Rows without a composite FIGI.
    pub without_figi: u64,
}

/// The universe after a sync, and the facts to report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UniverseMerge {
    /// All listing periods, by ticker; the one that is still listed comes last.
    pub periods: Vec<ListingPeriod>,
    /// Periods that were not known before.
    pub new: u64,
    /// Tickers that were active and are delisted now.
    pub left: Vec<Symbol>,
    /// Periods for which the sync had no row. They stay as they were.
    pub not_seen: u64,
    /// What was wrong.
    pub defects: RowDefects,
}

/// Merges known listing periods with rows that were fetched at an instant (UTC ms).
///
/// A row belongs to a period of its ticker if their FIGIs agree; if one of them has none, if their CIKs agree; if one
/// of them has none, if both are active, if the row is delisted and the period was active until about then, or if both
/// were delisted on the same day. A period has at most one row, and a row one period: of several candidates, the best
/// match. Every other row becomes a new period. Fields that the row does not have any more stay, and so does a period
/// without a row, with its old `last_seen`.
#[must_use]
pub fn merge(known: Vec<ListingPeriod>, fetched: Vec<Listing>, at_ms: i64) -> UniverseMerge {
    let mut merged = UniverseMerge::default();
    let mut tickers: BTreeMap<Symbol, (Vec<ListingPeriod>, Vec<Listing>)> = BTreeMap::new();
    for period in known {
        tickers.entry(period.ticker().clone()).or_default().0.push(period);
    }
    for row in fetched {
        tickers.entry(row.ticker.clone()).or_default().1.push(row);
    }
    for (periods, rows) in tickers.into_values() {
        let rows = merged.unique(rows);
        let mut now = merged.unite(periods, rows, at_ms);
        now.sort_by_key(|period| (period.end().unwrap_or(Date::MAX), period.first_seen_ms));
        merged.periods.append(&mut now);
    }
    merged
}

impl UniverseMerge {
    /// The rows of one ticker without repeats.
    fn unique(&mut self, mut rows: Vec<Listing>) -> Vec<Listing> {
        let changed = |row: &Listing| row.updated.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        rows.sort_by_cached_key(|row| Reverse((changed(row), row.composite_figi.is_some())));
        let mut unique: Vec<Listing> = Vec::new();
        for row in rows {
            let is_same = |one: &&Listing| (one.active, one.delisted) == (row.active, row.delisted);
            let Some(newer) = unique.iter().find(is_same) else {
                unique.push(row);
                continue;
            };
            self.defects.listed_twice += 1;
            self.defects.other_cik +=
                u64::from(newer.cik.is_some() && row.cik.is_some() && newer.cik != row.cik);
        }
        self.defects.without_figi += unique.iter().filter(|row| row.composite_figi.is_none()).count() as u64;
        unique
    }

    /// Merges the periods of one ticker with the rows that were fetched for it.
    fn unite(&mut self, periods: Vec<ListingPeriod>, rows: Vec<Listing>, at_ms: i64) -> Vec<ListingPeriod> {
        let mut pairs = pairs(&periods, &rows);
        let mut periods: Vec<_> = periods;
        let is_seen: Vec<bool> =
            (0..periods.len()).map(|period| pairs.iter().any(|pair| pair.0 == period)).collect();
        self.not_seen += is_seen.iter().filter(|is_seen| !**is_seen).count() as u64;
        for (at, row) in rows.into_iter().enumerate() {
            let pair = pairs.iter().position(|(_, of)| *of == at).map(|pair| pairs.swap_remove(pair));
            if let Some(period) = pair.and_then(|(period, _)| periods.get_mut(period)) {
                self.renew(period, row, at_ms);
            } else {
                self.new += 1;
                periods.push(new(row, at_ms));
            }
        }
        periods
    }

    fn renew(&mut self, period: &mut ListingPeriod, row: Listing, at_ms: i64) {
        let known = std::mem::replace(&mut period.listing, row);
        let row = &mut period.listing;
        if known.active && !row.active {
            self.left.push(row.ticker.clone());
        }
        let texts = [
            (&mut row.name, known.name),
            (&mut row.kind, known.kind),
            (&mut row.exchange, known.exchange),
            (&mut row.composite_figi, known.composite_figi),
            (&mut row.share_class_figi, known.share_class_figi),
            (&mut row.cik, known.cik),
            (&mut row.updated, known.updated),
        ];
        for (now, known) in texts {
            if now.is_none() {
                *now = known;
            }
        }
        row.delisted = if row.active { None } else { row.delisted.or(known.delisted) };
        period.last_seen_ms = period.last_seen_ms.max(at_ms);
    }
}

fn new(listing: Listing, at_ms: i64) -> ListingPeriod {
    ListingPeriod {
        listing,
        listed: None,
        first_seen_ms: at_ms,
        last_seen_ms: at_ms,
        sector: None,
        industry: None,
    }
}

/// Which period gets which row: the best match first, each at most once.
fn pairs(periods: &[ListingPeriod], rows: &[Listing]) -> Vec<(usize, usize)> {
    // Every possible pair is rated; then the best ones are taken while both sides are free.
    let all = periods.iter().enumerate().flat_map(|(at, period)| {
        rows.iter().enumerate().filter_map(move |(row_at, row)| Some((likeness(period, row)?, at, row_at)))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(likeness, period, row)| (Reverse(*likeness), *period, *row));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, period, row) in all {
        if !pairs.iter().any(|pair| pair.0 == period || pair.1 == row) {
            pairs.push((period, row));
        }
    }
    pairs
}

/// The identifier that two rows have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SharedId {
    /// Nothing that could be compared.
    Unknown,
    /// The CIK.
    Cik,
    /// The FIGI.
    Figi,
}

/// How well a period and a row match. None if they cannot be the same security.
fn likeness(period: &ListingPeriod, row: &Listing) -> Option<(u8, SharedId)> {
    let known = &period.listing;
    let numbers = match (&known.composite_figi, &row.composite_figi, &known.cik, &row.cik) {
        (Some(one), Some(other), ..) if one == other => SharedId::Figi,
        (Some(_), Some(_), ..) => return None,
        (_, _, Some(one), Some(other)) if one == other => SharedId::Cik,
        (_, _, Some(_), Some(_)) => return None,
        (..) => SharedId::Unknown,
    };
    let state = match (known.active, row.active) {
        (true, true) => 3,
        (false, false) if known.delisted == row.delisted => 3,
        (true, false) if is_plausible_end(period, row, numbers) => 2,
        // The day was corrected, or the company is listed again.
        (false, false) if numbers > SharedId::Unknown => 1,
        (false, true) if numbers == SharedId::Figi => 1,
        (true | false, false) | (false, true) => return None,
    };
    Some((state, numbers))
}

/// Whether a period that was active when last seen may have ended on the row's day.
fn is_plausible_end(period: &ListingPeriod, row: &Listing, numbers: SharedId) -> bool {
    let late = if numbers == SharedId::Unknown { LATE } else { LATE_BY_NUMBERS };
    let seen = new_york::date_of(period.last_seen_ms).map(|day| day.saturating_sub(late.days()));
    row.delisted.zip(seen).is_none_or(|(left, seen)| left >= seen)
}

#[cfg(test)]
mod tests;
