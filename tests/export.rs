//! `grab export`: derived files are correct to the last bit.

mod companies;
mod joined;
mod names;
mod refusals;
mod truth;

use std::{collections::BTreeMap, fs, path::Path};

use grab_core::data_dir::DataDir;
use grab_core::store::reference::{self, ReferenceTable, TableRecord, TableRow};
use grab_model::{Bar, Rename, Split};
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row as FileRow},
};
use serde_json::Value;

use crate::support::{Grab, Reply, Server, bars_of, page, read_store};

/// When the tables were fetched in these tests: 2026-07-20 at noon, UTC ms.
const FETCHED_MS: i64 = 1_784_548_800_000;

fn split(ticker: &str, day: Date, from: f64, to: f64) -> Split {
    Split {
        ticker: ticker.parse().unwrap(),
        execution_date: day,
        split_from: from,
        split_to: to,
        adjustment_type: None,
        id: None,
    }
}

fn rename(asked_as: &str, ticker: &str, day: Date) -> Rename {
    Rename {
        composite_figi: Some(format!("of {asked_as}")),
        cik: None,
        name: None,
        ticker: ticker.parse().unwrap(),
        date: day,
        asked_as: asked_as.parse().unwrap(),
    }
}

fn table<T: TableRecord>(rows: Vec<T>) -> ReferenceTable<T> {
    let rows: Vec<TableRow<T>> = reference::merge(Vec::new(), rows, FETCHED_MS, |_| true).rows;
    ReferenceTable { rows, fetched_ms: FETCHED_MS, source: "localhost".to_owned() }
}

fn keep_splits(grab: &Grab, splits: Vec<Split>) {
    reference::write_splits(&DataDir::new(grab.data_dir()), &table(splits)).unwrap();
}

/// The bars of an exported CSV.
fn csv(grab: &Grab, path: &str) -> Vec<Bar> {
    let mut file = csv::Reader::from_path(grab.dir().join(path)).unwrap();
    let header = file.headers().unwrap().clone();
    let names = ["timestamp", "open", "high", "low", "close", "volume", "vwap", "transactions"];
    assert_eq!(header.iter().collect::<Vec<_>>(), names);
    let bar = |row: csv::StringRecord| {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        Bar {
            timestamp: row[0].parse::<Timestamp>().unwrap().as_millisecond(),
            open: number(1),
            high: number(2),
            low: number(3),
            close: number(4),
            volume: number(5),
            vwap: row.get(6).filter(|cell| !cell.is_empty()).map(|cell| cell.parse().unwrap()),
            transactions: row.get(7).filter(|cell| !cell.is_empty()).map(|cell| cell.parse().unwrap()),
        }
    };
    file.records().map(|row| bar(row.unwrap())).collect()
}

/// The bars of an exported Parquet file, and its metadata.
fn parquet(path: &Path) -> (Vec<Bar>, BTreeMap<String, String>) {
    let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let entries = file.metadata().file_metadata().key_value_metadata().unwrap();
    let said = entries.iter().map(|entry| (entry.key.clone(), entry.value.clone().unwrap())).collect();
    let bar = |row: FileRow| {
        let fields: Vec<_> = row.into_columns().into_iter().map(|(_, field)| field).collect();
        let number =
            |column: usize| if let Field::Double(number) = fields[column] { Some(number) } else { None };
        let long = |column: usize| {
            if let Field::Long(number) | Field::TimestampMillis(number) = fields[column] {
                return Some(number);
            }
            assert!(matches!(fields[column], Field::Null), "{:?}", fields[column]);
            None
        };
        let required = |column| number(column).unwrap();
        Bar {
            timestamp: long(0).unwrap(),
            open: required(1),
            high: required(2),
            low: required(3),
            close: required(4),
            volume: required(5),
            vwap: number(6),
            transactions: long(7),
        }
    };
    (file.get_row_iter(None).unwrap().map(|row| bar(row.unwrap())).collect(), said)
}

fn bits(bar: &Bar) -> (i64, [u64; 5], Option<u64>, Option<i64>) {
    let Bar { timestamp, open, high, low, close, volume, vwap, transactions } = *bar;
    let numbers = [open, high, low, close, volume].map(f64::to_bits);
    (timestamp, numbers, vwap.map(f64::to_bits), transactions)
}

/// A bar whose prices and shares are changed.
fn changed(bar: &Bar, price: impl Fn(f64) -> f64, volume: impl Fn(f64) -> f64) -> Bar {
    Bar {
        open: price(bar.open),
        high: price(bar.high),
        low: price(bar.low),
        close: price(bar.close),
        volume: volume(bar.volume),
        vwap: bar.vwap.map(price),
        ..*bar
    }
}

fn assert_equal(found: &[Bar], expected: &[Bar]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(bits(found), bits(expected), "{found:?}, expected {expected:?}");
    }
}

/// Three days around the ends of two months, all of A and of `KIMpL`; B has none.
const DAYS: [Date; 3] = [date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 29)];

fn stored() -> Grab {
    let server = Server::start(|request| {
        let bars = if request.symbol() == "B" { Vec::new() } else { bars_of(&DAYS) };
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2026-07-20T12:00:00Z");
    grab.run("start --windows 2024-01..2024-02 --tickers KIMpL,A,B").exits(0);
    grab
}

fn files(report: &Value) -> Vec<String> {
    let files = report["files"].as_array().unwrap().iter();
    files
        .map(|file| format!("{} {} {}", file["ticker"], file["file"], file["bars"]).replace('"', ""))
        .collect()
}

#[test]
fn as_traded_it_is_what_the_store_has_in_both_formats() {
    let grab = stored();
    let report = grab.run("export --out out --json").exits(0).json();
    assert_eq!(files(&report), ["A A.parquet 90", "KIMpL KIM%70L.parquet 90"], "B has no bar");
    assert_eq!((&report["adjusted"], &report["bars"]), (&"none".into(), &180.into()));
    grab.run("export --out out --tickers KIMpL,B --format csv").exits(0);
    let held = &read_store(&grab.data_dir())["KIMpL"];
    assert_equal(&csv(&grab, "out/KIM%70L.csv"), held);
    let (bars, said) = parquet(&grab.dir().join("out/KIM%70L.parquet"));
    assert_equal(&bars, held);
    assert_eq!([&said["grab.ticker"], &said["grab.adjusted"], &said["grab.splits"]], ["KIMpL", "none", "[]"]);
    assert_eq!(csv(&grab, "out/B.csv"), [], "who is asked for by name has a file");
    let names: Vec<_> =
        fs::read_dir(grab.dir().join("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    grab.run("verify --deep --min-coverage 0.01").exits(0);
}

#[test]
fn windows_are_cut_to_the_day_and_may_overlap() {
    let grab = stored();
    grab.run(
        "export --out out --tickers A --windows 2024-02-01..2024-02-28,2024-02-01,2024-01-31 --format csv",
    )
    .exits(0);
    assert_equal(&csv(&grab, "out/A.csv"), &read_store(&grab.data_dir())["A"][..60]);
    let none = grab.run("export --out out --tickers A --windows 2023 --format csv --json").exits(0).json();
    assert_eq!((files(&none), &none["files"][0]["first"]), (vec!["A A.csv 0".to_owned()], &Value::Null));
}

#[test]
fn two_splits_one_on_the_first_day_and_as_of_between_them() {
    let grab = stored();
    keep_splits(
        &grab,
        vec![
            split("A", DAYS[0], 1.0, 2.0),
            split("A", DAYS[1], 1.0, 7.0),
            split("A", DAYS[2], 3.0, 1.0),
            split("KIMpL", DAYS[1], 1.0, 5.0),
        ],
    );
    let held = read_store(&grab.data_dir())["A"].clone();
    let export = |flags: &str| {
        let command = format!("export --out out --tickers A --format csv --adjusted splits {flags} --json");
        (grab.run(&command).exits(0).json(), csv(&grab, "out/A.csv"))
    };
    let (report, all) = export("");
    let first = |bar: &Bar| changed(bar, |p| p * 3.0 / 7.0, |v| v * 7.0 / 3.0);
    let second = |bar: &Bar| changed(bar, |p| p * 3.0, |v| v / 3.0);
    let expected: Vec<_> = held[..30]
        .iter()
        .map(first)
        .chain(held[30..60].iter().map(second))
        .chain(held[60..].to_vec())
        .collect();
    assert_equal(&all, &expected);
    let applied = &report["files"][0]["splits"];
    assert_eq!(applied.as_array().unwrap().len(), 2, "that of the first day changes nothing");
    let of = |at: usize, field: &str| applied[at][field].to_string();
    let factors = [of(0, "multiply"), of(0, "divide"), of(1, "multiply"), of(1, "divide")];
    assert_eq!(factors, ["3.0", "7.0", "3.0", "1.0"]);
    assert_eq!((&report["as_of"], &report["notes"]), (&"2026-07-20".into(), &Value::Array(vec![])));

    grab.run("export --out out --tickers A --adjusted splits").exits(0);
    let (bars, said) = parquet(&grab.dir().join("out/A.parquet"));
    assert_equal(&bars, &all);
    assert_eq!([&said["grab.adjusted"], &said["grab.as_of"]], ["splits", "2026-07-20"]);
    let splits: Value = serde_json::from_str(&said["grab.splits"]).unwrap();
    assert_eq!(&splits, applied);

    let (report, between) = export("--as-of 2024-02-28");
    let first = |bar: &Bar| changed(bar, |p| p / 7.0, |v| v * 7.0);
    let expected: Vec<_> = held[..30].iter().map(first).chain(held[30..].to_vec()).collect();
    assert_equal(&between, &expected);
    let note = report["files"][0]["notes"][0].as_str().unwrap();
    assert_eq!(note, "bars from 2024-02-29 on are in shares of a split after --as-of 2024-02-28");
    let (_, on_the_day) = export("--as-of 2024-02-29");
    assert_equal(&on_the_day, &all);
    let (_, before) = export("--as-of 2024-01-30");
    assert_equal(&before, &held);
}

#[test]
fn doubts_about_splits_are_said() {
    let grab = stored();
    let mut splits = table(vec![
        split("A", DAYS[1], 1.0, 7.0),
        split("A", DAYS[1], 7.0, 1.0),
        split("A", DAYS[2], 1.0, 2.0),
    ]);
    splits.rows.retain(|kept| kept.row.split_to > 1.0 || kept.row.split_from > 1.0);
    let gone = splits.rows.iter_mut().find(|kept| kept.row.execution_date == DAYS[2]).unwrap();
    gone.standing = reference::RowStatus::Withdrawn;
    reference::write_splits(&DataDir::new(grab.data_dir()), &splits).unwrap();
    let ran =
        grab.run("export --out out --tickers A --format csv --adjusted splits --as-of 2026-08-01").exits(0);
    assert!(ran.stderr.contains("note: the splits are those of 2026-07-20"), "{ran:?}");
    assert!(
        ran.stderr.contains("note: A: splits of A on 2024-02-01 contradict each other: 1:7 is taken"),
        "{ran:?}"
    );
    let held = &read_store(&grab.data_dir())["A"];
    let bars = csv(&grab, "out/A.csv");
    assert_equal(
        &bars[..30],
        &held[..30].iter().map(|b| changed(b, |p| p / 7.0, |v| v * 7.0)).collect::<Vec<_>>(),
    );
    assert_equal(&bars[30..], &held[30..]);
}

#[test]
fn what_is_owed_is_said() {
    let grab = stored();
    grab.run("start --plan-only --windows 2024-03 --tickers A").exits(0);
    let ran = grab.run("export --out out --tickers A").exits(0);
    assert!(ran.stderr.contains("note: A: 1 task is not done: its bars of A are not in the file"), "{ran:?}");
    let ran = grab.run("export --out out --tickers A --windows 2024-02").exits(0);
    assert!(!ran.stderr.contains("note: A"), "{ran:?}");
}

#[test]
fn tables_are_no_strays_and_their_damage_is_found() {
    let grab = stored();
    keep_splits(&grab, vec![split("A", DAYS[1], 1.0, 7.0)]);
    reference::write_renames(&DataDir::new(grab.data_dir()), &table(vec![rename("A", "A", DAYS[0])]))
        .unwrap();
    grab.run("verify --min-coverage 0.01").exits(0);
    let path = grab.data_dir().join("reference/splits.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = grab.run("verify --json").exits(12).json();
    let finding = &report["findings"][0];
    assert_eq!((&report["damage"], &finding["kind"]), (&1.into(), &"corrupt_file".into()));
    assert!(finding["path"].as_str().unwrap().ends_with("reference/splits.parquet"), "{finding}");
    assert!(finding["detail"].as_str().unwrap().contains("grab universe sync"), "{finding}");
    let ran = grab.run("export --out out --adjusted splits --json").exits(12);
    assert!(ran.json()["error"].as_str().unwrap().contains("splits.parquet cannot be used"), "{ran:?}");
    grab.run("export --out out").exits(0);
    let aside = grab.run("repair --max-attempts 1 --json").json()["set_aside"].take();
    assert!(aside.to_string().contains("set_aside/strays/reference/splits.parquet"), "{aside}");
    let ran = grab.run("export --out out --adjusted splits").exits(2);
    assert!(ran.stderr.contains("no splits are known here yet"), "{ran:?}");
    fs::write(grab.data_dir().join("reference/other.parquet"), "").unwrap();
    let report = grab.run("verify --json").exits(13).json();
    let findings = report["findings"].as_array().unwrap();
    let is_stray = findings.iter().any(|one| one["kind"] == "stray_file");
    assert_eq!((&report["damage"], is_stray), (&0.into(), true), "{report}");
}
