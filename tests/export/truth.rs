//! Exports compared with other sources: a server that adjusts itself, and splits as they were observed.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use grab_model::{adjust, new_york};
use grab_sandbox::SandboxOptions;

use super::*;
use crate::support::{Serving, fixture};

/// The day on which sandbox and program pretend to be.
const NOW: &str = "2026-07-20T12:00:00Z";

fn get(base_url: &str, path: &str) -> Value {
    let host = base_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The splits that the server lists, as a sync would fetch them.
fn listed(base_url: &str) -> Vec<Split> {
    let body = get(base_url, "/stocks/v1/splits?limit=5000");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let row = |row: &Value| Split {
        adjustment_type: Some(text(row, "adjustment_type")),
        id: Some(text(row, "id")),
        ..split(
            &text(row, "ticker"),
            text(row, "execution_date").parse().unwrap(),
            row["split_from"].as_f64().unwrap(),
            row["split_to"].as_f64().unwrap(),
        )
    };
    body["results"].as_array().unwrap().iter().map(row).collect()
}

/// How many float64 values lie between two.
fn apart(one: f64, other: f64) -> u64 {
    one.to_bits().abs_diff(other.to_bits())
}

/// The sandbox multiplies by a product of quotients, as the service's `historical_adjustment_factor` suggests. Where
/// the quotients are exact (a reverse split to one share, powers of two), the bits are the same; elsewhere the sandbox
/// rounds once more for each.
#[test]
fn an_export_is_what_a_server_that_adjusts_itself_sends() {
    let now = NOW.parse::<Timestamp>().unwrap().as_millisecond();
    let server = Serving::start(SandboxOptions { now: Arc::new(move || now), ..SandboxOptions::default() });
    for (ticker, windows, splits, most) in [
        ("TQQQ", "2022-01-11..2022-01-14", 2, 0),
        ("SOXS", "2020-08-26..2020-08-31", 5, 0),
        ("AAPL", "2014-06-05..2014-06-10,2020-08-28..2020-08-31", 2, 2),
        ("TSLA", "2022-08-24..2022-08-25", 1, 2),
        ("NVDA", "2024-06-07..2024-06-10", 1, 2),
    ] {
        let (traded, adjusted) =
            (Grab::with_server(server.base_url()).env("GRAB_NOW", NOW), Grab::with_server(server.base_url()));
        let adjusted = adjusted.env("GRAB_NOW", NOW);
        traded.run(&format!("start --windows {windows} --tickers {ticker}")).exits(0);
        adjusted.run(&format!("start --adjusted --windows {windows} --tickers {ticker}")).exits(0);
        keep_splits(&traded, listed(server.base_url()));
        let report = traded.run("export --adjusted splits --format csv --out out --json").exits(0).json();
        assert_eq!(report["files"][0]["splits"].as_array().unwrap().len(), splits, "{ticker}");
        adjusted.run("export --format csv --out out").exits(0);
        let path = format!("out/{ticker}.csv");
        let (ours, theirs) = (csv(&traded, &path), csv(&adjusted, &path));
        assert!(ours.len() > 1_000 && ours.len() == theirs.len(), "{ticker}");
        let mut worst = 0;
        for (one, other) in ours.iter().zip(&theirs) {
            let numbers = |b: &Bar| [b.open, b.high, b.low, b.close, b.volume, b.vwap.unwrap()];
            assert_eq!((one.timestamp, one.transactions), (other.timestamp, other.transactions));
            let pairs = numbers(one).into_iter().zip(numbers(other));
            worst = worst.max(pairs.map(|(one, other)| apart(one, other)).max().unwrap());
        }
        println!("{ticker}: {} bars, at most {worst} apart", ours.len());
        assert!(worst <= most, "{ticker}: {worst} apart");
    }
}

fn observed() -> Vec<(Split, f64, f64)> {
    let rows =
        csv::Reader::from_path(fixture("splits/observed_2019_2026.csv")).unwrap().into_records().map(|row| {
            let row = row.unwrap();
            let number = |column: usize| row[column].parse::<f64>().unwrap();
            let split = split(&row[0], row[1].parse().unwrap(), number(2), number(3));
            (split, number(4), number(5))
        });
    rows.collect()
}

#[test]
fn a_recorded_close_before_a_split_becomes_about_the_open_after_it() {
    let observed = observed();
    assert_eq!(observed.len(), 19);
    for (split, close, open) in observed {
        let step = adjust::SplitRatio {
            date: split.execution_date,
            since: None,
            from: split.split_from,
            to: split.split_to,
        };
        let before = new_york::at_ms(split.execution_date.yesterday().unwrap(), 15, 59);
        let factor = adjust::Adjustment::new(&[step], split.execution_date).at(before);
        let moved = factor.price(close) / open;
        assert!(
            (0.8..1.25).contains(&moved),
            "{split:?}: {close} became {}, then {open}",
            factor.price(close)
        );
    }
}

#[test]
fn recorded_bars_by_observed_splits() {
    let (folder, observed) = (fixture("minute-bars/yahoo-2019-12"), observed());
    let server = Serving::start(SandboxOptions { recorded: Some(folder), ..SandboxOptions::default() });
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", NOW);
    grab.run("start --windows 2019-12-16..2019-12-20 --tickers SOXS,SOXL,SPY").exits(0);
    keep_splits(&grab, observed.into_iter().map(|(split, ..)| split).collect());
    let held = read_store(&grab.data_dir());
    assert!(held["SOXS"].len() > 1_000 && held["SOXL"].len() > 1_000);
    let expect = |as_of: &str, ticker: &str, price: &dyn Fn(f64) -> f64, volume: &dyn Fn(f64) -> f64| {
        let command = format!("export --adjusted splits --as-of {as_of} --format csv --out {as_of}");
        grab.run(&command).exits(0);
        let expected: Vec<_> = held[ticker].iter().map(|bar| changed(bar, price, volume)).collect();
        assert_equal(&csv(&grab, &format!("{as_of}/{ticker}.csv")), &expected);
    };
    // 12, 10, 10, 20 and 10 old shares for one, one after the other.
    expect("2026-07-20", "SOXS", &|price| price * 240_000.0, &|shares| shares / 240_000.0);
    expect("2022-03-27", "SOXS", &|price| price * 12.0, &|shares| shares / 12.0);
    expect("2021-03-02", "SOXL", &|price| price / 15.0, &|shares| shares * 15.0);
    expect("2021-03-01", "SOXL", &|price| price, &|shares| shares);
    expect("2026-07-20", "SPY", &|price| price, &|shares| shares);
}
