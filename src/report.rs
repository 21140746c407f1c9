//! What a run has done, and what is still owed.

use std::time::Duration;

use grab_core::{
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{ManifestReader, PlanHistory, RunTotals, TaskCounts, TaskState, Workload},
};
use grab_model::Window;
use serde::Serialize;

use super::{failure::Failure, format, universe::LeftOut, without_bars::WithoutBars};

/// How many tasks without data a report names.
const NAMED: usize = 10;

/// How a run ended, in one word for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every task is done or empty.
    Complete,
    /// Something is owed, or has no data.
    Incomplete,
    /// A signal came.
    Interrupted,
    /// The run could not go on.
    Error,
}

impl Outcome {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
        }
    }
}

/// The report of `start` and `resume`; its JSON is in the contract.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    command: String,
    outcome: Outcome,
    exit_code: u8,
    /// Whether tasks were only recorded: then they are owed, and nothing was asked.
    plan_only: bool,
    tasks: TaskCounts,
    /// Tasks that ask once more for days of these: they are not among them, and count for the outcome.
    repairs: TaskCounts,
    /// Sessions, summed over the symbols, that were asked for and that the plan does not serve.
    days_not_entitled: u64,
    /// The first day that the plan serves, where that is known.
    first_served_day: Option<String>,
    requests: u64,
    retries: u64,
    bars: u64,
    revised: u64,
    partitions: u64,
    bytes_received: u64,
    elapsed_seconds: f64,
    /// Why it stopped before the end.
    error: Option<String>,
    /// What to do next.
    hint: Option<String>,
    /// Tasks that have no data, the first few.
    unsuccessful: Vec<Unsuccessful>,
    /// What lists leave out of what was ordered, if anything was planned by lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    /// Symbols of which no bar came in any window.
    without_bars: WithoutBars,
    #[serde(skip)]
    exit: ExitStatus,
    #[serde(skip)]
    data_dir: String,
}

/// A task that ended without data.
#[derive(Clone, Debug, Serialize)]
struct Unsuccessful {
    ticker: String,
    window: Window,
    state: &'static str,
    last_error: Option<String>,
}

/// What to do where it is not known what was pending.
pub const ASK_AGAIN: &str = "what was still pending is not known: a grab start with the symbols and windows that were asked for before \
                             asks for the rest, and for nothing twice";

impl RunReport {
    /// Judges a run by what is owed now and by why it stopped.
    #[must_use]
    pub fn new(
        command: &str,
        work: Workload,
        stopped: Option<&Failure>,
        totals: RunTotals,
        elapsed: Duration,
    ) -> Self {
        let (outcome, exit) = judge(work, stopped);
        let error = stopped.filter(|_| exit != ExitStatus::Complete).map(Failure::chain);
        let hint = stopped.and_then(Failure::hint).or_else(|| next_step(work));
        Self {
            command: command.to_owned(),
            outcome,
            exit_code: exit.code(),
            plan_only: false,
            tasks: work.tasks,
            repairs: work.repairs,
            days_not_entitled: 0,
            first_served_day: None,
            requests: totals.requests,
            retries: totals.retries,
            bars: totals.bars,
            revised: totals.revised,
            partitions: totals.partitions,
            bytes_received: totals.bytes_received,
            elapsed_seconds: (elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            error,
            hint,
            unsuccessful: Vec::new(),
            left_out: None,
            without_bars: WithoutBars::default(),
            exit,
            data_dir: String::new(),
        }
    }

    /// A command that failed before it could count anything.
    #[must_use]
    pub fn failed(command: &str, failure: &Failure) -> Self {
        let nothing = Self::new(command, Workload::default(), None, RunTotals::default(), Duration::ZERO);
        Self {
            outcome: Outcome::Error,
            exit: failure.exit(),
            exit_code: failure.exit().code(),
            error: Some(failure.chain()),
            hint: failure.hint(),
            ..nothing
        }
    }

    /// Adds what lists leave out of what was ordered.
    #[must_use]
    pub fn with_left_out(self, left_out: Option<LeftOut>) -> Self {
        Self { left_out, ..self }
    }

    /// Adds what was asked for and is not served. A run that asks for days does not bring them: `start` and `resume` say so by
    /// their exit code. An update is asked for what is new, and a repair for what was there.
    #[must_use]
    pub fn with_not_entitled(mut self, days: u64, known: Option<&PlanHistory>) -> Self {
        self.days_not_entitled = days;
        let first = known.and_then(PlanHistory::first_served_day).filter(|_| days > 0);
        self.first_served_day = first.map(|day| day.to_string());
        let is_asked = matches!(self.command.as_str(), "start" | "resume");
        if days == 0 || !is_asked || self.exit != ExitStatus::Complete {
            return self;
        }
        let hint = "`grab resume --retry-failed` asks whether the plan serves more now".to_owned();
        let (outcome, exit) = (Outcome::Incomplete, ExitStatus::Unsuccessful);
        Self { outcome, exit, exit_code: exit.code(), hint: Some(hint), ..self }
    }

    /// The same for a run that was asked to record tasks and nothing else: what is owed is no fault of it.
    #[must_use]
    pub fn plan_only(mut self) -> Self {
        self.plan_only = true;
        if matches!(self.exit, ExitStatus::Incomplete | ExitStatus::Unsuccessful) {
            self.exit = ExitStatus::Complete;
            self.exit_code = self.exit.code();
        }
        self
    }

    /// The same for a command that leaves damaged files. If it did not come to its end, that is said first.
    #[must_use]
    pub fn damaged(self) -> Self {
        if !matches!(self.exit, ExitStatus::Complete | ExitStatus::Unsuccessful | ExitStatus::Gaps) {
            return self;
        }
        Self {
            outcome: Outcome::Incomplete,
            exit: ExitStatus::Damage,
            exit_code: ExitStatus::Damage.code(),
            ..self
        }
    }

    /// The same for a manifest made anew: that a file is damaged is said before what is pending.
    #[must_use]
    pub fn damaged_first(self) -> Self {
        let (outcome, exit) = (Outcome::Incomplete, ExitStatus::Damage);
        Self { outcome, exit, exit_code: exit.code(), ..self }
    }

    /// The same for a command after which bars are missing that were there once.
    #[must_use]
    pub fn with_gaps(self, hint: String) -> Self {
        if self.exit != ExitStatus::Complete {
            return self;
        }
        let (outcome, exit) = (Outcome::Incomplete, ExitStatus::Gaps);
        Self { outcome, exit, exit_code: exit.code(), hint: Some(hint), ..self }
    }

    /// The report of a run that got less than it should: it ends with `exit`, unless something worse has happened.
    #[must_use]
    pub fn short(self, exit: ExitStatus, reason: String) -> Self {
        if !matches!(self.exit, ExitStatus::Complete | ExitStatus::Unsuccessful) {
            return self;
        }
        let hint = self.hint.iter().cloned().chain([reason]).collect::<Vec<_>>().join("; ");
        Self { outcome: Outcome::Incomplete, exit, exit_code: exit.code(), hint: Some(hint), ..self }
    }

    /// The same, where the hint is added whatever came before it.
    #[must_use]
    pub fn unfinished(self, hint: String) -> Self {
        let hints = self.hint.iter().cloned().chain([hint.clone()]).collect::<Vec<_>>().join("; ");
        Self { hint: Some(hints), ..self.short(ExitStatus::Incomplete, hint) }
    }

    /// Adds what the manifest says of tasks without data.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn with_details(mut self, data_dir: &DataDir) -> Result<Self, Failure> {
        self.data_dir = data_dir.display().to_string();
        let reader = ManifestReader::open(data_dir)?;
        self.without_bars = WithoutBars::of(&reader, data_dir)?;
        if self.work().unsuccessful() > 0 {
            let without_data = [TaskState::NotEntitled, TaskState::NotFound, TaskState::Failed];
            self.unsuccessful = reader
                .first_tasks(&without_data, NAMED)?
                .into_iter()
                .map(|task| Unsuccessful {
                    ticker: task.symbol.to_string(),
                    window: task.window,
                    state: task.state.as_str(),
                    last_error: task.last_error,
                })
                .collect();
        }
        Ok(self)
    }

    fn work(&self) -> Workload {
        Workload { tasks: self.tasks, repairs: self.repairs }
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        self.exit
    }

    /// The outcome and the exit code, for the run's row in the manifest.
    #[must_use]
    pub fn verdict(&self) -> (&'static str, u8) {
        (self.outcome.as_str(), self.exit_code)
    }

    /// What was done, or why it stopped, in a few words.
    #[must_use]
    pub fn brief(&self) -> String {
        let bars = format::plural(self.bars, "new bar") + &revised(self.revised);
        let done = format!("{bars}, {}", format::plural(self.requests, "request"));
        self.error.as_ref().map_or(done.clone(), |error| format!("{done}: {error}"))
    }

    /// The report for a person.
    #[must_use]
    pub fn text(&self) -> String {
        let (outcome, _) = self.verdict();
        let mut lines = vec![match &self.error {
            Some(error) => format!("{outcome}: {error}"),
            None => outcome.to_owned(),
        }];
        lines.push(format!("  tasks     {}", counts(self.tasks)));
        lines.extend(repairs(self.repairs).map(|repairs| format!("  repairs   {repairs}")));
        lines.push(format!(
            "  fetched   {}, {} ({} of them retried), {} in {}",
            format::plural(self.bars, "new bar") + &revised(self.revised),
            format::plural(self.requests, "request"),
            format::count(self.retries),
            format::bytes(self.bytes_received),
            format::duration(Duration::from_secs_f64(self.elapsed_seconds)),
        ));
        lines.push(format!(
            "  written   {} in {}",
            format::plural(self.partitions, "partition"),
            self.data_dir
        ));
        for task in &self.unsuccessful {
            let reason = task.last_error.as_deref().unwrap_or_default();
            lines.push(format!("  {:<12} {} {} {reason}", task.state, task.ticker, task.window));
        }
        let more = self.work().unsuccessful().saturating_sub(self.unsuccessful.len() as u64);
        if more > 0 && !self.unsuccessful.is_empty() {
            lines.push(format!("  and {} more: `grab status --tickers`", format::count(more)));
        }
        lines.extend(self.without_bars.text().map(|symbols| format!("  empty     {symbols}")));
        if self.days_not_entitled > 0 {
            lines.push(format!(
                "  no plan   {}",
                not_entitled(self.days_not_entitled, self.first_served_day.as_deref())
            ));
        }
        lines.extend(self.hint.as_ref().map(|hint| format!("  next      {hint}")));
        lines.join("\n")
    }
}

/// `1,234 days before 2024-12-02, the first day that the plan serves: not_entitled`
fn not_entitled(days: u64, first_served_day: Option<&str>) -> String {
    let days = format::plural(days, "day");
    match first_served_day {
        Some(first) => format!("{days} before {first}, the first day that the plan serves: not_entitled"),
        None => format!("{days} that the plan does not serve: not_entitled"),
    }
}

fn revised(bars: u64) -> String {
    if bars == 0 { String::new() } else { format!(", {} revised", format::count(bars)) }
}

/// The exit code follows from what is owed; a reason to stop counts only if it left something undone.
fn judge(work: Workload, stopped: Option<&Failure>) -> (Outcome, ExitStatus) {
    match stopped {
        // A limit that was reached with the last task is none; an error is one, whatever is owed.
        Some(failure) if work.owed() > 0 || !matches!(failure, Failure::Stopped(_)) => {
            let exit = failure.exit();
            let outcome = if exit == ExitStatus::Interrupted {
                Outcome::Interrupted
            } else if exit == ExitStatus::Incomplete {
                Outcome::Incomplete
            } else {
                Outcome::Error
            };
            (outcome, exit)
        }
        Some(_) | None if work.owed() > 0 => (Outcome::Incomplete, ExitStatus::Incomplete),
        Some(_) | None if work.unsuccessful() > 0 => (Outcome::Incomplete, ExitStatus::Unsuccessful),
        Some(_) | None => (Outcome::Complete, ExitStatus::Complete),
    }
}

fn next_step(work: Workload) -> Option<String> {
    let kinds = [(work.tasks.outstanding(), "task"), (work.repairs.outstanding(), "repair")];
    let owed: Vec<_> = kinds
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format::plural(count, kind))
        .collect();
    if !owed.is_empty() {
        Some(format!("`grab resume` goes on with the {} owed", owed.join(" and ")))
    } else if work.unsuccessful() > 0 {
        Some("`grab resume --retry-failed` asks again for those without data".to_owned())
    } else {
        None
    }
}

/// The repairs that have not ended, or have no data; nothing if there is none.
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
    use super::*;
    use grab_core::{disk::DiskTrouble, engine::StopReason};

    fn verdict(tasks: TaskCounts, stopped: Option<StopReason>) -> (&'static str, u8) {
        let stopped = stopped.map(Failure::Stopped);
        let work = Workload { tasks, ..Workload::default() };
        RunReport::new("start", work, stopped.as_ref(), RunTotals::default(), Duration::ZERO).verdict()
    }

    #[test]
    fn days_beyond_the_plan_end_11_for_those_who_ask_for_days() {
        let all = TaskCounts { total: 1, done: 1, ..TaskCounts::default() };
        let verdict = |command, tasks, days| {
            let work = Workload { tasks, ..Workload::default() };
            let report = RunReport::new(command, work, None, RunTotals::default(), Duration::ZERO);
            report.with_not_entitled(days, None).exit()
        };
        assert_eq!(verdict("start", all, 3), ExitStatus::Unsuccessful);
        assert_eq!(verdict("resume", all, 3), ExitStatus::Unsuccessful);
        assert_eq!(verdict("start", all, 0), ExitStatus::Complete);
        assert_eq!(verdict("update", all, 3), ExitStatus::Complete);
        assert_eq!(verdict("repair", all, 3), ExitStatus::Complete);
        let some = TaskCounts { total: 2, pending: 2, ..TaskCounts::default() };
        assert_eq!(verdict("start", some, 3), ExitStatus::Incomplete, "what is pending comes first");
    }

    #[test]
    fn exit_codes_follow_from_what_is_owed() {
        let all = TaskCounts { total: 3, done: 2, empty: 1, ..TaskCounts::default() };
        let some = TaskCounts { total: 3, done: 1, pending: 2, ..TaskCounts::default() };
        let bad = TaskCounts { total: 3, done: 1, failed: 1, not_entitled: 1, ..TaskCounts::default() };
        let disk = StopReason::Disk { what: "x".into(), trouble: DiskTrouble::Full };
        assert_eq!(verdict(all, None), ("complete", 0));
        assert_eq!(verdict(all, Some(StopReason::Requests)), ("complete", 0), "the last request was enough");
        assert_eq!(verdict(bad, None), ("incomplete", 11));
        assert_eq!(verdict(some, Some(StopReason::Interrupted)), ("interrupted", 130));
        assert_eq!(verdict(some, Some(StopReason::Duration)), ("incomplete", 10));
        assert_eq!(verdict(some, Some(StopReason::SourceLost("x".into()))), ("incomplete", 10));
        assert_eq!(verdict(some, Some(StopReason::Unreachable("x".into()))), ("error", 21));
        assert_eq!(verdict(some, Some(StopReason::KeyRefused("x".into()))), ("error", 20));
        assert_eq!(verdict(some, Some(disk)), ("error", 30));
        let repairs = TaskCounts { total: 9, done: 8, pending: 1, ..TaskCounts::default() };
        let report = RunReport::new(
            "resume",
            Workload { tasks: all, repairs },
            None,
            RunTotals::default(),
            Duration::ZERO,
        );
        assert_eq!(report.verdict(), ("incomplete", 10), "a repair is work too");
        assert_eq!(report.hint.as_deref(), Some("`grab resume` goes on with the 1 repair owed"));
        assert!(report.text().contains("\n  tasks     3: 2 done, 1 empty\n  repairs   1: 1 pending\n"));
    }
}
