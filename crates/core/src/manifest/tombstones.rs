//! Bars that were stored and are missing now: tombstones of lost partitions, and quarantined files.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use grab_model::{Month, Partition, Symbol};
use rusqlite::{OptionalExtension, Row, params};

use super::{ManifestError, ManifestReader, ManifestWriter, rows, transaction::Transaction};

/// A quarantined partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedFile {
    /// Its path now, below the data directory.
    pub path: PathBuf,
    /// The symbol of its bars.
    pub symbol: Symbol,
    /// The month of its bars.
    pub month: Month,
    /// Bars that are known to be in it; 0 if that is not known.
    pub bars: u64,
}

impl ManifestWriter {
    /// Records that a partition is about to be quarantined.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn record_quarantined(&mut self, quarantined: &QuarantinedFile) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let insert =
            "INSERT OR REPLACE INTO set_aside (path, ticker, month, bars, at_ms) VALUES (?, ?, ?, ?, ?)";
        let QuarantinedFile { path, symbol, month, bars } = quarantined;
        let values = params![text(path), symbol.as_str(), month.to_string(), bars, change.now_ms];
        change.execute(insert, values)?;
        change.commit()
    }

    /// Deletes the record of a quarantined file that does not exist any more.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn forget_quarantined(&mut self, path: &Path) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.execute("DELETE FROM set_aside WHERE path = ?", [text(path)])?;
        change.commit()
    }

    /// Accepts the stored bars as complete for every month without pending tasks, and deletes its tombstone. Returns
    /// the number of these months.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn accept_loss(&mut self) -> Result<usize, ManifestError> {
        let change = self.begin()?;
        let months = change.execute(
            "DELETE FROM lost WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.ticker = lost.ticker
                 AND state NOT IN ('done', 'empty')
                 AND substr(from_date, 1, 7) <= lost.month AND substr(to_date, 1, 7) >= lost.month)",
            [],
        )?;
        if months > 0 {
            change.event(
                None,
                "loss_accepted",
                None,
                &format!("{months} months hold fewer bars than they did"),
            )?;
        }
        change.commit()?;
        Ok(months)
    }
}

impl Transaction<'_> {
    /// Deletes a partition's row, and records its bars in a tombstone.
    pub(super) fn bury(&self, symbol: &Symbol, month: Month) -> Result<(), ManifestError> {
        let key = params![symbol.as_str(), month.to_string()];
        let recorded = self.counts("partitions", symbol, month)?;
        let before = self.counts("lost", symbol, month)?;
        self.execute("DELETE FROM partitions WHERE ticker = ? AND month = ?", key)?;
        let Some(recorded) = recorded else { return Ok(()) };
        let before = before.unwrap_or([0; 31]);
        let mut most = recorded;
        most.iter_mut().zip(before).for_each(|(bars, before)| *bars = before.max(*bars));
        let replace = "INSERT OR REPLACE INTO lost (ticker, month, session_mask, session_bars, at_ms)
                       VALUES (?, ?, ?, ?, ?)";
        let (mask, counts) = rows::sessions(&most);
        self.execute(replace, params![symbol.as_str(), month.to_string(), mask, counts, self.now_ms])?;
        Ok(())
    }

    /// Deletes a month's tombstone, if its partition has at least as many bars on each day as before.
    pub(super) fn regain(&self, partition: &Partition) -> Result<(), ManifestError> {
        let Some(lost) = self.counts("lost", &partition.symbol, partition.month)? else { return Ok(()) };
        if has_all(&partition.bars_by_day, &lost) {
            let key = params![partition.symbol.as_str(), partition.month.to_string()];
            self.execute("DELETE FROM lost WHERE ticker = ? AND month = ?", key)?;
        }
        Ok(())
    }

    fn counts(&self, table: &str, symbol: &Symbol, month: Month) -> Result<Option<[u16; 31]>, ManifestError> {
        let select = format!("SELECT session_mask, session_bars FROM {table} WHERE ticker = ? AND month = ?");
        let mut select = self.sqlite.prepare_cached(&select)?;
        let key = params![symbol.as_str(), month.to_string()];
        let found: Option<(u32, String)> =
            select.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        found.map(|(mask, counts)| rows::bars_by_day(mask, &counts)).transpose()
    }
}

/// Whether there are at least as many bars on each day.
#[must_use]
pub fn has_all(stored: &[u16; 31], wanted: &[u16; 31]) -> bool {
    stored.iter().zip(wanted).all(|(stored, wanted)| stored >= wanted)
}

impl ManifestReader {
    /// The bars of a symbol that were recorded and are still lost, by month and day.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn lost(&self, symbol: &Symbol) -> Result<HashMap<Month, [u16; 31]>, ManifestError> {
        let select = "SELECT month, session_mask, session_bars FROM lost WHERE ticker = ?";
        let mut select = self.connection().prepare_cached(select)?;
        let mut found = select.query([symbol.as_str()])?;
        let mut lost = HashMap::new();
        while let Some(row) = found.next()? {
            lost.insert(month(row, 0)?, rows::bars_by_day(row.get(1)?, &row.get::<_, String>(2)?)?);
        }
        Ok(lost)
    }

    /// The number of months with lost bars.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn lost_months(&self) -> Result<u64, ManifestError> {
        Ok(self.connection().query_row("SELECT count(*) FROM lost", [], |row| row.get(0))?)
    }

    /// The months of a symbol whose partitions were quarantined, or are about to be.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn quarantined_months(&self, symbol: &Symbol) -> Result<Vec<Month>, ManifestError> {
        let mut select = self
            .connection()
            .prepare_cached("SELECT month FROM set_aside WHERE ticker = ? ORDER BY month")?;
        let mut found = select.query([symbol.as_str()])?;
        let mut months = Vec::new();
        while let Some(row) = found.next()? {
            months.push(month(row, 0)?);
        }
        Ok(months)
    }

    /// The quarantined partitions, by path.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn set_aside(&self) -> Result<Vec<QuarantinedFile>, ManifestError> {
        let mut select =
            self.connection().prepare("SELECT path, ticker, month, bars FROM set_aside ORDER BY path")?;
        let mut found = select.query([])?;
        let mut quarantined = Vec::new();
        while let Some(row) = found.next()? {
            quarantined.push(QuarantinedFile {
                path: PathBuf::from(row.get::<_, String>(0)?),
                symbol: rows::symbol(&row.get::<_, String>(1)?)?,
                month: month(row, 2)?,
                bars: row.get(3)?,
            });
        }
        Ok(quarantined)
    }
}

fn month(row: &Row<'_>, column: usize) -> Result<Month, ManifestError> {
    let text: String = row.get(column)?;
    Month::parse(&text).ok_or_else(|| ManifestError::Corrupt(format!("a month: {text}")))
}

/// Paths of this program below a data directory are valid text.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
