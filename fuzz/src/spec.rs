//! A spec: TOML that a person wrote.

use grab_model::plan::{Spec, SpecError, problems, read_tickers_list, read_windows};

use super::check_error;

/// Checks a spec, and what is read from it.
pub fn check(bytes: &[u8]) {
    match Spec::read(bytes) {
        Ok(spec) => {
            let universe = &spec.universe;
            let ways = [universe.tickers.is_some(), universe.tickers_file.is_some(), universe.list.is_some()];
            assert_eq!(ways.into_iter().filter(|is_there| *is_there).count(), 1);
            let text = String::from_utf8_lossy(bytes);
            for problem in problems(&spec, text.trim_start_matches('\u{feff}')) {
                check_error(&problem.reason);
                // A table that is written inline or with dots has its line, too.
                assert!(problem.line.is_some_and(|line| line <= lines_of(bytes)), "{problem:?}");
            }
            if let Some(tickers) = &universe.tickers {
                let _ = read_tickers_list(&tickers.join(","));
            }
            let _ = read_windows(&spec.windows.join(","));
        }
        Err(error) => {
            check_error(&error.to_string());
            check_place(bytes, &error);
        }
    }
}

/// Checks that the position in an error exists.
fn check_place(bytes: &[u8], error: &SpecError) {
    let (line, column) = match error {
        SpecError::Toml { line, column, .. } | SpecError::NotText { line, column } => (line, column),
        SpecError::Value { line, .. } => {
            return assert!(line.is_some_and(|line| line <= lines_of(bytes)), "{error}");
        }
    };
    let found = bytes.split(|b| *b == b'\n').nth(line - 1).expect("the line is there");
    assert!((1..=found.len() + 2).contains(column), "column {column} of {}", found.len());
}

fn lines_of(bytes: &[u8]) -> usize {
    bytes.split(|b| *b == b'\n').count()
}
