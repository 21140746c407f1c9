//! `grab repair`: fetches again what `verify` finds wrong.

use std::path::Path;

use grab_core::{
    exit::ExitStatus,
    verify::{Finding, RepairPlan},
};
use grab_model::{Symbol, Window, format};
use grab_ops::{
    Error as Failure, RemainingDamage, Repair, RepairEstimate, RepairPreview, RepairReport, RunReport,
    SavedFinding, json::RequestedWindow,
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

/// What was repaired, or would be; its JSON is public.
#[derive(Serialize)]
struct RepairJson {
    #[serde(flatten, serialize_with = "run_report::serialize_optional")]
    run: Option<RunReport>,
    dry_run: bool,
    /// The number of findings that are repaired.
    #[serde(rename = "mended")]
    repaired: usize,
    /// The windows that are requested again.
    asked_again: Vec<RequestedWindow>,
    /// The size of the repair.
    estimate: RepairEstimate,
    /// Quarantined files: their new paths, or in a dry run, their present ones.
    set_aside: Vec<String>,
    /// Remaining damage, which needs a decision of the user.
    left: Vec<String>,
    /// Findings that name nothing to request, such as a gap of the market as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_asked: Vec<String>,
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
        return output.report(&RepairJson::from(repair.plan(&*observer)?));
    }
    output.report(&RepairJson::from(repair.run(&observer)?))
}

/// A path as text, whatever bytes and control characters it has.
fn shown(path: &Path) -> String {
    path.display().to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn requested<'a>(windows: impl IntoIterator<Item = &'a (Symbol, Window)>) -> Vec<RequestedWindow> {
    windows.into_iter().map(RequestedWindow::from).collect()
}

impl From<RepairPreview> for RepairJson {
    fn from(preview: RepairPreview) -> Self {
        let RepairPreview { plan, findings, estimate, windows, files } = preview;
        let RepairPlan { not_asked, .. } = &plan;
        Self {
            run: None,
            dry_run: true,
            repaired: findings,
            asked_again: requested(&windows),
            estimate,
            set_aside: files.iter().map(|path| shown(path)).collect(),
            left: RemainingDamage::of_plan(&plan).iter().map(remaining).collect(),
            not_asked: not_asked.iter().map(not_requested).collect(),
        }
    }
}

impl From<RepairReport> for RepairJson {
    fn from(report: RepairReport) -> Self {
        Self {
            run: Some(report.run),
            dry_run: false,
            repaired: report.repaired,
            asked_again: requested(&report.windows),
            estimate: report.estimate,
            set_aside: report.moved.iter().map(|path| shown(path)).collect(),
            left: report.remaining.iter().map(remaining).collect(),
            not_asked: report.not_requested.iter().map(not_requested).collect(),
        }
    }
}

impl Report for RepairJson {
    fn exit(&self) -> ExitStatus {
        self.run.as_ref().map_or(ExitStatus::Complete, RunReport::exit)
    }

    fn text(&self) -> Text {
        let mut text = match &self.run {
            Some(run) => {
                let mut text = run_report::text(run);
                text.row("repeated", format::plural(self.asked_again.len() as u64, "window"));
                text
            }
            None => Text::new(format_args!(
                "to request again: {}; nothing was requested or changed",
                repair_size(&self.estimate)
            )),
        };
        for RequestedWindow { ticker, window } in self.asked_again.iter().take(LISTED) {
            text.item(format_args!("{ticker} {window}"));
        }
        let more = self.asked_again.len().saturating_sub(LISTED);
        if more > 0 {
            text.item(format_args!("and {} more", format::count(more as u64)));
        }
        text.rows("moved", &self.set_aside);
        text.rows("remains", &self.left);
        text.rows("no repair", &self.not_asked);
        text
    }
}

/// A finding that is no damage and names nothing to request, with its days.
fn not_requested(finding: &Finding) -> String {
    let days = [finding.date, finding.to].map(|day| day.map(|day| day.to_string()));
    let days: Vec<_> = days.into_iter().flatten().collect();
    let path = finding.path.as_deref().map(shown);
    let place = path.into_iter().chain((!days.is_empty()).then(|| days.join("..")));
    place.chain([finding.detail.clone()]).collect::<Vec<_>>().join(": ")
}

/// Remaining damage, and why it was not repaired.
fn remaining(damage: &RemainingDamage) -> String {
    match damage {
        RemainingDamage::Finding(finding) => {
            format!("{}: {}", finding.path.as_deref().map(shown).unwrap_or_default(), finding.detail)
        }
        RemainingDamage::BehindLink(path) => format!("{}: it is behind a link", shown(path)),
    }
}
