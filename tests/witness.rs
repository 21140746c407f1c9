//! `grab verify --witness grouped-daily`: the symbols that traded on a session show whether an absence is a gap.

mod absences;
mod damage;
mod listed;
mod refusals;
mod thin;

use std::collections::BTreeMap;

use grab_model::Bar;
use grab_sandbox::SandboxOptions;
use jiff::civil::{Date, date};
use serde_json::Value;

use crate::support::{Grab, Ran, Reply, Request, Server, Serving, market_page, minutes, page};

/// Six sessions: the 2nd to the 5th, the 8th and the 9th.
const START: &str = "start --windows 2024-01-02..2024-01-09 --tickers A,B,M,N";

const VERIFY: &str = "verify --witness grouped-daily";

fn january(day: i8) -> Date {
    date(2024, 1, day)
}

/// A day from open to close.
fn shares(day: i8) -> f64 {
    minutes(january(day), 390).iter().map(|bar| bar.volume).sum()
}

/// A is listed on the 3rd, does not trade on the 4th, and lacks the afternoon of the 8th. B lacks the 5th, its last
/// day. M lacks all days. N never trades.
fn bars(symbol: &str) -> Vec<Bar> {
    let days: &[(i8, usize)] = match symbol {
        "A" => &[(3, 390), (5, 390), (8, 195), (9, 390)],
        "B" => &[(2, 390), (3, 390), (4, 390)],
        _ => &[],
    };
    days.iter().flat_map(|(day, count)| minutes(january(*day), *count)).collect()
}

fn traded(day: Date) -> Vec<(&'static str, f64)> {
    let traded: &[(&str, &[i8])] = &[("A", &[3, 5, 8, 9]), ("B", &[2, 3, 4, 5]), ("M", &[4, 5, 10])];
    let on = traded.iter().filter(|(_, days)| days.contains(&day.day()));
    // Another symbol always trades, and one that is no stock.
    on.map(|(symbol, _)| (*symbol, shares(day.day()))).chain([("ZZZ", 7.5), ("X:BTCUSD", 1.0)]).collect()
}

fn answer(request: &Request) -> Reply {
    match request.market_day() {
        Some(day) => Reply::json(200, market_page(day, &traded(day))),
        None => Reply::json(200, page(request.symbol(), &bars(request.symbol()), None)),
    }
}

/// A store whose requests are sent one after the other.
fn stored(server: &Server) -> Grab {
    let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "1");
    grab.run(START).exits(0);
    grab
}

/// The requested days of the market, in order.
fn asked(server: &Server) -> Vec<i8> {
    server.requests().iter().filter_map(Request::market_day).map(Date::day).collect()
}

/// `kind ticker date` of each finding.
fn findings(report: &Value) -> Vec<String> {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or("-").to_owned();
    let line = |finding| ["kind", "ticker", "date"].map(|field| text(finding, field)).join(" ");
    report["findings"].as_array().unwrap().iter().map(line).collect()
}

/// Sessions with a witness, sessions fetched, requests.
fn witness(report: &Value) -> [u64; 3] {
    ["sessions", "fetched", "requests"].map(|field| report["witness"][field].as_u64().unwrap())
}

fn coverage(report: &Value) -> [u64; 2] {
    ["expected_sessions", "present_sessions"].map(|field| report["coverage"][field].as_u64().unwrap())
}

/// The days with a file.
fn files(grab: &Grab) -> BTreeMap<String, u64> {
    let folder = grab.data_dir().join("reference/grouped_daily");
    let Ok(days) = folder.read_dir() else { return BTreeMap::new() };
    let size = |path: std::path::PathBuf| path.join("market.parquet").metadata().map(|file| file.len());
    let file =
        |day: std::fs::DirEntry| Some((day.file_name().into_string().unwrap(), size(day.path()).ok()?));
    days.filter_map(|day| file(day.unwrap())).collect()
}

/// Without a witness: an unexplained gap, half of a session, and two symbols that only the server says to have nothing.
const UNEXPLAINED: [&str; 4] = [
    "missing_session A 2024-01-04",
    "thin_session A 2024-01-08",
    "missing_symbol M 2024-01-02",
    "missing_symbol N 2024-01-02",
];

const EXPLAINED: [&str; 3] =
    ["thin_session A 2024-01-08", "missing_session B 2024-01-05", "missing_symbol M 2024-01-04"];

#[test]
fn each_absence_is_explained_or_a_gap() {
    let server = Server::start(answer);
    let grab = stored(&server);
    let before = grab.run("verify --deep --json").exits(13).json();
    assert_eq!(findings(&before), UNEXPLAINED, "unexplained");
    assert_eq!((witness(&before), &before["witness"]["of"]), ([0, 0, 0], &6.into()));
    assert_eq!(coverage(&before), [8, 7]);

    let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!(asked(&server), [4, 9, 8, 5, 3, 2], "first what explains most, then the latest");
    assert_eq!((findings(&report), witness(&report)), (EXPLAINED.map(str::to_owned).into(), [6, 6, 6]));
    assert_eq!((coverage(&report), &report["damage"]), ([10, 7], &0.into()), "a thin session has bars");
    let details: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|f| f["detail"].clone()).collect();
    assert!(details[0].as_str().unwrap().ends_with("the last bar is at 12:44"), "{details:?}");
    assert!(details[1].as_str().unwrap().starts_with("no bar, and the witness counts 390"), "{details:?}");
    assert_eq!(grab.count("SELECT count(*) FROM witnesses WHERE skipped = 1 AND request_id = date"), 6);
    assert_eq!((files(&grab).len(), grab.count("SELECT sum(rows) FROM witnesses")), (6, 16));
}

#[test]
fn what_is_kept_is_used_and_not_asked_for_again() {
    let server = Server::start(answer);
    let grab = stored(&server);
    grab.run(VERIFY).exits(13);
    let again = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!((findings(&again), witness(&again)), (EXPLAINED.map(str::to_owned).into(), [6, 0, 0]));
    let offline = grab.run("verify --json").exits(13).json();
    assert_eq!(
        findings(&offline),
        EXPLAINED,
        "that half of the bars are missing is seen without their files"
    );
    assert_eq!((witness(&offline), &offline["witness"]["source"]), ([6, 0, 0], &"grouped-daily".into()));
    let alone = grab.run("verify --witness none --deep --json").exits(13).json();
    assert_eq!(findings(&alone), UNEXPLAINED);
    assert_eq!((witness(&alone), &alone["witness"]["source"]), ([0, 0, 0], &"none".into()));
    assert_eq!(asked(&server).len(), 6);
    let text = grab.run("verify").stdout;
    assert!(text.contains("witness   grouped-daily: 6 of 6 sessions\n"), "{text}");
    // More windows: only the new sessions are requested.
    grab.run("start --windows 2024-01-10 --tickers N").exits(0);
    assert_eq!(witness(&grab.run(&format!("{VERIFY} --json")).json()), [7, 1, 1]);
}

#[test]
fn a_run_that_is_cut_short_goes_on_without_asking_twice() {
    let server = Server::start(answer);
    let grab = stored(&server);
    let first = grab.run(&format!("{VERIFY} --max-requests 2 --json")).exits(10).json();
    assert_eq!(
        (witness(&first), &first["witness"]["error"]),
        ([2, 2, 2], &"--max-requests are spent".into())
    );
    assert_eq!(first["exit_code"], 10);
    let text = grab.run(&format!("{VERIFY} --max-requests 1")).exits(10).stdout;
    assert!(
        text.contains("3 of 6 sessions, 1 fetched with 1 request; cut short, the same command continues"),
        "{text}"
    );
    let last = grab.run(&format!("{VERIFY} --max-requests 3 --json")).exits(13).json();
    assert_eq!((witness(&last), &last["witness"]["error"]), ([6, 3, 3], &Value::Null));
    assert_eq!(asked(&server), [4, 9, 8, 5, 3, 2]);
    assert_eq!(grab.count("SELECT sum(requests) FROM runs WHERE command = 'verify'"), 6);
    let ended = "SELECT group_concat(outcome || exit_code) = 'incomplete10,incomplete10,complete0' FROM runs WHERE command = 'verify'";
    assert_eq!(grab.count(ended), 1);
}

/// Failpoints exist only in builds with debug assertions.
#[cfg(debug_assertions)]
#[test]
fn killed_at_any_step_it_asks_for_nothing_twice_but_what_was_under_way() {
    use grab_core::failpoint::CrashPoint;
    for step in CrashPoint::ALL.into_iter().filter(|step| {
        !matches!(step, CrashPoint::BeforeMigration | CrashPoint::BeforeSweep | CrashPoint::BeforePlan)
    }) {
        let server = Server::start(answer);
        let grab = stored(&server);
        let kill = |hit| format!("{}=kill@{hit}", step.as_str());
        let mut kills = 0;
        for hit in [3, 2, 1] {
            let mut command = grab.command(&format!("{VERIFY} --json"));
            kills +=
                usize::from(Ran::from(command.env("GRAB_FAILPOINT", kill(hit)).output().unwrap()).code == -1);
        }
        assert!(kills > 0, "{step:?} was never reached");
        let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
        assert_eq!(findings(&report), EXPLAINED, "{step:?}");
        assert!(asked(&server).len() <= 6 + kills, "{step:?}: {:?}", asked(&server));
        assert_eq!(grab.count("SELECT count(*) FROM witnesses"), 6);
    }
}

#[test]
fn the_sandbox_explains_listings_and_half_days_and_its_store_stays_its_own() {
    // The company is listed under this ticker on 2022-06-09; 2022-11-25 is a half day.
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2022-06,2022-11 --tickers META,AAPL,NOSUCH").exits(0);
    let report = grab.run(&format!("{VERIFY} --sandbox --json")).exits(0).json();
    assert_eq!((findings(&report), witness(&report)), (vec![], [42, 42, 42]));
    // META on 15 days of June, both in November.
    assert_eq!(coverage(&report), [21 + 15 + 2 * 21, 21 + 15 + 2 * 21]);
    // The directory knows its kind.
    grab.run("start --sandbox --windows 2022-12-01 --tickers AAPL").exits(0);
    assert_eq!(witness(&grab.run(&format!("{VERIFY} --json")).exits(0).json()), [43, 1, 1]);

    let server = Server::start(answer);
    grab.run("start --sandbox --windows 2022-12-02 --tickers AAPL").exits(0);
    let mixed = grab.run(&format!("{VERIFY} --base-url {}", server.base_url())).exits(2);
    assert!(mixed.stderr.contains("holds simulated bars, not real ones"), "{mixed:?}");
    let real = stored(&server);
    real.run(&format!("{VERIFY} --sandbox --data-dir data")).exits(2);
    assert!(asked(&server).is_empty());
}

#[test]
fn a_day_without_trade_in_recorded_bars_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    for symbol in ["A", "B"] {
        let line = |bar: &Bar| {
            format!("{},{},{},{},{},{}", bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume)
        };
        let lines: Vec<_> = bars(symbol).iter().map(line).collect();
        let text = format!("t_ms_utc,o,h,l,c,v\n{}\n", lines.join("\n"));
        std::fs::write(folder.path().join(format!("{symbol}.csv")), text).unwrap();
    }
    let recorded = Some(folder.path().to_owned());
    let serving = Serving::start(SandboxOptions { recorded, ..SandboxOptions::default() });
    let grab = Grab::with_server(serving.base_url());
    grab.run(START).exits(0);
    grab.run("verify").exits(13);
    let report = grab.run(&format!("{VERIFY} --json")).exits(0).json();
    assert_eq!((findings(&report), coverage(&report)), (vec![], [7, 7]));
}

#[test]
fn shares_of_adjusted_bars_are_not_compared_with_those_as_traded() {
    let server = Server::start(|request| match request.market_day() {
        Some(day) => Reply::json(200, market_page(day, &[("A", 100.0 * shares(3)), ("B", 1.0)])),
        None => Reply::json(
            200,
            crate::support::page_with(request.symbol(), true, &minutes(january(3), 390), None),
        ),
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_ADJUSTED", "true");
    grab.run("start --windows 2024-01-03..2024-01-04 --tickers A").exits(0);
    let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    assert_eq!(findings(&report), ["missing_session A 2024-01-04"]);
}

#[test]
fn who_was_never_seen_although_there_are_bars_is_not_known() {
    let server = Server::start(|request| match request.market_day() {
        Some(day) => Reply::json(200, market_page(day, &[("ZZZ", 1.0)])),
        None => answer(request),
    });
    let grab = stored(&server);
    let report = grab.run(&format!("{VERIFY} --json")).exits(13).json();
    // It does not know the symbols without bars either, nor does its silence about them prove anything.
    let doubt = vec!["thin_session - -".to_owned()];
    let expected = UNEXPLAINED[..2]
        .iter()
        .map(|one| (*one).to_owned())
        .chain(doubt)
        .chain(UNEXPLAINED[2..].iter().map(|one| (*one).to_owned()));
    assert_eq!((findings(&report), witness(&report)), (expected.collect(), [6, 6, 6]));
    let detail = "the witness has never seen 2 of the 2 stored symbols: its silence about other symbols explains nothing";
    assert_eq!(
        (&report["findings"][2]["detail"], &report["findings"][2]["severity"]),
        (&detail.into(), &"notice".into())
    );
    let missed = "6 sessions with absences that no witness explains: 6 not used";
    assert_eq!(report["missed"], serde_json::json!(["2 gaps", missed]));
    assert_eq!(report["findings"][0]["detail"], "no bar, and no source explains it");
}
