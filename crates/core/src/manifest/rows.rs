//! Rows of the manifest as values.

use std::fmt;

use grab_model::{Cursor, Month, Partition, Symbol, Window, new_york};
use jiff::civil::Date;
use rusqlite::Row;
use serde::Serialize;

use super::ManifestError;

/// The id of a task's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(super) i64);

#[cfg(test)]
impl TaskId {
    /// An id that is in no manifest.
    pub(crate) fn made_up(number: i64) -> Self {
        Self(number)
    }
}

/// One unit of work: all bars of one symbol in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The row.
    pub id: TaskId,
    /// The symbol, as traded.
    pub symbol: Symbol,
    /// The requested days.
    pub window: Window,
    /// The page to request next. None before the first page.
    pub cursor: Option<Cursor>,
    /// Pages stored so far.
    pub pages: u64,
    /// Bars stored so far, each minute of a page counted once.
    pub bars: u64,
    /// The start of the last bar of the last page that had any, UTC ms. None if the traversal is to restart.
    pub last_ms: Option<i64>,
    /// Whether bars of it are quarantined: then it is not known which of its days are complete.
    pub has_quarantine: bool,
}

impl Task {
    pub(super) const COLUMNS: &'static str = "id, ticker, from_date, to_date, cursor, pages, bars,
        iif(cursor IS NULL, NULL, (SELECT last_ms FROM pages
            WHERE task_id = tasks.id AND last_ms IS NOT NULL ORDER BY number DESC LIMIT 1)),
        EXISTS (SELECT 1 FROM quarantine WHERE task_id = tasks.id)";

    pub(super) fn read(row: &Row<'_>) -> Result<Self, ManifestError> {
        Ok(Self {
            id: TaskId(row.get(0)?),
            symbol: symbol(&row.get::<_, String>(1)?)?,
            window: window(&row.get::<_, String>(2)?, &row.get::<_, String>(3)?)?,
            cursor: row.get::<_, Option<String>>(4)?.map(Cursor::from_stored),
            pages: row.get(5)?,
            bars: row.get(6)?,
            last_ms: row.get(7)?,
            has_quarantine: row.get(8)?,
        })
    }
}

impl Task {
    /// Days of the window up to the last stored bar: the measure of progress.
    #[must_use]
    pub fn days_covered(&self) -> u32 {
        days_covered(self.window, self.last_ms)
    }
}

/// Days of a window up to the bar at `last_ms`.
pub(super) fn days_covered(window: Window, last_ms: Option<i64>) -> u32 {
    let reached = last_ms.and_then(new_york::date_of);
    let covered = reached.and_then(|to| Window::new(window.from(), to.min(window.to())));
    covered.map_or(0, Window::days)
}

pub(super) fn symbol(text: &str) -> Result<Symbol, ManifestError> {
    text.parse().map_err(|error| ManifestError::Corrupt(format!("a ticker: {error}")))
}

pub(super) fn date(text: &str) -> Result<Date, ManifestError> {
    text.parse().map_err(|_| ManifestError::Corrupt(format!("a day {text:?}")))
}

pub(super) fn window(from: &str, to: &str) -> Result<Window, ManifestError> {
    let days = from.parse::<Date>().ok().zip(to.parse::<Date>().ok());
    let window = days.and_then(|(from, to)| Window::new(from, to));
    window.ok_or_else(|| ManifestError::Corrupt(format!("a window {from}..{to}")))
}

/// Parses a recorded digest.
pub(super) fn digest(text: &str) -> Result<u64, ManifestError> {
    u64::from_str_radix(text, 16).map_err(|_| ManifestError::Corrupt(format!("a partition's xxh3: {text}")))
}

/// A row of `partitions`, from the month on.
pub(super) fn partition(symbol: &Symbol, row: &Row<'_>) -> Result<Partition, ManifestError> {
    let wrong = |what: &str, text: &str| ManifestError::Corrupt(format!("a partition's {what}: {text}"));
    let (month, digest): (String, String) = (row.get(0)?, row.get(5)?);
    let bars_by_day = bars_by_day(row.get(6)?, &row.get::<_, String>(7)?)?;
    Ok(Partition {
        symbol: symbol.clone(),
        month: Month::parse(&month).ok_or_else(|| wrong("month", &month))?,
        bars: row.get(1)?,
        first_ms: row.get(2)?,
        last_ms: row.get(3)?,
        bytes: row.get(4)?,
        xxh3: self::digest(&digest)?,
        bars_by_day,
    })
}

/// Bars by day of the month, from a mask of days and one count for each of them.
pub(super) fn bars_by_day(mask: u32, counts: &str) -> Result<[u16; 31], ManifestError> {
    let wrong = || ManifestError::Corrupt(format!("a partition's session_bars: {counts}"));
    let counted: Vec<u16> = serde_json::from_str(counts).map_err(|_| wrong())?;
    if counted.len() != mask.count_ones() as usize {
        return Err(wrong());
    }
    let mut bars_by_day = [0; 31];
    let stored = bars_by_day.iter_mut().enumerate().filter(|(day, _)| mask & 1 << day != 0);
    stored.zip(counted).for_each(|((_, day), bars)| *day = bars);
    Ok(bars_by_day)
}

/// Returns the mask of days and the counts of [`bars_by_day`].
pub(super) fn sessions(bars_by_day: &[u16; 31]) -> (u32, String) {
    let stored = bars_by_day.iter().enumerate().filter(|(_, bars)| **bars > 0);
    let mask = stored.clone().fold(0, |mask, (day, _)| mask | 1 << day);
    let counts: Vec<_> = stored.map(|(_, bars)| bars.to_string()).collect();
    (mask, format!("[{}]", counts.join(",")))
}

/// The server's response with a page: the reason why the manifest records it as stored, or as empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// `OK` or `DELAYED`.
    pub status: String,
    /// Bars in the page, each minute counted once.
    pub bars: u64,
    /// The first and the last bar's start, UTC ms. None in a page without bars.
    pub span_ms: Option<(i64, i64)>,
    /// Bytes of the body on the wire.
    pub bytes: u64,
}

/// The kind of a data directory's bars. It is decided by the first `start` and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreKind {
    /// Whether prices and volumes are adjusted for splits.
    pub adjusted: bool,
    /// Whether the bars are made up by the built-in sandbox.
    pub sandbox: bool,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let adjusted = if self.adjusted { "split-adjusted bars" } else { "bars as traded" };
        let made_by = if self.sandbox { " made by the sandbox" } else { "" };
        write!(f, "{adjusted}{made_by}")
    }
}

impl StoreKind {
    /// What a directory holds, and what was requested instead: only what differs. `real bars, not simulated ones`.
    pub(super) fn other(stored: Self, requested: Self) -> String {
        let origin = |kind: Self| if kind.sandbox { "simulated" } else { "real" };
        let adjusted = |kind: Self| if kind.adjusted { "split-adjusted bars" } else { "bars as traded" };
        match (stored.sandbox == requested.sandbox, stored.adjusted == requested.adjusted) {
            (false, true) => format!("{} bars, not {} ones", origin(stored), origin(requested)),
            (false, false) => format!(
                "{} {}, not {} {}",
                origin(stored),
                adjusted(stored),
                origin(requested),
                adjusted(requested)
            ),
            (true, _) => format!("{}, not {}", adjusted(stored), adjusted(requested)),
        }
    }
}

/// What one run did, for its row in `runs` and for its report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunTotals {
    /// Requests that were sent, retries included.
    pub requests: u64,
    /// Requests that repeat a failed one.
    pub retries: u64,
    /// Bars that the store did not have before.
    pub bars: u64,
    /// Bars that changed, or that are new between stored ones.
    pub revised: u64,
    /// Partitions written, each counted once.
    pub partitions: u64,
    /// Bytes of responses on the wire.
    pub bytes_received: u64,
}
