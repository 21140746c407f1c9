//! What the manifest alone says of a symbol: no file is looked at, and no witness asked.

use grab_model::{Month, Partition, Symbol, universe::Universe};
use jiff::civil::Date;

use super::{CutAway, Day, Nobody, Sessions, VerifyError, coverage::Facts, integrity::Checked};
use crate::manifest::{Overview, TaskItem};

/// A symbol's tasks and partitions, and an explanation for each session.
#[derive(Clone, Debug)]
pub struct Explained {
    /// In the order of work.
    pub tasks: Vec<TaskItem>,
    /// By month.
    pub recorded: Vec<Partition>,
    /// One for each of the sessions.
    pub days: Vec<Day>,
}

impl Explained {
    /// Whether there are bars on a day.
    #[must_use]
    pub fn has_bars(&self, date: Date) -> bool {
        let month = Month::of(date);
        let mut recorded = self.recorded.iter().filter(|partition| partition.month == month);
        recorded.any(|partition| partition.month.days(partition.session_mask()).any(|day| day == date))
    }

    /// When a day was asked for once more and answered, UTC ms; the last time.
    #[must_use]
    pub fn asked_again_ms(&self, date: Date) -> Option<i64> {
        let covering =
            self.tasks.iter().filter(|task| task.window.from() <= date && date <= task.window.to());
        covering.filter_map(|task| Some(task.asked_again.as_ref()?.at_ms)).max()
    }
}

/// Explains a symbol's sessions; by the universe too, if it is given.
///
/// # Errors
/// If the manifest cannot be read.
pub fn by_manifest(
    overview: &Overview,
    symbol: &Symbol,
    sessions: &Sessions,
    universe: Option<&Universe>,
) -> Result<Explained, VerifyError> {
    let (tasks, recorded) = (overview.tasks_of(symbol)?, overview.partitions(symbol)?);
    let lost = &overview.lost(symbol)?;
    let (checked, witness, cut_away) = (&Checked::default(), &Nobody, &CutAway::default());
    let not_entitled = &overview.not_entitled_of(symbol)?;
    let facts = Facts {
        symbol,
        tasks: &tasks,
        not_entitled,
        recorded: &recorded,
        lost,
        checked,
        sessions,
        witness,
        universe,
        is_written: false,
        cut_away,
    };
    let days = facts.explain();
    Ok(Explained { tasks, recorded, days })
}
