//! `grab repair --rewrite`: rewrites all files in today's form. Sends no request.

use std::{io::IsTerminal, time::Instant};

use grab_core::{
    data_dir::DataDir,
    engine::{RewriteJob, RewriteOutcome, Stop},
    exit::ExitStatus,
    manifest::{Lock, ManifestReader, ManifestWriter, RunTotals, TaskCounts, Workload, migrate},
    store::{BarStore, Encodings},
};
use grab_model::format;
use grab_ops::{Error as Failure, recover, require_manifest};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{
    advice::hint,
    args::{CommonArgs, RepairArgs},
    output::{Output, announce_clock},
    report::Report,
    saved_start,
    settings::{FetchSettings, Sources},
    signals,
    text::Text,
};

/// The result; its JSON is documented.
#[derive(Serialize)]
struct RewriteReport {
    dry_run: bool,
    /// The encodings of the files now.
    parquet: &'static str,
    rewritten: u64,
    unchanged: u64,
    bytes_before: u64,
    bytes_after: u64,
    /// Files that fail their own checks: they stay as they were.
    left: Vec<String>,
    tasks: TaskCounts,
    repairs: TaskCounts,
    requests: u64,
    retries: u64,
    bars: u64,
    partitions: u64,
    bytes_received: u64,
    /// Why it stopped before the end.
    error: Option<String>,
    /// What to do next.
    hint: Option<String>,
    #[serde(skip)]
    exit: ExitStatus,
}

/// Runs the command.
///
/// # Errors
/// If nothing was ever started here, or the directory cannot be locked or its manifest cannot be used.
pub fn run(
    args: &RepairArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let started = Instant::now();
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    if !args.dry_run {
        migrate(&data_dir)?;
    }
    let sources = &saved_start::over(&data_dir, sources);
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, sources)?;
    announce_clock(clock);
    require_manifest(&data_dir)?;
    let _lock = Lock::take(&data_dir)?;
    let (stop, until) = (Stop::default(), settings.options.max_duration.map(|time| started + time));
    let shown = (!common.quiet && std::io::stderr().is_terminal()).then(bar);
    let watch = |done, all| {
        if let Some(bar) = &shown {
            bar.set_length(all);
            bar.set_position(done);
        }
    };
    let encodings = settings.options.encodings;
    let rewriting = RewriteJob { data_dir: &data_dir, encodings, stop: &stop, until, watch: &watch };
    let mut done = RewriteOutcome::default();
    let finish = |done: &RewriteOutcome, failure: Option<Failure>| -> Result<RewriteReport, Failure> {
        if let Some(bar) = &shown {
            bar.finish_and_clear();
        }
        let work = ManifestReader::open(&data_dir)?.counts()?;
        let failure = failure.or_else(|| stop.reason().map(Failure::Stopped));
        Ok(RewriteReport::new(done, failure.as_ref(), work, encodings, args.dry_run))
    };
    let report = if args.dry_run {
        let failure = rewriting.run(None, &mut done).err().map(Failure::from);
        finish(&done, failure)?
    } else {
        let mut writer = ManifestWriter::open(&data_dir, clock)?;
        writer.begin_run("repair", "--rewrite")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        {
            let _entered = runtime.enter();
            // A second signal ends it at once, like a crash, which the next run cleans up.
            signals::watch(stop.clone(), || ExitStatus::Interrupted)?;
        }
        let failure = reclaim(&data_dir, &mut writer)
            .and_then(|()| Ok(rewriting.run(Some(&mut writer), &mut done)?))
            .err();
        let report = finish(&done, failure)?;
        let totals = RunTotals { partitions: done.partitions, ..RunTotals::default() };
        let ended = writer.end_run(report.exit, &totals);
        if report.exit != ExitStatus::Disk {
            ended?;
        }
        runtime.shutdown_background();
        report
    };
    output.report(&report)
}

/// Records the last files of a crashed fetch: such a file is newer than its row, not damaged.
fn reclaim(data_dir: &DataDir, writer: &mut ManifestWriter) -> Result<(), Failure> {
    let (kind, crashed) = (writer.kind()?, writer.crashed()?);
    if let Some(kind) = kind.filter(|_| !crashed.is_empty()) {
        // Nothing is fetched here, so there is no source name.
        let store = BarStore::new(data_dir.to_owned(), kind.adjusted, String::new());
        writer.reclaim(&recover(&store, &crashed)?)?;
    }
    Ok(())
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {percent:>3}%  {pos} of {len} files") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl RewriteReport {
    fn new(
        done: &RewriteOutcome,
        failure: Option<&Failure>,
        work: Workload,
        encodings: Encodings,
        dry_run: bool,
    ) -> Self {
        let is_damaged = !done.left.is_empty();
        let exit = match failure {
            Some(failure) => failure.exit(),
            None if is_damaged => ExitStatus::Damage,
            None => ExitStatus::Complete,
        };
        let left = done.left.iter().map(chain).collect();
        let hint = match (failure, is_damaged) {
            (Some(Failure::Stopped(_)), _) => {
                Some(format!("`grab repair --rewrite --parquet {}` goes on", encodings.as_str()))
            }
            (Some(failure), _) => hint(failure),
            (None, true) => Some("`grab repair` fetches anew what is damaged".to_owned()),
            (None, false) => None,
        };
        Self {
            dry_run,
            parquet: encodings.as_str(),
            rewritten: done.rewritten,
            unchanged: done.unchanged,
            bytes_before: done.bytes_before,
            bytes_after: done.bytes_after,
            left,
            tasks: work.tasks,
            repairs: work.repairs,
            requests: 0,
            retries: 0,
            bars: 0,
            partitions: done.partitions,
            bytes_received: 0,
            error: failure.map(Failure::chain),
            hint,
            exit,
        }
    }
}

impl Report for RewriteReport {
    fn exit(&self) -> ExitStatus {
        self.exit
    }

    fn text(&self) -> Text {
        let files = |files: u64| format::plural(files, "file");
        let outcome = self.exit.outcome().as_str();
        let mut text = Text::new(match &self.error {
            Some(error) => format!("{outcome}: {error}"),
            None => outcome.to_owned(),
        });
        let in_form = format!("in the form of --parquet {}", self.parquet);
        let rewritten = match self.rewritten {
            0 => format!("none: {} {in_form} already", files(self.unchanged)),
            _ if self.dry_run => format!("none yet: {} would be, {in_form}", files(self.rewritten)),
            _ => format!(
                "{} {in_form}: from {} to {}",
                files(self.rewritten),
                format::bytes(self.bytes_before),
                format::bytes(self.bytes_after)
            ),
        };
        text.row("rewritten", rewritten);
        if self.rewritten > 0 && self.unchanged > 0 {
            text.row("unchanged", files(self.unchanged));
        }
        text.rows("damaged", &self.left);
        text.rows("next", &self.hint);
        text
    }
}

/// An error with all its causes, in one line.
fn chain(error: &grab_core::store::StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
