//! Downloads a month of minute bars into a directory, from a program of one's own, and looks at them.
//!
//! `cargo run --example embed -- DIR` takes made-up bars from the built-in sandbox: no key, no network.

use std::{
    env,
    error::Error,
    io::{self, Write},
    sync::Arc,
};

use grab_core::{data_dir::DataDir, store::BarStore};
use grab_model::{Month, Symbol};
use grab_ops::{Download, NoObserver, Observer};

fn main() -> Result<(), Box<dyn Error>> {
    let data_dir = DataDir::new(env::args().nth(1).ok_or("usage: embed DIR")?);
    download_and_look(data_dir, &mut io::stdout())
}

/// Downloads, and writes what came: how the run ended, and the first bars.
///
/// # Errors
/// If the directory or `out` cannot be used.
pub fn download_and_look(data_dir: DataDir, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let (symbol, month): (Symbol, _) = ("AAPL".parse()?, Month::new(2024, 1).ok_or("no month")?);

    let mut download = Download::new(data_dir.clone(), vec![symbol.clone()], vec![month.window()]);
    download.options.sandbox = true;
    let observer: Arc<dyn Observer> = Arc::new(NoObserver);
    let report = download.run(&observer)?;
    writeln!(out, "{}: {} bars", report.exit().outcome().as_str(), report.totals.bars)?;

    let store = BarStore::new(data_dir, false, "sandbox".to_owned());
    let stored = store.read(&symbol, month)?.ok_or("no bars")?;
    for bar in stored.bars.iter().take(3) {
        writeln!(out, "{} {:.2} {}", bar.timestamp, bar.close, bar.volume)?;
    }
    Ok(())
}
