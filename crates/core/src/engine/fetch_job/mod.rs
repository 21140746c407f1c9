//! Questions that are no task: each is asked until it is settled, and its answer kept as soon as it is there.
//!
//! N workers take questions from one errand, in the order in which it has them. A question that fails is asked again by its
//! worker, as often as the policy allows, and is then given up. An answer may lead to a further question, as a page does to
//! the next one: its worker goes on with that. Connection, pace and stopping are those of a run. The market's days and the
//! reference lists are fetched like this.

mod failure_policy;
mod last_answer;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    RunContext, StopReason,
    circuit_breaker::{BreakerPass, CircuitBreaker},
    may_leave,
};
use crate::{
    manifest::ManifestError,
    source::{Disposition, FetchError, Source},
};
use last_answer::LastAnswer;

/// A set of questions, and what becomes of their answers.
pub(super) trait FetchJob: Send + Sync + 'static {
    /// Who is asked.
    type Source: Source;
    /// What is asked.
    type Question: Send + Sync;
    /// What is answered.
    type Answer: Send;

    /// Who is asked.
    fn source(&self) -> &Self::Source;

    /// The next question that is worth a request; none if there is no other.
    fn next(&self, parts: &RunContext) -> Option<Self::Question>;

    /// A question in a few words, for logs and progress.
    fn name(question: &Self::Question) -> String;

    /// Asks once.
    fn ask(&self, question: &Self::Question)
    -> impl Future<Output = Result<Self::Answer, FetchError>> + Send;

    /// Bytes of an answer on the wire.
    fn bytes(answer: &Self::Answer) -> u64;

    /// Keeps an answer on stable storage.
    fn store(
        &self,
        parts: &RunContext,
        question: &Self::Question,
        answer: Self::Answer,
    ) -> impl Future<Output = Result<NextRequest<Self::Question>, ManifestError>> + Send;

    /// What to ask in place of a question that is refused; none if there is nothing else.
    fn alternative(&self, question: &Self::Question, refusal: &JobOutcome) -> Option<Self::Question>;

    /// Counts a question that is settled. Answers why nothing else is worth a request, if that is so.
    fn settle(
        &self,
        parts: &RunContext,
        question: Self::Question,
        outcome: JobOutcome,
    ) -> impl Future<Output = Result<Option<String>, ManifestError>> + Send;
}

/// What became of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Its answer is kept.
    Kept,
    /// The plan does not include it.
    NotEntitled,
    /// It is not served yet.
    NotYet,
    /// The source does not know it.
    NotFound,
    /// The source has no such route.
    UnknownRoute,
    /// The answer says that there is nothing where there must be something.
    Nobody,
    /// A well-formed request is refused.
    Refused(String),
    /// It was given up, for this reason.
    Failed(String),
}

/// What follows from one request.
pub(super) enum NextRequest<Q> {
    /// Ask again after a pause.
    Again(Duration),
    /// Ask this, which follows from the answer.
    Further(Q),
    /// The question is settled.
    Settled(JobOutcome),
    /// The run is to stop.
    Stopped,
}

/// All that the workers share.
struct JobRun<E> {
    job: E,
    context: RunContext,
    random: Mutex<fastrand::Rng>,
    breaker: CircuitBreaker,
    last_answer: LastAnswer,
}

/// How often one question was asked in vain.
#[derive(Debug, Default)]
struct FailedAttempts {
    failures: u32,
    bad_requests: u32,
    failing_since: Option<Instant>,
    /// Answers that anybody had when it was last refused as one request too many.
    refused_at: Option<u64>,
    is_asked: bool,
}

/// Asks until no question is left or the run is stopped.
///
/// # Errors
/// If the manifest can no longer be written.
pub(super) async fn run<E: FetchJob>(errand: E, parts: RunContext) -> Result<E, ManifestError> {
    let fetching = Arc::new(JobRun {
        job: errand,
        random: Mutex::new(parts.random.clone()),
        breaker: CircuitBreaker::new(parts.retry_policy.max_time),
        last_answer: LastAnswer::new(),
        context: parts,
    });
    let mut workers = JoinSet::new();
    for _ in 0..fetching.context.workers {
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
            fetching.context.stop.request(StopReason::Manifest);
            outcome = outcome.and(Err(error));
        }
    }
    outcome?;
    fetching.keep_pace().await?;
    // Every worker has ended: nobody else holds it.
    Arc::into_inner(fetching).map(|fetching| fetching.job).ok_or(ManifestError::Stopped)
}

impl<E: FetchJob> JobRun<E> {
    async fn work(&self) -> Result<(), ManifestError> {
        while let Some(mut question) = self.job.next(&self.context) {
            let Some(outcome) = self.settled(&mut question).await? else { break };
            self.context.counters.task_ended();
            self.context.counters.covered(1);
            if let Some(reason) = self.job.settle(&self.context, question, outcome).await? {
                self.context.stop.request(StopReason::SourceLost(reason));
            }
        }
        Ok(())
    }

    /// Asks until a question is settled, and all that follow from it. None if the run is to stop first.
    async fn settled(&self, question: &mut E::Question) -> Result<Option<JobOutcome>, ManifestError> {
        let RunContext { stop, counters, pacer, max_requests, .. } = &self.context;
        let mut tries = FailedAttempts::default();
        loop {
            let Some(ticket) = stop.unless_requested(self.breaker.acquire(self.jitter())).await else {
                return Ok(None);
            };
            let Some(permit) = may_leave(pacer, counters, stop, *max_requests).await else {
                return Ok(None);
            };
            if std::mem::replace(&mut tries.is_asked, true) {
                counters.retried();
            }
            let answer = tokio::select! {
                answer = self.job.ask(question) => answer,
                () = stop.grace_is_over() => return Ok(None),
            };
            if answer.as_ref().is_err_and(|error| error.disposition() == Disposition::Outage) {
                permit.refund();
            }
            match self.judge(question, answer, &ticket, &mut tries).await? {
                NextRequest::Settled(outcome) => match self.job.alternative(question, &outcome) {
                    Some(other) => (*question, tries) = (other, FailedAttempts::default()),
                    None => return Ok(Some(outcome)),
                },
                NextRequest::Further(further) => (*question, tries) = (further, FailedAttempts::default()),
                NextRequest::Stopped => return Ok(None),
                NextRequest::Again(pause) => {
                    drop(ticket);
                    // If the run is to stop meanwhile, the next round notices it.
                    stop.unless_requested(sleep(pause)).await;
                }
            }
        }
    }

    async fn judge(
        &self,
        question: &E::Question,
        answer: Result<E::Answer, FetchError>,
        ticket: &BreakerPass<'_>,
        tries: &mut FailedAttempts,
    ) -> Result<NextRequest<E::Question>, ManifestError> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(self.failure(question, error, ticket, tries).await),
        };
        self.breaker.success();
        self.last_answer.came();
        self.context.pacer.accepted();
        self.context.counters.received(E::bytes(&answer));
        self.job.store(&self.context, question, answer).await
    }

    /// Keeps the pace for the next run, if it is slower than the one that was set.
    async fn keep_pace(&self) -> Result<(), ManifestError> {
        let rate = self.context.rate.to_string();
        let pace = self.context.pacer.learned().map(|pace| (pace.per_second, pace.refused));
        self.context.manifest.call(move |writer| writer.save_pace(&rate, pace)).await
    }

    fn jitter(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}
