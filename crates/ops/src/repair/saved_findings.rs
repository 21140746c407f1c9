//! The findings of a saved report of a verification.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use grab_core::verify::Finding;
use grab_model::{Month, Symbol};
use jiff::civil::Date;
use serde::Deserialize;

use crate::{Error, input_files};

/// The folders of a data directory that findings are about.
const TOP_FOLDERS: [&str; 2] = ["bars_1m", "reference"];

/// The fields that identify a finding in a saved report.
#[derive(Clone, Debug, Deserialize)]
pub struct SavedFinding {
    ticker: Option<String>,
    month: Option<String>,
    date: Option<String>,
    to: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct SavedReport {
    findings: Vec<SavedFinding>,
}

impl SavedFinding {
    /// Reads the findings of a file that `grab verify --json` has printed.
    ///
    /// # Errors
    /// If it cannot be read, or is no such report.
    pub fn read(path: &Path) -> Result<Vec<Self>, Error> {
        let bytes = input_files::read_report(path)?;
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        let saved: SavedReport = serde_json::from_slice(text).map_err(|error| {
            Error::Config(format!("{}: not a report of grab verify --json: {error}", path.display()))
        })?;
        Ok(saved.findings)
    }

    /// The part of a finding that this one names: the same path, and of sessions the named ones.
    pub(super) fn part_of(&self, finding: &Finding) -> Option<Finding> {
        let path = |path: &Option<PathBuf>| path.as_deref().map(below_data_dir);
        let has_place = self.month.is_some() || self.date.is_some();
        let is_same = self.ticker == finding.ticker.as_ref().map(ToString::to_string)
            && self.month == finding.month.map(|month| month.to_string())
            && self.date.is_some() == finding.date.is_some()
            && (has_place || path(&self.path) == path(&finding.path));
        let Some(date) = finding.date.filter(|_| is_same) else { return is_same.then(|| finding.clone()) };
        let named: Date = self.date.as_deref()?.parse().ok()?;
        let named_to = self.to.as_deref().map_or(Some(named), |to| to.parse().ok())?;
        let (from, to) = (date.max(named), finding.to.unwrap_or(date).min(named_to));
        (from <= to).then(|| Finding {
            date: Some(from),
            to: Some(to).filter(|to| *to != from),
            ..finding.clone()
        })
    }
}

/// The partitions that a saved report names: they are read again, as they may have been repaired since. Thin sessions
/// need their partition too.
pub(super) fn partitions(saved: &[SavedFinding]) -> BTreeSet<(Symbol, Month)> {
    let partition = |named: &SavedFinding| {
        let month = match (&named.month, &named.date) {
            (Some(month), _) => Month::parse(month)?,
            (None, date) => Month::of(date.as_deref()?.parse().ok()?),
        };
        Some((named.ticker.as_deref()?.parse().ok()?, month))
    };
    saved.iter().filter_map(partition).collect()
}

/// A path relative to the data directory, whose own path may be written in several ways.
fn below_data_dir(path: &Path) -> PathBuf {
    let is_top = |part: &Component<'_>| TOP_FOLDERS.iter().any(|top| part.as_os_str() == *top);
    let parts: Vec<_> = path.components().collect();
    let top = parts.iter().rposition(is_top).unwrap_or_default();
    parts.into_iter().skip(top).collect()
}
