//! Damage of every kind, done to a store by hand: each is found, named, and hides no other.

use std::{fs, path::PathBuf};

use grab::{
    model::{Bar, Month, new_york},
    store::{Fetched, Store},
    verify::{Deep, Finding, Kind, Nobody, Progress, Severity, verify},
};
use jiff::civil::date;

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

/// All findings but gaps: a store of two days has one.
fn found(grab: &Grab, deep: &Deep) -> Vec<Finding> {
    let findings = verify(&grab.data_dir(), deep, &Nobody, &Progress::default()).unwrap().findings;
    findings.into_iter().filter(|finding| finding.severity != Severity::Gap).collect()
}

fn kinds(grab: &Grab, deep: &Deep) -> Vec<Kind> {
    found(grab, deep).into_iter().map(|finding| finding.kind).collect()
}

/// Puts bars into A's January behind the manifest's back, and makes the row fit but for `keep`.
fn rewrite(grab: &Grab, bars: &[Bar]) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().to_owned(), false, "127.0.0.1".into());
    let fetched = Fetched { bars: bars.iter().copied().collect(), at_ms: 1, whole: None };
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
    let verified = verify(&grab.data_dir(), &Deep::All, &Nobody, &Progress::default()).unwrap();
    assert_eq!((found(&grab, &Deep::All), verified.partitions, verified.files), (Vec::new(), 4, 4));
    assert_eq!(verify(&grab.data_dir(), &Deep::None, &Nobody, &Progress::default()).unwrap().files, 0);
}

#[test]
fn the_parts_together_are_all_files() {
    let grab = stored();
    let files = |deep| verify(&grab.data_dir(), &deep, &Nobody, &Progress::default()).unwrap().files;
    assert_eq!((1..=3).map(|n| files(Deep::Part { n, of: 3 })).sum::<u64>(), 4);
    assert_eq!((files(Deep::Share(0.0)), files(Deep::Share(1.0))), (0, 4));
}

#[test]
fn a_missing_file_is_missed_and_a_file_too_many_is_named() {
    let grab = stored();
    fs::rename(place(&grab, "01"), place(&grab, "02").with_file_name("other.parquet")).unwrap();
    fs::write(grab.data_dir().join("bars_1m/README"), "").unwrap();
    fs::create_dir_all(grab.data_dir().join("bars_1m/ticker=A/year=2024/month=03")).unwrap();
    fs::copy(place(&grab, "02"), place(&grab, "03")).unwrap();
    assert_eq!(
        kinds(&grab, &Deep::None),
        [Kind::StrayFile, Kind::MissingFile, Kind::StrayFile, Kind::StrayFile]
    );
}

#[test]
fn changed_bytes_are_found_by_size_or_by_digest() {
    let grab = stored();
    let mut bytes = fs::read(place(&grab, "01")).unwrap();
    bytes[100] ^= 1;
    fs::write(place(&grab, "01"), &bytes).unwrap();
    assert_eq!(kinds(&grab, &Deep::None), [], "the size is right");
    assert_eq!(kinds(&grab, &Deep::All).len(), 1);
    fs::write(place(&grab, "01"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(kinds(&grab, &Deep::None), [Kind::DigestMismatch]);
    assert_eq!(kinds(&grab, &Deep::All), [Kind::CorruptFile]);
    fs::write(place(&grab, "01"), b"").unwrap();
    assert_eq!(kinds(&grab, &Deep::All), [Kind::CorruptFile]);
}

#[test]
fn a_file_of_another_month_is_not_one_of_this() {
    let grab = stored();
    fs::copy(place(&grab, "02"), place(&grab, "01")).unwrap();
    let found = found(&grab, &Deep::All);
    assert_eq!(found.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::SchemaMismatch]);
    assert_eq!(found[0].detail, "its month is 2024-02, and it lies at 2024-01");
}

#[test]
fn counts_that_are_not_those_recorded() {
    let grab = stored();
    rewrite(&grab, &minutes(date(2024, 1, 3), 5));
    assert_eq!(kinds(&grab, &Deep::All), []);
    grab.manifest()
        .execute("UPDATE partitions SET bars = 6 WHERE month = '2024-01' AND ticker = 'A'", [])
        .unwrap();
    assert_eq!(kinds(&grab, &Deep::All), [Kind::RowCountMismatch]);
    rewrite(&grab, &minutes(date(2024, 1, 3), 5));
    let other_day = "UPDATE partitions SET session_mask = 8 WHERE month = '2024-01' AND ticker = 'A'";
    grab.manifest().execute(other_day, []).unwrap();
    assert_eq!(kinds(&grab, &Deep::All), [Kind::RowCountMismatch]);
}

#[test]
fn bars_at_times_and_prices_that_cannot_be() {
    let good = minutes(date(2024, 1, 3), 1)[0];
    let at = |day, hour, minute| new_york::at_ms(date(2024, 1, day), hour, minute);
    let cases = [
        (vec![Bar { timestamp: at(3, 20, 0), ..good }], None),
        (vec![Bar { timestamp: at(3, 20, 1), ..good }], Some(Kind::OutsideSession)),
        (vec![Bar { timestamp: at(3, 3, 59), ..good }], Some(Kind::OutsideSession)),
        (vec![Bar { timestamp: at(6, 10, 0), ..good }], Some(Kind::OutsideSession)),
        (vec![Bar { timestamp: at(3, 10, 0) + 1, ..good }], Some(Kind::OffMinute)),
        (vec![Bar { high: good.close - 1.0, ..good }], Some(Kind::BadOhlc)),
        (vec![Bar { low: good.open + 1.0, ..good }], Some(Kind::BadOhlc)),
    ];
    let grab = stored();
    for (bars, kind) in cases {
        rewrite(&grab, &bars);
        assert_eq!(kinds(&grab, &Deep::All), Vec::from_iter(kind), "{bars:?}");
    }
}

#[test]
fn the_command_says_it_for_people_for_machines_and_in_its_exit_code() {
    let grab = Grab::new();
    grab.run("start --sandbox --windows 2024-01..2024-03 --tickers AAPL,BRK.A,NOSUCH").exits(0);
    let clean = grab.run("verify --deep --json").exits(0).json();
    assert_eq!((&clean["damage"], &clean["gaps"], &clean["files_read"]), (&0.into(), &0.into(), &6.into()));
    // 21 + 20 + 20 sessions, of two symbols; the third is proven to have none.
    assert_eq!(clean["coverage"]["expected_sessions"], 122);
    assert_eq!(clean["coverage"]["ratio"], 1.0);

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
    grab.run("verify --min-coverage 0.05").exits(0);
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
    let grab = Grab::new();
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
    assert_eq!((&market["kind"], &market["ticker"]), (&"missing_symbol".into(), &serde_json::Value::Null));
    assert_eq!((&market["date"], &market["to"]), (&"2024-01-03".into(), &"2024-01-05".into()));
    assert_eq!(market["detail"], "1 of at least 2 symbols have bars, in 3 sessions to 2024-01-05");
    grab.run("verify --min-coverage 0.5 --min-symbols-per-session 1").exits(0);
    let long = grab.run("verify --min-coverage 0.5 --max-gap-sessions 2").exits(13);
    assert!(long.stdout.contains("the longest gap has 3 sessions, more than 2"), "{long:?}");
    grab.run("verify --min-coverage 0.5 --max-gap-sessions 3").exits(0);

    // What a spec wants and nobody asked for is a gap, and its sessions have no symbol.
    let spec = "windows = [\"2024-01-02..2024-01-12\"]\n[universe]\ntickers = [\"A\"]\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    let wanted = "verify --min-coverage 0 --spec spec.toml";
    grab.run(&format!("{wanted} --max-gap-sessions 4")).exits(0);
    grab.run(&format!("{wanted} --max-gap-sessions 3")).exits(13);
    let none = grab.run(&format!("{wanted} --min-symbols-per-session 1")).exits(13);
    assert!(none.stdout.contains("4 sessions with fewer than 1 symbol"), "{none:?}");
}
