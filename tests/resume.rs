//! Crashes, interruptions, overlaps: the next run continues, and the store is the same as always.

use std::{collections::BTreeMap, process::Command, sync::Mutex, time::Duration};

use grab_model::Bar;
use grab_sandbox::SandboxOptions;
use jiff::civil::date;

use crate::support::{Grab, Reply, Request, Server, Serving, litter, minutes, page, read_store, wait_until};

const TICKERS: &str = "AAPL,MSFT,BRK.B,KIMpL";

/// Small pages, so that there is much to interrupt.
fn market() -> Serving {
    Serving::start(SandboxOptions { page_cap: 2_000, ..SandboxOptions::default() })
}

fn undisturbed(server: &Serving, windows: &str) -> BTreeMap<String, Vec<Bar>> {
    let grab = Grab::with_server(server.base_url());
    grab.run(&format!("start --windows {windows} --tickers {TICKERS}")).exits(0);
    read_store(&grab.data_dir())
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn killed_at_any_moment_the_store_ends_up_the_same() {
    let server = market();
    let expected = undisturbed(&server, "2024-01..2024-03");
    let grab = Grab::with_server(server.base_url());
    grab.run(&format!("start --plan-only --windows 2024-01..2024-03 --tickers {TICKERS}")).exits(0);
    let mut kills = 0;
    // Each kill comes later: the first processes are killed while they start, the last ones hardly at all.
    for round in 1..=14_u64 {
        let mut child = grab.spawn("resume --concurrency 4");
        std::thread::sleep(Duration::from_millis(12 * round));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(kills > 0);
    grab.run("resume").exits(0);
    assert_eq!(read_store(&grab.data_dir()), expected, "after {kills} kills");
    assert_eq!(litter(&grab.data_dir()), Vec::<std::path::PathBuf>::new());
    let bars = i64::try_from(expected.values().map(Vec::len).sum::<usize>()).unwrap();
    assert_eq!(grab.count("SELECT sum(bars) FROM partitions"), bars);
    assert_eq!(grab.count("SELECT sum(bars) FROM tasks"), bars, "each page was recorded once");
}

#[test]
fn what_was_stored_is_not_asked_for_again_after_a_kill() {
    let bars: Vec<Bar> = (2..=20).flat_map(|day| minutes(date(2024, 1, day), 10)).collect();
    let all = bars.clone();
    let server = Server::start(move |request| {
        let number: usize = request.target.split("cursor=").nth(1).map_or(0, |n| n.parse().unwrap());
        let host = request.header("host").unwrap();
        let next = format!("http://{host}/v2/aggs/ticker/A/range/1/minute/0/0?cursor={}", number + 1);
        let (begin, end) = (number * 10, number * 10 + 10);
        Reply::json(200, page("A", &all[begin..end], (end < all.len()).then_some(&next)))
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_RATE", "20/s");
    let mut child = grab.spawn("start --windows 2024-01 --tickers A");
    wait_until("the fifth page", || server.requests().len() >= 5);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"], "nobody runs it any more");
    grab.run("resume").exits(0);
    let mut targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    let asked = targets.len();
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), 19);
    assert!(asked <= 20, "one page was under way when the process died, {asked} requests");
    assert_eq!(read_store(&grab.data_dir())["A"], bars);
}

#[test]
fn a_signal_drains_cleanly_and_resume_goes_on() {
    let server = Serving::start(SandboxOptions {
        page_cap: 500,
        latency: Duration::from_millis(20),
        ..SandboxOptions::default()
    });
    for name in ["-INT", "-TERM"] {
        let grab = Grab::with_server(server.base_url());
        let child = grab.spawn(&format!("start --json --windows 2024-01 --tickers {TICKERS}"));
        wait_until("a stored page", || {
            grab.data_dir().join("manifest.sqlite").exists()
                && grab
                    .manifest()
                    .query_row("SELECT count(*) FROM pages", [], |r| r.get::<_, i64>(0))
                    .is_ok_and(|n| n > 2)
        });
        signal(name, child.id());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{name}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["outcome"], "interrupted");
        assert_eq!(report["tasks"]["running"], 0, "every task was given back");
        assert_eq!(litter(&grab.data_dir()), Vec::<std::path::PathBuf>::new());
        grab.run("resume").exits(0);
        assert_eq!(read_store(&grab.data_dir()), undisturbed(&server, "2024-01"));
        assert_eq!(grab.count("SELECT count(*) FROM events WHERE kind = 'crashed'"), 0);
    }
}

#[test]
fn limits_stop_cleanly_and_resume_goes_on() {
    let server = market();
    let grab = Grab::with_server(server.base_url());
    let start = format!("start --json --windows 2024-01..2024-03 --tickers {TICKERS}");
    let report = grab.run(&format!("{start} --max-requests 7")).exits(10).json();
    assert_eq!((&report["requests"], &report["outcome"]), (&7.into(), &"incomplete".into()));
    let report = grab.run("resume --json --rate 5/s --max-duration 400ms").exits(10).json();
    assert!(report["requests"].as_u64().unwrap() <= 4, "{report}");
    grab.run("resume").exits(0);
    assert_eq!(read_store(&grab.data_dir()), undisturbed(&server, "2024-01..2024-03"));
}

#[test]
fn a_task_that_waits_for_its_retry_is_given_back_when_the_run_stops() {
    let server = Server::start(|_| Reply::json(503, "{}"));
    let grab = Grab::with_server(server.base_url());
    let report =
        grab.run("start --json --windows 2024-01 --tickers A,B --max-duration 200ms").exits(10).json();
    assert_eq!((&report["tasks"]["pending"], &report["tasks"]["running"]), (&2.into(), &0.into()));
    assert_eq!(grab.count("SELECT count(*) FROM events WHERE kind = 'released'"), 2);
}

#[test]
fn a_request_that_hangs_does_not_hold_a_run_that_is_to_stop() {
    let server = Server::start(|_| Reply::json(200, "{}").stall_at(0));
    let grab = Grab::with_server(server.base_url());
    let mut child = grab.spawn("start --windows 2024-01 --tickers A");
    wait_until("the request", || !server.requests().is_empty());
    signal("-INT", child.id());
    wait_until("the end of the run", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130), "long before the read timeout");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
}

#[test]
fn overlapping_windows_lose_and_double_nothing() {
    let server = market();
    let grab = Grab::with_server(server.base_url());
    let windows = "2024-01-10..2024-02-20,2024-02..2024-03,2024-01,2024-01-16";
    grab.run(&format!("start --windows {windows} --tickers {TICKERS}")).exits(0);
    assert_eq!(read_store(&grab.data_dir()), undisturbed(&server, "2024-01..2024-03"));
    assert_eq!(grab.run("status --json").json()["tasks"]["done"], 16);
}

#[test]
fn a_wider_request_asks_only_for_the_days_that_are_new() {
    let server = market();
    let grab = Grab::with_server(server.base_url());
    grab.run(&format!("start --windows 2024-02 --tickers {TICKERS}")).exits(0);
    grab.run(&format!("start --windows 2024-01..2024-03 --tickers {TICKERS}")).exits(0);
    assert_eq!(grab.run("status --json").json()["tasks"]["done"], 12);
    assert_eq!(read_store(&grab.data_dir()), undisturbed(&server, "2024-01..2024-03"));
}

#[test]
fn a_cursor_that_the_server_no_longer_knows_is_left_for_the_last_bar() {
    let days = [date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 5)];
    let server = Server::start(move |request| {
        if request.target.contains("cursor=") {
            return Reply::json(400, r#"{"status":"ERROR","error":"invalid cursor"}"#);
        }
        let host = request.header("host").unwrap();
        let next = format!("http://{host}/v2/aggs/ticker/A/range/1/minute/0/0?cursor={}", request.from());
        let after = request.from().parse::<i64>().unwrap_or(0);
        let day = days.iter().find(|day| minutes(**day, 30)[0].timestamp >= after).unwrap();
        Reply::json(200, page("A", &minutes(*day, 30), (*day != days[2]).then_some(&next)))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let expected: Vec<Bar> = days.iter().flat_map(|day| minutes(*day, 30)).collect();
    assert_eq!(read_store(&grab.data_dir())["A"], expected);
}

/// Whether a request is the control request.
fn is_control(request: &Request) -> bool {
    request.target == "/v1/marketstatus/now"
}

#[test]
fn a_refused_key_burns_no_task() {
    let refused = || Reply::json(401, r#"{"status":"ERROR","error":"Unknown API Key"}"#);
    let all = Server::start(move |_| refused());
    let grab = Grab::with_server(all.base_url());
    let report = grab.run("start --json --windows 2024-01 --tickers A,B,C,D,E,F").exits(20).json();
    assert!(report["error"].as_str().unwrap().contains("Unknown API Key"), "{report}");
    assert_eq!(report["tasks"]["pending"], 6);
    assert_eq!(all.requests().len(), 2, "one question, and the control question");

    // The same from a server that does not know the control request, and through a portal that answers everything.
    let portal = Reply::body(200, "text/html", b"<html>log in</html>".to_vec());
    for control in [Reply::json(404, "{}"), portal] {
        let bare =
            Server::start(move |request| if is_control(request) { control.clone() } else { refused() });
        let grab = Grab::with_server(bare.base_url());
        grab.run("start --windows 2024-01 --tickers A,B,C,D,E,F").exits(20);
        assert_eq!(grab.count("SELECT count(*) FROM tasks WHERE state = 'pending'"), 6);
        let alone = Grab::with_server(bare.base_url());
        alone.run("start --windows 2024-01 --tickers A").exits(20);
        assert_eq!(alone.tasks(), ["A 2024-01-01 pending"]);
    }

    // Revoked after some pages.
    let calls = Mutex::new(0);
    let revoked = Server::start(move |request| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls > 2 {
            refused()
        } else {
            Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
        }
    });
    let grab = Grab::with_server(revoked.base_url());
    grab.run("start --windows 2024-01 --tickers A,B,C --concurrency 1").exits(20);
    assert_eq!(grab.tasks(), ["A 2024-01-01 done", "B 2024-01-01 done", "C 2024-01-01 pending"]);
}

#[test]
fn a_key_that_is_refused_for_some_windows_only_never_holds_the_queue() {
    for control in [200, 404] {
        let server = Server::start(move |request| match request.symbol() {
            _ if is_control(request) => Reply::json(control, "{}"),
            "X" | "Y" => Reply::json(401, r#"{"status":"ERROR","error":"Unknown API Key"}"#),
            symbol => Reply::json(200, page(symbol, &minutes(date(2024, 1, 3), 5), None)),
        });
        let grab = Grab::with_server(server.base_url());
        grab.run("start --windows 2024-01 --tickers X,Y,A,B").exits(11);
        let expected = [
            "X 2024-01-01 not_entitled",
            "Y 2024-01-01 not_entitled",
            "A 2024-01-01 done",
            "B 2024-01-01 done",
        ];
        assert_eq!(grab.tasks(), expected, "control question answered with {control}");
    }
}

#[test]
fn failed_tasks_are_asked_again_only_on_request() {
    let well = std::sync::Arc::new(Mutex::new(false));
    let now = std::sync::Arc::clone(&well);
    let server = Server::start(move |request| {
        if *now.lock().unwrap() {
            Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
        } else {
            Reply::json(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#)
        }
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(11);
    *well.lock().unwrap() = true;
    let report = grab.run("resume --json").exits(11).json();
    assert_eq!(report["requests"], 0);
    grab.run("resume --retry-failed").exits(0);
    assert_eq!(grab.tasks(), ["A 2024-01-01 done"]);
}
