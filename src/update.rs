//! `grab update`: brings every known symbol up to the last finished session. Made for cron.

mod left;
mod planned;
mod report;

use std::sync::Arc;

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{Lock, ManifestReader, ManifestWriter, RepairTransaction, Silence, SilenceAnswer, migrate},
    update::{SessionVerdict, UpdateCutoff, UpdatePlan},
    verify::SessionSymbols,
};
use grab_model::format;
use grab_ops::{
    Absences, Error as Failure, HistoryCheck, Job, NextStep, Observer, RunFindings, RunReport,
    require_manifest, resolve_output_file,
};

use super::{
    args::{CommonArgs, UpdateArgs},
    enough::Enough,
    metrics,
    notices::Terminal,
    output::{Output, announce_clock, say},
    remembered::Remembered,
    settings::{FetchSettings, Sources, read_time},
};
use left::Left;
use planned::{Lists, known_universe, plan};
use report::{DryRunReport, UpdateReport};

/// Runs the command, and writes the metrics whatever its result.
///
/// # Errors
/// If nothing was ever started here, or the data directory cannot be used.
pub fn run(
    args: &UpdateArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let asked = args.metrics_file.as_deref().filter(|_| !args.dry_run);
    let place = asked.map(|path| resolve_output_file("--metrics-file", path, &data_dir)).transpose()?;
    let updated = update(args, common, sources, output);
    let Some(path) = place else { return updated };
    let exit = updated.as_ref().map_or_else(Failure::exit, |exit| *exit);
    let written = metrics::write(&path, &data_dir, cutoff(args, clock).ok().as_ref(), exit, clock);
    // Why the update failed matters more than that the metrics could not be written.
    updated.and_then(|exit| written.map(|()| exit))
}

fn update(
    args: &UpdateArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    if !args.dry_run {
        migrate(&data_dir)?;
    }
    let remembered = Remembered::of(&data_dir);
    let sources = &remembered.over(sources);
    let settings = FetchSettings::resolve_with(&args.fetch, &args.parquet, sources)?;
    let enough = Enough::resolve(args, &remembered.verify())?;
    announce_clock(clock);
    let cutoff = cutoff(args, clock)?;
    require_manifest(&data_dir)?;
    let service = settings.options.service_of(ManifestReader::open(&data_dir)?.kind()?);
    if args.dry_run {
        let reader = ManifestReader::open(&data_dir)?;
        let sandbox = settings.options.sandbox || reader.kind()?.is_some_and(|held| held.sandbox);
        let (plan, lists) = (
            plan(&data_dir, &reader, &cutoff, service.as_deref())?,
            Lists::due(&data_dir, &reader, &cutoff)?,
        );
        let report = DryRunReport::new(&plan, &cutoff, &reader, &lists, settings.options.rate(sandbox))?;
        return output.report(&report);
    }
    let lock = Lock::take(&data_dir)?;
    let lists = Lists::due(&data_dir, &ManifestReader::open(&data_dir)?, &cutoff)?;
    let observer = Terminal::observer(settings.progress, common.quiet, output);
    let job = Job {
        command: "update",
        arguments: format!("to {}", cutoff.session.date()),
        data_dir: data_dir.clone(),
        observer: Arc::clone(&observer),
        options: settings.options,
        clock,
        plan_only: false,
        lock: Some(lock),
        lists: lists.needs,
        absences: Some(cutoff),
        history_check: HistoryCheck::Never,
    };
    let place = data_dir.clone();
    let prepare =
        move |writer: &mut ManifestWriter| record(&place, writer, &cutoff, service.as_deref(), &*observer);
    let mut brought = Brought::default();
    let run = job.run_and_judge(prepare, |run, begun| {
        brought = Brought::by(&data_dir, begun, &lists, &cutoff)?;
        Ok(brought.judge(run, enough))
    })?;
    let report = UpdateReport::new(run, &cutoff, &lists, brought);
    output.report(&report)
}

fn cutoff(args: &UpdateArgs, clock: Clock) -> Result<UpdateCutoff, Failure> {
    let settle = read_time(&args.settle).map_err(|why| Failure::Usage(format!("--settle: {why}")))?;
    let cutoff = UpdateCutoff::at(clock.now_ms(), settle, args.overlap);
    cutoff.ok_or_else(|| Failure::Usage("no session has ended yet at this time".to_owned()))
}

/// Plans the update, and records what to request.
fn record(
    data_dir: &DataDir,
    writer: &mut ManifestWriter,
    cutoff: &UpdateCutoff,
    service: Option<&str>,
    observer: &dyn Observer,
) -> Result<UpdatePlan, Failure> {
    if grab_ops::unplanned(writer)?
        && let Some(universe) = known_universe(data_dir)?
    {
        grab_ops::plan_subscriptions(writer, &universe, cutoff.session.date(), observer)?;
    }
    let plan = plan(data_dir, &ManifestReader::open(data_dir)?, cutoff, service)?;
    for (symbol, split) in &plan.splits {
        say(&format!("{symbol} has split on {}: its whole adjusted history is asked for again", split.date));
    }
    writer.begin_update(cutoff.session.date(), plan.newest)?;
    writer.reopen_failed()?;
    writer.extend_rolling_tasks(&plan.tails)?;
    writer.add_tasks(&plan.joined)?;
    let splits = plan.splits.iter();
    let splits: Vec<_> = splits
        .map(|(symbol, split)| (symbol.clone(), split.date, split.unreliable_before_ms(cutoff)))
        .collect();
    writer.reopen_split(&splits)?;
    writer.apply_repair(&RepairTransaction { again: plan.holes.clone(), ..RepairTransaction::default() })?;
    Ok(plan)
}

/// The results of an update.
#[derive(Default)]
struct Brought {
    plan: UpdatePlan,
    lists: grab_ops::ReferenceReport,
    /// Stored symbols that were delisted.
    left: Vec<Left>,
    /// Whether the sessions are complete.
    verdict: SessionVerdict,
    /// What the service said about absences in this run.
    absences: Absences,
    /// Silent symbols that it has called active, or without an explanation of the silence.
    silent: Vec<Silence>,
    /// Whether any known symbol is still traded.
    is_alive: bool,
    /// Why a needed list is missing and should be requested again.
    listless: Option<String>,
}

impl Brought {
    fn by(
        data_dir: &DataDir,
        begun: RunFindings<UpdatePlan>,
        due: &Lists,
        cutoff: &UpdateCutoff,
    ) -> Result<Self, Failure> {
        let RunFindings { lists, absences, prepared, .. } = begun;
        let Some(plan) = prepared else { return Ok(Self { lists, ..Self::default() }) };
        let reader = ManifestReader::open(data_dir)?;
        let universe = known_universe(data_dir)?.unwrap_or_default();
        let verdict = SessionVerdict::of(&reader, &universe, cutoff)?;
        let is_alive = plan.up_to_date + plan.unanswered > 0 || !plan.tails.is_empty();
        let mut silences = reader.silences()?;
        let is_open = |silent: &Silence| silent.answer != SilenceAnswer::Left;
        let silent = verdict.silent.iter().filter_map(|silent| {
            silences.remove(&silent.symbol).filter(|said| said.last_session == silent.last_session)
        });
        let silent = silent.filter(is_open).collect();
        let (left, listless) = (Left::of(&universe, &reader, &lists)?, due.missed(&lists));
        Ok(Self { plan, lists, left, verdict, absences, silent, is_alive, listless })
    }

    /// A run that got less than it should is not complete. If waiting may help, it is incomplete; else the user has to check.
    fn judge(&self, run: RunReport, enough: Enough) -> RunReport {
        let SessionVerdict { asked, lacking: sessions, is_early, .. } = &self.verdict;
        let missed = enough.missed(asked, self.is_alive);
        let lacking = (!sessions.is_empty()).then(|| lacking(sessions, *is_early));
        let is_short = missed.is_some() || lacking.is_some() && !is_early;
        let reasons: Vec<_> = missed.into_iter().chain(lacking).chain(self.listless.clone()).collect();
        match (reasons.is_empty(), is_short) {
            (true, _) => run,
            (false, true) => run.short(ExitStatus::Gaps, NextStep::Other(reasons.join("; "))),
            (false, false) => run.short(ExitStatus::Incomplete, NextStep::Other(reasons.join("; "))),
        }
    }
}

/// How many sessions lack symbols, and what the last of them has.
fn lacking(sessions: &[SessionSymbols], is_early: bool) -> String {
    let Some(last) = sessions.last() else { return String::new() };
    let count = format::plural(sessions.len() as u64, "session");
    let (present, regular) = (format::count(last.present), format::plural(last.regular, "symbol"));
    let (verb, what) = if sessions.len() == 1 { ("lacks", "") } else { ("lack", "the last one, ") };
    let advice = if is_early {
        "the source may be late: run `grab update` again later"
    } else {
        "the source has not filled it for a day: `grab verify --witness grouped-daily` says who traded"
    };
    format!(
        "{count} {verb} symbols that have bars every day: {what}{} has bars of {present} of {regular}; {advice}",
        last.date
    )
}
