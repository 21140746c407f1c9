//! The rows of JSON of an update.

use std::collections::BTreeSet;

use grab_core::{
    manifest::{Closure, Silence},
    update::UpdatePlan,
    verify::SessionSymbols,
};
use grab_model::{Symbol, Window, plan::Estimate};
use serde::Serialize;

use crate::{DelistedSymbol, UpdatePreview};

/// A session that lacks regular symbols; its JSON is public.
#[derive(Serialize)]
pub struct LackingSessionJson {
    pub date: String,
    /// Symbols that have bars on each of five sessions up to their last one, and are not delisted.
    pub regular: u64,
    /// Those of them that have bars.
    pub present: u64,
}

impl From<&SessionSymbols> for LackingSessionJson {
    fn from(session: &SessionSymbols) -> Self {
        Self { date: session.date.to_string(), regular: session.regular, present: session.present }
    }
}

/// A day on which the market was closed; its JSON is public.
#[derive(Serialize)]
pub struct ClosedDayJson {
    pub date: String,
    pub evidence: &'static str,
    pub name: String,
}

impl From<&Closure> for ClosedDayJson {
    fn from(closure: &Closure) -> Self {
        let Closure { date, evidence, name } = closure;
        Self { date: date.to_string(), evidence: evidence.as_str(), name: name.clone() }
    }
}

/// A silent symbol, and what the service says about it; its JSON is public.
#[derive(Serialize)]
pub struct SilentSymbolJson {
    pub ticker: Symbol,
    pub last_session: String,
    pub answer: &'static str,
    pub left_on: Option<String>,
    pub words: String,
}

impl From<&Silence> for SilentSymbolJson {
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

/// A symbol and its requested days.
#[derive(Clone, Serialize)]
pub struct RequestedWindow {
    pub ticker: Symbol,
    pub window: Window,
}

/// The size of an update.
#[derive(Clone, Copy, Serialize)]
pub struct UpdatePlanJson {
    /// Symbols that were behind.
    pub extended: u64,
    /// Sessions without bars that were requested again, and the windows of these requests.
    #[serde(rename = "holes")]
    pub gaps: u64,
    #[serde(rename = "hole_windows")]
    pub gap_windows: u64,
    /// Symbols for which nothing was requested.
    pub up_to_date: u64,
    pub closed: u64,
    /// Symbols that are requested from their first day on.
    pub joined_symbols: u64,
    /// Symbols whose whole history is requested again because of a split.
    pub resplit: u64,
}

impl From<&UpdatePlan> for UpdatePlanJson {
    fn from(plan: &UpdatePlan) -> Self {
        Self {
            extended: plan.extended.len() as u64,
            gaps: plan.gap_sessions,
            gap_windows: plan.gaps.len() as u64,
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

/// What an update would request; its JSON is public.
#[derive(Serialize)]
pub struct UpdateDryRunJson {
    pub dry_run: bool,
    pub session: String,
    #[serde(flatten)]
    pub plan: UpdatePlanJson,
    /// Whether lists would be fetched first, so that more symbols may be added or delisted.
    pub lists_due: bool,
    pub estimate: Estimate,
    #[serde(rename = "asked")]
    pub requested: Vec<RequestedWindow>,
}

impl From<UpdatePreview> for UpdateDryRunJson {
    fn from(preview: UpdatePreview) -> Self {
        let UpdatePreview { session, plan, are_lists_due, estimate, rate: _ } = preview;
        Self {
            dry_run: true,
            session: session.to_string(),
            plan: (&plan).into(),
            lists_due: are_lists_due,
            estimate,
            requested: plan.requested().map(RequestedWindow::from).collect(),
        }
    }
}

/// A stored symbol that was delisted; its JSON is public.
#[derive(Serialize)]
pub struct DelistedJson {
    pub ticker: Symbol,
    pub last_day: Option<String>,
    pub now: Option<Symbol>,
    pub goes_on: bool,
}

impl From<DelistedSymbol> for DelistedJson {
    fn from(delisted: DelistedSymbol) -> Self {
        let DelistedSymbol { symbol, last_day, successor, is_reused } = delisted;
        let last_day = last_day.map(|day| day.to_string());
        Self { ticker: symbol, last_day, now: successor, goes_on: is_reused }
    }
}
