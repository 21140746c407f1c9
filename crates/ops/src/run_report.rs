//! What a run has done, what is still outstanding, and what to do next. Data only: the caller words it.

use std::{sync::Arc, time::Duration};

use crate::{Error, LeftOut, UpdateShortfall, WithoutBars};
use grab_core::{
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{PlanHistory, RunTotals, TaskState, Workload},
};
use grab_model::{Symbol, Window};
use jiff::civil::Date;

/// How many tasks without data a report names.
const NAMED: usize = 10;

/// What to do next, or why a run is not complete although no task is outstanding.
#[derive(Clone, Debug, PartialEq)]
pub enum NextStep {
    /// Continue with the outstanding tasks and repairs.
    Resume {
        /// The number of tasks.
        tasks: u64,
        /// The number of repairs.
        repairs: u64,
    },
    /// Retry tasks that ended without data.
    RetryFailed,
    /// Check whether the plan serves more by now.
    PlanMayServeMore,
    /// Request everything again: the pending tasks are not known.
    AskAgain,
    /// Resume, so that a subscription is turned into tasks.
    PlanSubscriptions,
    /// Repair again, or accept the loss: this many months have fewer bars than before.
    MonthsNotBack(u64),
    /// This many sessions still lack symbols that have bars every day.
    SessionsLackSymbols(usize),
    /// Update again, or look: an update got less than it should.
    CompleteUpdate(Vec<UpdateShortfall>),
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The command or job that ran.
    pub command: String,
    /// How it ended, as the process's exit code.
    pub exit: ExitStatus,
    /// Whether tasks were only recorded: then they are outstanding, and no request was sent.
    pub plan_only: bool,
    /// Tasks and repairs by state.
    pub work: Workload,
    /// Requested sessions, summed over the symbols, that the plan does not serve.
    pub days_not_entitled: u64,
    /// The first day that the plan serves, if that is known.
    pub first_served_day: Option<Date>,
    /// The totals of requests and stored data.
    pub totals: RunTotals,
    /// How long it took.
    pub elapsed: Duration,
    /// Why it stopped before the end.
    pub stopped: Option<Arc<Error>>,
    /// Whether that is why it is not complete.
    pub is_stopped_early: bool,
    /// What to do next.
    pub next: Vec<NextStep>,
    /// The first few tasks without data.
    pub unsuccessful: Vec<Unsuccessful>,
    /// What lists leave out of subscriptions, if any were planned.
    pub left_out: Option<LeftOut>,
    /// Symbols without a bar in any window.
    pub without_bars: WithoutBars,
    /// The data directory. None if it was never read.
    pub data_dir: Option<DataDir>,
}

/// A task that ended without data.
#[derive(Clone, Debug)]
pub struct Unsuccessful {
    /// The symbol.
    pub symbol: Symbol,
    /// The requested days.
    pub window: Window,
    /// How it ended.
    pub state: TaskState,
    /// The last error.
    pub last_error: Option<String>,
}

impl RunReport {
    /// Judges a run by what is outstanding now and by why it stopped.
    #[must_use]
    pub fn new(
        command: &str,
        work: Workload,
        stopped: Option<Arc<Error>>,
        totals: RunTotals,
        elapsed: Duration,
    ) -> Self {
        let exit = judge(work, stopped.as_deref());
        Self {
            command: command.to_owned(),
            exit,
            plan_only: false,
            work,
            days_not_entitled: 0,
            first_served_day: None,
            totals,
            elapsed,
            is_stopped_early: stopped.is_some() && exit != ExitStatus::Complete,
            stopped,
            next: Vec::from_iter(next_step(work)),
            unsuccessful: Vec::new(),
            left_out: None,
            without_bars: WithoutBars::default(),
            data_dir: None,
        }
    }

    /// Adds what lists leave out of subscriptions.
    #[must_use]
    pub fn with_left_out(self, left_out: Option<LeftOut>) -> Self {
        Self { left_out, ..self }
    }

    /// Adds the requested days that are not served. `start` and `resume` report them by their exit code, because they
    /// were asked to fetch these days; an update and a repair do not.
    #[must_use]
    pub fn with_not_entitled(mut self, days: u64, known: Option<&PlanHistory>) -> Self {
        self.days_not_entitled = days;
        self.first_served_day = known.and_then(PlanHistory::first_served_day).filter(|_| days > 0);
        let is_requested = matches!(self.command.as_str(), "start" | "resume");
        if days == 0 || !is_requested || self.exit != ExitStatus::Complete {
            return self;
        }
        let next = vec![NextStep::PlanMayServeMore];
        Self { exit: ExitStatus::Unsuccessful, next, ..self }
    }

    /// Turns this into the report of a run that only records tasks: outstanding tasks are no failure then.
    #[must_use]
    pub fn plan_only(mut self) -> Self {
        self.plan_only = true;
        if matches!(self.exit, ExitStatus::Incomplete | ExitStatus::Unsuccessful) {
            self.exit = ExitStatus::Complete;
        }
        self
    }

    /// Turns this into the report of a job that leaves damaged files. An earlier end of the job takes precedence.
    #[must_use]
    pub fn damaged(self) -> Self {
        if !matches!(self.exit, ExitStatus::Complete | ExitStatus::Unsuccessful | ExitStatus::Gaps) {
            return self;
        }
        self.damaged_first()
    }

    /// Turns this into the report of a rebuilt manifest: damaged files take precedence over pending tasks.
    #[must_use]
    pub fn damaged_first(self) -> Self {
        Self { exit: ExitStatus::Damage, ..self }
    }

    /// Turns this into the report of a job after which bars are missing that were stored before.
    #[must_use]
    pub fn with_gaps(self, next: NextStep) -> Self {
        if self.exit != ExitStatus::Complete {
            return self;
        }
        Self { exit: ExitStatus::Gaps, next: vec![next], ..self }
    }

    /// Turns this into the report of a run that got too little: it ends with `exit`, unless something worse has happened.
    #[must_use]
    pub fn short(mut self, exit: ExitStatus, next: NextStep) -> Self {
        if !matches!(self.exit, ExitStatus::Complete | ExitStatus::Unsuccessful) {
            return self;
        }
        self.next.push(next);
        Self { exit, ..self }
    }

    /// Turns this into the report of a run that is not finished; adds the next step in any case.
    #[must_use]
    pub fn unfinished(mut self, next: NextStep) -> Self {
        if matches!(self.exit, ExitStatus::Complete | ExitStatus::Unsuccessful) {
            return self.short(ExitStatus::Incomplete, next);
        }
        self.next.push(next);
        self
    }

    /// Adds the manifest's tasks without data.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn with_details(mut self, data_dir: &DataDir) -> Result<Self, Error> {
        self.data_dir = Some(data_dir.clone());
        let reader = data_dir.open_read()?;
        self.without_bars = WithoutBars::of(&reader, data_dir)?;
        if self.work.unsuccessful() > 0 {
            let without_data = [TaskState::NotEntitled, TaskState::NotFound, TaskState::Failed];
            let tasks = reader.first_tasks(&without_data, NAMED)?.into_iter();
            let unsuccessful = tasks.map(|task| Unsuccessful {
                symbol: task.symbol,
                window: task.window,
                state: task.state,
                last_error: task.last_error,
            });
            self.unsuccessful = unsuccessful.collect();
        }
        Ok(self)
    }

    /// Why it stopped before the end, with all causes.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.stopped.as_ref().filter(|_| self.is_stopped_early).map(|error| error.chain())
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        self.exit
    }
}

/// Derives the exit code from what is outstanding; a reason to stop counts only if it left something undone.
fn judge(work: Workload, stopped: Option<&Error>) -> ExitStatus {
    match stopped {
        // A limit that was reached with the last task does not count; an error always does.
        Some(failure) if work.outstanding() > 0 || !matches!(failure, Error::Stopped(_)) => failure.exit(),
        Some(_) | None if work.outstanding() > 0 => ExitStatus::Incomplete,
        Some(_) | None if work.unsuccessful() > 0 => ExitStatus::Unsuccessful,
        Some(_) | None => ExitStatus::Complete,
    }
}

fn next_step(work: Workload) -> Option<NextStep> {
    let (tasks, repairs) = (work.tasks.outstanding(), work.repairs.outstanding());
    if tasks + repairs > 0 {
        Some(NextStep::Resume { tasks, repairs })
    } else if work.unsuccessful() > 0 {
        Some(NextStep::RetryFailed)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use grab_core::{disk::DiskTrouble, engine::StopReason, manifest::TaskCounts};

    use super::*;

    fn verdict(tasks: TaskCounts, stopped: Option<StopReason>) -> u8 {
        let stopped = stopped.map(|reason| Arc::new(Error::Stopped(reason)));
        let work = Workload { tasks, ..Workload::default() };
        RunReport::new("start", work, stopped, RunTotals::default(), Duration::ZERO).exit().code()
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
        assert_eq!(verdict(all, None), 0);
        assert_eq!(verdict(all, Some(StopReason::Requests)), 0, "the last request was enough");
        assert_eq!(verdict(bad, None), 11);
        assert_eq!(verdict(some, Some(StopReason::Interrupted)), 130);
        assert_eq!(verdict(some, Some(StopReason::Duration)), 10);
        assert_eq!(verdict(some, Some(StopReason::SourceLost("x".into()))), 10);
        assert_eq!(verdict(some, Some(StopReason::Unreachable("x".into()))), 21);
        assert_eq!(verdict(some, Some(StopReason::KeyRefused("x".into()))), 20);
        assert_eq!(verdict(some, Some(disk)), 30);
    }
}
