//! Splits that adjusted bars do not know of yet: a new one changes a symbol's whole history.

use std::collections::HashMap;

use jiff::civil::Date;

use super::Evening;
use crate::{
    manifest::TaskItem,
    model::{Symbol, Window, new_york},
    universe::Universe,
};

/// A split that the service lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedSplit {
    /// The first day on which the new shares trade.
    pub date: Date,
    /// Since when the service is known to list it, UTC ms; none if it always did, as far as anybody knows.
    pub known_since_ms: Option<i64>,
}

/// What is known of symbols besides what the manifest says.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// Who lived when; empty if nobody knows.
    pub universe: Universe,
    /// What is asked for of symbols that were ordered by a list and are not held yet.
    pub joined: Vec<(Symbol, Window)>,
    /// The splits of each symbol, where bars are adjusted for them.
    pub splits: HashMap<Symbol, Vec<ListedSplit>>,
}

impl ListedSplit {
    /// Since when answers have it in them, UTC ms. On its own day nobody knows from which hour on they do.
    #[must_use]
    pub fn applied_ms(self) -> i64 {
        new_york::at_ms(self.date, 20, 0).max(self.known_since_ms.unwrap_or(i64::MIN))
    }
}

/// The splits that some days before them were answered without, and the windows of these days. The tail is asked for anyway.
pub(super) fn outdated(
    tasks: &[TaskItem],
    splits: &[ListedSplit],
    evening: &Evening,
) -> (Vec<ListedSplit>, Vec<Window>) {
    let is_older = |task: &TaskItem, split: &ListedSplit| {
        let is_covered = task.state.is_covered() && !task.is_tail;
        let is_before = task.ended_ms.is_some_and(|ended| ended < split.applied_ms());
        is_covered && is_before && task.window.from() < split.date
    };
    let executed = splits.iter().filter(|split| split.date <= evening.session.date());
    let missed: Vec<_> =
        executed.filter(|split| tasks.iter().any(|task| is_older(task, split))).copied().collect();
    let of_them = tasks.iter().filter(|task| missed.iter().any(|split| is_older(task, split)));
    let windows = of_them.map(|task| task.window).collect();
    (missed, windows)
}
