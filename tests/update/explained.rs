//! Absences that the service explains: delisted symbols, and days on which the market was closed.

use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::{
    silence::{LATER, begun_with, evening, trade},
    world::{World, begun, day},
};

/// The updates during ten sessions of silence, and more.
fn evenings() -> impl Iterator<Item = Date> {
    let december = [2, 3, 4, 5, 6, 9, 10, 11, 12, 13].map(|at| date(2024, 12, at));
    LATER.map(day).into_iter().chain(december)
}

/// How often the details of A were requested.
fn asked(world: &World) -> usize {
    let asked = |target: &str| target.starts_with("/v3/reference/tickers/A");
    world.server.requests().iter().filter(|request| asked(&request.target)).count()
}

fn asked_for(world: &World, path: &str) -> usize {
    world.server.requests().iter().filter(|request| request.target.starts_with(path)).count()
}

/// Ten updates during the silence of A, then more; the exit codes after the first ten. All others trade.
fn silent(world: &World, others: &[&str]) -> Vec<(i32, Value)> {
    let mut codes = Vec::new();
    for (sessions, on) in evenings().enumerate() {
        for symbol in others {
            world.change(symbol, on, |bars| *bars = crate::support::bars_of(&[on]));
        }
        let ran = evening(world, on, "");
        if sessions < 9 {
            assert_eq!((ran.code, asked(world)), (if sessions == 0 { 10 } else { 13 }, 0), "{ran:?}");
        } else {
            codes.push((ran.code, ran.json()));
        }
    }
    codes
}

#[test]
fn a_symbol_that_the_service_lists_as_active_stays_expected_and_is_asked_about_once() {
    let world = begun_with(&["A", "B"]);
    world.list(|lists| {
        lists.details.insert("A".to_owned(), json!({ "ticker": "A", "active": true }));
    });
    for (code, report) in silent(&world, &["B"]) {
        assert_eq!(code, 13, "{report}");
        let said = json!([{
            "ticker": "A", "last_session": "2024-11-14", "answer": "active", "left_on": null,
            "words": "the service lists it as active",
        }]);
        assert_eq!(report["silent"], said);
    }
    assert_eq!(asked(&world), 1);
    let on = date(2024, 12, 16);
    let text = world.at(on, 20, 45, "update").exits(13).stdout;
    assert!(text.contains("silent    A since 2024-11-14: the service lists it as active"), "{text}");
    // When the bars are back, it is no longer reported.
    for at in evenings().chain([on, date(2024, 12, 17)]) {
        for symbol in ["A", "B"] {
            world.change(symbol, at, |bars| *bars = crate::support::bars_of(&[at]));
        }
    }
    let report = evening(&world, date(2024, 12, 17), "").exits(0).json();
    assert_eq!(report["silent"], json!([]));
    assert!(world.is_true());
}

#[test]
fn a_symbol_that_has_left_by_the_service_s_details_is_expected_no_more() {
    let delisted = json!({ "ticker": "A", "active": false, "delisted_utc": "2024-11-18T05:00:00Z" });
    for (details, words, left_on) in [
        (Some(delisted), "the service lists it as delisted on 2024-11-18", json!("2024-11-18")),
        (None, "the service does not list it today", Value::Null),
    ] {
        let world = begun_with(&["A", "B"]);
        world.list(|lists| lists.details.extend(details.map(|details| ("A".to_owned(), details))));
        let codes = silent(&world, &["B"]);
        assert!(codes.iter().all(|(code, _)| *code == 0), "{codes:?}");
        let first = &codes[0].1["silent"];
        let said = json!([{
            "ticker": "A", "last_session": "2024-11-14", "answer": "left", "left_on": left_on, "words": words,
        }]);
        assert_eq!((first, &codes[1].1["silent"]), (&said, &json!([])), "it is said once");
        assert_eq!((asked(&world), &codes[2].1["closed"]), (1, &1.into()), "nothing more is asked about it");
        world.at(date(2024, 12, 13), 21, 0, "verify").exits(0);
    }
}

#[test]
fn while_the_whole_source_is_silent_a_symbol_has_left_only_if_it_was_known_before() {
    // The service knows no symbol, on no day.
    let world = begun_with(&["A"]);
    for (code, report) in silent(&world, &[]) {
        assert_eq!(code, 13, "{report}");
        assert_eq!(report["silent"][0]["answer"], "unknown", "{report}");
    }
    assert_eq!(asked(&world), 2, "today, and on its last session");

    let world = begun_with(&["A"]);
    world.list(|lists| {
        lists.details.insert("A?date=2024-11-14".to_owned(), json!({ "ticker": "A", "active": true }));
    });
    let codes = silent(&world, &[]);
    assert!(codes.iter().all(|(code, _)| *code == 0), "{codes:?}");
    let words = "the service listed it on 2024-11-14, and does not list it today";
    assert_eq!(codes[0].1["silent"][0]["words"], words);
    world.at(date(2024, 12, 13), 21, 0, "verify").exits(0);
}

#[test]
fn details_that_are_not_to_be_had_explain_nothing_and_hold_up_nothing() {
    let world = begun_with(&["A", "B"]);
    for at in LATER {
        trade(&world, "B", &[at]);
        evening(&world, day(at), "");
    }
    let world = begun_with(&["A", "B"]);
    trade(&world, "B", &LATER);
    world.list(|lists| lists.is_broken = true);
    let report = evening(&world, day(29), "").exits(13).json();
    assert_eq!(report["silent"][0]["words"], "the plan or the service has no details of it");
    let world = begun_with(&["A", "B"]);
    trade(&world, "B", &LATER);
    world.list(|lists| lists.is_failing = true);
    let report = evening(&world, day(29), "--max-attempts 1").exits(13).json();
    assert_eq!((&report["silent"], &report["error"]), (&json!([]), &Value::Null), "it is asked again later");
    world.list(|lists| lists.is_failing = false);
    evening(&world, day(29), "").exits(0);
}

fn closed(on: Date, exchange: &str) -> Value {
    json!({ "date": on.to_string(), "exchange": exchange, "name": "Day of Mourning", "status": "closed" })
}

#[test]
fn a_day_that_the_service_lists_as_closed_is_no_session() {
    let world = begun();
    world.trade(day(15));
    evening(&world, day(15), "").exits(0);
    let upcoming = "/v1/marketstatus/upcoming";
    assert_eq!(asked_for(&world, upcoming), 0, "nothing is absent");
    world.list(|lists| {
        lists.closed = vec![closed(day(18), "NYSE"), closed(day(18), "NASDAQ"), closed(day(28), "NYSE")];
    });
    let report = evening(&world, day(18), "--min-coverage 1 --min-symbols-per-session 2").exits(0).json();
    let said = json!([{ "date": "2024-11-18", "evidence": "market status", "name": "Day of Mourning" }]);
    assert_eq!((&report["closed_days"], &report["lacking"]), (&said, &json!([])), "Thanksgiving is known");
    for at in [19, 20, 21] {
        world.trade(day(at));
        let report = evening(&world, day(at), "--min-coverage 1").exits(0).json();
        assert_eq!((&report["closed_days"], &report["holes"]), (&json!([]), &0.into()));
        world.at(day(at), 21, 0, "verify --min-coverage 1").exits(0);
    }
    assert_eq!(asked_for(&world, upcoming), 1);
    // It was a session after all.
    world.trade_on(&[18, 22]);
    evening(&world, day(22), "--min-coverage 1").exits(0);
    assert_eq!(world.grab.count("SELECT count(*) FROM closures"), 0);
    assert!(world.is_true());
}

#[test]
fn a_day_without_a_single_symbol_in_the_market_is_closed_once_two_later_sessions_are_there() {
    let world = begun();
    world.list(|lists| {
        lists.market.insert(day(14), vec!["A", "B", "C"]);
        lists.market.insert(day(15), vec![]);
        lists.market.insert(day(18), vec!["A", "B", "C"]);
    });
    let grouped = "/v2/aggs/grouped/";
    evening(&world, day(15), "").exits(10);
    world.trade(day(18));
    evening(&world, day(18), "").exits(13);
    assert_eq!(asked_for(&world, grouped), 0, "the service may fill it yet");
    world.trade(day(19));
    let report = evening(&world, day(19), "").exits(0).json();
    assert_eq!(report["closed_days"][0]["evidence"], "grouped daily", "{report}");
    assert_eq!(asked_for(&world, grouped), 3);
    world.at(day(19), 21, 0, "verify").exits(0);
    world.trade(day(20));
    evening(&world, day(20), "").exits(0);
    assert_eq!(asked_for(&world, grouped), 3);
}

#[test]
fn a_day_on_which_the_market_traded_or_of_which_nothing_is_known_is_not_closed() {
    for market in [Some(vec!["C", "D", "E"]), None] {
        let world = begun();
        world.list(|lists| {
            lists.market.insert(day(14), vec!["A", "B", "C"]);
            lists.market.extend(market.map(|market| (day(15), market)));
            lists.market.insert(day(18), vec!["A", "B", "C"]);
        });
        world.trade_on(&[18, 19, 20]);
        for on in [20, 21, 22] {
            world.trade(day(on));
            evening(&world, day(on), "").exits(13);
            world.at(day(on), 21, 0, "verify").exits(13);
        }
    }
}
