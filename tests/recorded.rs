//! Real bars, served by the sandbox as they were recorded, and what is on disk afterwards.

use std::{collections::BTreeMap, fs::File, path::Path};

use flate2::read::GzDecoder;
use grab_model::Bar;
use grab_sandbox::SandboxOptions;

use crate::support::{Grab, Serving, lent, litter, read_store};

/// A recorded file as the store should hold it: one bar a minute, of several the last.
fn recorded(path: &Path) -> Vec<Bar> {
    let mut table = csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()));
    let header = table.headers().unwrap().clone();
    let mut bars = BTreeMap::new();
    for row in table.records() {
        let row = row.unwrap();
        let cell = |name: &str| {
            let column = header.iter().position(|column| column == name)?;
            row.get(column).filter(|cell| !cell.is_empty())
        };
        let number = |name: &str| cell(name).unwrap().parse::<f64>().unwrap();
        let timestamp = cell("t_ms_utc").unwrap().parse().unwrap();
        let bar = Bar {
            timestamp,
            open: number("o"),
            high: number("h"),
            low: number("l"),
            close: number("c"),
            volume: number("v"),
            vwap: cell("vw").map(|text| text.parse().unwrap()),
            transactions: cell("n").map(|text| text.parse().unwrap()),
        };
        bars.insert(timestamp, bar);
    }
    bars.into_values().collect()
}

fn serve(folder: &Path, page_cap: u32) -> Serving {
    Serving::start(SandboxOptions {
        recorded: Some(folder.to_owned()),
        page_cap,
        ..SandboxOptions::default()
    })
}

/// Bar by bar and bit by bit: `assert_eq` on 50,000 bars would print them all.
fn assert_equal(symbol: &str, stored: &[Bar], expected: &[Bar]) {
    assert_eq!(stored.len(), expected.len(), "{symbol}");
    let bits = |bar: &Bar| {
        let Bar { timestamp, open, high, low, close, volume, vwap, transactions } = *bar;
        let prices = [open, high, low, close, volume].map(f64::to_bits);
        (timestamp, prices, vwap.map(f64::to_bits), transactions)
    };
    for (stored, expected) in stored.iter().zip(expected) {
        assert_eq!(bits(stored), bits(expected), "{symbol}: {stored:?}, recorded {expected:?}");
    }
}

#[test]
#[ignore = "needs the recorded data in ../shared/data"]
fn a_year_of_twelve_names_in_small_pages_interrupted_and_resumed() {
    let folder = lent("minute-bars/blaizard-2024");
    let symbols = ["BKNG", "ERIE", "EXE", "FDS", "FICO", "GWW", "LII", "MTD", "NDSN", "TDG", "TDY", "TYL"];
    let server = serve(&folder, 5_000);
    let grab = Grab::with_server(server.base_url());
    let start = format!("start --windows 2024 --tickers {} --max-requests 17", symbols.join(","));
    let first = grab.run(&format!("{start} --json")).exits(10).json();
    assert_eq!(first["requests"], 17);
    let mut requests = 17;
    while grab.run("resume --max-requests 23").code == 10 {
        requests += 23;
    }
    let expected: Vec<_> = symbols.map(|symbol| recorded(&folder.join(format!("{symbol}.csv.gz")))).into();
    let pages: usize = expected.iter().map(|bars| bars.len().div_ceil(5_000)).sum();
    assert!(
        requests < pages && pages <= requests + 23,
        "{requests} requests before the last run, {pages} pages"
    );
    assert_eq!(
        grab.count("SELECT count(*) FROM pages"),
        i64::try_from(pages).unwrap(),
        "no page was stored twice"
    );
    let stored = read_store(&grab.data_dir());
    for (symbol, expected) in symbols.iter().zip(&expected) {
        assert_equal(symbol, &stored[*symbol], expected);
    }
    assert_eq!(litter(&grab.data_dir()), [""; 0].map(std::path::PathBuf::from));
    let status = grab.run("status --json").json();
    assert_eq!(status["bars"], expected.iter().map(Vec::len).sum::<usize>());
}

#[test]
#[ignore = "needs the recorded data in ../shared/data"]
fn of_five_thousand_doubled_minutes_each_is_stored_once_and_the_later_one() {
    let folder = lent("minute-bars/yahoo-2019-12");
    let server = serve(&folder, 1_000);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2019-12-13..2020-01-31 --tickers SPY,BKLN,IBDO,VPU").exits(0);
    let stored = read_store(&grab.data_dir());
    for symbol in ["SPY", "BKLN", "IBDO", "VPU"] {
        let inside = |bar: &&Bar| (1_575_176_400_000..1_580_533_200_000).contains(&bar.timestamp);
        let expected: Vec<_> =
            recorded(&folder.join(format!("{symbol}.csv.gz"))).iter().filter(inside).copied().collect();
        assert_equal(symbol, &stored[symbol], &expected);
    }
    assert_eq!(stored["SPY"].len(), 13_434 - 5_074);
}

#[test]
#[ignore = "needs the recorded data in ../shared/data"]
fn bars_without_vwap_and_transactions_and_across_a_dst_change() {
    let folder = lent("minute-bars/pyalgotrade-nt-2011");
    let server = serve(&folder, 50_000);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2011-01,2011-03 --tickers SPY").exits(0);
    assert_equal("SPY", &read_store(&grab.data_dir())["SPY"], &recorded(&folder.join("SPY.csv.gz")));
}

#[test]
#[ignore = "needs the recorded data in ../shared/data"]
fn minutes_that_a_vendor_filled_with_zero_volume_are_kept_as_they_come() {
    let folder = lent("minute-bars/ibkr-aapl-2025-09-26");
    let server = serve(&folder, 50_000);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2025-09-26 --tickers AAPL").exits(0);
    assert_equal("AAPL", &read_store(&grab.data_dir())["AAPL"], &recorded(&folder.join("AAPL.csv.gz")));
}
