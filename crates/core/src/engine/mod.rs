//! The run: tasks are leased, and their pages fetched, stored and recorded, until nothing is outstanding or the run is stopped.
//!
//! # Flow
//! `run` leases tasks from the one queue (`queue`) and traverses each page by page (`task_job`): a request of the one
//! loop (`request_loop`), the merge of the bars into their months on stable storage, then one transaction of the
//! manifest. The pages of a task are sequential; tasks run in parallel; two tasks that could touch one partition never do.
//!
//! # Failure
//! Every request of every job goes through `request_loop`: breaker, pacer, budget, attempts, and one failure policy,
//! whose table is there. A page that fails spends an attempt of its task, which is parked and requested again later,
//! while its worker takes other tasks. An outage and a bad key spend no attempt.
//!
//! # A plan's history
//! What a plan serves begins at some day. The first task that meets this finds the day, and all tasks are cut there:
//! `entitlement`.
//!
//! # Jobs without tasks
//! `market_days` fetches days of the whole market, as a witness, `reference_lists` the reference lists, `absence` what
//! explains absent bars: each is a set of questions (`question_job`) for the same loop. So are the two single questions that
//! may precede tasks: what time it is at the service (`service_time`), and whether the plan serves more than before.
//!
//! # Rewritten files
//! `rewrite` brings all files of a directory into today's form, without a source.
//!
//! # After a crash
//! [`recover`] makes the rows agree with the files, and removes unfinished files.
//!
//! # Stopping
//! [`Stop`] records one reason. Workers then finish their page, give their task back with its cursor, and end. A task
//! whose bars cannot be written is not given back: the next run cleans up after it as after a crash.

mod absence;
mod entitlement;
mod market_days;
#[cfg(test)]
mod outage_tests;
mod page_merge;
mod question_job;
mod queue;
mod recovery;
mod reference_lists;
mod request_loop;
mod rewrite;
mod run_counters;
#[cfg(test)]
mod scripted;
mod service_time;
mod stop;
mod task_job;

pub use absence::{AbsenceAnswer, AbsenceQuestion, SilentListing, ask_about_absences};
pub use entitlement::recheck_history;
pub use market_days::{MarketDayTally, fetch_market};
pub use question_job::JobOutcome;
pub use recovery::{RecoveryError, recover};
pub use reference_lists::{FetchedLists, ReferenceRequests, fetch_lists};
pub use rewrite::{RewriteJob, RewriteOutcome};
pub use run_counters::{CountersSnapshot, RunCounters};
pub use service_time::ask_for_time;
pub use stop::{Stop, StopReason};

use std::sync::Arc;

use fastrand::Rng;
use grab_model::Rate;

use crate::{
    clock::Clock,
    manifest::{ManifestError, WriterHandle},
    pace::{Pacer, Permit, RetryPolicy},
    source::Source,
    store::BarStore,
};
use task_job::TaskJob;

/// Everything that a run needs besides its source.
#[derive(Clone)]
pub struct RunContext {
    /// Writes the bars.
    pub store: BarStore,
    /// Writes the manifest.
    pub manifest: WriterHandle,
    /// Decides when a request may be sent.
    pub pacer: Arc<Pacer>,
    /// The configured rate: a learned pace belongs to it.
    pub rate: Rate,
    /// How often a failed page is requested again.
    pub retry_policy: RetryPolicy,
    /// The number of requests under way at once.
    pub workers: usize,
    /// Stop cleanly after this many requests.
    pub max_requests: Option<u64>,
    /// The name of the service, to which a plan's history belongs. None for a source that serves everything.
    pub service: Option<String>,
    /// The clock.
    pub clock: Clock,
    /// The random numbers for jitter.
    pub random: Rng,
    /// Counts what happens, for display.
    pub counters: Arc<RunCounters>,
    /// Tells when to stop, and why.
    pub stop: Stop,
}

impl RunContext {
    /// Waits for the permit of one request and takes it out of the budget. None if the run is to stop, which a spent
    /// budget causes: that is checked before the wait for a permit, and a request is counted only when it is sent.
    async fn permit(&self) -> Option<Permit<'_>> {
        let Self { pacer, counters, stop, max_requests, .. } = self;
        let permit =
            if counters.is_spent(*max_requests) { None } else { stop.unless_requested(pacer.permit()).await };
        if stop.is_requested() {
            return None;
        }
        let permit = permit.filter(|_| counters.take_request(*max_requests));
        if permit.is_none() {
            stop.request(StopReason::Requests);
        }
        permit
    }
}

/// Works until nothing is outstanding or the run is stopped. Returns why it was stopped, if it was.
///
/// When it returns, no task is leased any more: each has ended or was given back. Only if the disk or the manifest
/// fails, some stay leased, as after a crash.
///
/// # Errors
/// If the manifest can no longer be written.
pub async fn run<S: Source>(source: S, context: RunContext) -> Result<Option<StopReason>, ManifestError> {
    let stop = context.stop.clone();
    let job = TaskJob::new(source, &context).await?;
    request_loop::run(job, context).await?;
    Ok(stop.reason())
}
