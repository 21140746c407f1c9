//! The JSON of repairs: `grab repair`, with `--rewrite` and with `--rebuild-manifest`.

use std::path::Path;

use grab_core::{data_dir::PLAN, manifest::TaskCounts, verify::Finding};
use grab_model::{Symbol, Window, format};
use serde::Serialize;

use super::{RequestedWindow, RunJson};
use crate::{
    DamagedPartition, Error, RebuildNote, RebuildReport, RemainingDamage, RepairEstimate, RepairPreview,
    RepairReport, RewriteReport,
};

/// What was repaired, or would be; its JSON is public.
#[derive(Serialize)]
pub struct RepairJson {
    /// None in a dry run.
    #[serde(flatten)]
    pub run: Option<RunJson>,
    pub dry_run: bool,
    /// The number of findings that are repaired.
    #[serde(rename = "mended")]
    pub repaired: usize,
    /// The windows that are requested again.
    pub asked_again: Vec<RequestedWindow>,
    /// The size of the repair.
    pub estimate: RepairEstimate,
    /// Quarantined files: their new paths, or in a dry run, their present ones.
    pub set_aside: Vec<String>,
    /// Remaining damage, which needs a decision of the user.
    pub left: Vec<String>,
    /// Findings that name nothing to request, such as a gap of the market as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_asked: Vec<String>,
}

impl From<&RepairPreview> for RepairJson {
    fn from(preview: &RepairPreview) -> Self {
        let RepairPreview { plan, findings, estimate, windows, files } = preview;
        Self {
            run: None,
            dry_run: true,
            repaired: *findings,
            asked_again: requested(windows),
            estimate: *estimate,
            set_aside: files.iter().map(|path| shown(path)).collect(),
            left: RemainingDamage::of_plan(plan).iter().map(remaining).collect(),
            not_asked: plan.not_asked.iter().map(not_requested).collect(),
        }
    }
}

impl RepairJson {
    /// The JSON of a repair whose run has the JSON `run`.
    #[must_use]
    pub fn new(report: &RepairReport, run: RunJson) -> Self {
        Self {
            run: Some(run),
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

/// The result of a rewrite; its JSON is public.
#[derive(Serialize)]
pub struct RewriteJson {
    pub dry_run: bool,
    /// The encodings of the files now.
    pub parquet: &'static str,
    pub rewritten: u64,
    pub unchanged: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Files that fail their own checks: they stay as they were.
    pub left: Vec<String>,
    pub tasks: TaskCounts,
    pub repairs: TaskCounts,
    pub requests: u64,
    pub retries: u64,
    pub bars: u64,
    pub partitions: u64,
    pub bytes_received: u64,
    /// Why it stopped before the end.
    pub error: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl RewriteJson {
    /// The JSON of a rewrite, with advice on what to do next.
    #[must_use]
    pub fn new(report: &RewriteReport, dry_run: bool, hint: Option<String>) -> Self {
        let RewriteReport { outcome, encodings, work, stopped } = report;
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
            error: stopped.as_ref().map(Error::chain),
            hint,
        }
    }
}

/// The result of a rebuild; its JSON is public.
#[derive(Serialize)]
pub struct RebuildJson {
    #[serde(flatten)]
    pub run: RunJson,
    /// The new path of the old manifest.
    pub set_aside: Option<String>,
    /// Whether all requests are known: pending tasks, subscriptions, and the spec.
    pub is_all_asked: bool,
    /// What is not known, and why.
    pub notes: Vec<String>,
    /// Files that could not be recorded. They stay in place.
    pub damaged: Vec<DamagedPartitionJson>,
}

/// A file that could not be recorded; its JSON is public.
#[derive(Serialize)]
pub struct DamagedPartitionJson {
    pub ticker: String,
    pub month: String,
    pub detail: String,
}

impl RebuildJson {
    /// The JSON of a rebuild whose run has the JSON `run`.
    #[must_use]
    pub fn new(report: &RebuildReport, run: RunJson) -> Self {
        Self {
            run,
            set_aside: report.moved.as_ref().map(|path| path.display().to_string()),
            is_all_asked: report.is_all_known,
            notes: report.notes.iter().map(note).collect(),
            damaged: report.damaged.iter().map(DamagedPartitionJson::from).collect(),
        }
    }
}

impl From<&DamagedPartition> for DamagedPartitionJson {
    fn from(DamagedPartition { symbol, month, detail }: &DamagedPartition) -> Self {
        Self { ticker: symbol.to_string(), month: month.to_string(), detail: detail.clone() }
    }
}

/// A path as text, whatever bytes and control characters it has.
fn shown(path: &Path) -> String {
    path.display().to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn requested<'a>(windows: impl IntoIterator<Item = &'a (Symbol, Window)>) -> Vec<RequestedWindow> {
    windows.into_iter().map(RequestedWindow::from).collect()
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

/// A note in words.
fn note(note: &RebuildNote) -> String {
    match note {
        RebuildNote::PlanDamaged(faults) => {
            format!("{PLAN} is damaged ({}): its sound lines were used", faults.join("; "))
        }
        RebuildNote::PlanMissing => {
            format!("{PLAN} is missing: what was requested is known from the bars alone")
        }
        RebuildNote::UnreadableSubscriptions(count) => {
            let requests = format::plural(*count, "request");
            format!("{requests} by --universe or --spec cannot be read: a grab start requests it again")
        }
        RebuildNote::PlanIsOlder { symbols, example } => {
            let symbols = format::plural(*symbols, "symbol");
            format!("{PLAN} is older than the bars: it lacks stored days of {symbols}, such as {example}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use grab_core::{engine::RewriteOutcome, manifest::Workload, store::Encodings, verify::RepairPlan};

    use super::*;

    fn keys(json: &impl Serialize) -> Vec<String> {
        let text = serde_json::to_string_pretty(json).unwrap();
        let keys = text.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next());
        keys.map(str::to_owned).collect()
    }

    #[test]
    fn the_fields_of_a_dry_run_are_in_their_documented_order() {
        let (plan, estimate) = (RepairPlan::default(), RepairEstimate::default());
        let preview =
            RepairPreview { plan, findings: 2, estimate, windows: BTreeSet::new(), files: Vec::new() };
        let expected = ["dry_run", "mended", "asked_again", "estimate", "set_aside", "left"];
        assert_eq!(keys(&RepairJson::from(&preview)), expected);
    }

    #[test]
    fn the_fields_of_a_rewrite_are_in_their_documented_order() {
        let (outcome, encodings) = (RewriteOutcome::default(), Encodings::default());
        let report = RewriteReport { outcome, encodings, work: Workload::default(), stopped: None };
        let expected = "dry_run parquet rewritten unchanged bytes_before bytes_after left tasks repairs requests \
                        retries bars partitions bytes_received error hint";
        assert_eq!(keys(&RewriteJson::new(&report, true, None)).join(" "), expected);
    }
}
