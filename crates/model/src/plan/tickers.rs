//! Symbols as users give them: on the command line or in a file.

use std::{collections::HashSet, io::Read};

use thiserror::Error;

use crate::{Symbol, SymbolError, excerpt};

/// How many malformed symbols one message names.
const NAMED: usize = 10;

/// How much of a table's header is shown, in characters.
const HEADER: usize = 120;

/// A row after the last one. If a quote is never closed, the CSV reader takes all symbols up to the end of the file for
/// one text: then, and only then, this row is not seen.
const END: &[u8] = b"\n.";

const OPEN_QUOTE: &str = "a quote is opened here and never closed";

/// Why there is no list of symbols.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TickersError {
    /// Nothing but blank lines and comments.
    #[error("there is no symbol in it")]
    Empty,
    /// Some entries are not symbols. Each is listed with the number of its line or entry.
    #[error("{}", list(.0))]
    Malformed(Vec<(u64, SymbolError)>),
    /// A table without the column.
    #[error("line {line}: a table needs a column \"ticker\" or \"symbol\", this one has {header:?}")]
    NoColumn {
        /// Where, counted from 1.
        line: u64,
        /// The beginning of its first line.
        header: String,
    },
    /// A table as spreadsheets save it where the decimal separator is a comma.
    #[error(
        "line {line}: the columns of a table are separated by commas, not by {separator:?}: save it as CSV"
    )]
    Separator {
        /// Where, counted from 1.
        line: u64,
        /// What separates them.
        separator: char,
    },
    /// A table that cannot be read.
    #[error("line {line}: {reason}")]
    Csv {
        /// Where, counted from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// Bytes that are not text.
    #[error("line {line}, byte {byte}: the file is not UTF-8 text")]
    NotText {
        /// Where, counted from 1.
        line: u64,
        /// Which byte of the line, counted from 1.
        byte: usize,
    },
    /// UTF-16, which Windows calls Unicode text.
    #[error("line 1: the file is UTF-16: save it as UTF-8")]
    Utf16,
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
/// Lists every entry that is not a symbol, with its line.
pub fn read_tickers_file(bytes: &[u8]) -> Result<Vec<Symbol>, TickersError> {
    let text = std::str::from_utf8(bytes).map_err(|error| not_text(&bytes[..error.valid_up_to()], bytes))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some((line, start)) = first(text) else { return Err(TickersError::Empty) };
    let header = text[start..].lines().next().unwrap_or_default().trim();
    let entries = if header.contains(',') || is_column(header) {
        column(&text[start..], line, header)?
    } else {
        refuse_separators(line, header)?;
        lines(text)
    };
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

fn not_text(valid: &[u8], bytes: &[u8]) -> TickersError {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return TickersError::Utf16;
    }
    let lines = valid.split(|b| *b == b'\n');
    let (line, last) = (1..).zip(lines).last().unwrap_or((1, &[]));
    TickersError::NotText { line, byte: last.len() + 1 }
}

/// Number and byte offset of the first line that is not blank or a comment.
fn first(text: &str) -> Option<(u64, usize)> {
    let mut start = 0;
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        if !matches!(content.trim().chars().next(), None | Some('#')) {
            return Some((line, start));
        }
        start += content.len();
    }
    None
}

/// A list never has these separators; the header of another program's table does.
fn refuse_separators(line: u64, first: &str) -> Result<(), TickersError> {
    let list = first.split('#').next().unwrap_or_default().trim();
    match list.chars().find(|c| matches!(c, ';' | '\t' | '|')) {
        Some(separator) => Err(TickersError::Separator { line, separator }),
        None => Ok(()),
    }
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

/// The symbols of a table whose header is in `line` of the file.
fn column(text: &str, line: u64, header: &str) -> Result<Vec<(u64, String)>, TickersError> {
    let ended = text.as_bytes().chain(END);
    let mut table = csv::ReaderBuilder::new().comment(Some(b'#')).flexible(true).from_reader(ended);
    let unreadable = |error: csv::Error| TickersError::Csv {
        line: line - 1 + error.position().map_or(1, csv::Position::line),
        reason: excerpt(&error.to_string(), HEADER),
    };
    let column = table.headers().map_err(unreadable)?.iter().position(is_column);
    let no_column = || match refuse_separators(line, header) {
        Err(separator) => separator,
        Ok(()) => TickersError::NoColumn { line, header: excerpt(header, HEADER) },
    };
    let column = column.ok_or_else(no_column)?;
    let (mut entries, mut last, mut is_end) = (Vec::new(), line, false);
    for row in table.records() {
        let row = row.map_err(unreadable)?;
        last = line - 1 + row.position().map_or(1, |before| begins_at(text, before));
        is_end = row.iter().eq(["."]);
        let entry = row.get(column).unwrap_or_default().trim();
        if row.iter().any(|field| !field.trim().is_empty()) {
            entries.push((last, entry.to_owned()));
        }
    }
    if !is_end {
        return Err(TickersError::Csv { line: last, reason: OPEN_QUOTE.to_owned() });
    }
    entries.pop();
    Ok(entries)
}

/// The line in which a row begins. The reader's own position is before the blank lines and comments above the row.
fn begins_at(text: &str, before: &csv::Position) -> u64 {
    let start = usize::try_from(before.byte()).unwrap_or(usize::MAX);
    let above = text.get(start..).unwrap_or_default();
    let mut rest = above.trim_start_matches(['\r', '\n']);
    while rest.starts_with('#') {
        rest = rest.find('\n').map_or("", |end| rest[end..].trim_start_matches(['\r', '\n']));
    }
    let passed = &above[..above.len() - rest.len()];
    before.line() + passed.matches('\n').count() as u64
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
        assert_eq!(read_tickers_file(b"AAPL\n\xff\xfe\n"), Err(TickersError::NotText { line: 2, byte: 1 }));
        assert_eq!(read_tickers_file(b"# nothing\n\n"), Err(TickersError::Empty));
        assert!(matches!(
            read_tickers_file(b"name,sector\nApple,Tech\n"),
            Err(TickersError::NoColumn { .. })
        ));
        let many = read_tickers_file("a/b\n".repeat(50).as_bytes()).unwrap_err().to_string();
        assert!(many.ends_with("and 40 more"), "{many}");
    }

    #[test]
    fn a_row_is_named_with_its_own_line_whatever_is_above_it() {
        let table = " # c\n\nname,ticker\r\n\n# no\n\nx,A/B\n\"two\nlines\",C/D\n\n\"\",E/F\r\n\r\nz,G/H";
        let Err(TickersError::Malformed(malformed)) = read_tickers_file(table.as_bytes()) else { panic!() };
        let lines: Vec<_> = malformed.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [7, 8, 11, 13]);
    }

    #[test]
    fn a_quote_that_is_never_closed_swallows_no_symbol() {
        let error = read_tickers_file(b"ticker,name\nA,x\n# no\nAA,\"Alcoa\nMSFT,y\nGOOG,z\n").unwrap_err();
        assert_eq!(error.to_string(), "line 4: a quote is opened here and never closed");
        assert!(read_tickers_file(b"name,ticker\n\"x,A").unwrap_err().to_string().contains("never closed"));
        assert_eq!(read(b"ticker,size\nA,5\" disk\nB,\"a \"\"b\"\"\"\n"), ["A", "B"]);
        assert_eq!(read_tickers_file(b"ticker,name"), Err(TickersError::Empty));
        assert!(matches!(read_tickers_file(b"ticker\nA\n."), Err(TickersError::Malformed(_))));
    }

    #[test]
    fn tables_of_other_programs_are_told_what_is_wrong() {
        let refused = |bytes: &[u8]| read_tickers_file(bytes).unwrap_err().to_string();
        let error = refused(b"# mine\nticker;name\nAAPL;Apple\n");
        assert_eq!(
            error,
            "line 2: the columns of a table are separated by commas, not by ';': save it as CSV"
        );
        assert!(refused(b"symbol\tname\nAAPL\tApple\n").contains("not by '\\t'"));
        assert!(refused(b"ticker;name, full\nAAPL;Apple\n").contains("not by ';'"));
        assert!(refused(b"\xff\xfeA\0\n\0").contains("UTF-16"));
        assert!(refused(b"A\nBC\xc4\n").contains("line 2, byte 3"));
        let error = refused(format!("# mine\n{}", "a,".repeat(100_000)).as_bytes());
        assert!(error.starts_with("line 2: a table needs") && error.len() < 300, "{error}");
    }

    #[test]
    fn a_list_keeps_its_order_and_drops_repeats() {
        let list = read_tickers_list("MSFT, AAPL,MSFT,").unwrap();
        assert_eq!(list.iter().map(Symbol::as_str).collect::<Vec<_>>(), ["MSFT", "AAPL"]);
        assert_eq!(read_tickers_list(" ,"), Err(SymbolError::Empty));
        assert!(read_tickers_list("AAPL,a b").is_err());
    }
}
