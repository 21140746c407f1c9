//! `grab start`: records what is wanted, and fetches it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use grab_core::{clock::Clock, exit::ExitStatus, manifest::TaskCounts};
use grab_model::{
    Rate, Symbol, Window, format,
    plan::{self, Estimate, Spec},
};
use grab_ops::{
    Download, DownloadPlan, DownloadRequest, Error as Failure, last_day, read_tasks, read_tickers,
};
use serde::Serialize;

use super::{
    args::{CommonArgs, StartArgs, joined},
    left_out,
    notices::Terminal,
    output::{Output, announce_clock, say},
    remembered::{Remembered, SpecFile},
    report::Report,
    run_report,
    settings::{FetchSettings, Sources},
    text::Text,
    universe,
};

/// How many tasks the text of a dry run lists.
const LISTED: usize = 20;

/// What `--dry-run` reports.
#[derive(Serialize)]
struct DryRunReport {
    dry_run: bool,
    /// What is recorded already.
    tasks: TaskCounts,
    /// What `start` would run: the new tasks, and the outstanding ones.
    estimate: Estimate,
    plan: Vec<PlannedTask>,
    /// What lists leave out of a subscription, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<grab_ops::LeftOut>,
    /// Sessions, summed over the symbols, that the plan is known not to serve: they are not requested.
    days_not_entitled: u64,
    /// The first day that the plan serves, if that is known.
    first_served_day: Option<String>,
    #[serde(skip)]
    rate: Rate,
}

#[derive(Serialize)]
struct PlannedTask {
    ticker: String,
    window: Window,
}

/// Runs the command.
///
/// # Errors
/// If the request is not valid, or the data directory cannot be used.
pub fn run(
    args: &StartArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let file = args.spec.as_deref().map(SpecFile::read).transpose()?;
    let spec = file.as_ref().map(SpecFile::named);
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let sources = Remembered::of(&data_dir).told_over(sources);
    let sources = match spec {
        Some((path, spec)) => sources.with_spec(path, spec),
        None => sources,
    };
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, &sources)?;
    announce_clock(clock);
    let request = match &args.tasks_file {
        Some(path) => DownloadRequest::Tasks(tasks(path, clock)?),
        None => request(args, spec, clock)?,
    };
    file.as_ref().map_or(Ok(()), SpecFile::check)?;
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let download = Download {
        data_dir,
        request,
        options: settings.options,
        plan_only: args.plan_only,
        spec: file.as_ref().map(|file| file.to_keep(&sources)),
        settings: to_tell(&sources, args, spec.map(|(_, spec)| spec)),
        clock,
    };
    if args.dry_run {
        let rate = download.options.rate(download.options.sandbox);
        return output.report(&DryRunReport::new(download.plan()?, rate));
    }
    let report = download.run(&observer)?;
    output.report(&run_report::RunOutput(&report))
}

/// The settings of this `start` to save in the directory. Never the key, even if a user put it into another setting.
fn to_tell(sources: &Sources<'_>, args: &StartArgs, spec: Option<&Spec>) -> BTreeMap<String, Option<String>> {
    let mut told = sources.told(&args.fetch, &args.parquet, spec);
    if let Ok(Some(key)) = sources.key() {
        told.values_mut().flatten().for_each(|value| key.scrub_text(value));
    }
    told
}

/// The request of a spec.
///
/// # Errors
/// If its symbols or windows are not valid.
pub fn request_of_spec(path: &Path, spec: &Spec, clock: Clock) -> Result<DownloadRequest, Failure> {
    request(&StartArgs::default(), Some((path, spec)), clock)
}

fn request(args: &StartArgs, spec: Option<(&Path, &Spec)>, clock: Clock) -> Result<DownloadRequest, Failure> {
    if let Some(subscription) = universe::order(args, spec)? {
        // Windows that are invalid or wholly in the future are reported before anything is recorded.
        windows(args, spec, clock)?;
        return Ok(DownloadRequest::List(subscription));
    }
    Ok(DownloadRequest::Windows { symbols: symbols(args, spec)?, windows: windows(args, spec, clock)? })
}

fn symbols(args: &StartArgs, spec: Option<(&Path, &Spec)>) -> Result<Vec<Symbol>, Failure> {
    if let Some(list) = joined(&args.tickers) {
        return plan::read_tickers_list(&list).map_err(|error| Failure::Usage(format!("--tickers: {error}")));
    }
    if let Some(path) = &args.tickers_file {
        return read_tickers(path);
    }
    let missing = || {
        Failure::Usage(
            "which symbols? Give --tickers, --tickers-file, --universe, --spec or --tasks-file".to_owned(),
        )
    };
    let (spec_path, spec) = spec.ok_or_else(missing)?;
    match (&spec.universe.tickers, &spec.universe.tickers_file) {
        (_, Some(path)) => read_tickers(&beside(spec_path, path)),
        (tickers, None) => {
            let list = tickers.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(",");
            let wrong =
                |error| Failure::Config(format!("{}: universe.tickers: {error}", spec_path.display()));
            plan::read_tickers_list(&list).map_err(wrong)
        }
    }
}

/// The path of a file that a spec names.
pub fn beside(spec: &Path, file: &Path) -> PathBuf {
    spec.parent().unwrap_or(Path::new("")).join(file)
}

/// The tasks of a file up to the last finished session. Tasks wholly in the future are left out and reported.
fn tasks(path: &Path, clock: Clock) -> Result<Vec<(Symbol, Window)>, Failure> {
    let wrong = |reason: String| Failure::Config(format!("{}: {reason}", path.display()));
    let asked = read_tasks(path)?;
    let (count, last_day) = (asked.len(), last_day(clock));
    let clipped = |(symbol, window)| Some((symbol, plan::clip(window, last_day)?));
    let past: Vec<_> = asked.into_iter().filter_map(clipped).collect();
    let future = format::plural((count - past.len()) as u64, "task");
    if past.len() == count {
        return Ok(past);
    }
    if past.is_empty() {
        return Err(wrong(format!("all {future} of it begin after the last finished session, {last_day}")));
    }
    say(&format!("left out, because they begin after the last finished session, {last_day}: {future}"));
    Ok(past)
}

/// The windows up to the last finished session. Windows wholly in the future are left out and reported.
fn windows(args: &StartArgs, spec: Option<(&Path, &Spec)>, clock: Clock) -> Result<Vec<Window>, Failure> {
    let asked = match (joined(&args.windows), spec) {
        (Some(text), _) => {
            plan::read_windows(&text).map_err(|error| Failure::Usage(format!("--windows: {error}")))?
        }
        (None, Some((path, spec))) => plan::read_windows(&spec.windows.join(","))
            .map_err(|error| Failure::Config(format!("{}: windows: {error}", path.display())))?,
        (None, None) => {
            return Err(Failure::Usage("which windows? Give --windows, --spec or --tasks-file".to_owned()));
        }
    };
    let last_day = last_day(clock);
    let (mut past, mut future) = (Vec::new(), Vec::new());
    for window in asked {
        plan::clip(window, last_day)
            .map_or_else(|| future.push(window.to_string()), |window| past.push(window));
    }
    if past.is_empty() {
        let reason =
            format!("--windows: {} begins after the last finished session, {last_day}", future.join(","));
        return Err(Failure::Usage(reason));
    }
    if !future.is_empty() {
        say(&format!(
            "left out, because it begins after the last finished session, {last_day}: {}",
            future.join(",")
        ));
    }
    Ok(past)
}

impl From<&(Symbol, Window)> for PlannedTask {
    fn from((symbol, window): &(Symbol, Window)) -> Self {
        Self { ticker: symbol.to_string(), window: *window }
    }
}

impl DryRunReport {
    fn new(plan: DownloadPlan, rate: Rate) -> Self {
        let DownloadPlan { recorded, tasks, estimate, left_out, days_not_entitled, history } = plan;
        Self {
            dry_run: true,
            tasks: recorded,
            estimate,
            plan: tasks.iter().map(PlannedTask::from).collect(),
            left_out,
            days_not_entitled,
            first_served_day: history.map(|history| history.first_served().to_string()),
            rate,
        }
    }
}

impl Report for DryRunReport {
    fn text(&self) -> Text {
        let Estimate { sessions, requests, bars_max, bytes_received_max, bytes_stored_max, hours, .. } =
            self.estimate;
        let mut text = Text::new(format_args!(
            "{} to add, {} recorded already, {} of these pending",
            format::plural(self.plan.len() as u64, "task"),
            format::count(self.tasks.total),
            format::count(self.tasks.outstanding())
        ));
        for task in self.plan.iter().take(LISTED) {
            text.item(format_args!("{} {}", task.ticker, task.window));
        }
        if self.plan.len() > LISTED {
            text.item(format_args!("and {} more", format::count((self.plan.len() - LISTED) as u64)));
        }
        if let Some(first) = self.first_served_day.as_ref().filter(|_| self.days_not_entitled > 0) {
            let days = format::plural(self.days_not_entitled, "day");
            text.line(format_args!(
                "{days} before {first}, the first day that the plan serves: not_entitled, not requested"
            ));
        }
        text.line(format_args!(
            "{} sessions; {} to {} requests; at most {} bars, {} to fetch, {} on disk",
            format::count(sessions),
            format::count(requests.min),
            format::count(requests.max),
            format::count(bars_max),
            format::bytes(bytes_received_max),
            format::bytes(bytes_stored_max),
        ));
        match hours {
            Some(hours) => text.line(format_args!(
                "{} to {} at {}",
                format::duration(Duration::from_secs_f64(hours.min * 3600.0)),
                format::duration(Duration::from_secs_f64(hours.max * 3600.0)),
                self.rate
            )),
            None => text.line("no rate is set: as fast as network and server allow"),
        }
        self.left_out.iter().flat_map(left_out::notes).for_each(|note| text.line(note));
        text.line(
            "Nothing was requested or changed. The upper ends are for symbols that trade in every minute.",
        );
        text
    }
}
