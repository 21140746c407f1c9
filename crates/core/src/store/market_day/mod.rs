//! The days of the whole market, one Parquet file for each: an independent witness of which symbols traded.

mod file;

pub(super) use file::read_content;
pub use file::{SCHEMA_VERSION, each_volume, read};

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use grab_model::DayBar;
use jiff::civil::Date;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    StoreError,
    atomic::{self, failed},
    reference,
};
use crate::data_dir::{self, DataDir};

/// One day of the market that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewMarketDay<'a> {
    /// The session.
    pub date: Date,
    /// One bar for each symbol, by symbol.
    pub bars: &'a [DayBar],
    /// The host that they came from.
    pub source: &'a str,
    /// When they were fetched, UTC ms.
    pub fetched_ms: i64,
}

/// A file on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its size.
    pub bytes: u64,
    /// The XXH3-64 of all of it.
    pub xxh3: u64,
}

/// The files in the tree of reference data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketDayListing {
    /// Days, and the sizes of their files.
    pub days: Vec<(Date, u64)>,
    /// Other files and folders, which should not be there.
    pub strays: Vec<PathBuf>,
}

/// Writes a day to its path. When this returns, the file is on stable storage.
///
/// # Errors
/// If it cannot be encoded, or the system refuses; the old file is then untouched.
pub fn write(data_dir: &DataDir, day: &NewMarketDay<'_>) -> Result<WrittenFile, StoreError> {
    let bytes = file::encode(day).map_err(StoreError::Encode)?;
    let path = data_dir.market_day(day.date);
    if let Some(folder) = path.parent().filter(|folder| folder.is_dir()) {
        // A crashed process may have created the folder without a sync.
        atomic::sync_folders(&[folder.to_owned()], data_dir)?;
    }
    atomic::write(&path, &bytes)?;
    Ok(WrittenFile { bytes: bytes.len() as u64, xxh3: xxh3_64(&bytes) })
}

/// Lists the tree of reference data, days in order. The tables in it are for [`reference::inspect`].
///
/// # Errors
/// If a folder cannot be listed.
pub fn listing(data_dir: &DataDir) -> Result<MarketDayListing, StoreError> {
    let mut listing = MarketDayListing::default();
    let market = data_dir.market_folder();
    for path in below(&data_dir.reference_folder())? {
        let is_known = path == market && path.is_dir() || reference::is_table(data_dir, &path);
        if !is_known {
            listing.strays.push(path);
        }
    }
    for folder in below(&market)? {
        let day = folder.file_name().and_then(|name| data_dir::day_of(name.to_str()?));
        if day.is_none() || !folder.is_dir() {
            listing.strays.push(folder);
            continue;
        }
        for path in below(&folder)? {
            match day.filter(|day| path == data_dir.market_day(*day)) {
                Some(day) => {
                    let size = fs::metadata(&path).map_err(failed("look at", &path))?.len();
                    listing.days.push((day, size));
                }
                None => listing.strays.push(path),
            }
        }
    }
    listing.days.sort_unstable();
    listing.strays.sort_unstable();
    Ok(listing)
}

/// Removes unfinished files of crashed processes. Returns their number.
///
/// # Errors
/// If a folder cannot be listed or a file cannot be removed.
pub fn sweep(data_dir: &DataDir) -> Result<u64, StoreError> {
    let folders = below(&data_dir.market_folder())?;
    folders.iter().filter(|folder| folder.is_dir()).map(|folder| atomic::sweep_folder(folder)).sum()
}

/// The entries of a folder. Empty if it does not exist, or is not a folder.
fn below(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(failed("list", folder))?.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(failed("list", folder)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        file::tests::{DAY, bars},
        *,
    };

    #[test]
    fn the_tree_is_listed_and_what_does_not_belong_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(listing(&DataDir::new(dir.path())).unwrap(), MarketDayListing::default());
        let bars = bars();
        let day = NewMarketDay { date: DAY, bars: &bars, source: "localhost", fetched_ms: 7 };
        let written = write(&DataDir::new(dir.path()), &day).unwrap();
        let place = DataDir::new(dir.path()).market_day(DAY);
        let bytes = fs::read(&place).unwrap();
        assert_eq!(written, WrittenFile { bytes: bytes.len() as u64, xxh3: xxh3_64(&bytes) });
        let unfinished = place.with_file_name(".bars-x.tmp");
        let market = DataDir::new(dir.path()).market_folder();
        let strays = [market.join("README"), market.join("date=2024-13-01"), unfinished.clone()];
        fs::write(&strays[0], "").unwrap();
        fs::create_dir(&strays[1]).unwrap();
        fs::write(&unfinished, "").unwrap();
        let listed = listing(&DataDir::new(dir.path())).unwrap();
        assert_eq!(listed.days, [(DAY, written.bytes)]);
        assert_eq!(listed.strays.len(), 3);
        assert!(strays.iter().all(|stray| listed.strays.contains(stray)), "{listed:?}");
        assert_eq!(sweep(&DataDir::new(dir.path())).unwrap(), 1);
        assert!(place.exists() && !unfinished.exists());
    }
}
