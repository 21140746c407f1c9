//! Stores a page of a task: partitions on stable storage first, then everything that the page changes in one transaction.

use std::collections::HashMap;

use grab_model::{Bars, InvalidBar, Month, Partition, Symbol, Window, calendar, format, new_york};

use super::{PageStep, TaskJob};
use crate::{
    engine::{
        StopReason,
        page_merge::{self, MergeFailure, MergedMonths, PageBars},
        queue::TaskLease,
        request_loop::Attempts,
    },
    manifest::{Evidence, ManifestError, PageCommit, TaskEvent, TaskState},
    source::{BarsPage, Source},
    store::StoreError,
};

/// From this difference on, in ms, two clocks are said to differ.
const CLOCKS_DIFFER_MS: i64 = 60_000;

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

impl<S: Source> TaskJob<S> {
    /// Stores a page, and its bad bars in the quarantine.
    pub(in crate::engine) async fn store_page(
        &self,
        lease: &mut TaskLease,
        page: BarsPage,
        bad: Vec<InvalidBar>,
    ) -> Result<PageStep, ManifestError> {
        match self.record_page(lease, page, bad).await {
            Ok(step) => Ok(step),
            Err(StorePageError::Manifest(error)) => Err(error),
            // The lease stays, as after a crash: what was finished and what is left over is known only to the disk. The
            // next run finds out.
            Err(StorePageError::Store { error: error @ StoreError::Io { .. }, .. }) => {
                self.stop.request(StopReason::disk(&error, format::error_chain(&error)));
                Ok(PageStep::Settled)
            }
            Err(StorePageError::Store { error, written }) => {
                self.manifest.call(move |writer| writer.record(&written)).await?;
                self.end(lease, TaskEvent::GivenUp, format::error_chain(&error)).await
            }
        }
    }

    /// Writes the partitions to stable storage, then everything that the page changes in one transaction.
    async fn record_page(
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
