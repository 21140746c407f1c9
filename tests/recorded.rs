//! Real bars, served by the sandbox as they were recorded, and what is on disk afterwards.

mod answers;
mod lent;

use std::{collections::BTreeMap, fs::File, path::Path};

use flate2::read::GzDecoder;
use grab_model::Bar;
use grab_sandbox::SandboxOptions;

use crate::support::{Grab, Serving, fixture, litter, read_store};

/// A recorded file as the store should have it: one bar a minute, of several the last.
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

/// A run over some symbols in pages of `page_cap` bars, which ends after its first requests and is resumed with a few
/// at a time.
struct Interrupted<'a> {
    folder: &'a Path,
    symbols: &'a [&'a str],
    window: &'a str,
    page_cap: usize,
    /// The requests of the first run, and of each further one.
    budgets: (usize, usize),
}

impl Interrupted<'_> {
    /// Runs to the end: every bar is stored, and no page is requested twice.
    fn run(&self) {
        let Self { folder, symbols, window, page_cap, budgets: (first, more) } = *self;
        let server = serve(folder, u32::try_from(page_cap).unwrap());
        let grab = Grab::with_server(server.base_url());
        let start =
            format!("start --windows {window} --tickers {} --max-requests {first}", symbols.join(","));
        let report = grab.run(&format!("{start} --json")).exits(10).json();
        assert_eq!(report["requests"], first);
        let mut requests = first;
        while grab.run(&format!("resume --max-requests {more}")).code == 10 {
            requests += more;
        }
        let expected: Vec<_> =
            symbols.iter().map(|symbol| recorded(&folder.join(format!("{symbol}.csv.gz")))).collect();
        let pages: usize = expected.iter().map(|bars| bars.len().div_ceil(page_cap)).sum();
        assert!(
            requests < pages && pages <= requests + more,
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
}

/// The clocks change on the 3rd, and the 29th is a half day.
#[test]
fn a_month_of_three_names_in_small_pages_interrupted_and_resumed() {
    let folder = fixture("minute-bars/blaizard-2024");
    let symbols = ["ERIE", "FICO", "MTD"];
    Interrupted { folder: &folder, symbols: &symbols, window: "2024-11", page_cap: 300, budgets: (5, 4) }
        .run();
}

#[test]
fn of_five_thousand_doubled_minutes_each_is_stored_once_and_the_later_one() {
    let folder = fixture("minute-bars/yahoo-2019-12");
    let server = serve(&folder, 1_000);
    let grab = Grab::with_server(server.base_url());
    let symbols = [
        ("SPY", "2019-12-16..2019-12-20,2020-01-13..2020-01-16", 8_568, 5_074),
        ("BKLN", "2019-12-30", 360, 1),
        ("IBDO", "2019-12-17..2019-12-31", 1_109, 1),
        ("VPU", "2019-12-17..2019-12-24", 1_081, 0),
    ];
    for (symbol, windows, rows, doubled) in symbols {
        grab.run(&format!("start --windows {windows} --tickers {symbol}")).exits(0);
        let (stored, expected) =
            (read_store(&grab.data_dir()), recorded(&folder.join(format!("{symbol}.csv.gz"))));
        assert_equal(symbol, &stored[symbol], &expected);
        assert_eq!(stored[symbol].len(), rows - doubled, "{symbol}");
    }
}

#[test]
fn bars_without_vwap_and_transactions_and_across_a_dst_change() {
    let folder = fixture("minute-bars/pyalgotrade-nt-2011");
    let server = serve(&folder, 50_000);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2011-03-09..2011-03-16 --tickers SPY").exits(0);
    let stored = &read_store(&grab.data_dir())["SPY"];
    assert_equal("SPY", stored, &recorded(&folder.join("SPY.csv.gz")));
    assert!(stored.iter().all(|bar| bar.vwap.is_none() && bar.transactions.is_none()));
    // 09:30 in New York, on the Friday before the change and on the Monday after it.
    for opening_bell_ms in [1_299_853_800_000, 1_300_109_400_000] {
        assert!(stored.iter().any(|bar| bar.timestamp == opening_bell_ms), "{opening_bell_ms}");
    }
}

#[test]
fn minutes_that_a_vendor_filled_with_zero_volume_are_kept_as_they_come() {
    let folder = fixture("minute-bars/ibkr-aapl-2025-09-26");
    let server = serve(&folder, 50_000);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2025-09-26 --tickers AAPL").exits(0);
    let stored = &read_store(&grab.data_dir())["AAPL"];
    assert_equal("AAPL", stored, &recorded(&folder.join("AAPL.csv.gz")));
    assert_eq!(stored.iter().filter(|bar| bar.volume == 0.0).count(), 215);
}
