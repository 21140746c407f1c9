//! Damage of every kind, done to a store by hand: each one is found and reported, and hides no other.

use std::{fs, path::PathBuf};

use grab_core::data_dir::DataDir;
use grab_core::{
    store::{BarStore, Finality, MergeInput},
    verify::{
        DeepSelection, Finding, FindingKind, Severity, StoredWitness, Verification, VerifyOptions,
        VerifyProgress, verify,
    },
};
use grab_model::{Bar, Month, new_york};
use jiff::civil::date;
use serde_json::Value;

use crate::support::{Grab, Reply, Server, minutes, page};

/// Two symbols, two months each.
fn stored() -> Grab {
    let server = Server::start(|request| {
        let bars = [date(2024, 1, 3), date(2024, 2, 5)].map(|day| minutes(day, 5)).concat();
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01..2024-02 --tickers A,KIMpL").exits(0);
    grab
}

fn place(grab: &Grab, month: &str) -> PathBuf {
    grab.data_dir().join(format!("bars_1m/ticker=A/year=2024/month={month}/bars.parquet"))
}

fn verified(grab: &Grab, deep: &DeepSelection) -> Verification {
    let options =
        VerifyOptions { deep: deep.clone(), witness: StoredWitness::Ignored, ..VerifyOptions::default() };
    verify(&DataDir::new(grab.data_dir()), &options, &VerifyProgress::default()).unwrap()
}

/// All findings but gaps: a store of two days has one.
fn found(grab: &Grab, deep: &DeepSelection) -> Vec<Finding> {
    verified(grab, deep).findings.into_iter().filter(|finding| finding.severity != Severity::Gap).collect()
}

fn kinds(grab: &Grab, deep: &DeepSelection) -> Vec<FindingKind> {
    found(grab, deep).into_iter().map(|finding| finding.kind).collect()
}

/// Puts bars into A's January without the manifest, and fits the row except for `keep`.
fn rewrite(grab: &Grab, bars: &[Bar]) {
    let dir = tempfile::tempdir().unwrap();
    let store = BarStore::new(DataDir::new(dir.path().to_owned()), false, "127.0.0.1".into());
    let fetched =
        MergeInput { bars: bars.iter().copied().collect(), at_ms: 1, whole: None, finality: Finality::Final };
    let made =
        store.merge(&"A".parse().unwrap(), Month::new(2024, 1).unwrap(), fetched, None).unwrap().partition;
    let file = dir.path().join("bars_1m/ticker=A/year=2024/month=01/bars.parquet");
    fs::copy(file, place(grab, "01")).unwrap();
    let row = "UPDATE partitions SET bytes = ?, xxh3 = ?, bars = ?, session_mask = ?, session_bars = ?
               WHERE ticker = 'A' AND month = '2024-01'";
    let counts: Vec<_> = made.session_bars().collect();
    let values = rusqlite::params![
        made.bytes,
        format!("{:016x}", made.xxh3),
        made.bars,
        made.session_mask(),
        serde_json::to_string(&counts).unwrap()
    ];
    grab.manifest().execute(row, values).unwrap();
}

#[test]
fn what_a_run_has_stored_is_found_whole() {
    let grab = stored();
    let whole = verified(&grab, &DeepSelection::All);
    assert_eq!((found(&grab, &DeepSelection::All), whole.partitions, whole.files), (Vec::new(), 4, 4));
    assert_eq!(verified(&grab, &DeepSelection::None).files, 0);
}

#[test]
fn the_parts_together_are_all_files() {
    let grab = stored();
    let files = |deep| verified(&grab, &deep).files;
    assert_eq!((1..=3).map(|n| files(DeepSelection::Part { n, of: 3 })).sum::<u64>(), 4);
    assert_eq!((files(DeepSelection::Share(0.0)), files(DeepSelection::Share(1.0))), (0, 4));
}

#[test]
fn a_missing_file_is_missed_and_a_file_too_many_is_named() {
    let grab = stored();
    fs::rename(place(&grab, "01"), place(&grab, "02").with_file_name("other.parquet")).unwrap();
    fs::write(grab.data_dir().join("bars_1m/README"), "").unwrap();
    fs::create_dir_all(grab.data_dir().join("bars_1m/ticker=A/year=2024/month=03")).unwrap();
    fs::copy(place(&grab, "02"), place(&grab, "03")).unwrap();
    assert_eq!(
        kinds(&grab, &DeepSelection::None),
        [FindingKind::StrayFile, FindingKind::MissingFile, FindingKind::StrayFile, FindingKind::StrayFile]
    );
}

#[test]
fn changed_bytes_are_found_by_size_or_by_digest() {
    let grab = stored();
    let mut bytes = fs::read(place(&grab, "01")).unwrap();
    bytes[100] ^= 1;
    fs::write(place(&grab, "01"), &bytes).unwrap();
    assert_eq!(kinds(&grab, &DeepSelection::None), [], "the size is right");
    assert_eq!(kinds(&grab, &DeepSelection::All).len(), 1);
    fs::write(place(&grab, "01"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(kinds(&grab, &DeepSelection::None), [FindingKind::DigestMismatch]);
    assert_eq!(kinds(&grab, &DeepSelection::All), [FindingKind::CorruptFile]);
    fs::write(place(&grab, "01"), b"").unwrap();
    assert_eq!(kinds(&grab, &DeepSelection::All), [FindingKind::CorruptFile]);
}

#[test]
fn a_file_of_another_month_is_not_one_of_this() {
    let grab = stored();
    fs::copy(place(&grab, "02"), place(&grab, "01")).unwrap();
    let found = found(&grab, &DeepSelection::All);
    assert_eq!(found.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::SchemaMismatch]);
    assert_eq!(found[0].detail, "its month is 2024-02, and it lies at 2024-01");
}

#[test]
fn counts_that_are_not_those_recorded() {
    let grab = stored();
    rewrite(&grab, &minutes(date(2024, 1, 3), 5));
    assert_eq!(kinds(&grab, &DeepSelection::All), []);
    grab.manifest()
        .execute("UPDATE partitions SET bars = 6 WHERE month = '2024-01' AND ticker = 'A'", [])
        .unwrap();
    assert_eq!(kinds(&grab, &DeepSelection::All), [FindingKind::RowCountMismatch]);
    rewrite(&grab, &minutes(date(2024, 1, 3), 5));
    let other_day = "UPDATE partitions SET session_mask = 8 WHERE month = '2024-01' AND ticker = 'A'";
    grab.manifest().execute(other_day, []).unwrap();
    assert_eq!(kinds(&grab, &DeepSelection::All), [FindingKind::RowCountMismatch]);
}

#[test]
fn bars_at_times_and_prices_that_cannot_be() {
    let good = minutes(date(2024, 1, 3), 1)[0];
    let at = |day, hour, minute| new_york::at_ms(date(2024, 1, day), hour, minute);
    let cases = [
        (vec![Bar { timestamp: at(3, 20, 0), ..good }], None),
        (vec![Bar { timestamp: at(3, 20, 1), ..good }], Some(FindingKind::OutsideSession)),
        (vec![Bar { timestamp: at(3, 3, 59), ..good }], Some(FindingKind::OutsideSession)),
        (vec![Bar { timestamp: at(6, 10, 0), ..good }], Some(FindingKind::OutsideSession)),
        (vec![Bar { timestamp: at(3, 10, 0) + 1, ..good }], Some(FindingKind::OffMinute)),
        (vec![Bar { high: good.close - 1.0, ..good }], Some(FindingKind::BadOhlc)),
        (vec![Bar { low: good.open + 1.0, ..good }], Some(FindingKind::BadOhlc)),
    ];
    let grab = stored();
    for (bars, kind) in cases {
        rewrite(&grab, &bars);
        assert_eq!(kinds(&grab, &DeepSelection::All), Vec::from_iter(kind), "{bars:?}");
    }
}

#[test]
fn the_command_says_it_for_people_for_machines_and_in_its_exit_code() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2024-01..2024-03 --tickers AAPL,BRK.A,NOSUCH").exits(0);
    let clean = grab.run("verify --deep --json").exits(0).json();
    assert_eq!((&clean["damage"], &clean["gaps"], &clean["files_read"]), (&0.into(), &0.into(), &6.into()));
    // 21 + 20 + 20 sessions of two symbols; of the third, only the server says that it has none.
    let counts = ["expected_sessions", "present_sessions", "unexplained_sessions"];
    assert_eq!(counts.map(|count| clean["coverage"][count].as_u64().unwrap()), [122, 122, 61]);
    assert_eq!(clean["coverage"]["ratio"], 122.0 / 183.0);
    assert_eq!(clean["symbols"], serde_json::json!({"asked_for": 3, "without_bars": 1}));
    let notice = &clean["findings"][0];
    assert_eq!((&notice["kind"], &notice["severity"]), (&"missing_symbol".into(), &"notice".into()));

    fs::remove_file(grab.data_dir().join("bars_1m/ticker=AAPL/year=2024/month=02/bars.parquet")).unwrap();
    let report = grab.run("verify").exits(12);
    assert!(report.stdout.contains("missing_file         AAPL   2024-02"), "{report:?}");
    let damaged = grab.run("verify --json").exits(12).json();
    let finding = &damaged["findings"][0];
    assert_eq!((&finding["kind"], &finding["severity"]), (&"missing_file".into(), &"damage".into()));
    assert_eq!((&finding["ticker"], &finding["month"]), (&"AAPL".into(), &"2024-02".into()));
    assert_eq!(damaged["coverage"]["present_sessions"], 102, "what is not there covers nothing");
}

#[test]
fn gaps_count_when_coverage_is_below_what_is_asked_for() {
    let grab = stored();
    let gaps = grab.run("verify --json").exits(13).json();
    assert_eq!((&gaps["damage"], &gaps["gaps"]), (&0.into(), &2.into()));
    let gap = &gaps["findings"][0];
    assert_eq!((&gap["kind"], &gap["date"]), (&"missing_session".into(), &"2024-01-04".into()));
    // Four of twice 41 sessions: those before the first bar and after the last are explained by the server alone.
    grab.run("verify --min-coverage 0.05").exits(13);
    grab.run("verify --min-coverage 0.04").exits(0);
    for wrong in ["--min-coverage 2", "--sample 7", "--sample 0/3", "--sample 101%", "--deep --sample 5%"] {
        grab.run(&format!("verify {wrong}")).exits(2);
    }
    grab.run("verify --sample 1/30").exits(13);
}

#[test]
fn a_directory_that_is_damaged_held_or_empty() {
    let grab = stored();
    fs::write(grab.data_dir().join("manifest.sqlite"), "garbage, and more of it").unwrap();
    let report = grab.run("verify --json").exits(12).json();
    assert_eq!(report["findings"][0]["kind"], "manifest_corrupt");
    let nothing = Grab::new().run("verify").exits(2);
    assert!(nothing.stderr.contains("nothing was ever started here"), "{nothing:?}");
}

#[test]
fn a_spec_says_what_should_be_there_and_how_much_of_it_is_enough() {
    let grab = Grab::of_sandbox();
    let spec = |verify: &str| {
        let universe = "windows = [\"2024-01-02..2024-01-05\"]\n[universe]\ntickers = [\"AAPL\",\"MSFT\",\"NVDA\",\"IBM\"]\n";
        fs::write(grab.dir().join("spec.toml"), format!("{universe}[verify]\n{verify}\n")).unwrap();
        "verify --spec spec.toml --json"
    };
    grab.run("start --sandbox --windows 2024-01-02..2024-01-05 --tickers AAPL").exits(0);
    grab.run("verify").exits(0);
    let few = grab.run(spec("min_coverage = 0.9")).exits(13).json();
    assert_eq!(
        (&few["coverage"]["expected_sessions"], &few["coverage"]["present_sessions"]),
        (&16.into(), &4.into())
    );
    assert_eq!(few["missed"], serde_json::json!(["coverage 0.2500 is below 0.9"]));
    let named: Vec<_> = few["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["kind"].clone(), f["ticker"].clone()))
        .collect();
    let expected = ["IBM", "MSFT", "NVDA"].map(|symbol| ("missing_symbol".into(), symbol.into()));
    assert_eq!(named, expected);
    grab.run(spec("min_coverage = 0.25")).exits(0);
    grab.run("verify --spec spec.toml --min-coverage 0.26").exits(13);
    grab.run(spec("min_coverage = 7")).exits(3);
    grab.run(spec("min_cover = 0.7")).exits(3);
    grab.run("start --sandbox --spec spec.toml").exits(3);
}

#[test]
fn a_session_with_too_few_symbols_and_a_gap_that_is_too_long_are_named() {
    let server = Server::start(|request| {
        let days = if request.symbol() == "A" { &[2, 3, 4, 5, 8][..] } else { &[2, 8] };
        let bars: Vec<_> = days.iter().flat_map(|day| minutes(date(2024, 1, *day), 5)).collect();
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01-02..2024-01-08 --tickers A,B").exits(0);
    let few = grab.run("verify --min-coverage 0.5 --min-symbols-per-session 2 --json").exits(13).json();
    assert_eq!(few["missed"], serde_json::json!(["3 sessions with fewer than 2 symbols"]));
    let market = &few["findings"][0];
    assert_eq!((&market["kind"], &market["ticker"]), (&"missing_symbol".into(), &Value::Null));
    assert_eq!((&market["date"], &market["to"]), (&"2024-01-03".into(), &"2024-01-05".into()));
    assert_eq!(market["detail"], "1 of at least 2 symbols have bars, in 3 sessions to 2024-01-05");
    grab.run("verify --min-coverage 0.5 --min-symbols-per-session 1").exits(0);
    let long = grab.run("verify --min-coverage 0.5 --max-gap-sessions 2").exits(13);
    assert!(long.stdout.contains("the longest gap has 3 sessions, more than 2"), "{long:?}");
    grab.run("verify --min-coverage 0.5 --max-gap-sessions 3").exits(0);

    // What a spec wants and nothing has requested is a gap, and its sessions have no symbol.
    let spec = "windows = [\"2024-01-02..2024-01-12\"]\n[universe]\ntickers = [\"A\"]\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    let wanted = "verify --min-coverage 0 --spec spec.toml";
    grab.run(&format!("{wanted} --max-gap-sessions 4")).exits(0);
    grab.run(&format!("{wanted} --max-gap-sessions 3")).exits(13);
    let none = grab.run(&format!("{wanted} --min-symbols-per-session 1")).exits(13);
    assert!(none.stdout.contains("4 sessions with fewer than 1 symbol"), "{none:?}");
}

/// The server has one of twenty symbols, and says that the others are empty.
fn hollow(has_any: bool) -> Grab {
    let server = Server::start(move |request| {
        let is_there = has_any && request.symbol() == "A00";
        let bars: Vec<_> =
            (2..=5).filter(|_| is_there).flat_map(|day| minutes(date(2024, 1, day), 5)).collect();
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url());
    let tickers: Vec<_> = (0..20).map(|number| format!("\"A{number:02}\"")).collect();
    let spec = format!(
        "windows = [\"2024-01-02..2024-01-05\"]\n[universe]\ntickers = [{}]\n[verify]\nmin_coverage = 0.99\n",
        tickers.join(",")
    );
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    grab.run("start --spec spec.toml").exits(0);
    grab
}

#[test]
fn a_server_that_has_hardly_anything_passes_no_threshold() {
    let grab = hollow(true);
    for demand in ["--min-coverage 0.99", "--min-coverage 1", "--max-gap-sessions 3", "--spec spec.toml"] {
        for deep in ["", "--deep", "--witness none"] {
            grab.run(&format!("verify {deep} {demand}")).exits(13);
        }
    }
    let report = grab.run("verify --min-coverage 0.05 --max-gap-sessions 4 --json").exits(0).json();
    assert_eq!(report["coverage"]["ratio"], 0.05);
    assert_eq!((&report["notices"], &report["gaps"]), (&19.into(), &0.into()));
    let words =
        "no bar at all in 4 sessions to 2024-01-05, the server alone says so, and no witness confirms it";
    assert_eq!(report["findings"][0]["detail"], words);
    let text = grab.run("verify --spec spec.toml").exits(13).stdout;
    assert!(text.contains("19 of 20 requested symbols without any bar\n"), "{text}");
    assert!(text.contains("coverage  4 of 80 sessions (4 expected, 76 unexplained): 5.00 %"), "{text}");
    assert!(text.contains("missed    coverage 0.0500 is below 0.99"), "{text}");

    let nothing = hollow(false);
    let report = nothing.run("verify --min-coverage 0.01 --json").exits(13).json();
    assert_eq!(
        (&report["coverage"]["ratio"], &report["coverage"]["expected_sessions"]),
        (&0.0.into(), &0.into())
    );
}

#[test]
fn a_gap_goes_on_where_only_the_spec_goes_on() {
    let server = Server::start(|request| {
        Reply::json(if request.symbol() == "B" { 404 } else { 200 }, page("A", &[], None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers B").exits(11);
    let spec = "windows = [\"2024-01\", \"2024-02\", \"2024-03\"]\n[universe]\ntickers = [\"B\"]\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    let demand =
        |most: u64| format!("verify --min-coverage 0 --spec spec.toml --max-gap-sessions {most} --json");
    let long = grab.run(&demand(60)).exits(13).json();
    // 21, 20 and 20 sessions in a row.
    assert_eq!(long["missed"], serde_json::json!(["the longest gap has 61 sessions, more than 60"]));
    grab.run(&demand(61)).exits(0);
}

#[test]
fn no_day_of_a_damaged_file_counts_as_there() {
    let grab = stored();
    let whole = minutes(date(2024, 1, 3), 5);
    let coverage = |deep: &str| {
        let ran = grab.run(&format!("verify {deep} --json --missing missing.csv")).exits(12);
        let is_named =
            fs::read_to_string(grab.dir().join("missing.csv")).unwrap().contains("\nA,2024-01-03,");
        (ran.json()["coverage"]["present_sessions"].as_u64().unwrap(), is_named)
    };
    let bars_of_row = "UPDATE partitions SET bars = 6 WHERE month = '2024-01' AND ticker = 'A'";
    rewrite(&grab, &whole);
    grab.manifest().execute(bars_of_row, []).unwrap();
    assert_eq!(coverage("--deep"), (3, true), "row_count_mismatch");
    rewrite(&grab, &whole);
    grab.manifest()
        .execute("UPDATE partitions SET xxh3 = '0000000000000000' WHERE month = '2024-01'", [])
        .unwrap();
    assert_eq!(coverage("--deep"), (2, true), "digest_mismatch, of both symbols");
    rewrite(&grab, &whole);
    let file = fs::read(place(&grab, "01")).unwrap();
    fs::write(place(&grab, "01"), [&file[..], b"PAR1"].concat()).unwrap();
    assert_eq!(coverage(""), (3, true), "another size, which needs no reading");
}

#[test]
fn a_name_that_is_no_text_breaks_no_report() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let grab = stored();
    fs::write(grab.data_dir().join("bars_1m").join(OsStr::from_bytes(b"ticker=\xff.parquet")), "").unwrap();
    let report = grab.run("verify --json --report page.html --csv findings.csv").exits(12).json();
    assert_eq!(report["findings"][0]["kind"], "stray_file");
    assert!(report["findings"][0]["path"].as_str().unwrap().ends_with("bars_1m/ticker=\u{fffd}.parquet"));
}

#[test]
fn a_file_in_the_place_of_all_bars_is_damage() {
    let grab = stored();
    fs::rename(grab.data_dir().join("bars_1m"), grab.dir().join("elsewhere")).unwrap();
    fs::write(grab.data_dir().join("bars_1m"), "").unwrap();
    let report = grab.run("verify --json").exits(12).json();
    let kinds: Vec<_> = report["findings"].as_array().unwrap().iter().map(|f| f["kind"].clone()).collect();
    let damage = ["stray_file", "missing_file", "missing_file", "missing_file", "missing_file"];
    assert_eq!(
        (&kinds[..5], &kinds[5..]),
        (&damage.map(Value::from)[..], &["missing_session"; 2].map(Value::from)[..])
    );
    assert_eq!(report["findings"][0]["detail"], "a file in the place of the folder of all bars");
}
