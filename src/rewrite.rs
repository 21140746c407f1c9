//! `grab repair --rewrite`: rewrites all files in today's form. Sends no request.

use grab_core::exit::ExitStatus;
use grab_model::format;
use grab_ops::{Error as Failure, Rewrite, RewriteReport, json::RewriteJson};
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

/// The result of a rewrite.
#[derive(Serialize)]
struct RewriteOutput {
    #[serde(flatten)]
    json: RewriteJson,
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
    let json = RewriteJson::new(&report, args.dry_run, next(&report));
    output.report(&RewriteOutput { json, exit: report.exit() })
}

/// What to do next. None if nothing is left to do.
fn next(report: &RewriteReport) -> Option<String> {
    let RewriteReport { outcome, encodings, stopped, .. } = report;
    let is_damaged = !outcome.left.is_empty();
    match (stopped, is_damaged) {
        (Some(Failure::Stopped(_)), _) => {
            Some(format!("`grab repair --rewrite --parquet {}` continues", encodings.as_str()))
        }
        (Some(failure), _) => hint(failure),
        (None, true) => Some("`grab repair` fetches the damaged files again".to_owned()),
        (None, false) => None,
    }
}

impl Report for RewriteOutput {
    fn exit(&self) -> ExitStatus {
        self.exit
    }

    fn text(&self) -> Text {
        let files = |files: u64| format::plural(files, "file");
        let outcome = self.exit.outcome().as_str();
        let mut text = Text::new(match &self.json.error {
            Some(error) => format!("{outcome}: {error}"),
            None => outcome.to_owned(),
        });
        let in_form = format!("in the form of --parquet {}", self.json.parquet);
        let rewritten = match self.json.rewritten {
            0 => format!("none: {} {in_form} already", files(self.json.unchanged)),
            _ if self.json.dry_run => format!("none yet: {} would be, {in_form}", files(self.json.rewritten)),
            _ => format!(
                "{} {in_form}: from {} to {}",
                files(self.json.rewritten),
                format::bytes(self.json.bytes_before),
                format::bytes(self.json.bytes_after)
            ),
        };
        text.row("rewritten", rewritten);
        if self.json.rewritten > 0 && self.json.unchanged > 0 {
            text.row("unchanged", files(self.json.unchanged));
        }
        text.rows("damaged", &self.json.left);
        text.rows("next", &self.json.hint);
        text
    }
}
