//! Makes a data directory with many small partitions, to measure commands on: `cargo run --release --example
//! large_store -- DIR SYMBOLS MONTHS BARS_A_DAY`. Its bars are made up; manifest and files are as a run would leave them.

use std::{env, io::Write, path::PathBuf, process::ExitCode};

use grab_core::data_dir::DataDir;
use grab_core::{
    clock::Clock,
    manifest::{ManifestWriter, StoreKind, WholeDays},
    store::{BarStore, Finality, MergeInput},
};
use grab_model::{Bar, Bars, Month, Symbol, Window, calendar};

type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match make(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &[String]) -> Result<(), Failed> {
    let [dir, symbols, months, bars_a_day] = arguments else {
        return Err("usage: large_store DIR SYMBOLS MONTHS BARS_A_DAY".into());
    };
    let (dir, bars_a_day) = (PathBuf::from(dir), bars_a_day.parse()?);
    std::fs::create_dir_all(&dir)?;
    let store = BarStore::new(DataDir::new(dir.clone()), false, "sandbox".to_owned());
    let mut ledger = DataDir::new(&dir).lock()?.open_write(Clock::system())?;
    ledger.declare_kind(StoreKind { adjusted: false, sandbox: true })?;
    ledger.begin_run("start", "made up, to measure")?;
    let first = Month::new(2004, 1).ok_or("no such month")?;
    let months: Vec<_> =
        std::iter::successors(Some(first), |month| Some(month.next())).take(months.parse()?).collect();
    for number in 0..symbols.parse()? {
        let symbol = name(number).parse()?;
        make_symbol(&store, &mut ledger, &symbol, &months, bars_a_day)?;
    }
    Ok(())
}

fn make_symbol(
    store: &BarStore,
    ledger: &mut ManifestWriter,
    symbol: &Symbol,
    months: &[Month],
    bars_a_day: usize,
) -> Result<(), Failed> {
    let (mut partitions, mut bars) = (Vec::new(), 0);
    for month in months {
        let fetched = MergeInput {
            bars: bars_of(month.window(), bars_a_day),
            at_ms: 0,
            whole: Some(month.window()),
            finality: Finality::Final,
        };
        let partition = store.merge(symbol, *month, fetched, None)?.partition;
        bars += partition.bars;
        partitions.push(partition);
    }
    let (Some(first), Some(last)) = (months.first(), months.last()) else { return Ok(()) };
    let window = Window::new(first.first_day(), last.last_day()).ok_or("no month")?;
    ledger.adopt(symbol, &partitions, &[WholeDays { window, bars }])?;
    Ok(())
}

fn bars_of(window: Window, bars_a_day: usize) -> Bars {
    let minutes =
        |session: calendar::Session| (session.open_ms()..session.close_ms()).step_by(60_000).take(bars_a_day);
    let bar = |timestamp| Bar {
        timestamp,
        open: 10.01,
        high: 10.5,
        low: 9.99,
        close: 10.1,
        volume: 100.0,
        vwap: Some(10.05),
        transactions: Some(7),
    };
    calendar::sessions(window).flat_map(minutes).map(bar).collect()
}

/// A name of four letters for each number.
fn name(number: u32) -> String {
    let letter =
        |place: u32| char::from_u32(u32::from(b'A') + number / 26_u32.pow(place) % 26).unwrap_or('A');
    [3, 2, 1, 0].map(letter).iter().collect()
}
