//! Rewrites existing files: the same content, in today's encoding.
//!
//! No file counts as rewritten before it was read back.

use std::{
    io,
    path::{Path, PathBuf},
};

use ::parquet::{
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};
use bytes::Bytes;
use grab_model::Partition;
use jiff::civil::Date;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    EncodedFile, Encodings, StoreError,
    atomic::{self, failed, read_regular, sweep_folder},
    encodings::{self, TABLE},
    market_day, merge, parquet, reference,
};
use crate::data_dir::DataDir;

impl EncodedFile {
    /// Its final path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The XXH3-64 of all of it.
    #[must_use]
    pub fn xxh3(&self) -> u64 {
        xxh3_64(&self.bytes)
    }
}

/// Returns a partition's new file. None if the existing one is encoded as it would be today.
///
/// # Errors
/// If the file is not the recorded one, fails its own digest, or cannot be read or encoded.
pub fn partition(
    data_dir: &DataDir,
    recorded: &Partition,
    encodings: Encodings,
) -> Result<Option<EncodedFile>, StoreError> {
    let (symbol, month) = (&recorded.symbol, recorded.month);
    let path = data_dir.partition(symbol, month);
    let Some(loaded) = merge::load(data_dir, symbol, month)? else {
        return Err(StoreError::Changed { path, is_there: false });
    };
    if loaded.describe(symbol) != *recorded {
        return Err(StoreError::Changed { path, is_there: true });
    }
    let merge::LoadedPartition { stored, provenance, file } = loaded;
    if is_written_as(file, encodings.of_bars(provenance.finality)) {
        return Ok(None);
    }
    let bytes = parquet::encode(&stored.bars, &provenance, encodings).map_err(StoreError::Encode)?;
    let read = parquet::decode(bytes.clone().into()).map_err(StoreError::Encode)?;
    checked(path, bytes, read == (stored.bars, provenance)).map(Some)
}

/// Returns the new file of a day of the market, which is recorded with its size and XXH3. None if the existing one is
/// encoded as it would be today.
///
/// # Errors
/// As for [`partition`].
pub fn market_day(
    data_dir: &DataDir,
    date: Date,
    recorded: &market_day::WrittenFile,
) -> Result<Option<EncodedFile>, StoreError> {
    let path = data_dir.market_day(date);
    let Some(file) = read(&path)? else { return Err(StoreError::Changed { path, is_there: false }) };
    let found = market_day::WrittenFile { bytes: file.len() as u64, xxh3: xxh3_64(&file) };
    if found != *recorded {
        return Err(StoreError::Changed { path, is_there: true });
    }
    if is_written_as(file.clone(), &TABLE) {
        return Ok(None);
    }
    let unreliable = |why| StoreError::Reference { path: path.clone(), why };
    let content = market_day::read_content(date, file).map_err(unreliable)?;
    let bytes = content.encoded(date).map_err(StoreError::Encode)?;
    let again = market_day::read_content(date, bytes.clone().into()).map_err(unreliable)?;
    checked(path.clone(), bytes, again == content).map(Some)
}

/// Returns the new file of each existing table of reference data, or None if the existing one is encoded as it would be
/// today. A damaged table is an error of its own.
#[must_use]
pub fn tables(data_dir: &DataDir) -> Vec<Result<Option<EncodedFile>, StoreError>> {
    let is_there = |(table, _): &&(&str, _)| data_dir.reference_table(table).symlink_metadata().is_ok();
    reference::TABLES.iter().filter(is_there).map(|table| reference::rewritten(data_dir, table)).collect()
}

/// Cleans up after a process that crashed during a rewrite: removes unfinished files beside these paths, and makes the
/// names of the renamed ones durable.
///
/// # Errors
/// If a folder cannot be listed or a file cannot be removed.
pub fn sweep<'a>(places: impl IntoIterator<Item = &'a Path>) -> Result<(), StoreError> {
    let folders = places.into_iter().filter_map(Path::parent);
    folders.filter(|folder| folder.is_dir()).try_for_each(|folder| {
        sweep_folder(folder)?;
        atomic::sync_folder(folder)
    })
}

/// Cleans up after a crashed rewrite of the tables of reference data.
///
/// # Errors
/// As for [`sweep`].
pub fn sweep_tables(data_dir: &DataDir) -> Result<(), StoreError> {
    sweep(reference::TABLES.map(|(table, _)| data_dir.reference_table(table)).iter().map(PathBuf::as_path))
}

/// Reads the file at a path. None if it does not exist.
fn read(path: &Path) -> Result<Option<Bytes>, StoreError> {
    match read_regular(path) {
        Ok(file) => Ok(Some(file.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

pub(super) fn is_written_as(file: Bytes, properties: &WriterProperties) -> bool {
    SerializedFileReader::new(file).is_ok_and(|file| encodings::is_written_as(file.metadata(), properties))
}

/// Returns a new file, if its content is that of the old one.
pub(super) fn checked(path: PathBuf, bytes: Vec<u8>, is_same: bool) -> Result<EncodedFile, StoreError> {
    if is_same {
        return Ok(EncodedFile { path, bytes });
    }
    let differs = "what was encoded is not read back as it was".to_owned();
    Err(StoreError::Encode(ParquetError::General(differs)))
}
