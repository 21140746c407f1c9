//! Days of the whole market, requested one by one and stored as a witness. Changes no task.

mod tally;

pub use tally::MarketDayTally;

use std::sync::{Mutex, PoisonError};

use grab_model::{calendar, format};
use jiff::civil::Date;
use tokio::task;

use super::{
    RunContext, StopReason,
    question_job::{self, JobOutcome, NextQuestion, QuestionJob},
};
use crate::{
    manifest::{ManifestError, WitnessFile},
    source::{Disposition, FetchError, MarketDay, MarketSource},
    store::StoreError,
};

/// The job; its questions are days.
struct MarketDayJob<S> {
    source: S,
    tally: Mutex<MarketDayTally>,
}

/// Fetches days until none is left or the run is stopped. Each is on stable storage and recorded before it is counted.
/// `served` is the latest stored day: days before it that are refused lie before the plan's history.
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
    let job = question_job::run(MarketDayJob { source, tally }, days, parts).await?;
    Ok(job.tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<S: MarketSource> QuestionJob for MarketDayJob<S> {
    type Source = S;
    type Question = Date;
    type Answer = MarketDay;

    fn source(&self) -> &S {
        &self.source
    }

    fn is_worth_asking(&self, day: &Date) -> bool {
        !self.tally().is_before_history(*day)
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
    ) -> Result<NextQuestion<Date>, ManifestError> {
        if calendar::last_finished(market.as_of_ms).is_none_or(|last| last.date() < *day) {
            // By the server's clock the session is not over, or has not begun: its present data are not the whole day.
            return Ok(NextQuestion::Settled(JobOutcome::NotYet));
        }
        if market.bars.is_empty() {
            // The calendar has a session there. An accepted empty day would explain every absence of that day.
            return Ok(NextQuestion::Settled(JobOutcome::NoRows));
        }
        keep(parts, *day, market).await
    }

    fn alternative(&self, _: &Date, _: Disposition) -> Option<Date> {
        None
    }

    async fn settle(
        &self,
        _: &RunContext,
        day: &Date,
        outcome: JobOutcome,
    ) -> Result<Option<String>, ManifestError> {
        Ok(self.tally().add(*day, outcome))
    }
}

impl<S> MarketDayJob<S> {
    fn tally(&self) -> std::sync::MutexGuard<'_, MarketDayTally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the file to stable storage, then its row.
async fn keep(
    parts: &RunContext,
    date: Date,
    market: MarketDay,
) -> Result<NextQuestion<Date>, ManifestError> {
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
            Ok(NextQuestion::Settled(JobOutcome::Kept))
        }
        Ok(Err(error @ StoreError::Io { .. })) => {
            parts.stop.request(StopReason::disk(&error, format::error_chain(&error)));
            Ok(NextQuestion::Stopped)
        }
        Ok(Err(error)) => Ok(NextQuestion::Settled(JobOutcome::Failed(format::error_chain(&error)))),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
