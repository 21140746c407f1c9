//! Shows notices on stderr in words, and the progress of a job.

use std::{any::Any, collections::BTreeSet, io, pin::Pin, sync::Arc, time::Duration};

use grab_core::{
    data_dir::PLAN,
    engine::{Stop, StopReason},
    exit::ExitStatus,
    verify::VerifyProgress,
};
use grab_model::{excerpt, format};
use grab_ops::{
    Error, FileProgress, LastReport, NoObserver, Notice, Observer, Phase, PhaseView, RepairEstimate,
};

use super::{
    args::ProgressMode,
    bars::{FileBar, VerifyBar},
    left_out,
    output::{Output, say},
    progress, run_report, signals, thresholds,
};

/// How many unknown tickers are named.
const NAMED: usize = 10;

/// How much of such a name is shown, in characters.
const SHOWN: usize = 20;

/// An observer that writes to the terminal.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// How progress is shown.
    pub progress: ProgressMode,
    /// Whether to hide progress, the saved host and the written files.
    pub quiet: bool,
    /// Where a report goes if the command has no time to print it.
    pub output: Output,
}

impl Terminal {
    /// The observer of a run.
    #[must_use]
    pub fn observer(progress: ProgressMode, quiet: bool, output: Output) -> Arc<dyn Observer> {
        Arc::new(Self { progress, quiet, output })
    }
}

impl Observer for Terminal {
    fn notice(&self, notice: &Notice) {
        if self.quiet && matches!(notice, Notice::SavedHost(_) | Notice::FileWritten { .. }) {
            return;
        }
        for line in lines(notice) {
            say(&line);
        }
    }

    fn phase(&self, phase: Phase) -> Box<dyn PhaseView> {
        let mode = if self.quiet { ProgressMode::None } else { self.progress };
        Box::new(progress::show(mode, phase))
    }

    fn verification(&self, progress: &Arc<VerifyProgress>) -> Box<dyn Any + Send> {
        if self.quiet { Box::new(()) } else { Box::new(VerifyBar::show(progress)) }
    }

    fn files(&self) -> Box<dyn FileProgress> {
        if self.quiet { Box::new(NoObserver) } else { Box::new(FileBar::new()) }
    }

    fn watch_signals(&self, stop: Stop, last_report: LastReport) -> io::Result<()> {
        let output = self.output;
        signals::watch(stop, move || match last_report() {
            // If stdout is gone, nothing can be reported.
            Ok(run) => output.report(&run_report::RunOutput(&run)).unwrap_or(ExitStatus::Interrupted),
            Err(_) => output.failure(&Error::Stopped(StopReason::Interrupted)),
        })
    }
}

impl PhaseView for progress::ProgressDisplay {
    fn end(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin((*self).end())
    }
}

/// A notice in words.
fn lines(notice: &Notice) -> Vec<String> {
    let line = match notice {
        Notice::BarsWithoutManifest => {
            "there are bars here that are in no manifest: `grab repair --rebuild-manifest` first avoids new requests for them".to_owned()
        }
        Notice::PlanDamaged { faults, copy } => {
            let faults = faults.join("; ");
            format!("note: {PLAN} was damaged ({faults}) and is written again; a copy of it is {}", copy.display())
        }
        Notice::PlanAsksForMore { windows, first: (symbol, window) } => {
            let windows = format::plural(*windows, "window");
            format!(
                "note: {PLAN} requests {windows} more than the manifest, the first {symbol} {window}: they are pending now"
            )
        }
        Notice::PlanCopied(copy) => format!("a copy of the damaged {PLAN} is {}", copy.display()),
        Notice::PartitionDamaged(damaged) => damaged.detail.clone(),
        Notice::NothingToRepair => "there is nothing to repair".to_owned(),
        Notice::RepairBegins(estimate) => format!("requests {}", repair_size(estimate)),
        Notice::BehindLink(path) => {
            format!("{} is behind a link: not touched", path.display().to_string().escape_debug())
        }
        Notice::LossAccepted { months } => {
            let months = format::plural(*months, "month");
            format!("{months} with fewer bars than there were: their present bars are accepted as complete")
        }
        Notice::SavedHost(host) => format!("requests go to {host}, the saved host of this directory"),
        Notice::UniverseComesLater => {
            "no universe is stored here yet: `grab resume` fetches it, and then plans what was requested".to_owned()
        }
        Notice::NothingNew { is_all_served: true } => "everything requested is recorded already".to_owned(),
        Notice::NothingNew { is_all_served: false } => {
            "everything requested is recorded already, except days that the plan does not serve".to_owned()
        }
        Notice::NothingPlanned => {
            "everything requested is recorded already, or no symbol was listed in these windows".to_owned()
        }
        Notice::Planned { tasks, without_list_date } => return planned(*tasks, *without_list_date),
        Notice::NothingMatches { subscription, types, exchanges } => {
            let narrowed = |word: &str, requested: &[String], there: &[String]| {
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                if requested.is_empty() { String::new() } else { format!("; {word} {}; there are {there}", requested.join(", ")) }
            };
            format!(
                "note: no symbol of {} matches the request for {}{}{}",
                subscription.list,
                subscription.windows,
                narrowed("of type", &subscription.types, types),
                narrowed("on", &subscription.exchanges, exchanges),
            )
        }
        Notice::LeftOut(left_out) => {
            return left_out::notes(left_out).into_iter().map(|note| format!("note: {note}")).collect();
        }
        Notice::TableDamaged(why) => format!("note: {why}"),
        Notice::ListingsDamaged(why) => format!("note: {why}: the company of a split is not known from it"),
        Notice::TableReplaced(why) => format!("note: {why}: it is written again"),
        Notice::AnswersUnreadable { count, kind } => {
            format!("note: {count} stored responses about {kind} cannot be read: they are requested again")
        }
        Notice::ListUnreadable(list) => {
            format!("note: a stored page of the list of {list} cannot be read: it is requested again")
        }
        Notice::UnknownTickers(unknown) => unknown_tickers(unknown),
        Notice::FutureWindows { windows, last } => {
            let windows = windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            format!("left out, because it begins after the last finished session, {last}: {windows}")
        }
        Notice::FutureTasks { tasks, last } => {
            let tasks = format::plural(*tasks, "task");
            format!("left out, because they begin after the last finished session, {last}: {tasks}")
        }
        Notice::SplitFound { symbol, date } => {
            format!("{symbol} has split on {date}: its whole adjusted history is requested again")
        }
        Notice::SplitsUnknown => {
            "bars are adjusted here, and no splits are known yet: a new split is not noticed".to_owned()
        }
        Notice::ListMissing { list, why } => format!("note: {}", thresholds::missing_list(list, why)),
        Notice::FileWritten { path, bytes } => format!("wrote {}, {}", path.display(), format::bytes(*bytes)),
        Notice::MissingUnknown(path) => {
            format!("{} is not written: without a manifest, what is missing is not known", path.display())
        }
        Notice::NoDelistedSymbols => {
            "note: the source lists no delisted symbol: histories of delisted companies may be missing".to_owned()
        }
        Notice::FutureTasksStay { tasks, last } => {
            let tasks = format::plural(*tasks, "task");
            format!(
                "note: {tasks} for days after {last}, the last finished session by the clock of this machine; the service did \
                 not say what time it is, and the tasks stay as they are"
            )
        }
        Notice::FutureTasksCut { tasks, last } => format!(
            "{} for days after {last}, which are still to come: a clock was ahead when they were recorded. They are cut, and \
             what was requested too early is requested again",
            format::plural(*tasks, "task")
        ),
    };
    vec![line]
}

fn planned(tasks: u64, without_list_date: u64) -> Vec<String> {
    let mut lines = vec![format!("{} planned by the universe", format::plural(tasks, "task"))];
    if without_list_date > 0 {
        lines.push(format!(
            "note: the list date is not known for {} in it: windows before that date are requested without a result, \
             unless `grab universe sync --list-dates` ran first",
            format::plural(without_list_date, "symbol")
        ));
    }
    lines
}

fn unknown_tickers(unknown: &BTreeSet<String>) -> String {
    let named: Vec<_> = unknown.iter().take(NAMED).map(|name| excerpt(name, SHOWN)).collect();
    let more = if unknown.len() > NAMED { ", …" } else { "" };
    let count = format::plural(unknown.len() as u64, "name");
    format!("note: no ticker matches {count} of the table: {}{more}", named.join(", "))
}

/// `61 sessions in 1 window, about 1 request, 12s`.
#[must_use]
pub fn repair_size(estimate: &RepairEstimate) -> String {
    let RepairEstimate { sessions, windows, requests, seconds } = *estimate;
    let time = seconds.map(|seconds| format!(", {}", format::duration(Duration::from_secs_f64(seconds))));
    let [sessions, windows, requests] =
        [(sessions, "session"), (windows as u64, "window"), (requests, "request")]
            .map(|(count, what)| format::plural(count, what));
    format!("{sessions} in {windows}, about {requests}{}", time.unwrap_or_default())
}
