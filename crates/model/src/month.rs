//! Calendar months of New York: the unit of a partition.

use serde::{Serialize, Serializer};
use std::fmt;

use jiff::{ToSpan, civil::Date};

use super::{Window, new_york};

/// One month of New York days. A bar at 19:59 on 31 January belongs to January, although UTC says February.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    first: Date,
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Month {
    /// The month that holds `date`.
    #[must_use]
    pub fn of(date: Date) -> Self {
        Self { first: date.first_of_month() }
    }

    /// The month `year`-`month`. None if there is no such month.
    #[must_use]
    pub fn new(year: i16, month: i8) -> Option<Self> {
        Date::new(year, month, 1).ok().map(|first| Self { first })
    }

    /// Reads `2004-01`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        if year.len() != 4 || month.len() != 2 {
            return None;
        }
        Self::new(year.parse().ok()?, month.parse().ok()?)
    }

    /// The year, such as 2004.
    #[must_use]
    pub fn year(self) -> i16 {
        self.first.year()
    }

    /// The month's number, 1 to 12.
    #[must_use]
    pub fn number(self) -> i8 {
        self.first.month()
    }

    /// The first day.
    #[must_use]
    pub fn first_day(self) -> Date {
        self.first
    }

    /// The last day.
    #[must_use]
    pub fn last_day(self) -> Date {
        self.first.last_of_month()
    }

    /// All its days as a window.
    #[must_use]
    pub fn window(self) -> Window {
        Window::new_unchecked(self.first, self.last_day())
    }

    /// The month after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self { first: self.first.saturating_add(1.month()) }
    }

    /// The days of `window` that are in this month, as bits: bit 0 is the first of the month.
    #[must_use]
    pub fn mask(self, window: Window) -> u32 {
        let (from, to) = (window.from().max(self.first_day()), window.to().min(self.last_day()));
        let days = std::iter::successors(Some(from), |day| day.tomorrow().ok());
        days.take_while(|day| *day <= to).fold(0, |mask, day| mask | 1 << (day.day() - 1))
    }

    /// The days whose bits are set, in order.
    pub fn days(self, mask: u32) -> impl Iterator<Item = Date> {
        let days = std::iter::successors(Some(self.first_day()), |day| day.tomorrow().ok());
        days.take_while(move |day| *day <= self.last_day())
            .filter(move |day| mask & 1 << (day.day() - 1) != 0)
    }

    /// The first instant of the month, UTC ms.
    #[must_use]
    pub fn start_ms(self) -> i64 {
        new_york::day_start_ms(self.first)
    }

    /// The first instant after the month, UTC ms.
    #[must_use]
    pub fn end_ms(self) -> i64 {
        self.next().start_ms()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_as_bits_and_back() {
        let february = Month::new(2024, 2).unwrap();
        let window = |from, to| Window::new(from, to).unwrap();
        assert_eq!(february.mask(window(date(2024, 2, 28), date(2024, 3, 5))), 0b11 << 27);
        assert_eq!(february.mask(window(date(2023, 1, 1), date(2025, 1, 1))), (1 << 29) - 1);
        assert_eq!(february.mask(window(date(2024, 3, 1), date(2024, 3, 5))), 0);
        let days: Vec<_> = february.days(1 | 1 << 28 | 1 << 30).collect();
        assert_eq!(days, [date(2024, 2, 1), date(2024, 2, 29)], "there is no 31 February");
    }

    #[test]
    fn months_follow_each_other_without_a_gap() {
        let december = Month::of(date(2023, 12, 31));
        assert_eq!(december.next().to_string(), "2024-01");
        assert_eq!(december.end_ms(), december.next().start_ms());
    }

    #[test]
    fn text_and_back() {
        assert_eq!(Month::parse("2004-01").map(|m| m.to_string()).as_deref(), Some("2004-01"));
        for text in ["2004", "2004-13", "2004-1", "04-01", "2004-01-01", "20x4-01"] {
            assert_eq!(Month::parse(text), None, "{text}");
        }
    }
}
