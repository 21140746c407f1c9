//! The days on which securities were listed, as far as they are known.

use std::{collections::BTreeMap, fmt, iter};

use jiff::civil::Date;

use super::{
    company::{Company, companies},
    symbol_history::SymbolSpan,
};
use crate::{ListingPeriod, Rename, Symbol, Window};

/// Days of one listing period, both ends inclusive. An end that is not known is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingSpan {
    /// The first day on which there can be a bar.
    pub from: Option<Date>,
    /// The last one. None if it is still listed.
    pub to: Option<Date>,
}

impl ListingSpan {
    /// Whether there can be a bar on a day.
    #[must_use]
    pub fn has(self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// The days of a window that are inside. None if there is no such day.
    #[must_use]
    pub fn cut(self, window: Window) -> Option<Window> {
        let from = self.from.map_or(window.from(), |from| from.max(window.from()));
        let to = self.to.map_or(window.to(), |to| to.min(window.to()));
        Window::new(from, to)
    }
}

/// All known listing periods, and the companies whose symbols changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Universe {
    periods: BTreeMap<Symbol, Vec<(ListingPeriod, ListingSpan)>>,
    companies: Vec<Company>,
    /// When companies without any listing period had a symbol, as far as events have both ends; for a symbol without
    /// any period, also when the company began that has it now.
    unlisted: BTreeMap<Symbol, Vec<SymbolSpan>>,
}

/// The days on which the lists have a symbol.
#[derive(Clone, Copy, Debug)]
pub struct ListedDays<'a> {
    periods: &'a [(ListingPeriod, ListingSpan)],
    unlisted: &'a [SymbolSpan],
}

/// The nearest listed days around a day on which a symbol is not listed: the last one before it and the first one after it.
/// Shown as `until 2022-02-01 and from 2022-03-28 on`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NearestListedDays {
    /// The last listed day before.
    pub until: Option<Date>,
    /// The first listed day after.
    pub from: Option<Date>,
}

impl Universe {
    /// Sorts listing periods. Two companies cannot have one ticker at the same time: a period without a known first
    /// day, or with that of the company under an earlier ticker, begins when the one before it has ended.
    #[must_use]
    pub fn new(periods: Vec<ListingPeriod>) -> Self {
        Self::with_renames(periods, &[])
    }

    /// Sorts listing periods by lists and events: the period of a company that took over its ticker begins on that day.
    #[must_use]
    pub fn with_renames(periods: Vec<ListingPeriod>, renames: &[&Rename]) -> Self {
        let companies = companies(renames);
        let mut by_ticker: BTreeMap<Symbol, Vec<ListingPeriod>> = BTreeMap::new();
        for period in periods {
            by_ticker.entry(period.ticker().clone()).or_default().push(period);
        }
        let unlisted = unlisted(&companies, &by_ticker);
        let periods = by_ticker.into_iter().map(|(symbol, mut periods)| {
            // The period that is still listed comes last.
            periods.sort_by_key(|period| period.end().unwrap_or(Date::MAX));
            let ends =
                periods.iter().map(|period| period.listing.delisted.filter(|_| !period.listing.active));
            // Each period begins at the earliest when the one before it has ended.
            let before = iter::once(None).chain(ends).collect::<Vec<_>>();
            let spans = periods.into_iter().zip(before).flat_map(|(period, before)| {
                let plain = ListingSpan { from: period.listed.max(before), to: period.end() };
                let company = companies.iter().find(|company| company.has(&period));
                let spans =
                    company.map_or_else(|| vec![plain], |company| company.spans(&period, plain, before));
                spans.into_iter().map(move |span| (period.clone(), span))
            });
            (symbol, spans.collect())
        });
        Self { periods: periods.collect(), companies, unlisted }
    }

    /// The companies of all events.
    #[must_use]
    pub fn companies(&self) -> &[Company] {
        &self.companies
    }

    /// Each listing period with its days, by ticker and time.
    pub fn periods(&self) -> impl Iterator<Item = (&ListingPeriod, ListingSpan)> {
        self.periods.values().flatten().map(|(period, span)| (period, *span))
    }

    /// The tickers of all listing periods, in order.
    pub fn tickers(&self) -> impl Iterator<Item = &Symbol> {
        self.periods.keys()
    }

    /// The listing periods of one ticker, in order.
    pub fn of(&self, symbol: &Symbol) -> impl Iterator<Item = (&ListingPeriod, ListingSpan)> {
        self.periods.get(symbol).into_iter().flatten().map(|(period, span)| (period, *span))
    }

    /// The day after which a symbol can have no bars, because all its listing periods have ended. None if one of them
    /// lasts, or if the symbol is unknown.
    #[must_use]
    pub fn end_of(&self, symbol: &Symbol) -> Option<Date> {
        let ends = self.of(symbol).map(|(_, span)| span.to).collect::<Option<Vec<_>>>()?;
        ends.into_iter().max()
    }

    /// Whether the lists know a symbol, but do not have it on a day: no listing period is active then. On the day of
    /// `delisted_utc` there may still be bars.
    #[must_use]
    pub fn is_outside(&self, symbol: &Symbol, day: Date) -> bool {
        self.listed(symbol).is_some_and(|listed| !listed.has(day))
    }

    /// Whether a symbol is outside of its listed days and its last bar before the day does not contradict the list. A
    /// last bar on an unlisted day contradicts it.
    #[must_use]
    pub fn is_delisted(&self, symbol: &Symbol, day: Date, last_bar: Option<Date>) -> bool {
        self.listed(symbol).is_some_and(|listed| {
            let contradicts = |bar: Date| !listed.has(bar) && !listed.is_last_day(bar);
            !listed.has(day) && !last_bar.is_some_and(contradicts)
        })
    }

    /// The days on which the lists have a symbol. None if they do not know it.
    #[must_use]
    pub fn listed(&self, symbol: &Symbol) -> Option<ListedDays<'_>> {
        let periods = self.periods.get(symbol).map_or(&[][..], Vec::as_slice);
        let unlisted = self.unlisted.get(symbol).map_or(&[][..], Vec::as_slice);
        let is_known = !periods.is_empty() || unlisted.iter().any(|symbol_span| symbol_span.until.is_none());
        is_known.then_some(ListedDays { periods, unlisted })
    }

    /// Whether a listing period is active on a day. On the day of `delisted_utc` it is not.
    #[must_use]
    pub fn is_active(period: &ListingPeriod, span: ListingSpan, day: Date) -> bool {
        let gone = period.listing.delisted.filter(|_| !period.listing.active);
        span.has(day) && gone.is_none_or(|gone| day < gone)
    }
}

impl<'a> ListedDays<'a> {
    /// Whether it is listed on a day.
    #[must_use]
    pub fn has(self, day: Date) -> bool {
        self.periods.iter().any(|(period, span)| Universe::is_active(period, *span, day))
            || self.unlisted.iter().any(|symbol_span| symbol_span.has(day))
    }

    /// Its listed days, as spans that may overlap.
    pub fn spans(self) -> impl Iterator<Item = ListingSpan> + use<'a> {
        let span = |symbol_span: &SymbolSpan| {
            let to = symbol_span.until.and_then(|until| until.yesterday().ok());
            ListingSpan { from: symbol_span.from, to }
        };
        self.periods.iter().map(|(_, span)| *span).chain(self.unlisted.iter().map(span))
    }

    /// Whether a day is the last one of a listing period, on which there may or may not be bars.
    #[must_use]
    pub fn is_last_day(self, day: Date) -> bool {
        self.periods.iter().any(|(_, span)| span.to == Some(day))
    }

    /// Returns the nearest listed days around one that is not listed.
    #[must_use]
    pub fn nearest_listed_days(self, day: Date) -> NearestListedDays {
        let (periods, unlisted) = (self.periods.iter().map(|(_, span)| span), self.unlisted.iter());
        let last = |symbol_span: &SymbolSpan| symbol_span.until.and_then(|until| until.yesterday().ok());
        let ends = periods.clone().filter_map(|span| span.to).chain(unlisted.clone().filter_map(last));
        let begins =
            periods.filter_map(|span| span.from).chain(unlisted.filter_map(|symbol_span| symbol_span.from));
        NearestListedDays {
            until: ends.filter(|end| *end <= day).max(),
            from: begins.filter(|from| day < *from).min(),
        }
    }
}

impl fmt::Display for NearestListedDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.until, self.from) {
            (Some(until), Some(from)) => write!(f, "until {until} and from {from} on"),
            (Some(until), None) => write!(f, "until {until}"),
            (None, Some(from)) => write!(f, "from {from} on"),
            (None, None) => f.write_str("on other days"),
        }
    }
}

/// When companies without a listing period had a symbol. Events do not say how long a company has its present symbol:
/// that span is left out where a list knows the symbol.
fn unlisted(
    companies: &[Company],
    periods: &BTreeMap<Symbol, Vec<ListingPeriod>>,
) -> BTreeMap<Symbol, Vec<SymbolSpan>> {
    let mut unlisted: BTreeMap<Symbol, Vec<SymbolSpan>> = BTreeMap::new();
    for company in companies {
        for symbol_span in &company.symbol_spans {
            let periods = periods.get(&symbol_span.ticker).map_or(&[][..], Vec::as_slice);
            let is_listed = periods.iter().any(|period| company.has(period));
            if !is_listed && (symbol_span.until.is_some() || periods.is_empty()) {
                unlisted.entry(symbol_span.ticker.clone()).or_default().push(symbol_span.clone());
            }
        }
    }
    unlisted
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::Listing;

    fn period(ticker: &str, listed: Option<Date>, left: Option<Date>) -> ListingPeriod {
        let listing = Listing {
            ticker: ticker.parse().unwrap(),
            name: None,
            kind: None,
            exchange: None,
            active: left.is_none(),
            delisted: left,
            composite_figi: None,
            share_class_figi: None,
            cik: None,
            updated: None,
        };
        ListingPeriod { listing, listed, first_seen_ms: 0, last_seen_ms: 0, sector: None, industry: None }
    }

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn two_companies_do_not_have_one_ticker_at_once() {
        let (gone, since) = (date(2022, 1, 31), date(2012, 5, 18));
        for listed in [None, Some(since)] {
            let universe =
                Universe::new(vec![period("META", listed, None), period("META", None, Some(gone))]);
            let spans: Vec<_> = universe.of(&symbol("META")).map(|(_, span)| span).collect();
            assert_eq!(
                spans,
                [ListingSpan { from: None, to: Some(gone) }, ListingSpan { from: Some(gone), to: None }]
            );
        }
    }

    #[test]
    fn a_symbol_has_ended_when_all_its_lives_have() {
        let (first, last) = (date(2009, 1, 5), date(2015, 3, 2));
        let mut periods = vec![period("A", None, Some(last)), period("A", None, Some(first))];
        assert_eq!(Universe::new(periods.clone()).end_of(&symbol("A")), Some(last));
        periods.push(period("A", None, None));
        assert_eq!(Universe::new(periods.clone()).end_of(&symbol("A")), None);
        assert_eq!(Universe::new(periods).end_of(&symbol("B")), None, "nobody knows it");
    }

    #[test]
    fn a_day_is_outside_if_no_life_has_it_and_the_symbol_is_known() {
        let universe = Universe::new(vec![
            period("A", Some(date(2005, 1, 3)), Some(date(2009, 1, 5))),
            period("A", Some(date(2012, 1, 3)), None),
        ]);
        let outside = |day| universe.is_outside(&symbol("A"), day);
        assert!(outside(date(2004, 12, 31)) && !outside(date(2005, 1, 3)) && !outside(date(2009, 1, 4)));
        assert!(outside(date(2009, 1, 5)), "the day of delisted_utc may be the first without it");
        assert!(outside(date(2009, 1, 6)) && outside(date(2012, 1, 2)) && !outside(date(2030, 1, 2)));
        assert!(!universe.is_outside(&symbol("B"), date(2004, 1, 2)));
    }
}
