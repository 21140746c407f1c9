//! Splits: adjusted bars of a directory are requested again, bars as traded are not.

use grab_core::data_dir::DataDir;
use grab_core::store::{BarStore, reference};
use grab_model::Month;
use jiff::civil::date;
use serde_json::{Value, json};

use super::world::{FORTNIGHT, World, day};
use crate::support::bars_of;

fn split(ticker: &str, date: &str) -> Value {
    json!({ "ticker": ticker, "execution_date": date, "split_from": 1, "split_to": 4, "id": format!("E{date}") })
}

#[test]
fn a_new_split_reopens_the_adjusted_history_on_its_day_and_once_more_for_a_service_that_is_late() {
    let world = World::new(&FORTNIGHT);
    world.list(|lists| lists.splits.push(split("A", "2020-08-31")));
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B --adjusted").exits(0);
    world.trade(day(15));
    let first = world.update(15, 0);
    assert_eq!((&first["resplit"], &first["requests"]), (&0.into(), &3.into()), "with the list: {first}");
    // It is announced a day ahead.
    world.trade(day(18));
    world.list(|lists| {
        lists.splits.push(split("A", "2024-11-18"));
        lists.adjusted = Some((day(18), 0.25));
    });
    let split = world.at(day(18), 20, 45, "update --json").exits(0);
    assert!(split.stderr.contains("A has split on 2024-11-18"), "{split:?}");
    let split = split.json();
    // The list, two rolling tasks, and A's history. B's prices have changed as well here, but the list has no split.
    assert_eq!((&split["resplit"], &split["requests"]), (&1.into(), &4.into()), "{split}");
    let dir = world.grab.data_dir();
    let store = BarStore::new(DataDir::new(dir.clone()), true, String::new());
    let held = store.read(&"A".parse().unwrap(), Month::new(2024, 11).unwrap()).unwrap().unwrap().bars;
    let truth = bars_of(&FORTNIGHT.iter().chain(&[15]).map(|at| day(*at)).collect::<Vec<_>>());
    assert!(held.iter().zip(&truth).all(|(bar, whole)| (bar.open - whole.open * 0.25).abs() < 1e-9));
    for (on, resplit) in [(19, 1), (20, 0)] {
        world.trade(day(on));
        let report = world.update(on, 0);
        assert_eq!(
            (&report["resplit"], &report["requests"]),
            (&resplit.into(), &(3 + resplit).into()),
            "{report}"
        );
        assert_eq!(world.update(on, 0)["requests"], 0, "lists are asked for once an evening");
    }
}

/// Opens of A's bars before the eighteenth, divided by those as traded: one value if the history is consistent.
fn factors(world: &World) -> Vec<String> {
    let store = BarStore::new(DataDir::new(world.grab.data_dir()), true, String::new());
    let held = store.read(&"A".parse().unwrap(), Month::new(2024, 11).unwrap()).unwrap().unwrap().bars;
    let days: Vec<_> =
        (1..=18).map(day).filter(|day| world.truth.lock().unwrap()["A"].contains_key(day)).collect();
    let truth =
        bars_of(&days).into_iter().filter(|bar| bar.timestamp < grab_model::new_york::at_ms(day(18), 0, 0));
    let mut factors: Vec<_> =
        held.iter().zip(truth).map(|(bar, whole)| format!("{:.3}", bar.open / whole.open)).collect();
    factors.dedup();
    factors
}

fn adjusted_to_the_fifteenth() -> World {
    let world = World::new(&FORTNIGHT);
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B --adjusted").exits(0);
    world.trade(day(15));
    world.update(15, 0);
    world
}

#[test]
fn a_service_that_applies_a_split_an_evening_late_does_not_leave_a_mixed_history() {
    let world = adjusted_to_the_fifteenth();
    world.trade(day(18));
    world.list(|lists| lists.splits.push(split("A", "2024-11-18")));
    world.update(18, 0);
    assert_eq!(factors(&world), ["1.000"]);
    world.trade(day(19));
    world.list(|lists| lists.adjusted = Some((day(18), 0.25)));
    world.update(19, 0);
    assert_eq!(factors(&world), ["0.250"]);
}

#[test]
fn a_split_that_is_withdrawn_reopens_the_history_as_well() {
    let world = adjusted_to_the_fifteenth();
    world.trade_on(&[18, 19, 20]);
    world.list(|lists| {
        lists.splits = vec![split("A", "2024-11-18"), split("B", "2020-11-18")];
        lists.adjusted = Some((day(18), 0.25));
    });
    world.update(18, 0);
    world.update(19, 0);
    assert_eq!(factors(&world), ["0.250"]);
    world.list(|lists| {
        lists.splits.remove(0);
        lists.adjusted = None;
    });
    world.update(20, 0);
    assert_eq!(factors(&world), ["1.000"]);
    world.trade_on(&[21, 22]);
    world.update(21, 0);
    assert_eq!(world.update(22, 0)["resplit"], 0);
}

#[test]
fn a_history_of_which_a_part_came_before_a_split_is_asked_for_anew() {
    let world = World::new(&FORTNIGHT);
    world.list(|lists| lists.page = Some(200));
    world.at(day(15), 21, 0, "start --windows 2024-11 --tickers A --adjusted --max-requests 1").exits(10);
    world.trade_on(&[15, 18]);
    world.list(|lists| {
        lists.splits.push(split("A", "2024-11-18"));
        lists.adjusted = Some((day(18), 0.25));
    });
    world.at(day(18), 20, 35, "resume").exits(0);
    let report = world.update(18, 0);
    assert_eq!(report["resplit"], 1, "{report}");
    assert_eq!(factors(&world), ["0.250"]);
}

#[test]
fn bars_as_traded_stay_as_they_are_and_a_kept_list_of_splits_goes_on() {
    let world = World::new(&FORTNIGHT);
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B").exits(0);
    world.trade(day(15));
    assert_eq!(world.update(15, 0)["requests"], 2, "nobody asked for splits here");
    world.list(|lists| lists.active = vec![json!({ "ticker": "A", "active": true, "type": "CS" })]);
    world.at(day(15), 21, 0, "universe sync").exits(0);
    world.list(|lists| lists.splits.push(split("A", "2024-11-18")));
    world.trade(day(18));
    let report = world.update(18, 0);
    assert_eq!(
        (&report["resplit"], &report["universe"]["splits"]["added"]),
        (&0.into(), &1.into()),
        "{report}"
    );
    assert!(world.is_true());
    let splits = reference::read_splits(&DataDir::new(world.grab.data_dir())).unwrap().unwrap();
    assert_eq!(splits.rows[0].row.execution_date, date(2024, 11, 18));
}

#[test]
fn a_list_of_splits_that_is_not_to_be_had_is_no_silent_success_where_bars_depend_on_it() {
    let world = World::new(&FORTNIGHT);
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B --adjusted").exits(0);
    world.list(|lists| lists.is_broken = true);
    world.trade(day(15));
    let report = world.update(15, 10);
    assert_eq!(report["bars"], 60, "bars go on: {report}");
    assert!(report["hint"].as_str().unwrap().contains("the list of splits could not be fetched"), "{report}");
    world.list(|lists| lists.is_broken = false);
    assert_eq!(world.update(15, 0)["requests"], 1);
}
