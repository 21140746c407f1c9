//! A tickers file: anything that a user exported, saved or pasted.

use std::{collections::HashSet, path::Component};

use grab_core::data_dir::DataDir;
use grab_model::{
    Month, Symbol, SymbolError,
    plan::{TickersError, read_tickers_file, read_tickers_list},
};

use super::check_error;

/// Checks a tickers file, and the same text as a list.
pub fn check(bytes: &[u8]) {
    match read_tickers_file(bytes) {
        Ok(symbols) => check_symbols(&symbols),
        Err(error) => {
            check_error(&error.to_string());
            check_places(bytes, &error);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read_tickers_list(text) {
        Ok(symbols) => check_symbols(&symbols),
        Err(error) => check_error(&error.to_string()),
    }
}

/// Checks that each is a symbol with its own files inside of the data directory.
fn check_symbols(symbols: &[Symbol]) {
    assert!(!symbols.is_empty());
    let data_dir = &DataDir::new("data");
    let month = Month::new(2024, 1).expect("a month");
    let mut paths = HashSet::new();
    for symbol in symbols {
        assert_eq!(symbol.as_str().parse().as_ref(), Ok(symbol), "{symbol} is a symbol");
        let path = data_dir.partition(symbol, month);
        let below = path.strip_prefix(data_dir).expect("inside of the data directory");
        let parts: Vec<_> = below.components().collect();
        assert_eq!(parts.len(), 5, "{}: one folder a symbol", path.display());
        for part in parts {
            let Component::Normal(name) = part else { panic!("{} climbs", path.display()) };
            check_name(name.to_str().expect("ASCII"));
        }
        assert!(paths.insert(path.to_str().expect("ASCII").to_ascii_lowercase()), "{symbol} collides");
    }
}

/// Checks a name that Linux, macOS and Windows must accept.
fn check_name(name: &str) {
    assert!(name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic()), "{name:?}");
    assert!(!name.contains(['<', '>', ':', '"', '/', '\\', '|', '?', '*']), "{name:?}");
    // Windows removes these from the end: two names would be one.
    assert!(!name.ends_with(['.', ' ']), "{name:?}");
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let digit = |stem: &str| stem.len() == 4 && stem.ends_with(|c: char| c.is_ascii_digit());
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (digit(&stem) && (stem.starts_with("COM") || stem.starts_with("LPT")));
    assert!(!device, "{name:?} is a device on Windows");
}

/// Checks that the line in an error exists.
fn check_places(bytes: &[u8], error: &TickersError) {
    let last = bytes.split(|b| *b == b'\n').count() as u64;
    match error {
        TickersError::Malformed(malformed) => {
            for (line, error) in malformed {
                assert!((1..=last).contains(line), "line {line} of {last}: {error}");
                check_error(&error.to_string());
            }
            check_lines(bytes, malformed);
        }
        TickersError::Csv { line, .. }
        | TickersError::NoColumn { line, .. }
        | TickersError::Separator { line, .. } => {
            assert!((1..=last).contains(line), "line {line} of {last}");
        }
        TickersError::NotText { line, .. } => {
            assert!((1..=last).contains(line), "line {line} of {last}");
            assert!(std::str::from_utf8(bytes).is_err());
        }
        TickersError::Utf16 => assert!(std::str::from_utf8(bytes).is_err()),
        TickersError::Empty => {}
    }
}

/// Checks that malformed text is in the named line. With quotes, a row can have several lines and its own texts.
fn check_lines(bytes: &[u8], malformed: &[(u64, SymbolError)]) {
    let lines: Vec<_> = bytes.split(|b| *b == b'\n').map(String::from_utf8_lossy).collect();
    if bytes.contains(&b'"') {
        return;
    }
    for (line, error) in malformed {
        let at = usize::try_from(*line).expect("few lines") - 1;
        if let SymbolError::BadCharacter { symbol, .. } | SymbolError::BadStart { symbol } = error {
            assert!(lines[at].contains(symbol.as_str()), "{symbol:?} is not in line {line}");
        }
    }
}
