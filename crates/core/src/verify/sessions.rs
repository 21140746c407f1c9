//! All requested sessions, in order: a symbol's days are stored as one value per session.

use std::{collections::BTreeSet, ops::Range};

use jiff::civil::Date;

use grab_model::{Window, calendar};

/// All sessions from the first requested day to the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedSessions(Vec<Date>);

impl RequestedSessions {
    /// All sessions from the start of the first window to the end of the last one.
    #[must_use]
    pub fn spanned(windows: impl Iterator<Item = Window>) -> Self {
        let span =
            windows.map(|window| (window.from(), window.to())).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let window = span.and_then(|(from, to)| Window::new(from, to));
        Self(window.map_or_else(Vec::new, |window| {
            calendar::sessions(window).map(calendar::Session::date).collect()
        }))
    }

    /// Removes the days on which the market was closed.
    #[must_use]
    pub fn without(mut self, closures: &BTreeSet<Date>) -> Self {
        self.0.retain(|date| !closures.contains(date));
        self
    }

    /// The dates of the sessions.
    #[must_use]
    pub fn dates(&self) -> &[Date] {
        &self.0
    }

    /// The indexes of a window's sessions.
    pub(super) fn within(&self, window: Window) -> Range<usize> {
        self.0.partition_point(|day| *day < window.from())..self.0.partition_point(|day| *day <= window.to())
    }

    /// The index of a day. None if it is not one of these sessions.
    pub(super) fn index_of(&self, day: Date) -> Option<usize> {
        self.0.binary_search(&day).ok()
    }
}

/// The sessions in any of the windows, in order.
pub(super) fn requested(windows: &[Window]) -> Vec<Date> {
    let sessions = RequestedSessions::spanned(windows.iter().copied());
    let mut is_requested = vec![false; sessions.dates().len()];
    for window in windows {
        is_requested[sessions.within(*window)].fill(true);
    }
    sessions
        .dates()
        .iter()
        .zip(is_requested)
        .filter_map(|(date, is_requested)| is_requested.then_some(*date))
        .collect()
}
