//! Specs: what to download, checked in as a TOML file.

use std::path::PathBuf;

use serde::Deserialize;
use thiserror::Error;

/// A spec as it is written. `manifests/README.md` explains every key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What kind of bars. There is one kind.
    #[serde(default)]
    pub dataset: Dataset,
    /// The windows, as on the command line.
    pub windows: Vec<String>,
    /// Whether split-adjusted bars are asked for.
    pub adjusted: Option<bool>,
    /// Which symbols.
    pub universe: Universe,
    /// How fast.
    #[serde(default)]
    pub pacing: Pacing,
}

/// What kind of bars: the folder that they are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Dataset {
    /// Bars of one minute.
    #[default]
    #[serde(rename = "bars_1m")]
    Minutes,
}

/// Which symbols: exactly one of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Universe {
    /// The symbols themselves.
    pub tickers: Option<Vec<String>>,
    /// A file of symbols; a relative path begins at the spec's folder.
    pub tickers_file: Option<PathBuf>,
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

/// Why a spec cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Not TOML, a key that is unknown or missing, a value of another type. The text names line and column.
    #[error("{0}")]
    Toml(String),
    /// Both keys of the universe, or none.
    #[error("[universe] needs either tickers or tickers_file")]
    Universe,
}

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    /// With line and column of what is wrong.
    pub fn read(text: &str) -> Result<Self, SpecError> {
        let spec: Self = toml::from_str(text).map_err(|error| SpecError::Toml(error.to_string()))?;
        if spec.universe.tickers.is_some() == spec.universe.tickers_file.is_some() {
            return Err(SpecError::Universe);
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_spec() {
        let spec = Spec::read(
            "windows = [\"2023\", \"2024\"]\nadjusted = false\n[universe]\ntickers = [\"AAPL\"]\n[pacing]\nrate = \"5/min\"\n",
        );
        let spec = spec.unwrap();
        assert_eq!(spec.windows, ["2023", "2024"]);
        assert_eq!(spec.pacing.rate.as_deref(), Some("5/min"));
    }

    #[test]
    fn unknown_keys_are_named_with_line_and_column() {
        let error =
            Spec::read("windows = []\nwindow = 1\n[universe]\ntickers = []\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column 1") && error.contains("unknown field `window`"), "{error}");
    }

    #[test]
    fn one_universe() {
        assert_eq!(Spec::read("windows = []\n[universe]\n"), Err(SpecError::Universe));
        let both = "windows = []\n[universe]\ntickers = []\ntickers_file = \"x\"\n";
        assert_eq!(Spec::read(both), Err(SpecError::Universe));
    }
}
