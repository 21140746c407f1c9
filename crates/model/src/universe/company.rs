//! A company by the events that the service lists: which symbols it had and when, and which lives are its own. Pure.

use std::collections::BTreeSet;

use jiff::{ToSpan, civil::Date};

use super::{ListingSpan, symbol_history::SymbolSpan, symbol_history::events};
use crate::{ListingPeriod, Rename, Symbol};

/// The days of a list and of an event that say the same may lie so many days apart.
const APART: i32 = 31;

/// A company, and its symbols one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Its composite FIGI, where an event has it.
    pub composite_figi: Option<String>,
    /// Its number with the SEC, where an event has it.
    pub cik: Option<String>,
    /// In order, without gaps: the first one begins with the first event, the last one has no end.
    pub stretches: Vec<SymbolSpan>,
}

/// The companies of all events, each once.
#[must_use]
pub fn companies(renames: &[&Rename]) -> Vec<Company> {
    let asked: BTreeSet<&Symbol> = renames.iter().map(|rename| &rename.asked_as).collect();
    let mut companies: Vec<Company> = Vec::new();
    for symbol in asked {
        let company = Company::of(&events(symbol, renames));
        match companies.iter_mut().find(|known| known.is_same(&company)) {
            // An answer of an earlier year does not know of a later symbol.
            Some(known) if known.stretches.len() < company.stretches.len() => *known = company,
            Some(_) => {}
            None => companies.push(company),
        }
    }
    companies
}

impl Company {
    /// The company of events, which are in order.
    fn of(events: &[&Rename]) -> Self {
        let mut stretches: Vec<SymbolSpan> = Vec::new();
        for event in events {
            match stretches.last_mut() {
                Some(last) if last.ticker == event.ticker => continue,
                Some(last) => last.until = Some(event.date),
                None => {}
            }
            let (ticker, from) = (event.ticker.clone(), Some(event.date));
            stretches.push(SymbolSpan { ticker, from, until: None });
        }
        let text = |of: fn(&Rename) -> &Option<String>| events.iter().find_map(|event| of(event).clone());
        Self { composite_figi: text(|event| &event.composite_figi), cik: text(|event| &event.cik), stretches }
    }

    /// Whether two answers are about one company: by FIGI; where one has none, if one says what the other says, and their
    /// CIKs do not differ. Two classes of shares have one CIK.
    fn is_same(&self, other: &Self) -> bool {
        if let (Some(one), Some(two)) = (&self.composite_figi, &other.composite_figi) {
            return one == two;
        }
        let begins = |one: &Self| -> BTreeSet<_> {
            one.stretches.iter().map(|stretch| (stretch.ticker.clone(), stretch.from)).collect()
        };
        let (one, two) = (begins(self), begins(other));
        let is_other_issuer = self.cik.as_ref().zip(other.cik.as_ref()).is_some_and(|(one, two)| one != two);
        !is_other_issuer && (one.is_subset(&two) || two.is_subset(&one))
    }

    /// The symbol that it has now.
    #[must_use]
    pub fn ticker(&self) -> Option<&Symbol> {
        self.stretches.last().map(|stretch| &stretch.ticker)
    }

    /// The stretch that has a day; none before the first event.
    #[must_use]
    pub fn at(&self, day: Date) -> Option<&SymbolSpan> {
        self.stretches.iter().find(|stretch| stretch.has(day))
    }

    /// Its stretches under one symbol, in order.
    pub fn under<'a>(&'a self, ticker: &'a Symbol) -> impl Iterator<Item = &'a SymbolSpan> {
        self.stretches.iter().filter(move |stretch| stretch.ticker == *ticker)
    }

    /// Whether a life is one of its own: by FIGI; where one has none, by CIK; else if it has the symbol now and the life is
    /// listed, or if it gave the symbol up when the life ended.
    #[must_use]
    pub fn has(&self, life: &ListingPeriod) -> bool {
        if self.under(life.ticker()).next().is_none() {
            return false;
        }
        let compare = |one: &Option<String>, two: &Option<String>| Some(one.as_ref()? == two.as_ref()?);
        let listing = &life.listing;
        let by_figi = compare(&self.composite_figi, &listing.composite_figi);
        by_figi.or_else(|| compare(&self.cik, &listing.cik)).unwrap_or_else(|| {
            let is_now = listing.active && self.ticker() == Some(life.ticker());
            let gave_up = |end: Date| {
                let mut ends = self.under(life.ticker()).filter_map(|stretch| stretch.until);
                ends.any(|until| is_near(until, end))
            };
            is_now || life.end().is_some_and(gave_up)
        })
    }

    /// The days on which a life of its own had its symbol: as the list says (`plain`), but from the day on which the company
    /// took the symbol. The first event is no change of a symbol: of two first days the earlier one is taken, rather a
    /// request too many than a bar too few.
    #[must_use]
    pub fn spans(&self, life: &ListingPeriod, plain: ListingSpan, before: Option<Date>) -> Vec<ListingSpan> {
        let overlaps = |stretch: &SymbolSpan| {
            stretch.from.is_none_or(|from| plain.to.is_none_or(|to| from <= to))
                && stretch.until.is_none_or(|until| before.is_none_or(|before| before < until))
        };
        let stretches = self.stretches.iter().enumerate();
        let mut spans: Vec<_> = stretches
            .filter(|(_, stretch)| stretch.ticker == *life.ticker() && overlaps(stretch))
            .map(|(at, stretch)| {
                let listed =
                    || life.listed.map(|listed| stretch.from.map_or(listed, |from| from.min(listed)));
                let from = if at == 0 { listed().max(before) } else { stretch.from };
                ListingSpan { from, to: stretch.until.and_then(|until| until.yesterday().ok()) }
            })
            .collect();
        match spans.last_mut() {
            // How long it had the symbol, the list says.
            Some(last) => last.to = plain.to,
            None => spans.push(plain),
        }
        spans
    }
}

fn is_near(one: Date, other: Date) -> bool {
    let (from, to) = (one.saturating_sub(APART.days()), one.saturating_add(APART.days()));
    (from..=to).contains(&other)
}
