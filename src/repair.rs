//! `grab repair`: fetches again what `verify` finds wrong.

use grab_core::exit::ExitStatus;
use grab_model::format;
use grab_ops::{
    Error as Failure, Repair, RunReport, SavedFinding,
    json::{RepairJson, RequestedWindow},
};
use serde::Serialize;

use super::{
    args::{CommonArgs, RepairArgs},
    notices::{Terminal, repair_size},
    output::{Output, announce_clock},
    report::Report,
    run_report, saved_start,
    settings::{FetchSettings, Sources},
    text::Text,
};

/// How much of a plan the text report lists.
const LISTED: usize = 20;

/// What was repaired, or would be.
#[derive(Serialize)]
struct RepairOutput {
    #[serde(flatten)]
    json: RepairJson,
    /// None in a dry run.
    #[serde(skip)]
    run: Option<RunReport>,
}

/// Runs the command.
///
/// # Errors
/// If nothing was ever started here, the manifest is damaged, or the directory cannot be locked or written.
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
    let findings = args.from.as_deref().map(SavedFinding::read).transpose()?;
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let repair =
        Repair { data_dir, options: settings.options, findings, accept_loss: args.accept_loss, clock };
    if args.dry_run {
        return output.report(&RepairOutput { json: (&repair.plan(&*observer)?).into(), run: None });
    }
    let report = repair.run(&observer)?;
    let json = RepairJson::new(&report, run_report::json(&report.run));
    output.report(&RepairOutput { json, run: Some(report.run) })
}

impl Report for RepairOutput {
    fn exit(&self) -> ExitStatus {
        self.run.as_ref().map_or(ExitStatus::Complete, RunReport::exit)
    }

    fn text(&self) -> Text {
        let mut text = match &self.run {
            Some(run) => {
                let mut text = run_report::text(run);
                text.row("repeated", format::plural(self.json.asked_again.len() as u64, "window"));
                text
            }
            None => Text::new(format_args!(
                "to request again: {}; nothing was requested or changed",
                repair_size(&self.json.estimate)
            )),
        };
        for RequestedWindow { ticker, window } in self.json.asked_again.iter().take(LISTED) {
            text.item(format_args!("{ticker} {window}"));
        }
        let more = self.json.asked_again.len().saturating_sub(LISTED);
        if more > 0 {
            text.item(format_args!("and {} more", format::count(more as u64)));
        }
        text.rows("moved", &self.json.set_aside);
        text.rows("remains", &self.json.left);
        text.rows("no repair", &self.json.not_asked);
        text
    }
}
