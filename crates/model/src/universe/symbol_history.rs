//! Which symbols a company had and when, by the events that the service lists. Pure.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::{Rename, Symbol, Window, new_york};

/// A part of a history in which all bars have one symbol. The spans of a history do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolSpan {
    /// The symbol at that time.
    pub ticker: Symbol,
    /// The first day. None if it begins with the symbol's first bar.
    pub from: Option<Date>,
    /// The first day after it. None if it has no end.
    pub until: Option<Date>,
}

impl SymbolSpan {
    /// The span of everything that ever traded under a symbol.
    #[must_use]
    pub fn all_of(ticker: &Symbol) -> Self {
        Self { ticker: ticker.clone(), from: None, until: None }
    }

    /// Whether a day is in it.
    #[must_use]
    pub fn has(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day < until)
    }

    /// The instants (UTC ms) of each window that are inside, in order; the whole span if `windows` is None. The windows
    /// are in order and do not overlap.
    #[must_use]
    pub fn spans(&self, windows: Option<&[Window]>) -> Vec<(i64, i64)> {
        let from = self.from.map_or(i64::MIN, new_york::day_start_ms);
        let until = self.until.map_or(i64::MAX, new_york::day_start_ms);
        let Some(windows) = windows else { return vec![(from, until)] };
        let spans = windows.iter().map(|window| (window.start_ms().max(from), window.end_ms().min(until)));
        spans.filter(|(from, until)| from < until).collect()
    }
}

/// The history of the company that has a symbol now: the span of each symbol that it had, in order. Bars of other
/// companies that had one of these symbols before or after are in no span.
///
/// If no events are known, or the company has another symbol by now, the history is everything that traded under the
/// symbol.
#[must_use]
pub fn history(ticker: &Symbol, renames: &[&Rename]) -> Vec<SymbolSpan> {
    let events = events(ticker, renames);
    if events.last().is_none_or(|last| last.ticker != *ticker) {
        return vec![SymbolSpan::all_of(ticker)];
    }
    let ends = events.iter().skip(1).map(|next| Some(next.date)).chain([None]);
    let symbol_span = |(event, until): (&&Rename, Option<Date>)| SymbolSpan {
        ticker: event.ticker.clone(),
        from: Some(event.date),
        until,
    };
    events.iter().zip(ends).map(symbol_span).collect()
}

/// The later symbol of the company that had this one, and when it changed. None if that is not known.
#[must_use]
pub fn successor<'a>(ticker: &Symbol, renames: &[&'a Rename]) -> Option<&'a Rename> {
    events(ticker, renames).pop().filter(|last| last.ticker != *ticker)
}

/// The first day of a symbol's present company. None if that is not known.
#[must_use]
pub fn first_day_of_present_company(ticker: &Symbol, renames: &[&Rename]) -> Option<Date> {
    history(ticker, renames).iter().find(|symbol_span| symbol_span.ticker == *ticker)?.from
}

/// When other companies had a symbol, each with the symbol under which that company was requested.
#[must_use]
pub fn of_others(ticker: &Symbol, renames: &[&Rename]) -> Vec<(Symbol, SymbolSpan)> {
    let own = identities(ticker, renames);
    let others: BTreeSet<_> = renames.iter().map(|rename| &rename.asked_as).collect();
    let others = others.into_iter().filter(|other| identities(other, renames).is_disjoint(&own));
    let had =
        others.flat_map(|other| history(other, renames).into_iter().map(move |one| (other.clone(), one)));
    had.filter(|(_, symbol_span)| symbol_span.ticker == *ticker && symbol_span.until.is_some()).collect()
}

/// The permanent identifiers (FIGI, else CIK) of the company that was requested as a symbol.
fn identities<'a>(asked_as: &Symbol, renames: &[&'a Rename]) -> BTreeSet<Option<&'a str>> {
    let events = renames.iter().filter(|rename| rename.asked_as == *asked_as);
    events.map(|rename| rename.composite_figi.as_deref().or(rename.cik.as_deref())).collect()
}

/// The events of the company that was requested as a symbol, by day.
pub(super) fn events<'a>(ticker: &Symbol, renames: &[&'a Rename]) -> Vec<&'a Rename> {
    let mut events: Vec<_> = renames.iter().copied().filter(|rename| rename.asked_as == *ticker).collect();
    events.sort_by_key(|event| event.date);
    events
}

/// Sorts windows and joins those that overlap or touch.
#[must_use]
pub fn joined(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort_unstable();
    let mut joined: Vec<Window> = Vec::new();
    for window in windows {
        let before =
            joined.last_mut().filter(|last| last.to().tomorrow().is_ok_and(|next| window.from() <= next));
        match before {
            Some(last) => *last = Window::new(last.from(), last.to().max(window.to())).unwrap_or(*last),
            None => joined.push(window),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    fn event(asked_as: &str, ticker: &str, day: Date, figi: &str) -> Rename {
        Rename {
            composite_figi: Some(figi.to_owned()),
            cik: None,
            name: None,
            ticker: symbol(ticker),
            date: day,
            asked_as: symbol(asked_as),
        }
    }

    const LISTED: Date = date(2012, 5, 18);
    const RENAMED: Date = date(2022, 6, 9);

    fn renames() -> Vec<Rename> {
        vec![
            event("META", "META", RENAMED, "1"),
            event("META", "FB", LISTED, "1"),
            event("FB", "META", RENAMED, "1"),
            event("FB", "FB", LISTED, "1"),
            event("METV", "METV", date(2022, 1, 31), "2"),
            event("METV", "META", date(2021, 6, 30), "2"),
        ]
    }

    fn told(ticker: &str) -> Vec<String> {
        let renames = renames();
        let tell = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
        let history = history(&symbol(ticker), &renames.iter().collect::<Vec<_>>());
        history.iter().map(|one| format!("{} {}..{}", one.ticker, tell(one.from), tell(one.until))).collect()
    }

    #[test]
    fn a_history_has_the_bars_of_its_company_and_of_no_other_one() {
        assert_eq!(told("META"), ["FB 2012-05-18..2022-06-09", "META 2022-06-09.."]);
        assert_eq!(told("METV"), ["META 2021-06-30..2022-01-31", "METV 2022-01-31.."]);
        assert_eq!(told("AAPL"), ["AAPL .."], "of which nothing is known");
        assert_eq!(told("FB"), ["FB .."], "it is an old symbol: nothing is joined to it");
        let renames = renames();
        let renames: Vec<_> = renames.iter().collect();
        let meta = successor(&symbol("FB"), &renames).unwrap();
        assert_eq!((meta.ticker.as_str(), meta.date), ("META", RENAMED));
        assert_eq!(successor(&symbol("META"), &renames), None);
    }

    #[test]
    fn a_symbol_that_two_companies_had_is_known_by_the_events_of_either() {
        let all = renames();
        let all: Vec<_> = all.iter().collect();
        assert_eq!(first_day_of_present_company(&symbol("META"), &all), Some(RENAMED));
        assert_eq!(first_day_of_present_company(&symbol("FB"), &all), None, "it has another symbol now");
        let fund = SymbolSpan {
            ticker: symbol("META"),
            from: Some(date(2021, 6, 30)),
            until: Some(date(2022, 1, 31)),
        };
        assert_eq!(of_others(&symbol("META"), &all), [(symbol("METV"), fund)]);
        assert_eq!(of_others(&symbol("FB"), &all), [], "META is the same company");
        let unrequested: Vec<_> =
            all.iter().copied().filter(|event| event.asked_as.as_str() != "FB").collect();
        assert_eq!(of_others(&symbol("FB"), &unrequested)[0].0, symbol("META"));
    }

    #[test]
    fn a_span_is_what_window_and_stretch_have_in_common() {
        let window = |from, to| Window::new(from, to).unwrap();
        let stretch = SymbolSpan { ticker: symbol("FB"), from: Some(LISTED), until: Some(RENAMED) };
        let start = new_york::day_start_ms;
        assert_eq!(stretch.spans(None), [(start(LISTED), start(RENAMED))]);
        let windows = joined(vec![
            window(date(2022, 6, 1), date(2022, 6, 30)),
            window(date(2012, 5, 1), date(2012, 5, 31)),
            window(date(2012, 6, 1), date(2012, 6, 2)),
            window(date(2012, 5, 5), date(2012, 5, 7)),
            window(date(2000, 1, 1), date(2000, 1, 2)),
        ]);
        assert_eq!(windows.len(), 3);
        let expected = [(start(LISTED), start(date(2012, 6, 3))), (start(date(2022, 6, 1)), start(RENAMED))];
        assert_eq!(stretch.spans(Some(&windows)), expected);
        assert!(stretch.has(LISTED) && !stretch.has(RENAMED));
    }
}
