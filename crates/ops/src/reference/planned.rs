//! The tasks of subscriptions, and what lists leave out of them: nothing is left out without a report.

use std::collections::BTreeSet;

use grab_core::manifest::{ManifestError, Subscription};
use grab_model::{
    Symbol, Window,
    plan::{self, ListingCut},
    universe::{DroppedByFilter, NearestListedDays, Universe},
};
use jiff::civil::Date;
use serde::Serialize;

use super::subscription_scope::{filter_of, windows_of};

/// How many cut windows the report of a run names.
const LISTED: usize = 20;

/// The tasks of subscriptions, and what is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedSubscriptions {
    /// The tasks, window by window.
    pub tasks: Vec<(Symbol, Window)>,
    /// What the lists leave out.
    pub left_out: LeftOut,
}

/// What lists leave out of subscriptions; its JSON is public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Symbols that do not match only because the list lacks a field.
    pub dropped: DroppedByFilter,
    /// Days on which matching symbols are not listed.
    pub cut: CutByLists,
}

/// Parts of windows that are not requested, because the lists do not have the symbol then; first those of symbols that
/// are listed on the day before or after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CutByLists {
    /// The number of symbols.
    pub symbols: usize,
    /// The number of windows.
    pub windows: usize,
    /// The windows; in the report of a run, the first few.
    pub items: Vec<CutWindow>,
}

/// A cut window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutWindow {
    /// The symbol.
    pub ticker: Symbol,
    /// The days that are not requested.
    pub window: Window,
    /// The last listed day before it, and the first one after it.
    listed_until: Option<String>,
    listed_from: Option<String>,
    /// The nearest days on which it is listed.
    #[serde(skip)]
    pub listed: NearestListedDays,
}

impl PlannedSubscriptions {
    /// Expands a subscription into tasks up to a day.
    ///
    /// # Errors
    /// If its windows cannot be read: another program has written them.
    pub fn of(order: &Subscription, universe: &Universe, last_day: Date) -> Result<Self, ManifestError> {
        let windows = windows_of(order)?.into_iter().filter_map(|window| plan::clip(window, last_day));
        let (windows, filter) = (windows.collect::<Vec<_>>(), filter_of(order));
        let in_time =
            universe.periods().filter(|(_, span)| windows.iter().any(|window| span.cut(*window).is_some()));
        let dropped = filter.dropped(in_time);
        let cut = CutByLists::of(plan::cut(universe, &filter, &windows));
        Ok(Self { tasks: plan::windows_of(universe, &filter, &windows), left_out: LeftOut { dropped, cut } })
    }

    /// Adds the tasks of another subscription.
    pub fn add(&mut self, other: Self) {
        self.tasks.extend(other.tasks);
        let DroppedByFilter { without_type, without_exchange } = other.left_out.dropped;
        self.left_out.dropped.without_type.extend(without_type);
        self.left_out.dropped.without_exchange.extend(without_exchange);
        let items = self.left_out.cut.items.iter().chain(&other.left_out.cut.items);
        self.left_out.cut = CutByLists::counted(items.cloned().collect());
    }
}

impl CutByLists {
    fn of(cut: Vec<ListingCut>) -> Self {
        let day = |day: Option<Date>| day.map(|day| day.to_string());
        let item = |ListingCut { ticker, window, listed }| CutWindow {
            ticker,
            window,
            listed_until: day(listed.until),
            listed_from: day(listed.from),
            listed,
        };
        Self::counted(cut.into_iter().map(item).collect())
    }

    fn counted(mut items: Vec<CutWindow>) -> Self {
        items.sort_by_cached_key(|item| (!item.is_next_to_listed_days(), item.ticker.clone(), item.window));
        items.dedup();
        let symbols: BTreeSet<&Symbol> = items.iter().map(|item| &item.ticker).collect();
        Self { symbols: symbols.len(), windows: items.len(), items }
    }
}

impl CutWindow {
    fn is_next_to_listed_days(&self) -> bool {
        let until = self.listed.until.and_then(|until| until.tomorrow().ok());
        let from = self.listed.from.and_then(|from| from.yesterday().ok());
        until == Some(self.window.from()) || from == Some(self.window.to())
    }
}

impl LeftOut {
    /// Shortens the list of windows for the report of a run.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.cut.items.truncate(LISTED);
        self
    }
}
