//! The report of an update, done or planned.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use grab_core::{
    exit::ExitStatus,
    manifest::{Closure, ManifestReader, Silence, SilenceAnswer},
    update::{SessionVerdict, UpdateCutoff, UpdatePlan},
    verify::SessionSymbols,
};
use grab_model::format;
use grab_model::{Rate, Symbol, Window, plan::Estimate};
use grab_ops::{Error as Failure, RunReport};
use serde::Serialize;

use super::{
    super::{report::Report, run_report, text::Text},
    Brought,
    left::Left,
    planned::Lists,
};

/// How much of a plan the text report lists.
const LISTED: usize = 20;

/// How many of the new sessions the text report lists.
const SESSIONS_LISTED: usize = 5;

/// How many newly listed or delisted symbols the text report names.
const NAMED: usize = 8;

/// The result; its JSON is in docs/json.md.
#[derive(Serialize)]
pub struct UpdateReport {
    #[serde(flatten, serialize_with = "run_report::serialize")]
    pub run: RunReport,
    /// The last requested session.
    session: String,
    #[serde(flatten)]
    plan: PlanReport,
    /// Newly listed symbols.
    joined: Vec<Asked>,
    /// Stored symbols that were delisted, as far as the lists of this run show it.
    left: Vec<Left>,
    /// The result of the lists. None if they were not due.
    universe: Option<grab_ops::ReferenceReport>,
    /// The sessions that are new since the last update, and the number of symbols with bars on each.
    sessions: Vec<SessionSymbols>,
    /// The sessions that lack symbols with bars every day.
    lacking: Vec<Lacking>,
    /// Calendar sessions on which the market was closed, by what the service said in this run.
    closed_days: Vec<Closed>,
    /// Silent symbols, and what the service says about them.
    silent: Vec<SilentSymbol>,
    /// Whether the last session is one of `lacking`.
    is_lagging: bool,
}

/// A session that lacks regular symbols; its JSON is public.
#[derive(Serialize)]
struct Lacking {
    date: String,
    /// Symbols that have bars on each of five sessions up to their last one, and are not delisted.
    regular: u64,
    /// Those of them that have bars.
    present: u64,
}

impl From<&SessionSymbols> for Lacking {
    fn from(session: &SessionSymbols) -> Self {
        Self { date: session.date.to_string(), regular: session.regular, present: session.present }
    }
}

/// A day on which the market was closed; its JSON is public.
#[derive(Serialize)]
struct Closed {
    date: String,
    evidence: &'static str,
    name: String,
}

impl From<&Closure> for Closed {
    fn from(closure: &Closure) -> Self {
        let Closure { date, evidence, name } = closure;
        Self { date: date.to_string(), evidence: evidence.as_str(), name: name.clone() }
    }
}

/// A silent symbol, and what the service says about it; its JSON is public.
#[derive(Serialize)]
struct SilentSymbol {
    ticker: Symbol,
    last_session: String,
    answer: &'static str,
    left_on: Option<String>,
    words: String,
}

impl From<&Silence> for SilentSymbol {
    fn from(silence: &Silence) -> Self {
        let Silence { symbol, last_session, answer, left_on, words, .. } = silence;
        Self {
            ticker: symbol.clone(),
            last_session: last_session.to_string(),
            answer: answer.as_str(),
            left_on: left_on.map(|day| day.to_string()),
            words: words.clone(),
        }
    }
}

impl SilentSymbol {
    fn text(&self) -> String {
        format!("{} since {}: {}", self.ticker, self.last_session, self.words)
    }
}

/// What `--dry-run` reports.
#[derive(Serialize)]
pub struct DryRunReport {
    dry_run: bool,
    session: String,
    #[serde(flatten)]
    plan: PlanReport,
    /// Whether lists would be fetched first, so that more symbols may be added or delisted.
    lists_due: bool,
    estimate: Estimate,
    asked: Vec<Asked>,
    #[serde(skip)]
    rate: Rate,
}

#[derive(Clone, Serialize)]
struct Asked {
    ticker: Symbol,
    window: Window,
}

/// The size of an update.
#[derive(Clone, Copy, Serialize)]
struct PlanReport {
    /// Symbols that were behind.
    extended: u64,
    /// Sessions without bars that were requested again, and the windows of these requests.
    holes: u64,
    hole_windows: u64,
    /// Symbols for which nothing was requested.
    up_to_date: u64,
    closed: u64,
    /// Symbols that are requested from their first day on.
    joined_symbols: u64,
    /// Symbols whose whole history is requested again because of a split.
    resplit: u64,
}

impl From<&UpdatePlan> for PlanReport {
    fn from(plan: &UpdatePlan) -> Self {
        Self {
            extended: plan.tails.len() as u64,
            holes: plan.hole_sessions,
            hole_windows: plan.holes.len() as u64,
            up_to_date: plan.up_to_date,
            closed: plan.closed,
            joined_symbols: plan.joined.iter().map(|(symbol, _)| symbol).collect::<BTreeSet<_>>().len()
                as u64,
            resplit: plan.splits.iter().map(|(symbol, _)| symbol).collect::<BTreeSet<_>>().len() as u64,
        }
    }
}

impl From<&(Symbol, Window)> for Asked {
    fn from((symbol, window): &(Symbol, Window)) -> Self {
        Self { ticker: symbol.clone(), window: *window }
    }
}

impl UpdateReport {
    /// The report of a run.
    pub fn new(run: RunReport, cutoff: &UpdateCutoff, lists: &Lists, brought: Brought) -> Self {
        let Brought { plan, lists: of_lists, left, verdict, absences, silent, .. } = brought;
        let SessionVerdict { new: sessions, lacking, .. } = verdict;
        let date = cutoff.session.date();
        // A delisting is reported once; any other answer as long as the symbol is silent.
        let has_left = absences.silences.iter().filter(|silence| silence.answer == SilenceAnswer::Left);
        Self {
            run,
            session: date.to_string(),
            plan: (&plan).into(),
            joined: plan.joined.iter().map(Asked::from).collect(),
            left,
            universe: (!lists.are_known()).then_some(of_lists),
            sessions,
            closed_days: absences.closures.iter().map(Closed::from).collect(),
            silent: has_left.chain(&silent).map(SilentSymbol::from).collect(),
            is_lagging: lacking.iter().any(|session| session.date == date),
            lacking: lacking.iter().map(Lacking::from).collect(),
        }
    }

    /// `RDDT from 2024-03-21`, once for each symbol.
    fn first_days(&self) -> impl Iterator<Item = String> {
        let mut first: BTreeMap<&Symbol, Window> = BTreeMap::new();
        for Asked { ticker, window } in &self.joined {
            first.entry(ticker).or_insert(*window);
        }
        first.into_iter().map(|(ticker, window)| format!("{ticker} from {}", window.from()))
    }

    /// One line with everything that the reader of a mail must know.
    fn summary(&self) -> String {
        let exit = self.run.exit();
        let (outcome, code) = (exit.outcome().as_str(), exit.code());
        let symbols = self.sessions.last().map_or(0, |session| session.symbols);
        let symbols = format::plural(symbols, "symbol");
        format!(
            "grab update {}: {outcome} (exit {code}): {symbols}, {}",
            self.session,
            run_report::brief(&self.run)
        )
    }
}

impl Report for UpdateReport {
    fn exit(&self) -> ExitStatus {
        self.run.exit()
    }

    /// Also for a mail: the first line says all that its reader must know.
    fn text(&self) -> Text {
        let PlanReport { extended, holes, hole_windows, up_to_date, closed, joined_symbols, resplit } =
            self.plan;
        let mut text = run_report::text(&self.run).with_first(self.summary());
        let [extended, up_to_date, closed] = [extended, up_to_date, closed].map(format::count);
        let counts =
            format!("{extended} extended to {}, {up_to_date} up to date, {closed} closed", self.session);
        text.row("symbols", counts);
        text.rows("universe", self.universe.as_ref().and_then(listed));
        if joined_symbols > 0 {
            text.row("new", named(joined_symbols, self.first_days()));
        }
        if !self.left.is_empty() {
            text.row("delisted", named(self.left.len() as u64, self.left.iter().map(Left::text)));
        }
        for Closed { date, name, .. } in &self.closed_days {
            text.row("closed", format_args!("{date}, by the service: {name}"));
        }
        if !self.silent.is_empty() {
            text.row("silent", named(self.silent.len() as u64, self.silent.iter().map(SilentSymbol::text)));
        }
        if holes > 0 {
            let (sessions, windows) =
                (format::plural(holes, "session"), format::plural(hole_windows, "window"));
            text.row("gaps", format_args!("{sessions} requested again in {windows}"));
        }
        if resplit > 0 {
            let symbols = format::plural(resplit, "symbol");
            text.row("splits", format_args!("{symbols} requested from the first day"));
        }
        let first = self.sessions.len().saturating_sub(SESSIONS_LISTED);
        let shown = self.sessions.iter().skip(first);
        let shown: Vec<_> =
            shown.map(|session| format!("{}: {}", session.date, format::count(session.symbols))).collect();
        text.row("sessions", format_args!("symbols with bars: {}", shown.join(", ")));
        text
    }
}

/// `11,689 listed, 12 new, 3 delisted; without splits: the plan does not include it`.
fn listed(brought: &grab_ops::ReferenceReport) -> Option<String> {
    let tickers = brought.tickers.iter().map(|tickers| {
        let [active, new, left] = [tickers.active, tickers.new, tickers.left].map(format::count);
        format!("{active} listed, {new} new, {left} delisted")
    });
    let without = brought.without.iter().map(|one| format!("without {}: {}", one.what, one.reason));
    let parts: Vec<_> = tickers.chain(without).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The first few names, and the number of the others.
fn named(count: u64, names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.take(NAMED).collect();
    let more = count.saturating_sub(names.len() as u64);
    let more = if more > 0 { format!(", and {} more", format::count(more)) } else { String::new() };
    names.join(", ") + &more
}

impl DryRunReport {
    /// The report of a dry run.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn new(
        plan: &UpdatePlan,
        cutoff: &UpdateCutoff,
        reader: &ManifestReader,
        lists: &Lists,
        rate: Rate,
    ) -> Result<Self, Failure> {
        let owed = reader.tasks()?.into_iter().filter(|task| !task.state.is_ended());
        let to_run: Vec<_> =
            plan.asked().cloned().chain(owed.map(|task| (task.symbol, task.window))).collect();
        Ok(Self {
            dry_run: true,
            session: cutoff.session.date().to_string(),
            plan: plan.into(),
            lists_due: !lists.are_known(),
            estimate: Estimate::of(&to_run, rate),
            asked: plan.asked().map(Asked::from).collect(),
            rate,
        })
    }
}

impl Report for DryRunReport {
    fn text(&self) -> Text {
        let PlanReport { extended, holes, hole_windows, up_to_date, closed, joined_symbols, resplit } =
            self.plan;
        let mut text = Text::new(format_args!(
            "{} to extend to {}, {} in {} to request again; {} up to date, {} closed",
            format::plural(extended, "symbol"),
            self.session,
            format::plural(holes, "gap"),
            format::plural(hole_windows, "window"),
            format::count(up_to_date),
            format::count(closed)
        ));
        for Asked { ticker, window } in self.asked.iter().take(LISTED) {
            text.item(format_args!("{ticker} {window}"));
        }
        if joined_symbols > 0 {
            text.line(format_args!("{} among them are new", format::plural(joined_symbols, "symbol")));
        }
        if resplit > 0 {
            let symbols = format::plural(resplit, "symbol");
            text.line(format_args!("{symbols} among them from the first day, because of a split"));
        }
        let more = self.asked.len().saturating_sub(LISTED);
        if more > 0 {
            text.item(format_args!("and {} more", format::count(more as u64)));
        }
        if self.lists_due {
            text.line("The lists of tickers or splits are requested first: they may add or close symbols.");
        }
        text.line(format_args!("{} Nothing was requested or changed.", self.cost()));
        text
    }
}

impl DryRunReport {
    /// `12 to 40 requests for bars, with those pending before, at most 8m at 5/min.`
    fn cost(&self) -> String {
        let Estimate { requests, hours, .. } = self.estimate;
        let time = hours.map(|hours| format::duration(Duration::from_secs_f64(hours.max * 3600.0)));
        let time = time.map(|time| format!(", at most {time} at {}", self.rate)).unwrap_or_default();
        let least = if requests.min == requests.max {
            String::new()
        } else {
            format!("{} to ", format::count(requests.min))
        };
        let most = format::plural(requests.max, "request");
        format!("{least}{most} for bars, with those pending before{time}.")
    }
}
