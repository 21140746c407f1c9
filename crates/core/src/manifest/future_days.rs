//! Days that were requested before they were over, which happens if the clock is ahead.

use grab_model::{Symbol, Window};
use jiff::civil::Date;
use rusqlite::params;

use super::{
    ManifestError, ManifestWriter, TaskEvent, TaskId, TaskItem, TaskState, rows, transaction::Transaction,
};

/// The columns of `tasks` that are needed here.
struct FutureRow {
    id: TaskId,
    symbol: Symbol,
    window: Window,
    state: TaskState,
}

impl ManifestWriter {
    /// Returns how many tasks reach beyond `last`, the last day that is over.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn reaching_beyond(&self, last: Date) -> Result<u64, ManifestError> {
        let select = "SELECT count(*) FROM tasks WHERE to_date > ?";
        Ok(self.connection.query_row(select, [last.to_string()], |row| row.get(0))?)
    }

    /// Cuts every task after `last`, the last day that is over: the server's responses about later days are not valid.
    /// A task that has ended is requested again from its beginning: when it was requested is not known, only that it
    /// was too early. Returns how many tasks were cut.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn cut_future_days(&mut self, last: Date) -> Result<u64, ManifestError> {
        let change = self.begin()?;
        let tasks = beyond(&change, last)?;
        for task in &tasks {
            cut(&change, task, last)?;
        }
        change.execute("DELETE FROM evenings WHERE session > ?", [last.to_string()])?;
        change.commit()?;
        Ok(tasks.len() as u64)
    }
}

impl TaskItem {
    /// Returns the task without the days after `last`, the last day that is over. None if no day is left. A task that
    /// was recorded as ended becomes pending: its responses were too early.
    #[must_use]
    pub fn until(mut self, last: Date) -> Option<Self> {
        if self.window.to() <= last {
            return Some(self);
        }
        let asked_to = self.window.to();
        self.window = Window::new(self.window.from(), last)?;
        if self.state.is_covered() {
            self.state = TaskState::Pending;
            self.ended_ms = None;
            self.asked_again = None;
            self.last_error = Some(format!(
                "it is recorded as requested until {asked_to}, and no session after {last} has ended by the clock of this \
                 machine: either this clock is behind, or it was ahead then, and `grab resume` requests it again"
            ));
        }
        Some(self)
    }
}

fn cut(change: &Transaction<'_>, task: &FutureRow, last: Date) -> Result<(), ManifestError> {
    let reason = format!("requested to {}, while the last day that has ended is {last}", task.window.to());
    let left = match Window::new(task.window.from(), last) {
        Some(left) if !change.has_task(&task.symbol, left)? => left,
        Some(_) | None => {
            change.event(Some(task.id), "cut", None, &format!("{} {reason}: it is removed", task.symbol))?;
            return change.remove_task(task.id);
        }
    };
    change.leave_quarantine(&format!("id = {}", task.id.0))?;
    change.event(Some(task.id), "cut", None, &reason)?;
    if task.state.is_ended() {
        change.step(task.id, TaskEvent::Reopened, &reason)?;
    }
    let update = "UPDATE tasks SET to_date = ?, cursor = NULL, bars = 0, attempts = 0 WHERE id = ?";
    change.execute(update, params![left.to().to_string(), task.id.0])?;
    Ok(())
}

fn beyond(change: &Transaction<'_>, last: Date) -> Result<Vec<FutureRow>, ManifestError> {
    let select = "SELECT id, ticker, from_date, to_date, state FROM tasks WHERE to_date > ? ORDER BY id";
    let mut select = change.sqlite.prepare_cached(select)?;
    let mut found = select.query([last.to_string()])?;
    let mut tasks = Vec::new();
    while let Some(row) = found.next()? {
        tasks.push(FutureRow {
            id: TaskId(row.get(0)?),
            symbol: rows::symbol(&row.get::<_, String>(1)?)?,
            window: rows::window(&row.get::<_, String>(2)?, &row.get::<_, String>(3)?)?,
            state: row.get::<_, String>(4)?.parse()?,
        });
    }
    Ok(tasks)
}
