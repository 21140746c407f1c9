//! Companies that took over a ticker: which company had it when, by lists and events together.

use grab_core::data_dir::DataDir;
use grab_core::store::reference::{self, ReferenceTable};
use grab_model::Rename;
use grab_sandbox::SandboxOptions;
use jiff::civil::date;
use serde_json::Value;

use super::listed;
use crate::support::{Grab, Serving};

/// META belongs to a fund until 2022-01-28, and to Meta Platforms, former FB, from 2022-06-09 on.
fn held(windows: &str) -> (Serving, Grab) {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2026-07-20T12:00:00Z");
    grab.run(&format!("start --windows {windows} --tickers META,FB")).exits(0);
    (server, grab)
}

fn days(grab: &Grab, ticker: &str) -> Vec<(Value, Value)> {
    let lives = listed(grab, &format!("--ticker {ticker}"));
    lives.iter().map(|life| (life["from"].clone(), life["to"].clone())).collect()
}

#[test]
fn a_company_that_took_a_ticker_over_is_not_expected_before() {
    let (_server, grab) = held("2021-12..2022-07");
    grab.run("universe sync --list-dates").exits(0);
    let before = grab.run("verify --json").exits(13).json();
    let finding = &before["findings"][0];
    assert_eq!((&finding["kind"], &finding["ticker"]), (&"missing_session".into(), &"META".into()));
    assert!(finding["detail"].as_str().unwrap().starts_with("90 sessions"), "{finding}");

    grab.run("universe sync --renames").exits(0);
    let after = grab.run("verify --json").exits(0).json();
    assert_eq!((&after["gaps"], &after["notices"]), (&0.into(), &0.into()), "{after}");
    let day = |text: &str| Value::from(text);
    assert_eq!(
        days(&grab, "META"),
        [(day("2021-06-30"), day("2022-01-31")), (day("2022-06-09"), Value::Null)],
        "the day of the change"
    );
    assert_eq!(days(&grab, "FB"), [(day("2012-05-18"), day("2022-06-09"))]);
}

#[test]
fn planning_goes_by_the_day_of_the_change() {
    let (_server, grab) = held("2022-07-01");
    grab.run("universe sync --list-dates --renames").exits(0);
    let plan =
        grab.run("start --universe us-stocks --windows 2021-12..2022-06 --dry-run --json").exits(0).json();
    let of = |ticker: &str| -> Vec<String> {
        let tasks = plan["plan"].as_array().unwrap().iter().filter(|task| task["ticker"] == ticker);
        tasks.map(|task| ["from", "to"].map(|end| task["window"][end].as_str().unwrap()).join("..")).collect()
    };
    assert_eq!(of("META"), ["2021-12-01..2022-01-31", "2022-06-09..2022-06-30"]);
    assert_eq!(of("FB"), ["2021-12-01..2022-06-09"]);
    let items = plan["left_out"]["cut"]["items"].as_array().unwrap();
    let cut = items.iter().find(|item| item["ticker"] == "META").unwrap();
    assert_eq!((&cut["listed_until"], &cut["listed_from"]), (&"2022-01-31".into(), &"2022-06-09".into()));
}

#[test]
fn a_company_without_a_row_in_the_lists_is_known_by_its_events() {
    // Only events are known: those of Meta Platforms, and those of the fund.
    let (_server, grab) = held("2021-12..2022-07");
    let event = |asked_as: &str, ticker: &str, day| Rename {
        composite_figi: Some(asked_as.to_owned()),
        cik: None,
        name: None,
        ticker: ticker.parse().unwrap(),
        date: day,
        asked_as: asked_as.parse().unwrap(),
    };
    let renames = vec![
        event("META", "FB", date(2012, 5, 18)),
        event("META", "META", date(2022, 6, 9)),
        event("METV", "META", date(2021, 6, 30)),
        event("METV", "METV", date(2022, 1, 31)),
    ];
    let rows = reference::merge(Vec::new(), renames, 0, |_| true).rows;
    let table = ReferenceTable { rows, fetched_ms: 0, source: "localhost".to_owned() };
    reference::write_renames(&DataDir::new(grab.data_dir()), &table).unwrap();
    let report = grab.run("verify --json").exits(0).json();
    assert_eq!((&report["gaps"], &report["notices"]), (&0.into(), &0.into()), "{report}");
}
