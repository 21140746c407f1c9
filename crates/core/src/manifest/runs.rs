//! The rows of runs, and the pace that one run passes to the next.

use rusqlite::{OptionalExtension, params};

use crate::exit::{ExitStatus, Outcome};

use super::{ManifestError, ManifestWriter, RunTotals, writer::VERSION};

/// A pace that an earlier run has learnt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedPace {
    /// Requests a second.
    pub per_second: f64,
    /// The pace that was refused first.
    pub refused: f64,
    /// When, UTC ms.
    pub at_ms: i64,
}

/// The word in the column `outcome`, which allows four of them. Readers derive the outcome from the exit code.
fn recorded_outcome(exit: ExitStatus) -> &'static str {
    match exit.outcome() {
        Outcome::Partial | Outcome::Damaged | Outcome::Below => Outcome::Incomplete.as_str(),
        outcome @ (Outcome::Complete | Outcome::Incomplete | Outcome::Interrupted | Outcome::Error) => {
            outcome.as_str()
        }
    }
}

impl ManifestWriter {
    /// Begins the row of a run. `arguments` is what the user requested; it must not hold a key.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn begin_run(&mut self, command: &str, arguments: &str) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let insert =
            "INSERT INTO runs (command, arguments, grab_version, pid, started_at_ms) VALUES (?, ?, ?, ?, ?)";
        change.execute(insert, params![command, arguments, VERSION, std::process::id(), change.now_ms])?;
        let run = change.sqlite.last_insert_rowid();
        change.commit()?;
        self.run = Some(run);
        Ok(())
    }

    /// Ends the row of this run.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn end_run(&mut self, exit: ExitStatus, totals: &RunTotals) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.execute(
            "UPDATE runs SET ended_at_ms = ?, outcome = ?, exit_code = ?, requests = ?, retries = ?, bars = ?,
                 partitions = ?, bytes_received = ?, revised = ? WHERE id = ?",
            params![
                change.now_ms,
                recorded_outcome(exit),
                exit.code(),
                totals.requests,
                totals.retries,
                totals.bars,
                totals.partitions,
                totals.bytes_received,
                totals.revised,
                change.run
            ],
        )?;
        change.commit()?;
        self.find_span()
    }

    /// When the last run that sent requests ended, UTC ms. If it crashed, now, because its end is not known. None
    /// before the first run.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn last_run_ms(&self) -> Result<Option<i64>, ManifestError> {
        let select =
            "SELECT ended_at_ms FROM runs WHERE ended_at_ms IS NULL OR requests > 0 ORDER BY id DESC LIMIT 1";
        let ended: Option<Option<i64>> =
            self.connection.query_row(select, [], |row| row.get(0)).optional()?;
        Ok(ended.map(|ended| ended.unwrap_or_else(|| self.clock.now_ms())))
    }

    /// Saves the pace (requests a second, and the one that was refused first) that the server accepted after it refused
    /// `rate`; or deletes it.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn save_pace(&mut self, rate: &str, pace: Option<(f64, f64)>) -> Result<(), ManifestError> {
        let change = self.begin()?;
        match pace {
            Some((per_second, refused)) => change.execute(
                "INSERT OR REPLACE INTO pace (id, rate, per_second, refused, at_ms) VALUES (1, ?, ?, ?, ?)",
                params![rate, per_second, refused, change.now_ms],
            )?,
            None => change.execute("DELETE FROM pace", [])?,
        };
        change.commit()
    }

    /// The saved pace for this rate, and when it was saved.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn pace(&self, rate: &str) -> Result<Option<SavedPace>, ManifestError> {
        let select = "SELECT per_second, refused, at_ms FROM pace WHERE rate = ?";
        let kept = self.connection.query_row(select, [rate], |row| {
            Ok(SavedPace { per_second: row.get(0)?, refused: row.get(1)?, at_ms: row.get(2)? })
        });
        Ok(kept.optional()?)
    }
}
