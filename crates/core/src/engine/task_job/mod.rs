//! Tasks as a job of the request loop: each is traversed page by page to its end, and continues at its cursor after a
//! pause, with any worker.

mod page_storage;

use std::sync::Arc;

use jiff::civil::Date;
use tokio::time::Instant;

use super::{
    RunContext, RunCounters, Stop, StopReason,
    entitlement::{Ask, DayAnswer, EntitlementHistory, HistoryInquiry, SearchCause, SearchConclusion},
    queue::{TaskLease, TaskQueue},
    request_loop::{
        AnswerEvidence, Attempts, BreakerPass, FetchJob, NextRequest, Refusal, RefusalKind, Step, Suspicion,
    },
};
use crate::{
    clock::Clock,
    manifest::{ManifestError, TaskEvent, TaskId, WriterHandle},
    source::{BarsPage, BarsRequest, Disposition, FetchError, PagePosition, ResponseMismatch, Source},
    store::BarStore,
};

/// The most pages in a row without a new bar that name another page (polygon-api.md §1).
const MOST_BARREN_PAGES: u32 = 100;

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
