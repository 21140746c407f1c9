//! Which symbols a spec is about.

use std::path::PathBuf;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::calendar;

/// Which symbols: exactly one of `tickers`, `tickers_file` and `list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Universe {
    /// The symbols themselves.
    pub tickers: Option<Vec<String>>,
    /// A file of symbols; a relative path begins at the spec's folder.
    pub tickers_file: Option<PathBuf>,
    /// All that are in a list.
    pub list: Option<List>,
    /// Of the list, only these types, as the service names them.
    pub types: Option<Vec<String>>,
    /// Of the list, only what is listed on these exchanges, by MIC.
    pub exchanges: Option<Vec<String>>,
    /// Of the list, only what was active on this day; without it, all that lived in a window.
    #[serde(default, deserialize_with = "day")]
    pub as_of: Option<Date>,
}

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum List {
    /// The stocks of the US market, with those that are delisted.
    #[serde(rename = "us-stocks")]
    UsStocks,
}

impl List {
    /// The name in a spec and on a command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsStocks => "us-stocks",
        }
    }
}

/// A key and what is wrong with it.
type Wrong = (&'static str, String);

impl Universe {
    /// Checks that the keys go together.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let ways = [self.tickers.is_some(), self.tickers_file.is_some(), self.list.is_some()];
        if ways.iter().filter(|is_there| **is_there).count() != 1 {
            let reason = "exactly one of tickers, tickers_file and list is needed";
            return Err(("universe", reason.to_owned()));
        }
        self.check_keys_of_list()?;
        check_codes(
            self.types.as_ref(),
            "universe.types",
            "a type is in capitals, such as CS or ADRC",
            |code| code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
        )?;
        let mic = "an exchange is a MIC of four capitals, such as XNAS or XNYS";
        check_codes(self.exchanges.as_ref(), "universe.exchanges", mic, |code| {
            code.len() == 4 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        })?;
        let (first, last) = (calendar::FIRST_DAY, calendar::LAST_DAY);
        match self.as_of.filter(|day| !(first..=last).contains(day)) {
            Some(_) => Err(("universe.as_of", format!("it is not between {first} and {last}"))),
            None => Ok(()),
        }
    }

    fn check_keys_of_list(&self) -> Result<(), Wrong> {
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
) -> Result<(), Wrong> {
    match codes {
        Some(codes) if codes.is_empty() => {
            Err((key, "it is empty: without the key, there is no limit".to_owned()))
        }
        Some(codes) if codes.iter().any(|code| code.is_empty() || !is_code(code)) => {
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
    // Whatever else a date's reader takes, such as a time of the day, is not what was meant.
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    day.map(Some).ok_or_else(|| D::Error::custom("a day is needed, such as 2016-12-31"))
}
