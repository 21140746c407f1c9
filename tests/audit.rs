//! The thirteen faults of the downloader that grab replaces, each made impossible.

use std::{
    collections::HashSet,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use grab_model::{Bar, new_york};
use jiff::civil::{Date, date};

use crate::support::{Grab, Reply, Request, Server, bars_of, minutes, page, read_store, wait_until};

const DAY: Date = date(2024, 1, 3);

/// A server with the same 30 bars for every symbol and window of January 2024.
fn one_page_each() -> Server {
    Server::start(|request| Reply::json(200, page(request.symbol(), &minutes(DAY, 30), None)))
}

fn symbols(count: usize) -> String {
    (0..count).map(|n| format!("T{n}")).collect::<Vec<_>>().join(",")
}

/// Lets requests wait for each other: responses are sent once `together` requests have arrived.
fn meeting(together: usize) -> (Server, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let (inside, seen) = (Arc::new((Mutex::new(0_usize), Condvar::new())), Arc::clone(&most));
    let server = Server::start(move |request| {
        let (count, changed) = &*inside;
        let mut here = count.lock().unwrap();
        *here += 1;
        seen.fetch_max(*here, Ordering::SeqCst);
        changed.notify_all();
        // The first request of a run goes alone, so a few may leave before all have met.
        let waited = changed.wait_timeout_while(here, Duration::from_millis(300), |here| *here < together);
        *waited.unwrap().0 -= 1;
        Reply::json(200, page(request.symbol(), &minutes(DAY, 1), None))
    });
    (server, most)
}

#[test]
fn audit_01_the_worker_count_has_its_effect() {
    for (workers, expected) in [(1, 1), (4, 4)] {
        let (server, most) = meeting(expected);
        let grab = Grab::with_server(server.base_url());
        grab.run(&format!("start --windows 2024-01 --tickers {} --concurrency {workers}", symbols(9)))
            .exits(0);
        assert_eq!(most.load(Ordering::SeqCst), expected);
    }
}

#[test]
fn audit_02_one_worker_does_not_quit_after_thirty_tickers() {
    let server = one_page_each();
    let grab = Grab::with_server(server.base_url());
    let report =
        grab.run(&format!("start --json --windows 2024-01 --tickers {} --concurrency 1", symbols(45)));
    assert_eq!(report.exits(0).json()["tasks"]["done"], 45);
}

#[test]
fn audit_03_only_an_empty_answer_is_empty() {
    let server = Server::start(|request| match request.symbol() {
        "EMPTY" => Reply::json(200, page("EMPTY", &[], None)),
        "NULL" => Reply::json(
            200,
            r#"{"ticker":"NULL","resultsCount":0,"adjusted":false,"results":null,"status":"DELAYED","request_id":"r"}"#,
        ),
        "PLAN" => Reply::json(
            403,
            r#"{"status":"NOT_AUTHORIZED","message":"Your plan doesn't include this data timeframe."}"#,
        ),
        "PLAN200" => {
            Reply::json(200, r#"{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}"#)
        }
        "GONE" => Reply::json(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#),
        "HTML" => Reply::body(200, "text/html", b"<html>maintenance</html>".to_vec()),
        "FALSE" => Reply::json(200, "{}"),
        "ERROR" => Reply::json(200, r#"{"status":"ERROR","error":"no rows"}"#),
        "OTHER" => Reply::json(200, page("AAPL", &[], None)),
        symbol => panic!("{symbol}"),
    });
    let grab = Grab::with_server(server.base_url());
    let tickers = "EMPTY,NULL,PLAN,PLAN200,GONE,HTML,FALSE,ERROR,OTHER";
    grab.run(&format!("start --windows 2024-01 --tickers {tickers} --max-attempts 2")).exits(11);
    let expected = [
        "EMPTY 2024-01-01 empty",
        "NULL 2024-01-01 empty",
        "PLAN 2024-01-01 not_entitled",
        "PLAN200 2024-01-01 not_entitled",
        "GONE 2024-01-01 not_found",
        "HTML 2024-01-01 failed",
        "FALSE 2024-01-01 failed",
        "ERROR 2024-01-01 failed",
        "OTHER 2024-01-01 failed",
    ];
    assert_eq!(grab.tasks(), expected);
    let evidence = "SELECT count(*) FROM pages JOIN tasks ON tasks.id = task_id
                    WHERE state = 'empty' AND request_id IS NOT NULL AND stored_at_ms > 0 AND pages.bars = 0";
    assert_eq!(grab.count(evidence), 2);
    assert_eq!(grab.count("SELECT count(*) FROM tasks WHERE state = 'failed' AND last_error IS NULL"), 0);
}

#[test]
fn audit_04_bars_are_told_apart_by_their_instant() {
    // The clocks went back on 2024-11-03: 01:30 in New York came twice, an hour apart.
    let midnight = new_york::day_start_ms(date(2024, 11, 3));
    let hours =
        |hours: i64, close| Bar { timestamp: midnight + hours * 1_800_000, close, ..minutes(DAY, 1)[0] };
    let bars = [hours(3, 1.0), hours(5, 2.0), hours(3, 3.0)];
    let server = Server::start(move |request| Reply::json(200, page(request.symbol(), &bars, None)));
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-11 --tickers A").exits(0);
    let stored: Vec<_> =
        read_store(&grab.data_dir())["A"].iter().map(|bar| (bar.timestamp, bar.close)).collect();
    assert_eq!(
        stored,
        [(hours(3, 0.0).timestamp, 3.0), (hours(5, 0.0).timestamp, 2.0)],
        "the later copy stays"
    );
}

#[test]
fn audit_05_a_cursor_that_cannot_be_followed_is_an_error_with_the_url() {
    let bars = minutes(DAY, 30);
    let server = Server::start(move |request| {
        let next = match request.symbol() {
            "ODD" => "::not a url::",
            "FOREIGN" => "http://127.0.0.9:1/v2/steal?cursor=x",
            _ => "http://HOST/v2/aggs/ticker/LOOP/range/1/minute/0/0?cursor=again",
        };
        let next = next.replace("HOST", request.header("host").unwrap());
        Reply::json(200, page(request.symbol(), &bars, Some(&next)))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers ODD,FOREIGN,LOOP --max-attempts 2").exits(11);
    assert!(grab.tasks().iter().all(|task| task.ends_with("failed")), "{:?}", grab.tasks());
    let items = grab.run("status --tickers --json").json()["items"].clone();
    let errors: Vec<_> = (0..3).map(|n| items[n]["last_error"].as_str().unwrap().to_owned()).collect();
    assert!(errors[0].contains("::not a url::"), "{errors:?}");
    assert!(errors[1].contains("http://127.0.0.9:1"), "{errors:?}");
    assert!(errors[2].contains("cursor=again") && errors[2].contains("before"), "{errors:?}");
}

#[test]
fn audit_06_every_request_waits_for_its_permit_also_after_a_last_page_and_for_retries() {
    // Each ticker has one page, which fails at first: half of the requests are retries, and half follow a last page.
    let failed = Mutex::new(HashSet::new());
    let server = Server::start(move |request| {
        let symbol = request.symbol().to_owned();
        if !request.is_control() && failed.lock().unwrap().insert(symbol.clone()) {
            return Reply::json(500, "{}");
        }
        Reply::json(200, page(&symbol, &minutes(DAY, 1), None))
    });
    let grab = Grab::with_server(server.base_url());
    let start =
        format!("start --json --windows 2024-01 --tickers {} --rate 20/s --concurrency 8", symbols(24));
    assert_eq!(grab.run(&start).exits(0).json()["retries"], 24);
    let at: Vec<_> = server.requests().iter().map(|request| request.at).collect();
    // A fetched page may have been requested again, to find out whether the source is down.
    assert!((48..=52).contains(&server.pages_asked()), "{}", server.pages_asked());
    // 20 permits take a second; a tenth of it is margin for the two cores that the test may share with others.
    let spans: Vec<_> = at.windows(21).map(|window| window[20] - window[0]).collect();
    assert!(spans.iter().all(|span| *span > Duration::from_millis(900)), "{spans:?}");
}

#[test]
fn audit_07_no_part_of_a_long_list_is_dropped() {
    let server = one_page_each();
    let grab = Grab::with_server(server.base_url());
    let report =
        grab.run(&format!("start --json --windows 2024-01 --tickers {} --concurrency 4", symbols(300)));
    assert_eq!(report.exits(0).json()["tasks"]["done"], 300);
    let mut expected: Vec<_> = (0..300).map(|n| format!("T{n} 2024-01-01")).collect();
    expected.sort();
    assert_eq!(server.asked(), expected, "each once");
}

#[test]
fn audit_08_resume_is_per_window() {
    let server = Server::start(|request| {
        let day: Date = request.from().parse().unwrap();
        let first_session = day.checked_add(jiff::ToSpan::days(2)).unwrap();
        Reply::json(200, page(request.symbol(), &minutes(first_session, 5), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2022,2023,2024 --tickers A --max-requests 1").exits(10);
    assert_eq!(grab.tasks(), ["A 2022-01-01 done", "A 2023-01-01 pending", "A 2024-01-01 pending"]);
    grab.run("resume").exits(0);
    assert_eq!(grab.tasks(), ["A 2022-01-01 done", "A 2023-01-01 done", "A 2024-01-01 done"]);
    assert_eq!(server.asked(), ["A 2022-01-01", "A 2023-01-01", "A 2024-01-01"]);
}

#[test]
fn audit_09_one_process_a_data_directory() {
    let hold = Arc::new((Mutex::new(true), Condvar::new()));
    let gate = Arc::clone(&hold);
    let server = Server::start(move |request| {
        let (on, changed) = &*gate;
        drop(changed.wait_while(on.lock().unwrap(), |on| *on).unwrap());
        Reply::json(200, page(request.symbol(), &minutes(DAY, 5), None))
    });
    let grab = Grab::with_server(server.base_url());
    let first = grab.spawn("start --windows 2024-01 --tickers A");
    wait_until("the first request", || !server.requests().is_empty());
    let second = grab.run("start --windows 2024-01 --tickers B").exits(31);
    assert!(second.stderr.contains(&format!("process {}", first.id())), "{second:?}");
    assert_eq!(grab.tasks(), ["A 2024-01-01 running"], "status works while a run is live");
    *hold.0.lock().unwrap() = false;
    hold.1.notify_all();
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn audit_10_trouble_with_the_connection_burns_no_task() {
    // No process listens on this port: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let untouched = |grab: &Grab| {
        assert_eq!(grab.count("SELECT count(*) FROM tasks WHERE state = 'pending' AND attempts = 0"), 50);
    };
    let refused = Grab::with_server(&format!("http://127.0.0.1:{port}"));
    let report = refused.run(&format!("start --json --windows 2024-01 --tickers {}", symbols(50))).exits(21);
    assert!(report.json()["requests"].as_u64().unwrap() <= 3, "{report:?}");
    untouched(&refused);

    // A server that does not speak TLS.
    let plain = one_page_each();
    let tls = Grab::with_server(&plain.base_url().replace("http:", "https:"));
    tls.run(&format!("start --windows 2024-01 --tickers {}", symbols(50))).exits(21);
    untouched(&tls);

    // A server that is not the service: it knows no route.
    let other = Server::start(|_| Reply::body(404, "text/plain", b"404 page not found".to_vec()));
    let wrong = Grab::with_server(other.base_url());
    let report = wrong.run(&format!("start --windows 2024-01 --tickers {}", symbols(50))).exits(21);
    assert!(report.stdout.contains("--base-url"), "{report:?}");
    untouched(&wrong);

    let bundle = Grab::with_server(plain.base_url());
    let broken = bundle.run("start --windows 2024-01 --tickers A --ca-bundle /does/not/exist.pem").exits(2);
    assert!(broken.stderr.contains("--ca-bundle: /does/not/exist.pem cannot be read"), "{broken:?}");
}

#[test]
fn audit_11_the_failure_of_one_ticker_never_reaches_another() {
    let server = Server::start(|request| match request.symbol() {
        "T4" => Reply::json(500, r#"{"status":"ERROR","error":"boom"}"#),
        symbol => Reply::json(200, page(symbol, &minutes(DAY, 5), None)),
    });
    let grab = Grab::with_server(server.base_url());
    let report = grab.run(&format!(
        "start --json --windows 2024-01 --tickers {} --concurrency 2 --max-attempts 2",
        symbols(10)
    ));
    let report = report.exits(11).json();
    assert_eq!((&report["tasks"]["done"], &report["tasks"]["failed"]), (&9.into(), &1.into()));
    assert!(report["unsuccessful"][0]["last_error"].as_str().unwrap().contains("HTTP 500: boom"), "{report}");
}

#[test]
fn audit_12_a_task_of_many_pages_loses_none() {
    let days: Vec<Date> = (2..=31).map(|day| date(2024, 1, day)).collect();
    let all = bars_of(&days);
    let bars = all.clone();
    let server = Server::start(move |request: &Request| {
        let number: usize = request.target.split("cursor=").nth(1).map_or(0, |n| n.parse().unwrap());
        let bars = &bars[number * 30..(number + 1) * 30];
        let next = format!(
            "http://{}/v2/aggs/ticker/BIG/range/1/minute/0/0?cursor={}",
            request.header("host").unwrap(),
            number + 1
        );
        Reply::json(200, page("BIG", bars, (number + 1 < 30).then_some(&next)))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers BIG").exits(0);
    assert_eq!(server.requests().len(), 30);
    assert_eq!(read_store(&grab.data_dir())["BIG"], all);
}

#[test]
fn audit_13_a_folder_that_is_there_says_nothing_about_other_windows() {
    let server = Server::start(|request| {
        let year: Date = request.from().parse().unwrap();
        Reply::json(200, page(request.symbol(), &minutes(date(year.year(), 1, 4), 5), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2022 --tickers A").exits(0);
    assert!(grab.data_dir().join("bars_1m/ticker=A").is_dir());
    let wider = grab.run("start --json --windows 2022,2023,2024 --tickers A").exits(0).json();
    assert_eq!(wider["requests"], 2, "only the new windows");
    assert_eq!(server.asked(), ["A 2022-01-01", "A 2023-01-01", "A 2024-01-01"]);
    let again = grab.run("start --json --windows 2022,2023,2024 --tickers A").exits(0).json();
    assert_eq!((&again["requests"], &again["outcome"]), (&0.into(), &"complete".into()));
    assert_eq!(read_store(&grab.data_dir())["A"].len(), 15);
}
