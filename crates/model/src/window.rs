//! Windows of New York days: the days of one task.

use std::fmt;

use jiff::{ToSpan, civil::Date};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Month, new_york};

/// A range of New York days, both ends inclusive. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    from: Date,
    to: Date,
}

/// `{"from":"2024-01-01","to":"2024-01-31"}`
impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut days = serializer.serialize_struct("Window", 2)?;
        days.serialize_field("from", &self.from.to_string())?;
        days.serialize_field("to", &self.to.to_string())?;
        days.end()
    }
}

impl Window {
    /// The days `from` to `to`, both inclusive. None if `to` is before `from`.
    #[must_use]
    pub fn new(from: Date, to: Date) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    pub(super) const fn new_unchecked(from: Date, to: Date) -> Self {
        Self { from, to }
    }

    /// The first day.
    #[must_use]
    pub fn from(self) -> Date {
        self.from
    }

    /// The last day, inclusive.
    #[must_use]
    pub fn to(self) -> Date {
        self.to
    }

    /// The first instant of the first day, UTC ms.
    #[must_use]
    pub fn start_ms(self) -> i64 {
        new_york::day_start_ms(self.from)
    }

    /// The first instant after the last day, UTC ms.
    #[must_use]
    pub fn end_ms(self) -> i64 {
        new_york::day_start_ms(self.to.saturating_add(1.day()))
    }

    /// The months of its days, in order.
    pub fn months(self) -> impl Iterator<Item = Month> {
        let last = Month::of(self.to);
        std::iter::successors(Some(Month::of(self.from)), move |m| (*m < last).then(|| m.next()))
    }

    /// The number of calendar days.
    #[must_use]
    pub fn days(self) -> u32 {
        let span = self.to.since(self.from).map_or(0, |span| span.get_days());
        u32::try_from(span + 1).unwrap_or(0)
    }

    /// The rest of this window without the days of `stored`: no range, one or two.
    #[must_use]
    pub fn minus(self, stored: Self) -> Vec<Self> {
        let before = Self::new(self.from, self.to.min(stored.from.saturating_sub(1.day())));
        let after = Self::new(self.from.max(stored.to.saturating_add(1.day())), self.to);
        before.into_iter().chain(after).collect()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_are_new_york_midnights() {
        let window = Window::new(date(2024, 1, 15), date(2024, 1, 15)).unwrap();
        assert_eq!(window.start_ms(), 1_705_294_800_000);
        assert_eq!(window.end_ms() - window.start_ms(), 86_400_000);
        assert_eq!(Window::new(date(2024, 1, 2), date(2024, 1, 1)), None);
    }

    #[test]
    fn the_months_of_a_window() {
        let window = Window::new(date(2023, 11, 30), date(2024, 1, 1)).unwrap();
        let months: Vec<_> = window.months().map(|m| m.to_string()).collect();
        assert_eq!(months, ["2023-11", "2023-12", "2024-01"]);
        assert_eq!(window.days(), 33);
    }

    proptest! {
        #[test]
        fn a_day_is_left_exactly_if_it_is_not_held(a in 0..200i32, b in 0..200i32, c in 0..200i32, d in 0..200i32) {
            let day = |n: i32| date(2024, 1, 1).saturating_add(n.days());
            let requested = Window::new(day(a.min(b)), day(a.max(b))).unwrap();
            let stored = Window::new(day(c.min(d)), day(c.max(d))).unwrap();
            let left = requested.minus(stored);
            for n in 0..200 {
                let inside = |w: &Window| w.from() <= day(n) && day(n) <= w.to();
                prop_assert_eq!(left.iter().filter(|w| inside(w)).count(), usize::from(inside(&requested) && !inside(&stored)));
            }
        }
    }
}
