//! The faults of `tests/faults.rs` for the other jobs: a list, a lookup and a day of the whole market. Each fault
//! happens once to one of them, which is requested again, and always to another one. `docs/faults.md` has a row for each.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use fastrand::Rng;
use flate2::{Compression, write::GzEncoder};
use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{
        FetchedLists, JobOutcome, MarketDayTally, ReferenceRequests, RunContext, RunCounters, Stop,
        StopReason, fetch_lists, fetch_market,
    },
    manifest::WriterHandle,
    pace::{LearnedPace, Pacer, RetryPolicy},
    source::{Lookup, Polygon, PolygonOptions, ProxyRoute, ReferenceList},
    store::BarStore,
};
use grab_model::{ApiKey, Rate};
use jiff::civil::{Date, date};
use tempfile::TempDir;

use crate::support::{Reply, Request, Server, market_page};

/// The day that fails once, and the one that always fails.
const DAYS: [Date; 2] = [date(2024, 1, 3), date(2024, 1, 4)];

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum About {
    List { is_active: bool },
    Lookup { is_a: bool },
    Day { is_first: bool },
    Control,
}

impl About {
    fn of(request: &Request) -> Self {
        let target = &request.target;
        if let Some(day) = request.market_day() {
            return Self::Day { is_first: day == DAYS[0] };
        }
        if target.starts_with("/v3/reference/tickers?") {
            return Self::List { is_active: target.contains("active=true") };
        }
        if target.starts_with("/v3/reference/tickers/") {
            return Self::Lookup { is_a: target.ends_with("/A") };
        }
        assert!(request.is_control(), "{target}");
        Self::Control
    }

    /// Whether it fails only once. None if it does not fail.
    fn passes(self) -> Option<bool> {
        match self {
            Self::List { is_active: is_first } | Self::Lookup { is_a: is_first } | Self::Day { is_first } => {
                Some(is_first)
            }
            Self::Control => None,
        }
    }

    /// A good response, long enough to be cut.
    fn good(self) -> String {
        let name = "x".repeat(300);
        match self {
            Self::List { is_active } => format!(
                r#"{{"status":"OK","results":[{{"ticker":"A","active":{is_active},"type":"CS","name":"{name}"}}]}}"#
            ),
            Self::Lookup { is_a } => {
                let ticker = if is_a { "A" } else { "B" };
                format!(
                    r#"{{"status":"OK","results":{{"ticker":"{ticker}","list_date":"2020-01-02","name":"{name}"}}}}"#
                )
            }
            Self::Day { is_first } => {
                let names: Vec<_> = ('A'..='J').map(String::from).collect();
                let traded: Vec<_> = names.iter().map(|name| (name.as_str(), 10.0)).collect();
                market_page(DAYS[usize::from(!is_first)], &traded)
            }
            Self::Control => r#"{"status":"OK"}"#.to_owned(),
        }
    }
}

/// The server's response in place of a good one.
type Script = fn(About, &str) -> Reply;

fn json(text: &str) -> Reply {
    Reply::json(200, text)
}

fn html(status: u16) -> Reply {
    Reply::body(status, "text/html", format!("<html><h1>{status} error</h1></html>").into_bytes())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Spaces: 80 MiB of them in 80 KiB.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![b' '; 80 << 20]));

/// A good response with a part of its text replaced.
fn instead(good: &str, old: &str, new: &str) -> Reply {
    assert!(good.contains(old), "{old} in {good}");
    json(&good.replace(old, new))
}

/// A list that continues at `next`; other requests get a good response.
fn followed_by(about: About, good: &str, next: &str) -> Reply {
    match about {
        About::List { .. } => {
            instead(good, "\"status\":\"OK\"", &format!("\"status\":\"OK\",\"next_url\":\"{next}\""))
        }
        About::Lookup { .. } | About::Day { .. } | About::Control => json(good),
    }
}

/// A day with a part of its text replaced; other requests get a good response.
fn day_instead(about: About, good: &str, old: &str, new: &str) -> Reply {
    match about {
        About::Day { .. } => instead(good, old, new),
        About::List { .. } | About::Lookup { .. } | About::Control => json(good),
    }
}

fn context(dir: &TempDir) -> RunContext {
    let (data_dir, clock) = (DataDir::new(dir.path()), Clock::system());
    let (manifest, _) = WriterHandle::start(data_dir.lock().unwrap().open_write(clock).unwrap());
    RunContext {
        store: BarStore::new(data_dir, false, "test".to_owned()),
        manifest,
        pacer: Arc::new(Pacer::new(Rate::Unlimited, LearnedPace::default())),
        rate: Rate::Unlimited,
        retry_policy: RetryPolicy { max_attempts: 2, max_time: Duration::from_secs(30) },
        workers: 2,
        max_requests: None,
        service: None,
        clock,
        random: Rng::with_seed(1),
        counters: Arc::new(RunCounters::default()),
        stop: Stop::default(),
    }
}

fn client(server: &Server) -> Polygon {
    Polygon::new(PolygonOptions {
        base_url: server.base_url().parse().unwrap(),
        way: ProxyRoute::Direct,
        key: ApiKey::new("hush-hush-key").unwrap(),
        adjusted: false,
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_secs(30),
        connections: 2,
        ca_bundle: Vec::new(),
        clock: Clock::system(),
    })
    .unwrap()
}

/// Runs all jobs against a server that fails once for one half of them, and always for the other.
async fn fetch(server: &Server) -> (FetchedLists, MarketDayTally) {
    let wanted = ReferenceRequests {
        lists: vec![ReferenceList::Active, ReferenceList::Left],
        longest_ms: None,
        lookups: ["A", "B"]
            .map(|name| (Lookup::Details(name.parse().unwrap(), None), name.to_owned()))
            .into(),
    };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [lists, days] = dirs.each_ref().map(context);
    let stops = [lists.stop.clone(), days.stop.clone()];
    let lists = fetch_lists(client(server), wanted, lists);
    let days = fetch_market(client(server), DAYS.to_vec(), None, days);
    let (lists, days) = tokio::join!(lists, days);
    assert_eq!(stops.map(|stop| stop.reason()), [None::<StopReason>, None], "the run goes on");
    (lists.unwrap(), days.unwrap())
}

/// The result of the list that always fails, in the words of the document, with the reason.
fn of_list(lists: &FetchedLists) -> (&'static str, String) {
    let [(list, reason)] = lists.lists_without.as_slice() else { panic!("{:?}", lists.lists_without) };
    assert_eq!(*list, ReferenceList::Left);
    match reason.as_str() {
        "the plan does not include it" => ("not entitled", String::new()),
        "the source has no such list" => ("not found", String::new()),
        _ => ("given up", reason.clone()),
    }
}

fn of_lookup(lists: &FetchedLists) -> &'static str {
    match (lists.not_entitled, lists.not_found, lists.failed) {
        (1, 0, 0) => "not entitled",
        (0, 1, 0) => "not found",
        (0, 0, 1) => "given up",
        other => panic!("{other:?}"),
    }
}

fn of_day(days: &MarketDayTally) -> (&'static str, String) {
    match days.lacking.get(&DAYS[1]) {
        Some(JobOutcome::NotEntitled) => ("not entitled", String::new()),
        Some(JobOutcome::NotFound) => ("not found", String::new()),
        Some(JobOutcome::Failed(reason) | JobOutcome::Refused(reason)) => ("given up", reason.clone()),
        other => panic!("{other:?}"),
    }
}

/// Checks the results of a list, a lookup and a day that always fail like this: `–` if they cannot fail so.
fn check(reply: Script, [list, lookup, day]: [&str; 3], words: &str) {
    let is_asked_again = ![list, lookup, day].iter().any(|outcome| outcome.starts_with("not "));
    let failed = Arc::new(Mutex::new(HashMap::<About, u32>::new()));
    let server = Server::start({
        let failed = Arc::clone(&failed);
        move |request| {
            let about = About::of(request);
            let good = about.good();
            let Some(passes) = about.passes() else { return json(&good) };
            let mut failed = failed.lock().unwrap();
            let count = failed.entry(about).or_default();
            // A job that is not requested again must not fail once.
            let is_well = passes && (!is_asked_again || *count > 0);
            *count += 1;
            if is_well { json(&good) } else { reply(about, &good) }
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (lists, days) = runtime.block_on(fetch(&server));
    if list == "–" {
        assert!(lists.lists_without.is_empty(), "{:?}", lists.lists_without);
    } else {
        let (outcome, reason) = of_list(&lists);
        assert_eq!(outcome, list, "{reason}");
        assert!(outcome != "given up" || reason.contains(words), "{reason}");
    }
    let answered = if lookup == "–" { 2 } else { 1 };
    assert_eq!(lists.answered, answered, "the lookup that fails once is answered");
    if lookup != "–" {
        assert_eq!(of_lookup(&lists), lookup);
    }
    let kept = if day == "–" { DAYS.to_vec() } else { vec![DAYS[0]] };
    let mut found = days.kept.clone();
    found.sort();
    assert_eq!(found, kept, "the day that fails once is kept");
    if day != "–" {
        let (outcome, reason) = of_day(&days);
        assert_eq!(outcome, day, "{reason}");
        assert!(outcome != "given up" || reason.contains(words), "{reason}");
    }
    let asked = failed.lock().unwrap();
    for (about, outcome) in [
        (About::List { is_active: true }, list),
        (About::Lookup { is_a: true }, lookup),
        (About::Day { is_first: true }, day),
    ] {
        let expected = if outcome == "given up" { 2 } else { 1 };
        // It may be requested once more: a request that was answered before shows whether the source is down.
        assert!(asked[&about] >= expected, "{about:?}: {asked:?}");
    }
}

/// One test for each fault: the result of a list, a lookup and a day if it stays, words of the reason, the response.
macro_rules! faults {
    ($($name:ident: $list:literal, $lookup:literal, $day:literal, $words:literal, $reply:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check($reply, [$list, $lookup, $day], $words);
            }
        )*
    };
}

faults! {
    reset_before_the_answer: "given up", "given up", "given up", "no answer came", |_, _| Reply::reset();
    end_before_the_answer: "given up", "given up", "given up", "no answer came", |_, _| Reply::nothing();
    reset_inside_the_body: "given up", "given up", "given up", "the answer broke off", |_, good| json(good).reset_at(100);
    early_end_of_the_body: "given up", "given up", "given up", "the answer broke off", |_, good| json(good).cut_at(100);
    early_end_without_a_length: "given up", "given up", "given up", "not the documented JSON",
        |_, good| json(&good[..200]).without_length();
    stall_before_the_headers: "given up", "given up", "given up", "no answer came", |_, good| json(good).stall_at(0);
    stall_inside_the_headers: "given up", "given up", "given up", "no answer came", |_, good| json(good).stall_at(20);
    stall_inside_the_body: "given up", "given up", "given up", "the answer broke off", |_, good| json(good).stall_at(200);
    length_too_great: "given up", "given up", "given up", "the answer broke off",
        |_, good| json(good).pretended_length(9_999).cut_at(9_999);
    length_too_small: "given up", "given up", "given up", "not the documented JSON",
        |_, good| json(good).pretended_length(99).cut_at(9_999);
    gzip_cut_off: "given up", "given up", "given up", "the gzip body is damaged", |_, good| {
        let whole = gzip(good.as_bytes());
        Reply::body(200, "application/json", whole[..whole.len() / 2].to_vec()).header("content-encoding", "gzip")
    };
    gzip_in_name_only: "given up", "given up", "given up", "the gzip body is damaged",
        |_, good| json(good).header("content-encoding", "gzip");
    gzip_bomb: "given up", "given up", "given up", "larger than 67108864 bytes",
        |_, _| Reply::body(200, "application/json", BOMB.clone()).header("content-encoding", "gzip");
    unknown_encoding: "given up", "given up", "given up", "unknown encoding",
        |_, good| json(good).header("content-encoding", "br");
    body_of_a_gigabyte: "given up", "given up", "given up", "larger than 67108864 bytes",
        |_, _| Reply::body(200, "application/json", vec![b' '; 1 << 20]).repeated(1 << 10);
    html_with_200: "given up", "given up", "given up", "not the documented JSON", |_, _| html(200);
    json_nested_deep: "given up", "given up", "given up", "not the documented JSON", |_, _| {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        json(&format!("{{\"status\":\"OK\",\"results\":{open}{close}}}"))
    };
    a_price_that_is_no_number: "–", "–", "given up", "not the documented JSON",
        |about, good| day_instead(about, good, "\"c\":2", "\"c\":NaN");
    a_bar_without_a_price: "–", "–", "given up", "not the documented JSON",
        |about, good| day_instead(about, good, "\"c\":2,", "");
    a_number_beyond_float64: "–", "–", "given up", "not the documented JSON",
        |about, good| day_instead(about, good, "\"c\":2", "\"c\":1e999");
    status_500: "given up", "given up", "given up", "HTTP 500", |_, _| Reply::json(500, "{}");
    status_500_html: "given up", "given up", "given up", "HTTP 500", |_, _| html(500);
    status_502_html: "given up", "given up", "given up", "HTTP 502", |_, _| html(502);
    status_503_html: "given up", "given up", "given up", "HTTP 503", |_, _| html(503);
    status_504_html: "given up", "given up", "given up", "HTTP 504", |_, _| html(504);
    status_408: "given up", "given up", "given up", "HTTP 408", |_, _| Reply::json(408, "{}");
    status_413: "given up", "given up", "given up", "HTTP 413", |_, _| Reply::json(413, "{}");
    status_400_that_passes: "given up", "given up", "given up", "HTTP 400: Could not parse",
        |_, _| Reply::json(400, r#"{"status":"ERROR","error":"Could not parse"}"#);
    status_429_with_seconds: "given up", "given up", "given up", "HTTP 429: too many requests: slow down",
        |_, _| Reply::json(429, r#"{"status":"ERROR","error":"slow down"}"#).header("retry-after", "0");
    status_429_with_a_date: "given up", "given up", "given up", "HTTP 429",
        |_, _| Reply::json(429, "{}").header("retry-after", "Wed, 03 Jan 2024 00:00:00 GMT");
    status_429_bare: "given up", "given up", "given up", "HTTP 429",
        |_, _| Reply::body(429, "text/plain", Vec::new());
    status_403: "not entitled", "not entitled", "not entitled", "",
        |_, _| Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"Your plan doesn't include this"}"#);
    status_403_inside_of_200: "not entitled", "not entitled", "not entitled", "",
        |_, _| Reply::json(200, r#"{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}"#);
    status_404: "not found", "not found", "not found", "",
        |_, _| Reply::json(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#);
    another_ticker: "–", "given up", "–", "", |about, good| match about {
        About::Lookup { is_a } => {
            let (asked, other) = if is_a { ("A", "B") } else { ("B", "A") };
            instead(good, &format!("\"ticker\":\"{asked}\""), &format!("\"ticker\":\"{other}\""))
        }
        About::List { .. } | About::Day { .. } | About::Control => json(good),
    };
    no_ticker: "–", "given up", "–", "", |about, good| match about {
        About::Lookup { .. } => instead(good, "\"ticker\"", "\"tocker\""),
        About::List { .. } | About::Day { .. } | About::Control => json(good),
    };
    another_adjustment: "–", "–", "given up", "requested adjusted=false, received true",
        |about, good| day_instead(about, good, "\"adjusted\":false", "\"adjusted\":true");
    bars_of_another_year: "–", "–", "given up", "received bars of 2017-01-03", |about, good| match about {
        About::Day { .. } => json(&market_page(date(2017, 1, 3), &[("A", 10.0)])),
        About::List { .. } | About::Lookup { .. } | About::Control => json(good),
    };
    a_count_that_lies: "–", "–", "given up", "resultsCount 11 and has 10 bars",
        |about, good| day_instead(about, good, "\"resultsCount\":10", "\"resultsCount\":11");
    a_status_that_is_neither_ok_nor_delayed: "given up", "given up", "given up", "HTTP 200 with status Some(\"ERROR\")",
        |_, good| instead(good, "\"status\":\"OK\"", "\"status\":\"ERROR\"");
    a_next_url_of_another_host: "given up", "–", "–", "http://127.0.0.9:1",
        |about, good| followed_by(about, good, "http://127.0.0.9:1/v3/steal?cursor=x");
    a_next_url_that_is_no_url: "given up", "–", "–", "::no url::",
        |about, good| followed_by(about, good, "::no url::");
}
