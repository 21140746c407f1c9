//! Companies, by the events that the service lists: which symbols each had and when, and which listing periods belong
//! to it. Pure.

use std::collections::BTreeSet;

use jiff::{ToSpan, civil::Date};

use super::{ListingSpan, symbol_history::SymbolSpan, symbol_history::events};
use crate::{ListingPeriod, Rename, Symbol};

/// The most days by which a list and an event may differ about the same change.
const APART: i32 = 31;

/// A company, and its symbols one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Its composite FIGI, where an event has it.
    pub composite_figi: Option<String>,
    /// Its number with the SEC, where an event has it.
    pub cik: Option<String>,
    /// Its symbols in order, without gaps: the first span begins with the first event, the last one has no end.
    pub symbol_spans: Vec<SymbolSpan>,
}

/// The companies of all events, each once.
#[must_use]
pub fn companies(renames: &[&Rename]) -> Vec<Company> {
    let requested: BTreeSet<&Symbol> = renames.iter().map(|rename| &rename.asked_as).collect();
    let mut companies: Vec<Company> = Vec::new();
    for symbol in requested {
        let company = Company::of(&events(symbol, renames));
        match companies.iter_mut().find(|known| known.is_same(&company)) {
            // A response of an earlier year does not have a later symbol.
            Some(known) if known.symbol_spans.len() < company.symbol_spans.len() => *known = company,
            Some(_) => {}
            None => companies.push(company),
        }
    }
    companies
}

impl Company {
    /// The company of events, which are in order.
    fn of(events: &[&Rename]) -> Self {
        let mut symbol_spans: Vec<SymbolSpan> = Vec::new();
        for event in events {
            match symbol_spans.last_mut() {
                Some(last) if last.ticker == event.ticker => continue,
                Some(last) => last.until = Some(event.date),
                None => {}
            }
            let (ticker, from) = (event.ticker.clone(), Some(event.date));
            symbol_spans.push(SymbolSpan { ticker, from, until: None });
        }
        let text = |of: fn(&Rename) -> &Option<String>| events.iter().find_map(|event| of(event).clone());
        Self {
            composite_figi: text(|event| &event.composite_figi),
            cik: text(|event| &event.cik),
            symbol_spans,
        }
    }

    /// Whether two responses are about one company: by FIGI; if one has none, their CIKs must not differ and one must
    /// have all symbols and first days of the other. Two share classes have one CIK.
    fn is_same(&self, other: &Self) -> bool {
        if let (Some(one), Some(two)) = (&self.composite_figi, &other.composite_figi) {
            return one == two;
        }
        let begins = |one: &Self| -> BTreeSet<_> {
            one.symbol_spans
                .iter()
                .map(|symbol_span| (symbol_span.ticker.clone(), symbol_span.from))
                .collect()
        };
        let (one, two) = (begins(self), begins(other));
        let is_other_issuer = self.cik.as_ref().zip(other.cik.as_ref()).is_some_and(|(one, two)| one != two);
        !is_other_issuer && (one.is_subset(&two) || two.is_subset(&one))
    }

    /// The symbol that it has now.
    #[must_use]
    pub fn ticker(&self) -> Option<&Symbol> {
        self.symbol_spans.last().map(|symbol_span| &symbol_span.ticker)
    }

    /// The span that contains a day. None before the first event.
    #[must_use]
    pub fn at(&self, day: Date) -> Option<&SymbolSpan> {
        self.symbol_spans.iter().find(|symbol_span| symbol_span.has(day))
    }

    /// Its spans under one symbol, in order.
    pub fn under<'a>(&'a self, ticker: &'a Symbol) -> impl Iterator<Item = &'a SymbolSpan> {
        self.symbol_spans.iter().filter(move |symbol_span| symbol_span.ticker == *ticker)
    }

    /// Whether a listing period belongs to the company: by FIGI; if one has none, by CIK; else if it has the symbol now
    /// and the period is still listed, or if it gave up the symbol when the period ended.
    #[must_use]
    pub fn has(&self, period: &ListingPeriod) -> bool {
        if self.under(period.ticker()).next().is_none() {
            return false;
        }
        let compare = |one: &Option<String>, two: &Option<String>| Some(one.as_ref()? == two.as_ref()?);
        let listing = &period.listing;
        let by_figi = compare(&self.composite_figi, &listing.composite_figi);
        by_figi.or_else(|| compare(&self.cik, &listing.cik)).unwrap_or_else(|| {
            let is_now = listing.active && self.ticker() == Some(period.ticker());
            let gave_up = |end: Date| {
                let mut ends = self.under(period.ticker()).filter_map(|symbol_span| symbol_span.until);
                ends.any(|until| is_near(until, end))
            };
            is_now || period.end().is_some_and(gave_up)
        })
    }

    /// The days on which the company had its symbol within one of its listing periods: those of the list (`plain`), but
    /// from the day on which it took the symbol. The first event is not a change of a symbol: of two first days the
    /// earlier one is used, because a request too many is better than a bar too few.
    #[must_use]
    pub fn spans(
        &self,
        period: &ListingPeriod,
        plain: ListingSpan,
        before: Option<Date>,
    ) -> Vec<ListingSpan> {
        let overlaps = |symbol_span: &SymbolSpan| {
            symbol_span.from.is_none_or(|from| plain.to.is_none_or(|to| from <= to))
                && symbol_span.until.is_none_or(|until| before.is_none_or(|before| before < until))
        };
        let symbol_spans = self.symbol_spans.iter().enumerate();
        let mut spans: Vec<_> = symbol_spans
            .filter(|(_, symbol_span)| symbol_span.ticker == *period.ticker() && overlaps(symbol_span))
            .map(|(at, symbol_span)| {
                // Only the first span may begin earlier than its event, which is no change of a symbol.
                let listed =
                    || period.listed.map(|listed| symbol_span.from.map_or(listed, |from| from.min(listed)));
                let from = if at == 0 { listed().max(before) } else { symbol_span.from };
                ListingSpan { from, to: symbol_span.until.and_then(|until| until.yesterday().ok()) }
            })
            .collect();
        match spans.last_mut() {
            // The list decides how long it had the symbol.
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
