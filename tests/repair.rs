//! A manifest that is lost or damaged: the bars know enough to make it anew, and never too much.

use std::{collections::BTreeMap, fs};

use grab::{model::Bar, sandbox::SandboxOptions};

use crate::support::{Grab, Serving, read_store};

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

/// What the manifest says of partitions, but for when.
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
    let planned = grab.run("start --plan-only --windows 2023-11 --tickers AAPL").exits(0);
    assert!(planned.stderr.contains("there are bars here that no manifest knows"), "{planned:?}");
    lose_manifest(&grab);
    let report = grab.run("repair --rebuild-manifest --json").exits(0).json();
    assert_eq!((&report["command"], &report["outcome"]), (&"repair".into(), &"complete".into()));
    assert_eq!(report["partitions"], before.len());
    assert_eq!(partitions(&grab), before);
    assert_eq!(grab.run("status --json").json()["sandbox"], false);

    let started = grab.run(&format!("start --windows 2023-11..2024-02 --tickers {TICKERS}")).exits(0);
    assert!(!started.stderr.contains("no manifest"), "{started:?}");
    let again = grab.count("SELECT sum(requests) FROM runs");
    // A day at the end of each page may have been cut, and what is not the last day of its month stays open.
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
        grab.run("repair --rebuild-manifest").exits(0);
        grab.run(&format!("start --windows 2024-01..2024-03 --tickers {TICKERS}")).exits(0);
        assert_eq!(read_store(&grab.data_dir()), expected, "lost after {requests} requests");
    }
}

/// What is done to a file.
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
    assert!(ran.stderr.contains("the manifest is whole"), "{ran:?}");
    assert_eq!(fs::read(grab.data_dir().join("manifest.sqlite")).unwrap(), before);
    let nothing = Grab::new().run("repair --rebuild-manifest").exits(2);
    assert!(nothing.stderr.contains("there are no bars in data"), "{nothing:?}");
}
