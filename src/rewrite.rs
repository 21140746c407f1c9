//! `grab repair --rewrite`: rewrites all files in today's form. Sends no request.

use grab_core::{exit::ExitStatus, manifest::TaskCounts};
use grab_model::format;
use grab_ops::{Error as Failure, Rewrite, RewriteReport};
use serde::Serialize;

use super::{
    advice::hint,
    args::{CommonArgs, RepairArgs},
    notices::Terminal,
    output::{Output, announce_clock},
    report::Report,
    saved_start,
    settings::{FetchSettings, Sources},
    text::Text,
};

/// The result; its JSON is documented.
#[derive(Serialize)]
struct RewriteJson {
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
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    if !args.dry_run {
        data_dir.migrate()?;
    }
    let sources = &saved_start::over(&data_dir, sources);
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, sources)?;
    announce_clock(clock);
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let (encodings, max_duration) = (settings.options.encodings, settings.options.max_duration);
    let rewrite = Rewrite { data_dir, encodings, max_duration, clock };
    let report = if args.dry_run { rewrite.plan(&*observer)? } else { rewrite.run(&observer)? };
    output.report(&RewriteJson::new(&report, args.dry_run))
}

impl RewriteJson {
    fn new(report: &RewriteReport, dry_run: bool) -> Self {
        let RewriteReport { outcome, encodings, work, stopped } = report;
        let is_damaged = !outcome.left.is_empty();
        let hint = match (stopped, is_damaged) {
            (Some(Failure::Stopped(_)), _) => {
                Some(format!("`grab repair --rewrite --parquet {}` continues", encodings.as_str()))
            }
            (Some(failure), _) => hint(failure),
            (None, true) => Some("`grab repair` fetches the damaged files again".to_owned()),
            (None, false) => None,
        };
        Self {
            dry_run,
            parquet: encodings.as_str(),
            rewritten: outcome.rewritten,
            unchanged: outcome.unchanged,
            bytes_before: outcome.bytes_before,
            bytes_after: outcome.bytes_after,
            left: outcome.left.iter().map(|error| format::error_chain(error)).collect(),
            tasks: work.tasks,
            repairs: work.repairs,
            requests: 0,
            retries: 0,
            bars: 0,
            partitions: outcome.partitions,
            bytes_received: 0,
            error: stopped.as_ref().map(Failure::chain),
            hint,
            exit: report.exit(),
        }
    }
}

impl Report for RewriteJson {
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
