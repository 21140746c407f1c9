//! The parts of requested windows that the lists exclude.

use jiff::civil::Date;

use crate::{
    Symbol, Window, calendar,
    universe::{Filter, NearestListedDays, Universe},
};

/// A part of a requested window that is not fetched: the lists know its symbol, but do not list it on these days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingCut {
    /// The symbol.
    pub ticker: Symbol,
    /// The days.
    pub window: Window,
    /// The nearest days on which the lists have it.
    pub listed: NearestListedDays,
}

/// The parts of each window that the lists exclude, for each symbol with a listing period that passes the filter. Days
/// of other listing periods are not among them: they belong to another security. Parts without a session are left out.
#[must_use]
pub fn cut(universe: &Universe, filter: &Filter, windows: &[Window]) -> Vec<ListingCut> {
    let meant = |symbol: &&Symbol| universe.of(symbol).any(|(period, span)| filter.admits(period, span));
    universe.tickers().filter(meant).flat_map(|symbol| cut_of(universe, symbol, windows)).collect()
}

/// The excluded parts for symbols that fail the filter only because they are not listed on the filter's day. Another
/// source may have seen them trade on it.
#[must_use]
pub fn cut_by_day(universe: &Universe, filter: &Filter, day: Date, windows: &[Window]) -> Vec<ListingCut> {
    let any_day = Filter { active_on: None, ..filter.clone() };
    let meant = |symbol: &&Symbol| {
        universe.is_outside(symbol, day)
            && universe.of(symbol).any(|(period, span)| any_day.admits(period, span))
    };
    universe.tickers().filter(meant).flat_map(|symbol| cut_of(universe, symbol, windows)).collect()
}

fn cut_of(universe: &Universe, symbol: &Symbol, windows: &[Window]) -> Vec<ListingCut> {
    let Some(listed) = universe.listed(symbol) else { return Vec::new() };
    // What no listed span covers is cut: each span takes its days away from the parts that are left.
    let mut parts = windows.to_vec();
    for span in listed.spans() {
        let left = |part: Window| span.cut(part).map_or_else(|| vec![part], |has| part.minus(has));
        parts = parts.into_iter().flat_map(left).collect();
    }
    let has_session = |part: &Window| calendar::sessions(*part).next().is_some();
    let cut = |window: Window| ListingCut {
        ticker: symbol.clone(),
        window,
        listed: listed.nearest_listed_days(window.from()),
    };
    parts.into_iter().filter(has_session).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::{Listing, ListingPeriod, plan::read_windows};

    fn period(ticker: &str, kind: &str, listed: Option<Date>, left: Option<Date>) -> ListingPeriod {
        let listing = Listing {
            ticker: ticker.parse().unwrap(),
            name: None,
            kind: Some(kind.to_owned()),
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

    fn universe() -> Universe {
        Universe::new(vec![
            period("SOXS", "ETF", Some(date(2022, 3, 28)), None),
            period("META", "ETF", Some(date(2021, 6, 30)), Some(date(2022, 1, 31))),
            period("META", "CS", Some(date(2012, 5, 18)), None),
            period("GONE", "CS", None, Some(date(2022, 2, 1))),
            period("KO", "CS", None, None),
        ])
    }

    fn told(cut: &[ListingCut]) -> Vec<String> {
        cut.iter().map(|cut| format!("{} {} {}", cut.ticker, cut.window, cut.listed)).collect()
    }

    #[test]
    fn what_lists_cut_is_named_with_the_days_that_they_have() {
        let windows = read_windows("2021-12..2022-04").unwrap();
        assert_eq!(
            told(&cut(&universe(), &Filter::default(), &windows)),
            [
                "GONE 2022-02-02..2022-04-30 until 2022-02-01",
                "SOXS 2021-12-01..2022-03-27 from 2022-03-28 on"
            ]
        );
        let stocks = Filter { types: Some(vec!["CS".to_owned()]), ..Filter::default() };
        let windows = read_windows("2021,2022-02-02..2022-02-03").unwrap();
        assert_eq!(
            told(&cut(&universe(), &stocks, &windows)),
            [
                "GONE 2022-02-02..2022-02-03 until 2022-02-01",
                "META 2021-01-01..2021-06-29 from 2021-06-30 on"
            ],
            "the days of the fund are another security's"
        );
    }

    #[test]
    fn what_a_day_leaves_out_is_cut_only_if_the_lists_have_nothing_on_it() {
        let windows = read_windows("2022-03").unwrap();
        let day = date(2022, 3, 1);
        let then = Filter { active_on: Some(day), ..Filter::default() };
        assert_eq!(told(&cut(&universe(), &then, &windows)), [""; 0]);
        assert_eq!(
            told(&cut_by_day(&universe(), &then, day, &windows)),
            [
                "GONE 2022-03-01..2022-03-31 until 2022-02-01",
                "SOXS 2022-03-01..2022-03-27 from 2022-03-28 on"
            ]
        );
    }
}
