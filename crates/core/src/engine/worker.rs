//! One worker: leases a task, brings it page by page to its end, and takes the next one.

use std::{collections::HashMap, sync::Arc};

use grab_model::{Bars, InvalidBar, Month, Partition, Symbol, Window, calendar, new_york};
use tokio::time::Instant;

use super::{
    Run, StopReason,
    circuit_breaker::BreakerPass,
    entitlement::{Ask, HistoryInquiry, SearchCause},
    may_leave,
    page_merge::{self, MergeFailure, MergedMonths, PageBars},
    queue::TaskLease,
};
use crate::{
    manifest::{Evidence, ManifestError, PageCommit, TaskEvent, TaskId, TaskState},
    source::{BarsPage, BarsRequest, Disposition, FetchError, PagePosition, ResponseMismatch, Source},
    store::StoreError,
};

/// A page may have no new bar and still name another one (polygon-api.md §1), but not for ever.
const MOST_BARREN_PAGES: u32 = 100;

/// From so many ms on, two clocks are said to differ.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// What became of a lease after one step of its traversal.
pub(super) enum PageStep {
    /// Go on with the page that the lease now names.
    Onward,
    /// The task has ended, or was given back.
    Settled,
    /// Ask again at this instant.
    Park(Instant),
    /// Not in this run any more: what it asks for is not there yet, for this reason.
    Defer(String),
}

/// Works until the queue has nothing more.
pub(super) async fn work<S: Source>(run: &Arc<Run<S>>) -> Result<(), ManifestError> {
    let anything_came = || run.health.known_good().is_some();
    while let Some(lease) = run.queue.next(&run.manifest, &run.stop, anything_came).await? {
        run.traverse(lease).await?;
    }
    Ok(())
}

impl<S: Source> Run<S> {
    async fn traverse(&self, mut lease: Box<TaskLease>) -> Result<(), ManifestError> {
        loop {
            match self.step(&mut lease).await? {
                PageStep::Onward => {}
                PageStep::Settled => {
                    self.queue.settled().await;
                    return Ok(());
                }
                PageStep::Park(due) => {
                    self.queue.park(lease, due).await;
                    return Ok(());
                }
                PageStep::Defer(reason) => {
                    self.queue.defer(lease.task.id, reason).await;
                    return Ok(());
                }
            }
        }
    }

    /// One request and what follows from it.
    async fn step(&self, lease: &mut TaskLease) -> Result<PageStep, ManifestError> {
        let ask = match self.next_ask(lease).await? {
            Ask::Nothing(step) => return Ok(step),
            ask @ (Ask::Page | Ask::Day(..)) => ask,
        };
        let Some(mut ticket) = self.stop.unless_requested(self.breaker.acquire(self.jitter())).await else {
            return self.release(lease.task.id).await;
        };
        if matches!(ask, Ask::Page) && lease.place == PagePosition::Start && self.is_searching() {
            // It would most likely be refused as well.
            return Ok(PageStep::Onward);
        }
        let Some(permit) = may_leave(&self.pacer, &self.counters, &self.stop, self.max_requests).await else {
            return self.release(lease.task.id).await;
        };
        let sent_at = Instant::now();
        let (question, place) = match &ask {
            Ask::Day(question, _) => (question.clone(), PagePosition::Start),
            Ask::Page | Ask::Nothing(_) => (question(lease), lease.place.clone()),
        };
        if matches!(ask, Ask::Page) && std::mem::replace(&mut lease.is_asked, true) {
            self.counters.retried();
        }
        let page = tokio::select! {
            page = self.ask(&question, &place, &mut ticket) => page,
            () = self.stop.grace_is_over() => return self.release(lease.task.id).await,
        };
        if page.as_ref().is_err_and(|error| error.disposition() == Disposition::Outage) {
            permit.refund();
        }
        match (ask, page) {
            (Ask::Day(_, day), answer) => self.heard(lease, &ticket, day, answer, sent_at).await,
            (Ask::Page | Ask::Nothing(_), Ok(page)) => self.page(lease, &ticket, page, sent_at).await,
            (Ask::Page | Ask::Nothing(_), Err(error)) => self.failure(lease, &ticket, error, sent_at).await,
        }
    }

    async fn ask(
        &self,
        question: &BarsRequest,
        place: &PagePosition,
        ticket: &mut BreakerPass<'_>,
    ) -> Result<BarsPage, FetchError> {
        let answer = self.source.ask(question, place).await?;
        self.breaker.response_arrived(ticket);
        self.source.read(question, answer).await
    }

    /// A page that fits its question.
    async fn page(
        &self,
        lease: &mut TaskLease,
        ticket: &BreakerPass<'_>,
        page: BarsPage,
        sent_at: Instant,
    ) -> Result<PageStep, ManifestError> {
        self.answered(sent_at).await?;
        self.pacer.accepted();
        self.health.page_came(&question(lease), &lease.place, page.bytes, sent_at);
        self.counters.received(page.bytes);
        if let Some(next) = &page.next
            && lease.followed.contains(next)
        {
            let repeated = ResponseMismatch::Repeated(next.to_string());
            return self.failure(lease, ticket, repeated.into(), sent_at).await;
        }
        let is_ahead = page.bars.timestamps().last().is_some_and(|last| Some(*last) > lease.task.last_ms);
        lease.barren = if is_ahead || page.next.is_none() { 0 } else { lease.barren + 1 };
        if lease.barren > MOST_BARREN_PAGES {
            let endless = ResponseMismatch::Endless { pages: lease.barren };
            return self.failure(lease, ticket, endless.into(), sent_at).await;
        }
        self.history.saw(page.bars.timestamps().first().copied());
        if self.is_late(lease, &page) {
            self.inquire(lease, HistoryInquiry::new(SearchCause::Late(Box::new(page))));
            return self.open_search(lease).await;
        }
        self.store(lease, page, Vec::new()).await
    }

    /// Keeps a page, and its bad bars in the quarantine.
    pub(super) async fn store(
        &self,
        lease: &mut TaskLease,
        page: BarsPage,
        bad: Vec<InvalidBar>,
    ) -> Result<PageStep, ManifestError> {
        match self.keep(lease, page, bad).await {
            Ok(step) => Ok(step),
            Err(StorePageError::Manifest(error)) => Err(error),
            // The lease is kept, as by a process that died: what was finished, and what lies about, is known only to
            // the disk. The next run looks it up.
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

    /// Partitions first, onto stable storage; then one transaction for everything that the page changes.
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
        let MergedMonths { partitions, revisions, held } =
            self.merge(lease, page.bars, whole, goes_on).await?;
        let revised = revisions.iter().map(|(_, revision)| revision.bars()).sum();
        let (id, next, last_ms) = (lease.task.id, page.next.clone(), evidence.span_ms.map(|(_, last)| last));
        let commit = PageCommit { evidence, partitions, revisions, bad, next: page.next, is_finished };
        let stored = self.manifest.call(move |writer| writer.store_page(id, &commit)).await?;
        self.counters.stored(stored.new_bars, stored.new_partitions);
        self.counters.revised(revised);
        self.counters.covered(lease.advance(last_ms, next.is_none() && is_finished));
        lease.held = held.or(lease.held.take());
        lease.is_asked = false;
        lease.failures = 0;
        lease.bad_requests = 0;
        lease.failing_since = None;
        lease.refused = None;
        let Some(next) = next else {
            if stored.state == TaskState::Running {
                return Ok(PageStep::Defer(self.unfinished(page.as_of_ms)));
            }
            self.counters.task_ended();
            return Ok(PageStep::Settled);
        };
        lease.followed.insert(next.clone());
        lease.turn_to(next);
        Ok(PageStep::Onward)
    }

    /// Why a window is not asked for as a whole yet.
    fn unfinished(&self, as_of_ms: i64) -> String {
        let sessions = calendar::last_finished(as_of_ms)
            .map_or_else(|| "sessions".to_owned(), |last| format!("sessions after {}", last.date()));
        let here_ms = self.clock.now_ms();
        let [here, there] = [here_ms, as_of_ms].map(|ms| {
            let at = jiff::Timestamp::from_millisecond(ms / 1000 * 1000);
            at.map(|at| at.to_string()).unwrap_or_default()
        });
        if here_ms - as_of_ms < CLOCKS_DIFFER_MS {
            return format!("{sessions} have not been yet by the clock of this machine, which says {here}");
        }
        format!(
            "{sessions} have not been yet by the answers of the server, which are of {there}; the clock of this machine says \
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
        let merged = page_merge::merge(self.store.clone(), page, lease.held.take()).await;
        merged.map_err(|MergeFailure { error, written }| StorePageError::Store { error, written })
    }

    /// The digests of those months' partitions that are recorded.
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
        let reason = "the run stopped";
        self.manifest.call(move |writer| writer.end(id, TaskEvent::Released, reason)).await?;
        Ok(PageStep::Settled)
    }
}

/// What a task asks for.
fn question(lease: &TaskLease) -> BarsRequest {
    BarsRequest { symbol: lease.task.symbol.clone(), window: lease.task.window }
}

/// Why a page could not be kept.
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

/// The days that are whole once this page is stored: from where the page before ended to where this one ends, as far as they
/// were finished when it was made. A page
/// that is followed by another one may end within a day. Once a bar was bad, no day is claimed any more: nobody knows
/// which days the bad ones were to be on.
fn whole_days(lease: &TaskLease, page: &BarsPage, finished: Window) -> Option<Window> {
    let window = lease.task.window;
    let from = lease.task.last_ms.and_then(new_york::date_of).unwrap_or(window.from());
    let last = page.bars.timestamps().last().copied().and_then(new_york::date_of);
    let to = if page.next.is_none() { Some(window.to()) } else { last.and_then(|day| day.yesterday().ok()) };
    let to = to.map(|to| to.min(finished.to()));
    to.filter(|_| !lease.task.has_quarantine).and_then(|to| Window::new(from, to))
}
