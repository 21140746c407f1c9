//! The report of an update, done or planned.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use grab_core::{
    exit::ExitStatus,
    manifest::{Closure, Silence},
    update::UpdatePlan,
    verify::SessionSymbols,
};
use grab_model::{Rate, Symbol, Window, format, plan::Estimate};
use grab_ops::{DelistedSymbol, ReferenceReport, RunReport, UpdatePreview, UpdateReport};
use serde::Serialize;

use super::super::{report::Report, run_report, text::Text};

/// How much of a plan the text report lists.
const LISTED: usize = 20;

/// How many of the new sessions the text report lists.
const SESSIONS_LISTED: usize = 5;

/// How many newly listed or delisted symbols the text report names.
const NAMED: usize = 8;

/// The result; its JSON is in docs/json.md.
#[derive(Serialize)]
pub struct UpdateJson {
    #[serde(flatten, serialize_with = "run_report::serialize")]
    run: RunReport,
    /// The last requested session.
    session: String,
    #[serde(flatten)]
    plan: PlanReport,
    /// Newly listed symbols.
    joined: Vec<RequestedWindow>,
    /// Stored symbols that were delisted, as far as the lists of this run show it.
    left: Vec<Delisted>,
    /// The result of the lists. None if they were not due.
    universe: Option<ReferenceReport>,
    /// The sessions that are new since the last update, and the number of symbols with bars on each.
    sessions: Vec<SessionSymbols>,
    /// The sessions that lack symbols with bars every day.
    lacking: Vec<ThinSession>,
    /// Calendar sessions on which the market was closed, by what the service said in this run.
    closed_days: Vec<ClosedDay>,
    /// Silent symbols, and what the service says about them.
    silent: Vec<SilentSymbol>,
    /// Whether the last session is one of `lacking`.
    is_lagging: bool,
}

/// A session that lacks regular symbols; its JSON is public.
#[derive(Serialize)]
struct ThinSession {
    date: String,
    /// Symbols that have bars on each of five sessions up to their last one, and are not delisted.
    regular: u64,
    /// Those of them that have bars.
    present: u64,
}

impl From<&SessionSymbols> for ThinSession {
    fn from(session: &SessionSymbols) -> Self {
        Self { date: session.date.to_string(), regular: session.regular, present: session.present }
    }
}

/// A day on which the market was closed; its JSON is public.
#[derive(Serialize)]
struct ClosedDay {
    date: String,
    evidence: &'static str,
    name: String,
}

impl From<&Closure> for ClosedDay {
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
pub struct DryRunJson {
    dry_run: bool,
    session: String,
    #[serde(flatten)]
    plan: PlanReport,
    /// Whether lists would be fetched first, so that more symbols may be added or delisted.
    lists_due: bool,
    estimate: Estimate,
    asked: Vec<RequestedWindow>,
    #[serde(skip)]
    rate: Rate,
}

#[derive(Clone, Serialize)]
struct RequestedWindow {
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

impl From<&(Symbol, Window)> for RequestedWindow {
    fn from((symbol, window): &(Symbol, Window)) -> Self {
        Self { ticker: symbol.clone(), window: *window }
    }
}

/// A stored symbol that was delisted; its JSON is public.
#[derive(Serialize)]
struct Delisted {
    ticker: Symbol,
    last_day: Option<String>,
    now: Option<Symbol>,
    goes_on: bool,
}

impl From<DelistedSymbol> for Delisted {
    fn from(delisted: DelistedSymbol) -> Self {
        let DelistedSymbol { symbol, last_day, successor, is_reused } = delisted;
        let last_day = last_day.map(|day| day.to_string());
        Self { ticker: symbol, last_day, now: successor, goes_on: is_reused }
    }
}

impl Delisted {
    /// `FB on 2022-06-09 (now META)`, `DOC on 2024-03-04 (the ticker belongs to another security)`.
    fn text(&self) -> String {
        let day = self.last_day.as_ref().map(|day| format!(" on {day}")).unwrap_or_default();
        let now = self.now.as_ref().map(|now| format!("now {now}"));
        let reused = self.goes_on.then(|| "the ticker belongs to another security".to_owned());
        let notes: Vec<_> = now.into_iter().chain(reused).collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        format!("{}{day}{notes}", self.ticker)
    }
}

impl From<UpdateReport> for UpdateJson {
    fn from(report: UpdateReport) -> Self {
        let is_lagging = report.is_lagging();
        let UpdateReport { run, session, plan, lists, delisted, sessions, lacking, closures, silences } =
            report;
        Self {
            run,
            session: session.to_string(),
            plan: (&plan).into(),
            joined: plan.joined.iter().map(RequestedWindow::from).collect(),
            left: delisted.into_iter().map(Delisted::from).collect(),
            universe: lists,
            sessions,
            lacking: lacking.iter().map(ThinSession::from).collect(),
            closed_days: closures.iter().map(ClosedDay::from).collect(),
            silent: silences.iter().map(SilentSymbol::from).collect(),
            is_lagging,
        }
    }
}

impl UpdateJson {
    /// `RDDT from 2024-03-21`, once for each symbol.
    fn first_days(&self) -> impl Iterator<Item = String> {
        let mut first: BTreeMap<&Symbol, Window> = BTreeMap::new();
        for RequestedWindow { ticker, window } in &self.joined {
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

impl Report for UpdateJson {
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
            text.row("delisted", named(self.left.len() as u64, self.left.iter().map(Delisted::text)));
        }
        for ClosedDay { date, name, .. } in &self.closed_days {
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
fn listed(brought: &ReferenceReport) -> Option<String> {
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

impl From<UpdatePreview> for DryRunJson {
    fn from(preview: UpdatePreview) -> Self {
        let UpdatePreview { session, plan, are_lists_due, estimate, rate } = preview;
        Self {
            dry_run: true,
            session: session.to_string(),
            plan: (&plan).into(),
            lists_due: are_lists_due,
            estimate,
            asked: plan.asked().map(RequestedWindow::from).collect(),
            rate,
        }
    }
}

impl Report for DryRunJson {
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
        for RequestedWindow { ticker, window } in self.asked.iter().take(LISTED) {
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

impl DryRunJson {
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
