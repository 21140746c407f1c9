//! The calendar as a whole, against the recorded one of 2003 to 2027 (`fixtures/README.md`) and facts of the years around it.

use std::{collections::BTreeMap, fs, ops::RangeInclusive, path::Path};

use jiff::{Timestamp, ToSpan, civil::date};

use super::*;
use crate::{Window, new_york};

/// Rows of a recorded file without its header.
fn recorded(file: &str) -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/calendar");
    let text = fs::read_to_string(folder.join(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// A recorded session: New York's times of day of the first and the last trade, of the opening and the closing bell.
struct RecordedSession {
    day: String,
    hours: [&'static str; 4],
}

/// Every recorded session, in order.
fn recorded_sessions() -> Vec<RecordedSession> {
    let early: BTreeMap<_, _> = recorded("nyse_early_closes_2003_2027.csv")
        .into_iter()
        .map(|row| (row[0].clone(), [row[1].clone(), row[2].clone()]))
        .collect();
    assert!(early.values().all(|hours| *hours == ["09:30", "13:00"]));
    let months = recorded("nyse_sessions_2003_2027.csv");
    let days = months.iter().flat_map(|row| row[1].split(' ').map(move |day| format!("{}-{day}", row[0])));
    let sessions: Vec<_> = days
        .map(|day| {
            let hours = if early.contains_key(&day) {
                ["04:00", "09:30", "13:00", "17:00"]
            } else {
                ["04:00", "09:30", "16:00", "20:00"]
            };
            RecordedSession { day, hours }
        })
        .collect();
    let half_days = sessions.iter().filter(|session| session.hours[2] == "13:00").count();
    assert_eq!((sessions.len(), half_days, early.len()), (6_289, 53, 53));
    sessions
}

/// New York's offset at an instant in UTC ms, in hours, by the recorded changes of its clocks.
fn recorded_offset_h(changes: &[(i64, i64)], ms: i64) -> i64 {
    changes.iter().rev().find(|(at, _)| *at <= ms).map_or(-5, |(_, hours)| *hours)
}

/// The instants (UTC ms) at which New York's clocks change, each with the offset after it, in hours.
fn recorded_changes() -> Vec<(i64, i64)> {
    let rows = recorded("new_york_dst_transitions_2003_2027.csv");
    rows.iter().map(|row| (row[1].parse().unwrap(), row[3].parse().unwrap())).collect()
}

/// A time of New York's clock as UTC ms, by what was recorded and without a database of time zones.
fn recorded_ms(changes: &[(i64, i64)], day: &str, clock: &str) -> i64 {
    let (hour, minute) = clock.split_once(':').unwrap();
    let (hour, minute): (i64, i64) = (hour.parse().unwrap(), minute.parse().unwrap());
    let day: jiff::civil::Date = day.parse().unwrap();
    let days = i64::from((day - date(1970, 1, 1)).get_days());
    let naive = ((days * 24 + hour) * 60 + minute) * 60_000;
    naive - recorded_offset_h(changes, naive) * 3_600_000
}

fn first_column(rows: &[Vec<String>]) -> Vec<String> {
    rows.iter().map(|row| row[0].clone()).collect()
}

fn years(years: RangeInclusive<i16>) -> Window {
    Window::new(date(*years.start(), 1, 1), date(*years.end(), 12, 31)).unwrap()
}

fn half_days(window: Window) -> Vec<String> {
    sessions(window).filter(|s| s.is_half_day()).map(|s| s.date().to_string()).collect()
}

fn closed_weekdays(window: Window) -> Vec<String> {
    let days = window.from().series(1.day()).take_while(|day| *day <= window.to());
    days.filter(|day| closure_reason(*day).is_some()).map(|day| day.to_string()).collect()
}

#[test]
fn sessions_and_their_hours_are_the_recorded_ones() {
    let changes = recorded_changes();
    let (ours, recorded): (Vec<_>, _) = (sessions(years(2003..=2027)).collect(), recorded_sessions());
    assert_eq!(ours.len(), recorded.len());
    for (session, RecordedSession { day, hours }) in ours.iter().zip(&recorded) {
        assert_eq!(session.date().to_string(), *day);
        let ours =
            [session.extended_open_ms(), session.open_ms(), session.close_ms(), session.extended_close_ms()];
        assert_eq!(ours, hours.map(|clock| recorded_ms(&changes, day, clock)), "{day}");
    }
}

#[test]
fn half_days_are_the_recorded_ones() {
    assert_eq!(half_days(years(2003..=2027)), first_column(&recorded("nyse_early_closes_2003_2027.csv")));
}

#[test]
fn closed_weekdays_are_the_recorded_ones() {
    let recorded = first_column(&recorded("nyse_weekday_closures_2003_2027.csv"));
    assert_eq!(closed_weekdays(years(2003..=2027)), recorded);
}

#[test]
fn clocks_change_at_the_recorded_instants() {
    let offset_h = |ms| {
        let at = Timestamp::from_millisecond(ms).unwrap();
        (new_york::TIME_ZONE.to_offset(at).seconds() / 3600).to_string()
    };
    let rows = recorded("new_york_dst_transitions_2003_2027.csv");
    assert_eq!(rows.len(), 50);
    for row in rows {
        let ms: i64 = row[1].parse().unwrap();
        assert_eq!([offset_h(ms - 1), offset_h(ms)], [row[2].as_str(), &row[3]], "{}", row[0]);
    }
}

/// From `exchange_calendars` and `pandas_market_calendars`, which agree on every one of these years.
#[test]
fn sessions_a_year() {
    #[rustfmt::skip]
    let known = [
        253, 252, 252, 254, 253, 252, 252, // 1993
        252, 248, 252, 252, 252, 252, 251, 251, 253, 252, // 2000
        252, 252, 250, 252, 252, 252, 252, 251, 251, 252, // 2010
        253, 252, 251, 250, 252, 250, 251, 251, // 2020
    ];
    let ours: Vec<_> = (1993..=2027).map(|year| sessions(years(year..=year)).count()).collect();
    assert_eq!(ours, known);
}

/// The years before the recorded calendar. `exchange_calendars` has the same.
#[test]
fn half_days_of_1993_to_2002() {
    #[rustfmt::skip]
    let known = [
        "1993-11-26",
        "1994-11-25",
        "1995-07-03", "1995-11-24",
        "1996-07-05", "1996-11-29", "1996-12-24",
        "1997-07-03", "1997-11-28", "1997-12-24", "1997-12-26",
        "1998-11-27", "1998-12-24",
        "1999-11-26", "1999-12-31",
        "2000-07-03", "2000-11-24",
        "2001-07-03", "2001-11-23", "2001-12-24",
        "2002-07-05", "2002-11-29", "2002-12-24",
    ];
    assert_eq!(half_days(years(1993..=2002)), known);
}

/// The year after the recorded calendar, as the exchange announced it on 2025-12-23.
#[test]
fn the_announced_year_2028() {
    let closed = [
        "2028-01-17",
        "2028-02-21",
        "2028-04-14",
        "2028-05-29",
        "2028-06-19",
        "2028-07-04",
        "2028-09-04",
        "2028-11-23",
        "2028-12-25",
    ];
    assert_eq!(closed_weekdays(years(2028..=2028)), closed);
    assert_eq!(half_days(years(2028..=2028)), ["2028-07-03", "2028-11-24"]);
}
