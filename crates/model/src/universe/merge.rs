//! What a sync has brought, united with the lives that are known.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::{Timestamp, ToSpan, civil::Date};

use crate::{Listing, ListingPeriod, Symbol, new_york};

/// How long after a life has ended lists may have had it as active, in days: with numbers that agree, and without.
const LATE_BY_NUMBERS: i32 = 365;
const LATE: i32 = 30;

/// What is wrong with rows, by kind. Those that were left out are counted by whoever read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowDefects {
    /// Rows that say once more what another row of the same list says: the one that was changed last is taken.
    pub listed_twice: u64,
    /// Those among them that have another CIK.
    pub other_cik: u64,
    /// Rows without a composite FIGI.
    pub without_figi: u64,
}

/// The universe after a sync, and what there is to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UniverseMerge {
    /// All lives, by ticker; who is listed comes last.
    pub lives: Vec<ListingPeriod>,
    /// Lives that were not known.
    pub new: u64,
    /// Tickers whose life was active and has left.
    pub left: Vec<Symbol>,
    /// Lives that the sync has not brought. They stay as they were.
    pub not_seen: u64,
    /// What was wrong.
    pub defects: RowDefects,
}

/// Unites lives with rows that were brought at an instant (UTC ms).
///
/// A row belongs to a life of its ticker if their FIGIs agree; where one of them has none, if their CIKs agree; where one of
/// them has none, if both are active, if the row has left and the life was active until about then, or if both left on the
/// same day. A life has one row at most, and a row one life: of several that could be, the most alike. Every other row is a
/// new life. What the row does not say any more is kept, and so is a life without a row, with the `last_seen` that it had.
#[must_use]
pub fn merge(kept: Vec<ListingPeriod>, brought: Vec<Listing>, at_ms: i64) -> UniverseMerge {
    let mut merged = UniverseMerge::default();
    let mut tickers: BTreeMap<Symbol, (Vec<ListingPeriod>, Vec<Listing>)> = BTreeMap::new();
    for life in kept {
        tickers.entry(life.ticker().clone()).or_default().0.push(life);
    }
    for row in brought {
        tickers.entry(row.ticker.clone()).or_default().1.push(row);
    }
    for (lives, rows) in tickers.into_values() {
        let rows = merged.unique(rows);
        let mut now = merged.unite(lives, rows, at_ms);
        now.sort_by_key(|life| (life.end().unwrap_or(Date::MAX), life.first_seen_ms));
        merged.lives.append(&mut now);
    }
    merged
}

impl UniverseMerge {
    /// The rows of one ticker, each life once.
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

    /// The lives of one ticker with the rows that were brought for it.
    fn unite(&mut self, lives: Vec<ListingPeriod>, rows: Vec<Listing>, at_ms: i64) -> Vec<ListingPeriod> {
        let mut pairs = pairs(&lives, &rows);
        let mut lives: Vec<_> = lives;
        let is_seen: Vec<bool> =
            (0..lives.len()).map(|life| pairs.iter().any(|pair| pair.0 == life)).collect();
        self.not_seen += is_seen.iter().filter(|is_seen| !**is_seen).count() as u64;
        for (at, row) in rows.into_iter().enumerate() {
            let pair = pairs.iter().position(|(_, of)| *of == at).map(|pair| pairs.swap_remove(pair));
            if let Some(life) = pair.and_then(|(life, _)| lives.get_mut(life)) {
                self.renew(life, row, at_ms);
            } else {
                self.new += 1;
                lives.push(new(row, at_ms));
            }
        }
        lives
    }

    fn renew(&mut self, life: &mut ListingPeriod, row: Listing, at_ms: i64) {
        let known = std::mem::replace(&mut life.listing, row);
        let row = &mut life.listing;
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
        life.last_seen_ms = life.last_seen_ms.max(at_ms);
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

/// Which life has which row: the most alike first, each once.
fn pairs(lives: &[ListingPeriod], rows: &[Listing]) -> Vec<(usize, usize)> {
    let all = lives.iter().enumerate().flat_map(|(at, life)| {
        rows.iter().enumerate().filter_map(move |(row_at, row)| Some((likeness(life, row)?, at, row_at)))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(likeness, life, row)| (Reverse(*likeness), *life, *row));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, life, row) in all {
        if !pairs.iter().any(|pair| pair.0 == life || pair.1 == row) {
            pairs.push((life, row));
        }
    }
    pairs
}

/// What two rows have in common that names a security or a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SharedId {
    /// Nothing that could be compared.
    Unknown,
    /// The CIK.
    Cik,
    /// The FIGI.
    Figi,
}

/// How much a life and a row are alike; nothing if they cannot be the same.
fn likeness(life: &ListingPeriod, row: &Listing) -> Option<(u8, SharedId)> {
    let known = &life.listing;
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
        (true, false) if is_plausible_end(life, row, numbers) => 2,
        // The day was corrected, or the company is back.
        (false, false) if numbers > SharedId::Unknown => 1,
        (false, true) if numbers == SharedId::Figi => 1,
        (true | false, false) | (false, true) => return None,
    };
    Some((state, numbers))
}

/// Whether a life that was active when it was seen last may have ended as the row says.
fn is_plausible_end(life: &ListingPeriod, row: &Listing, numbers: SharedId) -> bool {
    let late = if numbers == SharedId::Unknown { LATE } else { LATE_BY_NUMBERS };
    let seen = new_york::date_of(life.last_seen_ms).map(|day| day.saturating_sub(late.days()));
    row.delisted.zip(seen).is_none_or(|(left, seen)| left >= seen)
}

#[cfg(test)]
mod tests;
