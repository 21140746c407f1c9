//! The holidays and half days that return every year, each a line of one `match`.
//!
//! A holiday on a Saturday is observed on the Friday before, one on a Sunday on the Monday after. New Year's Day is the
//! exception: on a Saturday it is not observed on another day, because the Friday before closes the year's accounts.

use jiff::civil::{
    Date,
    Weekday::{Friday, Monday, Thursday, Tuesday, Wednesday},
};

/// The holiday that closes the exchange on `date`, which is a day from Monday to Friday.
pub(super) fn holiday(date: Date) -> Option<&'static str> {
    let year = date.year();
    match (date.month(), date.day(), date.weekday()) {
        (1, 1, _) | (1, 2, Monday) => Some("New Year's Day"),
        (1, 15..=21, Monday) if year >= 1998 => Some("Martin Luther King Jr. Day"),
        (2, 15..=21, Monday) => Some("Washington's Birthday"),
        (3 | 4, _, Friday) if is_good_friday(date) => Some("Good Friday"),
        (5, 25..=31, Monday) => Some("Memorial Day"),
        (6, 18, Friday) | (6, 19, _) | (6, 20, Monday) if year >= 2022 => Some("Juneteenth"),
        (7, 3, Friday) | (7, 4, _) | (7, 5, Monday) => Some("Independence Day"),
        (9, 1..=7, Monday) => Some("Labor Day"),
        (11, 22..=28, Thursday) => Some("Thanksgiving"),
        (12, 24, Friday) | (12, 25, _) | (12, 26, Monday) => Some("Christmas"),
        _ => None,
    }
}

/// The holiday because of which the exchange closes at 13:00 on `date`, which is a day from Monday to Friday.
///
/// The half day of Independence Day is the day before it; until 2012, if it was a Thursday, the Friday after it.
pub(super) fn half_day(date: Date) -> Option<&'static str> {
    match (date.month(), date.day(), date.weekday()) {
        (7, 3, Monday | Tuesday | Thursday) => Some("Independence Day"),
        (7, 3, Wednesday) if date.year() >= 2013 => Some("Independence Day"),
        (7, 5, Friday) if date.year() < 2013 => Some("Independence Day"),
        (11, 23..=29, Friday) => Some("Thanksgiving"),
        (12, 24, Monday | Tuesday | Wednesday | Thursday) => Some("Christmas"),
        _ => None,
    }
}

/// Whether a Friday of March or April is the one before Easter.
///
/// Easter is the first Sunday after the paschal full moon, so Good Friday is one of the seven days that
/// begin on the eve of that moon. The moon's formula holds for the years 1900 to 2199.
fn is_good_friday(friday: Date) -> bool {
    let place_in_lunar_cycle = friday.year() % 19;
    let days_after_21_march = match ((19 * place_in_lunar_cycle + 24) % 30, place_in_lunar_cycle) {
        (29, _) => 28,
        (28, 11..) => 27,
        (days, _) => days,
    };
    let full_moon = 21 + days_after_21_march;
    let day_of_march = i16::from(friday.day()) + if friday.month() == 4 { 31 } else { 0 };
    (full_moon - 1..=full_moon + 5).contains(&day_of_march)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// Returns what `rule` returns for each of `days`, written as year, month and day.
    fn over<const N: usize>(
        rule: fn(Date) -> Option<&'static str>,
        days: [(i16, i8, i8); N],
    ) -> [Option<&'static str>; N] {
        days.map(|(year, month, day)| rule(date(year, month, day)))
    }

    #[test]
    fn a_holiday_on_a_weekend_moves_to_the_nearest_weekday() {
        let independence = over(holiday, [(2026, 7, 3), (2025, 7, 4), (2027, 7, 5)]);
        assert_eq!(independence, [Some("Independence Day"); 3]);
        assert_eq!(over(holiday, [(2021, 12, 24), (2022, 12, 26)]), [Some("Christmas"); 2]);
        assert_eq!(over(holiday, [(2027, 6, 18), (2022, 6, 20)]), [Some("Juneteenth"); 2]);
        assert_eq!(over(holiday, [(2025, 7, 3), (2025, 12, 24), (2025, 6, 18)]), [None; 3]);
    }

    #[test]
    fn new_years_day_moves_forward_only() {
        assert_eq!(over(holiday, [(2023, 1, 2), (2024, 1, 1)]), [Some("New Year's Day"); 2]);
        assert_eq!(over(holiday, [(1993, 12, 31), (2021, 12, 31), (2027, 12, 31)]), [None; 3]);
    }

    #[test]
    fn holidays_that_are_younger_than_the_calendar() {
        let king = [None, Some("Martin Luther King Jr. Day")];
        assert_eq!(over(holiday, [(1997, 1, 20), (1998, 1, 19)]), king);
        assert_eq!(over(holiday, [(2020, 6, 19), (2023, 6, 19)]), [None, Some("Juneteenth")]);
    }

    #[test]
    fn mondays_and_thursdays_counted_within_their_month() {
        assert_eq!(over(holiday, [(2021, 2, 15), (2022, 2, 21)]), [Some("Washington's Birthday"); 2]);
        assert_eq!(over(holiday, [(2020, 5, 25), (2021, 5, 31)]), [Some("Memorial Day"); 2]);
        assert_eq!(over(holiday, [(2025, 9, 1), (2026, 9, 7)]), [Some("Labor Day"); 2]);
        assert_eq!(over(holiday, [(2018, 11, 22), (2019, 11, 28)]), [Some("Thanksgiving"); 2]);
        assert_eq!(over(holiday, [(2021, 2, 22), (2026, 5, 18), (2025, 9, 8), (2018, 11, 29)]), [None; 4]);
    }

    #[test]
    fn good_fridays_early_late_and_next_to_the_exceptions_of_the_moon() {
        let known = [(2008, 3, 21), (2038, 4, 23), (2049, 4, 16), (2076, 4, 17), (2000, 4, 21)];
        assert_eq!(over(holiday, known), [Some("Good Friday"); 5]);
    }

    #[test]
    fn every_year_has_one_good_friday() {
        for year in 1993..=2099 {
            let start = date(year, 3, 1);
            let fridays = (1..=8).filter_map(|nth| start.nth_weekday(nth, Friday).ok());
            assert_eq!(fridays.filter(|friday| is_good_friday(*friday)).count(), 1, "{year}");
        }
    }

    #[test]
    fn the_half_day_of_independence_day() {
        // The holiday is a Tuesday, a Wednesday, a Thursday since 2013 and one before, a Friday.
        let halves = [(1995, 7, 3), (2001, 7, 3), (2013, 7, 3), (2002, 7, 5), (2003, 7, 3)];
        assert_eq!(over(half_day, halves), [Some("Independence Day"); 5]);
        assert_eq!(over(half_day, [(2002, 7, 3), (2013, 7, 5), (2021, 7, 2), (2016, 7, 1)]), [None; 4]);
    }

    #[test]
    fn the_half_days_of_thanksgiving_and_christmas() {
        assert_eq!(over(half_day, [(1993, 11, 26), (2019, 11, 29)]), [Some("Thanksgiving"); 2]);
        assert_eq!(over(half_day, [(1996, 12, 24), (2007, 12, 24), (2026, 12, 24)]), [Some("Christmas"); 3]);
        assert_eq!(over(half_day, [(1999, 12, 24), (2024, 11, 22), (2014, 12, 26)]), [None; 3]);
    }
}
