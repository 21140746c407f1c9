//! Past runs of a directory, for reports.

use rusqlite::Row;

use super::{ManifestError, ManifestReader, RunTotals};
use crate::exit::ExitStatus;

/// One row of `runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunItem {
    /// The number of the row: a later run has a greater one.
    pub id: i64,
    /// The command, such as `start`.
    pub command: String,
    /// What it was requested to do, in words.
    pub arguments: String,
    /// The version of the program.
    pub grab_version: String,
    /// Its process id.
    pub pid: u32,
    /// When it began, UTC ms.
    pub started_at_ms: i64,
    /// When it ended, UTC ms. None if it is live, or was killed.
    pub ended_at_ms: Option<i64>,
    /// How it ended, by its exit code.
    pub exit: Option<ExitStatus>,
    /// Its totals. They are zero before its end.
    pub totals: RunTotals,
    /// Whether its process is running now.
    pub is_live: bool,
}

impl ManifestReader {
    /// The last `limit` runs, the newest first.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunItem>, ManifestError> {
        let select =
            "SELECT id, command, arguments, grab_version, pid, started_at_ms, ended_at_ms, exit_code,
                          requests, retries, bars, partitions, bytes_received, revised
                      FROM runs ORDER BY id DESC LIMIT ?";
        let mut select = self.connection().prepare_cached(select)?;
        let mut runs: Vec<_> = select.query_map([limit], run)?.collect::<Result<_, _>>()?;
        // Only the newest run can be live, if the process that holds the lock is the one that began it.
        if let Some(newest) = runs.first_mut().filter(|run| run.ended_at_ms.is_none()) {
            newest.is_live = self.is_live() && self.holder().is_none_or(|pid| pid == newest.pid);
        }
        Ok(runs)
    }
}

fn run(row: &Row<'_>) -> rusqlite::Result<RunItem> {
    Ok(RunItem {
        id: row.get(0)?,
        command: row.get(1)?,
        arguments: row.get(2)?,
        grab_version: row.get(3)?,
        pid: row.get(4)?,
        started_at_ms: row.get(5)?,
        ended_at_ms: row.get(6)?,
        exit: row.get::<_, Option<u8>>(7)?.and_then(ExitStatus::of_code),
        totals: RunTotals {
            requests: row.get(8)?,
            retries: row.get(9)?,
            bars: row.get(10)?,
            partitions: row.get(11)?,
            bytes_received: row.get(12)?,
            revised: row.get(13)?,
        },
        is_live: false,
    })
}
