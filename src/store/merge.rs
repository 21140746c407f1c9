//! The one primitive that writes bars.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    StoreError,
    atomic::{self, failed},
    layout,
    parquet::{self, Provenance},
};
use crate::model::{Bars, Month, Partition, Symbol, Window, new_york};

/// The Parquet files of one data directory.
#[derive(Clone, Debug)]
pub struct Store {
    data_dir: PathBuf,
    adjusted: bool,
    source: String,
}

/// A partition's content in memory: handed back to the next merge, it saves reading the file again.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The month.
    pub month: Month,
    /// All bars of the file, ascending and unique.
    pub bars: Bars,
    /// When its first and its last bar were fetched, UTC ms.
    pub fetched_ms: (i64, i64),
}

impl Store {
    /// The store in `data_dir`, which holds bars of one kind, fetched from the host `source`.
    #[must_use]
    pub fn new(data_dir: PathBuf, adjusted: bool, source: String) -> Self {
        Self { data_dir, adjusted, source }
    }

    /// Adds bars, fetched at `fetched_ms`, to a partition: where both have a minute, the new bar wins.
    ///
    /// `held` is what the caller knows to be in the file; without it the file is read, if there is one. When this
    /// returns, the partition is on stable storage.
    ///
    /// # Errors
    /// If a bar is outside of the month, if the file that is there is damaged or belongs elsewhere, or if the
    /// system refuses. The file that was there is then untouched.
    pub fn merge(
        &self,
        symbol: &Symbol,
        month: Month,
        newer: Bars,
        fetched_ms: i64,
        held: Option<Held>,
    ) -> Result<(Partition, Held), StoreError> {
        check_month(month, &newer)?;
        let older = match held.filter(|held| held.month == month) {
            Some(held) => Some(held),
            None => self.read(symbol, month)?,
        };
        let merged = union(older, month, newer, fetched_ms);
        let bytes =
            parquet::encode(&merged.bars, &self.provenance(symbol, &merged)).map_err(StoreError::Encode)?;
        atomic::write(&layout::partition(&self.data_dir, symbol, month), &bytes)?;
        Ok((describe(symbol, &merged, &bytes), merged))
    }

    /// A partition's content, if there is one.
    ///
    /// # Errors
    /// If the file is damaged, belongs elsewhere, or cannot be opened.
    pub fn read(&self, symbol: &Symbol, month: Month) -> Result<Option<Held>, StoreError> {
        Ok(self.load(symbol, month)?.map(|(held, _)| held))
    }

    /// What a partition is on disk, if it is there and whole: for a manifest that may have missed its last write.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn inspect(&self, symbol: &Symbol, month: Month) -> Result<Option<Partition>, StoreError> {
        match self.load(symbol, month) {
            Ok(found) => Ok(found.map(|(held, file)| describe(symbol, &held, &file))),
            // Damage is not what a crash leaves. It is not covered up here: its row stays as it was.
            Err(StoreError::Damaged { .. } | StoreError::Misplaced { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn load(&self, symbol: &Symbol, month: Month) -> Result<Option<(Held, Bytes)>, StoreError> {
        let path = layout::partition(&self.data_dir, symbol, month);
        let file: Bytes = match fs::read(&path) {
            Ok(bytes) => bytes.into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let damaged = |source| StoreError::Damaged { path: path.clone(), source };
        let (bars, found) = parquet::decode(file.clone()).map_err(damaged)?;
        let held = Held { month, bars, fetched_ms: found.fetched_ms };
        let expected = self.provenance(symbol, &held);
        let facts = [
            ("ticker", expected.ticker, found.ticker),
            ("month", expected.month, found.month),
            ("adjusted", expected.adjusted.to_string(), found.adjusted.to_string()),
        ];
        match facts.into_iter().find(|(_, expected, found)| expected != found) {
            Some((what, expected, found)) => Err(StoreError::Misplaced { path, what, expected, found }),
            None => Ok(Some((held, file))),
        }
    }

    /// Removes what a crash may have left of writes to `symbol` in `window`; answers the number of files.
    ///
    /// # Errors
    /// If a folder cannot be listed or a file cannot be removed.
    pub fn sweep(&self, symbol: &Symbol, window: Window) -> Result<u64, StoreError> {
        let mut swept = 0;
        for month in window.months() {
            swept += sweep_folder(&layout::month_folder(&self.data_dir, symbol, month))?;
        }
        Ok(swept)
    }

    fn provenance(&self, symbol: &Symbol, held: &Held) -> Provenance {
        Provenance {
            ticker: symbol.to_string(),
            month: held.month.to_string(),
            adjusted: self.adjusted,
            source: self.source.clone(),
            fetched_ms: held.fetched_ms,
        }
    }
}

fn check_month(month: Month, bars: &Bars) -> Result<(), StoreError> {
    let (start, end) = (month.start_ms(), month.end_ms());
    let stray = bars.timestamps().iter().find(|t| !(start..end).contains(*t));
    stray.map_or(Ok(()), |timestamp| Err(StoreError::OutsideMonth { timestamp: *timestamp, month }))
}

fn union(older: Option<Held>, month: Month, newer: Bars, fetched_ms: i64) -> Held {
    match older {
        None => Held { month, bars: newer.into_unique(), fetched_ms: (fetched_ms, fetched_ms) },
        Some(older) => Held {
            month,
            bars: Bars::union(older.bars, newer),
            fetched_ms: (older.fetched_ms.0.min(fetched_ms), older.fetched_ms.1.max(fetched_ms)),
        },
    }
}

fn describe(symbol: &Symbol, held: &Held, file: &[u8]) -> Partition {
    let timestamps = held.bars.timestamps();
    Partition {
        symbol: symbol.clone(),
        month: held.month,
        bars: timestamps.len() as u64,
        first_ms: timestamps.first().copied().unwrap_or_default(),
        last_ms: timestamps.last().copied().unwrap_or_default(),
        bytes: file.len() as u64,
        xxh3: xxh3_64(file),
        bars_by_day: count_by_day(held.month, timestamps),
    }
}

/// Counts ascending timestamps by the New York day of the month in which they are.
fn count_by_day(month: Month, timestamps: &[i64]) -> [u16; 31] {
    let mut counts = [0; 31];
    let mut rest = timestamps;
    let days = std::iter::successors(Some(month.first_day()), |day| day.tomorrow().ok());
    for (count, day) in counts.iter_mut().zip(days.take_while(|day| *day <= month.last_day())) {
        let end = day.tomorrow().map_or(i64::MAX, new_york::day_start_ms);
        let bars = rest.partition_point(|t| *t < end);
        *count = u16::try_from(bars).unwrap_or(u16::MAX);
        rest = &rest[bars..];
    }
    counts
}

fn sweep_folder(folder: &Path) -> Result<u64, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        if layout::is_unfinished(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            swept += 1;
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests;
