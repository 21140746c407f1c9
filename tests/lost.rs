//! What a repair cannot get back stays missing, until it is there again or the user accepts the loss.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use grab_sandbox::SandboxOptions;
use jiff::civil::date;
use serde_json::{Value, json};

use crate::support::{Grab, Reply, Server, Serving, bars_of, page, read_store};

const STRICT: &str = "verify --deep --min-coverage 1 --max-gap-sessions 0 --json";

/// A server with the first `n` of four days.
fn with_days() -> (Server, Arc<AtomicUsize>) {
    let days = Arc::new(AtomicUsize::new(4));
    let so_many = Arc::clone(&days);
    let server = Server::start(move |request| {
        let days = [2, 3, 4, 5].into_iter().take(so_many.load(Ordering::Relaxed));
        let (from, to) = (request.from(), request.target.split(['/', '?']).nth(9).unwrap());
        let asked = from.parse::<jiff::civil::Date>().unwrap()..=to.parse().unwrap();
        let days: Vec<_> = days.map(|day| date(2024, 1, day)).filter(|day| asked.contains(day)).collect();
        Reply::json(200, page(request.symbol(), &bars_of(&days), None))
    });
    (server, days)
}

fn january(grab: &Grab) -> PathBuf {
    grab.data_dir().join("bars_1m/ticker=A/year=2024/month=01/bars.parquet")
}

fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    bytes[100] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn kinds(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap()).collect()
}

#[test]
fn what_does_not_come_back_stays_a_gap_until_it_does() {
    for left in [0, 2, 3] {
        let (server, days) = with_days();
        let grab = Grab::with_server(server.base_url());
        grab.run("start --windows 2024-01-02..2024-01-05 --tickers A").exits(0);
        let whole = read_store(&grab.data_dir());
        fs::remove_file(january(&grab)).unwrap();
        days.store(left, Ordering::Relaxed);
        let repaired = grab.run("repair --json").exits(13).json();
        assert_eq!(repaired["outcome"], "below", "{repaired}");
        assert!(repaired["hint"].as_str().unwrap().contains("1 month with fewer bars"), "{repaired}");
        for _ in 0..2 {
            let report = grab.run(STRICT).exits(13).json();
            assert_eq!(kinds(&report), ["missing_session"], "{report}");
            assert_eq!(report["coverage"]["expected_sessions"], 4, "{report}");
            assert_eq!(report["coverage"]["present_sessions"], left, "{report}");
            grab.run("repair").exits(13);
        }
        days.store(4, Ordering::Relaxed);
        grab.run("repair").exits(0);
        assert_eq!(kinds(&grab.run(STRICT).exits(0).json()), [""; 0]);
        assert!(read_store(&grab.data_dir()) == whole);
    }
}

#[test]
fn a_loss_can_be_accepted() {
    let (server, days) = with_days();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    flip(&january(&grab));
    days.store(3, Ordering::Relaxed);
    let repaired = grab.run("repair --json").exits(13).json();
    let aside = grab.dir().join(repaired["set_aside"][0].as_str().unwrap());
    assert!(aside.ends_with("bars-120.parquet") && aside.exists(), "{repaired}");
    let accepted = grab.run("repair --accept-loss --json").exits(0).json();
    let report = grab.run("verify --deep --json").exits(0).json();
    assert_eq!(
        (kinds(&report), &report["gaps"]),
        (vec!["missing_session"], &0.into()),
        "by the server's own word"
    );
    assert_eq!(
        accepted["set_aside"], repaired["set_aside"],
        "the file stays: a person may still learn from it"
    );
    assert_eq!(grab.count("SELECT count(*) FROM events WHERE kind = 'loss_accepted'"), 1);
}

#[test]
fn days_that_were_added_do_not_stand_in_for_days_that_are_gone() {
    let (server, days) = with_days();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01-02..2024-01-03 --tickers A").exits(0);
    flip(&january(&grab));
    days.store(0, Ordering::Relaxed);
    let repaired = grab.run("repair --json").exits(13).json();
    let aside = grab.dir().join(repaired["set_aside"][0].as_str().unwrap());
    // As many bars as before, on other days.
    let other = Server::start(|request| {
        Reply::json(200, page(request.symbol(), &bars_of(&[date(2024, 1, 4), date(2024, 1, 5)]), None))
    });
    grab.run(&format!("start --windows 2024-01-04..2024-01-05 --tickers A --base-url {}", other.base_url()))
        .exits(0);
    grab.run(&format!("repair --base-url {}", server.base_url())).exits(13);
    assert!(aside.exists());
}

#[test]
fn a_file_that_is_ahead_of_an_older_manifest_is_taken_up() {
    let (server, _) = with_days();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01-02..2024-01-03 --tickers A").exits(0);
    let backup = grab.dir().join("backup.sqlite");
    fs::copy(grab.data_dir().join("manifest.sqlite"), &backup).unwrap();
    grab.run("start --windows 2024-01-04..2024-01-05 --tickers A").exits(0);
    let whole = read_store(&grab.data_dir());
    fs::copy(&backup, grab.data_dir().join("manifest.sqlite")).unwrap();
    let found = grab.run("verify --deep --json").exits(12).json();
    assert_eq!(kinds(&found), ["row_count_mismatch", "unfinished_task"], "the plan beside it is newer too");
    let repaired = grab.run("repair --json").exits(0).json();
    assert_eq!(repaired["set_aside"], json!([]));
    assert!(read_store(&grab.data_dir()) == whole);
    grab.run("verify --deep").exits(0);
}

#[test]
fn a_file_that_nobody_recorded_and_nobody_can_read_is_kept_and_its_month_asked_for() {
    let (server, _) = with_days();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let whole = read_store(&grab.data_dir());
    // As after `--rebuild-manifest`, which could not use the file.
    flip(&january(&grab));
    for name in ["manifest.sqlite", "manifest.sqlite-wal", "manifest.sqlite-shm"] {
        let _ = fs::remove_file(grab.data_dir().join(name));
    }
    grab.run("repair --rebuild-manifest").exits(12);
    let repaired = grab.run("repair --json").exits(0).json();
    assert_eq!(repaired["asked_again"][0]["window"], json!({"from": "2024-01-01", "to": "2024-01-31"}));
    let aside = grab.dir().join(repaired["set_aside"][0].as_str().unwrap());
    assert!(aside.ends_with("bars-0.parquet"), "{repaired}");
    grab.run("repair").exits(0);
    assert!(aside.exists(), "nobody knows what was in it");
    assert!(read_store(&grab.data_dir()) == whole);
}

#[test]
fn what_people_call_like_a_partition_that_was_set_aside_is_never_removed() {
    let (server, _) = with_days();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let (folder, aside) =
        (january(&grab), grab.data_dir().join("set_aside/bars_1m/ticker=A/year=2024/month=01"));
    fs::create_dir_all(&aside).unwrap();
    fs::write(aside.join("bars-3.parquet"), "a person's own").unwrap();
    fs::write(folder.with_file_name("bars-1.parquet"), "another").unwrap();
    fs::create_dir(folder.with_file_name("bars-2")).unwrap();
    fs::write(folder.with_file_name("bars-2").join("x"), "a third").unwrap();
    for _ in 0..2 {
        grab.run("repair").exits(0);
    }
    grab.run("verify --deep").exits(0);
    let strays = grab.data_dir().join("set_aside/strays/bars_1m/ticker=A/year=2024/month=01");
    for kept in [aside.join("bars-3.parquet"), strays.join("bars-1.parquet"), strays.join("bars-2/x")] {
        assert!(kept.exists(), "{}", kept.display());
    }
}

#[test]
fn a_repair_under_a_limit_comes_to_its_end() {
    let market = Serving::start(SandboxOptions { page_cap: 400, ..SandboxOptions::default() });
    let grab = Grab::with_server(market.base_url());
    grab.run("start --windows 2024-01-09..2024-01-19 --tickers AAPL --max-requests 3").exits(10);
    let mut rounds = 0;
    while grab.run("repair --max-requests 4").code == 10 {
        rounds += 1;
        assert!(rounds < 20, "it asks for the same pages each time");
    }
    let undisturbed = Grab::with_server(market.base_url());
    undisturbed.run("start --windows 2024-01-09..2024-01-19 --tickers AAPL").exits(0);
    let pages = undisturbed.count("SELECT count(*) FROM pages");
    assert!(grab.count("SELECT sum(requests) FROM runs") <= pages + 1, "{rounds} rounds");
    assert!(read_store(&grab.data_dir()) == read_store(&undisturbed.data_dir()));
}

#[test]
fn what_the_server_has_not_can_be_asked_for_once_more_by_name() {
    let (server, days) = with_days();
    let grab = Grab::with_server(server.base_url());
    let lacking = Server::start(|request| {
        let days = [2, 3, 5].map(|day| date(2024, 1, day));
        let day_of = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
        let asked = day_of(request.from())..=day_of(request.target.split(['/', '?']).nth(9).unwrap());
        let days: Vec<_> = days.into_iter().filter(|day| asked.contains(day)).collect();
        Reply::json(200, page(request.symbol(), &bars_of(&days), None))
    });
    let from_lacking = format!("--base-url {}", lacking.base_url());
    grab.run(&format!("start --windows 2024-01 --tickers A {from_lacking}")).exits(0);
    grab.run(&format!("repair {from_lacking}")).exits(0);
    days.store(4, Ordering::Relaxed);
    grab.run("repair").exits(0);
    let report = grab.run("verify --json").exits(0);
    assert_eq!(kinds(&report.json()), ["missing_session"], "known to be the server's own");
    fs::write(grab.dir().join("saved.json"), &report.stdout).unwrap();
    assert_eq!(grab.run("repair --from saved.json --json").exits(0).json()["bars"], 30);
    assert_eq!(kinds(&grab.run("verify --json").exits(0).json()), [""; 0]);
}
