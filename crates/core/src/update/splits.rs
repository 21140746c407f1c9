//! Splits that adjusted bars do not include yet: a new split changes a symbol's whole history.

use std::collections::HashMap;

use grab_model::{HistoryStart, Symbol, Window, calendar, new_york, universe::Universe};
use jiff::{ToSpan, civil::Date};

use super::UpdateCutoff;
use crate::manifest::TaskItem;

/// A split that the service lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedSplit {
    /// The first day on which the new shares trade.
    pub date: Date,
    /// When the service was first seen to list it, or to have withdrawn it, UTC ms. None if it was listed from the start.
    pub known_since_ms: Option<i64>,
}

/// Facts about symbols that are not in the manifest.
#[derive(Clone, Debug, Default)]
pub struct ReferenceData {
    /// The listing periods of all symbols; empty if they are not known.
    pub universe: Universe,
    /// The windows to request of newly listed symbols of a subscription.
    pub joined: Vec<(Symbol, Window)>,
    /// The splits of each symbol, if bars are adjusted for them.
    pub splits: HashMap<Symbol, Vec<ListedSplit>>,
    /// Where the history of the service's plan begins. None if it serves everything, or that is not known.
    pub history: Option<HistoryStart>,
}

impl ListedSplit {
    /// The instant before which responses are outdated, UTC ms; the first page of a task counts. On the split's own day
    /// it is not known from which hour on bars include it, and some services apply it a day late: so its symbol is
    /// requested once more when the next session is over.
    #[must_use]
    pub fn unreliable_before_ms(self, cutoff: &UpdateCutoff) -> i64 {
        let applied_ms = new_york::at_ms(self.date, 20, 0).max(self.known_since_ms.unwrap_or(i64::MIN));
        let next = new_york::date_of(applied_ms).and_then(next_session);
        let is_over = |date: &Date| *date <= cutoff.session.date();
        next.filter(is_over).map_or(applied_ms, |date| new_york::at_ms(date, 20, 0).max(applied_ms))
    }
}

fn next_session(day: Date) -> Option<Date> {
    let week = Window::new(day.tomorrow().ok()?, day.saturating_add(7.days()))?;
    calendar::sessions(week).next().map(calendar::Session::date)
}

/// The splits that are not yet in the bars of some days before them, and the windows of these days. The rolling task
/// requests its own days anyway.
pub(super) fn outdated(
    tasks: &[TaskItem],
    splits: &[ListedSplit],
    cutoff: &UpdateCutoff,
) -> (Vec<ListedSplit>, Vec<Window>) {
    let is_older = |task: &TaskItem, split: &ListedSplit| {
        let is_covered = task.state.is_covered() && !task.is_rolling && !task.is_repair;
        let is_before = task.begun_ms.is_some_and(|begun| begun < split.unreliable_before_ms(cutoff));
        is_covered && is_before && task.window.from() < split.date
    };
    let executed = splits.iter().filter(|split| split.date <= cutoff.session.date());
    let missed: Vec<_> =
        executed.filter(|split| tasks.iter().any(|task| is_older(task, split))).copied().collect();
    let of_them = tasks.iter().filter(|task| missed.iter().any(|split| is_older(task, split)));
    let windows = of_them.map(|task| task.window).collect();
    (missed, windows)
}
