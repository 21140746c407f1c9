//! The whole market's days: asked for one by one, kept as a witness. Nothing here touches a task.
//!
//! N workers take days from one list, in the order in which the caller wants them. A day that fails is asked again by its
//! worker, as often as the policy allows, and is then left without a witness, as is one that the plan does not include.
//! Connection, pace and stopping are those of a run.

mod answers;
mod tally;
mod trouble;

pub use tally::{Outcome, Tally};

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::civil::Date;
use tokio::{
    task::{self, JoinSet},
    time::{Instant, sleep},
};

use super::{
    Parts, StopReason,
    line::{Line, Ticket},
    may_leave, worker,
};
use crate::{
    manifest::{ManifestError, WitnessFile},
    source::{FetchError, Market, MarketDay},
    store::StoreError,
};
use answers::Answers;

/// All that the workers share.
struct Fetching<S> {
    source: S,
    parts: Parts,
    random: Mutex<fastrand::Rng>,
    line: Line,
    days: Mutex<VecDeque<Date>>,
    tally: Mutex<Tally>,
    answers: Answers,
}

/// How often one day was asked in vain.
#[derive(Debug, Default)]
struct Tries {
    failures: u32,
    bad_requests: u32,
    failing_since: Option<Instant>,
    /// Answers that anybody had when it was last refused as one request too many.
    refused_at: Option<u64>,
    is_asked: bool,
}

/// What follows from one request.
enum Next {
    /// Ask again after a pause.
    Again(Duration),
    /// The day is settled.
    Settled(Outcome),
    /// The run is to stop.
    Stopped,
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
    let fetching = Arc::new(Fetching {
        source,
        random: Mutex::new(parts.random.clone()),
        line: Line::new(parts.retry_policy.max_time),
        days: Mutex::new(days.into()),
        tally: Mutex::new(Tally::new(served)),
        answers: Answers::new(),
        parts,
    });
    let mut workers = JoinSet::new();
    for _ in 0..fetching.parts.workers {
        let fetching = Arc::clone(&fetching);
        workers.spawn(async move { fetching.work().await });
    }
    let mut outcome = Ok(());
    while let Some(worker) = workers.join_next().await {
        let ended = match worker {
            Ok(ended) => ended,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        if let Err(error) = ended {
            fetching.parts.stop.because(StopReason::Manifest);
            outcome = outcome.and(Err(error));
        }
    }
    outcome?;
    fetching.keep_pace().await?;
    Ok(fetching.tally().clone())
}

impl<S: Market> Fetching<S> {
    async fn work(&self) -> Result<(), ManifestError> {
        while let Some(day) = self.next_day() {
            let Some(outcome) = self.ask(day).await? else { break };
            self.parts.meter.task_ended();
            self.parts.meter.covered(1);
            if let Some(reason) = self.tally().add(day, outcome) {
                self.parts.stop.because(StopReason::SourceLost(reason));
            }
        }
        Ok(())
    }

    /// The next day that is worth a request; none if the run is to stop.
    fn next_day(&self) -> Option<Date> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(day) = days.pop_front() {
            if self.parts.stop.is_requested() {
                return None;
            }
            if !self.tally().is_before_history(day) {
                return Some(day);
            }
            self.parts.meter.task_ended();
            self.parts.meter.covered(1);
        }
        None
    }

    /// Asks for a day until that is settled. None if the run is to stop first.
    async fn ask(&self, day: Date) -> Result<Option<Outcome>, ManifestError> {
        let Parts { stop, meter, pacer, max_requests, .. } = &self.parts;
        let mut tries = Tries::default();
        loop {
            let Some(ticket) = stop.unless_requested(self.line.enter(self.jitter())).await else {
                return Ok(None);
            };
            if !may_leave(pacer, meter, stop, *max_requests).await {
                return Ok(None);
            }
            if std::mem::replace(&mut tries.is_asked, true) {
                meter.retried();
            }
            let answer = tokio::select! {
                answer = self.source.market_day(day) => answer,
                () = stop.grace_is_over() => return Ok(None),
            };
            match self.judge(day, answer, &ticket, &mut tries).await? {
                Next::Settled(outcome) => return Ok(Some(outcome)),
                Next::Stopped => return Ok(None),
                Next::Again(pause) => {
                    drop(ticket);
                    // If the run is to stop meanwhile, the next round notices it.
                    stop.unless_requested(sleep(pause)).await;
                }
            }
        }
    }

    async fn judge(
        &self,
        day: Date,
        answer: Result<MarketDay, FetchError>,
        ticket: &Ticket<'_>,
        tries: &mut Tries,
    ) -> Result<Next, ManifestError> {
        let market = match answer {
            Ok(market) => market,
            Err(error) => return Ok(self.failure(day, error, ticket, tries).await),
        };
        self.line.up();
        self.answers.came();
        self.parts.pacer.let_in();
        self.parts.meter.received(market.bytes);
        if market.bars.is_empty() {
            // The calendar has a session there. To believe this would explain every absence of that day away.
            return Ok(Next::Settled(Outcome::Nobody));
        }
        self.keep(day, market).await
    }

    /// The file first, onto stable storage; then its row.
    async fn keep(&self, date: Date, market: MarketDay) -> Result<Next, ManifestError> {
        let (store, now_ms) = (self.parts.store.clone(), self.parts.clock.now_ms());
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
                self.parts.meter.stored(file.rows, 1);
                self.parts.recorder.call(move |ledger| ledger.keep_witness(&file)).await?;
                Ok(Next::Settled(Outcome::Kept))
            }
            Ok(Err(error @ StoreError::Io { .. })) => {
                self.parts.stop.because(StopReason::Disk(worker::chain(&error)));
                Ok(Next::Stopped)
            }
            Ok(Err(error)) => Ok(Next::Settled(Outcome::Failed(worker::chain(&error)))),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Keeps the pace for the next run, if it is slower than the one that was set.
    async fn keep_pace(&self) -> Result<(), ManifestError> {
        let rate = self.parts.rate.to_string();
        let pace = self.parts.pacer.learnt().map(|pace| (pace.per_second, pace.refused));
        self.parts.recorder.call(move |ledger| ledger.keep_pace(&rate, pace)).await
    }

    fn jitter(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
