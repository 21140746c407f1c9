//! The merge: the only operation that writes bars.

use std::{io, path::PathBuf};

use bytes::Bytes;
use grab_model::{Bars, DayBar, Month, Partition, Revision, Symbol, Window, new_york};
use jiff::civil::Date;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    StoreError,
    atomic::{self, failed, read_regular, sweep_folder},
    encodings::{Encodings, Finality},
    market_day,
    parquet::{self, Provenance},
};
use crate::data_dir::DataDir;

/// The Parquet files of one data directory.
#[derive(Clone, Debug)]
pub struct BarStore {
    data_dir: DataDir,
    adjusted: bool,
    source: String,
    encodings: Encodings,
}

/// A partition's content in memory. Passed to the next merge, it saves reading the file again.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionData {
    /// The month.
    pub month: Month,
    /// All bars of the file, ascending and unique.
    pub bars: Bars,
    /// When its first and its last bar were fetched, UTC ms.
    pub fetched_ms: (i64, i64),
    /// The days that were requested and received to their end, as bits: bit 0 is the first of the month.
    pub whole_days: u32,
    /// How its file was written.
    pub finality: Finality,
}

/// Bars of one month that are to be merged into its partition.
#[derive(Clone, Debug)]
pub struct MergeInput {
    /// The bars.
    pub bars: Bars,
    /// When they were fetched, UTC ms.
    pub at_ms: i64,
    /// The days that the response covers to their end, if any; those of other months do not matter.
    pub whole: Option<Window>,
    /// Whether the partition is soon to be written again.
    pub finality: Finality,
}

/// The result of a merge.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeOutcome {
    /// The partition as it is once its file is written.
    pub partition: Partition,
    /// Its content.
    pub stored: PartitionData,
    /// The changes of the new bars to the stored ones.
    pub revision: Revision,
}

/// A merge whose file is not written yet.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "its file is not written yet"]
pub struct PreparedMerge {
    /// The result, once the file is written.
    pub outcome: MergeOutcome,
    /// The new file. None if the bars change nothing: the old file stays.
    pub file: Option<EncodedFile>,
}

/// A file's bytes, and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl BarStore {
    /// The store in `data_dir`, for bars of one kind, fetched from the host `source`.
    #[must_use]
    pub fn new(data_dir: DataDir, adjusted: bool, source: String) -> Self {
        Self { data_dir, adjusted, source, encodings: Encodings::default() }
    }

    /// Returns the store with other encodings for new files.
    #[must_use]
    pub fn with_encodings(self, encodings: Encodings) -> Self {
        Self { encodings, ..self }
    }

    /// Adds bars to a partition, durably: [`BarStore::prepare_merge`] and [`write_all`] in one.
    ///
    /// # Errors
    /// As for these two.
    pub fn merge(
        &self,
        symbol: &Symbol,
        month: Month,
        newer: MergeInput,
        stored: Option<PartitionData>,
    ) -> Result<MergeOutcome, StoreError> {
        let PreparedMerge { outcome, file } = self.prepare_merge(symbol, month, newer, stored)?;
        write_all(file.as_slice())?;
        Ok(outcome)
    }

    /// Merges bars with a partition's content: if both have a minute, the new bar wins. Nothing is written.
    ///
    /// `stored` is the known content of the file; without it the file is read, if it exists.
    ///
    /// # Errors
    /// If a bar is outside of the month, or if the existing file cannot be read, is damaged or belongs elsewhere.
    pub fn prepare_merge(
        &self,
        symbol: &Symbol,
        month: Month,
        newer: MergeInput,
        stored: Option<PartitionData>,
    ) -> Result<PreparedMerge, StoreError> {
        check_month(month, &newer.bars)?;
        let (older, file) = match stored.filter(|stored| stored.month == month) {
            Some(stored) => (Some(stored), None),
            None => self.load(symbol, month)?.map(|loaded| (loaded.stored, loaded.file)).unzip(),
        };
        let newer = MergeInput { bars: newer.bars.into_unique(), ..newer };
        if let Some((older, file)) = older.as_ref().zip(file)
            && adds_nothing(older, &newer)
        {
            let partition = describe(symbol, older, &file);
            let stored = older.clone();
            let outcome = MergeOutcome { partition, stored, revision: Revision::default() };
            return Ok(PreparedMerge { outcome, file: None });
        }
        let revision = older.as_ref().map(|older| Revision::of(&older.bars, &newer.bars)).unwrap_or_default();
        self.encoded(symbol, union(older, month, newer), revision)
    }

    /// Encodes an interim partition as a final one. Nothing is written yet.
    ///
    /// # Errors
    /// If the Parquet writer refuses.
    pub fn prepare_final(&self, symbol: &Symbol, stored: PartitionData) -> Result<PreparedMerge, StoreError> {
        self.encoded(symbol, PartitionData { finality: Finality::Final, ..stored }, Revision::default())
    }

    fn encoded(
        &self,
        symbol: &Symbol,
        stored: PartitionData,
        revision: Revision,
    ) -> Result<PreparedMerge, StoreError> {
        let provenance = self.provenance(symbol, &stored);
        let bytes = parquet::encode(&stored.bars, &provenance, self.encodings).map_err(StoreError::Encode)?;
        let partition = describe(symbol, &stored, &bytes);
        let file = EncodedFile { path: self.data_dir.partition(symbol, stored.month), bytes };
        Ok(PreparedMerge { outcome: MergeOutcome { partition, stored, revision }, file: Some(file) })
    }

    /// Checks a partition against its recorded XXH3, before bars are merged into it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it is another file, or none; else if the system refuses.
    pub fn check_recorded(&self, symbol: &Symbol, month: Month, recorded: u64) -> Result<(), StoreError> {
        let path = self.data_dir.partition(symbol, month);
        match read_regular(&path) {
            Ok(file) if xxh3_64(&file) == recorded => Ok(()),
            Ok(_) => Err(StoreError::Changed { path, is_there: true }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Changed { path, is_there: false })
            }
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The host from which the bars are fetched.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Stores a day of the whole market. When this returns, its file is on stable storage.
    ///
    /// # Errors
    /// If the system refuses; the old file is then untouched.
    pub fn keep_market_day(
        &self,
        date: Date,
        bars: &[DayBar],
        fetched_ms: i64,
    ) -> Result<market_day::WrittenFile, StoreError> {
        market_day::write(
            &self.data_dir,
            &market_day::NewMarketDay { date, bars, source: &self.source, fetched_ms },
        )
    }

    /// Returns a partition's content. None if it has no file.
    ///
    /// # Errors
    /// If the file is damaged, belongs elsewhere, or cannot be opened.
    pub fn read(&self, symbol: &Symbol, month: Month) -> Result<Option<PartitionData>, StoreError> {
        Ok(self.load(symbol, month)?.map(|loaded| loaded.stored))
    }

    /// Describes the partition on disk, for a manifest that may have missed its last write. None if it does not exist
    /// or is damaged.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn inspect(&self, symbol: &Symbol, month: Month) -> Result<Option<Partition>, StoreError> {
        match self.load(symbol, month) {
            Ok(found) => Ok(found.map(|loaded| loaded.describe(symbol))),
            // A crash does not cause damage, so damage is not recorded here as a new state: the row stays as it was.
            Err(
                StoreError::Damaged { .. } | StoreError::Misplaced { .. } | StoreError::Impossible { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn load(&self, symbol: &Symbol, month: Month) -> Result<Option<LoadedPartition>, StoreError> {
        let Some(loaded) = load(&self.data_dir, symbol, month)? else { return Ok(None) };
        let (expected, found) = (self.adjusted.to_string(), loaded.provenance.adjusted.to_string());
        if expected == found {
            return Ok(Some(loaded));
        }
        let path = self.data_dir.partition(symbol, month);
        Err(StoreError::Misplaced { path, what: "adjusted", expected, found })
    }

    /// Removes unfinished files that a crash may have left of writes to `symbol` in `window`. Returns their number. New
    /// folders of the crashed process stay, and their names are durable when this returns.
    ///
    /// # Errors
    /// If a folder cannot be listed or a file cannot be removed.
    pub fn sweep(&self, symbol: &Symbol, window: Window) -> Result<u64, StoreError> {
        let mut swept = 0;
        let folder = |month| self.data_dir.month_folder(symbol, month);
        let folders: Vec<_> = window.months().map(folder).collect();
        atomic::sync_folders(&folders, &self.data_dir)?;
        for folder in folders {
            swept += sweep_folder(&folder)?;
        }
        Ok(swept)
    }

    fn provenance(&self, symbol: &Symbol, stored: &PartitionData) -> Provenance {
        Provenance {
            ticker: symbol.to_string(),
            month: stored.month.to_string(),
            adjusted: self.adjusted,
            source: self.source.clone(),
            fetched_ms: stored.fetched_ms,
            whole_days: stored.whole_days,
            finality: stored.finality,
        }
    }
}

/// Writes new files to their paths, in order. When this returns, all of them are on stable storage.
///
/// # Errors
/// Always [`StoreError::Io`], if the system refuses. Files before the one that failed may be written; the old files of
/// those after it are untouched.
pub fn write_all(files: &[EncodedFile]) -> Result<(), StoreError> {
    let files: Vec<_> = files.iter().map(|file| (file.path.as_path(), file.bytes.as_slice())).collect();
    atomic::write_all(&files)
}

/// A partition's file, decoded.
pub(super) struct LoadedPartition {
    pub(super) stored: PartitionData,
    pub(super) provenance: Provenance,
    pub(super) file: Bytes,
}

impl LoadedPartition {
    pub(super) fn describe(&self, symbol: &Symbol) -> Partition {
        describe(symbol, &self.stored, &self.file)
    }
}

/// Reads a partition, if it exists, and checks its metadata against its path.
pub(super) fn load(
    data_dir: &DataDir,
    symbol: &Symbol,
    month: Month,
) -> Result<Option<LoadedPartition>, StoreError> {
    load_file(data_dir.partition(symbol, month), symbol, month)
}

/// Reads the file of a partition from any path, with the same checks.
pub(super) fn load_file(
    path: PathBuf,
    symbol: &Symbol,
    month: Month,
) -> Result<Option<LoadedPartition>, StoreError> {
    let file: Bytes = match read_regular(&path) {
        Ok(bytes) => bytes.into(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            return Err(StoreError::Impossible { path, what: "a folder" });
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(StoreError::Impossible { path, what: "no file, but a device or a pipe" });
        }
        Err(error) => return Err(failed("read", &path)(error)),
    };
    let damaged = |source| StoreError::Damaged { path: path.clone(), source };
    let (bars, provenance) = parquet::decode(file.clone()).map_err(damaged)?;
    let facts =
        [("ticker", symbol.to_string(), &provenance.ticker), ("month", month.to_string(), &provenance.month)];
    if let Some((what, expected, found)) = facts.into_iter().find(|(_, expected, found)| expected != *found) {
        return Err(StoreError::Misplaced { path, what, expected, found: found.clone() });
    }
    if let Some(what) = impossible(month, &bars) {
        return Err(StoreError::Impossible { path, what });
    }
    let Provenance { fetched_ms, whole_days, finality, .. } = provenance;
    let stored = PartitionData { month, bars, fetched_ms, whole_days, finality };
    Ok(Some(LoadedPartition { stored, provenance, file }))
}

/// Describes why these cannot be the bars of a month. No merge writes a file like this. None if nothing is wrong.
fn impossible(month: Month, bars: &Bars) -> Option<&'static str> {
    let times = bars.timestamps();
    let (first, last) = times.first().zip(times.last()).map_or((0, 0), |(first, last)| (*first, *last));
    let is_finite = || bars.required().iter().all(|column| column.iter().all(|number| number.is_finite()));
    match () {
        () if times.is_empty() => Some("without bars"),
        () if !times.is_sorted_by(|a, b| a < b) => Some("out of order, or has a minute twice"),
        () if first < month.start_ms() || last >= month.end_ms() => Some("with bars of another month"),
        () if !is_finite() => Some("with prices that are no numbers"),
        () => None,
    }
}

fn check_month(month: Month, bars: &Bars) -> Result<(), StoreError> {
    let (start, end) = (month.start_ms(), month.end_ms());
    let stray = bars.timestamps().iter().find(|t| !(start..end).contains(*t));
    stray.map_or(Ok(()), |timestamp| Err(StoreError::OutsideMonth { timestamp: *timestamp, month }))
}

/// Whether a file already has everything of a response: the same bars, and the same complete days. An interim file
/// still has to be written again as a final one.
fn adds_nothing(older: &PartitionData, newer: &MergeInput) -> bool {
    let whole_days = newer.whole.map_or(0, |window| older.month.mask(window));
    let is_to_last = older.finality == Finality::Interim && newer.finality == Finality::Final;
    if is_to_last || older.whole_days | whole_days != older.whole_days {
        return false;
    }
    let (stored, times) = (&older.bars, older.bars.timestamps());
    newer
        .bars
        .iter()
        .all(|bar| times.binary_search(&bar.timestamp).is_ok_and(|row| stored.get(row) == Some(bar)))
}

fn union(older: Option<PartitionData>, month: Month, newer: MergeInput) -> PartitionData {
    let whole_days = newer.whole.map_or(0, |window| month.mask(window));
    let finality = newer.finality;
    match older {
        None => {
            let fetched_ms = (newer.at_ms, newer.at_ms);
            PartitionData { month, bars: newer.bars.into_unique(), fetched_ms, whole_days, finality }
        }
        Some(older) => PartitionData {
            month,
            bars: Bars::union(older.bars, newer.bars),
            fetched_ms: (older.fetched_ms.0.min(newer.at_ms), older.fetched_ms.1.max(newer.at_ms)),
            whole_days: older.whole_days | whole_days,
            finality,
        },
    }
}

fn describe(symbol: &Symbol, stored: &PartitionData, file: &[u8]) -> Partition {
    let timestamps = stored.bars.timestamps();
    Partition {
        symbol: symbol.clone(),
        month: stored.month,
        bars: timestamps.len() as u64,
        first_ms: timestamps.first().copied().unwrap_or_default(),
        last_ms: timestamps.last().copied().unwrap_or_default(),
        bytes: file.len() as u64,
        xxh3: xxh3_64(file),
        bars_by_day: count_by_day(stored.month, timestamps),
    }
}

/// Counts ascending timestamps by their New York day of the month.
#[must_use]
pub fn count_by_day(month: Month, timestamps: &[i64]) -> [u16; 31] {
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

#[cfg(test)]
mod tests;
