//! What is there, by the tree alone: for when the manifest is not there to say it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{StoreError, atomic::failed, layout, merge};
use crate::model::{Month, Partition, Symbol};

/// What one partition says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub partition: Partition,
    /// The days that were asked for and answered to their end, as bits: bit 0 is the first of the month.
    pub whole_days: u32,
    /// Whether its bars are adjusted for splits.
    pub adjusted: bool,
    /// The host that they came from.
    pub source: String,
}

/// What is in the folder of a symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Partitions, and the sizes of their files.
    pub partitions: Vec<(Month, u64)>,
    /// What is there besides, and should not be.
    pub strays: Vec<PathBuf>,
}

/// Lists a symbol's folder to its last file.
///
/// # Errors
/// If a folder cannot be listed.
pub fn listing(data_dir: &Path, symbol: &Symbol) -> Result<Listing, StoreError> {
    let mut listing = Listing::default();
    let folder = layout::symbol_folder(data_dir, symbol);
    for year in names(&folder)? {
        let path = folder.join(&year);
        let months = names(&path)?;
        if months.is_empty() {
            listing.strays.extend(path.is_file().then_some(path.clone()));
        }
        for month in months {
            list_month(&mut listing, layout::month_of(&year, &month), path.join(month))?;
        }
    }
    Ok(listing)
}

fn list_month(listing: &mut Listing, month: Option<Month>, folder: PathBuf) -> Result<(), StoreError> {
    let files = names(&folder)?;
    if files.is_empty() && folder.is_file() {
        listing.strays.push(folder);
        return Ok(());
    }
    for name in files {
        let path = folder.join(&name);
        match month.filter(|_| name == layout::PARTITION) {
            Some(month) => {
                match fs::metadata(&path) {
                    Ok(metadata) => listing.partitions.push((month, metadata.len())),
                    // A link to nowhere.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => listing.strays.push(path),
                    Err(error) => return Err(failed("look at", &path)(error)),
                }
            }
            None => listing.strays.push(path),
        }
    }
    Ok(())
}

/// What is among the folders of the symbols and is none.
///
/// # Errors
/// If the folder cannot be listed.
pub fn strays(data_dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let folder = layout::bars_folder(data_dir);
    let mut strays = names(&folder)?;
    strays.retain(|name| layout::symbol_of(name).is_none());
    strays.sort_unstable();
    Ok(strays.into_iter().map(|name| folder.join(name)).collect())
}

/// The symbols that have a folder, in order. What has another name is not ours, and is passed over.
///
/// # Errors
/// If a folder cannot be listed.
pub fn symbols(data_dir: &Path) -> Result<Vec<Symbol>, StoreError> {
    let mut symbols: Vec<_> =
        names(&layout::bars_folder(data_dir))?.iter().filter_map(|name| layout::symbol_of(name)).collect();
    symbols.sort_unstable();
    Ok(symbols)
}

/// The months of a symbol that have a folder, in order.
///
/// # Errors
/// If a folder cannot be listed.
pub fn months(data_dir: &Path, symbol: &Symbol) -> Result<Vec<Month>, StoreError> {
    let folder = layout::symbol_folder(data_dir, symbol);
    let mut months = Vec::new();
    for year in names(&folder)? {
        let in_year = names(&folder.join(&year))?;
        months.extend(in_year.iter().filter_map(|month| layout::month_of(&year, month)));
    }
    months.sort_unstable();
    Ok(months)
}

/// Removes what a dead process has left beside a partition; answers the number of files.
///
/// # Errors
/// If the folder cannot be listed or a file cannot be removed.
pub fn sweep(data_dir: &Path, symbol: &Symbol, month: Month) -> Result<u64, StoreError> {
    merge::sweep_folder(&layout::month_folder(data_dir, symbol, month))
}

/// Reads a partition whole; nothing if the folder has none.
///
/// # Errors
/// If the file is damaged, belongs elsewhere, or cannot be opened.
pub fn examine(data_dir: &Path, symbol: &Symbol, month: Month) -> Result<Option<Found>, StoreError> {
    let loaded = merge::load(data_dir, symbol, month)?;
    Ok(loaded.map(|loaded| Found {
        partition: loaded.describe(symbol),
        whole_days: loaded.held.whole_days,
        adjusted: loaded.provenance.adjusted,
        source: loaded.provenance.source,
    }))
}

/// The names in a folder; none if it is not there, or is no folder.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
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
