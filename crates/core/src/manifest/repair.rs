//! What a repair changes: lost partitions, found partitions, and windows that are requested again.

use grab_model::{Month, Partition, Symbol, Window};
use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};

use super::{
    ManifestError, ManifestWriter, TaskEvent, TaskId, TaskState,
    transaction::{NEW_TASK, Transaction},
};

/// The changes of a repair, made in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairTransaction {
    /// Recorded partitions that are missing or damaged.
    pub lost: Vec<(Symbol, Month)>,
    /// Good partitions that are not recorded.
    pub found: Vec<Partition>,
    /// Windows to request in place of something that is lost.
    pub replaced: Vec<(Symbol, Window)>,
    /// Days without bars to request again: bars that are not found then, the server does not have.
    pub again: Vec<(Symbol, Window)>,
    /// Windows of subscriptions that were never requested.
    pub ordered: Vec<(Symbol, Window)>,
    /// Days whose stored witness is missing or damaged.
    pub unwitnessed: Vec<Date>,
}

impl ManifestWriter {
    /// Turns lost partitions into tombstones, records found ones, and makes tasks of what is to be requested again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn apply_repair(&mut self, repair: &RepairTransaction) -> Result<(), ManifestError> {
        let change = self.begin()?;
        for (symbol, month) in &repair.lost {
            change.bury(symbol, *month)?;
            change.event(None, "lost", None, &format!("{symbol} {month}: its file is missing or damaged"))?;
        }
        for partition in &repair.found {
            change.replace(partition)?;
            let Partition { symbol, month, bars, .. } = partition;
            change.event(
                None,
                "found",
                None,
                &format!("{symbol} {month}: {bars} bars that were not recorded"),
            )?;
        }
        for date in &repair.unwitnessed {
            change.execute("DELETE FROM witnesses WHERE date = ?", [date.to_string()])?;
            change.event(
                None,
                "lost",
                None,
                &format!("the witness of {date}: its file is missing or damaged"),
            )?;
        }
        for (symbol, window) in repair.ordered.iter().chain(&repair.replaced) {
            ask(&change, symbol, *window, false)?;
        }
        for (symbol, window) in &repair.again {
            ask(&change, symbol, *window, true)?;
        }
        change.commit()
    }
}

/// Makes a task of a window; or, if there is one of just this window, restarts that one. With `is_again`, a task that
/// had ended as done or empty is marked: bars that it does not find now, the server does not have.
fn ask(
    change: &Transaction<'_>,
    symbol: &Symbol,
    window: Window,
    is_again: bool,
) -> Result<(), ManifestError> {
    let (from, to) = (window.from().to_string(), window.to().to_string());
    let select = "SELECT id, state FROM tasks WHERE ticker = ? AND from_date = ? AND to_date = ?";
    let key = params![symbol.as_str(), from, to];
    let known: Option<(i64, String)> = change
        .sqlite
        .prepare_cached(select)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, state)) = known else {
        // A task for days that no other task has is the only record of them: it is not a repair.
        let insert = format!(
            "INSERT INTO tasks (id, ticker, from_date, to_date, asked_again, updated_at_ms, is_repair)
             SELECT {NEW_TASK}, ?1, ?2, ?3, ?4, ?5,
                 EXISTS (SELECT 1 FROM tasks WHERE ticker = ?1 AND NOT is_repair AND from_date <= ?2 AND to_date >= ?2)
                 AND EXISTS (SELECT 1 FROM tasks WHERE ticker = ?1 AND NOT is_repair AND from_date <= ?3 AND to_date >= ?3)"
        );
        change.execute(&insert, params![symbol.as_str(), from, to, is_again, change.now_ms])?;
        let reason = format!("{symbol} {window} is requested again");
        return change.event(None, "planned", None, &reason);
    };
    let state: TaskState = state.parse()?;
    if !state.is_ended() {
        // The bars that were stored before its cursor are the lost ones, so it restarts. With `is_again` it continues
        // at its cursor.
        let update = "UPDATE tasks SET bars = 0, cursor = NULL WHERE id = ?";
        return if is_again { Ok(()) } else { change.execute(update, [id]).map(|_| ()) };
    }
    change.leave_quarantine(&format!("id = {id}"))?;
    change.step(TaskId(id), TaskEvent::Reopened, "a repair requests it again")?;
    let update = "UPDATE tasks SET bars = 0, cursor = NULL, last_error = NULL, asked_again = ? WHERE id = ?";
    change.execute(update, params![is_again && state.is_covered(), id])?;
    Ok(())
}
