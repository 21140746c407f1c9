//! A spec: TOML that a person wrote.

use grab::plan::{Spec, SpecError, read_tickers_list, read_windows};

use super::check_error;

/// Checks a spec, and what is read of it.
pub fn check(bytes: &[u8]) {
    match Spec::read(bytes) {
        Ok(spec) => {
            let universe = &spec.universe;
            assert!(universe.tickers.is_some() != universe.tickers_file.is_some());
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

/// The place that an error names is there.
fn check_place(bytes: &[u8], error: &SpecError) {
    let (SpecError::Toml { line, column, .. } | SpecError::NotText { line, column }) = error else { return };
    let found = bytes.split(|b| *b == b'\n').nth(line - 1).expect("the line is there");
    assert!((1..=found.len() + 2).contains(column), "column {column} of {}", found.len());
}
