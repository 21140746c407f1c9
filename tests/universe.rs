//! `grab universe` and `grab start --universe`: which symbols are and were listed, whatever the server does.

mod killed;
mod lying;
mod outage;
mod planned;
mod renamed;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use grab_sandbox::{FaultOptions, ReferenceQuality, SandboxOptions};
use serde_json::Value;

use crate::support::{Grab, Reply, Request, Serving};

/// The server's response to a plain GET.
fn get(base_url: &str, path: &str) -> Value {
    let host = base_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer x\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(&body[body.find('{').unwrap()..=body.rfind('}').unwrap()]).unwrap()
}

/// Ticker and name of each row.
fn rows(answer: &Value) -> BTreeSet<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    answer["results"].as_array().unwrap().iter().map(|row| (text(row, "ticker"), text(row, "name"))).collect()
}

fn listed(grab: &Grab, flags: &str) -> Vec<Value> {
    let report = grab.run(&format!("universe list --json {flags}")).exits(0).json();
    report["items"].as_array().unwrap().clone()
}

/// A list in pages of two rows, each as given. Splits and everything else are empty.
fn in_pages(request: &Request, active: &[&str], left: &[(&str, &str)]) -> Reply {
    let host = request.header("host").unwrap();
    let target = &request.target;
    if target.starts_with("/stocks/v1/splits") {
        let split = r#"{"ticker":"A","execution_date":"2024-01-09","split_from":1,"split_to":2,"id":"E1"}"#;
        return Reply::json(200, format!(r#"{{"status":"OK","results":[{split}]}}"#));
    }
    if !target.starts_with("/v3/reference/tickers?") {
        return Reply::json(200, r#"{"status":"OK"}"#);
    }
    let is_active = target.contains("active=true");
    let rows: Vec<String> = if is_active {
        active.iter().map(|ticker| format!(r#"{{"ticker":"{ticker}","active":true,"type":"CS"}}"#)).collect()
    } else {
        let row = |(ticker, day): &(&str, &str)| {
            format!(r#"{{"ticker":"{ticker}","active":false,"delisted_utc":"{day}T00:00:00Z"}}"#)
        };
        left.iter().map(row).collect()
    };
    let begin = target.split("cursor=").nth(1).map_or(0, |begin| begin.parse().unwrap());
    let end = rows.len().min(begin + 2);
    let next = format!(r#","next_url":"http://{host}/v3/reference/tickers?active={is_active}&cursor={end}""#);
    let next = if end < rows.len() { next.as_str() } else { "" };
    Reply::json(200, format!(r#"{{"status":"OK","results":[{}]{next}}}"#, rows[begin..end].join(",")))
}

#[test]
fn the_universe_of_a_day_is_that_of_the_server_with_those_who_left() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    let report = grab.run("universe sync --list-dates --json").exits(0).json();
    assert_eq!(report["tickers"]["lives"], report["tickers"]["rows"]);
    assert_eq!(report["list_dates"]["left"], 0);
    for day in ["2005-03-01", "2010-06-30", "2022-06-09"] {
        let path = format!("/v3/reference/tickers?market=stocks&active=true&limit=1000&date={day}");
        let truth = rows(&get(server.base_url(), &path));
        let ours: BTreeSet<_> = listed(&grab, &format!("--active-on {day}"))
            .iter()
            .map(|item| {
                (item["ticker"].as_str().unwrap().to_owned(), item["name"].as_str().unwrap().to_owned())
            })
            .collect();
        assert!(truth.is_subset(&ours), "nobody is lost: {:?}", truth.difference(&ours));
        // The date of the details is the company's, whatever its ticker was then.
        let names: BTreeSet<_> = truth.iter().map(|(_, name)| name).collect();
        let strange: Vec<_> = ours.difference(&truth).filter(|(_, name)| !names.contains(name)).collect();
        assert!(strange.is_empty(), "{day}: {strange:?}");
    }
    let lives = listed(&grab, "--ticker META");
    let told: Vec<_> = lives.iter().map(|life| (&life["type"], &life["from"], &life["to"])).collect();
    let day = |text: &str| Value::from(text);
    assert_eq!(
        told,
        [
            (&day("ETF"), &day("2021-06-30"), &day("2022-01-31")),
            (&day("CS"), &day("2022-01-31"), &Value::Null)
        ]
    );
    let again = grab.run("universe sync --list-dates --json").exits(0).json();
    assert_eq!(again["requests"], 3, "list dates are asked for once");
    assert_eq!((&again["tickers"]["new"], &again["tickers"]["not_seen"]), (&0.into(), &0.into()));
}

#[test]
fn defects_are_handled_and_counted() {
    let options = |reference| SandboxOptions { reference, ..SandboxOptions::default() };
    let sound = Serving::start(options(ReferenceQuality::Sound));
    let right = Grab::with_server(sound.base_url());
    right.run("universe sync").exits(0);
    let defective = Serving::start(options(ReferenceQuality::Defective));
    let grab = Grab::with_server(defective.base_url());
    for run in 0..2 {
        let report = grab.run("universe sync --json").exits(0).json();
        let defects = &report["tickers"]["defects"];
        for kind in ["listed_twice", "other_cik", "without_figi"] {
            assert!(defects[kind].as_u64().unwrap() > 0, "{report}");
        }
        assert!(report["splits"]["defects"]["duplicates"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(report["tickers"]["new"].as_u64().unwrap() > 0, run == 0);
    }
    let of = |grab: &Grab| -> BTreeMap<String, Value> {
        let key = |item: &Value| format!("{} {}", item["ticker"], item["delisted"]);
        listed(grab, "").into_iter().map(|item| (key(&item), item["cik"].clone())).collect()
    };
    assert_eq!(of(&grab), of(&right), "each life once, with the right number");
    assert_eq!(grab.count("SELECT count(*) FROM syncs WHERE what = 'tickers'"), 2);
}

#[test]
fn sectors_of_a_table_stay_with_the_universe() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    let table = "Symbol,GICS Sector,GICS Sub-Industry\nBRK/B,Financials,Conglomerates\nNOBODY,Energy,\n";
    fs::write(grab.dir().join("gics.csv"), table).unwrap();
    let ran = grab.run("universe sync --annotate gics.csv --json").exits(0);
    let annotated = &ran.json()["annotated"];
    assert_eq!((&annotated["tickers"], &annotated["unknown"]), (&1.into(), &1.into()));
    assert!(ran.stderr.contains("no ticker matches 1 name of the table: NOBODY"), "{}", ran.stderr);
    grab.run("universe sync").exits(0);
    let item = &listed(&grab, "--ticker BRK.B")[0];
    assert_eq!((&item["sector"], &item["industry"]), (&"Financials".into(), &"Conglomerates".into()));
    fs::write(grab.dir().join("bad.csv"), "a,b\n1,2\n").unwrap();
    let refused = grab.run("universe sync --annotate bad.csv").exits(3);
    assert!(refused.stderr.contains("bad.csv: it needs a column"), "{}", refused.stderr);
}

#[test]
fn renames_are_asked_for_tickers_with_tasks_and_again_when_their_row_changes() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    grab.run("start --plan-only --windows 2024-01 --tickers META,AAPL,NOSUCH").exits(0);
    let first = grab.run("universe sync --renames --json").exits(0).json();
    assert_eq!((&first["requests"], &first["renames"]["answered"]), (&6.into(), &3.into()), "{first}");
    assert!(first["renames"]["brought"].as_u64().unwrap() >= 2, "FB, then META: {first}");
    let again = grab.run("universe sync --renames --json").exits(0).json();
    assert_eq!((&again["requests"], &again["renames"]["answered"]), (&3.into(), &0.into()));
    let lookup = "SELECT answer = '{\"version\":1,\"value\":null}' FROM lookups WHERE kind = 'renames' AND ticker = 'NOSUCH'";
    assert_eq!(grab.count(lookup), 1, "that nobody knows it is the server's own word");
}

/// The table of tickers is lost, so that each date comes from what was kept of the answers.
#[test]
fn a_kept_answer_that_cannot_be_read_is_asked_for_again() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    grab.run("start --plan-only --windows 2024-01 --tickers META,AAPL").exits(0);
    let first = grab.run("universe sync --list-dates --renames --json").exits(0).json();
    let listed_from = |ticker: &str| listed(&grab, &format!("--ticker {ticker}"))[0]["from"].clone();
    let before = ["A", "AAPL", "MSFT"].map(listed_from);
    fs::remove_file(grab.data_dir().join("reference/tickers.parquet")).unwrap();
    let broken = [
        (r#"{"version":9,"value":"2001-02-03"}"#, "kind = 'details' AND ticker = 'A'"),
        (r#"{"version":1,"value":"20x4"}"#, "kind = 'details' AND ticker = 'AAPL'"),
        (r#"{"version":1,"value":[{"asked_as":7}]}"#, "kind = 'renames' AND ticker = 'META'"),
    ];
    for (answer, place) in broken {
        let update = format!("UPDATE lookups SET answer = ? WHERE {place}");
        assert_eq!(grab.manifest().execute(&update, [answer]).unwrap(), 1);
    }
    // As it was kept before there was a version.
    let old = "UPDATE lookups SET answer = json_quote(json_extract(answer, '$.value')) WHERE kind = 'details' AND ticker = 'MSFT'";
    assert_eq!(grab.manifest().execute(old, []).unwrap(), 1);

    let again = grab.run("universe sync --list-dates --renames --json").exits(0);
    assert!(again.stderr.contains("2 stored responses about details cannot be read"), "{}", again.stderr);
    let report = again.json();
    assert_eq!((&report["list_dates"]["answered"], &report["renames"]["answered"]), (&2.into(), &1.into()));
    assert_eq!(report["renames"]["left"], first["renames"]["left"]);
    assert_eq!(["A", "AAPL", "MSFT"].map(listed_from), before);
    let unversioned =
        "SELECT count(*) FROM lookups WHERE json_extract(answer, '$.version') IS NOT 1 AND ticker <> 'MSFT'";
    assert_eq!(grab.count(unversioned), 0);
}

#[test]
fn a_list_without_a_universe_says_what_to_do() {
    let grab = Grab::new();
    let ran = grab.run("universe list").exits(2);
    assert!(ran.stderr.contains("grab universe sync"), "{}", ran.stderr);
    assert!(!grab.data_dir().exists());
    for wrong in ["--type cs", "--exchange nasdaq", "--active-on 1066-10-14", "--ticker aapl"] {
        grab.run(&format!("universe list {wrong}")).exits(2);
    }
}

#[test]
fn a_third_of_the_answers_is_broken_and_every_life_comes() {
    let brought = |faults| {
        let server = Serving::start(SandboxOptions { faults, ..SandboxOptions::default() });
        let grab = Grab::with_server(server.base_url()).env("GRAB_CONCURRENCY", "16");
        let report = grab.run("universe sync --list-dates --json").exits(0).json();
        let mut items = listed(&grab, "");
        for item in &mut items {
            let item = item.as_object_mut().unwrap();
            item.retain(|name, _| !name.ends_with("_seen"));
        }
        (items, report["requests"].as_u64().unwrap())
    };
    let (smooth, few) = brought(None);
    let faults = FaultOptions { stall: Duration::from_millis(100), ..FaultOptions::of(0.3) };
    let (rough, many) = brought(Some(faults));
    assert!(many > few + 50, "{many} requests in place of {few}");
    assert!(smooth.len() > 300 && smooth == rough);
}
