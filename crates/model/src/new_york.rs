//! New York time: the exchange's clock. Days and months of bars are New York days and months.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// `America/New_York` with all its historical rules, compiled in: a machine without tzdata gets the same results.
pub static TIME_ZONE: TimeZone = jiff::tz::get!("America/New_York");

/// The instant (UTC ms) at which `date` begins in New York.
#[must_use]
pub fn day_start_ms(date: Date) -> i64 {
    at_ms(date, 0, 0)
}

/// The instant (UTC ms) of `hour:minute` on `date` in New York.
///
/// No exchange hour falls into a DST gap or fold (both are on Sundays at 02:00), so the result is unique for every
/// session; elsewhere it is the earlier of two instants.
#[must_use]
pub fn at_ms(date: Date, hour: i8, minute: i8) -> i64 {
    let civil = date.at(hour, minute, 0, 0);
    // A civil time of the years that grab accepts (1993 to 2100) always has an instant.
    TIME_ZONE.to_ambiguous_timestamp(civil).compatible().map_or(i64::MIN, Timestamp::as_millisecond)
}

/// The New York day of an instant (UTC ms). None if the instant is outside of the years -9999 to 9999.
#[must_use]
pub fn date_of(ms: i64) -> Option<Date> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(TIME_ZONE.to_datetime(at).date())
}

/// The New York wall clock at an instant (UTC ms), such as `15:59`.
#[must_use]
pub fn time_of(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    TIME_ZONE.to_datetime(at).time().strftime("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_begin_at_midnight_on_both_sides_of_a_dst_change() {
        // 2026-03-08 is 23 hours long, 2026-11-01 is 25.
        let hours = |a, b| (day_start_ms(b) - day_start_ms(a)) / 3_600_000;
        assert_eq!(hours(date(2026, 3, 8), date(2026, 3, 9)), 23);
        assert_eq!(hours(date(2026, 11, 1), date(2026, 11, 2)), 25);
    }

    #[test]
    fn opening_minutes_as_the_live_service_stamps_them() {
        // Observed: 2026-03-06 (EST) and 2026-03-09 (EDT).
        assert_eq!(at_ms(date(2026, 3, 6), 9, 30), 1_772_807_400_000);
        assert_eq!(at_ms(date(2026, 3, 9), 9, 30), 1_773_063_000_000);
    }

    #[test]
    fn an_evening_bar_belongs_to_the_new_york_day() {
        // 19:59 in New York on 31 January 2024 is 1 February in UTC.
        assert_eq!(date_of(at_ms(date(2024, 1, 31), 19, 59)), Some(date(2024, 1, 31)));
        assert_eq!(date_of(i64::MAX), None);
        assert_eq!(time_of(at_ms(date(2024, 1, 31), 19, 59)), "19:59");
    }
}
