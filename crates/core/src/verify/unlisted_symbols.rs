//! Symbols that the witness saw on subscribed days and that no list knows: a list may lack rows.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Finding, FindingKind, Severity};

/// How many symbols the finding names.
const NAMED: usize = 10;

/// The days on which the witness saw each symbol.
#[derive(Debug, Default)]
pub(super) struct UnlistedSymbols(BTreeMap<String, SeenDays>);

/// The first day, the last day, and the number of days.
#[derive(Clone, Copy, Debug)]
struct SeenDays {
    from: Date,
    to: Date,
    count: u64,
}

impl UnlistedSymbols {
    /// Adds a day on which a symbol traded.
    pub(super) fn add(&mut self, ticker: &str, day: Date) {
        self.insert(ticker, SeenDays { from: day, to: day, count: 1 });
    }

    /// Adds the days of another collection.
    pub(super) fn append(&mut self, other: Self) {
        for (ticker, days) in other.0 {
            self.insert(&ticker, days);
        }
    }

    fn insert(&mut self, ticker: &str, days: SeenDays) {
        if let Some(known) = self.0.get_mut(ticker) {
            known.from = known.from.min(days.from);
            known.to = known.to.max(days.to);
            known.count += days.count;
        } else {
            self.0.insert(ticker.to_owned(), days);
        }
    }

    /// Returns one notice about all of them; it names those that traded on most sessions.
    pub(super) fn finding(&self) -> Option<Finding> {
        let from = self.0.values().map(|days| days.from).min()?;
        let to = self.0.values().map(|days| days.to).max()?;
        let mut named: Vec<_> = self.0.iter().collect();
        named.sort_by_key(|(ticker, days)| (std::cmp::Reverse(days.count), *ticker));
        let first = named.iter().take(NAMED).map(|(ticker, days)| {
            let plural = if days.count == 1 { "" } else { "s" };
            format!("{ticker} on {} session{plural} to {}", days.count, days.to)
        });
        let first: Vec<_> = first.collect();
        let more = named.len() - first.len();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let symbols =
            if named.len() == 1 { "1 symbol".to_owned() } else { format!("{} symbols", named.len()) };
        let detail = format!(
            "the witness saw {symbols} trade on requested days that the lists do not have: {}{more}; \
             `grab start` with --tickers and --windows requests them",
            first.join(", ")
        );
        let finding = FindingKind::MissingSymbol.market_wide(&(from..=to), detail);
        Some(Finding { severity: Severity::Notice, ..finding })
    }
}
