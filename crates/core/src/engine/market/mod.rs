//! The whole market's days: asked for one by one, kept as a witness. Nothing here touches a task.

mod tally;

pub use tally::Tally;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use grab_model::calendar;
use jiff::civil::Date;
use tokio::task;

use super::{
    Parts, StopReason,
    errand::{self, Errand, Next, Outcome},
    worker,
};
use crate::{
    manifest::{ManifestError, WitnessFile},
    source::{FetchError, Market, MarketDay},
    store::StoreError,
};

/// Days that are wanted, in the order of their worth.
struct Days<S> {
    source: S,
    left: Mutex<VecDeque<Date>>,
    tally: Mutex<Tally>,
}

/// Fetches days until none is left or the run is stopped. Each is on stable storage, and recorded, before it is counted.
/// `served` is the latest day that is kept already: what the plan refuses before it lies before the plan's history.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn fetch_market<S: Market>(
    source: S,
    days: Vec<Date>,
    served: Option<Date>,
    parts: Parts,
) -> Result<Tally, ManifestError> {
    let tally = Mutex::new(Tally::new(served));
    let days = errand::run(Days { source, left: Mutex::new(days.into()), tally }, parts).await?;
    Ok(days.tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<S: Market> Errand for Days<S> {
    type Source = S;
    type Question = Date;
    type Answer = MarketDay;

    fn source(&self) -> &S {
        &self.source
    }

    fn next(&self, parts: &Parts) -> Option<Date> {
        let mut days = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(day) = days.pop_front() {
            if parts.stop.is_requested() {
                return None;
            }
            if !self.tally().is_before_history(day) {
                return Some(day);
            }
            parts.meter.task_ended();
            parts.meter.covered(1);
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

    async fn keep(&self, parts: &Parts, day: &Date, market: MarketDay) -> Result<Next<Date>, ManifestError> {
        if calendar::last_finished(market.as_of_ms).is_none_or(|last| last.date() < *day) {
            // By the server's own word the session goes on, or has not begun: what it has now is not the day.
            return Ok(Next::Settled(Outcome::NotYet));
        }
        if market.bars.is_empty() {
            // The calendar has a session there. To believe this would explain every absence of that day away.
            return Ok(Next::Settled(Outcome::Nobody));
        }
        keep(parts, *day, market).await
    }

    fn instead(&self, _: &Date, _: &Outcome) -> Option<Date> {
        None
    }

    async fn settle(&self, _: &Parts, day: Date, outcome: Outcome) -> Result<Option<String>, ManifestError> {
        Ok(self.tally().add(day, outcome))
    }
}

impl<S> Days<S> {
    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file first, onto stable storage; then its row.
async fn keep(parts: &Parts, date: Date, market: MarketDay) -> Result<Next<Date>, ManifestError> {
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
            parts.meter.stored(file.rows, 1);
            parts.recorder.call(move |ledger| ledger.keep_witness(&file)).await?;
            Ok(Next::Settled(Outcome::Kept))
        }
        Ok(Err(error @ StoreError::Io { .. })) => {
            parts.stop.because(StopReason::disk(&error, worker::chain(&error)));
            Ok(Next::Stopped)
        }
        Ok(Err(error)) => Ok(Next::Settled(Outcome::Failed(worker::chain(&error)))),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
