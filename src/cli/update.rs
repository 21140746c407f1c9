//! `grab update`: brings every known symbol up to the last finished session. Made for cron.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    time::Duration,
};

use jiff::civil::Date;
use serde::Serialize;

use super::{
    args::{CommonArgs, UpdateArgs},
    enough::Enough,
    failure::Failure,
    fetch::{Job, announce_clock, begun},
    files, format, metrics,
    output::{Output, say},
    remembered::Remembered,
    report::RunReport,
    settings::{FetchSettings, Sources, read_time},
};
use crate::{
    clock::Clock,
    exit::ExitStatus,
    manifest::{Ledger, Lock, Mend, Overview},
    model::{Rate, Symbol, Window},
    plan::Estimate,
    store::reference::{self, Standing},
    update::{Evening, ListedSplit, Plan, Presence, Reference, SessionSymbols},
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
    /// Symbols whose whole history is asked for again, because of a split.
    resplit: u64,
}

impl From<&Plan> for PlanReport {
    fn from(plan: &Plan) -> Self {
        Self {
            extended: plan.tails.len() as u64,
            holes: plan.hole_sessions,
            hole_windows: plan.holes.len() as u64,
            up_to_date: plan.up_to_date,
            closed: plan.closed,
            resplit: plan.splits.iter().map(|(symbol, _)| symbol).collect::<BTreeSet<_>>().len() as u64,
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
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let asked = args.metrics_file.as_deref().filter(|_| !args.dry_run);
    let place = asked.map(|path| files::place("--metrics-file", path, &data_dir)).transpose()?;
    let updated = update(args, common, sources, output);
    let Some(path) = place else { return updated };
    let exit = updated.as_ref().map_or_else(Failure::exit, |exit| *exit);
    let written = metrics::write(&path, &data_dir, exit, clock);
    // Why the update failed matters more than that nobody can be told.
    updated.and_then(|exit| written.map(|()| exit))
}

fn update(
    args: &UpdateArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let (data_dir, clock) = (sources.data_dir(common)?, sources.clock()?);
    let remembered = Remembered::of(&data_dir);
    let sources = &remembered.over(sources);
    let settings = FetchSettings::resolve(&args.fetch, sources)?;
    let enough = Enough::resolve(args, &remembered.verify())?;
    announce_clock(clock);
    let evening = evening(args, clock)?;
    begun(&data_dir)?;
    let lock = if args.dry_run { None } else { Some(Lock::take(&data_dir)?) };
    let plan = plan(&data_dir, &evening)?;
    for (symbol, split) in &plan.splits {
        say(&format!("{symbol} has split on {}: its whole adjusted history is asked for again", split.date));
    }
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
    let splits: Vec<_> =
        plan.splits.iter().map(|(symbol, split)| (symbol.clone(), split.date, split.applied_ms())).collect();
    let tails = plan.tails.clone();
    let prepare = move |ledger: &mut Ledger| {
        ledger.reopen_failed()?;
        ledger.move_tails(&tails)?;
        ledger.reopen_split(&splits)?;
        ledger.mend(&mend)
    };
    let mut brought = Brought::default();
    let run = job.run_and_judge(prepare, |run| {
        brought = Brought::by(&data_dir, &plan, &evening)?;
        Ok(brought.judge(run, enough))
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

fn plan(data_dir: &Path, evening: &Evening) -> Result<Plan, Failure> {
    let overview = Overview::open(data_dir)?;
    let is_adjusted = overview.kind()?.is_some_and(|kind| kind.adjusted);
    let splits = if is_adjusted { splits(data_dir)? } else { HashMap::new() };
    let reference = Reference { splits, ..Reference::default() };
    Ok(Plan::of(&overview, evening, &reference)?)
}

/// The splits that are known, by symbol. Those that the first sync brought were always there, as far as anybody knows.
fn splits(data_dir: &Path) -> Result<HashMap<Symbol, Vec<ListedSplit>>, Failure> {
    let Some(table) = reference::read_splits(data_dir)? else {
        say(
            "bars are adjusted here, and no splits are known: `grab universe sync` asks for them; a new one would go unnoticed",
        );
        return Ok(HashMap::new());
    };
    let first_sync = table.rows.iter().map(|kept| kept.first_seen_ms).min();
    let mut splits: HashMap<_, Vec<_>> = HashMap::new();
    for kept in table.rows.iter().filter(|kept| kept.standing == Standing::Current) {
        let known_since_ms = Some(kept.first_seen_ms).filter(|seen| Some(*seen) != first_sync);
        let split = ListedSplit { date: kept.row.execution_date, known_since_ms };
        splits.entry(kept.row.ticker.clone()).or_default().push(split);
    }
    Ok(splits)
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
    /// Whether there is a symbol that is still traded, as far as anybody knows.
    is_alive: bool,
    /// Why it should be asked for again, if the source has next to no bars of the last session.
    lagging: Option<String>,
}

impl Brought {
    fn by(data_dir: &Path, plan: &Plan, evening: &Evening) -> Result<Self, Failure> {
        let date = evening.session.date();
        let presence = Presence::of(&Overview::open(data_dir)?, plan.newest, date)?;
        let sessions = presence.since(plan.newest);
        let is_alive = plan.up_to_date + plan.unanswered > 0 || !plan.tails.is_empty();
        Ok(Self { sessions, is_alive, lagging: presence.is_lagging().then(|| lagging(&presence, date)) })
    }

    /// A run that got less than it should is not complete.
    fn judge(&self, run: RunReport, enough: Enough) -> RunReport {
        match (enough.missed(&self.sessions, self.is_alive), &self.lagging) {
            (Some(missed), Some(lagging)) => run.with_gaps(format!("{missed}; {lagging}")),
            (Some(missed), None) => run.with_gaps(missed),
            (None, Some(lagging)) => run.incomplete(lagging.clone()),
            (None, None) => run,
        }
    }
}

impl UpdateReport {
    fn new(run: RunReport, plan: &Plan, evening: &Evening, brought: Brought) -> Self {
        let Brought { sessions, lagging, .. } = brought;
        let (session, is_lagging) = (evening.session.date().to_string(), lagging.is_some());
        Self { run, session, plan: plan.into(), sessions, is_lagging }
    }

    fn text(&self) -> String {
        let PlanReport { extended, holes, hole_windows, up_to_date, closed, resplit } = self.plan;
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
        if resplit > 0 {
            lines.push(format!(
                "  splits    {} asked for from the beginning",
                format::plural(resplit, "symbol")
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
        let PlanReport { extended, holes, hole_windows, up_to_date, closed, resplit } = self.plan;
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
        if resplit > 0 {
            let symbols = format::plural(resplit, "symbol");
            lines.push(format!("{symbols} among them from the beginning, because of a split"));
        }
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
