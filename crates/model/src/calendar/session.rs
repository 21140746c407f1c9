//! Sessions: the days on which the exchange trades, with their hours.

use std::iter;

use jiff::civil::{Date, Weekday, date};

use super::{closures, rules};
use crate::{Window, new_york};

/// The first day of the calendar. Bars of the vendor begin years later.
pub const FIRST_DAY: Date = date(1993, 1, 1);

/// The last day of the calendar.
pub const LAST_DAY: Date = date(2099, 12, 31);

/// One exchange day of the NYSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    date: Date,
    is_half_day: bool,
}

impl Session {
    /// The New York day.
    #[must_use]
    pub fn date(self) -> Date {
        self.date
    }

    /// Whether the exchange closes at 13:00.
    #[must_use]
    pub fn is_half_day(self) -> bool {
        self.is_half_day
    }

    /// Start of regular hours, UTC ms: 09:30 in New York.
    #[must_use]
    pub fn open_ms(self) -> i64 {
        new_york::at_ms(self.date, 9, 30)
    }

    /// End of regular hours, UTC ms: 16:00 in New York, 13:00 on a half day.
    #[must_use]
    pub fn close_ms(self) -> i64 {
        new_york::at_ms(self.date, if self.is_half_day { 13 } else { 16 }, 0)
    }

    /// Start of extended hours, UTC ms: 04:00 in New York.
    #[must_use]
    pub fn extended_open_ms(self) -> i64 {
        new_york::at_ms(self.date, 4, 0)
    }

    /// End of extended hours, UTC ms: 20:00 in New York, 17:00 on a half day.
    ///
    /// A bar that begins at this very instant occurs, and is stored.
    #[must_use]
    pub fn extended_close_ms(self) -> i64 {
        new_york::at_ms(self.date, if self.is_half_day { 17 } else { 20 }, 0)
    }
}

/// The session of a day. None if the exchange is closed, or outside of [`FIRST_DAY`]..=[`LAST_DAY`].
#[must_use]
pub fn session_on(date: Date) -> Option<Session> {
    let trades = is_weekday(date) && closure_reason(date).is_none();
    trades.then(|| Session { date, is_half_day: half_day(date).is_some() })
}

/// The sessions of a window, ascending.
pub fn sessions(window: Window) -> impl Iterator<Item = Session> {
    let last = window.to().min(LAST_DAY);
    iter::successors(Some(window.from().max(FIRST_DAY)), |day| day.tomorrow().ok())
        .take_while(move |day| *day <= last)
        .filter_map(session_on)
}

/// The last session whose extended hours have ended at `now_ms`.
#[must_use]
pub fn last_finished(now_ms: i64) -> Option<Session> {
    let today = new_york::date_of(now_ms)?.min(LAST_DAY);
    iter::successors(Some(today), |day| day.yesterday().ok())
        .take_while(|day| *day >= FIRST_DAY)
        .filter_map(session_on)
        .find(|session| session.extended_close_ms() <= now_ms)
}

/// Cuts a window to the days whose sessions are all finished at `now_ms` (UTC). None if no session of it is finished.
///
/// Days without a session at its end stay: they can have no bars.
#[must_use]
pub fn finished_days(window: Window, now_ms: i64) -> Option<Window> {
    let last = last_finished(now_ms)?.date();
    let rest = Window::new(last.tomorrow().ok()?.max(window.from()), window.to());
    let is_finished = rest.is_none_or(|rest| sessions(rest).next().is_none());
    if is_finished { Some(window) } else { Window::new(window.from(), window.to().min(last)) }
}

/// Why the exchange is closed on a weekday, such as "Thanksgiving" or "Hurricane Sandy".
///
/// None for sessions, for weekends, and outside of [`FIRST_DAY`]..=[`LAST_DAY`].
#[must_use]
pub fn closure_reason(date: Date) -> Option<&'static str> {
    if !is_weekday(date) {
        return None;
    }
    rules::holiday(date).or_else(|| closures::unscheduled(date))
}

/// The holiday to which a half day belongs, such as "Thanksgiving". None for every other day.
#[must_use]
pub fn half_day_reason(date: Date) -> Option<&'static str> {
    session_on(date).and_then(|session| half_day(session.date))
}

fn half_day(date: Date) -> Option<&'static str> {
    rules::half_day(date).or_else(|| closures::half_day(date))
}

/// Whether `date` is a day from Monday to Friday within the calendar.
fn is_weekday(date: Date) -> bool {
    let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
    !weekend && (FIRST_DAY..=LAST_DAY).contains(&date)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn hours(day: Date) -> [i64; 4] {
        let session = session_on(day).unwrap();
        let edges =
            [session.extended_open_ms(), session.open_ms(), session.close_ms(), session.extended_close_ms()];
        edges.map(|ms| (ms - new_york::day_start_ms(day)) / MINUTE_MS)
    }

    #[test]
    fn hours_of_full_and_half_days() {
        assert_eq!(hours(date(2024, 11, 27)), [4 * 60, 9 * 60 + 30, 16 * 60, 20 * 60]);
        assert_eq!(hours(date(2024, 11, 29)), [4 * 60, 9 * 60 + 30, 13 * 60, 17 * 60]);
    }

    #[test]
    fn every_closed_weekday_has_a_reason_and_no_other_day_has() {
        assert_eq!(closure_reason(date(2024, 11, 28)), Some("Thanksgiving"));
        assert_eq!(closure_reason(date(2012, 10, 29)), Some("Hurricane Sandy"));
        assert_eq!(closure_reason(date(2024, 11, 30)), None, "a Saturday");
        for day in FIRST_DAY.series(1.day()).take_while(|day| *day <= LAST_DAY) {
            let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            let facts = [session_on(day).is_some(), weekend, closure_reason(day).is_some()];
            assert_eq!(facts.into_iter().filter(|fact| *fact).count(), 1, "{day}: {facts:?}");
        }
    }

    #[test]
    fn half_days_name_their_holiday() {
        assert_eq!(half_day_reason(date(2024, 11, 29)), Some("Thanksgiving"));
        assert_eq!(half_day_reason(date(2003, 12, 26)), Some("Christmas"));
        assert_eq!(half_day_reason(date(1999, 12, 31)), Some("New Year's Day"));
        assert_eq!(half_day_reason(date(2024, 7, 3)), Some("Independence Day"));
        assert_eq!(half_day_reason(date(2024, 7, 2)), None);
        assert_eq!(half_day_reason(date(2024, 11, 28)), None, "closed");
    }

    #[test]
    fn nothing_is_known_outside_of_the_calendar() {
        let everything = Window::new(Date::MIN, Date::MAX).unwrap();
        let known: Vec<_> = sessions(everything).collect();
        assert_eq!(known.first().map(|s| s.date()), Some(date(1993, 1, 4)));
        assert_eq!(known.last().map(|s| s.date()), Some(LAST_DAY));
        for outside in [date(1992, 12, 31), date(2100, 1, 1), date(2100, 1, 4), Date::MIN, Date::MAX] {
            assert_eq!((session_on(outside), closure_reason(outside)), (None, None), "{outside}");
            assert_eq!(sessions(Window::new(outside, outside).unwrap()).count(), 0);
        }
    }

    #[test]
    fn a_session_is_finished_when_its_extended_hours_are_over() {
        let finished = |day, hour, minute| Some(last_finished(new_york::at_ms(day, hour, minute))?.date());
        // A Wednesday, Thanksgiving, its half day, and the Monday after.
        let [wednesday, thursday, friday, monday] =
            [date(2024, 11, 27), date(2024, 11, 28), date(2024, 11, 29), date(2024, 12, 2)];
        assert_eq!(finished(wednesday, 19, 59), Some(date(2024, 11, 26)));
        assert_eq!(finished(wednesday, 20, 0), Some(wednesday));
        assert_eq!(finished(thursday, 23, 0), Some(wednesday));
        assert_eq!(finished(friday, 16, 59), Some(wednesday));
        assert_eq!(finished(friday, 17, 0), Some(friday));
        assert_eq!(finished(monday, 9, 30), Some(friday));
    }

    #[test]
    fn a_window_is_cut_behind_its_last_finished_session() {
        let november = |from, to| Window::new(date(2024, 11, from), date(2024, 11, to)).unwrap();
        // Wednesday the 27th in the evening, before Thanksgiving and its half day.
        let now_ms = new_york::at_ms(date(2024, 11, 27), 20, 0);
        let cut = |from, to| finished_days(november(from, to), now_ms);
        assert_eq!(cut(1, 27), Some(november(1, 27)));
        assert_eq!(cut(1, 28), Some(november(1, 28)), "a holiday brings nothing more");
        assert_eq!(cut(1, 29), Some(november(1, 27)));
        assert_eq!(cut(28, 28), Some(november(28, 28)));
        assert_eq!((cut(28, 29), cut(29, 30)), (None, None));
        assert_eq!(finished_days(november(27, 27), now_ms - 1), None);
    }

    #[test]
    fn before_the_calendar_nothing_is_finished_and_after_it_the_last_day_is() {
        assert_eq!(last_finished(new_york::at_ms(date(1993, 1, 4), 19, 59)), None);
        assert_eq!(last_finished(0), None);
        assert_eq!(last_finished(i64::MAX), None, "no such instant");
        assert_eq!(last_finished(new_york::at_ms(date(2150, 1, 1), 0, 0)).map(Session::date), Some(LAST_DAY));
    }
}
