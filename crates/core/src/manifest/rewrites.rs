//! Files that are being rewritten with the same content.
//!
//! A rewrite records what the rows of its next files will have, writes these files to stable storage, and then updates
//! their rows. After a crash in between, some files are new and some are old; both are recorded, so each can be
//! verified.

use std::{fs, path::PathBuf};

use grab_model::{Month, Partition, Symbol};
use jiff::civil::Date;
use rusqlite::{Connection, Params, params};
use xxhash_rust::xxh3::xxh3_64;

use super::{ManifestError, ManifestReader, ManifestWriter, WitnessFile, rows, transaction::Transaction};
use crate::data_dir::DataDir;

/// A file that is being rewritten, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRewrite {
    /// Its path, below the data directory.
    pub path: PathBuf,
    /// Its content.
    pub of: RewrittenFile,
    /// The new file's size.
    pub bytes: u64,
    /// XXH3-64 of the new file.
    pub xxh3: u64,
}

/// The content of a file that has a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewrittenFile {
    /// A symbol's bars of a month.
    Partition(Symbol, Month),
    /// A day of the market.
    MarketDay(Date),
}

impl PendingRewrite {
    /// Whether the new file is at its path.
    #[must_use]
    pub fn is_in_place(&self, data_dir: &DataDir) -> bool {
        fs::read(data_dir.join(&self.path)).is_ok_and(|file| xxh3_64(&file) == self.xxh3)
    }
}

impl ManifestWriter {
    /// Records files that are about to be rewritten.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn begin_rewrites(&mut self, rewrites: &[PendingRewrite]) -> Result<(), ManifestError> {
        let change = self.begin()?;
        for rewrite in rewrites {
            let insert = "INSERT OR REPLACE INTO rewrites (path, ticker, month, date, bytes, xxh3, at_ms)
                          VALUES (?, ?, ?, ?, ?, ?, ?)";
            let path = rewrite.path.to_string_lossy();
            let (ticker, month, date) = match &rewrite.of {
                RewrittenFile::Partition(symbol, month) => {
                    (Some(symbol.as_str()), Some(month.to_string()), None)
                }
                RewrittenFile::MarketDay(date) => (None, None, Some(date.to_string())),
            };
            let xxh3 = format!("{:016x}", rewrite.xxh3);
            change.execute(insert, params![path, ticker, month, date, rewrite.bytes, xxh3, change.now_ms])?;
        }
        change.commit()
    }

    /// Updates the rows of those files that are new now, on stable storage. The other rows stay as they are.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn end_rewrites(&mut self, in_place: &[PendingRewrite]) -> Result<(), ManifestError> {
        let change = self.begin()?;
        in_place.iter().try_for_each(|rewrite| change.rewritten(rewrite))?;
        change.execute("DELETE FROM rewrites", [])?;
        change.commit()
    }

    /// The files that a crashed process was rewriting.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn rewrites(&self) -> Result<Vec<PendingRewrite>, ManifestError> {
        noted(&self.connection, "", [])
    }
}

impl Transaction<'_> {
    /// The bars are the same: no other column of a row changes.
    fn rewritten(&self, rewrite: &PendingRewrite) -> Result<(), ManifestError> {
        let (bytes, xxh3) = (rewrite.bytes, format!("{:016x}", rewrite.xxh3));
        match &rewrite.of {
            RewrittenFile::Partition(symbol, month) => {
                let update = "UPDATE partitions SET bytes = ?, xxh3 = ? WHERE ticker = ? AND month = ?";
                self.execute(update, params![bytes, xxh3, symbol.as_str(), month.to_string()])?;
            }
            RewrittenFile::MarketDay(date) => {
                let update = "UPDATE witnesses SET bytes = ?, xxh3 = ? WHERE date = ?";
                self.execute(update, params![bytes, xxh3, date.to_string()])?;
            }
        }
        Ok(())
    }
}

impl ManifestReader {
    /// Updates the rows of a symbol's partitions whose files are rewritten already, but still recorded as the old ones.
    pub(super) fn with_rewritten(
        &self,
        symbol: &Symbol,
        partitions: &mut [Partition],
    ) -> Result<(), ManifestError> {
        for rewrite in noted(self.connection(), "WHERE ticker = ?", [symbol.as_str()])? {
            let RewrittenFile::Partition(_, month) = &rewrite.of else { continue };
            let partition = partitions.iter_mut().find(|one| one.month == *month);
            if let Some(partition) = partition.filter(|_| rewrite.is_in_place(self.data_dir())) {
                (partition.bytes, partition.xxh3) = (rewrite.bytes, rewrite.xxh3);
            }
        }
        Ok(())
    }

    /// Updates the rows of days of the market whose files are rewritten already, but still recorded as the old ones.
    pub(super) fn with_rewritten_days(&self, files: &mut [WitnessFile]) -> Result<(), ManifestError> {
        for rewrite in noted(self.connection(), "WHERE date IS NOT NULL", [])? {
            let RewrittenFile::MarketDay(date) = &rewrite.of else { continue };
            let file = files.iter_mut().find(|file| file.date == *date);
            if let Some(file) = file.filter(|_| rewrite.is_in_place(self.data_dir())) {
                (file.bytes, file.xxh3) = (rewrite.bytes, rewrite.xxh3);
            }
        }
        Ok(())
    }
}

/// The recorded rewrites, by their paths.
fn noted(
    connection: &Connection,
    which: &str,
    parameters: impl Params,
) -> Result<Vec<PendingRewrite>, ManifestError> {
    let select = format!("SELECT path, ticker, month, date, bytes, xxh3 FROM rewrites {which} ORDER BY path");
    let mut select = connection.prepare_cached(&select)?;
    let mut found = select.query(parameters)?;
    let mut rewrites = Vec::new();
    while let Some(row) = found.next()? {
        let path: String = row.get(0)?;
        let (ticker, month): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
        let wrong = || ManifestError::Corrupt(format!("the rewrite of {path}"));
        let of = match (ticker, month, row.get::<_, Option<String>>(3)?) {
            (Some(ticker), Some(month), None) => {
                RewrittenFile::Partition(rows::symbol(&ticker)?, Month::parse(&month).ok_or_else(wrong)?)
            }
            (_, _, date) => {
                RewrittenFile::MarketDay(date.and_then(|date| date.parse().ok()).ok_or_else(wrong)?)
            }
        };
        let xxh3 = rows::digest(&row.get::<_, String>(5)?)?;
        rewrites.push(PendingRewrite { path: PathBuf::from(path), of, bytes: row.get(4)?, xxh3 });
    }
    Ok(rewrites)
}
