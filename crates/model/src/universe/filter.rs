//! Selects listing periods.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;

use super::{ListingSpan, Universe};
use crate::{ListingPeriod, Symbol};

/// Among codes of types or exchanges it stands for periods without one.
pub const UNKNOWN: &str = "?";

/// The conditions of a universe; a missing one does not narrow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these types, as the service names them; [`UNKNOWN`] is a period without a type.
    pub types: Option<Vec<String>>,
    /// Only what is listed on these exchanges, by MIC; [`UNKNOWN`] is a period without an exchange.
    pub exchanges: Option<Vec<String>>,
    /// Only what was active on this day.
    pub active_on: Option<Date>,
    /// Whether a period without a first day is excluded by `active_on`; else it counts as active.
    pub is_strict: bool,
    /// Only these symbols.
    pub tickers: Option<Vec<Symbol>>,
}

/// Tickers with periods that a filter drops only because the list does not have the field; its JSON is public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DroppedByFilter {
    /// Those without a type.
    pub without_type: BTreeSet<Symbol>,
    /// Those without an exchange.
    pub without_exchange: BTreeSet<Symbol>,
}

impl Filter {
    /// Whether a listing period passes the filter.
    #[must_use]
    pub fn admits(&self, period: &ListingPeriod, span: ListingSpan) -> bool {
        is_among(self.types.as_ref(), period.listing.kind.as_ref())
            && is_among(self.exchanges.as_ref(), period.listing.exchange.as_ref())
            && self.active_on.is_none_or(|day| {
                Universe::is_active(period, span, day) && (!self.is_strict || span.from.is_some())
            })
            && self.tickers.as_ref().is_none_or(|tickers| tickers.contains(period.ticker()))
    }

    /// Returns the tickers of periods that are dropped only because the list does not have their type or exchange.
    #[must_use]
    pub fn dropped<'a>(
        &self,
        periods: impl Iterator<Item = (&'a ListingPeriod, ListingSpan)>,
    ) -> DroppedByFilter {
        let lacks = |codes: &Option<Vec<String>>, code: &Option<String>| {
            code.is_none() && !is_among(codes.as_ref(), None)
        };
        let with_unknown = |codes: &Option<Vec<String>>| {
            let codes = codes.clone()?;
            Some(codes.into_iter().chain([UNKNOWN.to_owned()]).collect())
        };
        let wider = Self {
            types: with_unknown(&self.types),
            exchanges: with_unknown(&self.exchanges),
            ..self.clone()
        };
        let mut dropped = DroppedByFilter::default();
        for (period, _) in periods.filter(|(period, span)| wider.admits(period, *span)) {
            if lacks(&self.types, &period.listing.kind) {
                dropped.without_type.insert(period.ticker().clone());
            }
            if lacks(&self.exchanges, &period.listing.exchange) {
                dropped.without_exchange.insert(period.ticker().clone());
            }
        }
        dropped
    }
}

fn is_among(codes: Option<&Vec<String>>, code: Option<&String>) -> bool {
    let code = code.map_or(UNKNOWN, String::as_str);
    codes.is_none_or(|codes| codes.iter().any(|one| one == code))
}

impl DroppedByFilter {
    /// Whether nothing is dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.without_type.is_empty() && self.without_exchange.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Listing;

    fn period(ticker: &str, kind: Option<&str>, exchange: Option<&str>) -> (ListingPeriod, ListingSpan) {
        let listing = Listing {
            ticker: ticker.parse().unwrap(),
            name: None,
            kind: kind.map(str::to_owned),
            exchange: exchange.map(str::to_owned),
            active: true,
            delisted: None,
            composite_figi: None,
            share_class_figi: None,
            cik: None,
            updated: None,
        };
        let period = ListingPeriod {
            listing,
            listed: None,
            first_seen_ms: 0,
            last_seen_ms: 0,
            sector: None,
            industry: None,
        };
        (period, ListingSpan { from: None, to: None })
    }

    #[test]
    fn what_the_list_does_not_say_is_dropped_counted_and_can_be_asked_for() {
        let periods = [
            period("A", Some("CS"), Some("XNAS")),
            period("IBM", None, Some("XNAS")),
            period("YHOO", Some("CS"), None),
            period("NIL", None, None),
            period("SPY", Some("ETF"), None),
        ];
        let codes = |codes: &[&str]| Some(codes.iter().map(|code| (*code).to_owned()).collect());
        let told = |types: Option<Vec<String>>, exchanges: Option<Vec<String>>| {
            let filter = Filter { types, exchanges, ..Filter::default() };
            let admitted = periods.iter().filter(|(period, span)| filter.admits(period, *span));
            let admitted: Vec<_> = admitted.map(|(period, _)| period.ticker().as_str()).collect();
            let dropped = filter.dropped(periods.iter().map(|(period, span)| (period, *span)));
            let names = |symbols: &BTreeSet<Symbol>| {
                symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            };
            (admitted.join(" "), names(&dropped.without_type), names(&dropped.without_exchange))
        };
        let texts = |one: &str, two: &str, three: &str| (one.to_owned(), two.to_owned(), three.to_owned());
        assert_eq!(told(None, None), texts("A IBM YHOO NIL SPY", "", ""));
        assert_eq!(told(codes(&["CS"]), None), texts("A YHOO", "IBM NIL", ""));
        assert_eq!(told(None, codes(&["XNAS"])), texts("A IBM", "", "NIL SPY YHOO"));
        assert_eq!(told(codes(&["CS"]), codes(&["XNAS"])), texts("A", "IBM NIL", "NIL YHOO"));
        assert_eq!(told(codes(&["CS", "?"]), codes(&["XNAS"])), texts("A IBM", "", "NIL YHOO"));
        assert_eq!(told(codes(&["CS", "?"]), codes(&["XNAS", "?"])), texts("A IBM YHOO NIL", "", ""));
        assert_eq!(told(codes(&["?"]), None), texts("IBM NIL", "", ""));
    }
}
