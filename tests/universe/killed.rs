//! A sync that crashes or is stopped, and is continued.

use std::fs;

use super::{in_pages, listed};
use crate::support::{Grab, Ran, Reply, Request, Server, page, wait_until};

const ACTIVE: [&str; 5] = ["A", "AA", "AAPL", "B", "C"];
const LEFT: [(&str, &str); 3] = [("BSC", "2008-06-02"), ("LEH", "2008-09-18"), ("YHOO", "2017-06-19")];

fn answer(request: &Request) -> Reply {
    if request.target.starts_with("/v2/aggs/") {
        return Reply::json(200, page(request.symbol(), &[], None));
    }
    in_pages(request, &ACTIVE, &LEFT)
}

fn tickers(grab: &Grab) -> Vec<String> {
    listed(grab, "").iter().map(|item| item["ticker"].to_string()).collect()
}

#[test]
fn a_budget_is_a_clean_stop_and_each_page_is_asked_for_once() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    for _ in 0..5 {
        let report = grab.run("universe sync --max-requests 1 --json").exits(10).json();
        assert_eq!((&report["requests"], &report["outcome"]), (&1.into(), &"incomplete".into()));
    }
    grab.run("universe sync --max-requests 1").exits(0);
    let asked: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    let unique: std::collections::BTreeSet<_> = asked.iter().collect();
    assert_eq!((asked.len(), unique.len()), (6, 6), "{asked:?}");
    assert_eq!(tickers(&grab).len(), 8);
}

/// Every hit of a step is tried, until the sync no longer reaches it.
#[cfg(debug_assertions)]
fn dies_at(step: &str) {
    for hit in 1..60 {
        let server = Server::start(answer);
        let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
        let mut command = grab.command("universe sync");
        let died = command.env("GRAB_FAILPOINT", format!("{step}=kill@{hit}")).output().unwrap();
        grab.run("universe sync").exits(0);
        assert_eq!(tickers(&grab).len(), 8, "{step} {hit}");
        assert_eq!(grab.count("SELECT count(*) FROM list_pages"), 0, "{step} {hit}");
        let litter = fs::read_dir(grab.data_dir().join("reference")).unwrap();
        let names: Vec<_> = litter.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.iter().all(|name| name.ends_with(".parquet")), "{step} {hit}: {names:?}");
        if died.status.success() {
            assert!(hit > 1, "{step} was never reached");
            return;
        }
        let again = grab.count("SELECT count(*) FROM syncs WHERE what = 'splits'") == 2;
        let most = if again { 12 } else { 7 };
        assert!(server.requests().len() <= most, "{step} {hit}: what was kept is not asked for again");
    }
    panic!("{step} has no end");
}

#[cfg(debug_assertions)]
#[test]
fn it_may_die_after_any_transaction() {
    dies_at("manifest.after_commit");
}

#[cfg(debug_assertions)]
#[test]
fn it_may_die_before_any_transaction() {
    dies_at("manifest.before_commit");
}

#[cfg(debug_assertions)]
#[test]
fn it_may_die_at_any_step_of_a_table() {
    for step in ["store.before_write", "store.after_write", "store.after_rename", "store.after_folder_sync"] {
        dies_at(step);
    }
}

#[test]
fn a_sync_that_was_left_for_more_than_a_day_begins_anew() {
    let server = Server::start(answer);
    let grab =
        |now: &str| Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1").env("GRAB_NOW", now);
    let first = grab("2024-03-01T12:00:00Z");
    first.run("universe sync --no-splits --max-requests 2").exits(10);
    let later = grab("2024-03-03T12:00:00Z").env("GRAB_DATA_DIR", first.data_dir().to_str().unwrap());
    let report = later.run("universe sync --no-splits --json").exits(0).json();
    assert_eq!((&report["requests"], &report["tickers"]["rows"]), (&5.into(), &8.into()), "{report}");
}

#[test]
fn a_page_of_a_list_that_cannot_be_read_is_asked_for_again_and_one_without_a_version_is_read() {
    let server = Server::start(answer);
    let begun = || {
        let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
        grab.run("universe sync --no-splits --max-requests 2").exits(10);
        grab
    };
    let change = |grab: &Grab, rows: &str| {
        let update = format!("UPDATE list_pages SET rows = {rows}");
        assert_eq!(grab.manifest().execute(&update, []).unwrap(), 2);
    };
    let old = begun();
    change(&old, "json_extract(rows, '$.value')");
    let report = old.run("universe sync --no-splits --json").exits(0).json();
    assert_eq!((&report["requests"], &report["tickers"]["rows"]), (&3.into(), &8.into()), "{report}");

    let newer = begun();
    change(&newer, "json_set(rows, '$.version', 9)");
    let again = newer.run("universe sync --no-splits --json").exits(0);
    assert!(
        again.stderr.contains("a stored page of the list of active tickers cannot be read"),
        "{}",
        again.stderr
    );
    let report = again.json();
    assert_eq!((&report["requests"], &report["tickers"]["rows"]), (&5.into(), &8.into()), "{report}");
}

#[cfg(debug_assertions)]
#[test]
fn a_disk_that_is_full_loses_nothing() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    let mut command = grab.command("universe sync --no-splits");
    let failed = command.env("GRAB_FAILPOINT", "store.after_write=enospc").output().unwrap();
    assert_eq!(failed.status.code(), Some(30), "{failed:?}");
    let report = grab.run("universe sync --no-splits --json").exits(0).json();
    assert_eq!((&report["requests"], &report["tickers"]["lives"]), (&0.into(), &8.into()), "{report}");
}

#[test]
fn a_signal_drains_and_the_same_command_goes_on() {
    let server = Server::start(|request| {
        std::thread::sleep(std::time::Duration::from_millis(150));
        answer(request)
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    let child = grab.spawn("universe sync --json");
    wait_until("a second page", || server.requests().len() >= 2);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = Ran::from(child.wait_with_output().unwrap()).exits(130);
    assert_eq!(ended.json()["outcome"], "interrupted", "{ended:?}");
    let before = server.requests().len();
    assert!(before < 6, "{before}");
    grab.run("universe sync").exits(0);
    assert!(server.requests().len() <= 7, "one that was under way is asked for again at most");
    assert_eq!(tickers(&grab).len(), 8);
}

#[test]
fn a_table_that_is_damaged_is_said_and_fetched_anew() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    grab.run("universe sync --no-splits").exits(0);
    let path = grab.data_dir().join("reference/tickers.parquet");
    fs::write(&path, "no table").unwrap();
    grab.run("universe list").exits(12);
    assert_eq!(grab.run("verify --json").exits(12).json()["damage"], 1);
    let ran = grab.run("universe sync --no-splits").exits(0);
    assert!(ran.stderr.contains("it is written again"), "{}", ran.stderr);
    assert_eq!(tickers(&grab).len(), 8);
    fs::write(&path, "no table").unwrap();
    // Nothing else is known: a start fetches it before it plans.
    let planned = grab.run("start --universe us-stocks --windows 1999-01-04 --json").exits(0).json();
    assert_eq!(planned["tasks"]["total"], 8, "{planned}");
}
