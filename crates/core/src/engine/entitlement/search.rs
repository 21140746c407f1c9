//! The search as steps of a task.

use grab_model::{
    Window,
    calendar::{self, Session},
    new_york,
};
use jiff::{ToSpan, civil::Date};

use super::{
    HistoryInquiry, LateStart, OpenSearchState, RefusedWindow, SEARCHES_IN_VAIN, SearchCause,
    SearchConclusion, SearchStep, control_symbol, late_start::ControlSymbol, session_search,
};
use crate::{
    engine::{
        queue::TaskLease,
        request_loop::AnswerEvidence,
        task_job::{PageStep, TaskJob},
    },
    manifest::{ManifestError, OpenSearch},
    source::{BarsPage, BarsRequest, Disposition, FetchError, PagePosition, Source},
};

/// If a response lacks at least this many sessions at its beginning, the reason is searched, wherever they are.
const SESSIONS_WITHOUT_TRADE: usize = 5;

/// After this many failures the control symbol proves nothing here.
const CONTROL_FAILURES: u32 = 2;

/// The next step of a task.
pub(in crate::engine) enum Ask {
    /// Request its page.
    Page,
    /// Request this day.
    Day(BarsRequest, Date),
    /// Send no request: this is the result.
    Nothing(PageStep),
}

/// The response for one day.
pub(in crate::engine) enum DayAnswer {
    /// What the source has for the day.
    Answered { day: Date, control: ControlSymbol, words: Option<String>, bytes: u64 },
    /// The control symbol proves nothing here.
    Useless,
}

impl DayAnswer {
    /// What the response proves besides its content.
    pub(in crate::engine) fn evidence(&self) -> AnswerEvidence {
        match self {
            Self::Answered { bytes, .. } => AnswerEvidence::SourceIsThere(*bytes),
            Self::Useless => AnswerEvidence::KeyIsGood,
        }
    }
}

impl<S: Source> TaskJob<S> {
    /// Returns what a task requests next.
    pub(in crate::engine) async fn next_ask(&self, lease: &mut TaskLease) -> Result<Ask, ManifestError> {
        if self.history.is_whole() {
            return Ok(Ask::Page);
        }
        let Some(mut inquiry) = lease.inquiry.take() else { return self.page_within_history(lease).await };
        if lease.turn.is_none() {
            let Some(turn) = self.stop.unless_requested(self.history.take_turn()).await else {
                return Ok(Ask::Nothing(self.release(lease.task.id).await?));
            };
            lease.turn = Some(turn);
            // Another task may have found out what this one did not know.
            inquiry.search = None;
        }
        if matches!(inquiry.cause, SearchCause::GoesOn)
            && inquiry.search.is_none()
            && !self.concerns_open(lease)
        {
            // Another task has finished the search.
            lease.turn = None;
            return Ok(Ask::Nothing(PageStep::Onward));
        }
        let Some(needed) = still_needed(lease) else {
            return self.conclude(lease, inquiry, SearchConclusion::OtherReason).await.map(Ask::Nothing);
        };
        let edge = self.history.known().edge();
        if let Some(edge) = edge.filter(|edge| edge.split(needed).is_some()) {
            return self.conclude(lease, inquiry, SearchConclusion::Found(edge)).await.map(Ask::Nothing);
        }
        if let Some(conclusion) = self.without_asking(lease, &inquiry, needed) {
            return self.conclude(lease, inquiry, conclusion).await.map(Ask::Nothing);
        }
        if inquiry.search.is_none() {
            self.begin(lease, &mut inquiry, needed);
            self.note_progress(&inquiry).await?;
        }
        let (symbol, next) = match &inquiry.search {
            Some(SearchStep::Refused(symbol, steps)) => (symbol.clone(), steps.next()),
            Some(SearchStep::Late(symbol, steps)) => (symbol.clone(), steps.next()),
            None => {
                return self.conclude(lease, inquiry, SearchConclusion::Undecided).await.map(Ask::Nothing);
            }
        };
        match next {
            Ok(day) => {
                lease.inquiry = Some(inquiry);
                let window = Window::new(day, day).unwrap_or(lease.task.window);
                Ok(Ask::Day(BarsRequest { symbol, window }, day))
            }
            Err(conclusion) => self.conclude(lease, inquiry, conclusion).await.map(Ask::Nothing),
        }
    }

    /// The request for a first page. It waits while another task searches, and the part before a known beginning is cut
    /// without a request. An unfinished search is continued first.
    async fn page_within_history(&self, lease: &mut TaskLease) -> Result<Ask, ManifestError> {
        if lease.place != PagePosition::Start {
            return Ok(Ask::Page);
        }
        if self.stop.unless_requested(self.history.wait_for_turn()).await.is_none() {
            return Ok(Ask::Nothing(self.release(lease.task.id).await?));
        }
        let edge = self.history.known().edge();
        match edge.filter(|edge| edge.split(lease.task.window).is_some()) {
            Some(edge) => self.cut(lease, edge, None).await.map(Ask::Nothing),
            None if self.concerns_open(lease) => {
                lease.inquiry = Some(HistoryInquiry::new(SearchCause::GoesOn));
                Ok(Ask::Nothing(PageStep::Onward))
            }
            None => Ok(Ask::Page),
        }
    }

    /// Whether an unfinished search concerns the first days of a task.
    fn concerns_open(&self, lease: &TaskLease) -> bool {
        self.history.known().open.as_ref().is_some_and(|open| concerns(open, lease))
    }

    /// Whether a task is searching: then a first page should wait.
    pub(in crate::engine) fn is_searching(&self) -> bool {
        self.history.is_taken()
    }

    /// Starts a search after the plan refused a task's window, if time may be the reason. False if the source serves
    /// everything, so that time cannot be the reason.
    pub(in crate::engine) fn refused_by_plan(
        &self,
        lease: &mut TaskLease,
        reason: String,
        words: Option<String>,
        is_about_time: bool,
    ) -> bool {
        if self.history.is_whole() {
            return false;
        }
        self.inquire(
            lease,
            HistoryInquiry { words, ..HistoryInquiry::new(SearchCause::Refused { reason, is_about_time }) },
        );
        true
    }

    /// Starts a search. Takes the turn at once if no other task has it, so that the next task waits instead of sending
    /// requests without a result.
    pub(in crate::engine) fn inquire(&self, lease: &mut TaskLease, inquiry: HistoryInquiry) {
        lease.inquiry = Some(inquiry);
        lease.turn = self.history.try_take_turn();
    }

    /// Prepares the search of a task that has its turn, so that it is saved before the first request: if the run has to
    /// stop before that, the next run continues the search.
    pub(in crate::engine) async fn open_search(
        &self,
        lease: &mut TaskLease,
    ) -> Result<PageStep, ManifestError> {
        if lease.turn.is_none() {
            return Ok(PageStep::Onward);
        }
        match self.next_ask(lease).await? {
            Ask::Page | Ask::Day(..) => Ok(PageStep::Onward),
            Ask::Nothing(step) => Ok(step),
        }
    }

    /// Whether a response lacks sessions at its beginning that are not known to be served, and a plan may be the
    /// reason. Many symbols do not trade every day: a few missing sessions lead to a search only if responses are known
    /// to be clipped, or if some plan's history begins there.
    pub(in crate::engine) fn is_late(&self, lease: &TaskLease, page: &BarsPage) -> bool {
        let first_ms = page.bars.timestamps().first().copied();
        if self.history.is_whole()
            || lease.task.last_ms.is_some()
            || (first_ms.is_none() && page.next.is_some())
        {
            return false;
        }
        let today = self.history.today();
        let known = self.history.known();
        let Some(first) = first_with_bars(lease.task.window).filter(|_| !known.is_control_useless) else {
            return false;
        };
        if known.is_served(first) {
            return false;
        }
        let Some(bars_from) = first_ms.and_then(new_york::date_of) else { return true };
        let lacking = Window::new(first, bars_from.saturating_sub(1.day()));
        lacking.is_some_and(|lacking| {
            calendar::sessions(lacking).count() >= SESSIONS_WITHOUT_TRADE
                || known.is_clipped()
                || session_search::may_begin_in(lacking, today)
        })
    }

    /// The conclusion, if no request is needed.
    fn without_asking(
        &self,
        lease: &TaskLease,
        inquiry: &HistoryInquiry,
        needed: Window,
    ) -> Option<SearchConclusion> {
        let mut known = self.history.known();
        match &inquiry.cause {
            SearchCause::Refused { .. } if inquiry.search.is_some() => None,
            SearchCause::Refused { is_about_time, .. } => {
                if *known.in_vain.of(*is_about_time) >= SEARCHES_IN_VAIN {
                    return Some(SearchConclusion::NothingServed);
                }
                let not_yet = known.not_yet.filter(|day| *day <= lease.task.window.to());
                not_yet.filter(|_| known.is_served(first_requested(needed))).map(SearchConclusion::NotYet)
            }
            SearchCause::Late(_) => known.is_control_useless.then_some(SearchConclusion::Undecided),
            SearchCause::GoesOn => None,
        }
    }

    /// Starts a search, or continues the unfinished one if it is of the same kind.
    fn begin(&self, lease: &TaskLease, inquiry: &mut HistoryInquiry, needed: Window) {
        let open = self.history.known().open.clone();
        let is_refusal = match (&inquiry.cause, &open) {
            (SearchCause::Refused { .. }, _) => true,
            (SearchCause::Late(_), _) | (SearchCause::GoesOn, None) => false,
            (SearchCause::GoesOn, Some(open)) => matches!(open.search, OpenSearch::Refusal(_)),
        };
        let same = open.filter(|open| matches!(open.search, OpenSearch::Refusal(_)) == is_refusal);
        if same.is_none() {
            self.history.known().open = None;
        }
        let bracket = self.history.bracket();
        let is_proven = same.as_ref().is_some_and(|open| open.is_proven);
        if inquiry.words.is_none() {
            inquiry.words = same.as_ref().and_then(|open| open.words.clone());
        }
        inquiry.search = if is_refusal {
            let symbol = match same.map(|open| open.search) {
                Some(OpenSearch::Refusal(symbol)) => symbol,
                Some(OpenSearch::Clipping | OpenSearch::Undecided) | None => lease.task.symbol.clone(),
            };
            let first = first_requested(needed);
            let last = calendar::sessions(needed).last().map_or(first, Session::date);
            let is_doubtful = matches!(inquiry.cause, SearchCause::Refused { is_about_time: false, .. });
            Some(SearchStep::Refused(
                symbol,
                RefusedWindow::new(bracket, (first, last), is_proven, is_doubtful),
            ))
        } else {
            let first = first_with_bars(needed).unwrap_or(needed.from());
            control_symbol().map(|control| {
                let steps = match &inquiry.cause {
                    SearchCause::Late(page) => {
                        let bars_from = page.bars.timestamps().first().copied().and_then(new_york::date_of);
                        LateStart::new(bracket, first, bars_from, lease.task.symbol == control)
                    }
                    SearchCause::GoesOn | SearchCause::Refused { .. } => {
                        LateStart::new(bracket, first, None, false)
                    }
                };
                SearchStep::Late(control, steps.going_on(is_proven))
            })
        };
    }

    /// Interprets the response for one day. Some refusals are a valid result.
    ///
    /// # Errors
    /// If there is no result, and the search can go on all the same.
    pub(in crate::engine) fn hear(
        &self,
        lease: &TaskLease,
        day: Date,
        answer: Result<BarsPage, FetchError>,
    ) -> Result<DayAnswer, FetchError> {
        let answered = |control, words, bytes| Ok(DayAnswer::Answered { day, control, words, bytes });
        let error = match answer {
            Ok(page) if page.bars.is_empty() => return answered(ControlSymbol::Nothing, None, page.bytes),
            Ok(page) => return answered(ControlSymbol::Bars, None, page.bytes),
            Err(error) => error,
        };
        match error.disposition() {
            Disposition::Timeframe | Disposition::NotEntitled => {
                answered(ControlSymbol::Refusal, error.plan_words().map(str::to_owned), 0)
            }
            // The plan includes it, but not before its day is over.
            Disposition::NotYet => answered(ControlSymbol::Bars, None, 0),
            Disposition::Retry
            | Disposition::Unwell(_)
            | Disposition::RetryTwice
            | Disposition::SlowDown { .. }
            | Disposition::Outage
            | Disposition::KeyRefused
            | Disposition::CursorForgets
            | Disposition::NotFound
            | Disposition::UnknownRoute => {
                if self.is_control_useless(lease, error.disposition()) {
                    Ok(DayAnswer::Useless)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Whether a failure shows that the control symbol proves nothing here. Such a failure does not count against the task.
    fn is_control_useless(&self, lease: &TaskLease, disposition: Disposition) -> bool {
        let is_about_control =
            matches!(&lease.inquiry, Some(HistoryInquiry { search: Some(SearchStep::Late(..)), .. }));
        is_about_control
            && match disposition {
                Disposition::Outage | Disposition::SlowDown { .. } | Disposition::KeyRefused => false,
                Disposition::Unwell(_) => {
                    let mut known = self.history.known();
                    known.control_failures += 1;
                    known.control_failures >= CONTROL_FAILURES
                }
                Disposition::Retry
                | Disposition::RetryTwice
                | Disposition::CursorForgets
                | Disposition::NotFound
                | Disposition::UnknownRoute
                | Disposition::NotYet
                | Disposition::NotEntitled
                | Disposition::Timeframe => true,
            }
    }

    /// Adds a day's response to the search.
    pub(in crate::engine) async fn note_day(
        &self,
        lease: &mut TaskLease,
        answer: DayAnswer,
    ) -> Result<PageStep, ManifestError> {
        let (day, control, words) = match answer {
            DayAnswer::Answered { day, control, words, .. } => (day, control, words),
            DayAnswer::Useless => {
                return match lease.inquiry.take() {
                    Some(inquiry) => self.conclude(lease, inquiry, SearchConclusion::Undecided).await,
                    None => Ok(PageStep::Onward),
                };
            }
        };
        let Some(inquiry) = &mut lease.inquiry else { return Ok(PageStep::Onward) };
        match &mut inquiry.search {
            Some(SearchStep::Refused(_, steps)) => steps.hear(day, control != ControlSymbol::Refusal),
            Some(SearchStep::Late(_, steps)) => steps.hear(day, control),
            None => {}
        }
        // The plan's message may come with single days as well as with the window.
        if inquiry.words.is_none() {
            inquiry.words = words;
        }
        self.note_progress(inquiry).await?;
        let next = match &inquiry.search {
            Some(SearchStep::Refused(_, steps)) => steps.next(),
            Some(SearchStep::Late(_, steps)) => steps.next(),
            None => return Ok(PageStep::Onward),
        };
        // Conclude now what needs no further request: the run may have to stop before the next one.
        match (next, lease.inquiry.take()) {
            (Err(conclusion), Some(inquiry)) => self.conclude(lease, inquiry, conclusion).await,
            (_, inquiry) => {
                lease.inquiry = inquiry;
                Ok(PageStep::Onward)
            }
        }
    }

    /// Saves the state of a search.
    async fn note_progress(&self, inquiry: &HistoryInquiry) -> Result<(), ManifestError> {
        {
            let (open, mut known) = (inquiry.open(), self.history.known());
            if known.open == open {
                return Ok(());
            }
            (known.open, known.is_changed) = (open, true);
        }
        self.keep_history().await
    }
}

/// The days that a task still needs: from its last stored bar to the end of its window.
fn still_needed(lease: &TaskLease) -> Option<Window> {
    let reached = lease.task.last_ms.and_then(new_york::date_of);
    let window = lease.task.window;
    let needed = Window::new(reached.map_or(window.from(), |day| day.max(window.from())), window.to())?;
    calendar::sessions(needed).next().map(|_| needed)
}

/// The session that decides whether a window may begin where it does. Before a weekend it is the last one: a window
/// that begins on a Sunday is refused if the history begins on the Monday.
fn first_requested(window: Window) -> Date {
    let before = session_search::session_before(window.from().saturating_add(1.day()));
    before.unwrap_or(window.from())
}

/// Whether an unfinished search concerns the first days of a task that has not sent a request yet.
fn concerns(open: &OpenSearchState, lease: &TaskLease) -> bool {
    let first = still_needed(lease).and_then(|needed| match &open.search {
        OpenSearch::Refusal(_) => Some(first_requested(needed)),
        OpenSearch::Clipping if lease.task.last_ms.is_none() => first_with_bars(needed),
        OpenSearch::Clipping | OpenSearch::Undecided => None,
    });
    first.is_some_and(|first| open.first_served.is_none_or(|served| first < served))
}

/// The first session of a window on which the service can have bars.
fn first_with_bars(window: Window) -> Option<Date> {
    let window = Window::new(window.from().max(session_search::FIRST_BARS), window.to())?;
    calendar::sessions(window).next().map(Session::date)
}
