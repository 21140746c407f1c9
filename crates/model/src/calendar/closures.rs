//! Days since 1993 on which the exchange closed, or closed early, only once: no rule gives them.

use jiff::civil::Date;

/// Why the exchange stayed closed on a weekday that is not a holiday. A new closure is a new line here.
pub(super) fn unscheduled(date: Date) -> Option<&'static str> {
    match (date.year(), date.month(), date.day()) {
        (1994, 4, 27) => Some("Day of mourning for Richard Nixon"),
        (2001, 9, 11..=14) => Some("Attacks of September 11"),
        (2004, 6, 11) => Some("Day of mourning for Ronald Reagan"),
        (2007, 1, 2) => Some("Day of mourning for Gerald Ford"),
        (2012, 10, 29..=30) => Some("Hurricane Sandy"),
        (2018, 12, 5) => Some("Day of mourning for George H. W. Bush"),
        (2025, 1, 9) => Some("Day of mourning for Jimmy Carter"),
        _ => None,
    }
}

/// The holiday for which the exchange closed at 13:00 only once, on a day that is a full one in other years.
pub(super) fn half_day(date: Date) -> Option<&'static str> {
    match (date.year(), date.month(), date.day()) {
        (1997 | 2003, 12, 26) => Some("Christmas"),
        // `pandas_market_calendars` has a full day here ("disputed"), `exchange_calendars` a half one.
        // The exchange's announcement of 1999-06-04 decides: its board, wary of computers in the year 2000,
        // "approved a proposal to close the market at 1:00pm on December 31, 1999".
        (1999, 12, 31) => Some("New Year's Day"),
        _ => None,
    }
}
