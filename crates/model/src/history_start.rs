//! Where the history that a service plan serves begins.

use std::fmt;

use jiff::{ToSpan, civil::Date};

use super::Window;

/// The edge of a plan's history: days up to one are refused, days from a later one on are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryStart {
    last_refused: Date,
    first_served: Date,
}

impl HistoryStart {
    /// The edge after the session of `last_refused`. Until the first session that is served is known, it is the day
    /// after the last refused one. None if `first_served` is not after `last_refused`.
    #[must_use]
    pub fn new(last_refused: Date, first_served: Option<Date>) -> Option<Self> {
        let first_served = first_served.unwrap_or_else(|| last_refused.saturating_add(1.day()));
        (last_refused < first_served).then_some(Self { last_refused, first_served })
    }

    /// The last session that is refused.
    #[must_use]
    pub fn last_refused(self) -> Date {
        self.last_refused
    }

    /// The first day to request.
    #[must_use]
    pub fn first_served(self) -> Date {
        self.first_served
    }

    /// Returns the days of a window before the first day to request, and the rest. None if the window begins on that
    /// day or later. A weekend before that day is cut off, too: a window that begins there may be refused as a whole.
    #[must_use]
    pub fn split(self, window: Window) -> Option<(Window, Option<Window>)> {
        if window.from() >= self.first_served {
            return None;
        }
        let day_before = self.first_served.saturating_sub(1.day());
        let before = Window::new(window.from(), window.to().min(day_before))?;
        Some((before, Window::new(self.first_served, window.to())))
    }
}

/// `the plan's history begins on 2024-12-02`
impl fmt::Display for HistoryStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plan's history begins on {}", self.first_served)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn window(from: Date, to: Date) -> Window {
        Window::new(from, to).unwrap()
    }

    #[test]
    fn a_window_is_split_between_the_last_refused_and_the_first_served_session() {
        // A Friday and the Monday after it.
        let edge = HistoryStart::new(date(2024, 11, 29), Some(date(2024, 12, 2))).unwrap();
        let split = |from, to| edge.split(window(from, to));
        let (before, rest) = split(date(2020, 1, 1), date(2026, 11, 30)).unwrap();
        assert_eq!(before, window(date(2020, 1, 1), date(2024, 12, 1)));
        assert_eq!(rest, Some(window(date(2024, 12, 2), date(2026, 11, 30))));
        assert_eq!(
            split(date(2020, 1, 1), date(2020, 12, 31)),
            Some((window(date(2020, 1, 1), date(2020, 12, 31)), None))
        );
        assert_eq!(split(date(2024, 12, 2), date(2024, 12, 31)), None);
        let (before, rest) = split(date(2024, 11, 30), date(2024, 12, 31)).unwrap();
        assert_eq!(before, window(date(2024, 11, 30), date(2024, 12, 1)), "a weekend");
        assert_eq!(rest, Some(window(date(2024, 12, 2), date(2024, 12, 31))));
    }

    #[test]
    fn an_edge_that_was_not_found_yet_is_the_day_after_the_refused_one() {
        let edge = HistoryStart::new(date(2024, 11, 29), None).unwrap();
        assert_eq!(edge.first_served(), date(2024, 11, 30));
        assert_eq!(HistoryStart::new(date(2024, 11, 29), Some(date(2024, 11, 29))), None);
    }
}
