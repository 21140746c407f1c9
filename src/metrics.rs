//! `--metrics-file`: figures for alerts, in the text format that Prometheus' node exporter reads from files.

use std::{fmt::Write, path::Path};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{ManifestReader, RunItem, TaskState},
    store::{self, reference},
    update::{SessionVerdict, UpdateCutoff},
};
use grab_model::universe::Universe;
use grab_ops::Error as Failure;

/// How many runs are searched for the last successful one.
const RUNS: usize = 1_000;

/// Writes the file beside its path and renames it: a reader never sees half of it. `evening` has the last session that
/// should be there.
///
/// # Errors
/// If it cannot be written.
pub fn write(
    path: &Path,
    data_dir: &DataDir,
    cutoff: Option<&UpdateCutoff>,
    exit: ExitStatus,
    clock: Clock,
) -> Result<(), Failure> {
    let universe = reference::read_universe(data_dir).ok().flatten().unwrap_or_default();
    let text = text(ManifestReader::open(data_dir).ok().as_ref(), &universe, cutoff, exit, clock);
    Ok(store::write_whole(path, text.as_bytes())?)
}

/// Adds one metric with its help.
fn add(text: &mut String, name: &str, help: &str, samples: &[(String, f64)]) {
    // Writing to a String cannot fail.
    let _ = write!(text, "# HELP grab_{name} {help}\n# TYPE grab_{name} gauge\n");
    for (labels, value) in samples {
        let _ = writeln!(text, "grab_{name}{labels} {value}");
    }
}

fn one(value: f64) -> Vec<(String, f64)> {
    vec![(String::new(), value)]
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float64")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "seconds since the epoch")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// The text of all metrics; if the manifest cannot be read, only the exit code is left.
fn text(
    reader: Option<&ManifestReader>,
    universe: &Universe,
    cutoff: Option<&UpdateCutoff>,
    exit: ExitStatus,
    clock: Clock,
) -> String {
    let mut text = String::new();
    add(&mut text, "last_exit_code", "Exit code of the last grab update.", &one(f64::from(exit.code())));
    let runs = reader.and_then(|reader| reader.runs(RUNS).ok()).unwrap_or_default();
    let mut updates = runs.iter().filter(|run| run.command == "update");
    let newest = updates.clone().next();
    let ended_ms = newest.and_then(|run| run.ended_at_ms).unwrap_or(clock.now_ms());
    let help = "When the last grab update ended.";
    add(&mut text, "last_run_timestamp_seconds", help, &one(seconds(ended_ms)));
    let success = updates.find(|run| run.exit == Some(ExitStatus::Complete)).and_then(|run| run.ended_at_ms);
    if let Some(ended_ms) = success {
        let help = "When a grab update last ended with 0.";
        add(&mut text, "last_success_timestamp_seconds", help, &one(seconds(ended_ms)));
    }
    if let Some(run) = newest {
        add_run(&mut text, run);
    }
    if let Some(reader) = reader {
        add_store(&mut text, reader);
        if let Some(cutoff) = cutoff {
            add_session(&mut text, reader, universe, cutoff);
        }
    }
    text
}

fn add_store(text: &mut String, reader: &ManifestReader) {
    if let Ok(counts) = reader.counts_by_window() {
        let of = |state: TaskState| counts.values().filter_map(|states| states.get(&state)).sum::<u64>();
        let states = TaskState::ALL.map(|state| (format!("{{state=\"{state}\"}}"), float(of(state))));
        add(text, "tasks", "Tasks by state.", &states);
    }
    if let Ok(Some(synced_ms)) = reader.last_sync_ms("tickers") {
        let help = "When the lists of tickers were last brought.";
        add(text, "universe_timestamp_seconds", help, &one(seconds(synced_ms)));
    }
    let Ok(holdings) = reader.holdings() else { return };
    add(text, "bars", "Bars that are held.", &one(float(holdings.bars)));
    add(text, "partitions", "Parquet files that are held.", &one(float(holdings.partitions)));
    add(text, "bytes", "Bytes of these files.", &one(float(holdings.bytes)));
    let Some((_, newest_ms)) = holdings.span_ms else { return };
    add(text, "newest_bar_timestamp_seconds", "Start of the newest bar.", &one(seconds(newest_ms)));
}

/// Metrics of the last session that should be there, not of the newest bar: a silent source has none.
fn add_session(text: &mut String, reader: &ManifestReader, universe: &Universe, cutoff: &UpdateCutoff) {
    let Ok(verdict) = SessionVerdict::of(reader, universe, cutoff) else { return };
    let last = verdict.last().copied().unwrap_or_default();
    add(text, "session_symbols", "Symbols with bars on the last session.", &one(float(last.symbols)));
    let help = "Of the symbols with bars on each of five sessions up to their last one, the share that has some on the last session.";
    add(text, "session_coverage_ratio", help, &one(last.regular_share().unwrap_or(1.0)));
    let help = "Sessions that lack so many of these symbols that the update is not complete.";
    add(text, "lacking_sessions", help, &one(float(verdict.lacking.len() as u64)));
}

fn add_run(text: &mut String, run: &RunItem) {
    let totals = run.totals;
    let duration = run.ended_at_ms.map(|ended| seconds(ended - run.started_at_ms));
    let figures = [
        ("last_requests", "Requests of the last grab update, retries included.", totals.requests),
        ("last_retries", "Those of them that were asked before and failed.", totals.retries),
        ("last_new_bars", "Bars that it added.", totals.bars),
        ("last_revised_bars", "Bars that it found changed.", totals.revised),
    ];
    for (name, help, value) in figures {
        add(text, name, help, &one(float(value)));
    }
    if let Some(duration) = duration {
        add(text, "last_duration_seconds", "How long it took.", &one(duration));
        if duration > 0.0 {
            let pace = float(totals.requests) / duration;
            add(text, "last_requests_per_second", "Its pace.", &one(pace));
        }
    }
}
