//! The time range of a path: `2024-01-02/1704290400000`.

use std::ops::RangeInclusive;

use grab_model::{calendar, new_york};
use jiff::{ToSpan, civil::Date};

use super::{bar_size::BarSize, refusal::Refusal};

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// A New York day, inclusive as a whole.
    Day(Date),
    /// UTC ms, inclusive.
    Instant(i64),
}

impl Bound {
    fn parse(name: &'static str, text: &str) -> Result<Self, Refusal> {
        let day = parse_day(text).map(Self::Day);
        day.or_else(|| text.parse().ok().map(Self::Instant)).ok_or(Refusal::UnreadableTime(name))
    }

    /// The first ms of a range that begins here.
    fn first(self) -> i64 {
        match self {
            Self::Day(day) => new_york::day_start_ms(within_calendar(day)),
            Self::Instant(ms) => within_calendar_ms(ms),
        }
    }

    /// The last ms of a range that ends here.
    fn last(self) -> i64 {
        match self {
            Self::Day(day) => new_york::day_start_ms(within_calendar(day).saturating_add(1.day())) - 1,
            Self::Instant(ms) => within_calendar_ms(ms),
        }
    }
}

/// Reads the `from` and the `to` of a path: the starts (UTC ms) that bars of this size may have.
///
/// A day counts as a whole. An instant snaps to a bar's edge, `from` down and `to` up, and is inclusive after that
/// (polygon-api.md §1).
pub(super) fn parse(from: &str, to: &str, size: BarSize) -> Result<RangeInclusive<i64>, Refusal> {
    let (from, to) = (Bound::parse("from", from)?, Bound::parse("to", to)?);
    if to.last() < from.first() {
        return Err(Refusal::ToBeforeFrom);
    }
    let last = match to {
        Bound::Day(_) => to.last(),
        Bound::Instant(_) => end_of_last_bar(to.last(), size),
    };
    Ok(size.span_of(from.first()).start..=last)
}

/// The last ms of the first bar that begins at `ms` or later.
fn end_of_last_bar(ms: i64, size: BarSize) -> i64 {
    let span = size.span_of(ms);
    let last = if span.start == ms { span } else { size.span_of(span.end) };
    last.end - 1
}

/// Reads `2024-01-02`, and no other notation of a day.
pub(super) fn parse_day(text: &str) -> Option<Date> {
    text.parse::<Date>().ok().filter(|day| day.to_string() == text)
}

fn within_calendar(day: Date) -> Date {
    day.clamp(calendar::FIRST_DAY, calendar::LAST_DAY)
}

fn within_calendar_ms(ms: i64) -> i64 {
    ms.clamp(new_york::day_start_ms(calendar::FIRST_DAY), new_york::day_start_ms(calendar::LAST_DAY))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const MINUTE: BarSize = BarSize::Minutes(1);

    #[test]
    fn days_are_whole_new_york_days() {
        // 2024-03-10 has 23 hours, 2024-11-03 has 25.
        for (day, hours) in [("2024-01-02", 24), ("2024-03-10", 23), ("2024-11-03", 25)] {
            let range = parse(day, day, MINUTE).unwrap();
            assert_eq!((range.end() + 1 - range.start()) / 3_600_000, hours, "{day}");
        }
    }

    #[test]
    fn instants_snap_outwards_to_bars_and_are_inside() {
        let nine = new_york::at_ms(date(2024, 1, 2), 9, 0);
        let ranged = |from: i64, to: i64, size| parse(&from.to_string(), &to.to_string(), size);
        assert_eq!(ranged(nine, nine, MINUTE), Ok(nine..=nine + 59_999));
        assert_eq!(ranged(nine + 1, nine + 59_999, MINUTE), Ok(nine..=nine + 119_999));
        assert_eq!(ranged(nine + 60_000, nine + 60_000, BarSize::Minutes(60)), Ok(nine..=nine + 7_199_999));
    }

    #[test]
    fn other_texts_are_refused_by_name() {
        for text in ["", "2024-1-2", "2024-02-30", "20x4", "2024-01-02T00:00:00", "1704205800000.5"] {
            assert_eq!(parse(text, "2024-01-02", MINUTE), Err(Refusal::UnreadableTime("from")), "{text}");
            assert_eq!(parse("2024-01-02", text, MINUTE), Err(Refusal::UnreadableTime("to")), "{text}");
        }
        assert_eq!(parse("2024-01-03", "2024-01-02", MINUTE), Err(Refusal::ToBeforeFrom));
    }

    #[test]
    fn absurd_times_are_empty_not_fatal() {
        assert!(parse(&i64::MIN.to_string(), &i64::MAX.to_string(), BarSize::Day).is_ok());
        assert!(parse("0001-01-01", "9999-12-31", MINUTE).is_ok());
    }
}
