//! Symbols as users give them: on the command line or in a file.

use std::collections::HashSet;

use thiserror::Error;

use crate::model::{Symbol, SymbolError};

/// How many malformed symbols one message names.
const NAMED: usize = 10;

/// Why there is no list of symbols.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TickersError {
    /// Nothing but blank lines and comments.
    #[error("there is no symbol in it")]
    Empty,
    /// Some entries are no symbols. Each comes with the number of its line or entry.
    #[error("{}", list(.0))]
    Malformed(Vec<(u64, SymbolError)>),
    /// A table without the column.
    #[error("line 1: a table needs a column \"ticker\" or \"symbol\", this one has {0:?}")]
    NoColumn(Vec<String>),
    /// A table that cannot be read.
    #[error("line {line}: {reason}")]
    Csv {
        /// Where, counted from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// Bytes that are no text.
    #[error("line {line}: the file is not UTF-8 text")]
    NotText {
        /// Where, counted from 1.
        line: u64,
    },
}

fn list(malformed: &[(u64, SymbolError)]) -> String {
    let mut lines: Vec<_> =
        malformed.iter().take(NAMED).map(|(line, error)| format!("line {line}: {error}")).collect();
    if malformed.len() > NAMED {
        lines.push(format!("and {} more", malformed.len() - NAMED));
    }
    lines.join("\n")
}

/// Reads `AAPL,MSFT`. Repeats are dropped, the order stays.
///
/// # Errors
/// If an entry is not a symbol, or there is none.
pub fn read_tickers_list(text: &str) -> Result<Vec<Symbol>, SymbolError> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let symbols: Vec<Symbol> = entries.map(str::parse).collect::<Result<_, _>>()?;
    if symbols.is_empty() { Err(SymbolError::Empty) } else { Ok(unique(symbols)) }
}

/// Reads a file of one symbol a line, or a CSV with a column `ticker` or `symbol`.
///
/// Blank lines, `#` comments, a byte order mark, CRLF and repeats are fine; the order stays.
///
/// # Errors
/// With the line of everything that is not a symbol.
pub fn read_tickers_file(bytes: &[u8]) -> Result<Vec<Symbol>, TickersError> {
    let text = std::str::from_utf8(bytes).map_err(|error| TickersError::NotText {
        line: bytes[..error.valid_up_to()].split(|b| *b == b'\n').count() as u64,
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let is_table = first.is_some_and(|line| line.contains(',') || is_column(line));
    let entries = if is_table { column(text)? } else { lines(text) };
    let (mut symbols, mut malformed) = (Vec::new(), Vec::new());
    for (line, entry) in entries {
        match entry.parse() {
            Ok(symbol) => symbols.push(symbol),
            Err(error) => malformed.push((line, error)),
        }
    }
    if !malformed.is_empty() {
        return Err(TickersError::Malformed(malformed));
    }
    if symbols.is_empty() { Err(TickersError::Empty) } else { Ok(unique(symbols)) }
}

fn is_column(name: &str) -> bool {
    let name = name.trim().trim_matches('"');
    name.eq_ignore_ascii_case("ticker") || name.eq_ignore_ascii_case("symbol")
}

fn lines(text: &str) -> Vec<(u64, String)> {
    let entry = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let numbered = (1..).zip(text.lines().map(entry));
    numbered.filter(|(_, entry)| !entry.is_empty()).collect()
}

fn column(text: &str) -> Result<Vec<(u64, String)>, TickersError> {
    let mut table = csv::ReaderBuilder::new().comment(Some(b'#')).flexible(true).from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| TickersError::Csv {
        line: error.position().map_or(1, csv::Position::line),
        reason: error.to_string(),
    };
    let header = table.headers().map_err(unreadable)?.clone();
    let no_column = || TickersError::NoColumn(header.iter().map(str::to_owned).collect());
    let column = header.iter().position(is_column).ok_or_else(no_column)?;
    let mut entries = Vec::new();
    for row in table.records() {
        let row = row.map_err(unreadable)?;
        let line = row.position().map_or(0, csv::Position::line);
        let entry = row.get(column).unwrap_or_default().trim();
        if row.iter().any(|field| !field.trim().is_empty()) {
            entries.push((line, entry.to_owned()));
        }
    }
    Ok(entries)
}

fn unique(symbols: Vec<Symbol>) -> Vec<Symbol> {
    let mut seen = HashSet::new();
    symbols.into_iter().filter(|symbol| seen.insert(symbol.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<String> {
        read_tickers_file(bytes).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_symbol_a_line_however_it_was_saved() {
        let file = "\u{feff}AAPL\r\n\r\n# the B share\r\n  BRK.B # here\r\nNA\nNAN\nON\nTRUE\nAAPL\nKIMpL";
        assert_eq!(read(file.as_bytes()), ["AAPL", "BRK.B", "NA", "NAN", "ON", "TRUE", "KIMpL"]);
    }

    #[test]
    fn a_table_with_a_column_of_either_name() {
        let table = "# from the exchange\nname,Symbol,sector\n\"Apple, Inc.\",AAPL,Tech\n\nNano X,NNOX,\n";
        assert_eq!(read(table.as_bytes()), ["AAPL", "NNOX"]);
        assert_eq!(read(b"ticker\nA\nAA\n"), ["A", "AA"]);
        assert_eq!(read(b"\"ticker\"\n\"A\"\n"), ["A"]);
    }

    #[test]
    fn what_is_malformed_is_named_with_its_line() {
        let error = read_tickers_file(b"AAPL\n../../etc/x\nMSFT\nA B\n").unwrap_err().to_string();
        assert!(error.contains("line 2: '/' at character 3"), "{error}");
        assert!(error.contains("line 4: ' ' at character 2"), "{error}");
        let error = read_tickers_file(b"symbol,name\nBRK/B,Berkshire\n").unwrap_err().to_string();
        assert!(error.contains("line 2: '/'"), "{error}");
        assert_eq!(read_tickers_file(b"AAPL\n\xff\xfe\n"), Err(TickersError::NotText { line: 2 }));
        assert_eq!(read_tickers_file(b"# nothing\n\n"), Err(TickersError::Empty));
        assert!(matches!(read_tickers_file(b"name,sector\nApple,Tech\n"), Err(TickersError::NoColumn(_))));
        let many = read_tickers_file("a/b\n".repeat(50).as_bytes()).unwrap_err().to_string();
        assert!(many.ends_with("and 40 more"), "{many}");
    }

    #[test]
    fn a_list_keeps_its_order_and_drops_repeats() {
        let list = read_tickers_list("MSFT, AAPL,MSFT,").unwrap();
        assert_eq!(list.iter().map(Symbol::as_str).collect::<Vec<_>>(), ["MSFT", "AAPL"]);
        assert_eq!(read_tickers_list(" ,"), Err(SymbolError::Empty));
        assert!(read_tickers_list("AAPL,a b").is_err());
    }
}
