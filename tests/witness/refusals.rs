//! A source that refuses, is not there, or sends wrong data about the market.

use std::{
    io::Write,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::support::wait_until;

/// Answers bar requests as always; `market` answers for the market's days.
fn serving(market: impl Fn(Date) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.market_day() {
        Some(day) => market(day),
        None => answer(request),
    })
}

fn good(day: Date) -> Reply {
    Reply::json(200, market_page(day, &traded(day)))
}

/// The report of a run with these settings, and its exit code.
fn verified(server: &Server, flags: &str) -> (Value, i32) {
    let ran = stored(server).run(&format!("{VERIFY} --json {flags}"));
    (ran.json(), ran.code)
}

#[test]
fn before_the_plans_history_one_refusal_is_enough() {
    let server = serving(|day| {
        let refusal = r#"{"status":"NOT_AUTHORIZED","message":"upgrade your plan"}"#;
        if day < january(5) { Reply::json(403, refusal) } else { good(day) }
    });
    let grab = stored(&server);
    let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!(asked(&server), [4, 9, 8, 5], "nothing before the 4th");
    assert_eq!((witness(&report), &report["witness"]["without"]["not_entitled"]), ([3, 3, 4], &3.into()));
    assert_eq!(report["witness"]["error"], Value::Null);
    assert!(grab.run(VERIFY).exits(13).stdout.contains("1 request; 3 not in the plan"));
    assert_eq!(asked(&server).len(), 5, "a later run asks once more");
}

#[test]
fn a_plan_without_the_market_is_asked_three_times_and_a_late_day_is_no_beginning() {
    let refusal = || Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"upgrade your plan"}"#);
    let server = serving(move |_| refusal());
    let (report, code) = verified(&server, "");
    // Three refusals and no answer: days before the latest of them are not requested.
    assert_eq!(
        (code, asked(&server), &report["witness"]["without"]["not_entitled"]),
        (13, vec![4, 9, 8], &6.into())
    );
    let server = serving(move |day| if day == january(9) { refusal() } else { good(day) });
    let (report, _) = verified(&server, "");
    assert_eq!((witness(&report), &report["witness"]["without"]["not_entitled"]), ([5, 5, 6], &1.into()));
}

#[test]
fn days_that_are_not_served_or_not_believed_have_no_witness() {
    let server = serving(|day| match day.day() {
        9 => Reply::json(403, r#"{"status":"NOT_AUTHORIZED","message":"not before end of day"}"#),
        8 => Reply::json(404, r#"{"status":"NOT_FOUND","message":"no"}"#),
        4 => Reply::json(200, market_page(day, &[])),
        3 => Reply::json(400, r#"{"status":"ERROR","error":"no"}"#),
        _ => good(day),
    });
    let (report, code) = verified(&server, "--max-attempts 8");
    let without = &report["witness"]["without"];
    let count = |reason: &str| without[reason].as_u64().unwrap();
    assert_eq!(
        ["not_yet", "not_found", "nobody_traded", "failed", "not_entitled"].map(count),
        [1, 1, 1, 1, 0]
    );
    // Three requests for the day with the 400, and the control request before it counts.
    assert_eq!((code, witness(&report)), (13, [2, 2, 9]));
    assert!(findings(&report).contains(&"missing_session A 2024-01-04".to_owned()), "nobody is no witness");
}

/// A body that claims to be far more than it is.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&vec![b' '; 65 << 20]).unwrap();
    bomb.finish().unwrap()
});

/// Impossible responses.
const LIES: [fn(Date) -> Reply; 11] = [
    |day| Reply::json(200, market_page(day.tomorrow().unwrap(), &traded(day))),
    |day| Reply::json(200, market_page(day, &traded(day)).replace("\"adjusted\":false", "\"adjusted\":true")),
    |day| Reply::json(200, market_page(day, &traded(day)).replace("\"adjusted\":false,", "")),
    |day| Reply::json(200, market_page(day, &traded(day)).replace("resultsCount\":", "resultsCount\":1")),
    |day| Reply::json(200, market_page(day, &[("A", 1.0), ("A", 1.0)])),
    |day| Reply::json(200, market_page(day, &[("A", -1.0)])),
    |day| Reply::json(200, market_page(day, &traded(day)).replace("\"OK\"", "\"ERROR\"")),
    |_| Reply::body(200, "text/html", b"<html>sign in</html>".to_vec()),
    |_| Reply::json(200, "[".repeat(200_000)),
    |day| Reply::json(200, market_page(day, &traded(day))).cut_at(80),
    |_| Reply::body(200, "application/json", BOMB.clone()).header("content-encoding", "gzip"),
];

#[test]
fn answers_that_cannot_be_are_asked_again() {
    // One wrong response for each of the first days, each followed by the correct one.
    for lies in LIES.chunks(6) {
        let (lies, calls) = (lies.to_vec(), AtomicUsize::new(0));
        let told = lies.len() as u64;
        let server = serving(move |day| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            lies.get(call / 2).filter(|_| call.is_multiple_of(2)).map_or_else(|| good(day), |lie| lie(day))
        });
        let (report, code) = verified(&server, "");
        let expected = (13, [6, 6, 6 + told], EXPLAINED.map(str::to_owned).into());
        assert_eq!((code, witness(&report), findings(&report)), expected);
    }
}

#[test]
fn answers_that_cannot_be_are_never_kept() {
    for (number, lie) in LIES.into_iter().enumerate() {
        let server = serving(lie);
        let grab = stored(&server);
        let ran = grab.run(&format!("{VERIFY} --json --max-attempts 1"));
        let report = ran.json();
        let [sessions, fetched, _] = witness(&report);
        // Each day once; whether the source does this to all requests is another question.
        assert_eq!((ran.code, sessions, fetched, asked(&server).len()), (10, 0, 0, 5), "{number}: {ran:?}");
        let failed = &report["witness"]["without"]["failed"];
        assert_eq!((files(&grab).len(), failed), (0, &5.into()), "{number}");
    }
}

#[test]
fn too_many_requests_slow_it_down_and_lose_no_day() {
    let calls = AtomicUsize::new(0);
    let server = serving(move |day| {
        let is_refused = calls.fetch_add(1, Ordering::SeqCst) == 1;
        if is_refused { Reply::json(429, "{}").header("retry-after", "1") } else { good(day) }
    });
    let grab = stored(&server);
    let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!((witness(&report), findings(&report)), ([6, 6, 7], EXPLAINED.map(str::to_owned).into()));
    let at: Vec<_> =
        server.requests().iter().filter(|request| request.market_day().is_some()).map(|r| r.at).collect();
    assert!((at[2] - at[1]).as_millis() >= 1_000, "the server's word on waiting is taken");
    assert_eq!(grab.count("SELECT count(*) FROM pace"), 1, "the next run knows of it");
}

#[test]
fn a_refused_key_a_missing_one_and_no_connection_have_their_exit_codes() {
    let refused = |request: &Request| {
        let is_bars = request.market_day().is_none() && !request.is_control();
        if is_bars {
            answer(request)
        } else {
            Reply::json(401, r#"{"status":"ERROR","error":"Unknown API Key"}"#)
        }
    };
    let server = Server::start(refused);
    let (report, code) = verified(&server, "");
    assert_eq!(
        (code, &report["exit_code"], findings(&report)),
        (20, &20.into(), UNEXPLAINED.map(str::to_owned).into())
    );
    assert!(report["witness"]["error"].as_str().unwrap().contains("the key is refused"), "{report}");
    assert_eq!(asked(&server).len(), 1);

    let grab = stored(&server);
    let mut keyless = grab.command(&format!("{VERIFY} --json"));
    let ran: Ran = keyless.env_remove("MASSIVE_API_KEY").output().unwrap().into();
    assert_eq!((ran.code, ran.json()["witness"]["error"].as_str()), (20, Some("there is no API key")));
    let ran = grab.run(&format!("{VERIFY} --json --base-url http://127.0.0.1:9")).exits(21);
    assert_eq!(findings(&ran.json()), UNEXPLAINED);
    // Damage is worse.
    std::fs::remove_file(grab.data_dir().join("bars_1m/ticker=A/year=2024/month=01/bars.parquet")).unwrap();
    grab.run(&format!("{VERIFY} --base-url http://127.0.0.1:9")).exits(12);
}

#[test]
fn a_source_that_fails_for_every_day_is_not_asked_for_each() {
    let server = serving(|_| Reply::json(500, "{}"));
    let (report, code) = verified(&server, "--max-attempts 2");
    assert_eq!((code, asked(&server).len()), (10, 10), "five days, twice each");
    assert!(
        report["witness"]["error"].as_str().unwrap().starts_with("the source did not come back: HTTP 500"),
        "{report}"
    );
}

#[test]
fn a_server_that_is_sick_for_a_while_costs_no_day() {
    let (calls, sick_since) = (AtomicUsize::new(0), Mutex::new(None));
    let server = Server::start(move |request| {
        let is_well = match request.market_day() {
            None if !request.is_control() => return answer(request),
            Some(_) if calls.fetch_add(1, Ordering::SeqCst) < 2 => true,
            Some(_) | None => {
                let since = *sick_since.lock().unwrap().get_or_insert_with(Instant::now);
                since.elapsed() >= Duration::from_secs(2)
            }
        };
        if is_well { answer(request) } else { Reply::body(503, "text/html", b"<h1>503</h1>".to_vec()) }
    });
    let (report, code) = verified(&server, "--max-attempts 2");
    let [sessions, fetched, _] = witness(&report);
    assert_eq!((code, sessions, fetched), (13, 6, 6), "{report}");
    assert_eq!(findings(&report), EXPLAINED, "as if it had been well");
}

#[test]
fn a_signal_ends_it_cleanly_and_what_was_fetched_is_kept() {
    let server = serving(|day| if day.day() == 8 { Reply::json(200, "").stall_at(0) } else { good(day) });
    let grab = stored(&server);
    let child = grab.spawn(&format!("{VERIFY} --json"));
    wait_until("the third day is asked for", || asked(&server).len() == 3);
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(130);
    assert_eq!((&ran.json()["exit_code"], files(&grab).len()), (&130.into(), 2));
    assert_eq!(
        grab.count("SELECT count(*) FROM runs WHERE command = 'verify' AND outcome = 'interrupted'"),
        1
    );
}
