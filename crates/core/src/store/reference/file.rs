//! The file of a table: its metadata, and how it is written and read.

use std::io;

use bytes::Bytes;
use parquet::file::metadata::KeyValue;

use super::{
    SCHEMA_VERSION,
    columns::{self, ColumnValues, DecodedTable, TableColumns},
};
use crate::{
    data_dir::DataDir,
    store::{
        EncodedFile, InvalidPartition, StoreError,
        atomic::{self, failed, read_regular, sweep_folder},
        encodings::TABLE,
        rewrite::{self, is_written_as},
    },
};

/// The metadata of a table's last sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMetadata {
    /// When it sent its requests, UTC ms.
    pub fetched_ms: i64,
    /// The host of the service.
    pub source: String,
}

/// Replaces a table. When this returns, it is on stable storage.
pub fn write(
    data_dir: &DataDir,
    table: &str,
    columns: TableColumns,
    values: &[ColumnValues],
    metadata: TableMetadata,
) -> Result<(), StoreError> {
    let bytes = encode(table, columns, values, metadata)?;
    let folder = data_dir.reference_folder();
    if folder.is_dir() {
        // A crashed process may have left a part of a table, and may have created the folder without a sync.
        sweep_folder(&folder)?;
        atomic::sync_folders(std::slice::from_ref(&folder), data_dir)?;
    }
    atomic::write(&data_dir.reference_table(table), &bytes)
}

fn encode(
    table: &str,
    columns: TableColumns,
    values: &[ColumnValues],
    metadata: TableMetadata,
) -> Result<Vec<u8>, StoreError> {
    let entry = |key: &str, value: String| KeyValue::new(format!("grab.{key}"), value);
    let metadata = vec![
        entry("table", table.to_owned()),
        entry("source", metadata.source),
        entry("fetched_ms", metadata.fetched_ms.to_string()),
        entry("version", env!("CARGO_PKG_VERSION").to_owned()),
        entry("schema_version", SCHEMA_VERSION.to_string()),
    ];
    columns::encode(columns, values, metadata).map_err(StoreError::Encode)
}

/// Returns the new file of a table. None if the existing one is encoded as it would be today.
pub(in crate::store) fn rewritten(
    data_dir: &DataDir,
    (table, columns): &(&str, TableColumns),
) -> Result<Option<EncodedFile>, StoreError> {
    let Some(file) = read(data_dir, table, Ok)? else { return Ok(None) };
    if is_written_as(file.clone(), &TABLE) {
        // A table that has changed since it was written is damaged, whatever its encoding.
        return read(data_dir, table, |bytes| decode(table, columns, bytes)).map(|_| None);
    }
    let path = data_dir.reference_table(table);
    let unreliable = |why| StoreError::Reference { path: path.clone(), why };
    let (content, metadata) = decode(table, columns, file).map_err(unreliable)?;
    let bytes = encode(table, columns, &content.values, metadata.clone())?;
    let (again, metadata_again) = decode(table, columns, bytes.clone().into()).map_err(unreliable)?;
    let is_same = (again.values, metadata_again) == (content.values, metadata);
    rewrite::checked(path.clone(), bytes, is_same).map(Some)
}

/// Reads a table and decodes it with `understand`. None if it does not exist.
pub fn read<T>(
    data_dir: &DataDir,
    table: &str,
    understand: impl FnOnce(Bytes) -> Result<T, InvalidPartition>,
) -> Result<Option<T>, StoreError> {
    let path = data_dir.reference_table(table);
    let bytes: Bytes = match read_regular(&path) {
        Ok(bytes) => bytes.into(),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput) => {
            let why = InvalidPartition::Corrupt("it is no file".to_owned());
            return Err(StoreError::Reference { path, why });
        }
        Err(error) => return Err(failed("read", &path)(error)),
    };
    understand(bytes).map(Some).map_err(|why| StoreError::Reference { path, why })
}

/// Decodes a file that has not changed since it was written: its columns and its metadata.
pub fn decode(
    table: &str,
    columns: TableColumns,
    bytes: Bytes,
) -> Result<(DecodedTable, TableMetadata), InvalidPartition> {
    let schema = |reason: String| InvalidPartition::Schema(reason);
    let file = columns::decode(columns, bytes)?;
    if !file.is_intact {
        return Err(InvalidPartition::Corrupt("it is not what was written: its digest differs".to_owned()));
    }
    let known = [("grab.table", table.to_owned()), ("grab.schema_version", SCHEMA_VERSION.to_string())];
    for (key, expected) in known {
        let found = file.metadata(key).unwrap_or_default();
        if found != expected {
            return Err(schema(format!("its {key} is {found:?}, not {expected:?}")));
        }
    }
    let fetched_ms = file
        .metadata("grab.fetched_ms")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| schema("it does not say when it was fetched".to_owned()))?;
    let source = file.metadata("grab.source").unwrap_or_default().to_owned();
    Ok((file, TableMetadata { fetched_ms, source }))
}

impl DecodedTable {
    /// Its rows, each read with `read_row`.
    pub fn read_rows<T>(&self, read_row: impl Fn(usize) -> Option<T>) -> Result<Vec<T>, InvalidPartition> {
        let schema = |reason: String| InvalidPartition::Schema(reason);
        let rows = self.row_count().ok_or_else(|| schema("its columns are not of one length".to_owned()))?;
        (0..rows).map(|row| read_row(row).ok_or_else(|| schema(format!("row {row} cannot be")))).collect()
    }
}
