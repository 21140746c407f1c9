//! One broken store for each kind of damage: `verify` reports it and nothing else, and `repair` repairs it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use grab_core::data_dir::DataDir;
use grab_core::store::{BarStore, Finality, MergeInput};
use grab_model::{Bar, Month, new_york};
use grab_sandbox::SandboxOptions;
use jiff::civil::date;

use crate::support::{Grab, Reply, Server, Serving, bars_of, litter, page, read_store, tamper};

const DAMAGED: &str = "AAPL";

fn stored() -> Grab {
    let grab = Grab::of_sandbox();
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

/// The kinds of findings that `verify` reports, each with its path.
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
    // Only the record of what was sent still has it.
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
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2024-01-02..2024-01-12 --tickers AAPL").exits(0);
    change(&grab, |bars| bars.truncate(bars.len() - 1));
    let start = "start --sandbox --windows 2024-01-02..2024-01-31 --tickers AAPL";
    let more = grab.run(start).exits(11);
    assert!(
        more.stdout.contains("is not the file that was recorded: `grab repair` fetches it again"),
        "{more:?}"
    );
    grab.run("repair").exits(0);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
    fs::remove_file(place(&grab, DAMAGED, "01")).unwrap();
    let gone = grab.run("start --sandbox --windows 2024-01..2024-02 --tickers AAPL --json").exits(0).json();
    assert_eq!(gone["tasks"]["done"], gone["tasks"]["total"], "February is no affair of January's");
}

/// A server with the bars that `has` allows for each day; it counts the requests.
fn lacking(has: impl Fn(i8) -> bool + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        let day_of = |text: &str| text.parse::<jiff::civil::Date>().unwrap().day();
        let to = request.target.split(['/', '?']).nth(9).unwrap();
        let asked = day_of(request.from())..=day_of(to);
        let days = [3, 4, 5, 8, 9].into_iter().filter(|day| asked.contains(day) && has(*day));
        let bars = bars_of(&days.map(|day| date(2024, 1, day)).collect::<Vec<_>>());
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
    assert!(finding["detail"].as_str().unwrap().contains("requested again on"), "{finding}");
    let asked = server.pages_asked();
    grab.run("repair").exits(0);
    assert_eq!(server.pages_asked(), asked, "it is not asked for ever");
}

#[test]
fn a_saved_report_means_the_days_that_it_names_whatever_became_of_the_others() {
    let has_come = Arc::new(AtomicBool::new(false));
    let came = Arc::clone(&has_come);
    let server = lacking(move |day| !(4..=8).contains(&day) || came.load(Ordering::Relaxed));
    let grab = Grab::with_server(server.base_url());
    grab.run(WEEK).exits(0);
    let report = grab.run("verify --json").exits(13).stdout;
    assert!(report.contains(r#""date":"2024-01-04","to":"2024-01-08""#), "{report}");
    has_come.store(true, Ordering::Relaxed);
    fs::write(grab.dir().join("one.json"), report.replace(r#""to":"2024-01-08""#, r#""to":"2024-01-04""#))
        .unwrap();
    assert_eq!(grab.run("repair --from one.json --json").exits(0).json()["bars"], 30);
    fs::write(grab.dir().join("all.json"), format!("\u{feff}{report}")).unwrap();
    assert_eq!(grab.run("repair --from all.json --json").exits(0).json()["bars"], 60);
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

#[test]
fn a_task_that_was_under_way_is_begun_anew_if_what_it_had_stored_is_lost() {
    let market = Serving::start(SandboxOptions { page_cap: 400, ..SandboxOptions::default() });
    let grab = Grab::with_server(market.base_url());
    grab.run("start --windows 2024-01-09..2024-01-11 --tickers AAPL --max-requests 3").exits(10);
    fs::remove_file(place(&grab, DAMAGED, "01")).unwrap();
    grab.run("repair").exits(0);
    let undisturbed = Grab::with_server(market.base_url());
    undisturbed.run("start --windows 2024-01-09..2024-01-11 --tickers AAPL").exits(0);
    assert!(read_store(&grab.data_dir()) == read_store(&undisturbed.data_dir()));
}

#[test]
fn a_file_stays_aside_until_what_replaces_it_is_no_smaller() {
    let is_less = Arc::new(AtomicBool::new(false));
    let less = Arc::clone(&is_less);
    let server = Server::start(move |request| {
        let days: &[i8] = if less.load(Ordering::Relaxed) { &[4] } else { &[3, 4] };
        let days: Vec<_> = days.iter().map(|day| date(2024, 1, *day)).collect();
        Reply::json(200, page(request.symbol(), &bars_of(&days), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    flip(&place(&grab, "A", "01"), 100);
    is_less.store(true, Ordering::Relaxed);
    let less = grab.run("repair --json").exits(13).json();
    let kept = grab.dir().join(less["set_aside"][0].as_str().unwrap());
    assert!(kept.ends_with("month=01/bars-60.parquet") && kept.exists(), "{less}");
    // The server has all bars again.
    is_less.store(false, Ordering::Relaxed);
    flip(&place(&grab, "A", "01"), 100);
    let more = grab.run("repair --json").exits(0).json();
    assert_eq!(more["set_aside"], serde_json::json!([]));
    assert!(!grab.data_dir().join("set_aside").exists());
}

#[test]
fn what_lies_behind_a_link_is_named_and_not_touched() {
    let grab = stored();
    let bars = grab.data_dir().join("bars_1m");
    let whole = read_store(&grab.data_dir());
    std::os::unix::fs::symlink("ticker=AAPL", bars.join("ticker=ZZZ")).unwrap();
    assert_eq!(found(&grab, ""), ["stray_file ZZZ 2024-01", "stray_file ZZZ 2024-02"]);
    let left = grab.run("repair").exits(12);
    assert!(left.stdout.contains("remains   "), "{left:?}");
    assert!(left.stderr.contains("is behind a link: not touched"), "{left:?}");
    fs::remove_file(bars.join("ticker=ZZZ")).unwrap();
    assert!(read_store(&grab.data_dir()) == whole);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
}

#[test]
fn a_damaged_file_behind_a_link_is_left_and_not_asked_for() {
    let grab = stored();
    let (bars, elsewhere) = (grab.data_dir().join("bars_1m"), grab.dir().join("elsewhere"));
    fs::rename(bars.join("ticker=AAPL"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, bars.join("ticker=AAPL")).unwrap();
    flip(&place(&grab, DAMAGED, "01"), 100);
    let left = grab.run("repair --json").exits(12).json();
    assert_eq!(
        (&left["requests"], &left["mended"], &left["tasks"]["failed"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert!(left["left"][0].as_str().unwrap().ends_with("it is behind a link"), "{left}");
    // A run that was cut short reports that first; the next one can report the rest.
    for month in ["01", "02"] {
        flip(&place(&grab, "MSFT", month), 100);
    }
    assert_eq!(grab.run("repair --json --max-requests 1").exits(10).json()["left"], left["left"]);
    grab.run("repair").exits(12);
    assert_eq!(found(&grab, "--deep"), ["digest_mismatch AAPL 2024-01"]);
}

#[test]
fn a_repair_that_cannot_begin_moves_nothing() {
    let server = lacking(|_| true);
    let grab = Grab::with_server(server.base_url());
    grab.run(WEEK).exits(0);
    flip(&place(&grab, "A", "01"), 100);
    for (how, code) in [("--adjusted", 2), ("--sandbox", 2)] {
        grab.run(&format!("repair {how}")).exits(code);
    }
    let keyless = grab.command("repair").env_remove("MASSIVE_API_KEY").output().unwrap();
    assert_eq!(keyless.status.code(), Some(20));
    assert!(place(&grab, "A", "01").exists() && !grab.data_dir().join("set_aside").exists());
}

#[test]
fn a_gap_over_a_weekend_that_nobody_asked_for_is_one() {
    let server = lacking(|day| day != 5 && day != 8);
    let grab = Grab::with_server(server.base_url());
    for window in ["2024-01-03..2024-01-05", "2024-01-08..2024-01-09"] {
        grab.run(&format!("start --windows {window} --tickers A")).exits(0);
    }
    let asked = grab.run("repair --dry-run --json").exits(0).json();
    let windows: Vec<_> =
        asked["asked_again"].as_array().unwrap().iter().map(|again| &again["window"]["from"]).collect();
    assert_eq!(windows, ["2024-01-05"], "of the weekend between there is nothing");
}

#[test]
fn things_that_are_no_files_are_named_and_delay_nothing() {
    let grab = stored();
    let whole = read_store(&grab.data_dir());
    let bars = grab.data_dir().join("bars_1m");
    fs::write(bars.join("ticker=ABC"), "x").unwrap();
    fs::create_dir_all(bars.join("backup/month=01")).unwrap();
    fs::copy(place(&grab, DAMAGED, "02"), bars.join("backup/month=01/bars.parquet")).unwrap();
    fs::create_dir(place(&grab, "MSFT", "01").with_file_name(".bars-x.tmp")).unwrap();
    let pipe = place(&grab, DAMAGED, "01");
    fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let kinds = ["corrupt_file AAPL 2024-01", "stray_file", "stray_file ABC", "stray_file MSFT"];
    let mut found_kinds = found(&grab, "--deep");
    found_kinds.sort();
    assert_eq!(found_kinds, kinds);
    assert_eq!(grab.run("verify --json").exits(12).json()["damage"], 2, "a copy that readers read is one");
    grab.run("repair").exits(0);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
    assert!(read_store(&grab.data_dir()) == whole);
}

#[test]
fn a_lost_witness_is_forgotten_and_can_be_asked_again() {
    let grab = stored();
    grab.run("verify --witness grouped-daily").exits(0);
    let day = |day: &str| grab.data_dir().join(format!("reference/grouped_daily/date={day}/market.parquet"));
    fs::remove_file(day("2024-01-09")).unwrap();
    flip(&day("2024-01-10"), 100);
    assert_eq!(grab.run("verify --json").exits(12).json()["damage"], 2);
    assert_eq!(grab.run("repair --json").exits(0).json()["mended"], 2);
    let left = grab.run("verify --deep --json").exits(0).json();
    assert_eq!((&left["damage"], &left["witness"]["sessions"]), (&0.into(), &2.into()));
    let again = grab.run("verify --witness grouped-daily --json").exits(0).json();
    assert_eq!(again["witness"]["requests"], 2);
}

#[test]
fn a_thin_session_of_a_saved_report_is_asked_for_again_and_then_the_servers_own() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2024-01-09..2024-01-11 --tickers AAPL").exits(0);
    grab.run("verify --witness grouped-daily").exits(0);
    // The store gets half a session, as if the server had sent no more.
    let noon = new_york::at_ms(date(2024, 1, 10), 12, 0)..new_york::at_ms(date(2024, 1, 11), 0, 0);
    let mut bars = read_store(&grab.data_dir()).remove(DAMAGED).unwrap();
    bars.retain(|bar| !noon.contains(&bar.timestamp));
    store_again(&grab, &bars);
    let saved = grab.run("verify --deep --json").exits(13).stdout;
    assert_eq!(found(&grab, "--deep"), ["thin_session AAPL"]);
    fs::write(grab.dir().join("findings.json"), saved).unwrap();
    assert_eq!(grab.run("repair --from findings.json --json").exits(0).json()["mended"], 1);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
    // After the second request it is no gap any more.
    store_again(&grab, &bars);
    let known = grab.run("verify --deep --json").exits(0).json();
    assert_eq!(
        (&known["findings"][0]["severity"], &known["coverage"]["present_sessions"]),
        (&"notice".into(), &3.into())
    );
    grab.run("verify --deep --min-coverage 1").exits(0);
}

/// Writes file and row of January as a run would that got just these bars.
fn store_again(grab: &Grab, bars: &[Bar]) {
    let dir = tempfile::tempdir().unwrap();
    let (symbol, month) = (DAMAGED.parse().unwrap(), Month::new(2024, 1).unwrap());
    let store = BarStore::new(DataDir::new(dir.path().to_owned()), false, "sandbox".into());
    let fetched =
        MergeInput { bars: bars.iter().copied().collect(), at_ms: 1, whole: None, finality: Finality::Final };
    let made = store.merge(&symbol, month, fetched, None).unwrap().partition;
    let made_at = dir.path().join("bars_1m/ticker=AAPL/year=2024/month=01/bars.parquet");
    fs::copy(made_at, place(grab, DAMAGED, "01")).unwrap();
    let counts = serde_json::to_string(&made.session_bars().collect::<Vec<_>>()).unwrap();
    let row = rusqlite::params![made.bytes, format!("{:016x}", made.xxh3), made.bars, counts];
    grab.manifest()
        .execute("UPDATE partitions SET bytes = ?, xxh3 = ?, bars = ?, session_bars = ?", row)
        .unwrap();
}

#[test]
fn rows_that_cannot_be_are_a_damaged_manifest_which_can_be_made_anew() {
    let grab = stored();
    grab.manifest().execute("UPDATE partitions SET session_bars = '[1]' WHERE ticker = 'AAPL'", []).unwrap();
    assert_eq!(found(&grab, ""), ["manifest_corrupt"]);
    grab.run("repair").exits(30);
    grab.run("repair --rebuild-manifest").exits(0);
    assert_eq!(found(&grab, "--deep"), [""; 0]);
}
