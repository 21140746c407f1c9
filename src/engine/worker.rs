//! One worker: leases a task, brings it page by page to its end, and takes the next one.

use std::{sync::Arc, time::Duration};

use tokio::{task, time::Instant};

use super::{
    Run, StopReason,
    line::{Ticket, Verdict},
    queue::Lease,
};
use crate::{
    manifest::{Evidence, ManifestError, PageCommit, TaskEvent, TaskId},
    model::{Bars, Month, Partition},
    source::{Contradiction, Disposition, FetchError, Page, Place, Question, Source},
    store::{Held, StoreError},
};

/// A well-formed request that is refused with 400 is asked again this often.
const RETRIES_OF_A_BAD_REQUEST: u32 = 2;

/// A page may have no bar and still name another one (polygon-api.md §1), but not for ever.
const MOST_BARREN_PAGES: u32 = 100;

/// What became of a lease after one step of its traversal.
enum Step {
    /// Go on with the page that the lease now names.
    Onward,
    /// The task has ended, or was given back.
    Settled,
    /// Ask again at this instant.
    Park(Instant),
}

/// Works until the queue has nothing more.
pub(super) async fn work<S: Source>(run: &Arc<Run<S>>) -> Result<(), ManifestError> {
    while let Some(lease) = run.queue.next(&run.recorder, &run.stop).await? {
        run.traverse(lease).await?;
    }
    Ok(())
}

impl<S: Source> Run<S> {
    async fn traverse(&self, mut lease: Box<Lease>) -> Result<(), ManifestError> {
        loop {
            match self.step(&mut lease).await? {
                Step::Onward => {}
                Step::Settled => {
                    self.queue.settled().await;
                    return Ok(());
                }
                Step::Park(due) => {
                    self.queue.park(lease, due).await;
                    return Ok(());
                }
            }
        }
    }

    /// One request and what follows from it.
    async fn step(&self, lease: &mut Lease) -> Result<Step, ManifestError> {
        let question = Question { symbol: lease.task.symbol.clone(), window: lease.task.window };
        let Some(ticket) = self.stop.unless_requested(self.line.enter(self.jitter())).await else {
            return self.release(lease.task.id).await;
        };
        // A spent budget is noticed before a permit is waited for; a request is counted only when it leaves.
        let permitted = !self.meter.is_spent(self.max_requests)
            && self.stop.unless_requested(self.pacer.permit()).await.is_some();
        if self.stop.is_requested() {
            return self.release(lease.task.id).await;
        }
        if !permitted || !self.meter.take_request(self.max_requests) {
            self.stop.because(StopReason::Requests);
            return self.release(lease.task.id).await;
        }
        if lease.failures > 0 {
            self.meter.retried();
        }
        let sent_at = Instant::now();
        let answer = tokio::select! {
            answer = self.source.page(&question, &lease.place) => answer,
            () = self.stop.grace_is_over() => return self.release(lease.task.id).await,
        };
        match answer {
            Ok(page) => self.page(lease, &ticket, page, sent_at).await,
            Err(error) => self.failure(lease, &ticket, &error, sent_at).await,
        }
    }

    /// A page that fits its question.
    async fn page(
        &self,
        lease: &mut Lease,
        ticket: &Ticket<'_>,
        page: Page,
        sent_at: Instant,
    ) -> Result<Step, ManifestError> {
        self.answered(sent_at).await?;
        self.pacer.let_in();
        self.meter.received(page.bytes);
        if let Some(next) = &page.next
            && lease.followed.contains(next)
        {
            let repeated = Contradiction::Repeated(next.to_string());
            return self.failure(lease, ticket, &repeated.into(), sent_at).await;
        }
        lease.barren = if page.bars.is_empty() && page.next.is_some() { lease.barren + 1 } else { 0 };
        if lease.barren > MOST_BARREN_PAGES {
            let endless = Contradiction::Endless { pages: lease.barren };
            return self.failure(lease, ticket, &endless.into(), sent_at).await;
        }
        match self.keep(lease, page).await {
            Ok(step) => Ok(step),
            Err(KeepError::Manifest(error)) => Err(error),
            Err(KeepError::Store(error @ StoreError::Io { .. })) => {
                self.stop.because(StopReason::Disk(chain(&error)));
                self.release(lease.task.id).await
            }
            Err(KeepError::Store(error)) => self.end(lease, TaskEvent::GivenUp, chain(&error)).await,
        }
    }

    /// Partitions first, onto stable storage; then one transaction for everything that the page changes.
    async fn keep(&self, lease: &mut Lease, page: Page) -> Result<Step, KeepError> {
        let timestamps = page.bars.timestamps();
        let evidence = Evidence {
            request_id: page.request_id,
            status: page.status,
            bars: timestamps.len() as u64,
            span_ms: timestamps.first().copied().zip(timestamps.last().copied()),
            bytes: page.bytes,
        };
        let (partitions, held) = self.merge(lease, page.bars).await?;
        let (id, next, last_ms) = (lease.task.id, page.next.clone(), evidence.span_ms.map(|(_, last)| last));
        let commit = PageCommit { evidence, partitions, next: page.next };
        let stored = self.recorder.call(move |ledger| ledger.store_page(id, &commit)).await?;
        self.meter.stored(stored.new_bars, stored.new_partitions);
        self.meter.covered(lease.advance(last_ms, next.is_none()));
        lease.held = held.or(lease.held.take());
        lease.failures = 0;
        lease.failing_since = None;
        let Some(next) = next else {
            self.meter.task_ended();
            return Ok(Step::Settled);
        };
        lease.followed.insert(next.clone());
        lease.place = Place::At(next);
        Ok(Step::Onward)
    }

    /// Merges a page's bars into their months. Answers the partitions and the last month's content.
    async fn merge(
        &self,
        lease: &mut Lease,
        bars: Bars,
    ) -> Result<(Vec<Partition>, Option<Held>), KeepError> {
        let (store, symbol, fetched_ms) =
            (self.store.clone(), lease.task.symbol.clone(), self.clock.now_ms());
        let (window, held) = (lease.task.window, lease.held.take());
        let merged = task::spawn_blocking(move || {
            let mut partitions = Vec::new();
            let mut held = held;
            for (month, bars) in by_month(window.months(), &bars) {
                let (partition, merged) = store.merge(&symbol, month, bars, fetched_ms, held.take())?;
                partitions.push(partition);
                held = Some(merged);
            }
            Ok((partitions, held))
        });
        match merged.await {
            Ok(merged) => merged.map_err(KeepError::Store),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// No connection: no attempt is spent, the task keeps its lease and waits with everyone else.
    async fn outage(
        &self,
        lease: &Lease,
        ticket: &Ticket<'_>,
        reason: String,
    ) -> Result<Step, ManifestError> {
        match self.line.down(ticket) {
            Verdict::Wait => return Ok(Step::Onward),
            Verdict::Unreachable => self.stop.because(StopReason::Unreachable(reason)),
            Verdict::Lost => self.stop.because(StopReason::ConnectionLost(reason)),
        }
        self.release(lease.task.id).await
    }

    /// A request that brought no page: what is to be done is the error's to say.
    async fn failure(
        &self,
        lease: &mut Lease,
        ticket: &Ticket<'_>,
        error: &FetchError,
        sent_at: Instant,
    ) -> Result<Step, ManifestError> {
        let reason = self.note(lease, error);
        let disposition = error.disposition();
        if disposition == Disposition::UnknownRoute && self.line.is_untried() {
            self.stop.because(StopReason::Unreachable(reason));
            return self.release(lease.task.id).await;
        }
        if !matches!(disposition, Disposition::Outage | Disposition::KeyRefused) {
            self.line.up();
        }
        match disposition {
            Disposition::Outage => self.outage(lease, ticket, reason).await,
            Disposition::Retry => self.retry(lease, reason, Duration::ZERO).await,
            Disposition::SlowDown { retry_after } => {
                let pause = self.pacer.slow_down(retry_after);
                self.retry(lease, reason, pause).await
            }
            Disposition::RetryTwice
                if lease.failures < RETRIES_OF_A_BAD_REQUEST.min(self.retry_policy.max_attempts - 1) =>
            {
                self.retry(lease, reason, Duration::ZERO).await
            }
            Disposition::RetryTwice | Disposition::NotFound | Disposition::UnknownRoute
                if lease.leave_cursor() =>
            {
                Ok(Step::Onward)
            }
            Disposition::RetryTwice => self.give_up(lease, &reason, lease.failures + 1).await,
            Disposition::KeyRefused => self.key_refused(lease, reason).await,
            Disposition::NotEntitled => {
                self.answered(sent_at).await?;
                self.end(lease, TaskEvent::Refused, reason).await
            }
            Disposition::NotFound | Disposition::UnknownRoute => {
                self.answered(sent_at).await?;
                self.end(lease, TaskEvent::Unknown, reason).await
            }
        }
    }

    /// Tells whoever watches what went wrong.
    fn note(&self, lease: &Lease, error: &FetchError) -> String {
        let reason = error.chain();
        tracing::debug!(ticker = %lease.task.symbol, window = %lease.task.window, "{reason}");
        self.meter.trouble(format!("{}: {reason}", lease.task.symbol));
        reason
    }

    /// Parks the task for the policy's pause and `at_least` that long, or gives it up.
    async fn retry(
        &self,
        lease: &mut Lease,
        reason: String,
        at_least: Duration,
    ) -> Result<Step, ManifestError> {
        lease.failures += 1;
        let now = Instant::now();
        let since_first = now - *lease.failing_since.get_or_insert(now);
        let Some(pause) = self.retry_policy.pause(lease.failures, since_first, self.jitter()) else {
            return self.give_up(lease, &reason, lease.failures).await;
        };
        let (id, failures) = (lease.task.id, lease.failures);
        self.recorder.call(move |ledger| ledger.retry(id, failures, &reason)).await?;
        Ok(Step::Park(now + pause.max(at_least)))
    }

    async fn give_up(&self, lease: &mut Lease, reason: &str, asked: u32) -> Result<Step, ManifestError> {
        self.end(lease, TaskEvent::GivenUp, format!("{reason} (asked {asked} times)")).await
    }

    /// Asks the control question, and judges the task or the key by its answer.
    async fn key_refused(&self, lease: &mut Lease, reason: String) -> Result<Step, ManifestError> {
        let control = async {
            self.pacer.permit().await;
            // It is asked beyond the budget too: without it the task could not be judged.
            self.meter.take_request(None);
            self.source.key_is_good().await
        };
        match self.stop.unless_requested(control).await {
            None => return self.release(lease.task.id).await,
            Some(Some(true)) => {
                self.line.up();
                return self.end(lease, TaskEvent::Refused, reason).await;
            }
            Some(Some(false)) => self.stop.because(StopReason::KeyRefused(reason)),
            Some(None) => {
                if self.key.put_aside(lease.task.id, &lease.task.symbol, reason.clone()) {
                    self.stop.because(StopReason::KeyRefused(reason));
                }
                // It keeps its state until somebody can judge it.
                return Ok(Step::Settled);
            }
        }
        self.release(lease.task.id).await
    }

    /// Any answer but a 401 shows that the key is good.
    async fn answered(&self, sent_at: Instant) -> Result<(), ManifestError> {
        self.line.up();
        for suspect in self.key.answered(sent_at) {
            self.meter.task_ended();
            self.recorder
                .call(move |ledger| ledger.end(suspect.task, TaskEvent::Refused, &suspect.reason))
                .await?;
        }
        Ok(())
    }

    async fn end(&self, lease: &mut Lease, event: TaskEvent, reason: String) -> Result<Step, ManifestError> {
        let id = lease.task.id;
        self.recorder.call(move |ledger| ledger.end(id, event, &reason)).await?;
        self.meter.covered(lease.advance(None, true));
        self.meter.task_ended();
        Ok(Step::Settled)
    }

    async fn release(&self, id: TaskId) -> Result<Step, ManifestError> {
        let reason = "the run stopped";
        self.recorder.call(move |ledger| ledger.end(id, TaskEvent::Released, reason)).await?;
        Ok(Step::Settled)
    }

    /// Gives back what still waited when the last worker ended. A suspect that no answer followed says that the key is bad.
    pub(super) async fn settle_leftovers(&self) -> Result<(), ManifestError> {
        for id in self.queue.leftovers().await {
            self.release(id).await?;
        }
        for suspect in self.key.leftovers() {
            self.stop.because(StopReason::KeyRefused(suspect.reason));
            self.release(suspect.task).await?;
        }
        Ok(())
    }
}

/// Why a page could not be kept.
enum KeepError {
    Store(StoreError),
    Manifest(ManifestError),
}

impl From<ManifestError> for KeepError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

fn chain(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Cuts ascending bars at the ends of `months`. Months without bars are left out.
fn by_month(months: impl Iterator<Item = Month>, bars: &Bars) -> Vec<(Month, Bars)> {
    let mut begin = 0;
    let mut cut = Vec::new();
    for month in months {
        let end = bars.timestamps().partition_point(|t| *t < month.end_ms());
        if end > begin {
            cut.push((month, bars.slice(begin..end)));
        }
        begin = end;
    }
    cut
}
