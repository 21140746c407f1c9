//! Every clock of some weeks: the state of a bar after each session.

use grab_model::{Bar, Window};
use jiff::civil::date;

use super::*;

/// The sessions of ten weeks.
fn days() -> Vec<Session> {
    calendar::sessions(Window::new(date(2026, 9, 14), date(2026, 11, 20)).unwrap()).collect()
}

fn at_noon(session: Session) -> Bar {
    Bar {
        timestamp: new_york::at_ms(session.date(), 12, 0),
        open: 10.0,
        high: 11.0,
        low: 9.0,
        close: 10.5,
        volume: 1_000.0,
        vwap: Some(10.25),
        transactions: Some(40),
    }
}

/// For each session, the number of sessions after it when it was last missing, if it ever was. A session that exists
/// never disappears.
fn absences(evolution: Evolution, ticker: &str) -> Vec<Option<usize>> {
    let days = days();
    let mut last = vec![None; days.len()];
    for (today, now) in days.iter().enumerate() {
        let newest = NewestSessions::at(evolution, 1, now.extended_close_ms()).unwrap();
        let bars: Vec<_> = days[..=today].iter().map(|day| at_noon(*day)).collect();
        let seen: Vec<_> = newest.seen(ticker, Box::new(bars.clone().into_iter())).collect();
        assert!(newest.seen_without_holes(ticker, Box::new(bars.clone().into_iter())).eq(bars.clone()));
        for (day, bar) in bars.iter().enumerate().filter(|(_, bar)| !seen.contains(bar)) {
            let age = today - day;
            assert!(age == 0 || last[day] == Some(age - 1), "{ticker} {}: absent again", bar.timestamp);
            last[day] = Some(age);
        }
    }
    last
}

fn tickers() -> impl Iterator<Item = String> {
    (0..200).map(|number| format!("T{number}"))
}

#[test]
fn holes_are_filled_two_to_eight_sessions_later_and_some_are_of_three_in_a_row() {
    for (share, expected) in [(0.02, 0.01..0.03), (0.1, 0.08..0.12), (0.5, 0.45..0.6), (1.0, 1.0..1.1)] {
        let evolution = Evolution { holes: share, ..Evolution::default() };
        let (mut absent, mut all, mut in_a_row) = (0.0, 0.0, 0);
        let mut ages = std::collections::BTreeSet::new();
        for ticker in tickers() {
            let absences = absences(evolution, &ticker);
            // The last sessions may be missing for longer than these weeks.
            let complete = &absences[..absences.len() - 8];
            all += f64::from(u32::try_from(complete.len()).unwrap());
            absent += f64::from(u32::try_from(complete.iter().flatten().count()).unwrap());
            // They appear with the session after the one in which they were last missing.
            ages.extend(complete.iter().flatten().map(|last| last + 1));
            in_a_row += complete.windows(3).filter(|days| days.iter().all(Option::is_some)).count();
        }
        assert!(expected.contains(&(absent / all)), "{share}: {absent} of {all}");
        assert_eq!((ages.first(), ages.last()), (Some(&2), Some(&8)), "{share}: {ages:?}");
        assert!(in_a_row > 10, "{share}: {in_a_row}");
    }
}

#[test]
fn nothing_is_new_where_nothing_evolves() {
    assert!(
        NewestSessions::at(Evolution::default(), 1, new_york::at_ms(date(2026, 11, 20), 21, 0)).is_none()
    );
}

#[test]
fn only_sessions_that_may_differ_are_looked_at() {
    let count = |evolution, day, hour| {
        NewestSessions::at(evolution, 1, new_york::at_ms(day, hour, 0)).unwrap().sessions.len()
    };
    let friday = date(2026, 11, 20);
    let lag = |hours| Evolution { lag: Duration::from_hours(hours), ..Evolution::default() };
    assert_eq!(count(lag(2), friday, 23), 0);
    assert_eq!(count(lag(2), friday, 21), 1);
    // A lag of two days hides Friday and Thursday; over the weekend, Friday appears.
    assert_eq!(count(lag(48), friday, 21), 2);
    assert_eq!(count(lag(48), date(2026, 11, 22), 21), 0);
    let settling = Evolution { settling: 3, ..lag(2) };
    assert_eq!([count(settling, friday, 21), count(settling, friday, 23)], [4, 3]);
    assert_eq!(count(Evolution { holes: 0.1, ..settling }, friday, 23), 8);
}

#[test]
fn a_bar_settles_once_and_only_what_has_one_trade_comes_late_as_a_whole() {
    let evolution = Evolution { settling: 4, ..Evolution::default() };
    let days = days();
    let session = days[days.len() - 6];
    let (mut revised, mut late) = (0, 0);
    for ticker in tickers() {
        for (volume, trades) in [(1_000.0, 40), (1.0, 1), (2.5, 2)] {
            let bar = Bar { volume, transactions: Some(trades), ..at_noon(session) };
            let shown = days[days.len() - 6..].iter().map(|now| {
                let newest = NewestSessions::at(evolution, 1, now.extended_close_ms()).unwrap();
                newest.seen(&ticker, Box::new([bar].into_iter())).next()
            });
            let shown: Vec<_> = shown.collect();
            let settled = shown.iter().position(|shown| *shown == Some(bar)).unwrap();
            assert!(settled <= 4 && shown[settled..].iter().all(|shown| *shown == Some(bar)), "{shown:?}");
            for early in &shown[..settled] {
                assert_eq!(*early, shown[0], "one step");
                assert!(
                    early.is_none_or(|early| early.volume < volume && early.vwap != bar.vwap && trades > 1)
                );
            }
            revised += usize::from(settled > 0 && shown[0].is_some());
            late += usize::from(settled > 0 && shown[0].is_none());
        }
    }
    assert!(revised > 20 && late > 20, "{revised} {late}");
}
