//! When everything fails: which failures count against a task, and that no task pays for the failures of others.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::civil::{Date, date};

use crate::support::{Grab, Reply, Request, Server, minutes, page};

/// Makes the same reply for every request.
type Answer = fn() -> Reply;

const DAY: Date = date(2024, 1, 3);

fn ok(request: &Request) -> Reply {
    Reply::json(200, page(request.symbol(), &minutes(DAY, 5), None))
}

fn sick() -> Reply {
    Reply::body(503, "text/html", b"<h1>503 Service Unavailable</h1>".to_vec())
}

fn symbols(count: usize) -> String {
    (0..count).map(|n| format!("T{n}")).collect::<Vec<_>>().join(",")
}

/// A server that works for this many requests, then fails for this long.
fn sick_after(requests: usize, time: Duration) -> Server {
    failing_after(requests, time, sick)
}

/// A server that works for this many requests, then answers with something else for this long.
fn failing_after(requests: usize, time: Duration, fault: Answer) -> Server {
    let state = Mutex::new((0, None));
    Server::start(move |request| {
        let mut state = state.lock().unwrap();
        state.0 += 1;
        if state.0 <= requests {
            return ok(request);
        }
        let since = *state.1.get_or_insert_with(Instant::now);
        if since.elapsed() < time { fault() } else { ok(request) }
    })
}

#[test]
fn a_server_that_is_sick_for_a_while_costs_no_task_anything() {
    let server = sick_after(3, Duration::from_secs(2));
    let grab = Grab::with_server(server.base_url());
    let start = format!("start --windows 2024-01 --tickers {} --concurrency 4 --max-attempts 2", symbols(20));
    grab.run(&start).exits(0);
    assert_eq!(grab.count("SELECT count(*) FROM events WHERE kind = 'given_up'"), 0);
    // Those under way when it began, then one probe at a time, with a control request each.
    assert!(server.pages_asked() <= 20 + 8 + 4 + 12, "{} pages asked", server.pages_asked());
}

/// What a gateway, a firewall or a broken release of the service answers to everything for a while.
#[test]
fn refusals_of_everything_for_a_while_cost_no_task_anything() {
    let faults: [(&str, Answer); 4] = [
        ("404 of a proxy", || Reply::body(404, "text/html", b"<html>busy</html>".to_vec())),
        ("404 of a gateway", || Reply::json(404, r#"{"message":"no Route matched with those values"}"#)),
        ("403 of a firewall", || Reply::body(403, "text/html", b"<html>busy</html>".to_vec())),
        ("400 for everything", || Reply::json(400, r#"{"status":"ERROR","error":"Could not parse"}"#)),
    ];
    for (name, fault) in faults {
        let server = failing_after(3, Duration::from_secs(2), fault);
        let grab = Grab::with_server(server.base_url());
        let tasks = symbols(20);
        let ran = grab.run(&format!("start --windows 2024-01 --tickers {tasks} --concurrency 4 --json"));
        let report = ran.json();
        assert_eq!((ran.code, &report["tasks"]["done"]), (0, &20.into()), "{name}: {report}");
    }
}

#[test]
fn a_server_that_stays_sick_ends_the_run_and_no_task() {
    let server = sick_after(2, Duration::MAX);
    let grab = Grab::with_server(server.base_url());
    let start =
        format!("start --windows 2024-01 --tickers {} --max-attempts 2 --max-retry-time 1s", symbols(9));
    let ran = grab.run(&start).exits(10);
    assert!(ran.stdout.contains("the source did not come back: HTTP 503"), "{ran:?}");
    let count = |state: &str| grab.count(&format!("SELECT count(*) FROM tasks WHERE state = '{state}'"));
    assert_eq!((count("done"), count("pending")), (2, 7));
}

#[test]
fn a_source_that_is_sick_from_the_beginning_ends_the_run_and_no_task() {
    let number = AtomicUsize::new(0);
    // As from a balancer whose servers fail in different ways.
    let mixed = Server::start(move |_| match number.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => sick(),
        1 => Reply::body(200, "text/html", b"<html>".to_vec()),
        _ => Reply::reset(),
    });
    let refusing = Server::start(|_| Reply::json(429, r#"{"status":"ERROR"}"#));
    let sick = Server::start(|_| sick());
    for (server, tickers, attempts) in
        [(&sick, 3, 1), (&sick, 2, 3), (&mixed, 3, 2), (&mixed, 12, 2), (&mixed, 12, 1), (&refusing, 3, 1)]
    {
        let grab = Grab::with_server(server.base_url());
        let tickers = symbols(tickers);
        let start = format!(
            "start --windows 2024-01 --tickers {tickers} --max-attempts {attempts} --max-retry-time 2s"
        );
        grab.run(&start).exits(10);
        assert!(grab.tasks().iter().all(|task| task.ends_with("pending")), "{attempts}: {:?}", grab.tasks());
    }
}

#[test]
fn the_last_task_of_a_run_is_not_given_up_for_an_outage() {
    let server = sick_after(3, Duration::MAX);
    let grab = Grab::with_server(server.base_url());
    let start =
        "start --windows 2024-01 --tickers A,B,C,D --concurrency 1 --max-attempts 2 --max-retry-time 2s";
    grab.run(start).exits(10);
    assert_eq!(grab.tasks()[3], "D 2024-01-01 pending");
}

#[test]
fn hopeless_symbols_end_in_their_own_state_and_delay_no_other() {
    // A server that does not know the control request answers it with 404, or not at all.
    for (silent, hopeless) in [(false, "S500,HTML,CUT"), (true, "S500,HTML")] {
        let server = Server::start(move |request| match request.symbol() {
            "S500" => sick(),
            "HTML" => Reply::body(200, "text/html", b"<html>".to_vec()),
            "CUT" => ok(request).cut_at(10),
            "" if silent => Reply::nothing(),
            "" => Reply::body(404, "text/plain", b"404 page not found".to_vec()),
            _ => ok(request),
        });
        let grab = Grab::with_server(server.base_url());
        let tickers = format!("{hopeless},{}", symbols(3));
        let start = format!("start --windows 2024-01 --tickers {tickers} --max-attempts 2 --concurrency 2");
        let begun = Instant::now();
        grab.run(&start).exits(11);
        let failed: Vec<_> = grab.tasks().into_iter().filter(|task| task.ends_with("failed")).collect();
        assert_eq!(failed.len(), hopeless.split(',').count(), "{failed:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}

/// A server that lets in this many requests in any second.
fn limited(per_second: usize) -> Server {
    let admitted = Mutex::new(VecDeque::<Instant>::new());
    Server::start(move |request| {
        let mut admitted = admitted.lock().unwrap();
        while admitted.front().is_some_and(|at| at.elapsed() >= Duration::from_secs(1)) {
            admitted.pop_front();
        }
        if admitted.len() >= per_second {
            return Reply::json(429, r#"{"status":"ERROR","error":"too many"}"#).header("retry-after", "1");
        }
        admitted.push_back(Instant::now());
        ok(request)
    })
}

#[test]
fn a_limit_that_is_lower_than_the_rate_fails_no_task_and_is_learnt() {
    let server = limited(10);
    let grab = Grab::with_server(server.base_url()).env("GRAB_RATE", "100/s");
    let start = format!("start --windows 2024-01 --tickers {} --max-attempts 5", symbols(60));
    grab.run(&start).exits(0);
    let refused = grab.count("SELECT count(*) FROM events WHERE kind = 'retry_scheduled'");
    assert!(refused > 0, "it was too fast at first");
    let kept: f64 = grab.manifest().query_row("SELECT per_second FROM pace", [], |row| row.get(0)).unwrap();
    assert!(kept < 80.0, "{kept} a second");

    let shown = grab.run("start --windows 2024-01 --tickers NEW --progress json").exits(0).stderr;
    let last: serde_json::Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    let slowed = last["slowed_to_per_minute"].as_f64().unwrap();
    assert!((kept * 60.0..kept * 60.0 + 900.0).contains(&slowed), "{slowed} a minute after {kept} a second");
}

#[test]
fn who_alone_is_refused_as_one_too_many_is_given_up() {
    let server = Server::start(|request| match request.symbol() {
        "NEVER" => Reply::json(429, "{}").header("retry-after", "0"),
        _ => ok(request),
    });
    let grab = Grab::with_server(server.base_url());
    grab.run(&format!("start --windows 2024-01 --tickers NEVER,{} --max-attempts 3", symbols(3))).exits(11);
    assert_eq!(grab.tasks()[0], "NEVER 2024-01-01 failed");
}
