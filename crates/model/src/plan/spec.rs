//! Specs: what to download, checked in as a TOML file.

use std::fmt::Write as _;

use serde::Deserialize;
use thiserror::Error;

use super::{toml_line::line_of, universe::SpecUniverse};
use crate::{excerpt, nearest};

/// How much of the TOML reader's message is shown, in characters.
const SHOWN: usize = 300;

/// A spec as it is written. `manifests/README.md` explains every key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What kind of bars. There is one kind.
    #[serde(default)]
    pub dataset: Dataset,
    /// The windows, as on the command line.
    pub windows: Vec<String>,
    /// Whether split-adjusted bars are requested.
    pub adjusted: Option<bool>,
    /// Which programs the files are for, as `--parquet`.
    pub parquet: Option<String>,
    /// Which symbols.
    pub universe: SpecUniverse,
    /// How fast.
    #[serde(default)]
    pub pacing: Pacing,
    /// What `grab verify` accepts.
    #[serde(default)]
    pub verify: SpecThresholds,
}

/// What kind of bars: the folder that they are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Dataset {
    /// Bars of one minute.
    #[default]
    #[serde(rename = "bars_1m")]
    Minutes,
}

/// How fast. A flag or the environment overrides it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pacing {
    /// As `--rate`.
    pub rate: Option<String>,
    /// As `--concurrency`.
    pub concurrency: Option<usize>,
}

/// What `grab verify` accepts. A flag overrides it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecThresholds {
    /// As `--min-coverage`.
    pub min_coverage: Option<f64>,
    /// As `--min-symbols-per-session`.
    pub min_symbols_per_session: Option<u64>,
    /// As `--max-gap-sessions`.
    pub max_gap_sessions: Option<u64>,
}

/// Why a spec cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Not TOML, a key that is unknown or missing, a value of another type.
    ///
    /// The line itself is not shown, unlike in the TOML reader's own message: it may contain a key.
    #[error("line {line}, column {column}: {reason}")]
    Toml {
        /// Counted from 1.
        line: usize,
        /// Characters, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Bytes that are not text.
    #[error("line {line}, column {column}: the file is not UTF-8 text")]
    NotText {
        /// Counted from 1.
        line: usize,
        /// Characters, counted from 1.
        column: usize,
    },
    /// A value that makes no sense, or keys that do not go together.
    #[error("{}{key}: {reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Value {
        /// Where the key is, counted from 1, if it is there.
        line: Option<usize>,
        /// The key with its table, such as `universe.types`.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    /// With line and column of the problem.
    pub fn read(bytes: &[u8]) -> Result<Self, SpecError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (line, column) = place(&String::from_utf8_lossy(&bytes[..error.valid_up_to()]));
            SpecError::NotText { line, column }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let spec: Self = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let wrong = |(key, reason)| SpecError::Value { line: line_of(text, key), key, reason };
        spec.universe.check().map_err(wrong)?;
        Ok(spec)
    }
}

/// Line and column of the text that follows `before`.
fn place(before: &str) -> (usize, usize) {
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}

/// Describes an error in TOML by position and reason, without the line and its values: a key may be there.
#[must_use]
pub fn toml_error(text: &str, error: &toml::de::Error) -> String {
    unreadable(text, error).to_string()
}

fn unreadable(text: &str, error: &toml::de::Error) -> SpecError {
    let start = error.span().map_or(0, |span| span.start);
    let (line, column) = place(text.get(..start).unwrap_or(text));
    let mut reason = excerpt(&without_value(error.message()), SHOWN);
    if reason.starts_with("unknown field") && reason.to_lowercase().replace(['_', '-'], "").contains("key`") {
        reason.push_str("; a spec is checked in: the key is never in it, but in MASSIVE_API_KEY");
    } else if let Some(meant) = meant(&reason) {
        let _ = write!(reason, "; did you mean `{meant}`?");
    }
    SpecError::Toml { line, column, reason }
}

/// The key that an unknown one may mean, by a message that names it first and then the known ones, in backticks.
fn meant(reason: &str) -> Option<String> {
    let mut names = reason.strip_prefix("unknown field")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    nearest(unknown, names).map(str::to_owned)
}

/// Turns `invalid type: string "…", expected a boolean` into a message without the string: the position is enough.
fn without_value(message: &str) -> String {
    match (message.find(" \""), message.rfind("\", expected ")) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &message[..from], &message[to + 1..]),
        _ => message.lines().collect::<Vec<_>>().join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::UniverseList;

    fn read(text: &str) -> Result<Spec, SpecError> {
        Spec::read(text.as_bytes())
    }

    #[test]
    fn a_whole_spec() {
        let spec = read(
            "windows = [\"2023\", \"2024\"]\nadjusted = false\n[universe]\ntickers = [\"AAPL\"]\n[pacing]\nrate = \"5/min\"\n",
        );
        let spec = spec.unwrap();
        assert_eq!(spec.windows, ["2023", "2024"]);
        assert_eq!(spec.pacing.rate.as_deref(), Some("5/min"));
    }

    #[test]
    fn unknown_keys_are_named_with_line_and_column() {
        let error = read("windows = []\nwindow = 1\n[universe]\ntickers = []\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column 1") && error.contains("unknown field `window`"), "{error}");
        assert!(error.ends_with("; did you mean `windows`?"), "{error}");
        let read =
            |key: &str| read(&format!("windows = []\n[universe]\ntickers = []\n[pacing]\n{key} = 1\n"));
        let error = read("rat").unwrap_err().to_string();
        assert!(error.contains("unknown field `rat`") && error.ends_with("did you mean `rate`?"), "{error}");
        let error = read("colour").unwrap_err().to_string();
        assert!(error.contains("unknown field `colour`") && !error.contains("did you mean"), "{error}");
    }

    #[test]
    fn no_value_is_repeated_it_may_be_a_key() {
        for (text, place) in [
            ("windows = []\napi_key = \"hush-hush\"\n", "line 2, column 1"),
            ("windows = []\nkey = hush-hush\n", "line 2, column 7"),
            ("adjusted = \"hush-hush\"\n", "line 1, column 12"),
            ("windows = \"hush\\\", expected hush-hush\"\n", "line 1, column 11"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(place) && !error.contains("hush"), "{error}");
        }
        let error = read("api_key = \"hush-hush\"\n").unwrap_err().to_string();
        assert!(error.contains("MASSIVE_API_KEY"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said_in_a_few_words() {
        let long = format!("windows = [{}\n{} = 1\n", "\"2024\", ".repeat(10_000), "x".repeat(10_000));
        let error = read(&long).unwrap_err().to_string();
        assert!(error.len() < 500, "{error}");
        let error = Spec::read(b"windows = []\n# \xc4\n").unwrap_err().to_string();
        assert_eq!(error, "line 2, column 3: the file is not UTF-8 text");
    }

    #[test]
    fn one_universe() {
        for keys in ["", "tickers = []\ntickers_file = \"x\"\n", "tickers = []\nlist = \"us-stocks\"\n"] {
            let error = read(&format!("windows = []\n[universe]\n{keys}")).unwrap_err().to_string();
            assert_eq!(error, "line 2: universe: exactly one of tickers, tickers_file and list is needed");
        }
    }

    #[test]
    fn a_list_is_narrowed_by_keys_of_its_own() {
        let universe =
            |keys: &str| read(&format!("windows = []\n[universe]\n{keys}\n")).map(|spec| spec.universe);
        let all = universe("list = \"us-stocks\"").unwrap();
        assert_eq!((all.list, all.types, all.as_of), (Some(UniverseList::UsStocks), None, None));
        let some = "list = \"us-stocks\"\ntypes = [\"CS\", \"ADRC\"]\nexchanges = [\"XNAS\"]\nas_of = ";
        for day in ["2016-12-31", "\"2016-12-31\""] {
            let found = universe(&format!("{some}{day}")).unwrap();
            assert_eq!(found.types.unwrap(), ["CS", "ADRC"]);
            assert_eq!(found.as_of.unwrap(), jiff::civil::date(2016, 12, 31), "{day}");
        }
        for (keys, wrong) in [
            ("list = \"us-stocks\"\ntypes = []", "line 4: universe.types: it is empty"),
            ("list = \"us-stocks\"\ntypes = [\"cs\"]", "line 4: universe.types: a type is"),
            ("list = \"us-stocks\"\nexchanges = [\"NASDAQ\"]", "line 4: universe.exchanges: an exchange is"),
            ("list = \"us-stocks\"\nas_of = \"1066-10-14\"", "line 4: universe.as_of: it is not between"),
            ("list = \"us-stocks\"\nas_of = \"yesterday\"", "line 4, column 9: a day is needed"),
            ("list = \"us-stocks\"\nas_of = 2016-12-31T10:00:00", "line 4, column 9: a day is needed"),
            ("list = \"all\"", "line 3, column 8: unknown variant"),
            ("tickers = [\"A\"]\ntypes = [\"CS\"]", "line 4: universe.types: it goes with list"),
            ("tickers = [\"A\"]\nas_of = 2016-12-31", "line 4: universe.as_of: it goes with list"),
        ] {
            let error = universe(keys).unwrap_err().to_string();
            assert!(error.starts_with(wrong), "{keys}: {error}");
        }
    }
}
