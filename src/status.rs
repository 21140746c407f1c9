//! `grab status`: what is outstanding, what is stored, and why. Only reads, also while a run is live.

use grab_core::{
    exit::ExitStatus,
    manifest::{PlanHistory, SavedSetting, SavedSpec, TaskCounts, TaskItem, TaskState},
};
use grab_model::{Symbol, Window, excerpt, format, new_york, plan};
use grab_ops::{Error as Failure, Status, StatusReport, WithoutBars};
use serde::Serialize;

use super::{
    args::{CommonArgs, StatusArgs},
    output::Output,
    report::Report,
    run_report,
    runs::{self, RunRow},
    settings::Sources,
    text::{Align, Table, Text},
    watch, without_bars,
};

/// How much of a path is shown, in characters.
const SHOWN: usize = 300;

/// The report; its JSON is in the contract.
#[derive(Serialize)]
struct StatusJson {
    tasks: TaskCounts,
    /// Tasks that request days again: they are not counted in `tasks`.
    repairs: TaskCounts,
    /// Requested sessions, summed over the symbols, that the plan does not serve.
    days_not_entitled: u64,
    /// The first day that the plan serves. None if nothing was ever refused, or it is not found yet.
    first_served_day: Option<String>,
    /// How that was found out, for each requested service, the latest first.
    plan_history: Vec<HistoryRow>,
    bars: u64,
    partitions: u64,
    bytes: u64,
    /// Invalid bars: they are in no partition.
    quarantined: u64,
    /// Start of the first and of the last bar.
    oldest: Option<String>,
    newest: Option<String>,
    /// Whether the bars are adjusted for splits. None before the first `start`.
    adjusted: Option<bool>,
    /// Whether the bars are from the sandbox.
    sandbox: Option<bool>,
    /// Symbols without a bar in any window.
    without_bars: WithoutBars,
    /// Subscriptions without tasks.
    unplanned: u64,
    /// Whether all requests are known: not after the manifest was rebuilt without an intact plan.
    is_all_asked: bool,
    /// The saved settings that runs use.
    told: ToldRow,
    /// The spec that runs use. None if the directory was started without one.
    spec: Option<SpecRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Item>>,
    /// The repairs that are not finished or have no data.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair_items: Option<Vec<Item>>,
    /// The newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunRow>>,
    #[serde(skip)]
    data_dir: String,
}

/// The saved settings of how to fetch.
#[derive(Serialize)]
struct ToldRow {
    base_url: Option<String>,
    rate: Option<String>,
    concurrency: Option<String>,
    parquet: Option<String>,
    /// When the latest of them was saved.
    told_at: Option<String>,
    #[serde(skip)]
    told_at_ms: Option<i64>,
}

/// What is known about the plan's history.
#[derive(Serialize)]
struct HistoryRow {
    /// The host of the service.
    service: String,
    /// The first day that its plan serves. None while it is not found.
    first_served_day: Option<String>,
    /// The New York day on which this was so. Most histories move on by one day a day.
    as_of: String,
    /// `refusal`, or `clipping`: earlier days are left out of responses without an error.
    shown_by: &'static str,
    /// The service's message.
    words: Option<String>,
}

/// The saved spec.
#[derive(Serialize)]
struct SpecRow {
    path: String,
    kept_at: String,
    #[serde(skip)]
    kept_at_ms: i64,
}

#[derive(Serialize)]
struct Item {
    ticker: String,
    window: Window,
    state: &'static str,
    bars: u64,
    pages: u64,
    cursor: Option<String>,
    attempts: u64,
    last_error: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// If nothing was ever started here, or the manifest cannot be read.
pub fn run(
    args: &StatusArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let data_dir = sources.data_dir(common)?;
    if args.watch {
        return watch::run(&data_dir, &args.interval, sources.clock()?, output);
    }
    let status = Status { data_dir, lists_tasks: args.tickers, runs: args.runs.then_some(runs::LISTED) };
    output.report(&StatusJson::new(status.run()?, status.data_dir.display().to_string()))
}

impl StatusJson {
    fn new(status: StatusReport, data_dir: String) -> Self {
        let StatusReport { work, holdings, kind, .. } = status;
        let days_not_entitled = status.days_not_entitled();
        let first_served_day = status.first_served_day().map(|day| day.to_string());
        let reason = not_entitled(status.plan_history());
        let days = status.not_entitled.into_iter().filter(|(_, window)| plan::sessions_in([window]) > 0);
        let items = |tasks: Vec<TaskItem>| tasks.into_iter().map(Item::from);
        Self {
            tasks: work.tasks,
            repairs: work.repairs,
            days_not_entitled,
            first_served_day,
            plan_history: status.plan_histories.into_iter().filter_map(HistoryRow::of).collect(),
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
            told: ToldRow::of(&status.settings),
            spec: status.spec.map(SpecRow::from),
            // The tasks, and after those of each symbol the requested days that are not served.
            items: status
                .tasks
                .map(|tasks| items(tasks).chain(days.map(|day| Item::not_entitled(day, &reason))).collect()),
            repair_items: status.repairs.map(|repairs| items(repairs).collect()),
            runs: status.runs.map(|runs| runs.into_iter().map(RunRow::from).collect()),
            data_dir,
        }
    }
}

impl ToldRow {
    fn of(told: &[SavedSetting]) -> Self {
        let value =
            |setting: &str| told.iter().find(|told| told.setting == setting).map(|told| told.value.clone());
        let told_at_ms = told.iter().map(|told| told.told_at_ms).max();
        Self {
            base_url: value("base_url"),
            rate: value("rate"),
            concurrency: value("concurrency"),
            parquet: value("parquet"),
            told_at: told_at_ms.map(format::instant),
            told_at_ms,
        }
    }

    /// A line of text. None if nothing is saved.
    fn line(&self) -> Option<String> {
        let parts = [
            self.base_url.as_ref().map(|url| format!("from {}", excerpt(url, SHOWN))),
            self.rate.as_ref().map(|rate| format!("at {rate}")),
            self.concurrency.as_ref().map(|n| format!("{n} requests at once")),
            self.parquet.as_ref().map(|kind| format!("--parquet {kind}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let day = self.told_at_ms.and_then(new_york::date_of)?;
        Some(format!("{}, by grab start on {day}", parts.join(", ")))
    }
}

impl From<SavedSpec> for SpecRow {
    fn from(SavedSpec { spec, kept_at_ms }: SavedSpec) -> Self {
        Self { path: spec.path, kept_at: format::instant(kept_at_ms), kept_at_ms }
    }
}

impl SpecRow {
    fn line(&self) -> String {
        let day = new_york::date_of(self.kept_at_ms).map(|day| format!(", saved on {day}"));
        format!("{}{}", excerpt(&self.path, SHOWN), day.unwrap_or_default())
    }
}

impl HistoryRow {
    fn of((service, known): (String, PlanHistory)) -> Option<Self> {
        known.edge()?;
        let first_served_day = known.first_served_day().map(|day| day.to_string());
        let shown_by = known.shown_by?.as_str();
        Some(Self { service, first_served_day, as_of: known.as_of.to_string(), shown_by, words: known.words })
    }

    fn show(&self, text: &mut Text) {
        let Self { service, as_of, .. } = self;
        let first = self.first_served_day.as_deref().unwrap_or("not known yet");
        text.row("plan", format_args!("first day that it serves: {first} ({service}, found on {as_of})"));
        if let Some(words) = &self.words {
            text.row("", format_args!("the service says: {}", excerpt(words, SHOWN)));
        }
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

impl Item {
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

impl From<TaskItem> for Item {
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

impl Report for StatusJson {
    fn text(&self) -> Text {
        let made_up = if self.sandbox == Some(true) { ", made up by the sandbox" } else { "" };
        let adjusted = if self.adjusted == Some(true) { "split-adjusted" } else { "as traded" };
        let mut text = Text::new(format_args!("{}: bars {adjusted}{made_up}", self.data_dir));
        text.row("tasks", run_report::counts(self.tasks));
        let [bars, partitions] = [(self.bars, "bar"), (self.partitions, "partition")]
            .map(|(count, what)| format::plural(count, what));
        text.row("stored", format_args!("{bars} in {partitions}, {}", format::bytes(self.bytes)));
        text.rows("repairs", run_report::repairs(self.repairs));
        if let (Some(oldest), Some(newest)) = (&self.oldest, &self.newest) {
            text.row("from", format_args!("{oldest} to {newest}"));
        }
        if self.quarantined > 0 {
            text.row("invalid", format_args!("{} in quarantine", format::plural(self.quarantined, "bar")));
        }
        text.rows("empty", without_bars::text(&self.without_bars));
        if self.unplanned > 0 {
            let lists = format::plural(self.unplanned, "request");
            text.row("lists", format_args!("{lists} for a list without tasks yet: `grab resume` plans them"));
        }
        self.plan_history.iter().for_each(|history| history.show(&mut text));
        if self.days_not_entitled > 0 {
            let is_known = self.first_served_day.is_some() && self.plan_history.len() == 1;
            let before = if is_known { " before it" } else { "" };
            let days = format::plural(self.days_not_entitled, "day");
            text.row("", format_args!("{days}{before} requested: not_entitled"));
        }
        if !self.is_all_asked {
            text.row("pending", run_report::ASK_AGAIN);
        }
        text.rows("settings", self.told.line());
        text.rows("spec", self.spec.iter().map(SpecRow::line));
        if let Some(items) = &self.items {
            text.line("");
            text.table(&tasks(items, self.repair_items.as_deref().unwrap_or_default()));
        }
        if let Some(runs) = &self.runs {
            text.line("");
            text.append(runs::text(runs));
        }
        text
    }
}

/// The tasks and repairs as a table, each with its last error.
fn tasks(tasks: &[Item], repairs: &[Item]) -> Table {
    let words = ["ticker", "window", "state"].map(|name| (name, Align::Left));
    let numbers = ["bars", "pages"].map(|name| (name, Align::Right));
    let mut table = Table::new(&[&words[..], &numbers[..], &[("", Align::Left)]].concat());
    let kinds = [(tasks, ""), (repairs, "(repair)")];
    for (item, kind) in kinds.into_iter().flat_map(|(items, kind)| items.iter().map(move |item| (item, kind)))
    {
        let Item { ticker, window, state, bars, pages, .. } = item;
        let [bars, pages] = [*bars, *pages].map(format::count);
        table.row(vec![
            ticker.clone(),
            window.to_string(),
            (*state).to_owned(),
            bars,
            pages,
            kind.to_owned(),
        ]);
        table.note(item.last_error.clone());
    }
    table
}
