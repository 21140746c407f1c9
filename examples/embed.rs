//! Downloads a month of minute bars into a directory, from a program of one's own, and looks at them.
//!
//! `cargo run --example embed -- DIR` takes made-up bars from the built-in sandbox: no key, no network.

use std::{env, error::Error, io, io::Write, process::ExitCode, sync::Arc};

use grab_core::{data_dir::DataDir, store::BarStore};
use grab_model::{Month, Symbol};
use grab_ops::{Download, NoObserver, Observer, SANDBOX};

fn main() -> ExitCode {
    let data_dir = env::args().nth(1).ok_or_else(|| "usage: embed DIR".into());
    let done = data_dir.and_then(|path| download_and_look(DataDir::new(path), &mut io::stdout()));
    let Err(error) = done else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), "embed: {error}");
    ExitCode::FAILURE
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

    let (adjusted, source) = (false, SANDBOX.to_owned());
    let stored = BarStore::new(data_dir, adjusted, source).read(&symbol, month)?.ok_or("no bars")?;
    for bar in stored.bars.iter().take(3) {
        writeln!(out, "{} {:.2} {}", bar.timestamp, bar.close, bar.volume)?;
    }
    Ok(())
}
