//! All statements that write.

use std::{collections::HashMap, sync::Arc};

use grab_model::{Cursor, InvalidBar, Month, Partition, Revision, Symbol, Window};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    Evidence, Lock, ManifestError, SpecText, Task, TaskEvent, TaskId, TaskState, Workload, reader, rows,
    schema, transaction::Transaction,
};
use crate::{clock::Clock, data_dir::DataDir};

/// Recorded in every store and run of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The only writer of a manifest. Every method is one transaction: it is written completely or not at all.
///
/// [`super::LockedDir::open_write`] opens it, and it keeps the lock of the directory.
pub struct ManifestWriter {
    pub(super) connection: Connection,
    pub(super) clock: Clock,
    pub(super) run: Option<i64>,
    /// Where the plan is saved beside the manifest. None while a manifest is rebuilt.
    pub(super) plan_in: Option<DataDir>,
    /// Whether days were requested that are known not to be served.
    pub(super) has_refused: bool,
    /// The lock of the directory. None in tests of the writer alone.
    pub(super) _lock: Option<Arc<Lock>>,
}

/// The tasks that a `start` requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlannedTasks {
    /// New tasks.
    pub added: u64,
    /// Tasks that existed already.
    pub known: u64,
}

/// The outstanding work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Tasks that have not ended.
    pub tasks: u64,
    /// Days of their windows that no stored bar has reached.
    pub days: u64,
}

/// All changes of one stored page.
#[derive(Clone, Debug)]
pub struct PageCommit {
    /// The server's response.
    pub evidence: Evidence,
    /// The partitions with the page's bars, as they are now on stable storage.
    pub partitions: Vec<Partition>,
    /// The changes of the page to stored bars, by month.
    pub revisions: Vec<(Month, Revision)>,
    /// Invalid bars: they are quarantined.
    pub bad: Vec<InvalidBar>,
    /// The page to request next. None if the server named none, which ends the task if its window is finished.
    pub next: Option<Cursor>,
    /// Whether all sessions of the task's window were over when the server responded: else there may be more bars
    /// later.
    pub is_finished: bool,
}

/// The effect of a stored page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPage {
    /// The new state of the task.
    pub state: TaskState,
    /// Bars that the store did not have before.
    pub new_bars: u64,
    /// Partitions that this run had not written before.
    pub new_partitions: u64,
}

impl ManifestWriter {
    /// Opens the manifest of `data_dir`, and creates it if it does not exist. The caller has the lock.
    ///
    /// # Errors
    /// If the file cannot be opened, is not a manifest of grab, or is from a newer grab.
    pub(crate) fn open(data_dir: &DataDir, clock: Clock) -> Result<Self, ManifestError> {
        let plan_in = Some(data_dir.to_owned());
        let connection = schema::open(data_dir)?;
        Ok(Self { connection, clock, run: None, plan_in, has_refused: false, _lock: None })
    }

    /// The requested windows of each symbol.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn windows(&self) -> Result<HashMap<Symbol, Vec<Window>>, ManifestError> {
        reader::windows(&self.connection)
    }

    /// Records tasks in the given order, which is the order of work. Existing tasks stay as they are.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn add_tasks<'a>(
        &mut self,
        tasks: impl IntoIterator<Item = &'a (Symbol, Window)>,
    ) -> Result<PlannedTasks, ManifestError> {
        self.add_tasks_of(None, tasks, &[])
    }

    /// Records tasks as [`ManifestWriter::add_tasks`] does, with the spec that they come from, and the requested days
    /// that are known not to be served.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn add_tasks_of<'a>(
        &mut self,
        spec: Option<&SpecText>,
        tasks: impl IntoIterator<Item = &'a (Symbol, Window)>,
        not_served: &[(Symbol, Window)],
    ) -> Result<PlannedTasks, ManifestError> {
        let change = self.begin()?;
        change.save_new_spec(spec)?;
        for (symbol, window) in not_served {
            change.add_not_entitled(symbol, *window)?;
        }
        let mut planned = PlannedTasks::default();
        for (symbol, window) in tasks {
            if change.add_task(symbol, *window)? {
                planned.added += 1;
            } else {
                planned.known += 1;
            }
        }
        if planned.added > 0 {
            let reason = format!("{} tasks added, {} were there", planned.added, planned.known);
            change.event(None, "planned", None, &reason)?;
        }
        change.commit()?;
        self.has_refused |= !not_served.is_empty();
        Ok(planned)
    }

    /// The outstanding work: tasks, and days of their windows that no stored bar has reached.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn outstanding(&self) -> Result<Outstanding, ManifestError> {
        let mut outstanding = Outstanding::default();
        self.each_task("state IN ('pending', 'running')", |task| {
            outstanding.tasks += 1;
            outstanding.days += u64::from(task.window.days() - task.days_covered());
        })?;
        Ok(outstanding)
    }

    /// The tasks that a crashed process left running. The caller removes its unfinished files, then calls
    /// [`ManifestWriter::reclaim`].
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn crashed(&self) -> Result<Vec<Task>, ManifestError> {
        let mut tasks = Vec::new();
        self.each_task("state = 'running'", |task| tasks.push(task))?;
        Ok(tasks)
    }

    fn each_task(&self, condition: &str, mut each: impl FnMut(Task)) -> Result<(), ManifestError> {
        let sql = format!("SELECT {} FROM tasks WHERE {condition} ORDER BY id", Task::COLUMNS);
        let mut select = self.connection.prepare_cached(&sql)?;
        let mut found = select.query([])?;
        while let Some(row) = found.next()? {
            each(Task::read(row)?);
        }
        Ok(())
    }

    /// Makes every running task pending: under the lock, each of them is from a crashed process.
    ///
    /// `found` are the partitions that these tasks may have written last, as they are on disk: a process that crashed
    /// between a rename and its transaction left them newer than their rows.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn reclaim(&mut self, found: &[Partition]) -> Result<u64, ManifestError> {
        let change = self.begin()?;
        for partition in found {
            change.replace(partition)?;
        }
        let reason = "its process crashed, or could not write";
        let reclaimed = change.step_all("state = 'running'", TaskEvent::Crashed, reason)?;
        change.commit()?;
        Ok(reclaimed)
    }

    /// Records partitions that are on stable storage, of a page that cannot be recorded as a whole.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn record(&mut self, written: &[Partition]) -> Result<(), ManifestError> {
        let change = self.begin()?;
        for partition in written {
            change.replace(partition)?;
        }
        change.commit()
    }

    /// The recorded XXH3 of the partitions of these months.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn digests(&self, symbol: &Symbol, months: &[Month]) -> Result<HashMap<Month, u64>, ManifestError> {
        let select = "SELECT xxh3 FROM partitions WHERE ticker = ? AND month = ?";
        let mut select = self.connection.prepare_cached(select)?;
        let mut digests = HashMap::new();
        for month in months {
            let key = params![symbol.as_str(), month.to_string()];
            if let Some(text) = select.query_row(key, |row| row.get::<_, String>(0)).optional()? {
                digests.insert(*month, rows::digest(&text)?);
            }
        }
        Ok(digests)
    }

    /// Re-opens every task that ended without data. Bars and cursors stay. A task with quarantined bars is requested
    /// again from its beginning, and these bars are deleted.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn reopen_unsuccessful(&mut self) -> Result<u64, ManifestError> {
        let unsuccessful = "state IN ('not_entitled', 'not_found', 'failed')";
        let change = self.begin()?;
        change.leave_quarantine(unsuccessful)?;
        let reopened = change.step_all(unsuccessful, TaskEvent::Reopened, "requested again")?;
        change.commit()?;
        Ok(reopened)
    }

    /// Leases the first pending task that shares no partition with a running one.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn lease(&mut self) -> Result<Option<Task>, ManifestError> {
        let change = self.begin()?;
        let sql = format!(
            "SELECT {} FROM tasks WHERE state = 'pending' AND NOT EXISTS (
                 SELECT 1 FROM tasks AS r WHERE r.ticker = tasks.ticker AND +r.state = 'running'
                 AND substr(r.from_date, 1, 7) <= substr(tasks.to_date, 1, 7)
                 AND substr(r.to_date, 1, 7) >= substr(tasks.from_date, 1, 7))
             ORDER BY id LIMIT 1",
            Task::COLUMNS
        );
        let task = {
            let mut select = change.sqlite.prepare_cached(&sql)?;
            let mut found = select.query([])?;
            found.next()?.map(Task::read).transpose()?
        };
        if let Some(task) = &task {
            change.step(task.id, TaskEvent::Leased, "leased by a worker")?;
            change.execute("UPDATE tasks SET attempts = 0 WHERE id = ?", [task.id.0])?;
        }
        change.commit()?;
        Ok(task)
    }

    /// Records a page whose bars are on stable storage, in one transaction: evidence, partitions, cursor, counters, and
    /// the end of the task, if this was its last page.
    ///
    /// # Errors
    /// If the task is not running, or the manifest cannot be written.
    pub fn store_page(&mut self, id: TaskId, page: &PageCommit) -> Result<StoredPage, ManifestError> {
        let change = self.begin()?;
        // Checked before anything is written: else a CHECK would refuse it, with a message that names no transition.
        change.ask(id, TaskEvent::PageStored)?;
        let (mut new_bars, mut new_partitions) = (0, 0);
        for partition in &page.partitions {
            let (bars_before, run_before) = change.stored(partition)?.unwrap_or_default();
            new_bars += partition.bars.saturating_sub(bars_before);
            new_partitions += u64::from(run_before != change.run);
            change.replace(partition)?;
        }
        let bars = change.advance(id, page)?;
        change.quarantine(id, page)?;
        change.revised(id, &page.revisions)?;
        let state = match (&page.next, change.quarantined(id)?) {
            (Some(_), _) => change.step(id, TaskEvent::PageStored, "the server named a further page")?,
            (None, Some(bad)) => change.end(id, TaskEvent::GivenUp, &bad)?,
            (None, None) if !page.is_finished => {
                change.step(id, TaskEvent::PageStored, "not all sessions of its window have ended")?
            }
            (None, None) => {
                let event = if bars == 0 { TaskEvent::ProvenEmpty } else { TaskEvent::Completed };
                change.step(id, event, "the server named no further page")?
            }
        };
        change.commit()?;
        Ok(StoredPage { state, new_bars, new_partitions })
    }

    /// Records that a request failed and will be sent again.
    ///
    /// # Errors
    /// If the task is not running, or the manifest cannot be written.
    pub fn retry(&mut self, id: TaskId, attempts: u32, reason: &str) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.step(id, TaskEvent::RetryScheduled, reason)?;
        let update = "UPDATE tasks SET attempts = ?, last_error = ? WHERE id = ?";
        change.execute(update, params![attempts, reason, id.0])?;
        change.commit()
    }

    /// Ends a task without success, or releases it. Bars and cursor stay.
    ///
    /// # Errors
    /// If the transition is illegal, or the manifest cannot be written.
    pub fn end(&mut self, id: TaskId, event: TaskEvent, reason: &str) -> Result<TaskState, ManifestError> {
        let change = self.begin()?;
        change.ask(id, event)?;
        let state = if event == TaskEvent::Released {
            change.step(id, event, reason)?
        } else {
            change.end(id, event, reason)?
        };
        change.commit()?;
        Ok(state)
    }

    /// The number of tasks in each state.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn counts(&self) -> Result<Workload, ManifestError> {
        reader::counts(&self.connection)
    }

    pub(super) fn begin(&mut self) -> Result<Transaction<'_>, ManifestError> {
        let Self { connection, clock, run, plan_in, has_refused: _, _lock } = self;
        let sqlite = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Transaction { sqlite, now_ms: clock.now_ms(), run: *run, plan_in: plan_in.as_ref() })
    }
}

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;
