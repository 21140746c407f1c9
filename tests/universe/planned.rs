//! `grab start --universe`: tasks only for windows in which a symbol lived.

use std::fs;

use grab::sandbox::SandboxOptions;
use jiff::civil::date;
use serde_json::Value;

use super::in_pages;
use crate::support::{Grab, Reply, Request, Server, Serving, minutes, page};

/// A is listed since 2024-01-04; GONE left on 2024-01-09; OLD in 2010.
fn answer(request: &Request) -> Reply {
    let (active, left) = (["A"], [("GONE", "2024-01-09"), ("OLD", "2010-03-01")]);
    match request.target.split('?').next().unwrap() {
        "/v3/reference/tickers/A" => {
            Reply::json(200, r#"{"status":"OK","results":{"ticker":"A","list_date":"2024-01-04"}}"#)
        }
        path if path.starts_with("/v3/reference/tickers/") => {
            Reply::json(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#)
        }
        path if path.starts_with("/v2/aggs/ticker/") => {
            let bars = if request.from() < "2024" { Vec::new() } else { minutes(date(2024, 1, 5), 5) };
            Reply::json(200, page(request.symbol(), &bars, None))
        }
        _ => in_pages(request, &active, &left),
    }
}

fn windows(grab: &Grab) -> Vec<String> {
    let report = grab.run("status --tickers --json").exits(0).json();
    let line = |item: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!(
            "{} {}..{}",
            text(&item["ticker"]),
            text(&item["window"]["from"]),
            text(&item["window"]["to"])
        )
    };
    report["items"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn a_start_without_a_universe_fetches_it_first_and_asks_only_for_lives() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    let report = grab.run("start --universe us-stocks --windows 2024-01 --json").exits(0).json();
    assert_eq!(report["tasks"]["total"], 2, "{report}");
    assert_eq!(windows(&grab), ["A 2024-01-01..2024-01-31", "GONE 2024-01-01..2024-01-09"]);
    let again = grab.run("start --universe us-stocks --windows 2024-01 --json").exits(0).json();
    assert_eq!((&again["requests"], &again["tasks"]["total"]), (&0.into(), &2.into()));
    let gone = grab.run("start --universe us-stocks --windows 2010 --json").exits(0).json();
    assert_eq!(gone["tasks"]["total"], 5, "nobody knows when A and GONE were listed: {gone}");
}

#[test]
fn windows_before_a_listing_are_not_asked_for_once_its_date_is_known() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    grab.run("universe sync --list-dates").exits(0);
    grab.run("start --universe us-stocks --windows 2023,2024-01").exits(0);
    let expected = ["GONE 2023-01-01..2023-12-31", "A 2024-01-04..2024-01-31", "GONE 2024-01-01..2024-01-09"];
    assert_eq!(windows(&grab), expected);
    assert!(server.requests().iter().all(|request| !request.target.contains("/A/range/1/minute/2023")));
    let verified = grab.run("verify --json").json();
    assert_eq!(verified["damage"], 0, "{verified}");
}

#[test]
fn an_order_is_recorded_before_anything_is_asked_and_resume_goes_on_with_it() {
    let refuse = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_refusing = std::sync::Arc::clone(&refuse);
    let server = Server::start(move |request| {
        if is_refusing.load(std::sync::atomic::Ordering::Relaxed) {
            Reply::json(401, r#"{"status":"ERROR","error":"Unknown API Key"}"#)
        } else {
            answer(request)
        }
    });
    let grab = Grab::with_server(server.base_url());
    let refused = grab.run("start --universe us-stocks --windows 2024-01 --json").exits(20).json();
    assert_eq!(refused["tasks"]["total"], 0);
    assert_eq!(grab.count("SELECT count(*) FROM orders WHERE planned_at_ms IS NULL"), 1);
    assert_eq!(grab.run("status --json").exits(0).json()["unplanned"], 1);
    refuse.store(false, std::sync::atomic::Ordering::Relaxed);
    let stopped = grab.run("resume --max-requests 1 --json").exits(10).json();
    assert_eq!(stopped["outcome"], "incomplete", "no task is owed, and yet it is not complete: {stopped}");
    grab.run("resume").exits(0);
    assert_eq!(windows(&grab).len(), 2);
    assert_eq!(grab.count("SELECT count(*) FROM orders WHERE planned_at_ms IS NULL"), 0);
}

#[test]
fn lists_that_the_plan_lacks_are_no_empty_universe() {
    let server = Server::start(|request| {
        if request.target.starts_with("/v3/reference/tickers") {
            Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"upgrade"}"#)
        } else {
            answer(request)
        }
    });
    let grab = Grab::with_server(server.base_url());
    let refused = grab.run("start --universe us-stocks --windows 2024-01").exits(11);
    assert!(refused.stdout.contains("the plan does not include it"), "{refused:?}");
}

#[test]
fn a_dry_run_and_a_plan_alone_ask_nobody_for_the_universe() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    let ran = grab.run("start --universe us-stocks --windows 2024-01 --dry-run").exits(2);
    assert!(ran.stderr.contains("`grab universe sync` fetches it"), "{}", ran.stderr);
    grab.run("start --universe us-stocks --windows 2024-01 --plan-only").exits(0);
    assert!(server.requests().is_empty());
    grab.run("resume").exits(0);
    assert_eq!(windows(&grab).len(), 2);
    let plan = grab.run("start --universe us-stocks --windows 2023 --dry-run --json").exits(0).json();
    assert_eq!(plan["plan"].as_array().unwrap().len(), 2, "{plan}");
}

#[test]
fn a_spec_asks_for_a_list_by_types_and_a_day() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    let spec = "windows = [\"2008-07\"]\n[universe]\nlist = \"us-stocks\"\ntypes = [\"CS\"]\nexchanges = [\"XNYS\"]\nas_of = 2008-06-30\n[verify]\nmin_coverage = 0.5\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    grab.run("universe sync --list-dates").exits(0);
    grab.run("start --spec spec.toml --plan-only").exits(0);
    let tickers: Vec<_> =
        windows(&grab).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(tickers.contains(&"LEH".to_owned()), "it left in September");
    for other in ["BSC", "AAPL", "SPY", "V"] {
        assert_eq!(tickers.contains(&other.to_owned()), other == "V", "{other}: {tickers:?}");
    }
    assert_eq!(grab.count("SELECT text LIKE '%min_coverage = 0.5%' FROM spec"), 1);
    let flags = "start --universe us-stocks --type CS --exchange XNYS --as-of 2008-06-30 --windows 2008-07 --dry-run --json";
    assert_eq!(grab.run(flags).exits(0).json()["plan"].as_array().unwrap().len(), 0, "the same by flags");
    let verified = grab.run("verify --spec spec.toml --json").exits(13).json();
    assert!(!verified.to_string().contains("was never asked for"), "{verified}");
    let wider = spec.replace("2008-07", "2008-06");
    fs::write(grab.dir().join("spec.toml"), wider).unwrap();
    let verified = grab.run("verify --spec spec.toml --json").exits(13).json();
    assert!(verified.to_string().contains("was never asked for"), "{verified}");
    for wrong in
        ["--universe nasdaq", "--universe us-stocks --type cs", "--universe us-stocks --exchange NYSE1"]
    {
        grab.run(&format!("start {wrong} --windows 2008")).exits(2);
    }
}

#[test]
fn sessions_between_two_lives_are_not_listed_and_no_gap() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2021-06-01..2022-03-31 --tickers META").exits(0);
    let before = grab.run("verify --json").exits(0).json();
    assert!(before["coverage"]["unexplained_sessions"].as_u64().unwrap() > 20, "{before}");
    grab.run("universe sync --list-dates").exits(0);
    let after = grab.run("verify --json").exits(0).json();
    let unexplained = |report: &Value| report["coverage"]["unexplained_sessions"].as_u64().unwrap();
    // Before its first day it was not listed; after the fund had left, nobody knows when the other company came.
    assert_eq!(unexplained(&before) - unexplained(&after), 21, "{after}");
}

#[test]
fn a_universe_of_its_own_does_not_decide_what_bars_a_directory_is_to_hold() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    grab.run("universe sync --no-splits").exits(0);
    grab.run("start --windows 2024-01 --tickers AAPL --adjusted").exits(0);
    grab.run("start --windows 2024-02 --tickers AAPL --adjusted=false").exits(2);
    grab.run("universe sync --no-splits").exits(0);
}

#[test]
fn bars_without_a_manifest_are_not_given_a_new_one() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers AAPL").exits(0);
    fs::remove_file(grab.data_dir().join("manifest.sqlite")).unwrap();
    let ran = grab.run("universe sync").exits(2);
    assert!(ran.stderr.contains("--rebuild-manifest"), "{}", ran.stderr);
    assert!(!grab.data_dir().join("manifest.sqlite").exists());
}

#[test]
fn an_order_that_means_nobody_says_who_there_is() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    let started =
        grab.run("start --universe us-stocks --type CSS --exchange XLON --windows 2024-01").exits(0);
    let said = "nobody in us-stocks is what was asked for in 2024-01; of type CSS; there are CS; on XLON; there are none";
    assert!(started.stderr.contains(said), "{}", started.stderr);
}
