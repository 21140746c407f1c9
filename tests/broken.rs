//! One broken store for each kind of damage: `verify` names it and nothing else, and `repair` heals it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use grab::model::{Bar, new_york};
use jiff::civil::date;

use crate::support::{Grab, Reply, Server, bars_of, litter, page, read_store, tamper};

const DAMAGED: &str = "AAPL";

fn stored() -> Grab {
    let grab = Grab::new();
    grab.run("start --sandbox --windows 2024-01-09..2024-01-11,2024-02-05 --tickers AAPL,MSFT").exits(0);
    grab
}

fn place(grab: &Grab, symbol: &str, month: &str) -> PathBuf {
    grab.data_dir().join(format!("bars_1m/ticker={symbol}/year=2024/month={month}/bars.parquet"))
}

/// Rewrites January's bars.
fn change(grab: &Grab, change: impl FnOnce(&mut Vec<Bar>)) {
    let february = new_york::at_ms(date(2024, 2, 1), 0, 0);
    let mut bars = read_store(&grab.data_dir()).remove(DAMAGED).unwrap();
    bars.retain(|bar| bar.timestamp < february);
    change(&mut bars);
    tamper(&place(grab, DAMAGED, "01"), &bars);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at.min(bytes.len() - 1);
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The kinds that `verify` finds, each with its place.
fn found(grab: &Grab, how: &str) -> Vec<String> {
    let report = grab.run(&format!("verify --json {how}")).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|f| {
            format!("{} {} {}", text(&f["kind"]), text(&f["ticker"]), text(&f["month"])).trim_end().to_owned()
        })
        .collect()
}

type Damage = (&'static str, fn(&Grab));

const DAMAGES: &[Damage] = &[
    ("digest_mismatch AAPL 2024-01", |grab| change(grab, |bars| bars[7].close += 0.01)),
    ("corrupt_file AAPL 2024-01", |grab| {
        let path = place(grab, DAMAGED, "01");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("corrupt_file AAPL 2024-01", |grab| fs::write(place(grab, DAMAGED, "01"), "").unwrap()),
    ("row_count_mismatch AAPL 2024-01", |grab| {
        let day = new_york::at_ms(date(2024, 1, 9), 0, 0)..new_york::at_ms(date(2024, 1, 10), 0, 0);
        change(grab, |bars| bars.retain(|bar| !day.contains(&bar.timestamp)));
    }),
    ("row_count_mismatch AAPL 2024-01", |grab| {
        // As many bars as before, but one is on another day.
        change(grab, |bars| {
            let last = bars.pop().unwrap();
            let free = new_york::at_ms(date(2024, 1, 10), 3, 0);
            let at = bars.partition_point(|bar| bar.timestamp < free);
            bars.insert(at, Bar { timestamp: new_york::at_ms(date(2024, 1, 9), 20, 0), ..last });
        });
    }),
    ("duplicate_timestamp AAPL 2024-01", |grab| change(grab, |bars| bars.insert(5, bars[5]))),
    ("unsorted AAPL 2024-01", |grab| change(grab, |bars| bars.swap(5, 6))),
    ("off_minute AAPL 2024-01", |grab| change(grab, |bars| bars[5].timestamp += 1_000)),
    ("outside_window AAPL 2024-01", |grab| {
        change(grab, |bars| {
            let timestamp = new_york::at_ms(date(2024, 2, 1), 10, 0);
            bars.push(Bar { timestamp, ..bars[5] });
        });
    }),
    ("schema_mismatch AAPL 2024-01", |grab| {
        fs::copy(place(grab, "MSFT", "01"), place(grab, DAMAGED, "01")).unwrap();
    }),
    ("schema_mismatch AAPL 2024-01", |grab| {
        fs::copy(place(grab, DAMAGED, "02"), place(grab, DAMAGED, "01")).unwrap();
    }),
    ("missing_file AAPL 2024-01", |grab| fs::remove_file(place(grab, DAMAGED, "01")).unwrap()),
    ("missing_file AAPL 2024-01", |grab| {
        fs::remove_dir_all(place(grab, DAMAGED, "01").parent().unwrap()).unwrap();
    }),
    ("corrupt_file AAPL 2024-01", |grab| {
        fs::remove_file(place(grab, DAMAGED, "01")).unwrap();
        fs::create_dir(place(grab, DAMAGED, "01")).unwrap();
    }),
    ("stray_file AAPL 2024-01", |grab| {
        grab.manifest()
            .execute("DELETE FROM partitions WHERE ticker = 'AAPL' AND month = '2024-01'", [])
            .unwrap();
    }),
    ("stray_file AAPL 2024-03", |grab| {
        let path = place(grab, DAMAGED, "03");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(place(grab, DAMAGED, "01"), path).unwrap();
    }),
    ("stray_file AAPL", |grab| {
        fs::write(place(grab, DAMAGED, "01").with_file_name("copy.parquet"), "x").unwrap();
    }),
    ("stray_file AAPL", |grab| {
        fs::write(place(grab, DAMAGED, "01").with_file_name(".bars-a1b2c3.tmp"), "x").unwrap();
    }),
    // Only the record of what was sent still knows of it.
    ("missing_session AAPL", |grab| {
        let delete = "DELETE FROM partitions WHERE ticker = 'AAPL' AND month = '2024-01'";
        grab.manifest().execute(delete, []).unwrap();
        fs::remove_file(place(grab, DAMAGED, "01")).unwrap();
    }),
    ("stray_file", |grab| fs::write(grab.data_dir().join("bars_1m/notes.txt"), "x").unwrap()),
];

#[test]
fn each_damage_is_found_alone_and_healed() {
    let grab = stored();
    let whole: BTreeMap<_, _> = read_store(&grab.data_dir());
    for (number, (expected, damage)) in DAMAGES.iter().enumerate() {
        damage(&grab);
        assert_eq!(found(&grab, "--deep"), [*expected], "damage {number}");
        let planned = grab.run("repair --dry-run --json").exits(0).json();
        assert_eq!(planned["dry_run"], true);
        assert_eq!(found(&grab, "--deep"), [*expected], "a dry run changes nothing: damage {number}");
        grab.run("repair").exits(0);
        assert_eq!(found(&grab, "--deep"), [""; 0], "after the repair of damage {number}");
        assert!(read_store(&grab.data_dir()) == whole, "bars after the repair of damage {number}");
        let aside = grab.data_dir().join("set_aside");
        assert!(litter(&grab.data_dir()).iter().all(|file| file.starts_with(&aside)), "damage {number}");
    }
    let nothing = grab.run("repair").exits(0);
    assert!(nothing.stderr.contains("nothing to repair"), "{nothing:?}");
}

#[test]
fn any_byte_of_a_file_that_changes_is_found_and_healed() {
    let grab = stored();
    let whole = read_store(&grab.data_dir());
    let length = usize::try_from(fs::metadata(place(&grab, DAMAGED, "01")).unwrap().len()).unwrap();
    for at in [0, 100, length / 3, length / 2, length - 400, length - 6, length - 1] {
        flip(&place(&grab, DAMAGED, "01"), at);
        assert_eq!(found(&grab, "--deep").len(), 1, "byte {at}");
        grab.run("repair").exits(0);
        assert!(read_store(&grab.data_dir()) == whole, "byte {at}");
    }
}

#[test]
fn several_damages_are_all_found_and_a_saved_report_heals_just_what_it_names() {
    let grab = stored();
    fs::remove_file(place(&grab, "MSFT", "01")).unwrap();
    let saved = grab.run("verify --json").exits(12).stdout;
    fs::write(grab.dir().join("findings.json"), saved).unwrap();
    fs::write(place(&grab, DAMAGED, "02"), "x").unwrap();
    assert_eq!(found(&grab, "--deep"), ["corrupt_file AAPL 2024-02", "missing_file MSFT 2024-01"]);
    let report = grab.run("repair --from findings.json --json").exits(0).json();
    assert_eq!(report["asked_again"][0]["ticker"], "MSFT");
    assert_eq!(found(&grab, "--deep"), ["corrupt_file AAPL 2024-02"]);
    grab.run("repair --from findings.json").exits(0);
    for (text, what) in [("[]", "not a report"), ("x", "not a report")] {
        fs::write(grab.dir().join("odd.json"), text).unwrap();
        let odd = grab.run("repair --from odd.json").exits(3);
        assert!(odd.stderr.contains(what), "{odd:?}");
    }
    grab.run("repair --from nowhere.json").exits(3);
}

#[test]
fn a_damaged_partition_is_not_merged_into() {
    let grab = Grab::new();
    grab.run("start --sandbox --windows 2024-01-02..2024-01-12 --tickers AAPL").exits(0);
    change(&grab, |bars| bars.truncate(bars.len() - 1));
    let start = "start --sandbox --windows 2024-01-02..2024-01-31 --tickers AAPL";
    let more = grab.run(start).exits(11);
    assert!(
        more.stdout.contains("is not the file that was recorded: `grab repair` fetches it anew"),
        "{more:?}"
    );
    grab.run("repair").exits(0);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
    fs::remove_file(place(&grab, DAMAGED, "01")).unwrap();
    let gone = grab.run("start --sandbox --windows 2024-01..2024-02 --tickers AAPL --json").exits(0).json();
    assert_eq!(gone["tasks"]["done"], gone["tasks"]["total"], "February is no affair of January's");
}

/// A server that has what `has` says of each day, and counts the requests.
fn lacking(has: impl Fn(i8) -> bool + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        let asked: jiff::civil::Date = request.from().parse().unwrap();
        let days = [3, 4, 5, 8, 9].into_iter().filter(|day| *day >= asked.day() && has(*day));
        let is_one_day = request.target.contains(&format!("/{asked}/{asked}?"));
        let days: Vec<_> = days.filter(|day| !is_one_day || *day == asked.day()).collect();
        let bars = bars_of(&days.into_iter().map(|day| date(2024, 1, day)).collect::<Vec<_>>());
        Reply::json(200, page(request.symbol(), &bars, None))
    })
}

const WEEK: &str = "start --windows 2024-01-03..2024-01-09 --tickers A";

#[test]
fn a_gap_that_the_server_can_fill_is_filled() {
    let is_late = Arc::new(AtomicBool::new(false));
    let came = Arc::clone(&is_late);
    let server = lacking(move |day| day != 5 || came.load(Ordering::Relaxed));
    let grab = Grab::with_server(server.base_url());
    grab.run(WEEK).exits(0);
    let gap = grab.run("verify --json").exits(13).json();
    assert_eq!(
        (&gap["findings"][0]["kind"], &gap["findings"][0]["date"]),
        (&"missing_session".into(), &"2024-01-05".into())
    );
    is_late.store(true, Ordering::Relaxed);
    let repaired = grab.run("repair --json").exits(0).json();
    assert_eq!(
        (&repaired["command"], &repaired["bars"], &repaired["requests"]),
        (&"repair".into(), &30.into(), &1.into())
    );
    assert_eq!(grab.run("verify --deep --json").exits(0).json()["findings"], serde_json::json!([]));
}

#[test]
fn a_gap_of_the_servers_own_is_asked_for_once_more_and_then_explained() {
    let server = lacking(|day| day != 5);
    let grab = Grab::with_server(server.base_url());
    grab.run(WEEK).exits(0);
    grab.run("repair").exits(0);
    let report = grab.run("verify --json").exits(0).json();
    let finding = &report["findings"][0];
    assert_eq!((&finding["kind"], &finding["severity"]), (&"missing_session".into(), &"notice".into()));
    assert!(finding["detail"].as_str().unwrap().contains("asked again on"), "{finding}");
    let asked = server.pages_asked();
    grab.run("repair").exits(0);
    assert_eq!(server.pages_asked(), asked, "it is not asked for ever");
}

#[test]
fn what_ended_without_data_is_asked_for_again() {
    let is_sick = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&is_sick);
    let server = Server::start(move |request| match request.symbol() {
        "B" if still.load(Ordering::Relaxed) => Reply::json(404, r#"{"status":"NOT_FOUND","message":"no"}"#),
        symbol => Reply::json(200, page(symbol, &bars_of(&[date(2024, 1, 3)]), None)),
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01-03 --tickers A,B").exits(11);
    assert_eq!(found(&grab, ""), ["unfinished_task B"]);
    is_sick.store(false, Ordering::Relaxed);
    grab.run("repair").exits(0);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
}

#[test]
fn a_repair_that_is_cut_short_keeps_the_old_file_and_resume_goes_on() {
    let is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&is_gone);
    let server = Server::start(move |request| {
        if gone.load(Ordering::Relaxed) {
            return Reply::json(503, "{}");
        }
        Reply::json(200, page(request.symbol(), &bars_of(&[date(2024, 1, 3)]), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let whole = read_store(&grab.data_dir());
    flip(&place(&grab, "A", "01"), 100);
    is_gone.store(true, Ordering::Relaxed);
    let cut = grab.run("repair --max-attempts 2 --max-retry-time 1s --json").exits(11).json();
    let aside = grab.dir().join(cut["set_aside"][0].as_str().unwrap());
    assert!(aside.exists() && !place(&grab, "A", "01").exists(), "{cut}");
    is_gone.store(false, Ordering::Relaxed);
    grab.run("resume --retry-failed").exits(0);
    assert!(read_store(&grab.data_dir()) == whole);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
}
