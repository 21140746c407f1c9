//! The time span of a bar.

use std::ops::Range;

use grab_model::{calendar, new_york};
use jiff::ToSpan;

use super::refusal::Refusal;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const MINUTES_A_DAY: u32 = 24 * 60;

/// The time span of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BarSize {
    /// This many minutes, counted from midnight in New York. Stored bars have one minute.
    Minutes(u32),
    /// A New York day.
    Day,
}

impl BarSize {
    /// Reads the `1` and the `minute` of a path.
    pub fn parse(multiplier: &str, timespan: &str) -> Result<Self, Refusal> {
        let count: u32 = multiplier.parse().map_err(|_| Refusal::UnreadableParameter("multiplier"))?;
        let minutes = match timespan {
            "minute" => Some(count),
            "hour" => count.checked_mul(60),
            "day" if count == 1 => return Ok(Self::Day),
            _ => None,
        };
        let minutes = minutes.filter(|minutes| (1..=MINUTES_A_DAY).contains(minutes));
        minutes.map(Self::Minutes).ok_or(Refusal::UnsupportedBar)
    }

    /// The time of the bar that contains an instant, UTC ms.
    pub fn span_of(self, ms: i64) -> Range<i64> {
        let day = || new_york::date_of(ms).unwrap_or(calendar::FIRST_DAY);
        match self {
            Self::Minutes(count) => {
                let length = i64::from(count) * MINUTE_MS;
                // Sizes that divide the hour are aligned on it in every time zone of full hours.
                let origin = if HOUR_MS % length == 0 { 0 } else { new_york::day_start_ms(day()) };
                let start = ms - (ms - origin).rem_euclid(length);
                start..start + length
            }
            Self::Day => new_york::day_start_ms(day())..new_york::day_start_ms(day().saturating_add(1.day())),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn sizes_that_are_made() {
        assert_eq!(BarSize::parse("1", "minute"), Ok(BarSize::Minutes(1)));
        assert_eq!(BarSize::parse("4", "hour"), Ok(BarSize::Minutes(240)));
        assert_eq!(BarSize::parse("1", "day"), Ok(BarSize::Day));
        assert_eq!(BarSize::parse("one", "day"), Err(Refusal::UnreadableParameter("multiplier")));
        for (multiplier, timespan) in
            [("0", "minute"), ("1441", "minute"), ("25", "hour"), ("2", "day"), ("1", "week")]
        {
            assert_eq!(
                BarSize::parse(multiplier, timespan),
                Err(Refusal::UnsupportedBar),
                "{multiplier} {timespan}"
            );
        }
    }

    #[test]
    fn bars_are_aligned_on_new_york_time() {
        for day in [date(2024, 1, 2), date(2024, 7, 2)] {
            let at = new_york::at_ms(day, 13, 37);
            let span = |size: BarSize| size.span_of(at);
            assert_eq!(span(BarSize::Minutes(1)), at..at + MINUTE_MS);
            assert_eq!(span(BarSize::Minutes(5)).start, new_york::at_ms(day, 13, 35));
            assert_eq!(span(BarSize::Minutes(60)).start, new_york::at_ms(day, 13, 0));
            assert_eq!(span(BarSize::Minutes(240)).start, new_york::at_ms(day, 12, 0));
            assert_eq!(span(BarSize::Day).start, new_york::day_start_ms(day));
        }
    }
}
