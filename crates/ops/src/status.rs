//! What is outstanding in a data directory, what is stored, and why: `grab status`. Only reads, also beside a run.

use grab_core::{
    data_dir::DataDir,
    manifest::{Holdings, PlanHistory, RunItem, SavedSetting, SavedSpec, StoreKind, TaskItem, Workload},
};
use grab_model::{Symbol, Window, plan};
use jiff::civil::Date;

use crate::{Error, WithoutBars};

/// A look at a data directory.
pub struct Status {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// Whether to list the tasks.
    pub lists_tasks: bool,
    /// How many of the last runs to list; None for none.
    pub runs: Option<usize>,
}

/// The state of a data directory.
pub struct StatusReport {
    /// Tasks and repairs by state.
    pub work: Workload,
    /// Requested days that the plan does not serve.
    pub not_entitled: Vec<(Symbol, Window)>,
    /// What is known about the history of the plan, for each requested service, the latest first.
    pub plan_histories: Vec<(String, PlanHistory)>,
    /// What is stored.
    pub holdings: Holdings,
    /// Invalid bars: they are in no partition.
    pub quarantined: u64,
    /// The kind of the bars. None before the first `start`.
    pub kind: Option<StoreKind>,
    /// Symbols without a bar in any window.
    pub without_bars: WithoutBars,
    /// Subscriptions without tasks.
    pub unplanned: u64,
    /// Whether all requests are known: not after the manifest was rebuilt without an intact plan.
    pub is_all_asked: bool,
    /// The saved settings that runs use.
    pub settings: Vec<SavedSetting>,
    /// The spec that runs use. None if the directory was started without one.
    pub spec: Option<SavedSpec>,
    /// The tasks, if they are listed.
    pub tasks: Option<Vec<TaskItem>>,
    /// The repairs that are not finished or have no data, if tasks are listed. Finished ones are evidence: each repair
    /// adds more of them.
    pub repairs: Option<Vec<TaskItem>>,
    /// The last runs, the newest first, if they are listed.
    pub runs: Option<Vec<RunItem>>,
}

impl Status {
    /// Reads the state.
    ///
    /// # Errors
    /// If nothing was ever started there, or the manifest cannot be read.
    pub fn run(&self) -> Result<StatusReport, Error> {
        let reader = self.data_dir.open_read()?;
        let items = self.lists_tasks.then(|| reader.tasks()).transpose()?;
        let (repairs, tasks) =
            items.map(|items| items.into_iter().partition::<Vec<_>, _>(|task| task.is_repair)).unzip();
        Ok(StatusReport {
            work: reader.counts()?,
            not_entitled: reader.not_entitled()?,
            plan_histories: reader.plan_histories()?,
            holdings: reader.holdings()?,
            quarantined: reader.quarantined()?,
            kind: reader.kind()?,
            without_bars: WithoutBars::of(&reader, &self.data_dir)?,
            unplanned: reader.orders()?.iter().filter(|order| order.planned_at_ms.is_none()).count() as u64,
            is_all_asked: reader.is_all_asked()?,
            settings: reader.saved_settings()?,
            spec: reader.spec()?,
            tasks,
            repairs: repairs
                .map(|repairs| repairs.into_iter().filter(|task| !task.state.is_covered()).collect()),
            runs: self.runs.map(|most| reader.runs(most)).transpose()?,
        })
    }
}

impl StatusReport {
    /// Requested sessions, summed over the symbols, that the plan does not serve.
    #[must_use]
    pub fn days_not_entitled(&self) -> u64 {
        plan::sessions_in(self.not_entitled.iter().map(|(_, window)| window))
    }

    /// What was found out last about the history of a plan. None if nothing was ever refused.
    #[must_use]
    pub fn plan_history(&self) -> Option<&PlanHistory> {
        self.plan_histories.first().map(|(_, history)| history)
    }

    /// The first day that the plan serves. None if nothing was ever refused, or it is not found yet.
    #[must_use]
    pub fn first_served_day(&self) -> Option<Date> {
        self.plan_history().and_then(PlanHistory::first_served_day)
    }
}
