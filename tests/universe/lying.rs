//! A server with wrong lists, or one that refuses them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{in_pages, listed};
use crate::support::{Grab, Reply, Request, Server};

const ACTIVE: [&str; 5] = ["A", "AA", "AAPL", "B", "KIMpL"];
const LEFT: [(&str, &str); 3] = [("BSC", "2008-06-02"), ("LEH", "2008-09-18"), ("YHOO", "2017-06-19")];

fn honest(request: &Request) -> Reply {
    in_pages(request, &ACTIVE, &LEFT)
}

/// A program that requests a failing page twice and no more.
fn grab(server: &Server) -> Grab {
    Grab::with_server(server.base_url()).env("GRAB_MAX_ATTEMPTS", "2").env("GRAB_MAX_RETRY_TIME", "2s")
}

/// Why there is no list of listed tickers; no table may have been written.
fn refused(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> String {
    let server = Server::start(script);
    let grab = grab(&server);
    let report = grab.run("universe sync --json").exits(11).json();
    assert!(report["tickers"].is_null() && !grab.data_dir().join("reference/tickers.parquet").exists());
    assert!(!report.to_string().contains("hush-hush-key"));
    assert_eq!(report["without"][0]["what"], "active tickers", "{report}");
    report["without"][0]["reason"].as_str().unwrap().to_owned()
}

fn is_active(request: &Request) -> bool {
    request.target.starts_with("/v3/reference/tickers?") && request.target.contains("active=true")
}

#[test]
fn an_honest_server_in_pages_of_two() {
    let server = Server::start(honest);
    let grab = grab(&server);
    let report = grab.run("universe sync --json").exits(0).json();
    assert_eq!((&report["tickers"]["lives"], &report["tickers"]["pages"]), (&8.into(), &5.into()));
    assert_eq!((&report["splits"]["kept"], &report["requests"]), (&1.into(), &6.into()));
    let tickers: Vec<_> =
        listed(&grab, "").iter().map(|item| item["ticker"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tickers, ["A", "AA", "AAPL", "B", "BSC", "KIMpL", "LEH", "YHOO"]);
}

#[test]
fn a_cursor_that_was_followed_is_an_error() {
    let reason = refused(|request| {
        let host = request.header("host").unwrap();
        let next = format!("http://{host}/v3/reference/tickers?active=true&cursor=9");
        if is_active(request) {
            Reply::json(
                200,
                format!(
                    r#"{{"status":"OK","results":[{{"ticker":"A","active":true}}],"next_url":"{next}"}}"#
                ),
            )
        } else {
            honest(request)
        }
    });
    assert!(reason.contains("was followed before"), "{reason}");
}

#[test]
fn pages_without_rows_that_never_end_are_an_error() {
    let count = AtomicUsize::new(0);
    let reason = refused(move |request| {
        let (host, n) = (request.header("host").unwrap(), count.fetch_add(1, Ordering::Relaxed));
        let next = format!("http://{host}/v3/reference/tickers?active=true&cursor=x{n}");
        if is_active(request) {
            Reply::json(200, format!(r#"{{"status":"OK","next_url":"{next}"}}"#))
        } else {
            honest(request)
        }
    });
    assert!(reason.contains("20 pages in a row"), "{reason}");
}

#[test]
fn another_host_gets_no_request_and_a_market_without_tickers_is_not_believed() {
    let reason = refused(|request| {
        if is_active(request) {
            Reply::json(200, r#"{"status":"OK","results":[],"next_url":"http://127.0.0.1:1/x"}"#)
        } else {
            honest(request)
        }
    });
    assert!(reason.contains("next_url leads to http://127.0.0.1:1"), "{reason}");
    let reason = refused(|request| {
        if is_active(request) { Reply::json(200, r#"{"status":"OK","results":[]}"#) } else { honest(request) }
    });
    assert_eq!(reason, "it is empty");
}

#[test]
fn rows_of_nonsense_are_left_out_and_counted() {
    let server = Server::start(|request| {
        if is_active(request) {
            Reply::json(
                200,
                r#"{"status":"OK","results":[7,null,{"ticker":"not a symbol","active":true},{"ticker":"A","active":true,"name":"hush-hush-key"},
               {"ticker":"GONE","active":false},{"active":true}]}"#,
            )
        } else {
            honest(request)
        }
    });
    let grab = grab(&server);
    let report = grab.run("universe sync --json").exits(0).json();
    let defects = &report["tickers"]["defects"];
    assert_eq!((&defects["bad_symbols"], &defects["nonsense"]), (&1.into(), &4.into()), "{report}");
    let items = listed(&grab, "--ticker A,GONE");
    assert_eq!(items.len(), 1, "one that has left is not in the list of those who are listed");
    assert!(!items[0]["name"].as_str().unwrap().contains("hush"), "the key is blotted out: {items:?}");
}

#[test]
fn splits_come_from_the_old_endpoint_where_the_plan_has_no_other() {
    let server = Server::start(|request| {
        if request.target.starts_with("/stocks/v1/splits") {
            return Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"upgrade"}"#);
        }
        if request.target.starts_with("/v3/reference/splits?limit=1000&order=asc&sort=execution_date") {
            let row = r#"{"ticker":"A","execution_date":"2024-01-09","split_from":1,"split_to":2}"#;
            return Reply::json(200, format!(r#"{{"status":"OK","results":[{row}]}}"#));
        }
        honest(request)
    });
    let report = grab(&server).run("universe sync --json").exits(0).json();
    assert_eq!(report["splits"]["kept"], 1, "{report}");
}

#[test]
fn without_any_splits_the_tickers_are_there_all_the_same() {
    let server = Server::start(|request| {
        if request.target.contains("splits") {
            Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"upgrade"}"#)
        } else {
            honest(request)
        }
    });
    let grab = grab(&server);
    let report = grab.run("universe sync --json").exits(11).json();
    assert_eq!(report["tickers"]["lives"], 8);
    assert_eq!(report["without"][0]["reason"], "the plan does not include it");
    grab.run("universe sync --no-splits").exits(0);
}

#[test]
fn a_cursor_that_is_refused_begins_the_list_anew_once() {
    let refusals = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let is_further = is_active(request) && request.target.contains("cursor=2");
        // Requested three times before it is given up.
        if is_further && refusals.fetch_add(1, Ordering::Relaxed) < 3 {
            return Reply::json(400, r#"{"status":"ERROR","error":"bad cursor"}"#);
        }
        honest(request)
    });
    let grab = Grab::with_server(server.base_url());
    let report = grab.run("universe sync --no-splits --json").exits(0).json();
    assert_eq!((&report["tickers"]["rows"], &report["tickers"]["pages"]), (&8.into(), &5.into()), "{report}");
}

#[test]
fn a_refused_key_and_an_absent_server_have_their_own_exits() {
    let server = Server::start(|_| Reply::json(401, r#"{"status":"ERROR","error":"Unknown API Key"}"#));
    grab(&server).run("universe sync").exits(20);
    Grab::with_server("http://127.0.0.1:1").env("GRAB_MAX_RETRY_TIME", "1s").run("universe sync").exits(21);
}
