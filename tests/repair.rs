//! A lost or damaged manifest: the bars are enough to rebuild it, and it never claims too much.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use grab_model::Bar;
use grab_sandbox::SandboxOptions;

use jiff::civil::date;

use crate::support::{Grab, Reply, Server, Serving, litter, minutes, page, read_store};

const TICKERS: &str = "AAPL,BRK.B,KIMpL";

fn market() -> Serving {
    Serving::start(SandboxOptions { page_cap: 3_000, ..SandboxOptions::default() })
}

fn started(server: &Serving, windows: &str) -> Grab {
    let grab = Grab::with_server(server.base_url());
    grab.run(&format!("start --windows {windows} --tickers {TICKERS}")).exits(0);
    grab
}

fn undisturbed(server: &Serving, windows: &str) -> BTreeMap<String, Vec<Bar>> {
    read_store(&started(server, windows).data_dir())
}

fn lose_manifest(grab: &Grab) {
    for name in ["manifest.sqlite", "manifest.sqlite-wal", "manifest.sqlite-shm"] {
        let _ = fs::remove_file(grab.data_dir().join(name));
    }
}

/// The manifest's partitions, without times.
fn partitions(grab: &Grab) -> Vec<String> {
    let manifest = grab.manifest();
    let columns = "ticker || month || bars || ' ' || first_ms || last_ms || bytes || xxh3 || session_mask || session_bars";
    let mut select =
        manifest.prepare(&format!("SELECT {columns} FROM partitions ORDER BY ticker, month")).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_lost_manifest_is_made_anew_and_next_to_nothing_is_asked_for_again() {
    let server = market();
    let grab = started(&server, "2023-11..2024-02");
    let (bars, before) = (read_store(&grab.data_dir()), partitions(&grab));
    let asked = grab.count("SELECT sum(requests) FROM runs");
    lose_manifest(&grab);
    let (plan, away) = (grab.data_dir().join("plan.jsonl"), grab.dir().join("plan.jsonl"));
    fs::rename(&plan, &away).unwrap();
    let planned = grab.run("start --plan-only --windows 2023-11 --tickers AAPL").exits(0);
    assert!(planned.stderr.contains("there are bars here that are in no manifest"), "{planned:?}");
    lose_manifest(&grab);
    fs::rename(&away, &plan).unwrap();
    let report = grab.run("repair --rebuild-manifest --json").exits(0).json();
    assert_eq!((&report["command"], &report["outcome"]), (&"repair".into(), &"complete".into()));
    assert_eq!(report["is_all_asked"], true, "by the plan beside the manifest");
    assert_eq!(report["partitions"], before.len());
    assert_eq!(partitions(&grab), before);
    assert_eq!(grab.run("status --json").json()["sandbox"], false);

    let started = grab.run(&format!("start --windows 2023-11..2024-02 --tickers {TICKERS}")).exits(0);
    assert!(!started.stderr.contains("no manifest"), "{started:?}");
    let again = grab.count("SELECT sum(requests) FROM runs");
    // A day at the end of each page may have been cut, and a month without its last day stays open.
    assert!(again < asked / 2, "{again} requests instead of {asked}");
    assert_eq!(read_store(&grab.data_dir()), bars);
}

#[test]
fn what_a_run_had_not_come_to_is_not_taken_for_done() {
    let server = market();
    let expected = undisturbed(&server, "2024-01..2024-03");
    for requests in [2, 5, 8] {
        let grab = Grab::with_server(server.base_url());
        grab.run(&format!(
            "start --windows 2024-01-10..2024-03-20 --tickers {TICKERS} --concurrency 2 --max-requests {requests}"
        ));
        lose_manifest(&grab);
        grab.run("repair --rebuild-manifest").exits(10);
        grab.run(&format!("start --windows 2024-01..2024-03 --tickers {TICKERS}")).exits(0);
        assert_eq!(read_store(&grab.data_dir()), expected, "lost after {requests} requests");
    }
}

/// A change to a file.
type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_manifest_is_named_with_its_remedy_and_set_aside() {
    let server = market();
    let damages: [(&str, Damage); 3] = [
        ("garbage", |bytes| bytes.fill(b'x')),
        ("half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("holes", |bytes| bytes[4_096..12_288].fill(0)),
    ];
    for (what, damage) in damages {
        let grab = started(&server, "2024-01");
        let bars = read_store(&grab.data_dir());
        let path = grab.data_dir().join("manifest.sqlite");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        for command in ["status", "resume"] {
            let ran = grab.run(command);
            assert_eq!(ran.code, 30, "{what}: {ran:?}");
            assert!(ran.stderr.contains("grab repair --rebuild-manifest"), "{what}: {ran:?}");
        }
        let report = grab.run("repair --rebuild-manifest --json").exits(0).json();
        let aside = report["set_aside"].as_str().unwrap();
        assert!(aside.contains("manifest.sqlite.set-aside-"), "{what}: {aside}");
        assert!(grab.dir().join(aside).is_file(), "{what}: {aside}");
        grab.run("status").exits(0);
        grab.run(&format!("start --windows 2024-01 --tickers {TICKERS}")).exits(0);
        assert_eq!(read_store(&grab.data_dir()), bars, "{what}");
    }
}

#[test]
fn a_damaged_partition_is_named_and_left_where_it_is() {
    let server = market();
    let grab = started(&server, "2024-01");
    let path = grab.data_dir().join("bars_1m/ticker=AAPL/year=2024/month=01/bars.parquet");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    lose_manifest(&grab);
    let report = grab.run("repair --rebuild-manifest --json").exits(12).json();
    assert_eq!((&report["damaged"][0]["ticker"], &report["exit_code"]), (&"AAPL".into(), &12.into()));
    assert_eq!(report["partitions"], 2);
    assert_eq!(fs::read(&path).unwrap().len(), whole.len() / 2);
}

#[test]
fn a_manifest_that_is_whole_is_not_replaced() {
    let server = market();
    let grab = started(&server, "2024-01");
    let before = fs::read(grab.data_dir().join("manifest.sqlite")).unwrap();
    let ran = grab.run("repair --rebuild-manifest").exits(2);
    assert!(ran.stderr.contains("the manifest is intact"), "{ran:?}");
    assert_eq!(fs::read(grab.data_dir().join("manifest.sqlite")).unwrap(), before);
    let nothing = Grab::new().run("repair --rebuild-manifest").exits(2);
    assert!(
        nothing.stderr.contains("there are no bars in data to make a manifest from, and no plan"),
        "{nothing:?}"
    );
}

/// Nine days of ten bars, three pages. Until it is repaired, the last bars of the first page are bad: all of two days,
/// and some of the third.
fn spoiling(mended: Arc<AtomicBool>) -> Server {
    let bars: Vec<Bar> = [3, 4, 5, 8, 9, 10, 11, 12, 16].map(|day| minutes(date(2024, 1, day), 10)).concat();
    Server::start(move |request| {
        let number: usize = request.target.split("cursor=").nth(1).map_or(0, |n| n.parse().unwrap());
        let next = format!(
            "http://{}/v2/aggs/ticker/A/range/1/minute/0/0?cursor={}",
            request.header("host").unwrap(),
            number + 1
        );
        let from: i64 = request.from().parse().unwrap_or(0);
        let asked: Vec<Bar> = bars.iter().filter(|bar| bar.timestamp >= from).copied().collect();
        let mut page_of = asked[(number * 35).min(asked.len())..(number * 35 + 35).min(asked.len())].to_vec();
        if number == 0 && !mended.load(Ordering::SeqCst) {
            page_of[12..].iter_mut().for_each(|bar| bar.timestamp += 1);
        }
        Reply::json(200, page("A", &page_of, (number < 2).then_some(&next)))
    })
}

#[test]
fn days_with_bars_in_quarantine_are_not_taken_for_whole() {
    let mended = Arc::new(AtomicBool::new(false));
    let server = spoiling(Arc::clone(&mended));
    let grab = Grab::with_server(server.base_url());
    let start = "start --windows 2024-01-03..2024-01-16 --tickers A --max-attempts 1";
    grab.run(start).exits(11);
    assert_eq!(grab.count("SELECT count(*) FROM quarantine"), 23);
    mended.store(true, Ordering::SeqCst);
    lose_manifest(&grab);
    grab.run("repair --rebuild-manifest").exits(10);
    grab.run(start).exits(0);
    assert_eq!(read_store(&grab.data_dir())["A"].len(), 90);
}

#[test]
fn bars_of_another_kind_are_not_mixed_in_when_the_manifest_is_lost() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2024-01 --tickers AAPL").exits(0);
    lose_manifest(&grab);
    fs::remove_file(grab.data_dir().join("plan.jsonl")).unwrap();
    let server = market();
    let real = format!("start --base-url {} --windows 2024-01 --tickers AAPL", server.base_url());
    let refused = grab.run_with("MASSIVE_API_KEY", "key", &real).exits(2);
    assert!(refused.stderr.contains("holds simulated bars, not real ones"), "{refused:?}");
    assert!(!grab.data_dir().join("manifest.sqlite").exists(), "nothing was begun");
}

#[test]
fn what_was_set_aside_before_is_never_replaced_and_litter_is_swept() {
    let server = market();
    let grab = started(&server, "2024-01").env("GRAB_NOW", "2024-06-03T12:00:00Z");
    fs::write(grab.data_dir().join("bars_1m/ticker=AAPL/year=2024/month=01/.bars-x.tmp"), "litter").unwrap();
    for content in ["first", "second", "third"] {
        fs::write(grab.data_dir().join("manifest.sqlite"), format!("garbage, the {content}")).unwrap();
        grab.run("repair --rebuild-manifest").exits(0);
    }
    let aside = |ending: &str| {
        let name = format!("manifest.sqlite.set-aside-20240603T12{ending}");
        fs::read_dir(grab.data_dir())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().into_string().unwrap().starts_with(&name))
            .count()
    };
    assert_eq!(aside(""), 3);
    assert_eq!(litter(&grab.data_dir()), Vec::<std::path::PathBuf>::new());
}
