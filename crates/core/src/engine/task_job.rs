//! Tasks as a job of the request loop: each is traversed page by page to its end, and continues at its cursor after a
//! pause, with any worker.

use std::{collections::HashMap, sync::Arc};

use grab_model::{Bars, InvalidBar, Month, Partition, Symbol, Window, calendar, new_york};
use jiff::civil::Date;
use tokio::time::Instant;

use super::{
    RunContext, RunCounters, Stop, StopReason,
    entitlement::{Ask, DayAnswer, EntitlementHistory, HistoryInquiry, SearchCause, SearchConclusion},
    page_merge::{self, MergeFailure, MergedMonths, PageBars},
    queue::{TaskLease, TaskQueue},
    request_loop::{
        AnswerEvidence, Attempts, BreakerPass, FetchJob, NextRequest, Refusal, RefusalKind, Step, Suspicion,
    },
};
use crate::{
    clock::Clock,
    manifest::{Evidence, ManifestError, PageCommit, TaskEvent, TaskId, TaskState, WriterHandle},
    source::{BarsPage, BarsRequest, Disposition, FetchError, PagePosition, ResponseMismatch, Source},
    store::{BarStore, StoreError},
};

/// The most pages in a row without a new bar that name another page (polygon-api.md §1).
const MOST_BARREN_PAGES: u32 = 100;

/// From this difference on, in ms, two clocks are said to differ.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// The tasks of a directory.
pub(super) struct TaskJob<S> {
    pub(super) source: S,
    store: BarStore,
    pub(super) manifest: WriterHandle,
    clock: Clock,
    pub(super) counters: Arc<RunCounters>,
    pub(super) stop: Stop,
    queue: TaskQueue,
    pub(super) history: EntitlementHistory,
}

/// A request of a task.
#[derive(Clone)]
pub(super) enum TaskRequest {
    /// Its page.
    Page(BarsRequest, PagePosition),
    /// One day, to find out whether it is served and where the plan's history begins.
    Day(BarsRequest, Date),
}

/// The response to it.
pub(super) enum TaskAnswer {
    Page(Box<BarsPage>),
    Day(DayAnswer),
}

/// The state of a lease after one step of its traversal.
pub(super) enum PageStep {
    /// Continue with the page that the lease now names.
    Onward,
    /// The task has ended, or was given back.
    Settled,
    /// Not in this run: what it requests is not available yet, for this reason.
    Defer(String),
}

impl<S> TaskJob<S> {
    /// Creates the job for all pending tasks of a directory, with what is known of the plan's history.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) async fn new(source: S, context: &RunContext) -> Result<Self, ManifestError> {
        let manifest = context.manifest.clone();
        let history = EntitlementHistory::load(context.service.clone(), &manifest, context.clock).await?;
        Ok(Self {
            source,
            store: context.store.clone(),
            manifest,
            clock: context.clock,
            counters: Arc::clone(&context.counters),
            stop: context.stop.clone(),
            queue: TaskQueue::default(),
            history,
        })
    }

    /// Carries out the result of a step.
    async fn carry_out(&self, lease: &TaskLease, step: PageStep) -> Step {
        match step {
            PageStep::Onward => Step::Onward,
            PageStep::Settled => Step::Settled,
            PageStep::Defer(reason) => {
                self.queue.defer(lease.task.id, reason).await;
                Step::Settled
            }
        }
    }
}

impl<S: Source> FetchJob for TaskJob<S> {
    type Source = S;
    type Item = Box<TaskLease>;
    type Id = TaskId;
    type Request = TaskRequest;
    type Answer = TaskAnswer;

    fn source(&self) -> &S {
        &self.source
    }

    async fn next(
        &self,
        anything_came: &(impl Fn() -> bool + Send + Sync),
    ) -> Result<Option<Box<TaskLease>>, ManifestError> {
        self.queue.next(&self.manifest, &self.stop, anything_came).await
    }

    fn id(lease: &Box<TaskLease>) -> TaskId {
        lease.task.id
    }

    fn subject(lease: &Box<TaskLease>) -> String {
        lease.task.symbol.to_string()
    }

    fn attempts(lease: &mut Box<TaskLease>) -> &mut Attempts {
        &mut lease.attempts
    }

    async fn outstanding(&self) -> Result<u64, ManifestError> {
        Ok(self.manifest.call(|writer| writer.counts()).await?.outstanding())
    }

    async fn request(&self, lease: &mut Box<TaskLease>) -> Result<NextRequest<TaskRequest>, ManifestError> {
        Ok(match self.next_ask(lease).await? {
            Ask::Page => NextRequest::Send(TaskRequest::Page(question(lease), lease.place.clone())),
            Ask::Day(question, day) => NextRequest::Send(TaskRequest::Day(question, day)),
            Ask::Nothing(step) => NextRequest::Nothing(self.carry_out(lease, step).await),
        })
    }

    fn is_still_wanted(&self, _: &Box<TaskLease>, request: &TaskRequest) -> bool {
        // While a task searches for the beginning of the history, another task's first page would most likely be refused too.
        !matches!(request, TaskRequest::Page(_, PagePosition::Start)) || !self.is_searching()
    }

    fn note_sent(lease: &mut Box<TaskLease>, request: &TaskRequest) -> bool {
        match request {
            TaskRequest::Page(..) => lease.attempts.note_sent(),
            TaskRequest::Day(..) => false,
        }
    }

    async fn send(
        &self,
        lease: &Box<TaskLease>,
        request: &TaskRequest,
        pass: &mut BreakerPass<'_>,
    ) -> Result<TaskAnswer, FetchError> {
        match request {
            TaskRequest::Page(question, place) => {
                let page = self.page(question, place, pass).await?;
                check_traversal(lease, &page)?;
                Ok(TaskAnswer::Page(Box::new(page)))
            }
            TaskRequest::Day(question, day) => {
                let answer = self.page(question, &PagePosition::Start, pass).await;
                self.hear(lease, *day, answer).map(TaskAnswer::Day)
            }
        }
    }

    async fn send_again(&self, request: &TaskRequest) -> Result<(), FetchError> {
        match request {
            TaskRequest::Page(question, place) => self.source.page(question, place).await.map(|_| ()),
            TaskRequest::Day(question, _) => {
                self.source.page(question, &PagePosition::Start).await.map(|_| ())
            }
        }
    }

    fn evidence(answer: &TaskAnswer) -> AnswerEvidence {
        match answer {
            TaskAnswer::Page(page) => AnswerEvidence::GoodQuestion(page.bytes),
            TaskAnswer::Day(answer) => answer.evidence(),
        }
    }

    async fn store(&self, lease: &mut Box<TaskLease>, answer: TaskAnswer) -> Result<Step, ManifestError> {
        let step = match answer {
            TaskAnswer::Page(page) => self.take_page(lease, *page).await?,
            TaskAnswer::Day(answer) => self.note_day(lease, answer).await?,
        };
        Ok(self.carry_out(lease, step).await)
    }

    fn alternative(&self, lease: &mut Box<TaskLease>, disposition: Disposition) -> bool {
        match disposition {
            Disposition::CursorForgets => lease.mistrust_cursors(),
            Disposition::RetryTwice | Disposition::NotFound | Disposition::UnknownRoute => {
                lease.leave_cursor()
            }
            Disposition::Retry
            | Disposition::Unwell(_)
            | Disposition::SlowDown { .. }
            | Disposition::Outage
            | Disposition::KeyRefused
            | Disposition::NotYet
            | Disposition::NotEntitled
            | Disposition::Timeframe => false,
        }
    }

    async fn settle(&self, lease: &mut Box<TaskLease>, refusal: Refusal) -> Result<Step, ManifestError> {
        let step = match refusal.kind {
            RefusalKind::NotYet => PageStep::Defer(refusal.reason),
            RefusalKind::NotEntitled | RefusalKind::Timeframe => self.refused(lease, refusal).await?,
            RefusalKind::KeyRefused => self.end(lease, TaskEvent::Refused, refusal.reason).await?,
            RefusalKind::NotFound | RefusalKind::UnknownRoute => {
                self.end(lease, TaskEvent::Unknown, refusal.reason).await?
            }
            RefusalKind::BadRequest { attempts } | RefusalKind::GivenUp { attempts } => {
                self.give_up(lease, refusal, attempts).await?
            }
        };
        Ok(self.carry_out(lease, step).await)
    }

    async fn settle_suspect(
        &self,
        lease: Box<TaskLease>,
        suspicion: Suspicion,
        reason: String,
    ) -> Result<(), ManifestError> {
        let event = match suspicion {
            Suspicion::Key => TaskEvent::Refused,
            Suspicion::Route => TaskEvent::Unknown,
            Suspicion::Redirect => TaskEvent::GivenUp,
        };
        self.counters.task_ended();
        self.manifest.call(move |writer| writer.end(lease.task.id, event, &reason)).await.map(|_| ())
    }

    async fn postpone(
        &self,
        lease: Box<TaskLease>,
        until: Instant,
        reason: String,
    ) -> Result<Option<Box<TaskLease>>, ManifestError> {
        let (id, failures) = (lease.task.id, lease.attempts.failures());
        self.manifest.call(move |writer| writer.retry(id, failures, &reason)).await?;
        self.queue.park(lease, until).await;
        Ok(None)
    }

    fn rest(lease: &mut Box<TaskLease>) {
        lease.rest();
    }

    async fn release(&self, lease: Box<TaskLease>) -> Result<(), ManifestError> {
        self.give_back(lease.task.id).await
    }

    async fn let_go(&self) {
        self.queue.let_go().await;
    }

    async fn wind_up(&self) -> Result<(), ManifestError> {
        let leftovers = self.queue.leftovers().await;
        for id in leftovers.parked {
            self.give_back(id).await?;
        }
        for (id, reason) in leftovers.deferred {
            self.stop.request(StopReason::NotYet(reason));
            self.give_back(id).await?;
        }
        self.keep_history().await
    }
}

impl<S: Source> TaskJob<S> {
    async fn page(
        &self,
        question: &BarsRequest,
        place: &PagePosition,
        pass: &mut BreakerPass<'_>,
    ) -> Result<BarsPage, FetchError> {
        let answer = self.source.ask(question, place).await?;
        pass.response_arrived();
        self.source.read(question, answer).await
    }

    /// Handles a page that fits its request.
    async fn take_page(&self, lease: &mut TaskLease, page: BarsPage) -> Result<PageStep, ManifestError> {
        lease.barren = barren_pages(lease, &page);
        self.history.saw(page.bars.timestamps().first().copied());
        if self.is_late(lease, &page) {
            self.inquire(lease, HistoryInquiry::new(SearchCause::Late(Box::new(page))));
            return self.open_search(lease).await;
        }
        self.store_page(lease, page, Vec::new()).await
    }

    /// Handles a refusal by the plan: maybe it refuses only some days.
    async fn refused(&self, lease: &mut TaskLease, refusal: Refusal) -> Result<PageStep, ManifestError> {
        let words = refusal.error.plan_words().map(str::to_owned);
        let is_about_time = refusal.kind == RefusalKind::Timeframe;
        if self.refused_by_plan(lease, refusal.reason.clone(), words, is_about_time) {
            self.open_search(lease).await
        } else {
            self.end(lease, TaskEvent::Refused, refusal.reason).await
        }
    }

    /// Gives a task up after all attempts. If only some bars of its page are invalid, the others are stored.
    async fn give_up(
        &self,
        lease: &mut TaskLease,
        refusal: Refusal,
        attempts: u32,
    ) -> Result<PageStep, ManifestError> {
        if let Some(inquiry) = lease.inquiry.take() {
            // Only the request for a single day failed: the response about the page stands.
            return self.conclude(lease, inquiry, SearchConclusion::OtherReason).await;
        }
        if let FetchError::BadBars(mixed) = refusal.error
            && !mixed.good.bars.is_empty()
        {
            self.counters.received(mixed.good.bytes);
            return self.store_page(lease, mixed.good, mixed.bad).await;
        }
        self.end(lease, TaskEvent::GivenUp, format!("{} (requested {attempts} times)", refusal.reason)).await
    }

    /// Stores a page, and its bad bars in the quarantine.
    pub(super) async fn store_page(
        &self,
        lease: &mut TaskLease,
        page: BarsPage,
        bad: Vec<InvalidBar>,
    ) -> Result<PageStep, ManifestError> {
        match self.keep(lease, page, bad).await {
            Ok(step) => Ok(step),
            Err(StorePageError::Manifest(error)) => Err(error),
            // The lease stays, as after a crash: what was finished and what is left over is known only to the disk. The
            // next run finds out.
            Err(StorePageError::Store { error: error @ StoreError::Io { .. }, .. }) => {
                self.stop.request(StopReason::disk(&error, chain(&error)));
                Ok(PageStep::Settled)
            }
            Err(StorePageError::Store { error, written }) => {
                self.manifest.call(move |writer| writer.record(&written)).await?;
                self.end(lease, TaskEvent::GivenUp, chain(&error)).await
            }
        }
    }

    /// Writes the partitions to stable storage, then everything that the page changes in one transaction.
    async fn keep(
        &self,
        lease: &mut TaskLease,
        page: BarsPage,
        bad: Vec<InvalidBar>,
    ) -> Result<PageStep, StorePageError> {
        lease.task.has_quarantine |= !bad.is_empty();
        let finished = calendar::finished_days(lease.task.window, page.as_of_ms);
        let is_finished = finished == Some(lease.task.window);
        let whole = finished.and_then(|finished| whole_days(lease, &page, finished));
        let timestamps = page.bars.timestamps();
        let evidence = Evidence {
            request_id: page.request_id,
            status: page.status,
            bars: timestamps.len() as u64,
            span_ms: timestamps.first().copied().zip(timestamps.last().copied()),
            bytes: page.bytes,
        };
        let goes_on = page.next.is_some();
        let MergedMonths { partitions, revisions, stored } =
            self.merge(lease, page.bars, whole, goes_on).await?;
        let revised = revisions.iter().map(|(_, revision)| revision.bars()).sum();
        let (id, next, last_ms) = (lease.task.id, page.next.clone(), evidence.span_ms.map(|(_, last)| last));
        let commit = PageCommit { evidence, partitions, revisions, bad, next: page.next, is_finished };
        let outcome = self.manifest.call(move |writer| writer.store_page(id, &commit)).await?;
        self.counters.stored(outcome.new_bars, outcome.new_partitions);
        self.counters.revised(revised);
        self.counters.covered(lease.advance(last_ms, next.is_none() && is_finished));
        lease.stored = stored.or(lease.stored.take());
        lease.attempts = Attempts::new();
        let Some(next) = next else {
            if outcome.state == TaskState::Running {
                return Ok(PageStep::Defer(self.unfinished(page.as_of_ms)));
            }
            self.counters.task_ended();
            return Ok(PageStep::Settled);
        };
        lease.followed.insert(next.clone());
        lease.turn_to(next);
        Ok(PageStep::Onward)
    }

    /// The reason why a window is not requested as a whole yet.
    fn unfinished(&self, as_of_ms: i64) -> String {
        let sessions = calendar::last_finished(as_of_ms)
            .map_or_else(|| "sessions".to_owned(), |last| format!("sessions after {}", last.date()));
        let here_ms = self.clock.now_ms();
        let [here, there] = [here_ms, as_of_ms].map(|ms| {
            let at = jiff::Timestamp::from_millisecond(ms / 1000 * 1000);
            at.map(|at| at.to_string()).unwrap_or_default()
        });
        if here_ms - as_of_ms < CLOCKS_DIFFER_MS {
            return format!("{sessions} have not ended yet by the clock of this machine, which says {here}");
        }
        format!(
            "{sessions} have not ended yet by the responses of the server, which are of {there}; the clock of this machine says \
             {here}, and one of the two is wrong"
        )
    }

    /// Merges a page's bars into their months, on stable storage.
    async fn merge(
        &self,
        lease: &mut TaskLease,
        bars: Bars,
        whole: Option<Window>,
        goes_on: bool,
    ) -> Result<MergedMonths, StorePageError> {
        let cuts = page_merge::cut(lease.task.window.months(), bars.timestamps());
        let symbol = lease.task.symbol.clone();
        let before = lease.task.last_ms.and_then(new_york::date_of).map(Month::of);
        let months = cuts.iter().map(|(month, _)| *month).chain(before);
        let recorded = self.recorded(&symbol, months).await?;
        let at_ms = self.clock.now_ms();
        let page = PageBars { symbol, bars, cuts, whole, before, goes_on, at_ms, recorded };
        let merged = page_merge::merge(self.store.clone(), page, lease.stored.take()).await;
        merged.map_err(|MergeFailure { error, written }| StorePageError::Store { error, written })
    }

    /// The recorded digests of these months' partitions.
    async fn recorded(
        &self,
        symbol: &Symbol,
        months: impl Iterator<Item = Month>,
    ) -> Result<HashMap<Month, u64>, ManifestError> {
        let (symbol, months): (_, Vec<_>) = (symbol.clone(), months.collect());
        self.manifest.call(move |writer| writer.digests(&symbol, &months)).await
    }

    pub(super) async fn end(
        &self,
        lease: &mut TaskLease,
        event: TaskEvent,
        reason: String,
    ) -> Result<PageStep, ManifestError> {
        let id = lease.task.id;
        self.manifest.call(move |writer| writer.end(id, event, &reason)).await?;
        self.counters.covered(lease.advance(None, true));
        self.counters.task_ended();
        Ok(PageStep::Settled)
    }

    pub(super) async fn release(&self, id: TaskId) -> Result<PageStep, ManifestError> {
        self.give_back(id).await.map(|()| PageStep::Settled)
    }

    async fn give_back(&self, id: TaskId) -> Result<(), ManifestError> {
        let reason = "the run stopped";
        self.manifest.call(move |writer| writer.end(id, TaskEvent::Released, reason)).await.map(|_| ())
    }
}

/// Pages in a row, including this one, that have no new bar and name another page.
fn barren_pages(lease: &TaskLease, page: &BarsPage) -> u32 {
    let is_ahead = page.bars.timestamps().last().is_some_and(|last| Some(*last) > lease.task.last_ms);
    if is_ahead || page.next.is_none() { 0 } else { lease.barren + 1 }
}

/// Checks that the page can be followed to an end.
fn check_traversal(lease: &TaskLease, page: &BarsPage) -> Result<(), ResponseMismatch> {
    if let Some(next) = page.next.as_ref().filter(|next| lease.followed.contains(next)) {
        return Err(ResponseMismatch::Repeated(next.to_string()));
    }
    let barren = barren_pages(lease, page);
    if barren > MOST_BARREN_PAGES { Err(ResponseMismatch::Endless { pages: barren }) } else { Ok(()) }
}

/// The request for a task's window.
fn question(lease: &TaskLease) -> BarsRequest {
    BarsRequest { symbol: lease.task.symbol.clone(), window: lease.task.window }
}

/// Why a page could not be stored.
enum StorePageError {
    /// A month could not be merged; those before it are on stable storage.
    Store {
        error: StoreError,
        written: Vec<Partition>,
    },
    Manifest(ManifestError),
}

impl From<ManifestError> for StorePageError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

pub(super) fn chain(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The days that are complete once this page is stored: from where the page before ended to where this one ends, as far
/// as they were finished when it was made. A page that is followed by another one may end within a day. After a bad bar
/// no day is claimed any more: the days of the bad bars are not known.
fn whole_days(lease: &TaskLease, page: &BarsPage, finished: Window) -> Option<Window> {
    let window = lease.task.window;
    let from = lease.task.last_ms.and_then(new_york::date_of).unwrap_or(window.from());
    let last = page.bars.timestamps().last().copied().and_then(new_york::date_of);
    let to = if page.next.is_none() { Some(window.to()) } else { last.and_then(|day| day.yesterday().ok()) };
    let to = to.map(|to| to.min(finished.to()));
    to.filter(|_| !lease.task.has_quarantine).and_then(|to| Window::new(from, to))
}
