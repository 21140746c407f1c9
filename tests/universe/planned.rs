//! `grab start --universe`: tasks only for windows in which a symbol was listed.

use std::fs;

use grab_sandbox::SandboxOptions;
use jiff::civil::date;
use serde_json::{Value, json};

use super::in_pages;
use crate::support::{Grab, Reply, Request, Server, Serving, minutes, page};

/// A is listed since 2024-01-04; GONE was delisted on 2024-01-09, OLD in 2010.
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
    assert_eq!(stopped["outcome"], "incomplete", "no task is pending, and yet it is not complete: {stopped}");
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
    assert!(!verified.to_string().contains("was never requested"), "{verified}");
    let wider = spec.replace("2008-07", "2008-06");
    fs::write(grab.dir().join("spec.toml"), wider).unwrap();
    let verified = grab.run("verify --spec spec.toml --json").exits(13).json();
    assert!(verified.to_string().contains("was never requested"), "{verified}");
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
    // Before its first day it was not listed; after the fund's delisting it is not known when the other company began.
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
    let said = "no symbol of us-stocks matches the request for 2024-01; of type CSS; there are CS; on XLON; there are none";
    assert!(started.stderr.contains(said), "{}", started.stderr);
}

/// A is a stock on an exchange; the list lacks the type of IBM, the exchange of YHOO, and both of NIL.
fn with_missing_fields(request: &Request) -> Reply {
    let rows = if request.target.contains("active=true") {
        r#"{"ticker":"A","active":true,"type":"CS","primary_exchange":"XNAS"},
           {"ticker":"IBM","active":true,"primary_exchange":"XNYS"},
           {"ticker":"NIL","active":true},
           {"ticker":"SPY","active":true,"type":"ETF","primary_exchange":"ARCX"},
           {"ticker":"YHOO","active":true,"type":"CS"}"#
    } else {
        r#"{"ticker":"OLD","active":false,"delisted_utc":"2010-03-01T00:00:00Z"}"#
    };
    match request.target.split('?').next().unwrap() {
        "/v3/reference/tickers" => Reply::json(200, format!(r#"{{"status":"OK","results":[{rows}]}}"#)),
        path if path.starts_with("/v2/aggs/ticker/") => {
            Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 5), 5), None))
        }
        _ => Reply::json(200, r#"{"status":"OK"}"#),
    }
}

fn planned_symbols(plan: &Value) -> Vec<&str> {
    plan["plan"].as_array().unwrap().iter().map(|task| task["ticker"].as_str().unwrap()).collect()
}

#[test]
fn what_a_filter_drops_for_want_of_a_field_is_counted_and_named() {
    let server = Server::start(with_missing_fields);
    let grab = Grab::with_server(server.base_url());
    grab.run("universe sync").exits(0);
    let start = "start --universe us-stocks --windows 2024-01";
    let plan = grab.run(&format!("{start} --type CS --exchange XNAS,XNYS --dry-run --json")).exits(0).json();
    assert_eq!(planned_symbols(&plan), ["A"]);
    let dropped = json!({ "without_type": ["IBM", "NIL"], "without_exchange": ["NIL", "YHOO"] });
    assert_eq!(plan["left_out"]["dropped"], dropped, "{plan}");
    let text = grab.run(&format!("{start} --type CS --dry-run")).exits(0).stdout;
    let said = "left out, because the list does not give their type: 2 symbols: IBM, NIL; a '?' among the codes of --type \
                includes them";
    assert!(text.contains(said), "{text}");
    let listed = grab.run("universe list --type CS --exchange XNAS,XNYS --json").exits(0);
    assert_eq!(
        (&listed.json()["count"], &listed.json()["dropped"]["without_exchange"]),
        (&1.into(), &json!(["NIL", "OLD", "YHOO"]))
    );
    assert!(listed.stderr.contains("does not give their exchange: 3 symbols: NIL, OLD, YHOO"), "{listed:?}");
    let recorded = grab.run(&format!("{start} --type CS --plan-only --json")).exits(0);
    assert_eq!(recorded.json()["left_out"]["dropped"]["without_type"], json!(["IBM", "NIL"]), "{recorded:?}");
    assert!(recorded.stderr.contains(&format!("note: {said}")), "{recorded:?}");
    let whole = grab.run("universe list --json").exits(0);
    assert_eq!(whole.json()["dropped"], json!({ "without_type": [], "without_exchange": [] }));
    assert!(!whole.stderr.contains("left out"), "{whole:?}");
}

#[test]
fn a_question_mark_takes_in_what_the_list_does_not_say() {
    let server = Server::start(with_missing_fields);
    let grab = Grab::with_server(server.base_url());
    grab.run("universe sync").exits(0);
    let start = "start --universe us-stocks --windows 2024-01 --dry-run --json";
    for (flags, symbols) in [
        ("--type CS,?", &["A", "IBM", "NIL", "YHOO"][..]),
        ("--type ?", &["IBM", "NIL"]),
        ("--exchange XNYS,?", &["IBM", "NIL", "YHOO"]),
        ("--type CS,? --exchange XNAS,?", &["A", "NIL", "YHOO"]),
    ] {
        let plan = grab.run(&format!("{start} {flags}")).exits(0).json();
        assert_eq!(planned_symbols(&plan), symbols, "{flags}");
        let listed =
            grab.run(&format!("universe list --active-on 2024-01-05 --tickers-only {flags}")).exits(0);
        assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), symbols, "{flags}");
    }
    let spec = "windows = [\"2024-01\"]\n[universe]\nlist = \"us-stocks\"\ntypes = [\"CS\", \"?\"]\nexchanges = [\"XNYS\", \"?\"]\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    grab.run("spec check spec.toml").exits(0);
    grab.run("start --spec spec.toml").exits(0);
    let held: Vec<_> = windows(&grab).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(held, ["IBM", "NIL", "YHOO"]);
    for wrong in ["--type C?", "--exchange ????"] {
        grab.run(&format!("{start} {wrong}")).exits(2);
    }
}

#[test]
fn what_lists_cut_away_is_counted_and_named() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    grab.run("universe sync --list-dates").exits(0);
    let start = "start --universe us-stocks --windows 2023-12,2024-01";
    let plan = grab.run(&format!("{start} --dry-run --json")).exits(0).json();
    let cut = &plan["left_out"]["cut"];
    assert_eq!((&cut["symbols"], &cut["windows"]), (&3.into(), &5.into()), "{cut}");
    let item = |ticker: &str, from: &str| {
        let items = cut["items"].as_array().unwrap();
        items.iter().find(|item| item["ticker"] == ticker && item["window"]["from"] == from).unwrap().clone()
    };
    let expected = json!({
        "ticker": "A", "window": { "from": "2024-01-01", "to": "2024-01-03" },
        "listed_until": null, "listed_from": "2024-01-04",
    });
    assert_eq!(item("A", "2024-01-01"), expected);
    assert_eq!(item("GONE", "2024-01-10")["listed_until"], "2024-01-09");
    let said = "not requested, because the lists do not have the symbol then: 5 windows of 3 symbols: \
                A 2024-01-01..2024-01-03 (listed from 2024-01-04 on), GONE 2024-01-10";
    assert!(grab.run(&format!("{start} --dry-run")).exits(0).stdout.contains(said));
    let ran = grab.run(start).exits(0);
    assert!(ran.stderr.contains(&format!("note: {said}")), "{ran:?}");
    assert!(ran.stderr.contains("`grab verify --witness grouped-daily` finds what traded all the same"));
}
