//! The run: tasks are leased, their pages fetched, stored and recorded, until nothing is owed or something says stop.
//!
//! # Flow
//! `run` starts N workers. Each leases a task from the one queue (`queue`) and traverses it page by page (`worker`):
//! a permit of the pacer, a request, the bars merged into their months on stable storage, then one transaction of the
//! manifest. A task is sequential; tasks run in parallel; two that could touch one partition never do.
//!
//! # Failure
//! An error is a value with a disposition. A page that fails spends an attempt of its task, which is parked and asked
//! again later, while its worker goes on with other tasks. Without a connection everyone waits behind the `line`. When
//! tasks fail one after the other (`health`) or the key is refused (`doubt`), a control question tells whose fault it is;
//! an outage and a bad key spend no attempt and burn no task. What follows from each error is in `trouble`.
//!
//! # A plan's history
//! What a plan serves begins at some day. Whichever task meets that first finds the day out, and all tasks are cut there:
//! `history`.
//!
//! # Errands
//! `market` fetches days of the whole market, as a witness, and `lists` the reference lists: an `errand` each, with the same
//! line, pacer and stopping, but no task.
//!
//! # Files written anew
//! `rewrite` brings all files of a directory into today's form, without a source; [`settle`] clears up after one that died.
//!
//! # Stopping
//! [`Stop`] says once why. Workers then finish the page that they have, give their task back with its cursor, and end.
//! A task whose bars cannot be written is not given back: the next run clears up after it as after a crash.

mod absence;
mod auth_probe;
mod circuit_breaker;
mod entitlement;
mod failure_policy;
mod fetch_job;
mod health;
mod market_days;
mod page_merge;
mod queue;
mod reference_lists;
mod rewrite;
mod run_counters;
mod stop;
mod worker;

pub use absence::{AbsenceAnswer, AbsenceQuestion, SilentListing, ask_about_absences};
pub use entitlement::recheck_history;
pub use fetch_job::JobOutcome;
pub use market_days::{MarketDayTally, fetch_market};
pub use reference_lists::{FetchedLists, WantedLists, fetch_lists};
pub use rewrite::{RewriteError, RewriteJob, RewriteOutcome, settle};
pub use run_counters::{CountersSnapshot, RunCounters};
pub use stop::{Stop, StopReason};

use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;
use grab_model::Rate;
use tokio::task::JoinSet;

use crate::{
    clock::Clock,
    manifest::{ManifestError, WriterHandle},
    pace::{Pacer, Permit, RetryPolicy},
    source::{ControlAnswer, Source},
    store::BarStore,
};
use auth_probe::AuthProbe;
use circuit_breaker::CircuitBreaker;
use entitlement::EntitlementHistory;
use health::SourceHealth;
use queue::TaskQueue;

/// What a run needs besides its source.
pub struct RunContext {
    /// Where bars are written.
    pub store: BarStore,
    /// Where states are written.
    pub manifest: WriterHandle,
    /// Who says when a request may leave.
    pub pacer: Arc<Pacer>,
    /// The rate as it was set: what a learnt pace belongs to.
    pub rate: Rate,
    /// How often a page is asked again.
    pub retry_policy: RetryPolicy,
    /// Requests under way at once.
    pub workers: usize,
    /// Stop cleanly after this many requests.
    pub max_requests: Option<u64>,
    /// Who is asked, by name: what a plan serves belongs to it. None for a source that serves all there is.
    pub service: Option<String>,
    /// What time it is.
    pub clock: Clock,
    /// Jitter.
    pub random: Rng,
    /// Counts what happens, for whoever watches.
    pub counters: Arc<RunCounters>,
    /// Says when to stop, and why.
    pub stop: Stop,
}

/// All that the workers of one run share.
struct Run<S> {
    source: S,
    store: BarStore,
    manifest: WriterHandle,
    pacer: Arc<Pacer>,
    rate: Rate,
    retry_policy: RetryPolicy,
    /// Held while the control question is asked: one answer is enough for all.
    asking: tokio::sync::Mutex<()>,
    max_requests: Option<u64>,
    clock: Clock,
    random: Mutex<Rng>,
    counters: Arc<RunCounters>,
    stop: Stop,
    breaker: CircuitBreaker,
    health: SourceHealth,
    queue: TaskQueue,
    auth_probe: AuthProbe,
    history: EntitlementHistory,
}

impl<S> Run<S> {
    fn jitter(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

/// Waits for the permit of one request and takes it out of the budget. None if the run is to stop, which a spent
/// budget asks for: it is noticed before a permit is waited for, and a request is counted only when it leaves.
async fn may_leave<'a>(
    pacer: &'a Pacer,
    counters: &RunCounters,
    stop: &Stop,
    max_requests: Option<u64>,
) -> Option<Permit<'a>> {
    let permit =
        if counters.is_spent(max_requests) { None } else { stop.unless_requested(pacer.permit()).await };
    if stop.is_requested() {
        return None;
    }
    let permit = permit.filter(|_| counters.take_request(max_requests));
    if permit.is_none() {
        stop.request(StopReason::Requests);
    }
    permit
}

/// Asks the control question, as a request of the run. None if the run is to stop.
pub async fn control<S: Source>(
    source: &S,
    pacer: &Pacer,
    counters: &RunCounters,
    stop: &Stop,
    max_requests: Option<u64>,
) -> Option<ControlAnswer> {
    may_leave(pacer, counters, stop, max_requests).await?;
    stop.unless_requested(source.control()).await
}

/// Works until nothing is owed or the run is stopped. Answers why it was stopped, if it was.
///
/// When it returns, no task is leased any more: each has ended or was given back. Only where disk or manifest fail, some
/// stay leased, as after a crash.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn run<S: Source>(source: S, parts: RunContext) -> Result<Option<StopReason>, ManifestError> {
    let history = EntitlementHistory::load(parts.service, &parts.manifest, parts.clock).await?;
    let run = Arc::new(Run {
        history,
        breaker: CircuitBreaker::new(parts.retry_policy.max_time),
        health: SourceHealth::new(),
        queue: TaskQueue::default(),
        auth_probe: AuthProbe::default(),
        source,
        store: parts.store,
        manifest: parts.manifest,
        pacer: parts.pacer,
        rate: parts.rate,
        asking: tokio::sync::Mutex::default(),
        retry_policy: parts.retry_policy,
        max_requests: parts.max_requests,
        clock: parts.clock,
        random: Mutex::new(parts.random),
        counters: parts.counters,
        stop: parts.stop,
    });
    let mut workers = JoinSet::new();
    for _ in 0..parts.workers {
        let run = Arc::clone(&run);
        workers.spawn(async move { worker::work(&run).await });
    }
    let mut outcome = Ok(());
    while let Some(worker) = workers.join_next().await {
        let ended = match worker {
            Ok(ended) => ended,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        if let Err(error) = ended {
            // The others must not wait for a manifest that cannot write.
            run.stop.request(StopReason::Manifest);
            outcome = outcome.and(Err(error));
        }
    }
    outcome?;
    run.settle_leftovers().await?;
    run.keep_history().await?;
    run.keep_pace().await?;
    Ok(run.stop.reason())
}
