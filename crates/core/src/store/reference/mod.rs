//! Tables of reference data, each in one file: tickers, splits and renames.
//!
//! A sync reads a table, [`merge()`]s the rows from the server, and writes it back. No row is ever removed: one that
//! the server has withdrawn is marked, with the time when it was last seen. A digest in each file shows whether it has
//! changed.

mod columns;
mod file;
mod merge;
mod rows;
mod tickers;

pub use merge::{RowConflict, TableMerge, merge};
pub use rows::TableRecord;
pub use tickers::{TickersTable, read_listings, read_tickers, read_universe, write_tickers};

use std::path::{Path, PathBuf};

use bytes::Bytes;
use grab_model::{Rename, Split, Symbol};
use jiff::civil::Date;

use columns::TableColumns;
pub(super) use file::rewritten;

use super::{InvalidPartition, StoreError};
use crate::data_dir::DataDir;

/// The version of the columns and of the metadata; it is in every file.
pub const SCHEMA_VERSION: u32 = 1;

/// A row of a table, and its history.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow<T> {
    /// The row as the server sends it.
    pub row: T,
    /// The first sync that had it, UTC ms.
    pub first_seen_ms: i64,
    /// The last sync that had it, UTC ms.
    pub last_seen_ms: i64,
    /// Whether it is applied.
    pub standing: RowStatus,
}

/// Whether a row is applied. The names are public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowStatus {
    /// It is applied.
    Current,
    /// Another row of the same symbol and day is applied, which contradicts it.
    Contradicted,
    /// The server does not send it any more.
    Withdrawn,
}

/// A table as it is on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceTable<T> {
    /// Its rows, by symbol and day.
    pub rows: Vec<TableRow<T>>,
    /// When the last sync requested them, UTC ms.
    pub fetched_ms: i64,
    /// The host of the service.
    pub source: String,
}

impl RowStatus {
    /// The name in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Contradicted => "contradicted",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Current, Self::Contradicted, Self::Withdrawn].into_iter().find(|one| one.as_str() == text)
    }
}

impl<T> ReferenceTable<T> {
    /// The rows that are applied.
    pub fn current(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().filter(|kept| kept.standing == RowStatus::Current).map(|kept| &kept.row)
    }
}

impl ReferenceTable<Split> {
    /// Days of a symbol for which the server has splits that contradict each other.
    pub fn contradicted<'a>(&'a self, ticker: &'a Symbol) -> impl Iterator<Item = Date> + 'a {
        let contradicted = self.rows.iter().filter(|kept| kept.standing == RowStatus::Contradicted);
        contradicted.map(|kept| &kept.row).filter(|row| row.ticker == *ticker).map(|row| row.execution_date)
    }
}

/// The splits of a data directory. None if no sync has fetched any yet.
///
/// # Errors
/// [`StoreError::Reference`] if the file has changed since it was written; else if it cannot be read.
pub fn read_splits(data_dir: &DataDir) -> Result<Option<ReferenceTable<Split>>, StoreError> {
    read(data_dir)
}

/// The renames of a data directory. None if no sync has fetched any yet.
///
/// # Errors
/// [`StoreError::Reference`] if the file has changed since it was written; else if it cannot be read.
pub fn read_renames(data_dir: &DataDir) -> Result<Option<ReferenceTable<Rename>>, StoreError> {
    read(data_dir)
}

/// Writes the splits of a data directory. When this returns, they are on stable storage.
///
/// # Errors
/// If they cannot be encoded, or the system refuses; the old file is then untouched.
pub fn write_splits(data_dir: &DataDir, table: &ReferenceTable<Split>) -> Result<(), StoreError> {
    write(data_dir, table)
}

/// Writes the renames of a data directory. When this returns, they are on stable storage.
///
/// # Errors
/// If they cannot be encoded, or the system refuses; the old file is then untouched.
pub fn write_renames(data_dir: &DataDir, table: &ReferenceTable<Rename>) -> Result<(), StoreError> {
    write(data_dir, table)
}

/// The tables, each with its columns.
pub(super) const TABLES: [(&str, TableColumns); 3] =
    [(Split::TABLE, Split::COLUMNS), (Rename::TABLE, Rename::COLUMNS), (tickers::TABLE, tickers::COLUMNS)];

/// Reads each table that exists. Returns the ones that are damaged, and why.
#[must_use]
pub fn inspect(data_dir: &DataDir) -> Vec<(PathBuf, InvalidPartition)> {
    let errors = [read_splits(data_dir).err(), read_renames(data_dir).err(), read_tickers(data_dir).err()];
    let flaws = std::iter::zip(places(data_dir), errors).map(|(path, error)| Some((path, flaw(error?))));
    flaws.flatten().collect()
}

fn flaw(error: StoreError) -> InvalidPartition {
    if let StoreError::Reference { why, .. } = error {
        return why;
    }
    let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    InvalidPartition::Corrupt(reason)
}

/// Whether a path is that of a table.
#[must_use]
pub fn is_table(data_dir: &DataDir, path: &Path) -> bool {
    places(data_dir).iter().any(|place| place == path)
}

/// The paths of all tables.
fn places(data_dir: &DataDir) -> [PathBuf; 3] {
    TABLES.map(|(table, _)| data_dir.reference_table(table))
}

fn write<T: TableRecord>(data_dir: &DataDir, table: &ReferenceTable<T>) -> Result<(), StoreError> {
    let metadata = file::TableMetadata { fetched_ms: table.fetched_ms, source: table.source.clone() };
    file::write(data_dir, T::TABLE, T::COLUMNS, &rows::all_columns(&table.rows), metadata)
}

fn read<T: TableRecord>(data_dir: &DataDir) -> Result<Option<ReferenceTable<T>>, StoreError> {
    file::read(data_dir, T::TABLE, decode)
}

fn decode<T: TableRecord>(bytes: Bytes) -> Result<ReferenceTable<T>, InvalidPartition> {
    let (file, metadata) = file::decode(T::TABLE, T::COLUMNS, bytes)?;
    let rows = file.read_rows(|row| rows::read_kept(&file, row))?;
    Ok(ReferenceTable { rows, fetched_ms: metadata.fetched_ms, source: metadata.source })
}

#[cfg(test)]
mod tests;
