//! Tables of what is known besides bars, each kept whole in one file: splits and renames.
//!
//! A sync reads a table, [`merge()`]s what the server has sent, and writes it back. Nothing is ever taken out of a table: a
//! row that the server has withdrawn says so, and says when it was there last. Each file proves itself by a digest.

mod columns;
mod merge;
mod rows;

pub use merge::{Contradiction, Merged, merge};
pub use rows::Row;

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::civil::Date;
use parquet::file::metadata::KeyValue;

use super::{
    StoreError, Unreadable,
    atomic::{self, failed},
    layout,
    merge::{read_regular, sweep_folder},
};
use crate::model::{Rename, Split, Symbol};

/// The version of the columns and of the metadata; it is in every file.
pub const SCHEMA_VERSION: u32 = 1;

/// A row of a table, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<T> {
    /// What the server says.
    pub row: T,
    /// The first sync that had it, UTC ms.
    pub first_seen_ms: i64,
    /// The last sync that had it, UTC ms.
    pub last_seen_ms: i64,
    /// Whether it is applied.
    pub standing: Standing,
}

/// Whether a row is applied. The names are public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Current,
    /// Another row of the same symbol and day is, which says something else.
    Contradicted,
    /// The server does not send it any more.
    Withdrawn,
}

/// A table as it is on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<T> {
    /// Its rows, by symbol and day.
    pub rows: Vec<Kept<T>>,
    /// When the last sync asked for them, UTC ms.
    pub fetched_ms: i64,
    /// The host that it asked.
    pub source: String,
}

impl Standing {
    /// The name as it stands in the file.
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

impl<T> Table<T> {
    /// The rows that are applied.
    pub fn current(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().filter(|kept| kept.standing == Standing::Current).map(|kept| &kept.row)
    }
}

impl Table<Split> {
    /// Days of a symbol on which the server has listed splits that contradict each other.
    pub fn contradicted<'a>(&'a self, ticker: &'a Symbol) -> impl Iterator<Item = Date> + 'a {
        let contradicted = self.rows.iter().filter(|kept| kept.standing == Standing::Contradicted);
        contradicted.map(|kept| &kept.row).filter(|row| row.ticker == *ticker).map(|row| row.execution_date)
    }
}

/// The splits of a data directory; none if no sync has brought any yet.
///
/// # Errors
/// [`StoreError::Reference`] if the file is not what was written; else if it cannot be read.
pub fn read_splits(data_dir: &Path) -> Result<Option<Table<Split>>, StoreError> {
    read(data_dir)
}

/// The renames of a data directory; none if no sync has brought any yet.
///
/// # Errors
/// [`StoreError::Reference`] if the file is not what was written; else if it cannot be read.
pub fn read_renames(data_dir: &Path) -> Result<Option<Table<Rename>>, StoreError> {
    read(data_dir)
}

/// Writes the splits of a data directory. When this returns, they are on stable storage.
///
/// # Errors
/// If they cannot be encoded, or the system refuses; what was there before is then untouched.
pub fn write_splits(data_dir: &Path, table: &Table<Split>) -> Result<(), StoreError> {
    write(data_dir, table)
}

/// Writes the renames of a data directory. When this returns, they are on stable storage.
///
/// # Errors
/// If they cannot be encoded, or the system refuses; what was there before is then untouched.
pub fn write_renames(data_dir: &Path, table: &Table<Rename>) -> Result<(), StoreError> {
    write(data_dir, table)
}

/// Reads each table that is there; answers which of them cannot be relied on, and why.
#[must_use]
pub fn inspect(data_dir: &Path) -> Vec<(PathBuf, Unreadable)> {
    let errors = [read_splits(data_dir).err(), read_renames(data_dir).err()];
    let flaws = std::iter::zip(places(data_dir), errors).map(|(path, error)| Some((path, flaw(error?))));
    flaws.flatten().collect()
}

fn flaw(error: StoreError) -> Unreadable {
    if let StoreError::Reference { why, .. } = error {
        return why;
    }
    let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    Unreadable::Corrupt(reason)
}

/// Whether a path is the place of a table.
#[must_use]
pub fn is_table(data_dir: &Path, path: &Path) -> bool {
    places(data_dir).iter().any(|place| place == path)
}

/// The places of all tables.
fn places(data_dir: &Path) -> [PathBuf; 2] {
    [Split::TABLE, Rename::TABLE].map(|table| layout::reference_table(data_dir, table))
}

fn write<T: Row>(data_dir: &Path, table: &Table<T>) -> Result<(), StoreError> {
    let entry = |key: &str, value: String| KeyValue::new(format!("grab.{key}"), value);
    let said = vec![
        entry("table", T::TABLE.to_owned()),
        entry("source", table.source.clone()),
        entry("fetched_ms", table.fetched_ms.to_string()),
        entry("version", env!("CARGO_PKG_VERSION").to_owned()),
        entry("schema_version", SCHEMA_VERSION.to_string()),
    ];
    let bytes =
        columns::encode(T::COLUMNS, &rows::all_columns(&table.rows), said).map_err(StoreError::Encode)?;
    let folder = layout::reference_folder(data_dir);
    if folder.is_dir() {
        // A process that died may have left a part of a table, and may have made the folder and no more.
        sweep_folder(&folder)?;
        atomic::secure_names(std::slice::from_ref(&folder), data_dir)?;
    }
    atomic::write(&layout::reference_table(data_dir, T::TABLE), &bytes)
}

fn read<T: Row>(data_dir: &Path) -> Result<Option<Table<T>>, StoreError> {
    let path = layout::reference_table(data_dir, T::TABLE);
    let file: Bytes = match read_regular(&path) {
        Ok(bytes) => bytes.into(),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput) => {
            let why = Unreadable::Corrupt("it is no file".to_owned());
            return Err(StoreError::Reference { path, why });
        }
        Err(error) => return Err(failed("read", &path)(error)),
    };
    decode(file).map(Some).map_err(|why| StoreError::Reference { path, why })
}

fn decode<T: Row>(file: Bytes) -> Result<Table<T>, Unreadable> {
    let schema = |reason: String| Unreadable::Schema(reason);
    let file = columns::decode(T::COLUMNS, file)?;
    if !file.is_intact {
        return Err(Unreadable::Corrupt("it is not what was written: its digest differs".to_owned()));
    }
    let known = [("grab.table", T::TABLE.to_owned()), ("grab.schema_version", SCHEMA_VERSION.to_string())];
    for (key, expected) in known {
        let found = file.said(key).unwrap_or_default();
        if found != expected {
            return Err(schema(format!("its {key} is {found:?}, not {expected:?}")));
        }
    }
    let rows = file.len().ok_or_else(|| schema("its columns are not of one length".to_owned()))?;
    let read_row = |row| rows::read_kept(&file, row).ok_or_else(|| schema(format!("row {row} cannot be")));
    Ok(Table {
        rows: (0..rows).map(read_row).collect::<Result<_, _>>()?,
        fetched_ms: file
            .said("grab.fetched_ms")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| schema("it does not say when it was fetched".to_owned()))?,
        source: file.said("grab.source").unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests;
