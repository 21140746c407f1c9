//! The report of an update, done or planned.

use std::{collections::BTreeMap, time::Duration};

use grab_core::{exit::ExitStatus, verify::SessionSymbols};
use grab_model::{Rate, Symbol, Window, format, plan::Estimate};
use grab_ops::{
    ReferenceReport, RunReport, UpdatePreview, UpdateReport,
    json::{
        ClosedDayJson, DelistedJson, LackingSessionJson, RequestedWindow, SilentSymbolJson, UpdateDryRunJson,
        UpdatePlanJson,
    },
};
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
    plan: UpdatePlanJson,
    /// Newly listed symbols.
    joined: Vec<RequestedWindow>,
    /// Stored symbols that were delisted, as far as the lists of this run show it.
    left: Vec<DelistedJson>,
    /// The result of the lists. None if they were not due.
    universe: Option<ReferenceReport>,
    /// The sessions that are new since the last update, and the number of symbols with bars on each.
    sessions: Vec<SessionSymbols>,
    /// The sessions that lack symbols with bars every day.
    lacking: Vec<LackingSessionJson>,
    /// Calendar sessions on which the market was closed, by what the service said in this run.
    closed_days: Vec<ClosedDayJson>,
    /// Silent symbols, and what the service says about them.
    silent: Vec<SilentSymbolJson>,
    /// Whether the last session is one of `lacking`.
    is_lagging: bool,
}

fn silent(symbol: &SilentSymbolJson) -> String {
    format!("{} since {}: {}", symbol.ticker, symbol.last_session, symbol.words)
}

/// What `--dry-run` reports.
#[derive(Serialize)]
pub struct DryRunOutput {
    #[serde(flatten)]
    json: UpdateDryRunJson,
    #[serde(skip)]
    rate: Rate,
}

/// `FB on 2022-06-09 (now META)`, `DOC on 2024-03-04 (the ticker belongs to another security)`.
fn delisted(symbol: &DelistedJson) -> String {
    let day = symbol.last_day.as_ref().map(|day| format!(" on {day}")).unwrap_or_default();
    let now = symbol.now.as_ref().map(|now| format!("now {now}"));
    let reused = symbol.goes_on.then(|| "the ticker belongs to another security".to_owned());
    let notes: Vec<_> = now.into_iter().chain(reused).collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    format!("{}{day}{notes}", symbol.ticker)
}

impl From<UpdateReport> for UpdateJson {
    fn from(report: UpdateReport) -> Self {
        let is_lagging = report.is_lagging();
        let UpdateReport { run, session, plan, lists, delisted: gone, sessions, lacking, closures, silences } =
            report;
        Self {
            run,
            session: session.to_string(),
            plan: (&plan).into(),
            joined: plan.joined.iter().map(RequestedWindow::from).collect(),
            left: gone.into_iter().map(DelistedJson::from).collect(),
            universe: lists,
            sessions,
            lacking: lacking.iter().map(LackingSessionJson::from).collect(),
            closed_days: closures.iter().map(ClosedDayJson::from).collect(),
            silent: silences.iter().map(SilentSymbolJson::from).collect(),
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
        let UpdatePlanJson { extended, gaps, gap_windows, up_to_date, closed, joined_symbols, resplit } =
            self.plan;
        let mut text = run_report::text(&self.run).with_first(self.summary());
        let [extended, up_to_date, closed] = [extended, up_to_date, closed].map(format::count);
        let counts =
            format!("{extended} extended to {}, {up_to_date} up to date, {closed} delisted", self.session);
        text.row("symbols", counts);
        text.rows("universe", self.universe.as_ref().and_then(listed));
        if joined_symbols > 0 {
            text.row("new", named(joined_symbols, self.first_days()));
        }
        if !self.left.is_empty() {
            text.row("delisted", named(self.left.len() as u64, self.left.iter().map(delisted)));
        }
        for ClosedDayJson { date, name, .. } in &self.closed_days {
            text.row("closed", format_args!("{date}, by the service: {name}"));
        }
        if !self.silent.is_empty() {
            text.row("silent", named(self.silent.len() as u64, self.silent.iter().map(silent)));
        }
        if gaps > 0 {
            let (sessions, windows) =
                (format::plural(gaps, "session"), format::plural(gap_windows, "window"));
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
fn listed(lists: &ReferenceReport) -> Option<String> {
    let tickers = lists.tickers.iter().map(|tickers| {
        let [active, new, left] = [tickers.active, tickers.new, tickers.left].map(format::count);
        format!("{active} listed, {new} new, {left} delisted")
    });
    let without = lists.without.iter().map(|one| format!("without {}: {}", one.what, one.reason));
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

impl From<UpdatePreview> for DryRunOutput {
    fn from(preview: UpdatePreview) -> Self {
        Self { rate: preview.rate, json: preview.into() }
    }
}

impl Report for DryRunOutput {
    fn text(&self) -> Text {
        let UpdatePlanJson { extended, gaps, gap_windows, up_to_date, closed, joined_symbols, resplit } =
            self.json.plan;
        let mut text = Text::new(format_args!(
            "{} to extend to {}, {} in {} to request again; {} up to date, {} delisted",
            format::plural(extended, "symbol"),
            self.json.session,
            format::plural(gaps, "gap"),
            format::plural(gap_windows, "window"),
            format::count(up_to_date),
            format::count(closed)
        ));
        for RequestedWindow { ticker, window } in self.json.requested.iter().take(LISTED) {
            text.item(format_args!("{ticker} {window}"));
        }
        if joined_symbols > 0 {
            text.line(format_args!("{} among them are new", format::plural(joined_symbols, "symbol")));
        }
        if resplit > 0 {
            let symbols = format::plural(resplit, "symbol");
            text.line(format_args!("{symbols} among them from the first day, because of a split"));
        }
        let more = self.json.requested.len().saturating_sub(LISTED);
        if more > 0 {
            text.item(format_args!("and {} more", format::count(more as u64)));
        }
        if self.json.lists_due {
            text.line("The lists of tickers or splits are requested first: they may add or close symbols.");
        }
        text.line(format_args!("{} Nothing was requested or changed.", self.cost()));
        text
    }
}

impl DryRunOutput {
    /// `12 to 40 requests for bars, with those pending before, at most 8m at 5/min.`
    fn cost(&self) -> String {
        let Estimate { requests, hours, .. } = self.json.estimate;
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
