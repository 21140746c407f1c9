//! The JSON of a directory's status.

use grab_core::{
    exit::{ExitStatus, Outcome},
    manifest::{PlanHistory, RunItem, SavedSetting, SavedSpec, TaskCounts, TaskItem, TaskState},
};
use grab_model::{Symbol, Window, format, plan};
use serde::Serialize;

use crate::{StatusReport, WithoutBars};

/// The JSON of a directory's status.
#[derive(Serialize)]
pub struct StatusJson {
    pub tasks: TaskCounts,
    /// Tasks that request days again: they are not counted in `tasks`.
    pub repairs: TaskCounts,
    /// Requested sessions, summed over the symbols, that the plan does not serve.
    pub days_not_entitled: u64,
    /// The first day that the plan serves. None if nothing was ever refused, or it is not found yet.
    pub first_served_day: Option<String>,
    /// How that was found out, for each requested service, the latest first.
    pub plan_history: Vec<PlanHistoryJson>,
    pub bars: u64,
    pub partitions: u64,
    pub bytes: u64,
    /// Invalid bars: they are in no partition.
    pub quarantined: u64,
    /// Start of the first and of the last bar.
    pub oldest: Option<String>,
    pub newest: Option<String>,
    /// Whether the bars are adjusted for splits. None before the first `start`.
    pub adjusted: Option<bool>,
    /// Whether the bars are from the sandbox.
    pub sandbox: Option<bool>,
    /// Symbols without a bar in any window.
    pub without_bars: WithoutBars,
    /// Subscriptions without tasks.
    pub unplanned: u64,
    /// Whether all requests are known: not after the manifest was rebuilt without an intact plan.
    pub is_all_asked: bool,
    /// The saved settings that runs use.
    #[serde(rename = "told")]
    pub settings: SavedSettingsJson,
    /// The spec that runs use. None if the directory was started without one.
    pub spec: Option<SavedSpecJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<TaskJson>>,
    /// The repairs that are not finished or have no data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair_items: Option<Vec<TaskJson>>,
    /// The newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<RunRow>>,
    #[serde(skip)]
    pub data_dir: String,
}

/// The saved settings of how to fetch.
#[derive(Serialize)]
pub struct SavedSettingsJson {
    pub base_url: Option<String>,
    pub rate: Option<String>,
    pub concurrency: Option<String>,
    pub parquet: Option<String>,
    /// When the latest of them was saved.
    #[serde(rename = "told_at")]
    pub saved_at: Option<String>,
    #[serde(skip)]
    pub saved_at_ms: Option<i64>,
}

/// What is known about the plan's history.
#[derive(Serialize)]
pub struct PlanHistoryJson {
    /// The host of the service.
    pub service: String,
    /// The first day that its plan serves. None while it is not found.
    pub first_served_day: Option<String>,
    /// The New York day on which this was so. Most histories move on by one day a day.
    pub as_of: String,
    /// `refusal`, or `clipping`: earlier days are left out of responses without an error.
    pub shown_by: &'static str,
    /// The service's message.
    pub words: Option<String>,
}

/// The saved spec.
#[derive(Serialize)]
pub struct SavedSpecJson {
    pub path: String,
    pub kept_at: String,
    #[serde(skip)]
    pub kept_at_ms: i64,
}

#[derive(Serialize)]
pub struct TaskJson {
    pub ticker: String,
    pub window: Window,
    pub state: &'static str,
    pub bars: u64,
    pub pages: u64,
    pub cursor: Option<String>,
    pub attempts: u64,
    pub last_error: Option<String>,
}

/// A row of `runs`, with all of its columns and derived values.
#[derive(Serialize)]
pub struct RunRow {
    pub id: i64,
    pub command: String,
    pub arguments: String,
    pub grab_version: String,
    pub pid: u32,
    pub started_at_ms: i64,
    pub started_at: String,
    pub ended_at_ms: Option<i64>,
    pub ended_at: Option<String>,
    /// Whether it is running. A run that has not ended and is not running was killed.
    pub live: bool,
    pub outcome: Option<Outcome>,
    pub exit_code: Option<u8>,
    pub requests: u64,
    pub retries: u64,
    pub bars: u64,
    pub partitions: u64,
    pub bytes_received: u64,
    pub revised: u64,
}

impl From<RunItem> for RunRow {
    fn from(run: RunItem) -> Self {
        Self {
            id: run.id,
            command: run.command,
            arguments: run.arguments,
            grab_version: run.grab_version,
            pid: run.pid,
            started_at_ms: run.started_at_ms,
            started_at: format::instant(run.started_at_ms),
            ended_at_ms: run.ended_at_ms,
            ended_at: run.ended_at_ms.map(format::instant),
            live: run.is_live,
            outcome: run.exit.map(ExitStatus::outcome),
            exit_code: run.exit.map(ExitStatus::code),
            requests: run.totals.requests,
            retries: run.totals.retries,
            bars: run.totals.bars,
            partitions: run.totals.partitions,
            bytes_received: run.totals.bytes_received,
            revised: run.totals.revised,
        }
    }
}

impl StatusJson {
    /// The JSON of a status; `data_dir` is the path for people.
    #[must_use]
    pub fn new(status: StatusReport, data_dir: String) -> Self {
        let StatusReport { work, holdings, kind, .. } = status;
        let days_not_entitled = status.days_not_entitled();
        let first_served_day = status.first_served_day().map(|day| day.to_string());
        let reason = not_entitled(status.plan_history());
        let days = status.not_entitled.into_iter().filter(|(_, window)| plan::sessions_in([window]) > 0);
        let items = |tasks: Vec<TaskItem>| tasks.into_iter().map(TaskJson::from);
        Self {
            tasks: work.tasks,
            repairs: work.repairs,
            days_not_entitled,
            first_served_day,
            plan_history: status.plan_histories.into_iter().filter_map(PlanHistoryJson::of).collect(),
            bars: holdings.bars,
            partitions: holdings.partitions,
            bytes: holdings.bytes,
            quarantined: status.quarantined,
            oldest: holdings.span_ms.map(|(first, _)| format::instant(first)),
            newest: holdings.span_ms.map(|(_, last)| format::instant(last)),
            adjusted: kind.map(|kind| kind.adjusted),
            sandbox: kind.map(|kind| kind.sandbox),
            without_bars: status.without_bars,
            unplanned: status.unplanned,
            is_all_asked: status.is_all_asked,
            settings: SavedSettingsJson::of(&status.settings),
            spec: status.spec.map(SavedSpecJson::from),
            // The tasks, and after those of each symbol the requested days that are not served.
            items: status.tasks.map(|tasks| {
                items(tasks).chain(days.map(|day| TaskJson::not_entitled(day, &reason))).collect()
            }),
            repair_items: status.repairs.map(|repairs| items(repairs).collect()),
            runs: status.runs.map(|runs| runs.into_iter().map(RunRow::from).collect()),
            data_dir,
        }
    }
}

impl SavedSettingsJson {
    fn of(settings: &[SavedSetting]) -> Self {
        let value = |setting: &str| {
            settings.iter().find(|saved| saved.setting == setting).map(|saved| saved.value.clone())
        };
        let saved_at_ms = settings.iter().map(|saved| saved.saved_at_ms).max();
        Self {
            base_url: value("base_url"),
            rate: value("rate"),
            concurrency: value("concurrency"),
            parquet: value("parquet"),
            saved_at: saved_at_ms.map(format::instant),
            saved_at_ms,
        }
    }
}

impl From<SavedSpec> for SavedSpecJson {
    fn from(SavedSpec { spec, kept_at_ms }: SavedSpec) -> Self {
        Self { path: spec.path, kept_at: format::instant(kept_at_ms), kept_at_ms }
    }
}

impl PlanHistoryJson {
    fn of((service, known): (String, PlanHistory)) -> Option<Self> {
        known.edge()?;
        let first_served_day = known.first_served_day().map(|day| day.to_string());
        let shown_by = known.shown_by?.as_str();
        Some(Self { service, first_served_day, as_of: known.as_of.to_string(), shown_by, words: known.words })
    }
}

/// Why days are not served, in words.
fn not_entitled(known: Option<&PlanHistory>) -> String {
    let first = known.and_then(PlanHistory::first_served_day);
    let begins = first.map_or("the plan does not serve these days".to_owned(), |first| {
        format!("the plan's history begins on {first}")
    });
    let words = known.and_then(|known| known.words.as_ref()).map(|words| format!(": {words}"));
    format!("{begins}{}", words.unwrap_or_default())
}

impl TaskJson {
    fn not_entitled((symbol, window): (Symbol, Window), reason: &str) -> Self {
        Self {
            ticker: symbol.to_string(),
            window,
            state: TaskState::NotEntitled.as_str(),
            bars: 0,
            pages: 0,
            cursor: None,
            attempts: 0,
            last_error: Some(reason.to_owned()),
        }
    }
}

impl From<TaskItem> for TaskJson {
    fn from(task: TaskItem) -> Self {
        Self {
            ticker: task.symbol.to_string(),
            window: task.window,
            state: task.state.as_str(),
            bars: task.bars,
            pages: task.pages,
            cursor: task.cursor,
            attempts: task.attempts,
            last_error: task.last_error,
        }
    }
}
