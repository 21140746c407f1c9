//! How far back the plan's history goes: found out once, saved, and used by every task.
//!
//! # Refused windows
//! A plan refuses a window that begins before its history as a whole (403), or leaves the early part out without an
//! error ([`late_start`]). In both cases the first task that meets this requests single days until it is known between
//! which two sessions the history begins ([`refused_window`], [`session_search`]). The beginning depends on the plan,
//! not on the symbol: all pending tasks are cut there in one transaction, and later ones before their first request.
//!
//! # One at a time
//! The task that searches holds `turn`; others wait for it before they request a first page. A request of the search is
//! like any other: it takes a permit, counts against the budget, and its failures are failures of its task
//! (`request_loop`). The task may be parked; then the next task continues the search.
//!
//! # Durability
//! The start of a search is saved before its first request, and its state after each response. If the run crashes in
//! between, or may send one request only, the next run continues: its first task continues the search before it
//! requests a page ([`SearchCause::GoesOn`]). A search uses one symbol from start to end, because a refusal for one
//! symbol proves nothing about another until a day of it is served.

mod late_start;
#[cfg(test)]
mod memory_tests;
mod outcome;
mod recheck;
mod refused_window;
mod search;
mod session_search;

pub use recheck::recheck_history;
pub(super) use search::{Ask, DayAnswer};

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use grab_model::{HistoryStart, Symbol, calendar, new_york};
use jiff::{ToSpan, civil::Date};
use tokio::sync::OwnedMutexGuard;

use super::task_job::TaskJob;
use crate::{
    clock::Clock,
    manifest::{HistoryEvidence, ManifestError, OpenSearch, PlanHistory, WriterHandle},
    source::{BarsPage, Source},
};
use late_start::LateStart;
use refused_window::RefusedWindow;
use session_search::{SessionSearch, session_before, session_from};

/// A symbol that traded on every session since the service has bars: the first exchange-traded fund, of 1993.
const CONTROL_SYMBOL: &str = "SPY";

/// After this many searches that found no served day, another one is not tried for the same kind of error message.
const SEARCHES_IN_VAIN: u32 = 3;

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchConclusion {
    /// The history begins there.
    Found(HistoryStart),
    /// All sessions of the window are served: the response begins late because the symbol does.
    AllServed,
    /// The window begins within the history, and is refused for a reason of its own.
    OtherReason,
    /// Only the last session is refused: it is served when its day is over.
    NotYet(Date),
    /// No day is served at all.
    NothingServed,
    /// The responses do not decide it.
    Undecided,
}

/// Why a task searches for the beginning of the plan's history.
#[derive(Debug)]
pub(super) enum SearchCause {
    /// Its window was refused.
    Refused {
        /// The error in one line.
        reason: String,
        /// Whether the message is about time. Other messages may be about the symbol or the product.
        is_about_time: bool,
    },
    /// Its first response begins later than its window.
    Late(Box<BarsPage>),
    /// It has not sent a request yet: another task, or an earlier run, has started a search and not finished it.
    GoesOn,
}

/// The search of one task.
#[derive(Debug)]
pub(super) struct HistoryInquiry {
    pub(super) cause: SearchCause,
    /// The service's message when it refused.
    words: Option<String>,
    /// The state of the search. None until it is this task's turn.
    search: Option<SearchStep>,
}

#[derive(Debug)]
enum SearchStep {
    /// With the symbol whose days are requested.
    Refused(Symbol, RefusedWindow),
    /// With the control symbol.
    Late(Symbol, LateStart),
}

impl HistoryInquiry {
    pub(super) fn new(cause: SearchCause) -> Self {
        Self { cause, words: None, search: None }
    }

    /// The state to save before the next request.
    fn open(&self) -> Option<OpenSearchState> {
        let (search, bracket, is_proven) = match self.search.as_ref()? {
            SearchStep::Refused(symbol, steps) => {
                (OpenSearch::Refusal(symbol.clone()), &steps.bracket, steps.is_proven)
            }
            SearchStep::Late(_, steps) => (OpenSearch::Clipping, &steps.bracket, steps.is_proven()),
        };
        let SessionSearch { last_refused, first_served, .. } = *bracket;
        Some(OpenSearchState { search, last_refused, first_served, is_proven, words: self.words.clone() })
    }
}

/// The right to search. As long as a task holds it, no other task requests a first page.
#[derive(Debug)]
pub(super) struct SearchTurn {
    _lock: OwnedMutexGuard<()>,
    is_taken: Arc<AtomicBool>,
}

impl SearchTurn {
    fn new(lock: OwnedMutexGuard<()>, is_taken: &Arc<AtomicBool>) -> Self {
        is_taken.store(true, Ordering::Release);
        Self { _lock: lock, is_taken: Arc::clone(is_taken) }
    }
}

impl Drop for SearchTurn {
    fn drop(&mut self) {
        // Before the lock is released: the next holder sets it again.
        self.is_taken.store(false, Ordering::Release);
    }
}

/// What is known about the plan behind a service, and which task is searching.
#[derive(Debug)]
pub(super) struct EntitlementHistory {
    /// None for a source that serves all there is.
    service: Option<String>,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether a task holds a [`SearchTurn`]. Tasks that only wait for its end hold the lock for a moment, too.
    is_taken: Arc<AtomicBool>,
    known: Mutex<HistoryKnowledge>,
    clock: Clock,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HistoryKnowledge {
    last_refused: Option<Date>,
    first_served: Option<Date>,
    shown_by: Option<HistoryEvidence>,
    words: Option<String>,
    /// Where the history began before: these sessions are requested first.
    hints: Vec<Date>,
    /// A session that is refused until its day is over.
    not_yet: Option<Date>,
    /// The unfinished search.
    open: Option<OpenSearchState>,
    /// Searches that found no served day: with messages about time, and with other ones.
    in_vain: FailedSearch,
    /// Whether the control symbol proves nothing here.
    is_control_useless: bool,
    control_failures: u32,
    /// The earliest day of which bars came in this run.
    first_seen: Option<Date>,
    is_changed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FailedSearch {
    about_time: u32,
    other: u32,
}

impl FailedSearch {
    fn of(&mut self, is_about_time: bool) -> &mut u32 {
        if is_about_time { &mut self.about_time } else { &mut self.other }
    }
}

/// How far a search has come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenSearchState {
    search: OpenSearch,
    last_refused: Option<Date>,
    first_served: Option<Date>,
    /// Whether a day of the requested symbol was served: then refusals come from the plan.
    is_proven: bool,
    words: Option<String>,
}

impl OpenSearchState {
    fn shown_by(&self) -> Option<HistoryEvidence> {
        match &self.search {
            OpenSearch::Refusal(_) => self.is_proven.then_some(HistoryEvidence::Refusal),
            OpenSearch::Clipping => self.is_proven.then_some(HistoryEvidence::Clipping),
            OpenSearch::Undecided => None,
        }
    }
}

impl HistoryKnowledge {
    /// Where the history begins. None as long as the exact session is not known.
    fn edge(&self) -> Option<HistoryStart> {
        let today = Date::MAX;
        SessionSearch::new(self.last_refused, self.first_served, today, &[], today).edge()
    }

    /// Whether responses are known, or suspected, to omit the days before the history.
    fn is_clipped(&self) -> bool {
        let is_open = self.open.as_ref().is_some_and(|open| open.search == OpenSearch::Clipping);
        is_open || self.shown_by == Some(HistoryEvidence::Clipping)
    }

    fn is_served(&self, day: Date) -> bool {
        self.first_served.is_some_and(|first| first <= day)
    }

    /// Records that a day is served.
    fn serves(&mut self, day: Date) {
        if !self.is_served(day) {
            self.is_changed = true;
            self.first_served = Some(day);
        }
        if self.last_refused.is_some_and(|last| last >= day) {
            (self.last_refused, self.shown_by, self.words) = (None, None, None);
        }
    }

    /// Whether bars came in this run of a day that a search takes for left out of responses. The control symbol may begin late for
    /// reasons of its own: then it shows nothing about the plan.
    fn disproves(&self, bracket: &SessionSearch) -> bool {
        self.first_seen.zip(bracket.last_refused).is_some_and(|(seen, refused)| seen <= refused)
    }

    /// Takes over the result of a search.
    fn learn(&mut self, bracket: &SessionSearch, shown_by: HistoryEvidence, words: Option<&String>) {
        self.first_served = bracket.first_served;
        self.last_refused = bracket.last_refused;
        let is_refused = self.last_refused.is_some();
        self.shown_by = is_refused.then_some(shown_by);
        self.words = words.filter(|_| is_refused).cloned();
        self.is_changed = true;
    }
}

impl EntitlementHistory {
    /// Loads what earlier runs have found out.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) async fn load(
        service: Option<String>,
        manifest: &WriterHandle,
        clock: Clock,
    ) -> Result<Self, ManifestError> {
        let known = match service.clone() {
            Some(service) => manifest.call(move |writer| writer.plan_history(&service)).await?,
            None => None,
        };
        let known = known.map(|kept| HistoryKnowledge::from_kept(kept, today(clock))).unwrap_or_default();
        Ok(Self { service, turn: Arc::default(), is_taken: Arc::default(), known: Mutex::new(known), clock })
    }

    /// Waits until no other task searches, and takes the turn.
    async fn take_turn(&self) -> SearchTurn {
        SearchTurn::new(Arc::clone(&self.turn).lock_owned().await, &self.is_taken)
    }

    /// Takes the turn at once. None if another task has it.
    fn try_take_turn(&self) -> Option<SearchTurn> {
        Some(SearchTurn::new(Arc::clone(&self.turn).try_lock_owned().ok()?, &self.is_taken))
    }

    /// Waits until no task searches.
    async fn wait_for_turn(&self) {
        if self.is_taken() {
            drop(self.turn.lock().await);
        }
    }

    /// Whether a task is searching.
    fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Acquire)
    }

    /// Whether the source serves all there is.
    fn is_whole(&self) -> bool {
        self.service.is_none()
    }

    /// Records that bars of a day came.
    pub(super) fn saw(&self, first_ms: Option<i64>) {
        if let Some(day) = first_ms.and_then(new_york::date_of).filter(|_| !self.is_whole()) {
            let mut known = self.known();
            known.first_seen = Some(known.first_seen.map_or(day, |seen| seen.min(day)));
            known.serves(day);
        }
    }

    /// The current day in New York.
    fn today(&self) -> Date {
        today(self.clock)
    }

    fn known(&self) -> MutexGuard<'_, HistoryKnowledge> {
        // The value is whole between any two statements, so a panic elsewhere cannot have left it half-written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bracket with which a search starts.
    fn bracket(&self) -> SessionSearch {
        let (now_ms, known) = (self.clock.now_ms(), self.known());
        let end = calendar::last_finished(now_ms).map_or(calendar::FIRST_DAY, calendar::Session::date);
        let (last_refused, first_served) = match &known.open {
            Some(open) => (open.last_refused, open.first_served),
            None => (known.last_refused, known.first_served),
        };
        SessionSearch::new(last_refused, first_served, end, &known.hints, today(self.clock))
    }

    /// What to save for later runs. None if it has not changed.
    fn to_keep(&self) -> Option<(String, PlanHistory)> {
        let mut known = self.known();
        let service = self.service.clone().filter(|_| std::mem::take(&mut known.is_changed))?;
        Some((service, known.to_keep(today(self.clock))))
    }
}

impl HistoryKnowledge {
    fn from_kept(kept: PlanHistory, today: Date) -> Self {
        let first_served = kept.served_on(today).and_then(session_from);
        // A rolling history begins at one of the first two today; a fixed one still begins at the last one.
        let refused = kept.refused_on(today).and_then(|day| session_before(day.saturating_add(1.day())));
        let hints = [refused, first_served.and_then(session_before), kept.first_served];
        let last_refused = kept.last_refused.filter(|last| first_served.is_none_or(|first| *last < first));
        // An unfinished search has its responses: it needs no hints.
        let hints = hints.into_iter().flatten().filter(|_| kept.search.is_none()).collect();
        let known = Self { first_served, hints, ..Self::default() };
        let is_proven = kept.shown_by.is_some();
        match kept.search {
            None => Self { last_refused, shown_by: kept.shown_by, words: kept.words, ..known },
            Some(OpenSearch::Undecided) => Self { is_control_useless: kept.as_of == today, ..known },
            Some(search) => {
                let open =
                    OpenSearchState { search, last_refused, first_served, is_proven, words: kept.words };
                Self { open: Some(open), ..known }
            }
        }
    }

    fn to_keep(&self, as_of: Date) -> PlanHistory {
        if let Some(open) = &self.open {
            return PlanHistory {
                last_refused: open.last_refused,
                first_served: open.first_served,
                is_found: false,
                as_of,
                shown_by: open.shown_by(),
                words: open.words.clone(),
                search: Some(open.search.clone()),
            };
        }
        let is_undecided = self.is_control_useless && self.last_refused.is_none();
        PlanHistory {
            last_refused: self.last_refused,
            first_served: self.first_served,
            is_found: self.edge().is_some(),
            as_of,
            shown_by: self.shown_by,
            words: self.words.clone(),
            search: is_undecided.then_some(OpenSearch::Undecided),
        }
    }
}

fn today(clock: Clock) -> Date {
    new_york::date_of(clock.now_ms()).unwrap_or(calendar::LAST_DAY)
}

fn control_symbol() -> Option<Symbol> {
    CONTROL_SYMBOL.parse().ok()
}

impl<S: Source> TaskJob<S> {
    /// Saves what is known about the plan's history, if it has changed.
    pub(super) async fn keep_history(&self) -> Result<(), ManifestError> {
        let Some((service, known)) = self.history.to_keep() else { return Ok(()) };
        self.manifest.call(move |writer| writer.save_plan_history(&service, &known)).await
    }
}
