//! One transaction of the writer, and the statements that several of its methods share.
use grab_model::{Bar, Cursor, Month, Partition, Revision, Symbol, Window};
use rusqlite::{OptionalExtension, Params, named_params, params};

use super::{ManifestError, PageCommit, TaskEvent, TaskId, TaskState, rows, schema::reached};
use crate::{data_dir::DataDir, failpoint::CrashPoint};

/// The id of a new task, in SQL. The id of a removed task is not used again: its events still name it.
pub(super) const NEW_TASK: &str = "(SELECT 1 + max(coalesce((SELECT max(id) FROM tasks), 0), coalesce((SELECT max(task_id) FROM events), 0)))";

/// A transaction that has begun. If it is dropped without a [`Transaction::commit`], nothing of it is written.
pub(super) struct Transaction<'a> {
    pub(super) sqlite: rusqlite::Transaction<'a>,
    /// The instant of the whole transaction, UTC ms.
    pub(super) now_ms: i64,
    pub(super) run: Option<i64>,
    /// The data directory, if the plan is saved there.
    pub(super) plan_in: Option<&'a DataDir>,
}

impl Transaction<'_> {
    /// Runs a statement that writes. Returns the number of changed rows.
    pub(super) fn execute(&self, sql: &str, values: impl Params) -> Result<usize, ManifestError> {
        Ok(self.sqlite.prepare_cached(sql)?.execute(values)?)
    }

    /// Makes it durable, and before it the plan beside the manifest, if what is requested has changed.
    pub(super) fn commit(self) -> Result<(), ManifestError> {
        self.write_plan_file()?;
        reached(CrashPoint::BeforeCommit)?;
        self.sqlite.commit()?;
        reached(CrashPoint::AfterCommit)
    }

    /// Adds a task, and removes its days from those that are not served. False if there is a task of just this window.
    pub(super) fn add_task(&self, symbol: &Symbol, window: Window) -> Result<bool, ManifestError> {
        let insert = format!(
            "INSERT OR IGNORE INTO tasks (id, ticker, from_date, to_date, updated_at_ms) VALUES ({NEW_TASK}, ?, ?, ?, ?)"
        );
        let (from, to) = (window.from().to_string(), window.to().to_string());
        if self.execute(&insert, params![symbol.as_str(), from, to, self.now_ms])? == 0 {
            return Ok(false);
        }
        self.take_not_entitled(symbol, window).map(|()| true)
    }

    /// Whether there is a task of just this window of a symbol.
    pub(super) fn has_task(&self, symbol: &Symbol, window: Window) -> Result<bool, ManifestError> {
        let select = "SELECT 1 FROM tasks WHERE ticker = ? AND from_date = ? AND to_date = ?";
        let (from, to) = (window.from().to_string(), window.to().to_string());
        let mut select = self.sqlite.prepare_cached(select)?;
        Ok(select.exists(params![symbol.as_str(), from, to])?)
    }

    /// Removes a task, with its pages and its quarantined bars. Its events stay.
    pub(super) fn remove_task(&self, id: TaskId) -> Result<(), ManifestError> {
        for table in ["pages", "quarantine"] {
            self.execute(&format!("DELETE FROM {table} WHERE task_id = ?"), [id.0])?;
        }
        self.execute("DELETE FROM tasks WHERE id = ?", [id.0])?;
        Ok(())
    }

    /// Checks a transition with the state machine. Returns the state before and after `event`.
    pub(super) fn ask(&self, id: TaskId, event: TaskEvent) -> Result<(TaskState, TaskState), ManifestError> {
        let select = "SELECT state FROM tasks WHERE id = ?";
        let text: String = self.sqlite.prepare_cached(select)?.query_row([id.0], |row| row.get(0))?;
        let from: TaskState = text.parse()?;
        Ok((from, from.after(event)?))
    }

    /// Checks a transition with the state machine, then writes the state and its event.
    pub(super) fn step(
        &self,
        id: TaskId,
        event: TaskEvent,
        reason: &str,
    ) -> Result<TaskState, ManifestError> {
        let (from, to) = self.ask(id, event)?;
        if to != from {
            let update = "UPDATE tasks SET state = ?, updated_at_ms = ? WHERE id = ?";
            self.execute(update, params![to.as_str(), self.now_ms, id.0])?;
            if to.is_covered() {
                self.take_answered(id)?;
            }
        }
        // A page that is followed by another one has its own row of evidence and changes no state.
        if event != TaskEvent::PageStored {
            self.event(Some(id), event.as_str(), Some((from, to)), reason)?;
        }
        Ok(to)
    }

    /// Makes a transition of every task that meets a condition. Returns their number.
    pub(super) fn step_all(
        &self,
        condition: &str,
        event: TaskEvent,
        reason: &str,
    ) -> Result<u64, ManifestError> {
        let mut select =
            self.sqlite.prepare(&format!("SELECT id FROM tasks WHERE {condition} ORDER BY id"))?;
        let ids: Vec<i64> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for id in &ids {
            self.step(TaskId(*id), event, reason)?;
        }
        Ok(ids.len() as u64)
    }

    /// Appends an event.
    pub(super) fn event(
        &self,
        task: Option<TaskId>,
        kind: &str,
        states: Option<(TaskState, TaskState)>,
        reason: &str,
    ) -> Result<(), ManifestError> {
        let insert = "INSERT INTO events (at_ms, run_id, task_id, kind, from_state, to_state, reason)
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
        let (from, to) = states.map(|(from, to)| (from.as_str(), to.as_str())).unzip();
        self.execute(insert, params![self.now_ms, self.run, task.map(|id| id.0), kind, from, to, reason])?;
        Ok(())
    }

    /// Ends a task, with its reason as its last error.
    pub(super) fn end(&self, id: TaskId, event: TaskEvent, reason: &str) -> Result<TaskState, ManifestError> {
        self.execute("UPDATE tasks SET last_error = ? WHERE id = ?", params![reason, id.0])?;
        self.step(id, event, reason)
    }

    /// Quarantines the invalid bars of a page, each with its reason.
    pub(super) fn quarantine(&self, id: TaskId, page: &PageCommit) -> Result<(), ManifestError> {
        let insert = "INSERT INTO quarantine (task_id, run_id, at_ms, request_id, timestamp_ms, bar, reason)
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
        let request_id = &page.evidence.request_id;
        for bad in &page.bad {
            let (bar, reason) = (json(&bad.bar), bad.fault.to_string());
            let values = params![id.0, self.run, self.now_ms, request_id, bad.bar.timestamp, bar, reason];
            self.execute(insert, values)?;
        }
        if let Some(first) = page.bad.first() {
            let reason = format!("{} in quarantine; the first: {first}", page.bad.len());
            self.event(Some(id), "quarantined", None, &reason)?;
        }
        Ok(())
    }

    /// Records which bars of a task were revised, and how.
    pub(super) fn revised(&self, id: TaskId, revisions: &[(Month, Revision)]) -> Result<(), ManifestError> {
        for (month, revision) in revisions {
            self.event(Some(id), "revised", None, &format!("{month}: {revision}"))?;
        }
        Ok(())
    }

    /// Describes the quarantined bars of a task. None if it has none.
    pub(super) fn quarantined(&self, id: TaskId) -> Result<Option<String>, ManifestError> {
        let select = "SELECT count(*), min(timestamp_ms), reason FROM quarantine WHERE task_id = ?";
        let mut select = self.sqlite.prepare_cached(select)?;
        let (bars, first, reason): (u64, Option<i64>, Option<String>) =
            select.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(first.zip(reason).map(|(first, reason)| {
            format!("all bars are stored except {bars} in quarantine; the first, at {first} ms, {reason}")
        }))
    }

    /// Deletes the quarantined bars of tasks that meet a condition: these tasks are requested again from their
    /// beginning.
    pub(super) fn leave_quarantine(&self, condition: &str) -> Result<(), ManifestError> {
        let tasks = format!(
            "SELECT id FROM tasks WHERE {condition} AND EXISTS (SELECT 1 FROM quarantine WHERE task_id = tasks.id)"
        );
        self.execute(&format!("UPDATE tasks SET bars = 0, cursor = NULL WHERE id IN ({tasks})"), [])?;
        self.execute(&format!("DELETE FROM quarantine WHERE task_id IN ({tasks})"), [])?;
        Ok(())
    }

    /// Number of bars of a recorded partition, and the run that wrote it last.
    pub(super) fn stored(&self, partition: &Partition) -> Result<Option<(u64, Option<i64>)>, ManifestError> {
        let select = "SELECT bars, run_id FROM partitions WHERE ticker = ? AND month = ?";
        let mut select = self.sqlite.prepare_cached(select)?;
        let key = params![partition.symbol.as_str(), partition.month.to_string()];
        Ok(select.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// Records a partition as it is now on disk.
    pub(super) fn replace(&self, partition: &Partition) -> Result<(), ManifestError> {
        // OR REPLACE would remove the old row without a trigger, and the holdings would always count it.
        let replace = "INSERT INTO partitions (ticker, month, bars, first_ms, last_ms, bytes, xxh3,
                           session_mask, session_bars, stored_at_ms, run_id)
                       VALUES (:ticker, :month, :bars, :first, :last, :bytes, :xxh3, :mask, :session_bars, :now, :run)
                       ON CONFLICT (ticker, month) DO UPDATE SET bars = excluded.bars, first_ms = excluded.first_ms,
                           last_ms = excluded.last_ms, bytes = excluded.bytes, xxh3 = excluded.xxh3,
                           session_mask = excluded.session_mask, session_bars = excluded.session_bars,
                           stored_at_ms = excluded.stored_at_ms, run_id = excluded.run_id";
        let (mask, session_bars) = rows::sessions(&partition.bars_by_day);
        let values = named_params! {
            ":ticker": partition.symbol.as_str(),
            ":month": partition.month.to_string(),
            ":bars": partition.bars,
            ":first": partition.first_ms,
            ":last": partition.last_ms,
            ":bytes": partition.bytes,
            ":xxh3": format!("{:016x}", partition.xxh3),
            ":mask": mask,
            ":session_bars": session_bars,
            ":now": self.now_ms,
            ":run": self.run,
        };
        self.execute(replace, values)?;
        self.reopen_closed(partition)?;
        self.regain(partition)
    }

    /// Advances a task's cursor and counters and records the evidence. Returns the task's bars so far.
    pub(super) fn advance(&self, id: TaskId, page: &PageCommit) -> Result<u64, ManifestError> {
        let update = "UPDATE tasks SET begun_at_ms = iif(cursor IS NULL, ?3, begun_at_ms), cursor = ?1, pages = pages + 1,
                          bars = bars + ?2, attempts = 0, last_error = NULL, updated_at_ms = ?3 WHERE id = ?4
                      RETURNING pages, bars";
        let evidence = &page.evidence;
        let values = params![page.next.as_ref().map(Cursor::as_str), evidence.bars, self.now_ms, id.0];
        let (number, bars): (u64, u64) =
            self.sqlite.prepare_cached(update)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let insert =
            "INSERT INTO pages (task_id, number, run_id, stored_at_ms, request_id, status, bars, first_ms,
                          last_ms, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (first, last) = evidence.span_ms.unzip();
        let (request_id, status) = (&evidence.request_id, &evidence.status);
        let values = params![
            id.0,
            number,
            self.run,
            self.now_ms,
            request_id,
            status,
            evidence.bars,
            first,
            last,
            evidence.bytes
        ];
        self.execute(insert, values)?;
        Ok(bars)
    }
}

/// A bar as JSON with the server's names.
fn json(bar: &Bar) -> String {
    let Bar { timestamp, open, high, low, close, volume, vwap, transactions } = bar;
    serde_json::json!({
        "t": timestamp, "o": open, "h": high, "l": low, "c": close, "v": volume, "vw": vwap, "n": transactions
    })
    .to_string()
}
