//! Tasks as a table: `ticker,from,to`, such as `grab verify --missing` writes.

use std::collections::HashSet;

use thiserror::Error;

use super::windows::read_window;
use crate::{Symbol, Window, excerpt};

/// How many malformed rows one message names.
const NAMED: usize = 10;

/// How much of a row is shown, in characters.
const SHOWN: usize = 60;

/// The columns. A header with these names defines their order.
const HEADER: [&str; 3] = ["ticker", "from", "to"];

/// Why there is no list of tasks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TasksFileError {
    /// Nothing but blank lines and comments: not even the header of a table without rows.
    #[error("there is no task in it: rows of ticker,from,to are expected")]
    Empty,
    /// Some rows are not tasks. Each is listed with its line and the reason.
    #[error("{}", list(.0))]
    Malformed(Vec<(u64, String)>),
    /// Bytes that are not text.
    #[error("line {line}: the file is not UTF-8 text")]
    NotText {
        /// Where, counted from 1.
        line: u64,
    },
}

fn list(malformed: &[(u64, String)]) -> String {
    let mut lines: Vec<_> =
        malformed.iter().take(NAMED).map(|(line, reason)| format!("line {line}: {reason}")).collect();
    if malformed.len() > NAMED {
        lines.push(format!("and {} more", malformed.len() - NAMED));
    }
    lines.join("\n")
}

/// Reads rows of `ticker,from,to`, each end a day (or a month, a year, as in windows) and inclusive.
///
/// A header, which may have the columns in another order, blank lines, `#` comments, quotes around a field, a byte
/// order mark, CRLF and repeats are fine; the order stays. A header without rows gives no task and no error: nothing is
/// missing.
///
/// # Errors
/// Lists every row that is not a task, with its line.
pub fn read_tasks_file(bytes: &[u8]) -> Result<Vec<(Symbol, Window)>, TasksFileError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        TasksFileError::NotText { line: 1 + valid.split(|byte| *byte == b'\n').skip(1).count() as u64 }
    })?;
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines().map(str::trim));
    let mut rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).peekable();
    rows.peek().ok_or(TasksFileError::Empty)?;
    let columns = rows.peek().and_then(|(_, row)| columns(row));
    let rows = rows.skip(usize::from(columns.is_some()));
    let columns = columns.unwrap_or([0, 1, 2]);
    let (mut tasks, mut malformed, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (line, row) in rows {
        match read_task(row, columns) {
            Ok(task) if seen.insert(task.clone()) => tasks.push(task),
            Ok(_) => {}
            Err(reason) => malformed.push((line, reason)),
        }
    }
    if malformed.is_empty() { Ok(tasks) } else { Err(TasksFileError::Malformed(malformed)) }
}

/// A field without the quotes around it. No field of a task has a comma or a quote inside.
fn bare(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(field)
}

/// The indices of ticker, from and to, if a row is a header.
fn columns(row: &str) -> Option<[usize; 3]> {
    let names: Vec<_> = row.split(',').map(|field| bare(field).to_ascii_lowercase()).collect();
    let place = |column| names.iter().position(|name| name == column);
    let [ticker, from, to] = HEADER.map(place);
    Some([ticker?, from?, to?]).filter(|_| names.len() == HEADER.len())
}

fn read_task(row: &str, columns: [usize; 3]) -> Result<(Symbol, Window), String> {
    let fields: Vec<_> = row.split(',').map(bare).collect();
    let field = |place| fields.get(place).copied().filter(|_| fields.len() == HEADER.len());
    let [Some(ticker), Some(from), Some(to)] = columns.map(field) else {
        return Err(format!("{:?} is not a row of ticker,from,to", excerpt(row, SHOWN)));
    };
    let symbol = excerpt(ticker, SHOWN).parse::<Symbol>().map_err(|error| error.to_string())?;
    let window = read_window(&format!("{from}..{to}")).map_err(|error| error.to_string())?;
    Ok((symbol, window))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<String> {
        let tasks = read_tasks_file(text.as_bytes()).unwrap();
        tasks.iter().map(|(symbol, window)| format!("{symbol} {window}")).collect()
    }

    #[test]
    fn rows_with_and_without_a_header_however_they_were_saved() {
        let rows = ["NA 2024-01-02..2024-01-31", "KIMpL 2024-02-05..2024-02-05"];
        assert_eq!(read("ticker,from,to\nNA,2024-01-02,2024-01-31\nKIMpL,2024-02-05,2024-02-05\n"), rows);
        let other = "\u{feff}# of Monday\r\n\r\n\"Ticker\",\"From\",\"To\"\r\n\"NA\", 2024-01-02 ,2024-01-31\r\n\
                     KIMpL,2024-02-05,2024-02-05\r\nNA,2024-01-02,2024-01-31";
        assert_eq!(read(other), rows);
        assert_eq!(read("to,Ticker,\"from\"\n2024-01-31,NA,2024-01-02\n2024-02-05,KIMpL,2024-02-05\n"), rows);
        assert_eq!(read("NA,2024-01,2024-03"), ["NA 2024-01-01..2024-03-31"]);
        assert_eq!(read("TO,2024,2024"), ["TO 2024-01-01..2024-12-31"], "no header, but a symbol");
    }

    #[test]
    fn a_table_without_rows_says_that_nothing_is_missing_and_an_empty_file_says_nothing() {
        assert_eq!(read("ticker,from,to\n"), [""; 0]);
        assert_eq!(read_tasks_file(b"# none\n\n"), Err(TasksFileError::Empty));
        assert_eq!(read_tasks_file(b""), Err(TasksFileError::Empty));
    }

    #[test]
    fn what_is_malformed_is_named_with_its_line() {
        let error = read_tasks_file(
            b"A,2024-01-02,2024-01-31\n\nA,2024-02-02,2024-02-01\na/b,2024,2024\nA,1/2/2024,2024-01-03\n\
              ticker,from,to\nA,2024-01-02\nA,1980-01-02,1980-01-03\nA,2024-01-02,2024-01-03,1\n",
        );
        let Err(TasksFileError::Malformed(malformed)) = error else { panic!("{error:?}") };
        let said: Vec<_> = malformed.iter().map(|(line, reason)| (*line, reason.as_str())).collect();
        let begins = [
            (3, "the window \"2024-02-02..2024-02-01\" ends before it begins"),
            (4, "'/' at character 2 of \"a/b\""),
            (5, "\"1/2/2024..2024-01-03\" is not a window"),
            (6, "\"ticker\" does not begin with an upper-case letter"),
            (7, "\"A,2024-01-02\" is not a row of ticker,from,to"),
            (8, "the window \"1980-01-02..1980-01-03\" is not within"),
            (9, "\"A,2024-01-02,2024-01-03,1\" is not a row"),
        ];
        assert_eq!(said.len(), begins.len(), "{said:?}");
        for ((line, reason), (place, begin)) in said.iter().zip(begins) {
            assert!(*line == place && reason.starts_with(begin), "line {line}: {reason}");
        }
        assert_eq!(read_tasks_file(b"A,2024,2024\n\xff"), Err(TasksFileError::NotText { line: 2 }));
        let many = read_tasks_file("a\n".repeat(50).as_bytes()).unwrap_err().to_string();
        assert!(many.ends_with("and 40 more"), "{many}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_no_message_is_long(text in "[A-Z\",\n#0-9-]{0,80}|\\PC{0,300}") {
            if let Err(error) = read_tasks_file(text.as_bytes()) {
                prop_assert!(error.to_string().len() < 8_000);
            }
        }
    }
}
