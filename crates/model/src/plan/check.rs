//! Checks the values of a spec, beyond what its reader checks.

use super::{Spec, read_tickers_list, read_windows, toml_line::line_of};
use crate::Rate;

/// The most concurrent requests, as for `--concurrency`.
const MAX_CONCURRENCY: usize = 32;

/// The values of `--parquet`.
const PARQUET: [&str; 2] = ["compatible", "compact"];

/// A problem of a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecProblem {
    /// Where, counted from 1, if that is known.
    pub line: Option<usize>,
    /// The key, and what is wrong with it.
    pub reason: String,
}

/// Returns all problems of a spec's values. `text` is the text of the spec.
#[must_use]
pub fn problems(spec: &Spec, text: &str) -> Vec<SpecProblem> {
    let windows = spec.windows.join(",");
    let tickers = spec.universe.tickers.as_ref().map(|tickers| tickers.join(","));
    let rate = spec.pacing.rate.as_ref();
    let is_share = |share: f64| (0.0..=1.0).contains(&share);
    let no_concurrency = spec.pacing.concurrency.filter(|n| !(1..=MAX_CONCURRENCY).contains(n));
    let no_share = spec.verify.min_coverage.filter(|share| !is_share(*share));
    let no_parquet = spec.parquet.as_ref().filter(|kind| !PARQUET.contains(&kind.as_str()));
    let found = [
        ("windows", read_windows(&windows).err().map(|error| error.to_string())),
        ("parquet", no_parquet.map(|kind| format!("{kind:?} is not one of {}", PARQUET.join(", ")))),
        (
            "universe.tickers",
            tickers.and_then(|list| read_tickers_list(&list).err()).map(|error| error.to_string()),
        ),
        ("pacing.rate", rate.and_then(|rate| rate.parse::<Rate>().err()).map(|error| error.to_string())),
        (
            "pacing.concurrency",
            no_concurrency.map(|n| format!("{n} is not a number from 1 to {MAX_CONCURRENCY}")),
        ),
        ("verify.min_coverage", no_share.map(|share| format!("{share} is not a share from 0 to 1"))),
    ];
    let problem = |(key, reason): (&str, Option<String>)| {
        Some(SpecProblem { line: line_of(text, key), reason: format!("{key}: {}", reason?) })
    };
    found.into_iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_that_makes_no_sense_is_found_with_its_line() {
        let text = "windows = [\"2024\",\n  \"2010-2004\"]\nparquet = \"tiny\"\n[universe]\ntickers = [\"A/B\"]\n[pacing]\n\
                    rate = \"fast\"\nconcurrency = 33\n[verify]\nmin_coverage = 1.5\n";
        let spec = Spec::read(text.as_bytes()).unwrap();
        let found = problems(&spec, text);
        let lines: Vec<_> = found.iter().map(|problem| problem.line.unwrap()).collect();
        assert_eq!(lines, [1, 3, 5, 7, 8, 10], "{found:?}");
        let good = "windows = [\"2024\"]\n[universe]\nlist = \"us-stocks\"\n[pacing]\nrate = \"5/min\"\n";
        assert_eq!(problems(&Spec::read(good.as_bytes()).unwrap(), good), []);
    }
}
