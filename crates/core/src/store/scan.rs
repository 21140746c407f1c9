//! Scans the tree of the bars without the manifest, for when it is missing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use grab_model::{Bars, Month, Partition, Symbol};

use super::{
    StoreError,
    atomic::{self, failed},
    merge,
};
use crate::data_dir::{self, DataDir};

/// The metadata of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPartition {
    /// The file.
    pub partition: Partition,
    /// The days that were requested and received to their end, as bits: bit 0 is the first of the month.
    pub whole_days: u32,
    /// Whether its bars are adjusted for splits.
    pub adjusted: bool,
    /// The host from which they were fetched.
    pub source: String,
}

/// The content of a symbol's folder.
#[derive(Debug, Default)]
pub struct SymbolFolder {
    /// Partitions, and the sizes of their files, or why they are not valid.
    pub partitions: Vec<(Month, Result<u64, String>)>,
    /// Other files and folders, which should not be there.
    pub strays: Vec<PathBuf>,
    /// Folders that cannot be listed, and why.
    pub unlisted: Vec<(PathBuf, io::Error)>,
}

/// Lists a symbol's folder recursively. Folders that cannot be listed are part of the result.
#[must_use]
pub fn listing(data_dir: &DataDir, symbol: &Symbol) -> SymbolFolder {
    let mut listing = SymbolFolder::default();
    for year in listing.folders_in(data_dir.symbol_folder(symbol)) {
        for month in listing.folders_in(year.clone()) {
            listing.add_month(&year, month);
        }
    }
    listing
}

impl SymbolFolder {
    /// The entries of a folder that are folders; everything else, the path itself included, is a stray.
    fn folders_in(&mut self, folder: PathBuf) -> Vec<PathBuf> {
        let entries = self.entries(folder);
        let (folders, others) = entries.into_iter().partition(|entry| entry.is_dir());
        self.strays.extend::<Vec<_>>(others);
        folders
    }

    /// All entries of a folder, in order.
    fn entries(&mut self, folder: PathBuf) -> Vec<PathBuf> {
        let listed = fs::read_dir(&folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
        match listed {
            Ok(mut entries) => {
                entries.sort_unstable();
                return entries;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // If a folder above it is a file, this one does not exist.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                self.strays.extend(Some(folder).filter(|folder| folder.symlink_metadata().is_ok()));
            }
            Err(error) => self.unlisted.push((folder, error)),
        }
        Vec::new()
    }

    fn add_month(&mut self, year: &Path, month: PathBuf) {
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let is_month =
            name(year).zip(name(&month)).and_then(|(year, month)| data_dir::month_of(&year, &month));
        for path in self.entries(month) {
            match is_month.filter(|_| name(&path).as_deref() == Some(data_dir::PARTITION)) {
                Some(month) => self.partitions.push((month, size_of(&path))),
                None => self.strays.push(path),
            }
        }
    }
}

/// The size of a partition's file, or why it is not valid. None if there is no file.
#[must_use]
pub fn size_of_partition(data_dir: &DataDir, symbol: &Symbol, month: Month) -> Option<Result<u64, String>> {
    let path = data_dir.partition(symbol, month);
    let is_there = !fs::symlink_metadata(&path)
        .is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory));
    is_there.then(|| size_of(&path))
}

/// The size of a file that is readable as a partition.
fn size_of(path: &Path) -> Result<u64, String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(metadata) if metadata.is_dir() => Err("a folder".to_owned()),
        Ok(_) => Err("no file, but a device or a pipe".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("a link to nowhere".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the glob `**/*.parquet` finds a file below a path. Links are not followed.
#[must_use]
pub fn is_read_as_bars(path: &Path) -> bool {
    let is_parquet = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"));
    if is_parquet || path.is_symlink() {
        return is_parquet;
    }
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    below.map(|entry| entry.path()).any(|path| is_read_as_bars(&path))
}

/// Everything among the folders of the symbols that is not one; if the bars' folder itself is not a folder, that.
///
/// # Errors
/// If the folder cannot be listed.
pub fn foreign_files(data_dir: &DataDir) -> Result<Vec<PathBuf>, StoreError> {
    let folder = data_dir.bars_folder();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(vec![folder]),
        Err(error) => return Err(failed("list", &folder)(error)),
    };
    let mut strays = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed("list", &folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.and_then(data_dir::symbol_of).is_none() {
            strays.push(path);
        }
    }
    strays.sort_unstable();
    Ok(strays)
}

/// The symbols that have a folder, in order. Folders with other names are skipped.
///
/// # Errors
/// If a folder cannot be listed.
pub fn symbols(data_dir: &DataDir) -> Result<Vec<Symbol>, StoreError> {
    let mut symbols: Vec<_> =
        names(&data_dir.bars_folder())?.iter().filter_map(|name| data_dir::symbol_of(name)).collect();
    symbols.sort_unstable();
    Ok(symbols)
}

/// The months of a symbol that have a folder, in order.
///
/// # Errors
/// If a folder cannot be listed.
pub fn months(data_dir: &DataDir, symbol: &Symbol) -> Result<Vec<Month>, StoreError> {
    let folder = data_dir.symbol_folder(symbol);
    let mut months = Vec::new();
    for year in names(&folder)? {
        let in_year = names(&folder.join(&year))?;
        months.extend(in_year.iter().filter_map(|month| data_dir::month_of(&year, month)));
    }
    months.sort_unstable();
    Ok(months)
}

/// Removes unfinished files of crashed processes beside a partition. Returns their number.
///
/// # Errors
/// If the folder cannot be listed or a file cannot be removed.
pub fn sweep(data_dir: &DataDir, symbol: &Symbol, month: Month) -> Result<u64, StoreError> {
    atomic::sweep_folder(&data_dir.month_folder(symbol, month))
}

/// Reads a whole partition. None if the folder has none.
///
/// # Errors
/// If the file is damaged, belongs elsewhere, or cannot be opened.
pub fn examine(
    data_dir: &DataDir,
    symbol: &Symbol,
    month: Month,
) -> Result<Option<FoundPartition>, StoreError> {
    Ok(merge::load(data_dir, symbol, month)?.map(|loaded| found(symbol, loaded)))
}

/// Reads a whole partition from any path.
///
/// # Errors
/// As for [`examine`].
pub fn examine_file(
    path: &Path,
    symbol: &Symbol,
    month: Month,
) -> Result<Option<FoundPartition>, StoreError> {
    Ok(merge::load_file(path.to_owned(), symbol, month)?.map(|loaded| found(symbol, loaded)))
}

fn found(symbol: &Symbol, loaded: merge::LoadedPartition) -> FoundPartition {
    FoundPartition {
        partition: loaded.describe(symbol),
        whole_days: loaded.stored.whole_days,
        adjusted: loaded.provenance.adjusted,
        source: loaded.provenance.source,
    }
}

/// Reads the bars of a partition, which must be the recorded one.
///
/// # Errors
/// If it is another file or does not exist, if it is damaged or belongs elsewhere, or if it cannot be opened.
pub fn read_recorded(data_dir: &DataDir, recorded: &Partition, adjusted: bool) -> Result<Bars, StoreError> {
    let (symbol, month) = (&recorded.symbol, recorded.month);
    let path = || data_dir.partition(symbol, month);
    let Some(loaded) = merge::load(data_dir, symbol, month)? else {
        return Err(StoreError::Changed { path: path(), is_there: false });
    };
    if loaded.describe(symbol) != *recorded {
        return Err(StoreError::Changed { path: path(), is_there: true });
    }
    bars_of_kind(path(), loaded, adjusted)
}

/// Reads the bars of a partition that may be newer than its record. None if it does not exist.
///
/// # Errors
/// If the file is damaged, belongs elsewhere, or cannot be opened.
pub fn read_unrecorded(
    data_dir: &DataDir,
    symbol: &Symbol,
    month: Month,
    adjusted: bool,
) -> Result<Option<Bars>, StoreError> {
    let path = data_dir.partition(symbol, month);
    let loaded = merge::load(data_dir, symbol, month)?;
    loaded.map(|loaded| bars_of_kind(path, loaded, adjusted)).transpose()
}

fn bars_of_kind(path: PathBuf, loaded: merge::LoadedPartition, adjusted: bool) -> Result<Bars, StoreError> {
    if loaded.provenance.adjusted == adjusted {
        return Ok(loaded.stored.bars);
    }
    let (expected, found) = (adjusted.to_string(), loaded.provenance.adjusted.to_string());
    Err(StoreError::Misplaced { path, what: "adjusted", expected, found })
}

/// Removes unfinished files of crashed processes in a folder. Returns their number.
///
/// # Errors
/// If the folder cannot be listed or a file cannot be removed.
pub fn sweep_folder(folder: &Path) -> Result<u64, StoreError> {
    atomic::sweep_folder(folder)
}

/// The names in a folder. Empty if it does not exist, or is not a folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed("list", folder))?.file_name().into_string().ok());
    }
    Ok(names)
}
