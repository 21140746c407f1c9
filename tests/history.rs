//! A plan whose history does not reach back far enough: what it serves is fetched, the rest is `not_entitled` day by
//! day and blocks nothing.

mod budget;
mod services;
mod silence;
mod words;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use grab_core::failpoint::CrashPoint;
use grab_model::{
    Window,
    calendar::{self, Session},
    new_york,
};
use grab_sandbox::SandboxOptions;
use jiff::civil::{Date, date};
use serde_json::Value;

use crate::support::{Grab, Ran, Reply, Request, Server, Serving, bars_of, page, read_store};

/// The clock of these tests: a Monday, after the last session is finished.
const NOW: &str = "2026-11-30T22:00:00-05:00";

/// The beginning of a history of two years, a Sunday, and the first session in it.
const FLOOR: Date = date(2024, 12, 1);
const FIRST_SERVED: Date = date(2024, 12, 2);

const REFUSAL: &str = r#"{"status":"NOT_AUTHORIZED","request_id":"r","message":"Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing"}"#;

fn sessions(from: Date, to: Date) -> Vec<Date> {
    calendar::sessions(Window::new(from, to).unwrap()).map(Session::date).collect()
}

fn count(from: Date, to: Date) -> usize {
    sessions(from, to).len()
}

/// The window of a request for bars.
fn asked(request: &Request) -> Window {
    let to = request.target.split('/').nth(9).unwrap().split('?').next().unwrap();
    let from = request.from().parse().unwrap_or_else(|_| {
        let ms = request.from().parse().unwrap();
        new_york::date_of(ms).unwrap()
    });
    Window::new(from, to.parse().unwrap()).unwrap()
}

/// 30 bars on each session from a symbol's first day on.
fn bars_from(symbol: &str, window: Window, first: Date) -> Reply {
    let days = Window::new(window.from().max(first), window.to());
    let days = days.map_or_else(Vec::new, |window| sessions(window.from(), window.to()));
    Reply::json(200, page(symbol, &bars_of(&days), None))
}

/// A service that refuses what begins before its history.
fn strict(floor: impl Fn() -> Date + Send + Sync + 'static) -> Server {
    Server::start_with_control(move |request| {
        let window = asked(request);
        if window.from() < floor() {
            return Reply::json(403, REFUSAL);
        }
        bars_from(request.symbol(), window, Date::MIN)
    })
}

/// A service that omits the days before its history without an error. `YOUNG` was listed in June 2025.
fn clipping(floor: Date) -> Server {
    Server::start_with_control(move |request| {
        let listed = if request.symbol() == "YOUNG" { date(2025, 6, 2) } else { Date::MIN };
        bars_from(request.symbol(), asked(request), floor.max(listed))
    })
}

fn grab(server: &Server) -> Grab {
    Grab::with_server(server.base_url()).env("GRAB_NOW", NOW)
}

/// The New York days with stored bars of a symbol.
fn held(grab: &Grab, symbol: &str) -> Vec<Date> {
    let bars = read_store(&grab.data_dir()).remove(symbol).unwrap_or_default();
    let mut days: Vec<_> = bars.iter().filter_map(|bar| new_york::date_of(bar.timestamp)).collect();
    days.dedup();
    days
}

fn days_not_entitled(report: &Value) -> usize {
    usize::try_from(report["days_not_entitled"].as_u64().unwrap()).unwrap()
}

#[test]
fn a_window_that_begins_too_early_is_fetched_as_far_as_the_plan_goes() {
    let server = strict(|| FLOOR);
    let grab = grab(&server);
    let report = grab.run("start --json --windows 2024-06..2025-01 --tickers A,B").exits(11).json();
    let beyond = count(date(2024, 6, 1), date(2024, 11, 30));
    assert_eq!(days_not_entitled(&report), 2 * beyond, "sessions, summed over the symbols");
    assert_eq!((&report["tasks"]["total"], &report["tasks"]["done"]), (&2.into(), &2.into()));
    assert_eq!(report["first_served_day"], "2024-12-02");
    for symbol in ["A", "B"] {
        assert_eq!(held(&grab, symbol), sessions(FIRST_SERVED, date(2025, 1, 31)));
    }
    let status = grab.run("status --json --tickers").json();
    assert_eq!((days_not_entitled(&status), &status["first_served_day"]), (2 * beyond, &"2024-12-02".into()));
    assert_eq!(status["plan_history"][0]["shown_by"], "refusal");
    assert!(status["plan_history"][0]["words"].as_str().unwrap().contains("https://polygon.io/pricing"));
    assert_eq!(
        grab.tasks(),
        ["A 2024-12-02 done", "B 2024-12-02 done", "A 2024-06-01 not_entitled", "B 2024-06-01 not_entitled"]
    );
    let text = grab.run("status").stdout;
    assert!(text.contains("plan      first day that it serves: 2024-12-02 (127.0.0.1:"), "{text}");
    assert!(text.contains(", found on 2026-11-30)"), "{text}");
    assert!(text.contains("the service says: Your plan doesn't include"), "{text}");
}

#[test]
fn the_beginning_is_found_once_for_all_symbols_with_few_requests() {
    let server = strict(|| FLOOR);
    let grab = grab(&server).env("GRAB_CONCURRENCY", "8");
    let tickers: Vec<_> = (0..40).map(|number| format!("T{number}")).collect();
    let start = format!("start --json --windows 2024-06..2025-01 --tickers {}", tickers.join(","));
    let report = grab.run(&start).exits(11).json();
    assert_eq!(report["tasks"]["done"], 40);
    // One page for each; at most one refusal per worker, and three requests for single days.
    let requests = report["requests"].as_u64().unwrap();
    assert!((44..=51).contains(&requests), "{requests}");
    // Windows that begin too early are cut before the first request: one request checks if the plan serves more now.
    let more: Vec<_> = (40..80).map(|number| format!("T{number}")).collect();
    let start = |windows| format!("start --json --windows {windows} --tickers {}", more.join(","));
    let report = grab.run(&start("2023")).exits(11).json();
    assert_eq!((&report["requests"], &report["tasks"]["total"]), (&1.into(), &40.into()), "{report}");
    let report = grab.run(&start("2023-06..2025-01")).exits(11).json();
    assert_eq!((&report["requests"], &report["tasks"]["done"]), (&41.into(), &80.into()), "{report}");
}

/// A regression: the narrower, correct request was taken for recorded.
#[test]
fn refused_days_are_never_in_the_way_of_a_later_request() {
    let server = strict(|| FLOOR);
    let grab = grab(&server);
    let start =
        |windows: &str| grab.run(&format!("start --json --windows {windows} --tickers A")).exits(11).json();
    // Wholly before the history.
    let report = start("2024-01..2024-02");
    assert_eq!(
        (days_not_entitled(&report), &report["tasks"]["total"]),
        (count(date(2024, 1, 1), date(2024, 2, 29)), &0.into())
    );
    // Narrower, and within.
    start("2025-03");
    assert_eq!(held(&grab, "A"), sessions(date(2025, 3, 1), date(2025, 3, 31)));
    // Wider on both sides.
    let report = start("2023-11..2025-04");
    assert_eq!(days_not_entitled(&report), count(date(2023, 11, 1), date(2024, 11, 30)));
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 4, 30)));
    // The same start again: one request, and no day twice.
    let again = grab.run("start --windows 2023-11..2025-04 --tickers A").exits(11);
    assert!(
        again.stderr.contains("everything requested is recorded already, except days that the plan"),
        "{again:?}"
    );
    assert!(again.stdout.contains(" sessions of all symbols, before 2024-12-02: not_entitled"), "{again:?}");
    assert_eq!(
        days_not_entitled(&grab.run("status --json").json()),
        count(date(2023, 11, 1), date(2024, 11, 30))
    );
    let resumed = grab.run("resume --json").exits(11).json();
    assert_eq!(resumed["requests"], 0, "{resumed}");
}

/// What an older version has recorded: the whole window, refused.
#[test]
fn a_directory_that_fell_into_the_trap_is_healed_by_the_next_run() {
    let server = strict(|| FLOOR);
    let grab = grab(&server);
    grab.run("start --plan-only --windows 2024-06..2025-01 --tickers A").exits(0);
    let manifest = grab.manifest();
    manifest
        .execute_batch(
            "UPDATE tasks SET state = 'not_entitled', last_error = 'the plan does not include this: Your plan doesn''t include this data timeframe.';
             ALTER TABLE plan DROP COLUMN is_all_asked;
             DROP TABLE plan_history; DROP TABLE not_entitled; PRAGMA user_version = 15;",
        )
        .unwrap();
    drop(manifest);
    let report = grab.run("start --json --windows 2025-01 --tickers A").exits(11).json();
    assert_eq!(report["tasks"]["done"], 1, "{report}");
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 1, 31)));
    assert_eq!(days_not_entitled(&report), count(date(2024, 6, 1), date(2024, 11, 30)));
}

#[test]
fn verify_repair_and_update_leave_refused_days_alone() {
    let server = strict(|| FLOOR);
    let grab = grab(&server);
    grab.run("start --windows 2024-06..2026-11 --tickers A").exits(11);
    let verified = grab.run("verify --json --deep --missing missing.csv").exits(0).json();
    let expected = count(FIRST_SERVED, date(2026, 11, 30));
    assert_eq!(verified["coverage"]["expected_sessions"], expected);
    assert_eq!(verified["coverage"]["ratio"], 1.0);
    let missing = std::fs::read_to_string(grab.dir().join("missing.csv")).unwrap();
    assert_eq!(missing.lines().count(), 1, "{missing}");
    let asked = server.requests().len();
    grab.run("repair --json").exits(0);
    assert_eq!(server.requests().len(), asked, "nothing is missing");
    let next = Grab::command(&grab, "update --json").env("GRAB_NOW", "2026-12-01T22:00:00-05:00").output();
    let report = Ran::from(next.unwrap()).exits(0).json();
    assert_eq!(days_not_entitled(&report), count(date(2024, 6, 1), date(2024, 11, 30)));
    // A spec that wants them finds nothing missing either.
    let spec = "windows = [\"2024-06..2026-11\"]\n[universe]\ntickers = [\"A\"]\n";
    std::fs::write(grab.dir().join("a.toml"), spec).unwrap();
    grab.run_with("GRAB_NOW", "2026-12-01T22:00:00-05:00", "verify --json --spec a.toml").exits(0);
}

#[test]
fn a_plan_that_serves_more_is_noticed_with_one_question() {
    let floor = Arc::new(AtomicI64::new(0));
    let days = |back: i64| FLOOR.saturating_sub(jiff::ToSpan::days(back));
    let server = {
        let floor = Arc::clone(&floor);
        strict(move || days(floor.load(Ordering::SeqCst)))
    };
    let grab = grab(&server);
    grab.run("start --windows 2023-06..2025-01 --tickers A,B,C").exits(11);
    let unchanged = grab.run("resume --json --retry-failed").exits(11).json();
    assert_eq!(unchanged["requests"], 1, "{unchanged}");
    // A plan with a longer history: it begins within the requested window.
    floor.store(200, Ordering::SeqCst);
    let report = grab.run("resume --json --retry-failed").exits(11).json();
    let first = sessions(days(200), FLOOR)[0];
    assert_eq!(report["first_served_day"], first.to_string());
    for symbol in ["A", "B", "C"] {
        assert_eq!(held(&grab, symbol), sessions(first, date(2025, 1, 31)), "{symbol}");
    }
    assert_eq!(days_not_entitled(&report), 3 * sessions(date(2023, 6, 1), first).len() - 3);
    // A plan with the whole history: a start notices it as well, and nothing is left to report.
    floor.store(2_000, Ordering::SeqCst);
    let report = grab.run("start --json --windows 2023-06..2025-01 --tickers A,B,C").exits(0).json();
    assert_eq!((days_not_entitled(&report), &report["tasks"]["pending"]), (0, &0.into()));
    assert_eq!(held(&grab, "B"), sessions(date(2023, 6, 1), date(2025, 1, 31)));
    assert_eq!(grab.run("status --json").json()["first_served_day"], Value::Null);
}

#[test]
fn a_history_that_moves_on_day_by_day_keeps_what_was_served() {
    let floor = Arc::new(AtomicI64::new(0));
    let begins = |day: i64| FLOOR.saturating_add(jiff::ToSpan::days(day));
    let server = {
        let floor = Arc::clone(&floor);
        strict(move || begins(floor.load(Ordering::SeqCst)))
    };
    let grab = grab(&server);
    grab.run("start --windows 2024-06..2025-03 --tickers A").exits(11);
    // Two months later another symbol is requested in the same window.
    floor.store(61, Ordering::SeqCst);
    let later = |arguments: &str| {
        let ran = grab.command(arguments).env("GRAB_NOW", "2027-01-30T22:00:00-05:00").output();
        Ran::from(ran.unwrap()).exits(11).json()
    };
    let report = later("start --json --windows 2024-06..2025-03 --tickers A,B");
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 3, 31)), "what was served stays");
    assert_eq!(held(&grab, "B"), sessions(date(2025, 1, 31), date(2025, 3, 31)));
    assert_eq!(report["first_served_day"], "2025-01-31");
    // Is the last refused day served now? Then a refused page, three requests for days around the weekend, the page.
    assert_eq!(report["requests"], 6, "{report}");
    let beyond = count(date(2024, 6, 1), date(2024, 11, 30)) + count(date(2024, 6, 1), date(2025, 1, 30));
    assert_eq!(days_not_entitled(&report), beyond);
    let verified = grab.run("verify --json").exits(0).json();
    let expected = count(FIRST_SERVED, date(2025, 3, 31)) + count(date(2025, 1, 31), date(2025, 3, 31));
    assert_eq!(verified["coverage"]["present_sessions"], expected);
}

#[test]
fn a_refusal_that_is_not_about_time_stays_with_its_task() {
    let server = Server::start_with_control(|request| match request.symbol() {
        "OTHER" => Reply::json(
            403,
            r#"{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"}"#,
        ),
        // Refused for its time, and on every day.
        "NEVER" => Reply::json(403, REFUSAL),
        symbol => bars_from(symbol, asked(request), Date::MIN),
    });
    let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
    let report = grab.run("start --json --windows 2024-06..2025-01 --tickers NEVER,OTHER,A").exits(11).json();
    let tasks = &report["tasks"];
    assert_eq!(
        (&tasks["not_entitled"], &tasks["done"], days_not_entitled(&report)),
        (&2.into(), &1.into(), 0)
    );
    let of = |symbol: &str| server.requests().iter().filter(|request| request.symbol() == symbol).count();
    assert_eq!((of("OTHER"), of("A")), (2, 1), "other words are worth one question: is it served at all?");
    assert!(of("NEVER") <= 6, "{} questions", of("NEVER"));
    assert_eq!(
        grab.run("start --json --windows 2024-06..2025-01 --tickers OTHER").exits(11).json()["requests"],
        0
    );
}

/// In the evening a plan with end-of-day data may refuse the day itself with the same message.
#[test]
fn a_window_within_the_history_that_ends_too_early_waits() {
    let today = date(2026, 11, 30);
    let is_day_over = Arc::new(AtomicI64::new(0));
    let server = {
        let is_day_over = Arc::clone(&is_day_over);
        Server::start_with_control(move |request| {
            let window = asked(request);
            if window.from() < FLOOR || window.to() >= today && is_day_over.load(Ordering::SeqCst) == 0 {
                return Reply::json(403, REFUSAL);
            }
            bars_from(request.symbol(), window, Date::MIN)
        })
    };
    let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
    let report = grab.run("start --json --windows 2026-11 --tickers A,B,C").exits(10).json();
    assert_eq!((&report["tasks"]["pending"], days_not_entitled(&report)), (&3.into(), 0));
    let requests = report["requests"].as_u64().unwrap();
    assert!(requests <= 6, "three pages, the day before the last, the first and the last one: {requests}");
    is_day_over.store(1, Ordering::SeqCst);
    grab.run("resume").exits(0);
    assert_eq!(held(&grab, "C"), sessions(date(2026, 11, 1), today));
}

#[test]
fn a_dry_run_shows_the_days_that_a_known_plan_does_not_serve() {
    let server = strict(|| FLOOR);
    let grab = grab(&server);
    grab.run("start --windows 2024-11..2024-12 --tickers A").exits(11);
    let asked = server.requests().len();
    let planned = grab.run("start --json --dry-run --windows 2024-10..2024-12 --tickers B").exits(0).json();
    assert_eq!(days_not_entitled(&planned), count(date(2024, 10, 1), date(2024, 11, 30)));
    assert_eq!(planned["first_served_day"], "2024-12-02");
    assert_eq!(planned["plan"][0]["window"]["from"], "2024-12-02");
    assert_eq!(planned["estimate"]["sessions"], count(FIRST_SERVED, date(2024, 12, 31)));
    let text = grab.run("start --dry-run --windows 2024-10..2024-12 --tickers B").stdout;
    assert!(text.contains("before 2024-12-02, are not in the plan: not_entitled, not requested"), "{text}");
    assert_eq!(server.requests().len(), asked, "no request was sent");
}

#[test]
fn an_answer_that_is_clipped_without_a_word_is_not_taken_for_empty() {
    let server = clipping(FLOOR);
    let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
    // One whole window before the history, one over its beginning, and a symbol that was listed later.
    let start = "start --json --windows 2024-03,2024-06..2025-07 --tickers A,YOUNG";
    let report = grab.run(start).exits(11).json();
    assert_eq!(report["first_served_day"], "2024-12-02");
    let beyond = count(date(2024, 3, 1), date(2024, 3, 31)) + count(date(2024, 6, 1), date(2024, 11, 30));
    assert_eq!(days_not_entitled(&report), 2 * beyond);
    assert_eq!((&report["tasks"]["done"], &report["tasks"]["empty"]), (&2.into(), &0.into()));
    assert_eq!(grab.run("status --json").json()["plan_history"][0]["shown_by"], "clipping");
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 7, 31)));
    assert_eq!(held(&grab, "YOUNG"), sessions(date(2025, 6, 2), date(2025, 7, 31)));
    let questions = server.requests().iter().filter(|request| request.control_day().is_some()).count();
    assert!(questions <= 14, "{questions}");
    // The next run knows the result: it sends only one request about it.
    let asked = server.requests().len();
    grab.run("start --windows 2024-06..2025-07 --tickers C").exits(11);
    assert_eq!(server.requests().len(), asked + 2, "whether the plan serves more, and the page");
}

#[test]
fn a_young_listing_is_no_clipped_answer() {
    let server = clipping(Date::MIN);
    let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
    let report =
        grab.run("start --json --windows 2024-03,2024-06..2025-07 --tickers YOUNG,A").exits(0).json();
    assert_eq!((&report["tasks"]["empty"], days_not_entitled(&report)), (&1.into(), 0));
    assert_eq!(report["requests"], 5, "four pages, and one question about the market on the first day");
    assert_eq!(grab.run("status --json").json()["first_served_day"], Value::Null);
    // The same with a server that answers for the control symbol besides its script.
    let server = Server::start(|request| bars_from(request.symbol(), asked(request), date(2025, 6, 2)));
    let grab = self::grab(&server).env("GRAB_CONCURRENCY", "1");
    let report = grab.run("start --json --windows 2025-05..2025-07 --tickers A,B,C").exits(0).json();
    assert_eq!((&report["requests"], server.requests().len(), server.controls().len()), (&4.into(), 3, 1));
}

/// A source that does not know the control symbol decides nothing: the days are empty by its response alone.
#[test]
fn where_nothing_tells_a_clipped_answer_from_a_young_symbol_nothing_is_claimed() {
    for unknown in [
        |_: &Request| Reply::json(200, page("SPY", &[], None)),
        |_: &Request| Reply::json(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#),
        |_: &Request| Reply::json(500, "{}"),
        |_: &Request| Reply::json(200, page("OTHER", &[], None)),
    ] {
        let server = Server::start_with_control(move |request| {
            if request.symbol() == "SPY" {
                unknown(request)
            } else {
                bars_from(request.symbol(), asked(request), FLOOR)
            }
        });
        let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
        let report = grab.run("start --json --windows 2024-06..2025-01 --tickers A,B").exits(0).json();
        assert_eq!(days_not_entitled(&report), 0);
        assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 1, 31)));
        let controls = server.requests().iter().filter(|request| request.symbol() == "SPY").count();
        assert!(controls <= 2, "{controls}");
        let verified = grab.run("verify --json").json();
        let unexplained = 2 * count(date(2024, 6, 1), date(2024, 11, 30));
        assert_eq!(verified["coverage"]["unexplained_sessions"], unexplained);
    }
}

#[test]
fn the_sandbox_serves_plans_of_both_kinds() {
    for clip_history in [false, true] {
        let options = SandboxOptions {
            history_from: Some(FLOOR),
            clip_history,
            now: Arc::new(|| NOW.parse::<jiff::Timestamp>().unwrap().as_millisecond()),
            ..SandboxOptions::default()
        };
        let sandbox = Serving::start(options);
        let grab = Grab::with_server(sandbox.base_url()).env("GRAB_NOW", NOW);
        let report = grab.run("start --json --windows 2024-10..2024-12 --tickers AAPL,RDDT").exits(11).json();
        assert_eq!(
            days_not_entitled(&report),
            2 * count(date(2024, 10, 1), date(2024, 11, 30)),
            "{clip_history}"
        );
        assert_eq!(held(&grab, "AAPL"), sessions(FIRST_SERVED, date(2024, 12, 31)));
        let verified = grab.run("verify --json --deep").exits(0).json();
        assert_eq!(verified["coverage"]["unexplained_sessions"], 0);
    }
}

/// A traversal that was paused until the plan's history had moved past its cursor.
#[test]
fn a_task_that_history_has_overtaken_keeps_its_bars_and_goes_on_where_history_begins() {
    let overtaken = Arc::new(AtomicI64::new(0));
    let server = {
        let overtaken = Arc::clone(&overtaken);
        Server::start_with_control(move |request| {
            let window = asked(request);
            let floor = if overtaken.load(Ordering::SeqCst) == 0 { FLOOR } else { date(2025, 2, 1) };
            if window.from() < floor {
                return Reply::json(403, REFUSAL);
            }
            let days = sessions(window.from(), window.to());
            let (page_days, more) = days.split_at(days.len().min(20));
            let host = request.header("host").unwrap();
            let next = more.first().map(|day| {
                let (from, to) = (new_york::day_start_ms(*day), window.to());
                format!("http://{host}/v2/aggs/ticker/A/range/1/minute/{from}/{to}?cursor=x")
            });
            Reply::json(200, page("A", &bars_of(page_days), next.as_deref()))
        })
    };
    let grab = grab(&server);
    grab.run("start --windows 2024-12..2025-03 --tickers A --max-requests 1").exits(10);
    let before = held(&grab, "A");
    assert_eq!(before.len(), 20);
    overtaken.store(1, Ordering::SeqCst);
    let report = grab.run("resume --json").exits(11).json();
    let last = *before.last().unwrap();
    let expected: Vec<_> = before.into_iter().chain(sessions(date(2025, 2, 3), date(2025, 3, 31))).collect();
    assert_eq!(held(&grab, "A"), expected);
    assert_eq!(days_not_entitled(&report), sessions(last, date(2025, 1, 31)).len() - 1);
    assert_eq!(report["tasks"]["done"], 2);
}

#[test]
fn an_outage_and_a_server_in_trouble_in_the_middle_of_the_search_only_delay_it() {
    let calls = AtomicI64::new(0);
    let server = Server::start_with_control(move |request| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        match call {
            1 => return Reply::reset(),
            2 => return Reply::json(500, "{}"),
            4 => return Reply::json(429, "{}").header("retry-after", "0"),
            _ => {}
        }
        let window = asked(request);
        if window.from() < FLOOR {
            Reply::json(403, REFUSAL)
        } else {
            bars_from(request.symbol(), window, Date::MIN)
        }
    });
    let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
    let report = grab.run("start --json --windows 2024-11..2024-12 --tickers A").exits(11).json();
    assert_eq!(days_not_entitled(&report), count(date(2024, 11, 1), date(2024, 11, 30)));
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2024, 12, 31)));
}

/// After a crash at any step of the manifest, the next run ends with the same days and the same record.
fn dies_at_each_step(clips: bool) {
    for step in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
        for hit in 3..60 {
            let server = if clips { clipping(FLOOR) } else { strict(|| FLOOR) };
            let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
            let start = "start --windows 2024-03,2024-11..2024-12 --tickers A,B";
            let failpoint = format!("{}=kill@{hit}", step.as_str());
            let mut command = grab.command(start);
            let ran = Ran::from(command.env("GRAB_FAILPOINT", &failpoint).output().unwrap());
            if ran.code == 11 {
                break;
            }
            let story = format!("{failpoint}, clips: {clips}");
            assert_eq!(ran.code, -1, "{story}");
            grab.run(start).exits(11);
            let status = grab.run("status --json").json();
            let beyond =
                count(date(2024, 3, 1), date(2024, 3, 31)) + count(date(2024, 11, 1), date(2024, 11, 30));
            assert_eq!(days_not_entitled(&status), 2 * beyond, "{story}");
            let tasks = &status["tasks"];
            assert_eq!((&tasks["total"], &tasks["done"]), (&2.into(), &2.into()), "{story}: {status}");
            for symbol in ["A", "B"] {
                assert_eq!(held(&grab, symbol), sessions(FIRST_SERVED, date(2024, 12, 31)), "{story}");
            }
        }
    }
}

#[test]
fn dying_in_the_middle_of_the_search_loses_nothing() {
    dies_at_each_step(false);
}

#[test]
fn dying_in_the_middle_of_a_search_without_a_word_loses_nothing() {
    dies_at_each_step(true);
}

/// A window of the last two years may begin a few sessions before the plan's history.
#[test]
fn a_few_days_that_are_clipped_are_noticed_where_a_plan_begins_and_where_answers_are_known_to_be_clipped() {
    let server = clipping(FLOOR);
    let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
    let report = grab.run("start --json --windows 2024-11-26..2025-01 --tickers A").exits(11).json();
    assert_eq!(days_not_entitled(&report), count(date(2024, 11, 26), date(2024, 11, 30)));
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 1, 31)));
    // Four days later its history begins three sessions later.
    let later = clipping(date(2024, 12, 5));
    let host = later.base_url().to_owned();
    let known = grab.manifest();
    known.execute("UPDATE plan_history SET service = ?", [host.trim_start_matches("http://")]).unwrap();
    drop(known);
    let ran = grab.command("start --json --windows 2024-12 --tickers B");
    let ran =
        { ran }.env("GRAB_NOW", "2026-12-04T22:00:00-05:00").env("MASSIVE_API_BASE_URL", &host).output();
    let report = Ran::from(ran.unwrap()).exits(11).json();
    assert_eq!(held(&grab, "B"), sessions(date(2024, 12, 5), date(2024, 12, 31)));
    let beyond = count(date(2024, 11, 26), date(2024, 11, 30)) + 3;
    assert_eq!((days_not_entitled(&report), &report["first_served_day"]), (beyond, &"2024-12-05".into()));
}

/// A month that begins on the Sunday before the first day of the history is refused as a whole.
#[test]
fn a_window_that_begins_on_the_weekend_before_the_history_is_fetched() {
    let server = strict(|| FIRST_SERVED);
    let grab = grab(&server).env("GRAB_CONCURRENCY", "1");
    let report = grab.run("start --json --windows 2024-12 --tickers A,B").exits(0).json();
    assert_eq!((days_not_entitled(&report), &report["tasks"]["done"]), (0, &2.into()), "{report}");
    let all = sessions(FIRST_SERVED, date(2024, 12, 31));
    assert_eq!((held(&grab, "A"), held(&grab, "B")), (all.clone(), all));
    assert_eq!(grab.tasks(), ["A 2024-12-02 done", "B 2024-12-02 done"]);
    let asked = server.requests().len();
    assert!(asked <= 6, "{asked}");
    // The known beginning needs no request, also for a window from the Saturday.
    grab.run("start --windows 2024-11-30..2024-12-10 --tickers C").exits(0);
    grab.run("start --windows 2024-12 --tickers A,B").exits(0);
    assert_eq!(server.requests().len(), asked + 1);
    grab.run("verify --deep").exits(0);
}
