//! Explains a symbol's sessions by the manifest alone: reads no file and uses no witness.

use grab_model::{Month, Partition, Symbol, universe::Universe};
use jiff::civil::Date;

use super::{
    ListingCuts, NoWitness, RequestedSessions, SessionStatus, VerifyError, coverage::SymbolFacts,
    integrity::CheckedSymbol,
};
use crate::manifest::{ManifestReader, TaskItem};

/// A symbol's tasks and partitions, and an explanation for each session.
#[derive(Clone, Debug)]
pub struct ExplainedSymbol {
    /// In the order in which they are worked on.
    pub tasks: Vec<TaskItem>,
    /// By month.
    pub recorded: Vec<Partition>,
    /// One explanation for each session.
    pub days: Vec<SessionStatus>,
}

impl ExplainedSymbol {
    /// Whether a day has recorded bars.
    #[must_use]
    pub fn has_bars(&self, date: Date) -> bool {
        let month = Month::of(date);
        let mut recorded = self.recorded.iter().filter(|partition| partition.month == month);
        recorded.any(|partition| partition.month.days(partition.session_mask()).any(|day| day == date))
    }

    /// When a request for a day was last repeated and answered, UTC ms. None if it never was.
    #[must_use]
    pub fn asked_again_ms(&self, date: Date) -> Option<i64> {
        let covering =
            self.tasks.iter().filter(|task| task.window.from() <= date && date <= task.window.to());
        covering.filter_map(|task| Some(task.asked_again.as_ref()?.at_ms)).max()
    }
}

/// Explains a symbol's sessions; also by the universe, if it is given.
///
/// # Errors
/// If the manifest cannot be read.
pub fn by_manifest(
    reader: &ManifestReader,
    symbol: &Symbol,
    sessions: &RequestedSessions,
    universe: Option<&Universe>,
) -> Result<ExplainedSymbol, VerifyError> {
    let (tasks, recorded) = (reader.tasks_of(symbol)?, reader.partitions(symbol)?);
    let lost = &reader.lost(symbol)?;
    let (checked, witness, cut_away) = (&CheckedSymbol::default(), &NoWitness, &ListingCuts::default());
    let not_entitled = &reader.not_entitled_of(symbol)?;
    let facts = SymbolFacts {
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
    Ok(ExplainedSymbol { tasks, recorded, days })
}
