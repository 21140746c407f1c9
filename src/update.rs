//! `grab update`: brings every known symbol up to the last finished session. Made for cron.

mod report;

use grab_core::{exit::ExitStatus, store::write_whole, update::UpdateCutoff};
use grab_ops::{Error as Failure, Update, UpdateMetrics, read_time, resolve_output_file};

use super::{
    args::{CommonArgs, UpdateArgs},
    notices::Terminal,
    output::{Output, announce_clock},
    saved_start,
    settings::{FetchSettings, Sources},
    thresholds,
};
use report::{DryRunOutput, UpdateJson};

/// Runs the command, and writes the metrics whatever its result.
///
/// # Errors
/// If nothing was ever started here, or the data directory cannot be used.
pub fn run(
    args: &UpdateArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let wanted = args.metrics_file.as_deref().filter(|_| !args.dry_run);
    let path = wanted.map(|path| resolve_output_file("--metrics-file", path, &data_dir)).transpose()?;
    let updated = update(args, common, sources, output);
    let Some(path) = path else { return updated };
    let exit = updated.as_ref().map_or_else(Failure::exit, |exit| *exit);
    let settle = read_time(&args.settle).ok();
    let cutoff = settle.and_then(|settle| UpdateCutoff::at(clock.now_ms(), settle, args.overlap));
    let metrics = UpdateMetrics::read(&data_dir, cutoff.as_ref(), exit, clock);
    let written = write_whole(&path, metrics.text().as_bytes());
    // Why the update failed matters more than that the metrics could not be written.
    updated.and_then(|exit| Ok(written.map(|()| exit)?))
}

fn update(
    args: &UpdateArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    if !args.dry_run {
        data_dir.migrate()?;
    }
    let saved = saved_start::read(&data_dir);
    let sources = &sources.clone().with_saved(&saved);
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, sources)?;
    let thresholds = thresholds::of_update(args, &saved.thresholds())?;
    announce_clock(clock);
    let settle = read_time(&args.settle).map_err(|why| Failure::Usage(format!("--settle: {why}")))?;
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let (options, overlap) = (settings.options, args.overlap);
    let update = Update { data_dir, options, settle, overlap, thresholds, clock };
    if args.dry_run {
        return output.report(&DryRunOutput::from(update.plan(&*observer)?));
    }
    output.report(&UpdateJson::from(update.run(&observer)?))
}
