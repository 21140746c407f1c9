//! Files that people write: specs, symbols, tasks, tables. Each is read whole, within a limit.

use std::{fs::File, io::Read, path::Path};

use grab_model::{
    Symbol, Window, format, plan,
    universe::{self, Annotation},
};

use crate::Error;

/// Bytes of the largest spec that is read: tens of thousands of symbols.
const LARGEST_SPEC: u64 = 1 << 20;

/// Bytes of the largest file of symbols or table that is read: all symbols that ever existed, with other columns.
const LARGEST_TABLE: u64 = 64 << 20;

/// Bytes of the largest report that is read: millions of findings.
const LARGEST_REPORT: u64 = 1 << 30;

/// Bytes of the largest tasks file that is read: millions of rows.
const LARGEST_TASKS_FILE: u64 = 256 << 20;

/// Reads the bytes of a spec.
///
/// # Errors
/// If they cannot be read, or are too many for a spec.
pub fn read_spec_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    read_whole(path, LARGEST_SPEC)
}

/// Reads a file of symbols.
///
/// # Errors
/// If it cannot be read, or has something that is not a symbol.
pub fn read_tickers(path: &Path) -> Result<Vec<Symbol>, Error> {
    plan::read_tickers_file(&read_whole(path, LARGEST_TABLE)?).map_err(|error| wrong(path, error))
}

/// Reads a file of tasks.
///
/// # Errors
/// If it cannot be read, or has something that is not a task.
pub fn read_tasks(path: &Path) -> Result<Vec<(Symbol, Window)>, Error> {
    plan::read_tasks_file(&read_whole(path, LARGEST_TASKS_FILE)?).map_err(|error| wrong(path, error))
}

/// Reads the bytes of a saved report.
///
/// # Errors
/// If they cannot be read, or are too many.
pub(crate) fn read_report(path: &Path) -> Result<Vec<u8>, Error> {
    read_whole(path, LARGEST_REPORT)
}

/// Reads a table of annotations for tickers.
///
/// # Errors
/// If it cannot be read, or is not valid.
pub fn read_annotations(path: &Path) -> Result<Vec<Annotation>, Error> {
    universe::read_annotations(&read_whole(path, LARGEST_TABLE)?).map_err(|error| wrong(path, error))
}

/// Reads a file within a limit: a wrong path, for example of a device, must not fill the memory.
fn read_whole(path: &Path, largest: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(largest + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 <= largest => Ok(bytes),
        Ok(_) => {
            let limit = format::bytes(largest);
            Err(wrong(path, format_args!("larger than {limit}: is it the right file?")))
        }
        Err(error) => Err(wrong(path, error)),
    }
}

/// The error about a file, which it names.
pub(crate) fn wrong(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::Config(format!("{}: {why}", path.display()))
}
