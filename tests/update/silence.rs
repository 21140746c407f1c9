//! A source that is silent, for all symbols or for some: it is never taken for complete, and quiet symbols may be quiet.

use std::fs;

use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::world::{FORTNIGHT, World, begun, day};
use crate::support::{Ran, bars_of};

/// The sessions of November 2024 after the fortnight.
pub const LATER: [i8; 10] = [15, 18, 19, 20, 21, 22, 25, 26, 27, 29];

/// A directory of these symbols, with bars on each session of the fortnight.
pub fn begun_with(symbols: &[&str]) -> World {
    let world = World::new(&[]);
    for symbol in symbols {
        trade(&world, symbol, &FORTNIGHT);
    }
    world.at(day(14), 21, 0, &format!("start --windows 2024-11 --tickers {}", symbols.join(","))).exits(0);
    world
}

pub fn trade(world: &World, symbol: &str, days: &[i8]) {
    for at in days {
        world.change(symbol, day(*at), |bars| *bars = bars_of(&[day(*at)]));
    }
}

/// One number of the metrics of the last update, as text.
fn metric(world: &World, name: &str) -> String {
    let text = fs::read_to_string(world.grab.dir().join("grab.prom")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("grab_{name} ")));
    line.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
}

/// An update at a quarter to nine in the evening; its metrics and exit code must agree.
pub fn evening(world: &World, on: Date, flags: &str) -> Ran {
    let ran = world.at(on, 20, 45, &format!("update --json --metrics-file grab.prom {flags}"));
    let (is_complete, lacking) = (ran.code == 0, metric(world, "lacking_sessions"));
    assert_eq!(is_complete, lacking == "0", "{ran:?}");
    assert_eq!(metric(world, "last_exit_code"), ran.code.to_string());
    ran
}

fn lacking(report: &Value) -> Vec<(String, u64, u64)> {
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let rows = report["lacking"].as_array().unwrap().iter();
    rows.map(|row| (row["date"].as_str().unwrap().to_owned(), number(row, "present"), number(row, "regular")))
        .collect()
}

#[test]
fn a_silent_source_is_not_complete_on_any_evening_until_its_bars_are_back() {
    let world = begun_with(&["A"]);
    for (evenings, at) in LATER.into_iter().enumerate() {
        // In the first update the source may be late. Later the user has to check.
        let code = if evenings == 0 { 10 } else { 13 };
        for again in ["first", "second"] {
            let report = evening(&world, day(at), "").exits(code).json();
            assert_eq!(report["is_lagging"], true, "{again} run: {report}");
            assert_eq!(lacking(&report).len(), evenings + 1, "{report}");
            assert_eq!(metric(&world, "session_coverage_ratio"), "0");
        }
        let verified = world.at(day(at), 21, 0, "verify --json").exits(13).json();
        assert_eq!(verified["gaps"], evenings as u64 + 1, "{verified}");
        world.at(day(at), 21, 0, "verify --min-coverage 0").exits(13);
    }
    let repaired = world.at(day(LATER[LATER.len() - 1]), 21, 0, "repair --json").exits(13).json();
    assert!(repaired["hint"].as_str().unwrap().contains("the source still lacks symbols"), "{repaired}");
    trade(&world, "A", &LATER);
    evening(&world, day(29), "").exits(0);
    assert_eq!(metric(&world, "session_coverage_ratio"), "1");
    assert!(world.is_true());
    world.at(day(29), 21, 0, "verify --deep").exits(0);
}

#[test]
fn a_silence_that_begins_in_a_gap_of_several_sessions_is_seen_at_once() {
    let world = begun();
    world.trade_on(&[15, 18]);
    let report = evening(&world, day(22), "").exits(13).json();
    let silent = [19, 20, 21, 22].map(|at| (day(at).to_string(), 0, 2));
    assert_eq!(lacking(&report), silent);
    assert_eq!(lacking(&evening(&world, day(22), "").exits(13).json()), silent, "also when it runs again");
    world.trade_on(&[19, 20, 21, 22]);
    evening(&world, day(22), "").exits(0);
    assert!(world.is_true());
}

#[test]
fn one_of_several_new_sessions_that_lacks_symbols_is_seen_although_the_last_one_is_whole() {
    let world = begun();
    world.trade_on(&[15, 18, 19, 20]);
    let (a, b) = (world.remove("A", day(18)), world.remove("B", day(18)));
    for on in [20, 20, 21, 22] {
        if on > 20 {
            world.trade(day(on));
        }
        let report = evening(&world, day(on), "").exits(13).json();
        assert_eq!(lacking(&report), [("2024-11-18".to_owned(), 0, 2)]);
        assert_eq!(report["is_lagging"], false);
        assert_eq!(metric(&world, "session_coverage_ratio"), "1");
        world.at(day(on), 21, 0, "verify").exits(13);
    }
    // Half of the symbols are not all.
    world.change("A", day(18), |bars| *bars = a);
    world.trade(day(25));
    let report = evening(&world, day(25), "").exits(13).json();
    assert_eq!(lacking(&report), [("2024-11-18".to_owned(), 1, 2)]);
    world.change("B", day(18), |bars| *bars = b);
    world.trade(day(26));
    evening(&world, day(26), "").exits(0);
    assert!(world.is_true());
}

#[test]
fn half_of_the_symbols_or_more_than_two_that_are_a_tenth_are_too_many_and_fewer_are_not() {
    for (symbols, silent, code) in
        [(2, 1, 10), (3, 1, 0), (4, 2, 10), (5, 2, 0), (5, 3, 10), (24, 2, 0), (24, 3, 10), (30, 3, 0)]
    {
        let letter = |at: u8| char::from(b'A' + at);
        let names: Vec<_> =
            (0..symbols).map(|at| format!("{}{}", letter(at / 26), letter(at % 26))).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let world = begun_with(&names);
        for name in &names[silent..] {
            trade(&world, name, &[15, 18]);
        }
        let report = evening(&world, day(15), "").exits(code).json();
        let present = names.len() - silent;
        let expected = json!([{ "date": "2024-11-15", "regular": symbols, "present": present }]);
        assert_eq!(report["lacking"], if code == 0 { json!([]) } else { expected }, "{silent} of {symbols}");
        evening(&world, day(18), "").exits(if code == 0 { 0 } else { 13 });
        for name in &names[..silent] {
            trade(&world, name, &[15, 18]);
        }
        evening(&world, day(18), "").exits(0);
    }
}

#[test]
fn a_directory_of_symbols_that_do_not_trade_every_day_may_be_quiet() {
    let world = World::new(&[]);
    trade(&world, "A", &[1, 5, 8, 14]);
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A").exits(0);
    for at in LATER {
        if at == 20 {
            trade(&world, "A", &[20]);
        }
        let report = evening(&world, day(at), "").exits(0).json();
        assert_eq!((&report["lacking"], &report["is_lagging"]), (&json!([]), &false.into()));
        assert_eq!(metric(&world, "session_coverage_ratio"), "1");
    }
    assert!(world.is_true());
}

#[test]
fn with_fewer_than_five_sessions_no_symbol_is_regular_and_with_five_it_is() {
    let world = World::new(&[11, 12, 13, 14]);
    world.at(day(14), 21, 0, "start --windows 2024-11-11..2024-11-14 --tickers A,B").exits(0);
    evening(&world, day(15), "").exits(0);
    world.trade(day(15));
    evening(&world, day(15), "").exits(0);
    evening(&world, day(18), "").exits(10);
}

#[test]
fn an_update_once_a_week_judges_each_session_of_the_week() {
    let world = begun();
    world.trade_on(&[15, 18, 19, 20, 21, 22]);
    evening(&world, day(22), "").exits(0);
    world.trade_on(&[25, 27, 29]);
    let report = evening(&world, day(29), "").exits(13).json();
    assert_eq!(lacking(&report), [("2024-11-26".to_owned(), 0, 2)]);
    for at in [2, 3, 4, 5, 6, 9] {
        world.trade(date(2024, 12, at));
    }
    evening(&world, date(2024, 12, 6), "").exits(13);
    world.trade(day(26));
    evening(&world, date(2024, 12, 9), "").exits(0);
    assert!(world.is_true());
}

#[test]
fn a_start_on_the_evening_of_a_silence_does_not_hide_it() {
    let world = World::new(&FORTNIGHT);
    world.at(day(15), 21, 0, "start --windows 2024-11 --tickers A,B").exits(0);
    evening(&world, day(15), "").exits(10);
    world.trade(day(18));
    let report = evening(&world, day(18), "").exits(13).json();
    assert_eq!(lacking(&report), [("2024-11-15".to_owned(), 0, 2)]);
    world.trade(day(15));
    evening(&world, day(18), "").exits(0);
}

#[test]
fn the_thresholds_are_held_against_each_new_session_on_each_run_of_the_evening() {
    let world = begun_with(&["A", "B", "C", "D", "E"]);
    for symbol in ["A", "B", "C", "D", "E"] {
        trade(&world, symbol, &LATER);
    }
    world.remove("E", day(15));
    for flags in ["--min-coverage 0.9", "--min-symbols-per-session 5"] {
        for run in ["first", "second"] {
            let ran = world.at(day(29), 20, 45, &format!("update --json {flags}")).exits(13).json();
            let hint = ran["hint"].as_str().unwrap();
            assert!(hint.contains("1 session with ") && hint.contains("2024-11-15 has 4 "), "{run}: {hint}");
        }
    }
    // Sessions before those that each update requests again are reported by `verify`.
    for symbol in ["A", "B", "C", "D", "E"] {
        let next = date(2024, 12, 2);
        world.change(symbol, next, |bars| *bars = bars_of(&[next]));
    }
    evening(&world, date(2024, 12, 2), "--min-coverage 0.9").exits(0);
}

#[test]
fn a_share_counts_symbols_that_were_silent_for_longer_than_two_weeks() {
    let world = begun_with(&["A", "B", "C", "D", "E"]);
    for symbol in ["A", "B", "C"] {
        trade(&world, symbol, &LATER);
    }
    world.list(|lists| {
        for symbol in ["D", "E"] {
            lists.details.insert(symbol.to_owned(), json!({ "ticker": symbol, "active": true }));
        }
    });
    for at in LATER {
        let ran = world.at(day(at), 20, 45, "update --json --min-coverage 0.9").exits(13).json();
        assert!(ran["hint"].as_str().unwrap().contains("has 3 of 5 symbols, 0.6000"), "{ran}");
    }
}

#[test]
fn a_symbol_that_fails_does_not_hide_that_the_source_is_silent() {
    let world = begun();
    world
        .grab
        .manifest()
        .execute(
            "INSERT INTO tasks (ticker, from_date, to_date, state, last_error, updated_at_ms)
         VALUES ('GONE', '2024-11-01', '2024-11-14', 'not_found', 'HTTP 404', 1)",
            [],
        )
        .unwrap();
    let report = world.at(day(15), 20, 45, "update --json").exits(10).json();
    let hint = report["hint"].as_str().unwrap();
    assert!(hint.contains("--retry-failed") && hint.contains("lacks symbols"), "{hint}");
    world.at(day(18), 20, 45, "update").exits(13);
}
