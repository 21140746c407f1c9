//! How many requests a repair sends, and the results of its tasks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use grab_model::Window;
use grab_model::calendar;
use jiff::civil::{Date, date};
use serde_json::{Value, json};

use crate::support::{Grab, Reply, Request, Server, minutes, page, read_store};

/// First and last day of a request.
fn asked_days(request: &Request) -> (Date, Date) {
    let part = |at| request.target.split(['/', '?']).nth(at).unwrap().parse().unwrap();
    (part(8), part(9))
}

/// Five bars on each session, except those for which `lacks` returns true (by symbol and number of the session in its
/// year) until the server has everything.
fn lacking(lacks: fn(&str, usize) -> bool) -> (Server, Arc<AtomicBool>) {
    let is_whole = Arc::new(AtomicBool::new(false));
    let whole = Arc::clone(&is_whole);
    let server = Server::start(move |request| {
        let ((from, to), symbol) = (asked_days(request), request.symbol());
        let year = |day: Date| Window::new(date(day.year(), 1, 1), day).unwrap();
        let is_there = |day: &Date| {
            whole.load(Ordering::SeqCst) || !lacks(symbol, calendar::sessions(year(*day)).count())
        };
        let days = calendar::sessions(Window::new(from, to).unwrap()).map(calendar::Session::date);
        let bars: Vec<_> = days.filter(is_there).flat_map(|day| minutes(day, 5)).collect();
        Reply::json(200, page(symbol, &bars, None))
    });
    (server, is_whole)
}

/// A directory with the bars of 2023 and half of 2024.
fn started(server: &Server, tickers: &str) -> Grab {
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    grab.run(&format!("start --windows 2023-01..2024-06 --tickers {tickers}")).exits(0);
    grab
}

/// The estimated sessions, windows and requests.
fn estimate(report: &Value) -> [u64; 3] {
    ["sessions", "windows", "requests"].map(|field| report["estimate"][field].as_u64().unwrap())
}

/// The total and pending tasks of the user, and of repairs.
fn tasks(report: &Value) -> [u64; 4] {
    let number = |kind: &str, field: &str| report[kind][field].as_u64().unwrap();
    [
        number("tasks", "total"),
        number("tasks", "pending"),
        number("repairs", "total"),
        number("repairs", "pending"),
    ]
}

/// Each sixth session.
fn sixth(_: &str, session: usize) -> bool {
    session % 6 == 3
}

#[test]
fn holes_that_fit_a_page_are_one_request_and_no_task_of_the_users() {
    let (server, is_whole) = lacking(sixth);
    let grab = started(&server, "A");
    assert_eq!(grab.run("verify --json").exits(13).json()["gaps"], 63);
    let planned = grab.run("repair --dry-run --json").exits(0).json();
    assert_eq!((estimate(&planned), &planned["mended"]), ([63, 1, 1], &63.into()));
    let text = grab.run("repair --dry-run --rate 5/min").exits(0).stdout;
    let said =
        "to request again: 63 sessions in 1 window, about 1 request, 12s; nothing was requested or changed";
    assert!(text.starts_with(said), "{text}");

    is_whole.store(true, Ordering::SeqCst);
    let repaired = grab.run("repair --json").exits(0).json();
    assert_eq!(
        (&repaired["requests"], &repaired["bars"], &repaired["mended"]),
        (&1.into(), &315.into(), &63.into())
    );
    assert_eq!(
        repaired["asked_again"],
        json!([{"ticker": "A", "window": {"from": "2023-01-05", "to": "2024-06-27"}}])
    );
    assert_eq!(tasks(&repaired), [1, 0, 1, 0]);
    let status = grab.run("status --tickers --json").exits(0).json();
    assert_eq!((tasks(&status), &status["items"].as_array().unwrap().len()), ([1, 0, 1, 0], &1));
    assert_eq!(status["repair_items"], json!([]));
    let undisturbed = started(&server, "A");
    assert!(read_store(&grab.data_dir()) == read_store(&undisturbed.data_dir()));
    grab.run("verify --deep").exits(0);
}

#[test]
fn what_the_server_has_not_is_known_of_each_session_of_a_request() {
    let (server, _) = lacking(sixth);
    let grab = started(&server, "A");
    assert_eq!(grab.run("repair --json").exits(0).json()["requests"], 1);
    let report = grab.run("verify --json").exits(0).json();
    assert_eq!((&report["gaps"], &report["notices"]), (&0.into(), &63.into()));
    for _ in 0..2 {
        let again = grab.run("repair --json").exits(0).json();
        assert_eq!((&again["requests"], tasks(&again)), (&0.into(), [1, 0, 1, 0]));
    }
    // The user's requests are recorded; those of a repair are not taken for them.
    let wider = grab.run("start --windows 2022-12..2024-07 --tickers A --plan-only --json").exits(0).json();
    assert_eq!(tasks(&wider), [3, 2, 1, 0]);
}

#[test]
fn a_repair_that_is_interrupted_goes_on_with_resume_or_by_itself() {
    for command in ["resume", "repair"] {
        let (server, is_whole) = lacking(sixth);
        let grab = started(&server, "A,B,C");
        is_whole.store(true, Ordering::SeqCst);
        let cut = grab.run("repair --max-requests 1 --json").exits(10).json();
        assert_eq!((tasks(&cut), &cut["outcome"]), ([3, 0, 3, 2], &"incomplete".into()));
        let hint = cut["hint"].as_str().unwrap();
        assert!(hint.contains("resume") && hint.contains("2 repairs"), "{hint}");
        let status = grab.run("status --tickers --json").exits(0).json();
        assert_eq!((tasks(&status), status["items"].as_array().unwrap().len()), ([3, 0, 3, 2], 3));
        assert_eq!(status["repair_items"].as_array().unwrap().len(), 2);
        let text = grab.run("status --tickers").exits(0).stdout;
        assert!(text.contains("  repairs   2: 2 pending") && text.matches("(repair)").count() == 2, "{text}");
        let rest = grab.run(&format!("{command} --json")).exits(0).json();
        assert_eq!((&rest["requests"], tasks(&rest)), (&2.into(), [3, 0, 3, 0]), "{command}");
        grab.run("verify --deep").exits(0);
    }
}

#[test]
fn months_that_are_lost_are_one_request_too() {
    let (server, _) = lacking(|_, _| false);
    let grab = started(&server, "A,B");
    let whole = read_store(&grab.data_dir());
    for month in ["02", "03", "07", "11"] {
        std::fs::remove_file(
            grab.data_dir().join(format!("bars_1m/ticker=A/year=2023/month={month}/bars.parquet")),
        )
        .unwrap();
    }
    let planned = grab.run("repair --dry-run --json").exits(0).json();
    assert_eq!(estimate(&planned), [83, 1, 1]);
    let repaired = grab.run("repair --json").exits(0).json();
    assert_eq!((&repaired["requests"], tasks(&repaired)), (&1.into(), [2, 0, 1, 0]));
    assert!(read_store(&grab.data_dir()) == whole);
    grab.run("verify --deep").exits(0);
}

#[test]
fn sessions_that_were_never_asked_for_are_not_asked_for_on_the_way() {
    let (server, is_whole) = lacking(|_, session| session == 10);
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    grab.run("start --windows 2022-01..2022-02,2024-01..2024-02 --tickers A").exits(0);
    is_whole.store(true, Ordering::SeqCst);
    let repaired = grab.run("repair --json").exits(0).json();
    assert_eq!((&repaired["requests"], &repaired["bars"]), (&2.into(), &10.into()));
}

#[test]
fn holes_that_an_update_asks_for_are_no_tasks_of_the_users_either() {
    let (server, is_whole) = lacking(sixth);
    let grab = started(&server, "A").env("GRAB_NOW", "2024-07-02T02:00:00Z");
    is_whole.store(true, Ordering::SeqCst);
    let updated = grab.run("update --json").exits(0).json();
    // The task of the history, and the one of its end.
    assert_eq!((tasks(&updated), &updated["requests"]), ([2, 0, 1, 0], &2.into()));
    grab.run("verify --deep").exits(0);
}
