//! `grab start`: records what is wanted, and fetches it.

use std::time::Duration;

use grab_core::{clock::Clock, exit::ExitStatus};
use grab_model::{
    Rate, Symbol, Window, format,
    plan::{self, Estimate},
};
use grab_ops::{
    Download, DownloadRequest, Error as Failure, Observer, SpecFile, json::DownloadPlanJson, past_tasks,
    past_windows, read_tickers,
};
use serde::Serialize;

use super::{
    args::{CommonArgs, StartArgs, joined},
    left_out,
    notices::Terminal,
    output::{Output, announce_clock},
    report::Report,
    run_report, saved_start,
    settings::{FetchSettings, Sources},
    text::Text,
    universe,
};

/// How many tasks the text of a dry run lists.
const LISTED: usize = 20;

/// What `--dry-run` reports.
#[derive(Serialize)]
struct DryRunOutput {
    #[serde(flatten)]
    json: DownloadPlanJson,
    #[serde(skip)]
    rate: Rate,
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
    let spec = args.spec.as_deref().map(SpecFile::read).transpose()?;
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let (sources, saved) = (sources.clone(), saved_start::read(&data_dir));
    let sources = match &spec {
        Some(spec) => sources.with_saved_settings(&saved).with_spec(spec.path(), spec.spec()),
        None => sources.with_saved(&saved),
    };
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, &sources)?;
    announce_clock(clock);
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let request = request(args, spec.as_ref(), clock, &*observer)?;
    spec.as_ref().map_or(Ok(()), SpecFile::check)?;
    // A missing key is reported where it is needed.
    let key = sources.key().ok().flatten();
    let mut to_save = sources.settings_to_save(&args.fetch, &args.parquet, spec.as_ref().map(SpecFile::spec));
    if let Some(key) = &key {
        // Never the key, even if a user put it into another setting.
        to_save.values_mut().flatten().for_each(|value| key.scrub_text(value));
    }
    let download = Download {
        data_dir,
        request,
        options: settings.options,
        plan_only: args.plan_only,
        spec: spec.as_ref().map(|spec| spec.to_save(key.as_ref())),
        settings: to_save,
        clock,
    };
    if args.dry_run {
        let rate = download.options.rate(download.options.sandbox);
        return output.report(&DryRunOutput { json: download.plan()?.into(), rate });
    }
    let report = download.run(&observer)?;
    output.report(&run_report::RunOutput(&report))
}

/// What to download: as the command line says, else the spec.
fn request(
    args: &StartArgs,
    spec: Option<&SpecFile>,
    clock: Clock,
    observer: &dyn Observer,
) -> Result<DownloadRequest, Failure> {
    if let Some(path) = &args.tasks_file {
        return Ok(DownloadRequest::Tasks(past_tasks(path, clock, observer)?));
    }
    if let Some(subscription) = universe::order(args, spec)? {
        // Windows that are invalid or wholly in the future are reported before anything is recorded.
        past_windows(windows(args, spec)?, clock, observer)?;
        return Ok(DownloadRequest::List(subscription));
    }
    let symbols = symbols(args, spec)?;
    let windows = past_windows(windows(args, spec)?, clock, observer)?;
    Ok(DownloadRequest::Windows { symbols, windows })
}

fn symbols(args: &StartArgs, spec: Option<&SpecFile>) -> Result<Vec<Symbol>, Failure> {
    if let Some(list) = joined(&args.tickers) {
        return plan::read_tickers_list(&list).map_err(|error| Failure::Usage(format!("--tickers: {error}")));
    }
    if let Some(path) = &args.tickers_file {
        return read_tickers(path);
    }
    let which = "which symbols? Give --tickers, --tickers-file, --universe, --spec or --tasks-file";
    spec.ok_or_else(|| Failure::Usage(which.to_owned()))?.symbols()
}

fn windows(args: &StartArgs, spec: Option<&SpecFile>) -> Result<Vec<Window>, Failure> {
    if let Some(text) = joined(&args.windows) {
        return plan::read_windows(&text).map_err(|error| Failure::Usage(format!("--windows: {error}")));
    }
    let which = "which windows? Give --windows, --spec or --tasks-file";
    spec.ok_or_else(|| Failure::Usage(which.to_owned()))?.windows()
}

impl Report for DryRunOutput {
    fn text(&self) -> Text {
        let Estimate { sessions, requests, bars_max, bytes_received_max, bytes_stored_max, hours, .. } =
            self.json.estimate;
        let mut text = Text::new(format_args!(
            "{} to add, {} recorded already, {} of these pending",
            format::plural(self.json.plan.len() as u64, "task"),
            format::count(self.json.tasks.total),
            format::count(self.json.tasks.outstanding())
        ));
        for task in self.json.plan.iter().take(LISTED) {
            text.item(format_args!("{} {}", task.ticker, task.window));
        }
        if self.json.plan.len() > LISTED {
            text.item(format_args!("and {} more", format::count((self.json.plan.len() - LISTED) as u64)));
        }
        if let Some(first) = self.json.first_served_day.as_ref().filter(|_| self.json.days_not_entitled > 0) {
            let sessions = format::plural(self.json.days_not_entitled, "session");
            text.line(format_args!(
                "{sessions} of all symbols, before {first}, are not in the plan: not_entitled, not requested"
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
        self.json.left_out.iter().flat_map(left_out::notes).for_each(|note| text.line(note));
        text.line(
            "Nothing was requested or changed. The upper ends are for symbols that trade in every minute.",
        );
        text
    }
}
