//! The live view: polls the manifest while another process writes it.
//!
//! The manifest may hold hundreds of thousands of tasks and millions of partitions, so a poll reads only what has
//! changed: the events after the last one that was read, the pages of their tasks and of those that are running.
//! Outstanding days are counted once over all tasks, then updated by differences.

use std::collections::HashMap;

use grab_model::{Symbol, Window, new_york};
use jiff::civil::Date;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{ManifestError, RunItem, StoreKind, Task, TaskCounts, rows};
use crate::data_dir::DataDir;

/// How far back the first poll reads pages, in ms: the pace of a view is computed from these.
const FIRST_SPAN_MS: i64 = 5 * 60_000;

/// The most events that one poll reads, the newest first.
const MOST_EVENTS: usize = 5_000;

/// The most pending tasks, and the most failures, that one poll lists.
const NAMED: usize = 20;

/// After this time, in ms, the outstanding days are counted over all tasks again.
const RECOUNT_MS: i64 = 60_000;

/// Kinds of events that report a failure.
const TROUBLES: [&str; 7] =
    ["retry_scheduled", "refused", "unknown", "given_up", "crashed", "quarantined", "lost"];

/// Kinds of events that change the outstanding days in another way than by pages.
const REPLANNED: [&str; 5] = ["planned", "reopened", "rebuilt", "lost", "not_entitled"];

const EVENTS: &str =
    "SELECT id, at_ms, task_id, kind, reason FROM events WHERE id > ? ORDER BY id DESC LIMIT ?";
const LAST_EVENT: &str = "SELECT coalesce(max(id), 0) FROM events";
const NEXT: &str = "SELECT ticker, from_date, to_date FROM tasks WHERE state = 'pending' ORDER BY id LIMIT ?";
const TASK: &str = "SELECT ticker, from_date, to_date, state, pages FROM tasks WHERE id = ?";
const LEASED: &str =
    "SELECT at_ms FROM events WHERE task_id = ? AND kind = 'leased' ORDER BY id DESC LIMIT 1";
const OUTSTANDING_WHOLE: &str = "SELECT from_date, to_date, count(*) FROM tasks
    WHERE state IN ('pending', 'running') AND cursor IS NULL GROUP BY from_date, to_date";

const ALL_DAYS: &str = "SELECT from_date, to_date, count(*) FROM tasks
    WHERE NOT is_repair OR state IN ('pending', 'running') GROUP BY from_date, to_date";

fn running_sql() -> String {
    format!("SELECT {}, attempts, last_error FROM tasks WHERE state = 'running' ORDER BY id", Task::COLUMNS)
}

fn outstanding_in_part_sql() -> String {
    format!(
        "SELECT {} FROM tasks WHERE state IN ('pending', 'running') AND cursor IS NOT NULL",
        Task::COLUMNS
    )
}

/// Polls a directory, and keeps what it has read.
pub struct StatusPoller {
    data_dir: DataDir,
    seen: Option<SeenProgress>,
}

/// What earlier polls have read.
struct SeenProgress {
    last_event: i64,
    /// Number of pages of each task that was running.
    pages: HashMap<i64, u64>,
    outstanding_days: u64,
    counted_at_ms: i64,
    total_tasks: u64,
    total_days: u64,
}

/// The status at one instant, and what happened since the last poll.
#[derive(Clone, Debug)]
pub struct StatusSnapshot {
    /// The kind of the directory's bars.
    pub kind: Option<StoreKind>,
    /// Whether a process holds the lock of the directory, with a run or without.
    pub is_held: bool,
    /// The newest run.
    pub run: Option<RunItem>,
    /// Tasks by state: those that were requested, and repairs that have not ended.
    pub counts: TaskCounts,
    /// The tasks that are running, in the order of work.
    pub running: Vec<RunningTask>,
    /// The first pending tasks.
    pub next: Vec<(Symbol, Window)>,
    /// Requests that were completed since the last poll; in the first poll, in the last minutes.
    pub steps: Vec<CompletedRequest>,
    /// From when on all steps are known, if this is the first poll, UTC ms.
    pub known_from_ms: Option<i64>,
    /// Failures since the last poll; in the first poll, recent ones. The newest first.
    pub troubles: Vec<ReportedFailure>,
    /// Days of windows that no stored bar has reached.
    pub outstanding_days: u64,
    /// Days of the windows of all tasks.
    pub total_days: u64,
}

/// A task that a worker has leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningTask {
    /// The symbol.
    pub symbol: Symbol,
    /// The requested days.
    pub window: Window,
    /// The day of the last stored bar.
    pub reached: Option<Date>,
    /// Days of the window up to there.
    pub days_covered: u32,
    /// Pages stored.
    pub pages: u64,
    /// Bars stored.
    pub bars: u64,
    /// Failed attempts at the next page.
    pub attempts: u64,
    /// Why the last of them failed.
    pub last_error: Option<String>,
    /// When it was leased, UTC ms.
    pub since_ms: Option<i64>,
}

/// One request that succeeded or was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedRequest {
    /// When it was recorded; after the first poll, the time of the poll. UTC ms.
    pub at_ms: i64,
    /// Whether it fetched no page.
    pub is_failure: bool,
    /// Bars of its page.
    pub bars: u64,
    /// Days of the window that it covered.
    pub days: u32,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedFailure {
    /// When, UTC ms.
    pub at_ms: i64,
    /// The task, if it is about one.
    pub task: Option<(Symbol, Window)>,
    /// The kind of the event.
    pub kind: String,
    /// The reason.
    pub reason: String,
}

struct Event {
    id: i64,
    at_ms: i64,
    task: Option<i64>,
    kind: String,
    reason: String,
}

impl StatusPoller {
    /// Makes a poller for `data_dir` that has read nothing yet.
    #[must_use]
    pub fn new(data_dir: &DataDir) -> Self {
        Self { data_dir: data_dir.to_owned(), seen: None }
    }

    /// Polls. The manifest is opened for this one poll, in one short snapshot: so its writer is not blocked, and a
    /// manifest that was rebuilt meanwhile is seen.
    ///
    /// # Errors
    /// If there is no manifest, or it cannot be read.
    pub fn poll(&mut self, now_ms: i64) -> Result<StatusSnapshot, ManifestError> {
        let reader = self.data_dir.open_read()?;
        let connection = reader.connection();
        let last_event: i64 = connection.prepare_cached(LAST_EVENT)?.query_row([], |row| row.get(0))?;
        // Fewer events than before: it is another manifest.
        let before = self.seen.take().filter(|seen| seen.last_event <= last_event);
        let events = events(connection, before.as_ref().map_or(0, |seen| seen.last_event))?;
        // More events than were read: some in between are missing, so this counts as a first poll.
        let before = before.filter(|_| events.len() < MOST_EVENTS);
        let counts = reader.counts()?;
        let running = if reader.is_live() { running(connection)? } else { Vec::new() };
        let known_from_ms = before.is_none().then(|| known_from(&events, now_ms));
        let steps = steps::steps(connection, before.as_ref(), &events, &running, now_ms)?;
        let same_tasks = before.as_ref().filter(|seen| seen.total_tasks == counts.total());
        let total_days = same_tasks.map_or_else(|| days(connection, ALL_DAYS), |seen| Ok(seen.total_days))?;
        let carried = before.filter(|seen| seen.still_counts(&events, counts.total(), now_ms));
        let (outstanding_days, counted_at_ms) = match carried {
            Some(seen) => {
                let covered: u64 = steps.iter().map(|step| u64::from(step.days)).sum();
                (seen.outstanding_days.saturating_sub(covered), seen.counted_at_ms)
            }
            None => (outstanding_days(connection)?, now_ms),
        };
        let pages = running.iter().map(|(id, task)| (*id, task.pages)).collect();
        let total_tasks = counts.total();
        self.seen = Some(SeenProgress {
            last_event,
            pages,
            outstanding_days,
            counted_at_ms,
            total_tasks,
            total_days,
        });
        Ok(StatusSnapshot {
            kind: reader.kind()?,
            is_held: reader.is_live(),
            run: reader.runs(1)?.pop(),
            counts: counts.in_view(),
            running: running.into_iter().map(|(_, task)| task).collect(),
            next: next(connection)?,
            steps,
            known_from_ms,
            troubles: troubles(connection, &events)?,
            outstanding_days,
            total_days,
        })
    }
}

impl SeenProgress {
    /// Whether the outstanding days can be updated by differences: nothing was added, and they were counted recently.
    fn still_counts(&self, events: &[Event], total: u64, now_ms: i64) -> bool {
        let is_replanned = events.iter().any(|event| REPLANNED.contains(&event.kind.as_str()));
        let is_fresh = (0..RECOUNT_MS).contains(&(now_ms - self.counted_at_ms));
        !is_replanned && is_fresh && total == self.total_tasks
    }
}

/// The newest events after the one with this number, the newest first.
fn events(connection: &Connection, after: i64) -> Result<Vec<Event>, ManifestError> {
    let mut select = connection.prepare_cached(EVENTS)?;
    let event = |row: &Row<'_>| {
        Ok(Event {
            id: row.get(0)?,
            at_ms: row.get(1)?,
            task: row.get(2)?,
            kind: row.get(3)?,
            reason: row.get(4)?,
        })
    };
    Ok(select.query_map((after, MOST_EVENTS), event)?.collect::<Result<_, _>>()?)
}

/// The first poll has all steps of the last minutes, or those since the oldest event that it has read.
fn known_from(events: &[Event], now_ms: i64) -> i64 {
    let oldest = events.last().filter(|event| events.len() == MOST_EVENTS && event.id > 1);
    oldest.map_or(i64::MIN, |event| event.at_ms).max(now_ms - FIRST_SPAN_MS).min(now_ms)
}

fn running(connection: &Connection) -> Result<Vec<(i64, RunningTask)>, ManifestError> {
    let mut select = connection.prepare_cached(&running_sql())?;
    let mut leased = connection.prepare_cached(LEASED)?;
    let mut found = select.query([])?;
    let mut running = Vec::new();
    while let Some(row) = found.next()? {
        let task = Task::read(row)?;
        let days_covered = task.days_covered();
        let shown = RunningTask {
            symbol: task.symbol,
            window: task.window,
            reached: task.last_ms.and_then(new_york::date_of),
            days_covered,
            pages: task.pages,
            bars: task.bars,
            attempts: row.get("attempts")?,
            last_error: row.get("last_error")?,
            since_ms: leased.query_row([task.id.0], |row| row.get(0)).optional()?,
        };
        running.push((task.id.0, shown));
    }
    Ok(running)
}

fn next(connection: &Connection) -> Result<Vec<(Symbol, Window)>, ManifestError> {
    let mut select = connection.prepare_cached(NEXT)?;
    let mut found = select.query([NAMED])?;
    let mut next = Vec::new();
    while let Some(row) = found.next()? {
        next.push(question(row)?);
    }
    Ok(next)
}

/// The symbol and the window at the beginning of a row.
fn question(row: &Row<'_>) -> Result<(Symbol, Window), ManifestError> {
    let (from, to): (String, String) = (row.get(1)?, row.get(2)?);
    Ok((rows::symbol(&row.get::<_, String>(0)?)?, rows::window(&from, &to)?))
}

fn troubles(connection: &Connection, events: &[Event]) -> Result<Vec<ReportedFailure>, ManifestError> {
    let mut select = connection.prepare_cached(TASK)?;
    let mut troubles = Vec::new();
    let wrong = events.iter().filter(|event| TROUBLES.contains(&event.kind.as_str()));
    for event in wrong.take(NAMED) {
        let task = event.task.map(|id| select.query_row([id], |row| Ok(question(row))).optional());
        let task = task.transpose()?.flatten().transpose()?;
        let (kind, reason) = (event.kind.clone(), event.reason.clone());
        troubles.push(ReportedFailure { at_ms: event.at_ms, task, kind, reason });
    }
    Ok(troubles)
}

/// Days of windows that no stored bar has reached, over all tasks that have not ended.
fn outstanding_days(connection: &Connection) -> Result<u64, ManifestError> {
    let mut outstanding = days(connection, OUTSTANDING_WHOLE)?;
    let mut select = connection.prepare_cached(&outstanding_in_part_sql())?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let task = Task::read(row)?;
        outstanding += u64::from(task.window.days() - task.days_covered());
    }
    Ok(outstanding)
}

/// The days of all windows of a statement that returns each window with its number.
fn days(connection: &Connection, sql: &str) -> Result<u64, ManifestError> {
    let mut select = connection.prepare_cached(sql)?;
    let mut found = select.query([])?;
    let mut days = 0;
    while let Some(row) = found.next()? {
        let window = rows::window(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?;
        days += u64::from(window.days()) * row.get::<_, u64>(2)?;
    }
    Ok(days)
}

mod steps;
#[cfg(test)]
mod tests;
