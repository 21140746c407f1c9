//! The JSON of a run.

use grab_core::manifest::TaskCounts;
use grab_model::Window;
use serde::Serialize;

use crate::{LeftOut, RunReport, WithoutBars};

/// The JSON of a run's report.
#[derive(Serialize)]
pub struct RunJson {
    pub plan_only: bool,
    pub tasks: TaskCounts,
    pub repairs: TaskCounts,
    pub days_not_entitled: u64,
    pub first_served_day: Option<String>,
    pub requests: u64,
    pub retries: u64,
    pub bars: u64,
    pub revised: u64,
    pub partitions: u64,
    pub bytes_received: u64,
    pub error: Option<String>,
    pub hint: Option<String>,
    pub unsuccessful: Vec<UnsuccessfulJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    pub without_bars: WithoutBars,
}

#[derive(Serialize)]
pub struct UnsuccessfulJson {
    pub ticker: String,
    pub window: Window,
    pub state: &'static str,
    pub last_error: Option<String>,
}

impl RunJson {
    /// The JSON of a run, with advice on what to do next.
    #[must_use]
    pub fn new(report: &RunReport, hint: Option<String>) -> Self {
        let RunReport { totals, work, .. } = report;
        let unsuccessful = report.unsuccessful.iter().map(|task| UnsuccessfulJson {
            ticker: task.symbol.to_string(),
            window: task.window,
            state: task.state.as_str(),
            last_error: task.last_error.clone(),
        });
        Self {
            plan_only: report.plan_only,
            tasks: work.tasks,
            repairs: work.repairs,
            days_not_entitled: report.days_not_entitled,
            first_served_day: report.first_served_day.map(|day| day.to_string()),
            requests: totals.requests,
            retries: totals.retries,
            bars: totals.bars,
            revised: totals.revised,
            partitions: totals.partitions,
            bytes_received: totals.bytes_received,
            error: report.error(),
            hint,
            unsuccessful: unsuccessful.collect(),
            left_out: report.left_out.clone(),
            without_bars: report.without_bars.clone(),
        }
    }
}
