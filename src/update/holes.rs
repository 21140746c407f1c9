//! Sessions without bars that may have some by now.

use jiff::civil::Date;

use super::Evening;
use crate::{
    calendar::{self, Session},
    model::{Partition, Window},
    verify::{Day, Explained, FILLED_WITHIN_DAYS, Sessions},
};

/// A session that is older is asked for a last time, and then known to be the server's own gap.
const FILLED_WITHIN_MS: i64 = FILLED_WITHIN_DAYS as i64 * 86_400_000;

/// Bars that one request may bring without a second page: 50,000, and some room for those that are new.
const BARS_A_REQUEST: u32 = 40_000;

/// Bars of a full session: a minute each from 04:00 to 20:00 in New York.
const BARS_A_SESSION: u32 = 960;

/// The sessions before `until` that are to be asked for once more.
pub(super) fn due(explained: &Explained, sessions: &Sessions, evening: &Evening, until: Date) -> Vec<Date> {
    let days = explained.days.iter().zip(sessions.dates()).take_while(|(_, date)| **date < until);
    let is_due = |day: Day, date: Date| match day {
        Day::Missing => true,
        Day::AskedAgain | Day::Withheld => {
            is_old_by_now(explained.asked_again_ms(date), date, evening.now_ms)
        }
        Day::NotAsked
        | Day::NotFound
        | Day::NotEntitled
        | Day::Failed
        | Day::Owed
        | Day::Empty
        | Day::NoTrade
        | Day::Lost
        | Day::Thin
        | Day::Present
        | Day::NotListed => false,
    };
    days.filter(|(day, date)| is_due(**day, **date)).map(|(_, date)| *date).collect()
}

/// The first of the young sessions that have no bars, although they were asked for twice, or come before a symbol's first
/// bar: the service may fill them yet. From there on to the last session is less than a page.
pub(super) fn oldest_young(explained: &Explained, sessions: &Sessions, evening: &Evening) -> Option<Date> {
    let mut days = explained.days.iter().zip(sessions.dates());
    let is_young =
        |date: Date| calendar::session_on(date).is_some_and(|session| evening.now_ms < old_from(session));
    let may_be_filled = |day: Day| matches!(day, Day::AskedAgain | Day::Withheld | Day::Empty);
    days.find(|(day, date)| may_be_filled(**day) && is_young(**date)).map(|(_, date)| *date)
}

/// Since when a session is old, UTC ms.
fn old_from(session: Session) -> i64 {
    session.extended_close_ms() + FILLED_WITHIN_MS
}

/// Whether a session that was young when it was asked for is old now.
fn is_old_by_now(asked_ms: Option<i64>, date: Date, now_ms: i64) -> bool {
    let old_ms = calendar::session_on(date).map(old_from);
    asked_ms.zip(old_ms).is_some_and(|(asked_ms, old_ms)| asked_ms < old_ms && old_ms <= now_ms)
}

/// As few windows as possible, each of which fits a page.
pub(super) fn windows(due: &[Date], recorded: &[Partition]) -> Vec<Window> {
    let mut windows: Vec<(Window, u32)> = Vec::new();
    for date in due {
        if let Some((window, bars)) = windows.last_mut()
            && let Some(wider) = Window::new(window.from(), *date)
        {
            let between = Window::new(window.to(), *date).map_or(0, |between| held_in(between, recorded));
            if *bars + between + BARS_A_SESSION <= BARS_A_REQUEST {
                (*window, *bars) = (wider, *bars + between + BARS_A_SESSION);
                continue;
            }
        }
        windows.extend(Window::new(*date, *date).map(|window| (window, BARS_A_SESSION)));
    }
    windows.into_iter().map(|(window, _)| window).collect()
}

/// Bars that are held of a window's days.
fn held_in(window: Window, recorded: &[Partition]) -> u32 {
    let in_month = |partition: &Partition| {
        let mask = partition.month.mask(window);
        let days = partition.bars_by_day.iter().enumerate().filter(|(day, _)| mask & 1 << day != 0);
        days.map(|(_, bars)| u32::from(*bars)).sum::<u32>()
    };
    recorded.iter().map(in_month).sum()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::model::{Month, new_york};

    /// A January in which every weekday but these has so many bars.
    fn january(without: &[i8], bars: u16) -> Vec<Partition> {
        let mut bars_by_day = [0; 31];
        for day in 1..=31_i8 {
            let is_held = calendar::session_on(date(2024, 1, day)).is_some() && !without.contains(&day);
            bars_by_day[usize::try_from(day - 1).unwrap()] = if is_held { bars } else { 0 };
        }
        let (symbol, month) = ("A".parse().unwrap(), Month::new(2024, 1).unwrap());
        vec![Partition { symbol, month, bars: 1, first_ms: 0, last_ms: 0, bytes: 1, xxh3: 0, bars_by_day }]
    }

    fn shown(days: &[i8], bars: u16) -> Vec<String> {
        let due: Vec<_> = days.iter().map(|day| date(2024, 1, *day)).collect();
        windows(&due, &january(days, bars)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn many_holes_are_one_request_as_far_as_its_page_reaches() {
        assert_eq!(shown(&[3, 4, 5], 900), ["2024-01-03..2024-01-05"]);
        assert_eq!(shown(&[3, 11, 30], 5), ["2024-01-03..2024-01-30"], "of a thin stock");
        assert_eq!(shown(&[3, 30], 2_500), ["2024-01-03..2024-01-03", "2024-01-30..2024-01-30"]);
        assert!(shown(&[], 900).is_empty());
    }

    #[test]
    fn a_young_hole_is_asked_for_again_when_it_is_old() {
        let day = date(2024, 1, 3);
        let at = |days: i64| new_york::at_ms(day, 20, 0) + days * 86_400_000;
        assert!(!is_old_by_now(Some(at(2)), day, at(34)));
        assert!(is_old_by_now(Some(at(2)), day, at(36)));
        assert!(!is_old_by_now(Some(at(36)), day, at(400)), "it was old then");
        assert!(!is_old_by_now(None, day, at(36)));
    }
}
