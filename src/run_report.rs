//! The report of a run: its JSON, which is in the contract, and its text.

use std::time::Duration;

use grab_core::{
    exit::ExitStatus,
    manifest::{RunTotals, TaskCounts, Workload},
};
use grab_model::format;
use grab_ops::{Error, NextStep, RunReport, json::RunJson};
use serde::{Serialize, Serializer};

use super::{advice::hint, report::Report, text::Text, thresholds, without_bars};

/// The advice if the pending tasks are not known.
pub const ASK_AGAIN: &str = "what was still pending is not known: a grab start with the symbols and windows that were requested before \
                             requests the rest, and nothing twice";

/// The report of a job that is a run and nothing else.
#[derive(Serialize)]
pub struct RunOutput<'a>(#[serde(serialize_with = "serialize")] pub &'a RunReport);

/// The report of a command that failed before it could count anything. Its JSON has the fields of a run.
#[derive(Serialize)]
pub struct FailureReport {
    #[serde(flatten)]
    run: RunJson,
    #[serde(skip)]
    exit: ExitStatus,
}

/// Writes a run's report as its JSON, for `#[serde(serialize_with = …)]`.
///
/// # Errors
/// If the serializer fails.
pub fn serialize<S: Serializer>(report: &RunReport, serializer: S) -> Result<S::Ok, S::Error> {
    json(report).serialize(serializer)
}

/// The JSON of a run, with advice on what to do next.
#[must_use]
pub fn json(report: &RunReport) -> RunJson {
    RunJson::new(report, next(report))
}

impl Report for FailureReport {
    fn exit(&self) -> ExitStatus {
        self.exit
    }

    fn text(&self) -> Text {
        Text::new(self.run.error.as_deref().unwrap_or_default())
    }
}

impl FailureReport {
    /// The report of a command that failed before it could count anything.
    #[must_use]
    pub fn new(failure: &Error) -> Self {
        let nothing = RunReport::new("", Workload::default(), None, RunTotals::default(), Duration::ZERO);
        let (error, hint) = (Some(failure.chain()), hint(failure));
        Self { run: RunJson { error, hint, ..json(&nothing) }, exit: failure.exit() }
    }
}

impl Report for RunOutput<'_> {
    fn exit(&self) -> ExitStatus {
        self.0.exit()
    }

    fn text(&self) -> Text {
        text(self.0)
    }
}

/// What to do next: advice about the failure replaces the steps for the remaining work.
fn next(report: &RunReport) -> Option<String> {
    let advice = report.stopped.as_deref().and_then(hint);
    let is_of_work = |step: &&NextStep| matches!(step, NextStep::Resume { .. } | NextStep::RetryFailed);
    let steps = report.next.iter().filter(|step| advice.is_none() || !is_of_work(step)).map(step);
    let all: Vec<_> = advice.clone().into_iter().chain(steps).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn step(next: &NextStep) -> String {
    match next {
        NextStep::Resume { tasks, repairs } => {
            let kinds = [(*tasks, "task"), (*repairs, "repair")];
            let kinds = kinds.into_iter().filter(|(count, _)| *count > 0);
            let pending: Vec<_> = kinds.map(|(count, kind)| format::plural(count, kind)).collect();
            format!("`grab resume` continues with the {} pending", pending.join(" and "))
        }
        NextStep::RetryFailed => "`grab resume --retry-failed` retries those without data".to_owned(),
        NextStep::PlanMayServeMore => {
            "`grab resume --retry-failed` checks whether the plan serves more now".to_owned()
        }
        NextStep::AskAgain => ASK_AGAIN.to_owned(),
        NextStep::PlanSubscriptions => "`grab resume` turns the requested list into tasks".to_owned(),
        NextStep::MonthsNotBack(months) => {
            let months = format::plural(*months, "month");
            format!(
                "{months} with fewer bars than were on record: `grab repair` requests them again, `grab repair --accept-loss` accepts them as they are"
            )
        }
        NextStep::SessionsLackSymbols(sessions) => {
            let sessions = format::plural(*sessions as u64, "session");
            format!(
                "the source still lacks symbols that have bars every day on {sessions}: `grab verify` names them, and `grab verify \
                 --witness grouped-daily` says which symbols traded"
            )
        }
        NextStep::CompleteUpdate(reasons) => {
            reasons.iter().map(thresholds::shortfall).collect::<Vec<_>>().join("; ")
        }
    }
}

/// The result of a run, or why it stopped, in a few words.
#[must_use]
pub fn brief(report: &RunReport) -> String {
    let bars = format::plural(report.totals.bars, "new bar") + &revised(report.totals.revised);
    let done = format!("{bars}, {}", format::plural(report.totals.requests, "request"));
    report.error().map_or(done.clone(), |error| format!("{done}: {error}"))
}

/// The report as text.
#[must_use]
pub fn text(report: &RunReport) -> Text {
    let outcome = report.exit().outcome().as_str();
    let mut text = Text::new(match report.error() {
        Some(error) => format!("{outcome}: {error}"),
        None => outcome.to_owned(),
    });
    text.row("tasks", counts(report.work.tasks));
    text.rows("repairs", repairs(report.work.repairs));
    text.row(
        "fetched",
        format_args!(
            "{}, {} ({} of them retried), {} in {}",
            format::plural(report.totals.bars, "new bar") + &revised(report.totals.revised),
            format::plural(report.totals.requests, "request"),
            format::count(report.totals.retries),
            format::bytes(report.totals.bytes_received),
            format::duration(report.elapsed),
        ),
    );
    let data_dir = report.data_dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default();
    let partitions = format::plural(report.totals.partitions, "partition");
    text.row("written", format_args!("{partitions} in {data_dir}"));
    for task in &report.unsuccessful {
        let reason = task.last_error.as_deref().unwrap_or_default();
        text.item(format_args!("{:<12} {} {} {reason}", task.state.as_str(), task.symbol, task.window));
    }
    let more = report.work.unsuccessful().saturating_sub(report.unsuccessful.len() as u64);
    if more > 0 && !report.unsuccessful.is_empty() {
        text.item(format_args!("and {} more: `grab status --tickers`", format::count(more)));
    }
    text.rows("empty", without_bars::text(&report.without_bars));
    if report.days_not_entitled > 0 {
        text.row("not in plan", not_entitled(report.days_not_entitled, report.first_served_day));
    }
    text.rows("next", next(report));
    text
}

/// `1,234 sessions of all symbols, before 2024-12-02: not_entitled`
fn not_entitled(days: u64, first_served_day: Option<jiff::civil::Date>) -> String {
    let sessions = format::plural(days, "session");
    match first_served_day {
        Some(first) => format!("{sessions} of all symbols, before {first}: not_entitled"),
        None => format!("{sessions} of all symbols: not_entitled"),
    }
}

fn revised(bars: u64) -> String {
    if bars == 0 { String::new() } else { format!(", {} revised", format::count(bars)) }
}

/// The repairs that are not finished or have no data. None if every repair is done.
#[must_use]
pub fn repairs(repairs: TaskCounts) -> Option<String> {
    let TaskCounts { pending, running, not_entitled, not_found, failed, .. } = repairs;
    let open = repairs.outstanding() + repairs.unsuccessful();
    let open = TaskCounts {
        total: open,
        pending,
        running,
        not_entitled,
        not_found,
        failed,
        ..TaskCounts::default()
    };
    (open.total > 0).then(|| counts(open))
}

/// `8: 6 done, 2 empty`.
#[must_use]
pub fn counts(tasks: TaskCounts) -> String {
    let states = [
        (tasks.pending, "pending"),
        (tasks.running, "running"),
        (tasks.done, "done"),
        (tasks.empty, "empty"),
        (tasks.not_entitled, "not entitled"),
        (tasks.not_found, "not found"),
        (tasks.failed, "failed"),
    ];
    let states: Vec<_> = states
        .iter()
        .filter(|(tasks, _)| *tasks > 0)
        .map(|(tasks, state)| format!("{} {state}", format::count(*tasks)))
        .collect();
    format!(
        "{}: {}",
        format::count(tasks.total),
        if states.is_empty() { "none".to_owned() } else { states.join(", ") }
    )
}

#[cfg(test)]
mod tests {
    use grab_core::manifest::Workload;

    use super::*;

    #[test]
    fn a_repair_is_work_too() {
        let tasks = TaskCounts { total: 3, done: 2, empty: 1, ..TaskCounts::default() };
        let repairs = TaskCounts { total: 9, done: 8, pending: 1, ..TaskCounts::default() };
        let report =
            RunReport::new("resume", Workload { tasks, repairs }, None, RunTotals::default(), Duration::ZERO);
        assert_eq!(report.exit(), ExitStatus::Incomplete);
        assert_eq!(json(&report).hint.as_deref(), Some("`grab resume` continues with the 1 repair pending"));
        assert!(
            text(&report)
                .to_string()
                .contains("\n  tasks     3: 2 done, 1 empty\n  repairs   1: 1 pending\n")
        );
    }
}
