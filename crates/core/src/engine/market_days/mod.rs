//! The whole market's days: asked for one by one, kept as a witness. Nothing here touches a task.

mod tally;

pub use tally::MarketDayTally;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use grab_model::calendar;
use jiff::civil::Date;
use tokio::task;

use super::{
    RunContext, StopReason,
    fetch_job::{self, FetchJob, JobOutcome, NextRequest},
    worker,
};
use crate::{
    manifest::{ManifestError, WitnessFile},
    source::{FetchError, MarketDay, MarketSource},
    store::StoreError,
};

/// Days that are wanted, in the order of their worth.
struct MarketDayJob<S> {
    source: S,
    left: Mutex<VecDeque<Date>>,
    tally: Mutex<MarketDayTally>,
}

/// Fetches days until none is left or the run is stopped. Each is on stable storage, and recorded, before it is counted.
/// `served` is the latest day that is kept already: what the plan refuses before it lies before the plan's history.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn fetch_market<S: MarketSource>(
    source: S,
    days: Vec<Date>,
    served: Option<Date>,
    parts: RunContext,
) -> Result<MarketDayTally, ManifestError> {
    let tally = Mutex::new(MarketDayTally::new(served));
    let days = fetch_job::run(MarketDayJob { source, left: Mutex::new(days.into()), tally }, parts).await?;
    Ok(days.tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<S: MarketSource> FetchJob for MarketDayJob<S> {
    type Source = S;
    type Question = Date;
    type Answer = MarketDay;

    fn source(&self) -> &S {
        &self.source
    }

    fn next(&self, parts: &RunContext) -> Option<Date> {
        let mut days = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(day) = days.pop_front() {
            if parts.stop.is_requested() {
                return None;
            }
            if !self.tally().is_before_history(day) {
                return Some(day);
            }
            parts.counters.task_ended();
            parts.counters.covered(1);
        }
        None
    }

    fn name(day: &Date) -> String {
        format!("the market of {day}")
    }

    async fn ask(&self, day: &Date) -> Result<MarketDay, FetchError> {
        self.source.market_day(*day).await
    }

    fn bytes(market: &MarketDay) -> u64 {
        market.bytes
    }

    async fn store(
        &self,
        parts: &RunContext,
        day: &Date,
        market: MarketDay,
    ) -> Result<NextRequest<Date>, ManifestError> {
        if calendar::last_finished(market.as_of_ms).is_none_or(|last| last.date() < *day) {
            // By the server's own word the session goes on, or has not begun: what it has now is not the day.
            return Ok(NextRequest::Settled(JobOutcome::NotYet));
        }
        if market.bars.is_empty() {
            // The calendar has a session there. To believe this would explain every absence of that day away.
            return Ok(NextRequest::Settled(JobOutcome::Nobody));
        }
        keep(parts, *day, market).await
    }

    fn alternative(&self, _: &Date, _: &JobOutcome) -> Option<Date> {
        None
    }

    async fn settle(
        &self,
        _: &RunContext,
        day: Date,
        outcome: JobOutcome,
    ) -> Result<Option<String>, ManifestError> {
        Ok(self.tally().add(day, outcome))
    }
}

impl<S> MarketDayJob<S> {
    fn tally(&self) -> std::sync::MutexGuard<'_, MarketDayTally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file first, onto stable storage; then its row.
async fn keep(parts: &RunContext, date: Date, market: MarketDay) -> Result<NextRequest<Date>, ManifestError> {
    let (store, now_ms) = (parts.store.clone(), parts.clock.now_ms());
    let written = task::spawn_blocking(move || {
        let written = store.keep_market_day(date, &market.bars, now_ms)?;
        Ok::<_, StoreError>(WitnessFile {
            date,
            rows: market.bars.len() as u64,
            skipped: market.skipped,
            bytes: written.bytes,
            xxh3: written.xxh3,
            request_id: market.request_id,
            fetched_at_ms: now_ms,
            source: store.source().to_owned(),
        })
    });
    match written.await {
        Ok(Ok(file)) => {
            parts.counters.stored(file.rows, 1);
            parts.manifest.call(move |writer| writer.save_witness(&file)).await?;
            Ok(NextRequest::Settled(JobOutcome::Kept))
        }
        Ok(Err(error @ StoreError::Io { .. })) => {
            parts.stop.request(StopReason::disk(&error, worker::chain(&error)));
            Ok(NextRequest::Stopped)
        }
        Ok(Err(error)) => Ok(NextRequest::Settled(JobOutcome::Failed(worker::chain(&error)))),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
