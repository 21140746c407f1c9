//! Which symbols a spec selects.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::{ToSpan, civil::Date};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    Symbol, Window, calendar,
    universe::{Filter, UNKNOWN, Universe},
};

/// Which symbols: exactly one of `tickers`, `tickers_file` and `list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecUniverse {
    /// The symbols themselves.
    pub tickers: Option<Vec<String>>,
    /// A file of symbols; a relative path begins at the spec's folder.
    pub tickers_file: Option<PathBuf>,
    /// All symbols of a list.
    pub list: Option<UniverseList>,
    /// Of the list, only these types, as the service names them; `?` is a row without a type.
    pub types: Option<Vec<String>>,
    /// Of the list, only what is listed on these exchanges, by MIC; `?` is a row without an exchange.
    pub exchanges: Option<Vec<String>>,
    /// Of the list, only what was active on this day; without it, everything that was listed in a window.
    #[serde(default, deserialize_with = "day")]
    pub as_of: Option<Date>,
}

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum UniverseList {
    /// The stocks of the US market, with those that are delisted.
    #[serde(rename = "us-stocks")]
    UsStocks,
}

impl UniverseList {
    /// The name in a spec and on a command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsStocks => "us-stocks",
        }
    }
}

/// The tasks of a subscription: each window of each symbol that passes the filter, cut to its listing periods. Window
/// by window, then by symbol; periods that touch become one task. A task without a session is left out.
#[must_use]
pub fn windows_of(universe: &Universe, filter: &Filter, windows: &[Window]) -> Vec<(Symbol, Window)> {
    let meant: Vec<_> = universe.periods().filter(|(period, span)| filter.admits(period, *span)).collect();
    let mut tasks = Vec::new();
    for window in windows {
        let mut parts: BTreeMap<&Symbol, Vec<Window>> = BTreeMap::new();
        for (period, span) in &meant {
            if let Some(part) = span.cut(*window) {
                join(parts.entry(period.ticker()).or_default(), part);
            }
        }
        let parts =
            parts.into_iter().flat_map(|(symbol, parts)| parts.into_iter().map(move |part| (symbol, part)));
        let has_session = |part: Window| calendar::sessions(part).next().is_some();
        tasks.extend(
            parts.filter(|(_, part)| has_session(*part)).map(|(symbol, part)| (symbol.clone(), part)),
        );
    }
    tasks
}

/// Adds a range to others that are in the order of their ends: ranges that overlap or touch become one.
fn join(parts: &mut Vec<Window>, mut part: Window) {
    parts.retain(|other| {
        let is_apart = part.from() > other.to().saturating_add(1.day())
            || other.from() > part.to().saturating_add(1.day());
        if !is_apart {
            let (from, to) = (part.from().min(other.from()), part.to().max(other.to()));
            part = Window::new(from, to).unwrap_or(part);
        }
        is_apart
    });
    parts.push(part);
}

impl UniverseList {
    /// The list with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (name == Self::UsStocks.as_str()).then_some(Self::UsStocks)
    }
}

/// A key, and what is wrong with it.
pub type KeyProblem = (&'static str, String);

impl SpecUniverse {
    /// Checks that the keys may be combined.
    ///
    /// # Errors
    /// With the key that may not, and why.
    pub fn check(&self) -> Result<(), KeyProblem> {
        let ways = [self.tickers.is_some(), self.tickers_file.is_some(), self.list.is_some()];
        if ways.iter().filter(|is_there| **is_there).count() != 1 {
            let reason = "exactly one of tickers, tickers_file and list is needed";
            return Err(("universe", reason.to_owned()));
        }
        self.check_keys_of_list()?;
        check_codes(
            self.types.as_ref(),
            "universe.types",
            "a type is in capitals, such as CS or ADRC, or ? for one that the list does not say",
            |code| code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
        )?;
        let mic = "an exchange is a MIC of four capitals, such as XNAS or XNYS, or ? for one that the list does not say";
        check_codes(self.exchanges.as_ref(), "universe.exchanges", mic, |code| {
            code.len() == 4 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        })?;
        let (first, last) = (calendar::FIRST_DAY, calendar::LAST_DAY);
        match self.as_of.filter(|day| !(first..=last).contains(day)) {
            Some(_) => Err(("universe.as_of", format!("it is not between {first} and {last}"))),
            None => Ok(()),
        }
    }

    fn check_keys_of_list(&self) -> Result<(), KeyProblem> {
        let keys = [
            ("universe.types", self.types.is_some()),
            ("universe.exchanges", self.exchanges.is_some()),
            ("universe.as_of", self.as_of.is_some()),
        ];
        let alone = keys.into_iter().find(|(_, is_there)| *is_there && self.list.is_none());
        alone.map_or(Ok(()), |(key, _)| Err((key, "it goes with list only".to_owned())))
    }
}

fn check_codes(
    codes: Option<&Vec<String>>,
    key: &'static str,
    form: &str,
    is_code: impl Fn(&str) -> bool,
) -> Result<(), KeyProblem> {
    match codes {
        Some(codes) if codes.is_empty() => {
            Err((key, "it is empty: without the key, there is no limit".to_owned()))
        }
        Some(codes) if codes.iter().any(|code| code != UNKNOWN && (code.is_empty() || !is_code(code))) => {
            Err((key, form.to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

/// A text, or a date of TOML.
fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        toml::Value::Datetime(date) => date.to_string(),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => String::new(),
    };
    // A date's reader also accepts other texts, such as a time of the day: these are refused.
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    day.map(Some).ok_or_else(|| D::Error::custom("a day is needed, such as 2016-12-31"))
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
            exchange: Some("XNAS".to_owned()),
            active: left.is_none(),
            delisted: left,
            composite_figi: None,
            share_class_figi: None,
            cik: None,
            updated: None,
        };
        ListingPeriod { listing, listed, first_seen_ms: 0, last_seen_ms: 0, sector: None, industry: None }
    }

    fn planned(filter: &Filter, windows: &str) -> Vec<String> {
        let universe = Universe::new(vec![
            period("META", "ETF", Some(date(2021, 6, 30)), Some(date(2022, 1, 31))),
            period("META", "CS", Some(date(2012, 5, 18)), None),
            period("BSC", "CS", None, Some(date(2008, 6, 2))),
            period("RDDT", "CS", Some(date(2024, 3, 21)), None),
        ]);
        let tasks = windows_of(&universe, filter, &read_windows(windows).unwrap());
        tasks.iter().map(|(symbol, window)| format!("{symbol} {window}")).collect()
    }

    #[test]
    fn only_windows_in_which_a_symbol_lived_are_asked_for() {
        let all = Filter::default();
        assert_eq!(planned(&all, "2007"), ["BSC 2007-01-01..2007-12-31"]);
        assert_eq!(planned(&all, "2008"), ["BSC 2008-01-01..2008-06-02"]);
        assert_eq!(planned(&all, "2021"), ["META 2021-06-30..2021-12-31"]);
        assert_eq!(
            planned(&all, "2024,2021"),
            ["META 2024-01-01..2024-12-31", "RDDT 2024-03-21..2024-12-31", "META 2021-06-30..2021-12-31"]
        );
        assert_eq!(planned(&all, "2022"), ["META 2022-01-01..2022-12-31"], "two lives that touch");
    }

    #[test]
    fn filters_and_a_day_choose_lives_and_not_symbols() {
        let stocks = Filter { types: Some(vec!["CS".to_owned()]), ..Filter::default() };
        assert_eq!(planned(&stocks, "2021"), [""; 0], "then the symbol was a fund's");
        let then = Filter { active_on: Some(date(2021, 7, 1)), ..Filter::default() };
        assert_eq!(planned(&then, "2019-2024"), ["META 2021-06-30..2022-01-31"]);
        let gone = Filter { active_on: Some(date(2008, 6, 2)), ..Filter::default() };
        assert_eq!(planned(&gone, "2008"), [""; 0], "on that day it is delisted");
        let other = Filter { exchanges: Some(vec!["XNYS".to_owned()]), ..Filter::default() };
        assert_eq!(planned(&other, "2024"), [""; 0]);
    }
}
