//! `grab status`: what is outstanding, what is stored, and why. Only reads, also while a run is live.

use grab_core::exit::ExitStatus;
use grab_model::{excerpt, format, new_york};
use grab_ops::{
    Error as Failure, Status,
    json::{PlanHistoryJson, SavedSettingsJson, SavedSpecJson, StatusJson, TaskJson},
};

use super::{
    args::{CommonArgs, StatusArgs},
    output::Output,
    report::Report,
    run_report, runs,
    settings::Sources,
    text::{Align, Table, Text},
    watch, without_bars,
};

/// How much of a path is shown, in characters.
const SHOWN: usize = 300;

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

/// The saved settings in a line. None if nothing is saved.
fn settings(settings: &SavedSettingsJson) -> Option<String> {
    let parts = [
        settings.base_url.as_ref().map(|url| format!("from {}", excerpt(url, SHOWN))),
        settings.rate.as_ref().map(|rate| format!("at {rate}")),
        settings.concurrency.as_ref().map(|n| format!("{n} requests at once")),
        settings.parquet.as_ref().map(|kind| format!("--parquet {kind}")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let day = settings.saved_at_ms.and_then(new_york::date_of)?;
    Some(format!("{}, by grab start on {day}", parts.join(", ")))
}

fn spec(spec: &SavedSpecJson) -> String {
    let day = new_york::date_of(spec.kept_at_ms).map(|day| format!(", saved on {day}"));
    format!("{}{}", excerpt(&spec.path, SHOWN), day.unwrap_or_default())
}

fn show_history(history: &PlanHistoryJson, text: &mut Text) {
    let PlanHistoryJson { service, as_of, .. } = history;
    let first = history.first_served_day.as_deref().unwrap_or("not known yet");
    text.row("plan", format_args!("first day that it serves: {first} ({service}, found on {as_of})"));
    if let Some(words) = &history.words {
        text.row("", format_args!("the service says: {}", excerpt(words, SHOWN)));
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
        self.plan_history.iter().for_each(|history| show_history(history, &mut text));
        if self.days_not_entitled > 0 {
            let is_known = self.first_served_day.is_some() && self.plan_history.len() == 1;
            let before = if is_known { "before that day" } else { "that it does not serve" };
            let sessions = format::count(self.days_not_entitled);
            text.row("", format_args!("sessions requested {before}: {sessions} (not_entitled)"));
        }
        if !self.is_all_asked {
            text.row("pending", run_report::ASK_AGAIN);
        }
        text.rows("settings", settings(&self.settings));
        text.rows("spec", self.spec.iter().map(spec));
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
fn tasks(tasks: &[TaskJson], repairs: &[TaskJson]) -> Table {
    let words = ["ticker", "window", "state"].map(|name| (name, Align::Left));
    let numbers = ["bars", "pages"].map(|name| (name, Align::Right));
    let mut table = Table::new(&[&words[..], &numbers[..], &[("", Align::Left)]].concat());
    let kinds = [(tasks, ""), (repairs, "(repair)")];
    for (item, kind) in kinds.into_iter().flat_map(|(items, kind)| items.iter().map(move |item| (item, kind)))
    {
        let TaskJson { ticker, window, state, bars, pages, .. } = item;
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
