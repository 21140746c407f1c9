//! Every known fault of a server: what `grab` does if it passes, and if it stays. `docs/faults.md` has a row for each.

use std::{
    io::Write,
    sync::{LazyLock, Mutex},
};

use flate2::{Compression, write::GzEncoder};
use grab_model::Bar;
use jiff::civil::{Date, date};

use crate::support::{Grab, Reply, Request, Server, minutes, page, page_with, read_store};

const DAY: Date = date(2024, 1, 3);

/// The server's response to a request.
type Script = fn(&Request) -> Reply;

fn ok(request: &Request) -> Reply {
    Reply::json(200, page(request.symbol(), &minutes(DAY, 5), None))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Spaces: 80 MiB of them in 80 KiB.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![b' '; 80 << 20]));

/// A page with a part of its text replaced.
fn instead(request: &Request, old: &str, new: &str) -> Reply {
    let text = page(request.symbol(), &minutes(DAY, 5), None);
    assert!(text.contains(old), "{old} in {text}");
    Reply::json(200, text.replace(old, new))
}

/// A page that names the next one.
fn followed_by(request: &Request, next: &str) -> Reply {
    let next = next.replace("HOST", request.header("host").unwrap());
    Reply::json(200, page(request.symbol(), &minutes(DAY, 5), Some(&next)))
}

fn html(status: u16) -> Reply {
    Reply::body(status, "text/html", format!("<html><h1>{status} error</h1></html>").into_bytes())
}

/// The state and the last error of the only task after a run against `server`.
fn outcome(grab: &Grab) -> (String, String) {
    grab.run("start --windows 2024-01 --tickers A --max-attempts 2 --read-timeout 500ms");
    let item = grab.run("status --json --tickers").json()["items"][0].clone();
    let error = item["last_error"].as_str().unwrap_or_default().to_owned();
    (item["state"].as_str().unwrap().to_owned(), error)
}

/// Checks a fault that happens once and is gone when the page is requested again, if it is; then one that stays.
fn check(reply: Script, state: &str, words: &str) {
    if state == "failed" {
        let calls = Mutex::new(0);
        let passing = Server::start(move |request| {
            let mut calls = calls.lock().unwrap();
            *calls += u32::from(!request.is_control());
            if *calls == 1 && !request.is_control() { reply(request) } else { ok(request) }
        });
        let grab = Grab::with_server(passing.base_url());
        assert_eq!(outcome(&grab), ("done".into(), String::new()), "it passes");
        assert_eq!(passing.pages_asked(), 2, "it passes");
        assert_eq!(read_store(&grab.data_dir())["A"], minutes(DAY, 5), "it passes");
    }
    let staying =
        Server::start(move |request| if request.is_control() { ok(request) } else { reply(request) });
    let grab = Grab::with_server(staying.base_url());
    let (ended, error) = outcome(&grab);
    assert_eq!(ended, state, "it stays: {error}");
    assert!(error.contains(words), "it stays: {error}");
    // A refusal by the plan leads to one more request for a recent day: is the symbol served at all?
    let asked = if matches!(state, "failed" | "not_entitled") { 2 } else { 1 };
    assert_eq!(staying.pages_asked(), asked, "it stays: {error}");
    assert!(read_store(&grab.data_dir()).is_empty(), "it stays");
}

/// One test for each fault: the response, the state if it stays, words of the reason.
macro_rules! faults {
    ($($name:ident: $state:literal, $words:literal, $reply:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check($reply, $state, $words);
            }
        )*
    };
}

faults! {
    reset_before_the_answer: "failed", "no answer came", |_| Reply::reset();
    end_before_the_answer: "failed", "no answer came", |_| Reply::nothing();
    reset_inside_the_body: "failed", "the answer broke off", |request| ok(request).reset_at(100);
    early_end_of_the_body: "failed", "the answer broke off", |request| ok(request).cut_at(100);
    early_end_without_a_length: "failed", "not the documented JSON",
        |request| Reply::json(200, &page(request.symbol(), &minutes(DAY, 5), None)[..200]).without_length();
    stall_before_the_headers: "failed", "no answer came", |request| ok(request).stall_at(0);
    stall_inside_the_headers: "failed", "no answer came", |request| ok(request).stall_at(20);
    stall_inside_the_body: "failed", "the answer broke off", |request| ok(request).stall_at(200);
    length_too_great: "failed", "the answer broke off", |request| ok(request).pretended_length(9_999).cut_at(9_999);
    length_too_small: "failed", "not the documented JSON", |request| ok(request).pretended_length(99).cut_at(9_999);
    gzip_cut_off: "failed", "the gzip body is damaged", |request| {
        let whole = gzip(page(request.symbol(), &minutes(DAY, 200), None).as_bytes());
        Reply::body(200, "application/json", whole[..whole.len() / 2].to_vec()).header("content-encoding", "gzip")
    };
    gzip_in_name_only: "failed", "the gzip body is damaged",
        |request| ok(request).header("content-encoding", "gzip");
    gzip_bomb: "failed", "larger than 67108864 bytes",
        |_| Reply::body(200, "application/json", BOMB.clone()).header("content-encoding", "gzip");
    unknown_encoding: "failed", "unknown encoding", |request| ok(request).header("content-encoding", "br");
    body_of_a_gigabyte: "failed", "larger than 67108864 bytes",
        |_| Reply::body(200, "application/json", vec![b' '; 1 << 20]).repeated(1 << 10);
    html_with_200: "failed", "not the documented JSON", |_| html(200);
    json_nested_deep: "failed", "not the documented JSON", |_| {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        Reply::json(200, format!("{{\"ticker\":\"A\",\"results\":{open}{close}}}"))
    };
    a_price_that_is_no_number: "failed", "not the documented JSON",
        |request| instead(request, "\"c\":100.5", "\"c\":NaN");
    a_bar_without_a_price: "failed", "not the documented JSON",
        |request| instead(request, "\"c\":100.5,", "");
    a_number_beyond_float64: "failed", "not the documented JSON",
        |request| instead(request, "\"c\":100.5", "\"c\":1e999");
    status_500: "failed", "HTTP 500", |_| Reply::json(500, "{}");
    status_500_html: "failed", "HTTP 500", |_| html(500);
    status_502_html: "failed", "HTTP 502", |_| html(502);
    status_503_html: "failed", "HTTP 503", |_| html(503);
    status_504_html: "failed", "HTTP 504", |_| html(504);
    status_408: "failed", "HTTP 408", |_| Reply::json(408, "{}");
    status_413: "failed", "HTTP 413", |_| Reply::json(413, "{}");
    status_400_that_passes: "failed", "HTTP 400: Could not parse",
        |_| Reply::json(400, r#"{"status":"ERROR","error":"Could not parse"}"#);
    status_429_with_seconds: "failed", "HTTP 429: too many requests: slow down",
        |_| Reply::json(429, r#"{"status":"ERROR","error":"slow down"}"#).header("retry-after", "0");
    status_429_with_a_date: "failed", "HTTP 429",
        |_| Reply::json(429, "{}").header("retry-after", "Wed, 03 Jan 2024 00:00:00 GMT");
    status_429_bare: "failed", "HTTP 429", |_| Reply::body(429, "text/plain", Vec::new());
    status_403: "not_entitled", "the plan does not include this: Your plan",
        |_| Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"Your plan doesn't include this"}"#);
    status_403_inside_of_200: "not_entitled", "the plan does not include this",
        |_| Reply::json(200, r#"{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}"#);
    status_404: "not_found", "HTTP 404: not found: Ticker not found.",
        |_| Reply::json(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#);
    another_ticker: "failed", "requested A, received B", |_| Reply::json(200, page("B", &minutes(DAY, 5), None));
    no_ticker: "failed", "requested A, received no ticker",
        |request| instead(request, "\"ticker\":\"A\",", "");
    another_adjustment: "failed", "requested adjusted=false, received true",
        |_| Reply::json(200, page_with("A", true, &minutes(DAY, 5), None));
    bars_of_another_year: "failed", "5 of 5 bars cannot be right",
        |_| Reply::json(200, page("A", &minutes(date(2017, 1, 3), 5), None));
    a_count_that_lies: "failed", "resultsCount 6 and has 5 bars",
        |request| instead(request, "\"resultsCount\":5", "\"resultsCount\":6");
    a_status_that_is_neither_ok_nor_delayed: "failed", "HTTP 200 with status Some(\"ERROR\")",
        |request| instead(request, "\"status\":\"OK\"", "\"status\":\"ERROR\"");
    a_next_url_of_another_host: "failed", "http://127.0.0.9:1",
        |request| followed_by(request, "http://127.0.0.9:1/v2/steal?cursor=x");
    a_next_url_that_is_no_url: "failed", "::no url::", |request| followed_by(request, "::no url::");
}

/// A run against a server that always answers with `reply`: its bars, and the only task as `status` shows it.
fn stays(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Vec<Bar>, String, String) {
    let server =
        Server::start(move |request| if request.is_control() { ok(request) } else { reply(request) });
    let grab = Grab::with_server(server.base_url());
    let (state, error) = outcome(&grab);
    (read_store(&grab.data_dir()).remove("A").unwrap_or_default(), state, error)
}

#[test]
fn doubled_bars_are_stored_once_and_the_later_one() {
    let mut bars = minutes(DAY, 5);
    let later = Bar { close: 77.0, ..bars[3] };
    bars.extend([bars[1], later]);
    let (stored, state, _) = stays(move |_| Reply::json(200, page("A", &bars, None)));
    let mut expected = minutes(DAY, 5);
    expected[3] = later;
    assert_eq!((stored, state.as_str()), (expected, "done"));
}

#[test]
fn unsorted_bars_are_stored_in_order() {
    let mut bars = minutes(DAY, 50);
    bars.reverse();
    bars.swap(3, 30);
    let (stored, state, _) = stays(move |_| Reply::json(200, page("A", &bars, None)));
    assert_eq!((stored, state.as_str()), (minutes(DAY, 50), "done"));
}

/// Five good bars and a bad one, which is quarantined.
fn quarantined(spoil: fn(Bar) -> Bar, words: &str) {
    let (stored, state, error) = stays(move |_| {
        let mut bars = minutes(DAY, 6);
        bars[5] = spoil(bars[5]);
        Reply::json(200, page("A", &bars, None))
    });
    assert_eq!((stored, state.as_str()), (minutes(DAY, 5), "failed"), "{error}");
    assert!(error.contains("all bars are stored except 1 in quarantine") && error.contains(words), "{error}");
}

#[test]
fn a_bar_outside_of_the_window_is_quarantined() {
    quarantined(|bar| Bar { timestamp: bar.timestamp + 40 * 86_400_000, ..bar }, "is outside of 2024-01-01");
}

#[test]
fn a_bar_in_nanoseconds_among_others_is_quarantined() {
    quarantined(|bar| Bar { timestamp: bar.timestamp * 1_000_000, ..bar }, "is outside of 2024-01-01");
}

#[test]
fn a_bar_between_two_minutes_is_quarantined() {
    quarantined(|bar| Bar { timestamp: bar.timestamp + 30_000, ..bar }, "does not begin with a minute");
}

#[test]
fn a_bar_with_a_negative_price_is_quarantined() {
    quarantined(|bar| Bar { low: -1.0, ..bar }, "has a negative price");
}

#[test]
fn a_repeated_next_url_ends_the_traversal_as_an_error() {
    let (stored, state, error) =
        stays(|request| followed_by(request, "http://HOST/v2/aggs/ticker/A/range/1/minute/0/0?cursor=same"));
    // Bars that were stored before the cursor repeated stay.
    assert_eq!((stored, state.as_str()), (minutes(DAY, 5), "failed"));
    assert!(error.contains("cursor=same") && error.contains("was followed before"), "{error}");
}

#[test]
fn a_page_without_results_but_with_a_next_url_is_followed() {
    let (stored, state, _) = stays(|request| {
        let next = format!(
            "http://{}/v2/aggs/ticker/A/range/1/minute/0/0?cursor=on",
            request.header("host").unwrap()
        );
        if request.target.contains("cursor=on") {
            ok(request)
        } else {
            Reply::json(200, page("A", &[], Some(&next)))
        }
    });
    assert_eq!((stored, state.as_str()), (minutes(DAY, 5), "done"));
}

#[test]
fn a_part_of_the_range_that_is_refused_keeps_the_rest() {
    let (stored, state, error) = stays(|request| {
        if request.target.contains("cursor=") {
            Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"Your plan ends here."}"#)
        } else {
            followed_by(request, "http://HOST/v2/aggs/ticker/A/range/1/minute/0/0?cursor=x")
        }
    });
    assert_eq!((stored, state.as_str()), (minutes(DAY, 5), "not_entitled"), "{error}");
}

#[test]
fn an_absurd_retry_after_is_cut_and_a_limit_ends_the_wait() {
    let server = Server::start(|_| Reply::json(429, "{}").header("retry-after", "99999999999"));
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A --max-duration 1s").exits(10);
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
    assert_eq!(server.pages_asked(), 1);
}

#[test]
fn a_name_that_does_not_resolve_burns_no_task() {
    let grab = Grab::with_server("http://no-such-host.invalid");
    let ran = grab.run("start --windows 2024-01 --tickers A").exits(21);
    assert!(ran.stdout.contains("cannot connect to http://no-such-host.invalid"), "{ran:?}");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
}
