//! Rolling tasks: one incremental task for each symbol, which each update extends.
//!
//! A task for every update would make a manifest of millions of rows in a year. So a rolling task that has ended is
//! first merged into the task before it, whose window then reaches as far, and the same row requests the next days. The
//! responses in between stay in `pages` and `events`.

use grab_model::{Symbol, Window};
use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};

use super::{
    ManifestError, ManifestWriter, TaskEvent, TaskId, TaskState, rows,
    transaction::{NEW_TASK, Transaction},
};

/// The columns of `tasks` that are needed here.
struct RollingRow {
    id: TaskId,
    window: Window,
    state: TaskState,
}

impl ManifestWriter {
    /// Makes the days of each symbol's window pending, as its rolling task.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn extend_rolling_tasks(&mut self, windows: &[(Symbol, Window)]) -> Result<(), ManifestError> {
        let change = self.begin()?;
        for (symbol, window) in windows {
            extend_rolling_task(&change, symbol, *window)?;
        }
        change.commit()
    }

    /// Re-opens, from their beginning, tasks that were fetched before a split was applied: for each symbol the days
    /// before the split, and the instant (UTC ms) until which responses did not have it. Rolling tasks are requested
    /// anyway.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn reopen_split(&mut self, splits: &[(Symbol, Date, i64)]) -> Result<u64, ManifestError> {
        let change = self.begin()?;
        let mut reopened = 0;
        for (symbol, date, applied_ms) in splits {
            // A symbol has no character that SQL would need quoted.
            let outdated = format!(
                "ticker = '{symbol}' AND NOT is_tail AND NOT is_repair AND state IN ('done', 'empty')
                 AND from_date < '{date}' AND coalesce(begun_at_ms, updated_at_ms) < {applied_ms}"
            );
            reopened += change.step_all(&outdated, TaskEvent::Reopened, &format!("a split on {date}"))?;
            // A task that restarts counts its bars from zero.
            let restart =
                "UPDATE tasks SET bars = 0 WHERE state = 'pending' AND ticker = ? AND cursor IS NULL";
            change.execute(restart, [symbol.as_str()])?;
        }
        change.commit()?;
        Ok(reopened)
    }

    /// Re-opens every task that was given up: each update tries them again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn reopen_failed(&mut self) -> Result<u64, ManifestError> {
        let failed = "state = 'failed'";
        let change = self.begin()?;
        change.leave_quarantine(failed)?;
        let reopened = change.step_all(failed, TaskEvent::Reopened, "an update requests it again")?;
        change.commit()?;
        Ok(reopened)
    }
}

fn extend_rolling_task(
    change: &Transaction<'_>,
    symbol: &Symbol,
    window: Window,
) -> Result<(), ManifestError> {
    let Some(rolling) = rolling(change, symbol)? else { return begin_rolling_task(change, symbol, window) };
    if rolling.state.is_covered() {
        return if settle(change, symbol, &rolling)? {
            ask(change, symbol, &rolling, window)
        } else {
            change.execute("UPDATE tasks SET is_tail = 0 WHERE id = ?", [rolling.id.0])?;
            begin_rolling_task(change, symbol, window)
        };
    }
    // The days that it had not fetched yet are still pending.
    let from = rolling.window.from().min(window.from());
    let to = rolling.window.to().max(window.to());
    Window::new(from, to).map_or(Ok(()), |window| ask(change, symbol, &rolling, window))
}

fn rolling(change: &Transaction<'_>, symbol: &Symbol) -> Result<Option<RollingRow>, ManifestError> {
    row(change, "ticker = ?1 AND is_tail", symbol, ["", ""])
}

/// One row of a symbol; `days` are ?2 and ?3.
fn row(
    change: &Transaction<'_>,
    condition: &str,
    symbol: &Symbol,
    days: [&str; 2],
) -> Result<Option<RollingRow>, ManifestError> {
    let select = format!(
        "SELECT id, from_date, to_date, state, ?2, ?3 FROM tasks WHERE {condition} ORDER BY to_date DESC LIMIT 1"
    );
    let mut select = change.sqlite.prepare_cached(&select)?;
    let found = select.query_row(params![symbol.as_str(), days[0], days[1]], |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    });
    let Some((id, from, to, state)) = found.optional()? else { return Ok(None) };
    Ok(Some(RollingRow { id: TaskId(id), window: rows::window(&from, &to)?, state: state.parse()? }))
}

/// Merges the days of an ended rolling task into the task before it. False if there is no task whose state fits both:
/// then the rolling task stays as a task of its own.
fn settle(change: &Transaction<'_>, symbol: &Symbol, rolling: &RollingRow) -> Result<bool, ManifestError> {
    let condition =
        "ticker = ?1 AND NOT is_tail AND NOT is_repair AND NOT asked_again AND state IN ('done', 'empty')
                     AND from_date <= ?2 AND to_date >= ?3";
    let (from, to) = (rolling.window.from(), rolling.window.to());
    let day_before = from.yesterday().unwrap_or(from);
    let Some(base) = row(change, condition, symbol, [&from.to_string(), &day_before.to_string()])? else {
        return Ok(false);
    };
    if base.window.to() >= to {
        return Ok(true);
    }
    // A task without bars cannot take over days with bars: its state would be wrong.
    let fits_both = base.state == TaskState::Done || rolling.state == TaskState::Empty;
    let joined = Window::new(base.window.from(), to);
    if !fits_both || joined.map_or(Ok(false), |joined| change.has_task(symbol, joined))? {
        return Ok(false);
    }
    change.execute("UPDATE tasks SET to_date = ? WHERE id = ?", params![to.to_string(), base.id.0])?;
    Ok(true)
}

/// Makes a rolling task request a window from its beginning.
fn ask(
    change: &Transaction<'_>,
    symbol: &Symbol,
    rolling: &RollingRow,
    window: Window,
) -> Result<(), ManifestError> {
    let (from, to) = (window.from().to_string(), window.to().to_string());
    if rolling.window != window && change.has_task(symbol, window)? {
        change.execute("UPDATE tasks SET is_tail = 0 WHERE id = ?", [rolling.id.0])?;
        return begin_rolling_task(change, symbol, window);
    }
    let reason = format!("moved on from {} to {window}", rolling.window);
    if rolling.state.is_ended() {
        change.leave_quarantine(&format!("id = {}", rolling.id.0))?;
        change.step(rolling.id, TaskEvent::Reopened, &reason)?;
    } else if rolling.window == window {
        return Ok(());
    } else {
        change.event(Some(rolling.id), "moved", None, &reason)?;
    }
    let update = "UPDATE tasks SET from_date = ?, to_date = ?, cursor = NULL, bars = 0, attempts = 0, last_error = NULL,
                      updated_at_ms = ? WHERE id = ?";
    change.execute(update, params![from, to, change.now_ms, rolling.id.0])?;
    Ok(())
}

/// Gives a symbol a rolling task: a new one, or the existing task of just these days.
fn begin_rolling_task(
    change: &Transaction<'_>,
    symbol: &Symbol,
    window: Window,
) -> Result<(), ManifestError> {
    let (from, to) = (window.from().to_string(), window.to().to_string());
    let same = row(change, "ticker = ?1 AND from_date = ?2 AND to_date = ?3", symbol, [&from, &to])?;
    if let Some(same) = same {
        change.execute("UPDATE tasks SET is_tail = 1, is_repair = 0 WHERE id = ?", [same.id.0])?;
        return ask(change, symbol, &same, window);
    }
    let insert = format!(
        "INSERT INTO tasks (id, ticker, from_date, to_date, is_tail, updated_at_ms) VALUES ({NEW_TASK}, ?, ?, ?, 1, ?)"
    );
    change.execute(&insert, params![symbol.as_str(), from, to, change.now_ms])?;
    change.event(None, "planned", None, &format!("{symbol} {window}: an update requests it"))
}

#[cfg(test)]
mod tests {
    use crate::data_dir::DataDir;
    use jiff::civil::date;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        clock::Clock,
        manifest::{Evidence, PageCommit},
    };

    struct Trial {
        dir: TempDir,
        writer: ManifestWriter,
    }

    fn symbol() -> Symbol {
        "A".parse().unwrap()
    }

    fn november(from: i8, to: i8) -> Window {
        Window::new(date(2024, 11, from), date(2024, 11, to)).unwrap()
    }

    impl Trial {
        fn new(windows: &[Window]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
            writer.begin_run("update", "").unwrap();
            let tasks: Vec<_> = windows.iter().map(|window| (symbol(), *window)).collect();
            writer.add_tasks(&tasks).unwrap();
            Self { dir, writer }
        }

        fn move_to(&mut self, window: Window) {
            self.writer.extend_rolling_tasks(&[(symbol(), window)]).unwrap();
        }

        /// Ends all pending tasks, with this many bars each.
        fn finish(&mut self, bars: u64) {
            while let Some(task) = self.writer.lease().unwrap() {
                let evidence = Evidence {
                    request_id: None,
                    status: "OK".into(),
                    bars,
                    span_ms: (bars > 0).then_some((0, 1)),
                    bytes: 1,
                };
                let page = PageCommit {
                    evidence,
                    partitions: Vec::new(),
                    revisions: Vec::new(),
                    bad: Vec::new(),
                    next: None,
                    is_finished: true,
                };
                self.writer.store_page(task.id, &page).unwrap();
            }
        }

        fn tasks(&self) -> Vec<String> {
            let tasks = DataDir::new(self.dir.path()).open_read().unwrap().tasks().unwrap();
            tasks.iter().map(|task| format!("{} {}", task.window, task.state)).collect()
        }
    }

    #[test]
    fn a_year_of_evenings_is_two_rows() {
        let mut trial = Trial::new(&[november(1, 11)]);
        trial.finish(5);
        for day in 12..=22 {
            trial.move_to(november(day - 4, day));
            trial.finish(3);
        }
        assert_eq!(trial.tasks(), ["2024-11-01..2024-11-21 done", "2024-11-18..2024-11-22 done"]);
        trial.move_to(november(19, 25));
        trial.move_to(november(19, 25));
        assert_eq!(trial.tasks(), ["2024-11-01..2024-11-22 done", "2024-11-19..2024-11-25 pending"]);
    }

    #[test]
    fn what_a_tail_owes_it_goes_on_owing() {
        let mut trial = Trial::new(&[november(1, 11)]);
        trial.finish(5);
        trial.move_to(november(8, 12));
        trial.move_to(november(9, 13));
        assert_eq!(trial.tasks(), ["2024-11-01..2024-11-11 done", "2024-11-08..2024-11-13 pending"]);
        let task = trial.writer.lease().unwrap().unwrap();
        trial.writer.end(task.id, TaskEvent::GivenUp, "HTTP 500").unwrap();
        trial.move_to(november(10, 14));
        assert_eq!(trial.tasks(), ["2024-11-01..2024-11-11 done", "2024-11-08..2024-11-14 pending"]);
    }

    #[test]
    fn bars_are_not_added_to_a_window_that_is_proven_empty() {
        let mut trial = Trial::new(&[november(1, 11)]);
        trial.finish(0);
        trial.move_to(november(11, 12));
        trial.finish(0);
        trial.move_to(november(12, 13));
        assert_eq!(trial.tasks(), ["2024-11-01..2024-11-12 empty", "2024-11-12..2024-11-13 pending"]);
        trial.finish(2);
        trial.move_to(november(13, 14));
        let rows =
            ["2024-11-01..2024-11-12 empty", "2024-11-12..2024-11-13 done", "2024-11-13..2024-11-14 pending"];
        assert_eq!(trial.tasks(), rows);
        trial.finish(2);
        trial.move_to(november(14, 15));
        assert_eq!(
            trial.tasks()[1],
            "2024-11-12..2024-11-14 done",
            "the next one has a task before it again"
        );
    }

    #[test]
    fn a_window_that_is_recorded_already_becomes_the_rolling_task() {
        let mut trial = Trial::new(&[november(1, 11), november(8, 12)]);
        trial.finish(5);
        trial.move_to(november(8, 12));
        assert_eq!(trial.tasks(), ["2024-11-01..2024-11-11 done", "2024-11-08..2024-11-12 pending"]);
    }
}
