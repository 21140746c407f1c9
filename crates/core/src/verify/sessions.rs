//! The sessions that anybody asked for, in order: days of a symbol are kept as one value for each of them.

use std::{collections::BTreeSet, ops::Range};

use jiff::civil::Date;

use grab_model::{Window, calendar};

/// All sessions from the first day that was asked for to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedSessions(Vec<Date>);

impl AskedSessions {
    /// The sessions that the windows span together.
    #[must_use]
    pub fn spanned(windows: impl Iterator<Item = Window>) -> Self {
        let span =
            windows.map(|window| (window.from(), window.to())).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let window = span.and_then(|(from, to)| Window::new(from, to));
        Self(window.map_or_else(Vec::new, |window| {
            calendar::sessions(window).map(calendar::Session::date).collect()
        }))
    }

    /// The others, when those on which the market was closed are taken away.
    #[must_use]
    pub fn without(mut self, closures: &BTreeSet<Date>) -> Self {
        self.0.retain(|date| !closures.contains(date));
        self
    }

    /// Their days.
    #[must_use]
    pub fn dates(&self) -> &[Date] {
        &self.0
    }

    /// The places of a window's sessions.
    pub(super) fn within(&self, window: Window) -> Range<usize> {
        self.0.partition_point(|day| *day < window.from())..self.0.partition_point(|day| *day <= window.to())
    }

    /// The place of a day, if it is one of them.
    pub(super) fn place(&self, day: Date) -> Option<usize> {
        self.0.binary_search(&day).ok()
    }
}

/// The sessions that are in any of the windows, in order.
pub(super) fn asked(windows: &[Window]) -> Vec<Date> {
    let sessions = AskedSessions::spanned(windows.iter().copied());
    let mut is_asked = vec![false; sessions.dates().len()];
    for window in windows {
        is_asked[sessions.within(*window)].fill(true);
    }
    sessions.dates().iter().zip(is_asked).filter_map(|(date, is_asked)| is_asked.then_some(*date)).collect()
}
