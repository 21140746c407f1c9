//! Rewrites all files of a data directory in the form in which they would be written today.
//!
//! Works on some files at a time: records what their rows will be, brings the files to stable storage, then updates the
//! rows in one transaction. The process may crash at any instant: for each file, the records tell the old one from the
//! new one, and [`super::recover`] makes the rows agree. Files in today's form are skipped, so that the next run continues
//! where this one ended.

use std::time::Instant;

use grab_model::{Partition, Symbol};

use super::{
    RecoveryError, Stop, StopReason,
    recovery::{end_rewrites, recover},
};
use crate::{
    cpu,
    data_dir::DataDir,
    manifest::{
        ManifestError, ManifestReader, ManifestWriter, PendingRewrite, RewrittenFile, TaskState, WitnessFile,
        is_held,
    },
    store::{EncodedFile, Encodings, StoreError, market_day, rewrite, write_all},
};

/// The number of files that are written between two transactions.
const BATCH: usize = 32;

/// The number of symbols whose partitions are read at once.
const SYMBOLS: usize = 16;

/// How often a dry run reads a file and its row that another process changes meanwhile.
const READS: usize = 8;

/// What to rewrite, and when to stop.
pub struct RewriteJob<'a> {
    /// Where the files are.
    pub data_dir: &'a DataDir,
    /// Which encodings the files get.
    pub encodings: Encodings,
    /// Asks for a clean stop.
    pub stop: &'a Stop,
    /// When to stop cleanly.
    pub until: Option<Instant>,
    /// Called with the number of checked files, and of all files.
    pub watch: &'a (dyn Fn(u64, u64) + Sync),
}

/// What was done, or would be done.
#[derive(Debug, Default)]
pub struct RewriteOutcome {
    /// Files that were rewritten.
    pub rewritten: u64,
    /// Partitions among them.
    pub partitions: u64,
    /// Files that are in today's form already.
    pub unchanged: u64,
    /// Size of the rewritten files before, in bytes.
    pub bytes_before: u64,
    /// Their size now, in bytes.
    pub bytes_after: u64,
    /// Files that were left as they are, and why.
    pub left: Vec<StoreError>,
}

/// A file with a row, and the size of the present file.
struct RecordedFile {
    of: RewrittenFile,
    bytes: u64,
    rewritten_file: Result<Option<EncodedFile>, StoreError>,
}

impl RewriteJob<'_> {
    /// Rewrites all files that are not in today's form. Without a `writer` nothing is written, and another process may
    /// write meanwhile: what it is changing is not counted.
    ///
    /// # Errors
    /// If the system refuses. Files that fail their own checks are left as they are, and are no error.
    pub fn run(
        &self,
        mut writer: Option<&mut ManifestWriter>,
        done: &mut RewriteOutcome,
    ) -> Result<(), RecoveryError> {
        if let Some(writer) = writer.as_deref_mut() {
            recover(self.data_dir, writer)?;
            rewrite::sweep_tables(self.data_dir)?;
        }
        let reader = self.data_dir.open_read()?;
        let (symbols, days) = (reader.symbols()?, reader.witnesses()?);
        let all = reader.holdings()?.partitions + days.len() as u64;
        // An open reader would keep the manifest's log from being merged into it.
        drop(reader);
        let is_dry = writer.is_none();
        self.tables(is_dry, done)?;
        for symbols in symbols.chunks(SYMBOLS) {
            for partitions in self.partitions(symbols, is_dry)?.chunks(BATCH) {
                let batch = cpu::try_map(partitions, |partition| {
                    let now = |reader: &ManifestReader| {
                        let all = reader.partitions(&partition.symbol)?;
                        Ok(all.into_iter().find(|now| now.month == partition.month))
                    };
                    self.settled(is_dry, partition, |partition| self.partition(partition), now)
                });
                self.store(batch?.into_iter().flatten(), writer.as_deref_mut(), done)?;
                (self.watch)(done.looked_at(), all);
                if self.is_to_stop() {
                    return Ok(());
                }
            }
        }
        for days in days.chunks(BATCH) {
            let batch = cpu::try_map(days, |day| {
                let now = |reader: &ManifestReader| {
                    Ok(reader.witnesses()?.into_iter().find(|now| now.date == day.date))
                };
                self.settled(is_dry, day, |day| self.market_day(day), now)
            });
            self.store(batch?.into_iter().flatten(), writer.as_deref_mut(), done)?;
            (self.watch)(done.looked_at(), all);
            if self.is_to_stop() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_to_stop(&self) -> bool {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            self.stop.request(StopReason::Duration);
        }
        self.stop.is_requested()
    }

    /// The partitions of some symbols. If nothing is written, leaves out files that a crashed fetch may have written
    /// last: they may be newer than their rows.
    fn partitions(&self, symbols: &[Symbol], is_dry: bool) -> Result<Vec<Partition>, RecoveryError> {
        let reader = self.data_dir.open_read()?;
        let mut all = Vec::new();
        for symbol in symbols {
            let mut partitions = reader.partitions(symbol)?;
            if is_dry {
                let mut tasks = reader.tasks_of(symbol)?;
                tasks.retain(|task| task.state == TaskState::Running);
                partitions.retain(|one| tasks.iter().all(|task| one.month.mask(task.window) == 0));
            }
            all.append(&mut partitions);
        }
        Ok(all)
    }

    fn partition(&self, partition: &Partition) -> RecordedFile {
        RecordedFile {
            of: RewrittenFile::Partition(partition.symbol.clone(), partition.month),
            bytes: partition.bytes,
            rewritten_file: rewrite::partition(self.data_dir, partition, self.encodings),
        }
    }

    fn market_day(&self, day: &WitnessFile) -> RecordedFile {
        let recorded = market_day::WrittenFile { bytes: day.bytes, xxh3: day.xxh3 };
        let rewritten_file = rewrite::market_day(self.data_dir, day.date, &recorded);
        RecordedFile { of: RewrittenFile::MarketDay(day.date), bytes: day.bytes, rewritten_file }
    }

    /// Reads the file of a row. In a dry run, a file that is not the recorded one may be newer than its row: it is read
    /// again with the row of `now`. None if another process has moved it away or is still writing it.
    fn settled<R: Clone + PartialEq>(
        &self,
        is_dry: bool,
        row: &R,
        read: impl Fn(&R) -> RecordedFile,
        now: impl Fn(&ManifestReader) -> Result<Option<R>, ManifestError>,
    ) -> Result<Option<RecordedFile>, RecoveryError> {
        let mut row = row.clone();
        for _ in 0..READS {
            let file = read(&row);
            if !is_dry || !matches!(file.rewritten_file, Err(StoreError::Changed { .. })) {
                return Ok(Some(file));
            }
            // Before the row is read: a writer that has ended by now has recorded what it wrote.
            let is_written = is_held(self.data_dir);
            match now(&self.data_dir.open_read()?)? {
                Some(now) if now != row => row = now,
                Some(_) if !is_written => return Ok(Some(file)),
                Some(_) | None => break,
            }
        }
        Ok(None)
    }

    /// Writes the new files of a batch, then their rows.
    fn store(
        &self,
        batch: impl Iterator<Item = RecordedFile>,
        writer: Option<&mut ManifestWriter>,
        done: &mut RewriteOutcome,
    ) -> Result<(), RecoveryError> {
        let (mut files, mut rewrites, mut new) = (Vec::new(), Vec::new(), RewriteOutcome::default());
        for RecordedFile { of, bytes, rewritten_file } in batch {
            let Some(file) = done.sort(rewritten_file)? else { continue };
            new.count(bytes, file.size());
            new.partitions += u64::from(matches!(of, RewrittenFile::Partition(..)));
            let path = file.path().strip_prefix(self.data_dir).unwrap_or(file.path()).to_owned();
            rewrites.push(PendingRewrite { path, of, bytes: file.size(), xxh3: file.xxh3() });
            files.push(file);
        }
        if let Some(writer) = writer.filter(|_| !files.is_empty()) {
            writer.begin_rewrites(&rewrites)?;
            if let Err(error) = write_all(&files) {
                // Some files may be in place. If their rows cannot be written either, the next run does it.
                let _ = end_rewrites(self.data_dir, writer);
                return Err(error.into());
            }
            writer.end_rewrites(&rewrites)?;
        }
        done.add(&new);
        Ok(())
    }

    /// The tables of reference data, which have no rows.
    fn tables(&self, is_dry: bool, done: &mut RewriteOutcome) -> Result<(), RecoveryError> {
        for table in rewrite::tables(self.data_dir) {
            let Some(file) = done.sort(table)? else { continue };
            let before = std::fs::metadata(file.path()).map_or(0, |metadata| metadata.len());
            if !is_dry {
                write_all(std::slice::from_ref(&file))?;
            }
            done.count(before, file.size());
        }
        Ok(())
    }
}

impl RewriteOutcome {
    fn looked_at(&self) -> u64 {
        self.rewritten + self.unchanged + self.left.len() as u64
    }

    fn count(&mut self, before: u64, after: u64) {
        self.rewritten += 1;
        self.bytes_before += before;
        self.bytes_after += after;
    }

    fn add(&mut self, more: &Self) {
        self.rewritten += more.rewritten;
        self.partitions += more.partitions;
        self.bytes_before += more.bytes_before;
        self.bytes_after += more.bytes_after;
    }

    /// Returns the new file, if there is one, and records what is wrong with the old one. Only errors of the system are
    /// returned.
    fn sort(
        &mut self,
        rewritten_file: Result<Option<EncodedFile>, StoreError>,
    ) -> Result<Option<EncodedFile>, StoreError> {
        match rewritten_file {
            Ok(Some(file)) => return Ok(Some(file)),
            Ok(None) => self.unchanged += 1,
            Err(error @ (StoreError::Io { .. } | StoreError::Encode(_))) => return Err(error),
            Err(error) => self.left.push(error),
        }
        Ok(None)
    }
}
