//! The calendar as a whole, against the recorded one of 2003 to 2027 and facts of the years around it.

use std::{fs, ops::RangeInclusive, path::Path};

use jiff::{Timestamp, ToSpan, civil::date};

use super::*;
use crate::{Window, new_york};

/// Rows of a recorded file without its header; nothing, and a word about it, where the data was not lent.
fn recorded(file: &str) -> Option<Vec<Vec<String>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/calendar");
    if !folder.is_dir() {
        println!("skipped: no recorded calendar in {}", folder.display());
        return None;
    }
    let text = fs::read_to_string(folder.join(file)).unwrap();
    Some(text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect())
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

/// `09:30` of a day as UTC ms.
fn at(day: &str, clock: &str) -> i64 {
    let (hour, minute) = clock.split_once(':').unwrap();
    new_york::at_ms(day.parse().unwrap(), hour.parse().unwrap(), minute.parse().unwrap())
}

#[test]
fn regular_hours_are_the_recorded_ones() {
    let Some(rows) = recorded("nyse_sessions_2003_2027.csv") else { return };
    let sessions: Vec<_> = sessions(years(2003..=2027)).collect();
    assert_eq!(sessions.len(), rows.len());
    for (session, row) in sessions.iter().zip(&rows) {
        let ours =
            [session.date().to_string(), session.open_ms().to_string(), session.close_ms().to_string()];
        assert_eq!(ours, [row[0].as_str(), &row[3], &row[4]]);
    }
}

#[test]
fn extended_hours_are_the_recorded_ones() {
    let Some(rows) = recorded("nyse_sessions_with_pre_post_2003_2027.csv") else { return };
    // Late openings and an early end that no schedule had: only their dates count.
    let odd = first_column(&recorded("exchange_calendars_vs_pandas_market_calendars_diff.csv").unwrap());
    let sessions: Vec<_> = sessions(years(2003..=2027)).collect();
    assert_eq!(sessions.len(), rows.len());
    for (session, row) in sessions.iter().zip(&rows) {
        assert_eq!(session.date().to_string(), row[0]);
        if !odd.contains(&row[0]) {
            let ours = [
                session.extended_open_ms(),
                session.open_ms(),
                session.close_ms(),
                session.extended_close_ms(),
            ];
            assert_eq!(ours, [1, 2, 3, 4].map(|column| at(&row[0], &row[column])), "{}", row[0]);
        }
    }
}

#[test]
fn half_days_are_the_recorded_ones() {
    let Some(rows) = recorded("nyse_early_closes_2003_2027.csv") else { return };
    assert_eq!(half_days(years(2003..=2027)), first_column(&rows));
}

#[test]
fn closed_weekdays_are_the_recorded_ones() {
    let Some(rows) = recorded("nyse_weekday_closures_2003_2027.csv") else { return };
    assert_eq!(closed_weekdays(years(2003..=2027)), first_column(&rows));
}

#[test]
fn clocks_change_at_the_recorded_instants() {
    let Some(rows) = recorded("new_york_dst_transitions_2003_2027.csv") else { return };
    let offset_h = |ms| {
        let at = Timestamp::from_millisecond(ms).unwrap();
        (new_york::TIME_ZONE.to_offset(at).seconds() / 3600).to_string()
    };
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
