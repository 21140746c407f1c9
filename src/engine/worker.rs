//! One worker: leases a task, brings it page by page to its end, and takes the next one.

use std::{collections::HashMap, sync::Arc};

use tokio::{task, time::Instant};

use super::{Run, StopReason, line::Ticket, may_leave, queue::Lease};
use crate::{
    manifest::{Evidence, ManifestError, PageCommit, TaskEvent, TaskId},
    model::{BadBar, Bars, Month, Partition, Revision, Symbol, Window, new_york},
    source::{Contradiction, Page, Question, Source},
    store::{Fetched, Held, Merged, StoreError},
};

/// A page may have no new bar and still name another one (polygon-api.md §1), but not for ever.
const MOST_BARREN_PAGES: u32 = 100;

/// What became of a lease after one step of its traversal.
pub(super) enum Step {
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
    while let Some(lease) = run.queue.next(&run.recorder, &run.stop, anything_came).await? {
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
                Step::Defer(reason) => {
                    self.queue.defer(lease.task.id, reason).await;
                    return Ok(());
                }
            }
        }
    }

    /// One request and what follows from it.
    async fn step(&self, lease: &mut Lease) -> Result<Step, ManifestError> {
        let question = question(lease);
        let Some(ticket) = self.stop.unless_requested(self.line.enter(self.jitter())).await else {
            return self.release(lease.task.id).await;
        };
        if !may_leave(&self.pacer, &self.meter, &self.stop, self.max_requests).await {
            return self.release(lease.task.id).await;
        }
        let sent_at = Instant::now();
        if std::mem::replace(&mut lease.is_asked, true) {
            self.meter.retried();
        }
        let answer = tokio::select! {
            answer = self.source.page(&question, &lease.place) => answer,
            () = self.stop.grace_is_over() => return self.release(lease.task.id).await,
        };
        match answer {
            Ok(page) => self.page(lease, &ticket, page, sent_at).await,
            Err(error) => self.failure(lease, &ticket, error, sent_at).await,
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
        self.health.page_came(&question(lease), &lease.place, page.bytes, sent_at);
        self.meter.received(page.bytes);
        if let Some(next) = &page.next
            && lease.followed.contains(next)
        {
            let repeated = Contradiction::Repeated(next.to_string());
            return self.failure(lease, ticket, repeated.into(), sent_at).await;
        }
        let is_ahead = page.bars.timestamps().last().is_some_and(|last| Some(*last) > lease.task.last_ms);
        lease.barren = if is_ahead || page.next.is_none() { 0 } else { lease.barren + 1 };
        if lease.barren > MOST_BARREN_PAGES {
            let endless = Contradiction::Endless { pages: lease.barren };
            return self.failure(lease, ticket, endless.into(), sent_at).await;
        }
        self.store(lease, page, Vec::new()).await
    }

    /// Keeps a page, and its bad bars in the quarantine.
    pub(super) async fn store(
        &self,
        lease: &mut Lease,
        page: Page,
        bad: Vec<BadBar>,
    ) -> Result<Step, ManifestError> {
        match self.keep(lease, page, bad).await {
            Ok(step) => Ok(step),
            Err(KeepError::Manifest(error)) => Err(error),
            // The lease is kept, as by a process that died: what was finished, and what lies about, is known only to
            // the disk. The next run looks it up.
            Err(KeepError::Store { error: error @ StoreError::Io { .. }, .. }) => {
                self.stop.because(StopReason::Disk(chain(&error)));
                Ok(Step::Settled)
            }
            Err(KeepError::Store { error, written }) => {
                self.recorder.call(move |ledger| ledger.record(&written)).await?;
                self.end(lease, TaskEvent::GivenUp, chain(&error)).await
            }
        }
    }

    /// Partitions first, onto stable storage; then one transaction for everything that the page changes.
    async fn keep(&self, lease: &mut Lease, page: Page, bad: Vec<BadBar>) -> Result<Step, KeepError> {
        lease.task.has_quarantine |= !bad.is_empty();
        let whole = whole_days(lease, &page);
        let timestamps = page.bars.timestamps();
        let evidence = Evidence {
            request_id: page.request_id,
            status: page.status,
            bars: timestamps.len() as u64,
            span_ms: timestamps.first().copied().zip(timestamps.last().copied()),
            bytes: page.bytes,
        };
        let Months { partitions, revisions, held } = self.merge(lease, page.bars, whole).await?;
        let revised = revisions.iter().map(|(_, revision)| revision.bars()).sum();
        let (id, next, last_ms) = (lease.task.id, page.next.clone(), evidence.span_ms.map(|(_, last)| last));
        let commit = PageCommit { evidence, partitions, revisions, bad, next: page.next };
        let stored = self.recorder.call(move |ledger| ledger.store_page(id, &commit)).await?;
        self.meter.stored(stored.new_bars, stored.new_partitions);
        self.meter.revised(revised);
        self.meter.covered(lease.advance(last_ms, next.is_none()));
        lease.held = held.or(lease.held.take());
        lease.is_asked = false;
        lease.failures = 0;
        lease.bad_requests = 0;
        lease.failing_since = None;
        lease.refused = None;
        let Some(next) = next else {
            self.meter.task_ended();
            return Ok(Step::Settled);
        };
        lease.followed.insert(next.clone());
        lease.turn_to(next);
        Ok(Step::Onward)
    }

    /// Merges a page's bars into their months.
    async fn merge(&self, lease: &mut Lease, bars: Bars, whole: Option<Window>) -> Result<Months, KeepError> {
        let (store, symbol, at_ms) = (self.store.clone(), lease.task.symbol.clone(), self.clock.now_ms());
        let mut held = lease.held.take();
        let by_month = by_month(lease.task.window.months(), &bars);
        let recorded = self.recorded(&symbol, by_month.iter().map(|(month, _)| *month)).await?;
        let merged = task::spawn_blocking(move || {
            let mut months = Months::default();
            for (month, bars) in by_month {
                let fetched = Fetched { bars, at_ms, whole };
                let known = held.take().filter(|held| held.month == month);
                let check = match recorded.get(&month) {
                    Some(digest) if known.is_none() => store.check_recorded(&symbol, month, *digest),
                    Some(_) | None => Ok(()),
                };
                match check.and_then(|()| store.merge(&symbol, month, fetched, known)) {
                    Ok(merged) => held = Some(months.add(merged, recorded.contains_key(&month))),
                    Err(error) => return Err(KeepError::Store { error, written: months.partitions }),
                }
            }
            Ok(Months { held, ..months })
        });
        match merged.await {
            Ok(merged) => merged,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// The digests of those months' partitions that are recorded.
    async fn recorded(
        &self,
        symbol: &Symbol,
        months: impl Iterator<Item = Month>,
    ) -> Result<HashMap<Month, u64>, ManifestError> {
        let (symbol, months): (_, Vec<_>) = (symbol.clone(), months.collect());
        self.recorder.call(move |ledger| ledger.digests(&symbol, &months)).await
    }

    pub(super) async fn end(
        &self,
        lease: &mut Lease,
        event: TaskEvent,
        reason: String,
    ) -> Result<Step, ManifestError> {
        let id = lease.task.id;
        self.recorder.call(move |ledger| ledger.end(id, event, &reason)).await?;
        self.meter.covered(lease.advance(None, true));
        self.meter.task_ended();
        Ok(Step::Settled)
    }

    pub(super) async fn release(&self, id: TaskId) -> Result<Step, ManifestError> {
        let reason = "the run stopped";
        self.recorder.call(move |ledger| ledger.end(id, TaskEvent::Released, reason)).await?;
        Ok(Step::Settled)
    }
}

/// What a task asks for.
fn question(lease: &Lease) -> Question {
    Question { symbol: lease.task.symbol.clone(), window: lease.task.window }
}

/// What became of a page's bars.
#[derive(Default)]
struct Months {
    /// Those that are new on disk, or not recorded yet.
    partitions: Vec<Partition>,
    /// What has changed in months that were there before.
    revisions: Vec<(Month, Revision)>,
    /// The content of the last one.
    held: Option<Held>,
}

impl Months {
    /// Counts a month in; hands back its content.
    fn add(&mut self, merged: Merged, is_recorded: bool) -> Held {
        let Merged { partition, held, revision, is_written } = merged;
        if !revision.is_empty() {
            self.revisions.push((partition.month, revision));
        }
        if is_written || !is_recorded {
            self.partitions.push(partition);
        }
        held
    }
}

/// Why a page could not be kept.
enum KeepError {
    /// A month could not be merged; those before it are on stable storage.
    Store {
        error: StoreError,
        written: Vec<Partition>,
    },
    Manifest(ManifestError),
}

impl From<ManifestError> for KeepError {
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

/// The days that are whole once this page is stored: from where the page before ended to where this one ends. A page
/// that is followed by another one may end within a day. Once a bar was bad, no day is claimed any more: nobody knows
/// which days the bad ones were to be on.
fn whole_days(lease: &Lease, page: &Page) -> Option<Window> {
    let window = lease.task.window;
    let from = lease.task.last_ms.and_then(new_york::date_of).unwrap_or(window.from());
    let last = page.bars.timestamps().last().copied().and_then(new_york::date_of);
    let to = if page.next.is_none() { Some(window.to()) } else { last.and_then(|day| day.yesterday().ok()) };
    to.filter(|_| !lease.task.has_quarantine).and_then(|to| Window::new(from, to))
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
