//! What a subscription covers and was never requested, because the lists do not have the symbol on these days. Lists
//! are evidence and may be wrong: what the witness saw there is expected all the same.

use std::collections::{BTreeMap, HashSet};

use grab_model::{Symbol, Window};
use jiff::civil::Date;

use super::{Finding, FindingKind, SessionStatus, WitnessView, coverage::SymbolFacts};

/// Parts of subscribed windows that are in no task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListingCuts {
    parts: BTreeMap<Symbol, Vec<CutWindow>>,
    /// The windows of all subscriptions, and the symbols that the lists know.
    ordered: Vec<Window>,
    listed: HashSet<String>,
}

/// Days of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CutWindow {
    window: Window,
    /// If given, the window counts only if the witness saw the symbol trade on this day.
    seen_on: Option<Date>,
}

impl ListingCuts {
    /// Adds days of a symbol. With `seen_on`, they count only if the witness saw it trade on that day.
    pub fn add(&mut self, symbol: &Symbol, window: Window, seen_on: Option<Date>) {
        self.parts.entry(symbol.clone()).or_default().push(CutWindow { window, seen_on });
    }

    /// Adds the windows of a subscription. Symbols that the witness saw in them and no list knows are worth a notice.
    pub fn order(&mut self, windows: &[Window]) {
        self.ordered.extend(windows);
    }

    /// Adds symbols that the lists know.
    pub fn list<'a>(&mut self, symbols: impl Iterator<Item = &'a Symbol>) {
        self.listed.extend(symbols.map(ToString::to_string));
    }

    /// Whether a day is in a subscribed window.
    pub(super) fn is_ordered(&self, day: Date) -> bool {
        self.ordered.iter().any(|window| (window.from()..=window.to()).contains(&day))
    }

    /// Whether the lists know a symbol.
    pub(super) fn is_listed(&self, ticker: &str) -> bool {
        self.listed.contains(ticker)
    }

    /// The symbols with cut windows, in order.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.parts.keys()
    }

    /// The cut windows of all symbols.
    pub fn windows(&self) -> impl Iterator<Item = Window> {
        self.parts.values().flatten().map(|part| part.window)
    }

    /// The cut windows of one symbol.
    pub fn windows_of(&self, symbol: &Symbol) -> impl Iterator<Item = Window> {
        self.parts_of(symbol).map(|part| part.window)
    }

    fn parts_of(&self, symbol: &Symbol) -> impl Iterator<Item = &CutWindow> {
        self.parts.get(symbol).into_iter().flatten()
    }
}

impl SymbolFacts<'_> {
    /// Marks days that were cut away although the witness saw the symbol trade.
    pub(super) fn mark_cut_away(&self, days: &mut [SessionStatus]) {
        let has_traded = |date| matches!(self.witness.saw(self.symbol, date), Some(WitnessView::Traded(_)));
        let parts = self.cut_away.parts_of(self.symbol);
        for part in parts.filter(|part| part.seen_on.is_none_or(has_traded)) {
            for index in self.sessions.within(part.window) {
                if days[index] == SessionStatus::NotAsked && has_traded(self.sessions.dates()[index]) {
                    days[index] = SessionStatus::CutAway;
                }
            }
        }
    }

    /// Returns one finding for each cut window with trades, from the first day with a trade to the last one.
    pub(super) fn cut_away(&self, days: &[SessionStatus]) -> Vec<Finding> {
        let has_nothing = self.recorded.is_empty();
        let kind = if has_nothing { FindingKind::MissingSymbol } else { FindingKind::MissingSession };
        let of_part = |part: &CutWindow| {
            let traded =
                || self.sessions.within(part.window).filter(|index| days[*index] == SessionStatus::CutAway);
            let date = |index: usize| self.sessions.dates()[index];
            let (first, last) = (traded().next().map(date)?, traded().next_back().map(date)?);
            let count = traded().count();
            let listed = self.universe.and_then(|universe| universe.listed(self.symbol));
            let listed = listed.map(|listed| listed.nearest_listed_days(first)).unwrap_or_default();
            let shares = self.witnessed(&(first..=last)).unwrap_or_default();
            let sessions =
                if count == 1 { "1 session".to_owned() } else { format!("{count} sessions to {last}") };
            let detail = format!(
                "{sessions} with trades were never requested, because the lists have the symbol {listed}: \
                 the witness counts {shares:.0} shares"
            );
            Some(kind.on(self.symbol, &(first..=last), detail))
        };
        self.cut_away.parts_of(self.symbol).filter_map(of_part).collect()
    }
}
