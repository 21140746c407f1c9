//! Days that were requested and that the plan does not serve.
//!
//! They belong to no task: nothing is pending for them, and a later request for any of them is planned as if they had
//! never been requested. A task that begins before the plan's history is cut: it continues with the days that are
//! served, and the days before are recorded here. Bars of these days that were stored earlier, when the plan served
//! them, stay with the task that fetched them.

use std::collections::HashMap;

use grab_model::{HistoryStart, Month, Symbol, Window};
use jiff::{ToSpan, civil::Date};
use rusqlite::{Connection, Params, params};

use super::{
    ManifestError, ManifestReader, ManifestWriter, TaskEvent, TaskId, TaskState, rows,
    transaction::Transaction,
};

/// The effect of cutting the pending tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutTasks {
    /// Tasks without any day that is served: they are removed.
    pub ended: u64,
    /// Calendar days that were cut from all tasks.
    pub days: u64,
}

/// The columns of `tasks` that are needed here.
struct TaskWindow {
    id: TaskId,
    symbol: Symbol,
    window: Window,
    state: TaskState,
    pages: u64,
    is_repair: bool,
    /// Whether the source of these bars has responded to it.
    is_answered: bool,
}

impl ManifestWriter {
    /// Whether, since it was opened, days were requested that are known not to be served.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.has_refused
    }

    /// Cuts every pending task without a response that begins before the plan's history.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn cut_pending(&mut self, edge: HistoryStart) -> Result<CutTasks, ManifestError> {
        let change = self.begin()?;
        let select = "SELECT id, ticker, from_date, to_date, state, pages, is_repair, begun_at_ms FROM tasks
                      WHERE state = 'pending' AND pages = 0 AND from_date < ? ORDER BY id";
        let tasks = select_rows(&change, select, [edge.first_served().to_string()])?;
        let mut cut = CutTasks::default();
        for task in &tasks {
            let left = cut_task(&change, task, edge)?;
            cut.ended += u64::from(left.is_none());
            cut.days += u64::from(task.window.days() - left.map_or(0, Window::days));
        }
        if tasks.is_empty() {
            return Ok(cut);
        }
        change.commit()?;
        self.has_refused |= tasks.iter().any(|task| has_refused(task, edge));
        Ok(cut)
    }

    /// Cuts a running task. Returns the days with which it continues. None if it has ended.
    ///
    /// # Errors
    /// If the task is not running, or the manifest cannot be written.
    pub fn cut(&mut self, id: TaskId, edge: HistoryStart) -> Result<Option<Window>, ManifestError> {
        let change = self.begin()?;
        // Only a running task can be cut: the state machine checks that in every case.
        change.ask(id, TaskEvent::Refused)?;
        let select = "SELECT id, ticker, from_date, to_date, state, pages, is_repair, begun_at_ms FROM tasks WHERE id = ?";
        let tasks = select_rows(&change, select, [id.0])?;
        let task = tasks.first().ok_or_else(|| ManifestError::Corrupt("a task is gone".to_owned()))?;
        let left = cut_task(&change, task, edge)?;
        change.commit()?;
        self.has_refused |= has_refused(task, edge);
        Ok(left)
    }

    /// Makes tasks of all days that were not served, because the plan serves more now. Returns how many tasks there
    /// are.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn reopen_not_entitled(&mut self, reason: &str) -> Result<u64, ManifestError> {
        let change = self.begin()?;
        let added = change.reopen_not_entitled(reason)?;
        change.commit()?;
        Ok(added)
    }

    /// Returns the days that were requested and are not served, by symbol and time.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn not_entitled(&self) -> Result<Vec<(Symbol, Window)>, ManifestError> {
        all(&self.connection)
    }
}

impl ManifestReader {
    /// Returns the days that were requested and are not served, by symbol and time.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn not_entitled(&self) -> Result<Vec<(Symbol, Window)>, ManifestError> {
        all(self.connection())
    }

    /// Returns the days of one symbol that were requested and are not served.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn not_entitled_of(&self, symbol: &Symbol) -> Result<Vec<Window>, ManifestError> {
        let select = "SELECT from_date, to_date FROM not_entitled WHERE ticker = ? ORDER BY from_date";
        windows(self.connection(), select, [symbol.as_str()])
    }

    /// Returns all requested days of each symbol, whether the plan serves them or not.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn requested_windows(&self) -> Result<HashMap<Symbol, Vec<Window>>, ManifestError> {
        let mut requested = self.windows()?;
        for (symbol, window) in self.not_entitled()? {
            requested.entry(symbol).or_default().push(window);
        }
        Ok(requested)
    }
}

impl Transaction<'_> {
    /// Makes tasks of all days that were not served.
    pub(super) fn reopen_not_entitled(&self, reason: &str) -> Result<u64, ManifestError> {
        let days = all(&self.sqlite)?;
        self.execute("DELETE FROM not_entitled", [])?;
        let mut added = 0;
        for (symbol, window) in &days {
            added += u64::from(self.add_task(symbol, *window)?);
        }
        if added > 0 {
            let reason = format!("{added} tasks of days that were not served: {reason}");
            self.event(None, "planned", None, &reason)?;
        }
        Ok(added)
    }

    /// Adds days of a symbol to those that are not served; ranges that touch become one.
    pub(super) fn add_not_entitled(&self, symbol: &Symbol, window: Window) -> Result<(), ManifestError> {
        let around = [window.from().saturating_sub(1.day()), window.to().saturating_add(1.day())];
        let known = self.not_entitled_within(symbol, around)?;
        let from =
            known.iter().map(|one| one.from()).min().map_or(window.from(), |from| from.min(window.from()));
        let to = known.iter().map(|one| one.to()).max().map_or(window.to(), |to| to.max(window.to()));
        if known.len() == 1 && (known[0].from(), known[0].to()) == (from, to) {
            return Ok(());
        }
        self.replace_not_entitled(symbol, &known, Window::new(from, to).as_slice())
    }

    /// Removes days of a symbol from those that are not served: they are requested again.
    pub(super) fn take_not_entitled(&self, symbol: &Symbol, window: Window) -> Result<(), ManifestError> {
        let known = self.not_entitled_within(symbol, [window.from(), window.to()])?;
        let left: Vec<_> = known.iter().flat_map(|one| one.minus(window)).collect();
        self.replace_not_entitled(symbol, &known, &left)
    }

    /// Removes the days of a task with a response from those that are not served. It may have run while others were
    /// cut.
    pub(super) fn take_answered(&self, id: TaskId) -> Result<(), ManifestError> {
        let select = "SELECT ticker, from_date, to_date FROM tasks WHERE id = ?";
        let mut select = self.sqlite.prepare_cached(select)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (ticker, from, to): (String, String, String) = select.query_row([id.0], read)?;
        self.take_not_entitled(&rows::symbol(&ticker)?, rows::window(&from, &to)?)
    }

    /// The ranges of a symbol that have any of the days from one to another.
    fn not_entitled_within(&self, symbol: &Symbol, ends: [Date; 2]) -> Result<Vec<Window>, ManifestError> {
        let select = "SELECT from_date, to_date FROM not_entitled WHERE ticker = ?1 AND from_date <= ?3 AND to_date >= ?2";
        let [from, to] = ends.map(|day| day.to_string());
        windows(&self.sqlite, select, params![symbol.as_str(), from, to])
    }

    fn replace_not_entitled(
        &self,
        symbol: &Symbol,
        known: &[Window],
        windows: &[Window],
    ) -> Result<(), ManifestError> {
        for one in known {
            let delete = "DELETE FROM not_entitled WHERE ticker = ? AND from_date = ?";
            self.execute(delete, params![symbol.as_str(), one.from().to_string()])?;
        }
        for window in windows {
            let insert = "INSERT INTO not_entitled (ticker, from_date, to_date, at_ms) VALUES (?, ?, ?, ?)";
            let (from, to) = (window.from().to_string(), window.to().to_string());
            self.execute(insert, params![symbol.as_str(), from, to, self.now_ms])?;
        }
        Ok(())
    }
}

/// Whether a task has a session that is refused, and not just a weekend before the first one that is served.
fn has_refused(task: &TaskWindow, edge: HistoryStart) -> bool {
    task.window.from() <= edge.last_refused()
}

/// Cuts a task that is pending or running. Returns the days with which it continues. None if it has ended or was
/// removed.
fn cut_task(
    change: &Transaction<'_>,
    task: &TaskWindow,
    edge: HistoryStart,
) -> Result<Option<Window>, ManifestError> {
    let Some((before, rest)) = edge.split(task.window) else { return Ok(Some(task.window)) };
    let reason = format!("{} {before}: {edge}", task.symbol);
    if rest.is_none() && was_empty(change, task)? {
        let update = "UPDATE tasks SET cursor = NULL, bars = 0, attempts = 0, last_error = NULL WHERE id = ?";
        change.execute(update, [task.id.0])?;
        change.step(task.id, TaskEvent::ProvenEmpty, &reason)?;
        return Ok(None);
    }
    let windows = uncovered(change, task, before)?;
    // Days with a response from the time when the plan still served them stay with this task.
    let stored = if task.pages > 0 { stored_in(change, task, &windows)? } else { None };
    let answered = stored.and_then(|(last, bars)| Some((Window::new(task.window.from(), last)?, bars)));
    for window in &windows {
        let left = answered.map_or_else(|| vec![*window], |(answered, _)| window.minus(answered));
        left.iter().try_for_each(|window| change.add_not_entitled(&task.symbol, *window))?;
    }
    change.event(Some(task.id), "not_entitled", None, &reason)?;
    match (answered, rest) {
        (Some(answered), rest) => {
            // The next repair requests what this one did not fetch.
            if let Some(rest) = rest.filter(|_| !task.is_repair) {
                change.add_task(&task.symbol, rest)?;
            }
            keep_answered(change, task, answered, &reason)?;
            Ok(None)
        }
        (None, Some(rest)) if !change.has_task(&task.symbol, rest)? => {
            let update =
                "UPDATE tasks SET from_date = ?, cursor = NULL, bars = 0, attempts = 0, last_error = NULL,
                              updated_at_ms = ? WHERE id = ?";
            change.execute(update, params![rest.from().to_string(), change.now_ms, task.id.0])?;
            Ok(Some(rest))
        }
        // Either no day is left, or another task has just these days.
        (None, _) => change.remove_task(task.id).map(|()| None),
    }
}

/// The days of a window that no other task has fetched.
fn uncovered(
    change: &Transaction<'_>,
    task: &TaskWindow,
    window: Window,
) -> Result<Vec<Window>, ManifestError> {
    let select = "SELECT from_date, to_date FROM tasks WHERE ticker = ?1 AND state IN ('done', 'empty')
                      AND from_date <= ?3 AND to_date >= ?2";
    let [from, to] = [window.from(), window.to()].map(|day| day.to_string());
    let covered = windows(&change.sqlite, select, params![task.symbol.as_str(), from, to])?;
    // Each finished task takes its days away from the parts that are left.
    let cut =
        |left: Vec<Window>, stored: &Window| left.into_iter().flat_map(|part| part.minus(*stored)).collect();
    Ok(covered.iter().fold(vec![window], cut))
}

/// The last day with bars in some ranges, and the number of bars in all of them.
fn stored_in(
    change: &Transaction<'_>,
    task: &TaskWindow,
    windows: &[Window],
) -> Result<Option<(Date, u64)>, ManifestError> {
    let select =
        "SELECT month, session_mask, session_bars FROM partitions WHERE ticker = ? AND month BETWEEN ? AND ?";
    let mut select = change.sqlite.prepare_cached(select)?;
    let mut stored: Option<(Date, u64)> = None;
    for window in windows {
        let months = [window.from(), window.to()].map(|day| Month::of(day).to_string());
        let mut found = select.query(params![task.symbol.as_str(), months[0], months[1]])?;
        while let Some(row) = found.next()? {
            let text: String = row.get(0)?;
            let month =
                Month::parse(&text).ok_or_else(|| ManifestError::Corrupt(format!("a month: {text}")))?;
            let mask: u32 = row.get(1)?;
            let bars_by_day = rows::bars_by_day(mask, &row.get::<_, String>(2)?)?;
            for day in month.days(mask & month.mask(*window)) {
                let bars = bars_by_day[usize::try_from(day.day() - 1).unwrap_or_default()];
                let (last, before) = stored.unwrap_or((day, 0));
                stored = Some((last.max(day), before + u64::from(bars)));
            }
        }
    }
    Ok(stored)
}

/// Ends a running task with the days that were fetched, and their bars.
fn keep_answered(
    change: &Transaction<'_>,
    task: &TaskWindow,
    (answered, bars): (Window, u64),
    reason: &str,
) -> Result<(), ManifestError> {
    if answered != task.window && change.has_task(&task.symbol, answered)? {
        // Another task has just these days and has no response yet: that task decides about them.
        change.end(task.id, TaskEvent::Refused, reason)?;
        return Ok(());
    }
    let update =
        "UPDATE tasks SET to_date = ?, cursor = NULL, bars = ?, attempts = 0, last_error = NULL WHERE id = ?";
    change.execute(update, params![answered.to().to_string(), bars, task.id.0])?;
    change.step(task.id, TaskEvent::Completed, reason)?;
    Ok(())
}

/// Whether a task that is requested again had a response before, and no bar. Responses of another source, from before
/// the directory's kind was decided, do not count.
fn was_empty(change: &Transaction<'_>, task: &TaskWindow) -> Result<bool, ManifestError> {
    let select = "SELECT EXISTS (SELECT 1 FROM pages WHERE task_id = ? AND bars > 0)";
    let had_bars: bool = change.sqlite.query_row(select, [task.id.0], |row| row.get(0))?;
    Ok(task.is_answered && task.state == TaskState::Running && !had_bars)
}

fn select_rows(
    change: &Transaction<'_>,
    select: &str,
    key: impl Params,
) -> Result<Vec<TaskWindow>, ManifestError> {
    let mut select = change.sqlite.prepare_cached(select)?;
    let mut found = select.query(key)?;
    let mut tasks = Vec::new();
    while let Some(row) = found.next()? {
        tasks.push(TaskWindow {
            id: TaskId(row.get(0)?),
            symbol: rows::symbol(&row.get::<_, String>(1)?)?,
            window: rows::window(&row.get::<_, String>(2)?, &row.get::<_, String>(3)?)?,
            state: row.get::<_, String>(4)?.parse()?,
            pages: row.get(5)?,
            is_repair: row.get(6)?,
            is_answered: row.get::<_, Option<i64>>(7)?.is_some(),
        });
    }
    Ok(tasks)
}

fn windows(connection: &Connection, select: &str, key: impl Params) -> Result<Vec<Window>, ManifestError> {
    let mut select = connection.prepare_cached(select)?;
    let mut found = select.query(key)?;
    let mut windows = Vec::new();
    while let Some(row) = found.next()? {
        windows.push(rows::window(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?);
    }
    Ok(windows)
}

fn all(connection: &Connection) -> Result<Vec<(Symbol, Window)>, ManifestError> {
    let select = "SELECT ticker, from_date, to_date FROM not_entitled ORDER BY ticker, from_date";
    let mut select = connection.prepare_cached(select)?;
    let mut found = select.query([])?;
    let mut days = Vec::new();
    while let Some(row) = found.next()? {
        let window = rows::window(&row.get::<_, String>(1)?, &row.get::<_, String>(2)?)?;
        days.push((rows::symbol(&row.get::<_, String>(0)?)?, window));
    }
    Ok(days)
}

#[cfg(test)]
mod tests;
