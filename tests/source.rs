//! The HTTP exchange with the service: what is sent, and how each kind of response is handled.

use std::{io::Write, sync::Mutex, thread, time::Duration};

use flate2::{Compression, write::GzEncoder};
use grab_model::Bar;
use jiff::civil::{Date, date};

use crate::support::{Grab, Reply, Request, Server, minutes, page, page_with, read_store};

const DAY: Date = date(2024, 1, 3);

fn ok(request: &Request) -> Reply {
    Reply::json(200, page(request.symbol(), &minutes(DAY, 5), None))
}

/// The server's response to a request.
type Script = fn(&Request) -> Reply;

/// A server that answers the first `times` requests with `reply`, then correctly.
fn after(times: usize, reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    let calls = Mutex::new(0);
    Server::start(move |request| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls <= times { reply(request) } else { ok(request) }
    })
}

/// The state and the last error of the only task after a run against `server`.
fn outcome(server: &Server, arguments: &str) -> (String, String) {
    let grab = Grab::with_server(server.base_url());
    let attempts = if arguments.contains("--max-attempts") { "" } else { "--max-attempts 2" };
    grab.run(&format!("start --windows 2024-01 --tickers A {attempts} {arguments}"));
    let item = grab.run("status --json --tickers").json()["items"][0].clone();
    let error = item["last_error"].as_str().unwrap_or_default().to_owned();
    (item["state"].as_str().unwrap().to_owned(), error)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_question_as_it_is_sent() {
    let server = Server::start(ok);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01-02..2024-01-31 --tickers KIMpL").exits(0);
    let request = &server.requests()[0];
    let expected =
        "/v2/aggs/ticker/KIMpL/range/1/minute/2024-01-02/2024-01-31?adjusted=false&sort=asc&limit=50000";
    assert_eq!(request.target, expected);
    assert_eq!(request.header("authorization"), Some("Bearer hush-hush-key"));
    assert_eq!(request.header("accept-encoding"), Some("gzip"));
    assert!(request.header("user-agent").unwrap().starts_with("grab/"));
}

#[test]
fn a_base_url_may_have_a_path_and_the_cursor_is_followed_to_the_letter() {
    let server = Server::start(|request| {
        let host = request.header("host").unwrap();
        let odd = "/prefix/v2/aggs/ticker/A/range/1/minute/17/2024-01-31?cursor=bGlt%3D%20aXQ9NQ&x=%7Ea~b";
        let next = (!request.target.contains("cursor=")).then(|| format!("http://{host}{odd}&apiKey=leaked"));
        let bars = if next.is_some() { minutes(DAY, 5) } else { minutes(date(2024, 1, 4), 5) };
        Reply::json(200, page("A", &bars, next.as_deref()))
    });
    let grab = Grab::with_server(&format!("{}/prefix/", server.base_url()));
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    assert!(targets[0].starts_with("/prefix/v2/aggs/ticker/A/range/1/minute/2024-01-01/2024-01-31?"));
    assert_eq!(
        targets[1],
        "/prefix/v2/aggs/ticker/A/range/1/minute/17/2024-01-31?cursor=bGlt%3D%20aXQ9NQ&x=%7Ea~b"
    );
}

#[test]
fn answers_in_gzip_and_numbers_in_every_form() {
    let body = r#"{"ticker":"A","queryCount":9,"resultsCount":3,"adjusted":false,"results":[
        {"v":1.029145e+06,"o":148.31,"c":148.3099,"h":148.32,"l":1.4831e2,"t":1704292200000},
        {"v":9099.618093,"vw":null,"o":1,"c":1,"h":1,"l":1,"t":1.70429226e12,"n":null,"otc":true},
        {"v":0,"vw":0.1,"o":0.30000000000000004,"c":5e-324,"h":1.7976931348623157e308,"l":0,"t":1704292320000,"n":2}
        ],"status":"DELAYED","request_id":"r","count":3}"#;
    let server = Server::start(move |_| {
        Reply::body(200, "application/json", gzip(body)).header("content-encoding", "GZip")
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let bar = |timestamp, prices: [f64; 5], vwap, transactions| {
        let [open, high, low, close, volume] = prices;
        Bar { timestamp, open, high, low, close, volume, vwap, transactions }
    };
    let expected = [
        bar(1_704_292_200_000, [148.31, 148.32, 148.31, 148.3099, 1_029_145.0], None, None),
        bar(1_704_292_260_000, [1.0, 1.0, 1.0, 1.0, 9_099.618_093], None, None),
        bar(1_704_292_320_000, [0.300_000_000_000_000_04, f64::MAX, 0.0, 5e-324, 0.0], Some(0.1), Some(2)),
    ];
    assert_eq!(read_store(&grab.data_dir())["A"], expected);
}

#[test]
fn pages_without_a_bar_that_never_end_are_an_error() {
    let number = Mutex::new(0);
    let server = Server::start(move |request| {
        let mut number = number.lock().unwrap();
        *number += 1;
        let next = format!(
            "http://{}/v2/aggs/ticker/A/range/1/minute/9/9?cursor={number}",
            request.header("host").unwrap()
        );
        Reply::json(200, page("A", &[], Some(&next)))
    });
    let (state, error) = outcome(&server, "--max-attempts 1");
    assert_eq!((state.as_str(), server.requests().len()), ("failed", 101), "{error}");
    assert!(error.contains("101 pages in a row have no new bar"), "{error}");
}

#[test]
fn a_well_formed_request_that_is_refused_is_asked_three_times() {
    let server = Server::start(|_| Reply::json(400, r#"{"status":"ERROR","error":"no"}"#));
    let (state, error) = outcome(&server, "--max-attempts 8");
    assert_eq!((state.as_str(), server.requests().len()), ("failed", 3), "{error}");
    assert_eq!(error, "HTTP 400: no (requested 3 times)");
}

#[test]
fn a_bad_request_after_other_failures_is_asked_again_all_the_same() {
    let calls = Mutex::new(0);
    let server = Server::start(move |request| {
        let mut calls = calls.lock().unwrap();
        *calls += u32::from(!request.is_control());
        match *calls {
            _ if request.is_control() => ok(request),
            1 | 2 => Reply::json(503, "{}"),
            3 => Reply::json(400, "{}"),
            _ => ok(request),
        }
    });
    assert_eq!(outcome(&server, "--max-attempts 8"), ("done".into(), String::new()));
}

#[test]
fn a_day_that_is_not_served_yet_stays_owed() {
    let server = Server::start(|request| match request.symbol() {
        "EARLY" => {
            let words = "Attempted to request today's data before end of day. Please upgrade your plan.";
            Reply::json(403, format!(r#"{{"status":"NOT_AUTHORIZED","message":"{words}"}}"#))
        }
        _ => ok(request),
    });
    let grab = Grab::with_server(server.base_url());
    let ran = grab.run("start --windows 2024-01 --tickers EARLY,A --json").exits(10);
    assert_eq!(grab.tasks(), ["EARLY 2024-01-01 pending", "A 2024-01-01 done"]);
    assert_eq!(server.requests().len(), 2, "asked once, and not again in this run");
    let error = ran.json()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("not served yet: ") && error.contains("before end of day"), "{error}");
}

/// Two pages of the bars of three days. A request by cursor gets `at_cursor` for the second one; a request by time gets
/// a good page.
fn refusing_cursors(at_cursor: Script) -> Server {
    let bars: Vec<Bar> = [3, 4, 5].map(|day| minutes(date(2024, 1, day), 5)).concat();
    Server::start(move |request| {
        if request.target.contains("cursor=") {
            return at_cursor(request);
        }
        let host = request.header("host").unwrap();
        let next = format!("http://{host}/v2/aggs/ticker/A/range/1/minute/0/0?cursor={}", request.from());
        let from = request.from().parse().unwrap_or(i64::MIN);
        let left: Vec<_> = bars.iter().filter(|bar| bar.timestamp >= from).copied().collect();
        let page_of = &left[..left.len().min(5)];
        Reply::json(200, page("A", page_of, (left.len() > 5).then_some(&next)))
    })
}

#[test]
fn a_cursor_that_is_refused_or_forgets_the_question_is_left_for_the_time() {
    let refusals: [(&str, Script, usize); 4] = [
        ("400, asked three times for each of two cursors", |_| Reply::json(400, "{}"), 9),
        ("410", |_| Reply::json(410, "{}"), 9),
        ("404", |_| Reply::json(404, r#"{"status":"NOT_FOUND"}"#), 5),
        (
            "adjusted: no cursor is followed after that",
            |_| Reply::json(200, page_with("A", true, &minutes(DAY, 5), None)),
            4,
        ),
    ];
    thread::scope(|all| {
        for (what, refusal, requests) in refusals {
            all.spawn(move || {
                let server = refusing_cursors(refusal);
                let grab = Grab::with_server(server.base_url());
                grab.run("start --windows 2024-01 --tickers A").exits(0);
                assert_eq!(server.requests().len(), requests, "{what}");
                let expected: Vec<Bar> = [3, 4, 5].map(|day| minutes(date(2024, 1, day), 5)).concat();
                assert_eq!(read_store(&grab.data_dir())["A"], expected, "{what}");
            });
        }
    });
}

#[test]
fn the_servers_own_word_on_waiting_is_taken() {
    let server = after(1, |_| Reply::json(429, "{}").header("retry-after", "2"));
    assert_eq!(outcome(&server, "").0, "done");
    let at: Vec<_> = server.requests().iter().map(|request| request.at).collect();
    assert!(at[1] - at[0] >= Duration::from_millis(1_900), "{:?}", at[1] - at[0]);
}

#[test]
fn a_redirect_is_not_followed_and_no_other_host_sees_the_key() {
    let other = Server::start(ok);
    let elsewhere = format!("{}/v2/aggs/ticker/A", other.base_url());
    let server = Server::start(move |_| Reply::json(302, "").header("location", &elsewhere));
    let grab = Grab::with_server(server.base_url());
    let ran = grab.run("start --windows 2024-01 --tickers A").exits(21);
    assert!(ran.stderr.contains("HTTP 302: redirected to http://127.0.0.1:"), "{ran:?}");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn bars_that_cannot_be_are_kept_apart_from_the_others_and_their_task_says_so() {
    let server = Server::start(|request| {
        let mut bars = minutes(DAY, 5);
        bars.extend(minutes(date(2017, 6, 1), 1));
        bars.push(Bar { timestamp: bars[4].timestamp + 61_000, ..bars[4] });
        bars.push(Bar { timestamp: bars[4].timestamp * 1_000_000, ..bars[4] });
        bars.push(Bar { timestamp: bars[4].timestamp + 60_000, close: -1.0, ..bars[4] });
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A --max-attempts 2").exits(11);
    assert_eq!(server.pages_asked(), 2);
    assert_eq!(read_store(&grab.data_dir())["A"], minutes(DAY, 5));
    assert_eq!(grab.count("SELECT count(*) FROM quarantine WHERE request_id IS NOT NULL"), 4);
    assert_eq!(grab.tasks(), ["A 2024-01-01 failed"]);
    let status = grab.run("status --json --tickers").json();
    assert_eq!(status["quarantined"], 4);
    let error = status["items"][0]["last_error"].as_str().unwrap();
    assert!(
        error.starts_with(
            "all bars are stored except 4 in quarantine; the first, at 1496323800000 ms, is outside"
        ),
        "{error}"
    );
    assert!(grab.run("status").stdout.contains("4 bars in quarantine"), "{:?}", grab.run("status"));
}

#[test]
fn connections_are_kept_alive() {
    let server = Server::start(ok);
    let grab = Grab::with_server(server.base_url());
    let tickers: Vec<_> = (0..40).map(|n| format!("T{n}")).collect();
    grab.run(&format!("start --windows 2024-01 --concurrency 2 --tickers {}", tickers.join(","))).exits(0);
    assert_eq!(server.requests().len(), 40);
    assert!(server.connections() <= 3, "{} connections", server.connections());
}

#[test]
fn adjusted_bars_are_asked_for_and_checked() {
    let server = Server::start(|request| {
        let adjusted = request.target.contains("adjusted=true");
        Reply::json(200, page_with(request.symbol(), adjusted, &minutes(DAY, 5), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A --adjusted").exits(0);
    assert!(server.requests()[0].target.contains("adjusted=true"));
    let mixed = grab.run("start --windows 2024-02 --tickers A --adjusted=false").exits(2);
    assert!(
        mixed.stderr.contains("this data directory holds split-adjusted bars, not bars as traded"),
        "{mixed:?}"
    );
}
