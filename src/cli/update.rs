//! `grab update`: brings every known symbol up to the last finished session. Made for cron.

use std::{path::Path, time::Duration};

use jiff::civil::Date;
use serde::Serialize;

use super::{
    args::{CommonArgs, UpdateArgs},
    failure::Failure,
    fetch::{Job, announce_clock, overview},
    format, metrics,
    output::Output,
    report::RunReport,
    settings::{FetchSettings, Sources, read_time},
};
use crate::{
    clock::Clock,
    exit::ExitStatus,
    manifest::{FILE_NAME, Ledger, Lock, ManifestError, Mend, Overview},
    model::{Rate, Symbol, Window},
    plan::Estimate,
    update::{Evening, Plan, Presence, SessionSymbols},
};

/// How much of a plan is listed for a person.
const LISTED: usize = 20;

/// How many of the new sessions are listed for a person.
const SESSIONS_LISTED: usize = 5;

/// What was done, or would be; its JSON is in docs/json.md.
#[derive(Serialize)]
struct UpdateReport {
    #[serde(flatten)]
    run: RunReport,
    /// The last session that was asked for.
    session: String,
    #[serde(flatten)]
    plan: PlanReport,
    /// The sessions that are new since the update before, and how many symbols have bars on each.
    sessions: Vec<SessionSymbols>,
    /// Whether most of those that trade every day have no bars on the last session.
    is_lagging: bool,
}

/// What `--dry-run` reports.
#[derive(Serialize)]
struct DryRunReport {
    command: &'static str,
    dry_run: bool,
    outcome: &'static str,
    exit_code: u8,
    session: String,
    #[serde(flatten)]
    plan: PlanReport,
    estimate: Estimate,
    asked: Vec<Asked>,
    #[serde(skip)]
    rate: Rate,
}

#[derive(Serialize)]
struct Asked {
    ticker: Symbol,
    window: Window,
}

/// What an evening asks for, in numbers.
#[derive(Clone, Copy, Serialize)]
struct PlanReport {
    /// Symbols that were behind.
    extended: u64,
    /// Sessions without bars that were asked for once more, and the windows that they were asked for in.
    holes: u64,
    hole_windows: u64,
    /// Symbols of which nothing was asked.
    up_to_date: u64,
    closed: u64,
}

impl From<&Plan> for PlanReport {
    fn from(plan: &Plan) -> Self {
        Self {
            extended: plan.tails.len() as u64,
            holes: plan.hole_sessions,
            hole_windows: plan.holes.len() as u64,
            up_to_date: plan.up_to_date,
            closed: plan.closed,
        }
    }
}

/// Runs the command, and writes the metrics whatever became of it.
///
/// # Errors
/// If nothing was ever started here, or the data directory cannot be used.
pub fn run(
    args: &UpdateArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let updated = update(args, common, sources, output);
    if let Some(path) = args.metrics_file.as_deref().filter(|_| !args.dry_run) {
        let exit = updated.as_ref().map_or_else(Failure::exit, |exit| *exit);
        metrics::write(path, &sources.data_dir(common)?, exit, sources.clock()?)?;
    }
    updated
}

fn update(
    args: &UpdateArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let settings = FetchSettings::resolve(&args.fetch, sources)?;
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    announce_clock(clock);
    let evening = evening(args, clock)?;
    if overview(&data_dir)?.is_none() {
        let path = data_dir.join(FILE_NAME).display().to_string();
        return Err(ManifestError::Missing { path }.into());
    }
    let lock = if args.dry_run { None } else { Some(Lock::take(&data_dir)?) };
    let plan = plan(&Overview::open(&data_dir)?, &evening)?;
    if args.dry_run {
        let held = Overview::open(&data_dir)?.kind()?;
        let rate = settings.rate(settings.sandbox || held.is_some_and(|held| held.sandbox));
        let report = DryRunReport::new(&plan, &evening, &Overview::open(&data_dir)?, rate)?;
        output.report(&report, DryRunReport::text)?;
        return Ok(ExitStatus::Complete);
    }
    let job = Job {
        command: "update",
        arguments: describe(&plan, &evening),
        data_dir: data_dir.clone(),
        settings,
        sources,
        clock,
        plan_only: false,
        quiet: common.quiet,
        output,
        lock,
    };
    let mend = Mend { again: plan.holes.clone(), ..Mend::default() };
    let tails = plan.tails.clone();
    let prepare = move |ledger: &mut Ledger| {
        ledger.reopen_failed()?;
        ledger.move_tails(&tails)?;
        ledger.mend(&mend)
    };
    let mut brought = Brought::default();
    let run = job.run_and_judge(prepare, |run| {
        brought = Brought::by(&data_dir, &plan, &evening)?;
        Ok(brought.judge(run, args.min_symbols_per_session))
    })?;
    let report = UpdateReport::new(run, &plan, &evening, brought);
    output.report(&report, UpdateReport::text)?;
    Ok(report.run.exit())
}

fn evening(args: &UpdateArgs, clock: Clock) -> Result<Evening, Failure> {
    let settle = read_time(&args.settle).map_err(|why| Failure::Usage(format!("--settle: {why}")))?;
    let evening = Evening::at(clock.now_ms(), settle, args.overlap);
    evening.ok_or_else(|| Failure::Usage("no session has ended yet at this time".to_owned()))
}

fn plan(overview: &Overview, evening: &Evening) -> Result<Plan, Failure> {
    Ok(Plan::of(overview, evening, |_| None)?)
}

/// For the run's row in the manifest.
fn describe(plan: &Plan, evening: &Evening) -> String {
    let (symbols, holes) = (plan.tails.len() as u64, plan.hole_sessions);
    format!(
        "{} to {}, {}",
        format::plural(symbols, "symbol"),
        evening.session.date(),
        format::plural(holes, "hole")
    )
}

/// What the evening has brought.
#[derive(Default)]
struct Brought {
    sessions: Vec<SessionSymbols>,
    /// Why it should be asked for again, if the source has next to no bars of the last session.
    lagging: Option<String>,
}

impl Brought {
    fn by(data_dir: &Path, plan: &Plan, evening: &Evening) -> Result<Self, Failure> {
        let date = evening.session.date();
        let presence = Presence::of(&Overview::open(data_dir)?, plan.newest, date)?;
        let sessions = presence.since(plan.newest);
        Ok(Self { sessions, lagging: presence.is_lagging().then(|| lagging(&presence, date)) })
    }

    /// A run that got less than it should is not complete.
    fn judge(&self, run: RunReport, min_symbols: Option<u64>) -> RunReport {
        match (thin(&self.sessions, min_symbols), &self.lagging) {
            (Some(few), _) => run.with_gaps(few),
            (None, Some(lagging)) => run.incomplete(lagging.clone()),
            (None, None) => run,
        }
    }
}

impl UpdateReport {
    fn new(run: RunReport, plan: &Plan, evening: &Evening, brought: Brought) -> Self {
        let Brought { sessions, lagging } = brought;
        let (session, is_lagging) = (evening.session.date().to_string(), lagging.is_some());
        Self { run, session, plan: plan.into(), sessions, is_lagging }
    }

    fn text(&self) -> String {
        let PlanReport { extended, holes, hole_windows, up_to_date, closed } = self.plan;
        // Its first line is in the summary.
        let run = self.run.text();
        let mut lines = vec![self.summary()];
        lines.extend(run.lines().skip(1).map(str::to_owned));
        lines.push(format!(
            "  symbols   {} brought to {}, {} up to date, {} closed",
            format::count(extended),
            self.session,
            format::count(up_to_date),
            format::count(closed)
        ));
        if holes > 0 {
            let windows = format::plural(hole_windows, "window");
            lines.push(format!(
                "  holes     {} asked for again in {windows}",
                format::plural(holes, "session")
            ));
        }
        let first = self.sessions.len().saturating_sub(SESSIONS_LISTED);
        let shown = self.sessions.iter().skip(first);
        let shown: Vec<_> =
            shown.map(|session| format!("{}: {}", session.date, format::count(session.symbols))).collect();
        lines.push(format!("  sessions  symbols with bars: {}", shown.join(", ")));
        lines.join("\n")
    }

    /// One line that says all that a mail's reader must know.
    fn summary(&self) -> String {
        let (outcome, code) = self.run.verdict();
        let symbols = self.sessions.last().map_or(0, |session| session.symbols);
        let symbols = format::plural(symbols, "symbol");
        format!("grab update {}: {outcome} (exit {code}): {symbols}, {}", self.session, self.run.brief())
    }
}

/// Which of the new sessions have too few symbols.
fn thin(sessions: &[SessionSymbols], min_symbols: Option<u64>) -> Option<String> {
    let wanted = min_symbols?;
    let few: Vec<_> = sessions.iter().filter(|session| session.symbols < wanted).collect();
    let SessionSymbols { date, symbols } = few.last()?;
    let (sessions, symbols) =
        (format::plural(few.len() as u64, "session"), format::plural(*symbols, "symbol"));
    Some(format!("{sessions} with fewer than {wanted} symbols: {date} has {symbols}"))
}

fn lagging(presence: &Presence, date: Date) -> String {
    let (regulars, present) = presence.regulars();
    let (regulars, present) = (format::plural(regulars, "symbol"), format::count(present));
    format!(
        "the source lags: of {regulars} with bars every day, {present} have bars on {date}; run `grab update` again later"
    )
}

impl DryRunReport {
    fn new(plan: &Plan, evening: &Evening, overview: &Overview, rate: Rate) -> Result<Self, Failure> {
        let asked = plan.asked();
        let owed = overview.tasks()?.into_iter().filter(|task| !task.state.is_ended());
        let to_run: Vec<_> =
            asked.iter().cloned().chain(owed.map(|task| (task.symbol, task.window))).collect();
        Ok(Self {
            command: "update",
            dry_run: true,
            outcome: "complete",
            exit_code: ExitStatus::Complete.code(),
            session: evening.session.date().to_string(),
            plan: plan.into(),
            estimate: Estimate::of(&to_run, rate),
            asked: asked.into_iter().map(|(ticker, window)| Asked { ticker, window }).collect(),
            rate,
        })
    }

    fn text(&self) -> String {
        let PlanReport { extended, holes, hole_windows, up_to_date, closed } = self.plan;
        let mut lines = vec![format!(
            "{} to bring to {}, {} in {} to ask for again; {} up to date, {} closed",
            format::plural(extended, "symbol"),
            self.session,
            format::plural(holes, "hole"),
            format::plural(hole_windows, "window"),
            format::count(up_to_date),
            format::count(closed)
        )];
        lines.extend(
            self.asked.iter().take(LISTED).map(|asked| format!("  {} {}", asked.ticker, asked.window)),
        );
        let more = self.asked.len().saturating_sub(LISTED);
        lines.extend((more > 0).then(|| format!("  and {} more", format::count(more as u64))));
        let Estimate { requests, hours, .. } = self.estimate;
        let time = hours.map(|hours| format::duration(Duration::from_secs_f64(hours.max * 3600.0)));
        let time = time.map(|time| format!(", at most {time} at {}", self.rate)).unwrap_or_default();
        lines.push(format!(
            "{} to {}, what was owed before included{time}. Nothing was asked or changed.",
            format::count(requests.min),
            format::plural(requests.max, "request")
        ));
        lines.join("\n")
    }
}
