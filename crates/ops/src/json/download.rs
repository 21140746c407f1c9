//! The JSON of `grab start --dry-run`.

use grab_core::manifest::TaskCounts;
use grab_model::plan::Estimate;
use serde::Serialize;

use super::RequestedWindow;
use crate::{DownloadPlan, LeftOut};

/// What `start` would record and fetch; its JSON is public.
#[derive(Serialize)]
pub struct DownloadPlanJson {
    pub dry_run: bool,
    /// What is recorded already.
    pub tasks: TaskCounts,
    /// What `start` would run: the new tasks, and the outstanding ones.
    pub estimate: Estimate,
    pub plan: Vec<RequestedWindow>,
    /// What lists leave out of a subscription, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// Sessions, summed over the symbols, that the plan is known not to serve: they are not requested.
    pub days_not_entitled: u64,
    /// The first day that the plan serves, if that is known.
    pub first_served_day: Option<String>,
}

impl From<DownloadPlan> for DownloadPlanJson {
    fn from(plan: DownloadPlan) -> Self {
        let DownloadPlan { recorded, tasks, estimate, left_out, days_not_entitled, history } = plan;
        Self {
            dry_run: true,
            tasks: recorded,
            estimate,
            plan: tasks.iter().map(RequestedWindow::from).collect(),
            left_out,
            days_not_entitled,
            first_served_day: history.map(|history| history.first_served().to_string()),
        }
    }
}
