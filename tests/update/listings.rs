//! A changing universe: new symbols are added, delisted ones are closed, and a symbol may belong to two companies.

use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::world::{FORTNIGHT, World, day};
use crate::support::bars_of;

fn active(ticker: &str, figi: &str) -> Value {
    json!({ "ticker": ticker, "active": true, "type": "CS", "primary_exchange": "XNAS", "composite_figi": figi })
}

fn left(ticker: &str, figi: &str, on: Date) -> Value {
    json!({
        "ticker": ticker, "active": false, "type": "CS", "primary_exchange": "XNAS", "composite_figi": figi,
        "delisted_utc": format!("{on}T00:00:00Z"),
    })
}

/// A and B are subscribed by a list, and stored up to the fourteenth.
fn ordered() -> World {
    let world = World::new(&FORTNIGHT);
    world.list(|lists| lists.active = vec![active("A", "F1"), active("B", "F2")]);
    world.at(day(14), 21, 0, "start --universe us-stocks --type CS --windows 2024-11").exits(0);
    world
}

fn trade(world: &World, symbol: &str, days: &[i8]) {
    for at in days {
        world.change(symbol, day(*at), |bars| *bars = bars_of(&[day(*at)]));
    }
}

fn targets(world: &World, since: usize, symbol: &str) -> usize {
    let path = format!("/v2/aggs/ticker/{symbol}/");
    world.server.requests().iter().skip(since).filter(|request| request.target.starts_with(&path)).count()
}

#[test]
fn the_lists_of_tickers_are_asked_for_once_an_evening() {
    let world = ordered();
    let report = world.update(14, 0);
    assert_eq!((&report["requests"], &report["universe"]), (&0.into(), &Value::Null), "start has asked");
    world.trade(day(15));
    let report = world.update(15, 0);
    assert_eq!(report["requests"], 4, "two lists and two tails: {report}");
    assert_eq!(report["universe"]["tickers"]["active"], 2);
    assert_eq!(world.update(15, 0)["requests"], 0);
    assert!(world.is_true());
}

#[test]
fn lists_of_a_clock_that_was_ahead_are_asked_for_again() {
    let world = ordered();
    world.at(date(2024, 12, 20), 21, 0, "universe sync").exits(0);
    world.trade(day(15));
    assert_eq!(world.update(15, 0)["universe"]["tickers"]["active"], 2);
}

#[test]
fn one_that_goes_on_trading_after_the_day_on_which_lists_say_it_left_is_seen_at_once() {
    let world = ordered();
    world.list(|lists| {
        lists.active.retain(|row| row["ticker"] != "B");
        lists.left.push(left("B", "F2", day(14)));
    });
    for on in [15, 18, 19, 20, 21] {
        world.trade(day(on));
        world.update(on, 0);
    }
    assert!(world.is_true(), "B has bars of each day");
}

#[test]
fn a_new_listing_joins_from_its_first_day_on() {
    let world = ordered();
    world.trade(day(15));
    world.list(|lists| {
        lists.active.push(active("C", "F3"));
        lists.active.push(json!({ "ticker": "W", "active": true, "type": "WARRANT" }));
        lists.listed.insert("C".to_owned(), "2024-11-13");
    });
    trade(&world, "C", &[13, 14, 15]);
    let planned = world.at(day(15), 20, 45, "update --dry-run --json").exits(0).json();
    assert_eq!((&planned["lists_due"], &planned["joined_symbols"]), (&true.into(), &0.into()), "{planned}");
    let report = world.update(15, 0);
    let joined = json!([{ "ticker": "C", "window": { "from": "2024-11-13", "to": "2024-11-15" } }]);
    assert_eq!(report["joined"], joined, "the warrant was not ordered: {report}");
    assert_eq!(report["requests"], 2 + 1 + 3, "two lists, the list date of C, three symbols");
    assert!(world.is_true());
    world.trade(day(18));
    trade(&world, "C", &[18]);
    let next = world.update(18, 0);
    assert_eq!((&next["requests"], &next["joined"]), (&5.into(), &json!([])));
    assert!(world.is_true());
    let verified = world.at(day(18), 21, 0, "verify --json").exits(0).json();
    assert_eq!(verified["coverage"]["ratio"], 1.0, "nobody expects C before its first day: {verified}");
}

#[test]
fn one_that_is_new_and_whose_first_day_nobody_knows_joins_all_the_same() {
    let world = ordered();
    world.trade(day(15));
    world.list(|lists| lists.active.push(active("C", "F3")));
    trade(&world, "C", &[14, 15]);
    let report = world.update(15, 0);
    assert_eq!(report["joined"][0]["window"]["from"], "2024-11-01", "{report}");
    assert!(world.is_true());
}

#[test]
fn one_that_has_left_is_asked_for_until_its_last_days_are_final_and_then_no_more() {
    let world = ordered();
    world.trade(day(15));
    assert_eq!(world.update(15, 0)["left"], json!([]));
    trade(&world, "A", &[18]);
    world.list(|lists| {
        lists.active.remove(1);
        lists.left.push(left("B", "F2", day(18)));
    });
    let report = world.update(18, 0);
    assert_eq!(
        report["left"],
        json!([{ "ticker": "B", "last_day": "2024-11-18", "now": null, "goes_on": false }]),
        "{report}"
    );
    let said = world.at(day(18), 20, 45, "update").exits(0).stdout;
    assert!(!said.contains("left "), "it is said once: {said}");
    // Late trades of its last session.
    world.change("B", day(15), |bars| bars[29].volume += 100.0);
    for (on, asked) in [(19, 1), (20, 1), (21, 1), (22, 0), (25, 0)] {
        trade(&world, "A", &[on]);
        let begun = world.server.pages_asked();
        let report = world.at(day(on), 20, 45, "update --min-coverage 1 --json").exits(0).json();
        assert_eq!(targets(&world, begun, "B"), asked, "on the {on}th: {report}");
        assert_eq!(report["closed"], u64::from(asked == 0), "{report}");
        assert!(world.is_true());
    }
}

#[test]
fn a_ticker_of_another_company_goes_on_and_a_renamed_one_is_named_and_not_joined() {
    let world = ordered();
    world.trade(day(15));
    world.update(15, 0);
    // B becomes C on the eighteenth, and B belongs to another company then.
    world.trade(day(18));
    trade(&world, "C", &[18]);
    world.list(|lists| {
        lists.active[1] = active("C", "F2");
        lists.active.push(active("B", "F9"));
        lists.left.push(left("B", "F2", day(18)));
        lists.listed.insert("C".to_owned(), "2010-01-04");
        let change = |ticker: &str, date: &str| json!({ "type": "ticker_change", "date": date, "ticker_change": { "ticker": ticker } });
        let events = [change("C", "2024-11-18"), change("B", "2010-01-04")];
        lists.events.insert("C".to_owned(), json!({ "name": "C", "composite_figi": "F2", "events": events }));
    });
    let ran = world.at(day(18), 20, 45, "update").exits(0);
    assert!(
        ran.stdout.contains("delisted  B on 2024-11-18 (now C; the ticker belongs to another security)"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("new       C from 2024-11-18"), "{ran:?}");
    assert!(world.is_true());
    let exported = world.at(day(18), 21, 0, "export --tickers C --follow-renames --out joined").exits(0);
    assert!(exported.stdout.contains('B') || exported.stderr.contains('B'), "{exported:?}");
    world.trade(day(19));
    trade(&world, "C", &[19]);
    let next = world.update(19, 0);
    assert_eq!((&next["closed"], &next["requests"]), (&0.into(), &5.into()), "{next}");
    assert!(world.is_true());
}

#[test]
fn lists_that_are_not_to_be_had_do_not_hold_up_bars_and_are_no_success() {
    let world = ordered();
    world.trade(day(15));
    world.list(|lists| lists.is_broken = true);
    let report = world.update(15, 10);
    assert!(
        report["hint"].as_str().unwrap().contains("the list of tickers could not be fetched"),
        "{report}"
    );
    assert!(world.is_true());
    world.list(|lists| lists.is_broken = false);
    assert_eq!(world.update(15, 0)["requests"], 2, "the lists alone");
}

#[test]
fn where_nobody_ordered_a_list_one_that_cannot_be_had_is_said_and_no_more() {
    let world = World::new(&FORTNIGHT);
    world.at(day(14), 20, 10, "start --windows 2024-11 --tickers A,B").exits(0);
    world.list(|lists| lists.active = vec![active("A", "F1"), active("B", "F2"), active("C", "F3")]);
    world.at(day(14), 21, 0, "universe sync --no-splits").exits(0);
    world.list(|lists| lists.is_broken = true);
    world.trade(day(15));
    let ran = world.at(day(15), 20, 45, "update --json").exits(0);
    assert!(ran.stderr.contains("note: the list of tickers could not be fetched"), "{ran:?}");
    world.list(|lists| lists.is_broken = false);
    let report = world.update(15, 0);
    assert_eq!((&report["requests"], &report["joined"]), (&2.into(), &json!([])), "nobody ordered C");
}

#[test]
fn a_history_that_ended_before_is_brought_to_today_with_all_that_lived_since() {
    let world = World::new(&FORTNIGHT);
    world.list(|lists| {
        lists.active = vec![active("A", "F1"), active("B", "F2")];
        lists.left = vec![left("C", "F3", day(8)), left("D", "F4", day(1))];
        lists.listed.insert("C".to_owned(), "2024-11-06");
    });
    trade(&world, "C", &[6, 7, 8]);
    world.at(day(14), 21, 0, "universe sync --list-dates").exits(0);
    world.at(day(14), 21, 0, "start --universe us-stocks --windows 2024-11-04..2024-11-05").exits(0);
    let report = world.update(14, 0);
    let joined = json!([{ "ticker": "C", "window": { "from": "2024-11-06", "to": "2024-11-08" } }]);
    assert_eq!(report["joined"], joined, "D had left: {report}");
    let held = crate::support::read_store(&world.grab.data_dir());
    let days = |symbol: &str| held[symbol].len() / 30;
    assert_eq!((days("A"), days("C")), (9, 3), "from the fourth to the fourteenth");
}

#[test]
fn a_symbol_whose_first_evening_failed_is_brought_to_the_last_session_with_the_others() {
    let world = ordered();
    world.trade(day(15));
    world.list(|lists| lists.active.push(active("C", "F3")));
    trade(&world, "C", &[15]);
    world.at(day(15), 20, 45, "update --max-requests 3 --json").exits(10);
    world.trade(day(18));
    trade(&world, "C", &[18]);
    world.update(18, 0);
    assert!(world.is_true());
}

#[test]
fn lists_that_were_left_on_their_way_before_the_session_do_not_speak_for_it() {
    let world = ordered();
    world.trade(day(15));
    world.at(day(15), 20, 45, "update --max-requests 1 --json").exits(10);
    world.trade(day(18));
    world.list(|lists| lists.active.push(active("C", "F3")));
    trade(&world, "C", &[18]);
    // Less than a day later by this machine's clock.
    world.update(18, 0);
    assert!(world.is_true(), "C is new on the eighteenth");
}

#[test]
fn lists_that_fail_for_long_leave_time_for_bars() {
    let world = ordered();
    world.trade(day(15));
    world.list(|lists| lists.is_failing = true);
    let report = world.at(day(15), 20, 45, "update --max-requests 16 --json").exits(10).json();
    assert_eq!(report["bars"], 60, "{report}");
    assert!(world.is_true());
}

#[test]
fn lists_that_lack_many_are_no_silent_success() {
    let world = ordered();
    world.trade(day(15));
    world.list(|lists| lists.active.truncate(1));
    let report = world.update(15, 10);
    assert!(report["hint"].as_str().unwrap().contains("the lists lack 1 of 2 listings"), "{report}");
    assert!(world.is_true());
}

#[test]
fn one_who_is_listed_and_never_had_a_bar_is_expected() {
    let world = World::new(&FORTNIGHT);
    world.list(|lists| {
        lists.active = ["A", "B", "C", "D"].iter().map(|ticker| active(ticker, ticker)).collect();
    });
    world.at(day(14), 21, 0, "start --universe us-stocks --type CS --windows 2024-11").exits(0);
    world.trade(day(15));
    let report = world.at(day(15), 20, 45, "update --min-coverage 0.9 --json").exits(13).json();
    assert_eq!(report["sessions"][0]["expected"], 4, "{report}");
}

#[test]
fn who_was_active_on_a_day_is_settled_unless_it_is_known_of_a_new_one() {
    let world = World::new(&FORTNIGHT);
    world.list(|lists| lists.active = vec![active("A", "F1"), active("B", "F2")]);
    world.at(day(14), 21, 0, "start --universe us-stocks --as-of 2024-11-04 --windows 2024-11").exits(0);
    world.trade(day(15));
    world.list(|lists| {
        lists.active.extend([active("C", "F3"), active("D", "F4")]);
        lists.listed.insert("D".to_owned(), "2010-01-04");
    });
    let report = world.update(15, 0);
    let joined: Vec<_> =
        report["joined"].as_array().unwrap().iter().map(|row| row["ticker"].clone()).collect();
    assert_eq!(joined, ["D"], "nobody knows of C: {report}");
}

#[test]
fn flags_of_a_list_go_with_a_list() {
    let world = World::new(&FORTNIGHT);
    world.at(day(14), 21, 0, "start --tickers A --type ETF --windows 2024-11").exits(2);
}

#[test]
fn one_that_has_bars_after_the_day_on_which_lists_say_it_left_is_followed() {
    let world = ordered();
    world.trade(day(15));
    world.list(|lists| {
        lists.active.remove(1);
        lists.left.push(left("B", "F2", day(8)));
    });
    let report = world.update(15, 0);
    assert_eq!((&report["extended"], &report["closed"]), (&2.into(), &0.into()), "{report}");
    assert!(world.is_true());
    for on in [18, 19] {
        world.trade(day(on));
        assert_eq!(world.update(on, 0)["extended"], 2);
        assert!(world.is_true());
    }
    let verified = world.at(day(19), 21, 0, "verify --json").exits(0).json();
    let finding = &verified["findings"][0];
    assert_eq!((&finding["kind"], &finding["severity"]), (&"outside_listing".into(), &"notice".into()));
    let said = "7 sessions to 2024-11-19 have bars, and the lists have the symbol until 2024-11-08";
    assert!(finding["detail"].as_str().unwrap().starts_with(said), "{finding}");
}
