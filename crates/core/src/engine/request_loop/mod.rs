//! The one loop of all requests: which may be sent, and what follows from their responses and failures.
//!
//! # Flow
//! N workers take items from a [`FetchJob`]. For each item a worker repeats these steps until the item is settled or parked:
//!
//! 1. The job says what to request (or that there is nothing to request).
//! 2. The circuit breaker lets the request pass: at once while it is closed, else as the only probe and after a pause.
//! 3. The worker waits for the pacer's permit and takes the request out of the budget. A spent budget stops the run.
//! 4. The request is sent. A run that is to stop gives it five seconds.
//! 5. An answer closes the breaker, clears suspicions and counts for pace and health; the job stores it.
//! 6. A failure goes to the failure policy, whose verdict is carried out: see the table below.
//!
//! A job is a set of tasks ([`super::task_job`]) or of single questions ([`super::question_job`]: reference lists with
//! lookups, market days, questions about absences). It says how to send, how to store an answer, what a refusal means
//! for an item, and whether a request that is to be repeated is parked, so that its worker takes another item, or
//! awaited by its worker.
//!
//! # What follows from a failure
//! | disposition | breaker | attempt | what happens |
//! | --- | --- | --- | --- |
//! | `Outage` | opens | none | the permit is refunded; all wait behind one probe. The run stops after three failures before anything was reached (`Unreachable`), or when the connection has been gone for the policy's time (`SourceLost`) |
//! | `Unwell` | closes if nothing was reached yet | one, if it is the item's own fault | while other requests are answered, sent again after a pause, or given up. If eight items fail in a row, the breaker is open, or this would be the last attempt, a request that was answered before is repeated, or else the control request is sent. If that fails too, all are concerned: as `Outage`. If it is answered, an item that failed while the breaker was open is sent once more before it spends an attempt |
//! | `Unwell(Redirect)`, `UnknownRoute` before anything was reached | stays | none | the control request shows whether this is the service at all. If it does not, the item is put on hold: another answer settles it; twenty subjects, or nothing else to request, stop the run (`Unreachable`) |
//! | `SlowDown` | closes | one, if only this item is refused or most others are let in | all pause and the pace is lowered. If this would be the last attempt: as `Unwell`, and it is sent once more first, because the pause may have ended the trouble. The run stops if nothing comes for the policy's time (`SourceLost`) |
//! | `Retry` | closes | one | sent again after a pause, or given up |
//! | `CursorForgets` | closes | none, if there is an alternative | uses the alternative, else as `Retry` |
//! | `RetryTwice` | stays, or closes if nothing was reached yet | one | sent again twice at most. If this would be the last attempt, or the breaker is open, and no other request was answered since: the control request as for `Unwell`. If that fails too, all are concerned: as `Outage`. If it is answered: the alternative, else given up |
//! | `KeyRefused` | stays | none | the control request decides: if the key is good, the item is settled as refused; if it is refused, the run stops (`KeyRefused`); else the item is put on hold as above |
//! | `UnknownRoute` | closes, if other requests are answered | none | if no other request was answered since: the control request as for `RetryTwice`. Then the alternative, else settled as the source says |
//! | `NotFound` | closes | none | the alternative, else settled as the source says; the eighth in a row as `UnknownRoute` |
//! | `NotEntitled`, `Timeframe` | closes | none | the alternative, else settled as the source says |
//! | `NotYet` | closes | none | settled for this run |

mod attempts;
mod auth_probe;
mod circuit_breaker;
mod failure_policy;
mod health;
#[cfg(test)]
mod tests;

pub(super) use attempts::Attempts;
pub(super) use auth_probe::Suspicion;
pub(super) use circuit_breaker::BreakerPass;
pub(super) use failure_policy::{Refusal, RefusalKind};

use std::{
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use fastrand::Rng;
use tokio::{task::JoinSet, time::Instant};

use super::{RunContext, StopReason};
use crate::{
    manifest::ManifestError,
    source::{Disposition, FetchError, Source},
};
use auth_probe::AuthProbe;
use circuit_breaker::CircuitBreaker;
use failure_policy::Verdict;
use health::SourceHealth;

/// A set of items to fetch, and what to do with their answers.
pub(super) trait FetchJob: Send + Sync + 'static {
    /// The type of the source.
    type Source: Source;
    /// What a worker holds until it is settled.
    type Item: Send + Sync;
    /// Identifies an item.
    type Id: Copy + Eq + Hash + Send + Sync;
    /// What is sent.
    type Request: Clone + Send + Sync;
    /// What comes back.
    type Answer: Send;

    /// The source of the job.
    fn source(&self) -> &Self::Source;

    /// Waits for the next item. None if there is no other, or the run is to stop. `anything_came` tells whether any
    /// request was answered yet.
    fn next(
        &self,
        anything_came: &(impl Fn() -> bool + Send + Sync),
    ) -> impl Future<Output = Result<Option<Self::Item>, ManifestError>> + Send;

    /// Identifies this item.
    fn id(item: &Self::Item) -> Self::Id;

    /// What an item is about, in a few words.
    fn subject(item: &Self::Item) -> String;

    /// The attempts at an item's request.
    fn attempts(item: &mut Self::Item) -> &mut Attempts;

    /// The number of items that are not settled, including those in hand.
    fn outstanding(&self) -> impl Future<Output = Result<u64, ManifestError>> + Send;

    /// What to request next for an item.
    fn request(
        &self,
        item: &mut Self::Item,
    ) -> impl Future<Output = Result<NextRequest<Self::Request>, ManifestError>> + Send;

    /// Whether the request is still wanted, now that the breaker has let it pass.
    fn is_still_wanted(&self, item: &Self::Item, request: &Self::Request) -> bool;

    /// Records that the request is sent. Returns whether it was sent before.
    fn note_sent(item: &mut Self::Item, request: &Self::Request) -> bool;

    /// Sends a request and reads its answer.
    fn send(
        &self,
        item: &Self::Item,
        request: &Self::Request,
        pass: &mut BreakerPass<'_>,
    ) -> impl Future<Output = Result<Self::Answer, FetchError>> + Send;

    /// Repeats a request that was answered before: only whether it is answered now counts.
    fn send_again(&self, request: &Self::Request) -> impl Future<Output = Result<(), FetchError>> + Send;

    /// What an answer proves.
    fn evidence(answer: &Self::Answer) -> AnswerEvidence;

    /// Writes an answer to stable storage, and decides what follows.
    fn store(
        &self,
        item: &mut Self::Item,
        answer: Self::Answer,
    ) -> impl Future<Output = Result<Step, ManifestError>> + Send;

    /// Switches an item to an alternative to a request that fails like this. False if there is no alternative.
    fn alternative(&self, item: &mut Self::Item, disposition: Disposition) -> bool;

    /// Settles an item that is refused or given up.
    fn settle(
        &self,
        item: &mut Self::Item,
        refusal: Refusal,
    ) -> impl Future<Output = Result<Step, ManifestError>> + Send;

    /// Settles an item that was put on hold: key and address are good, so the refusal is about the item.
    fn settle_suspect(
        &self,
        item: Self::Item,
        suspicion: Suspicion,
        reason: String,
    ) -> impl Future<Output = Result<(), ManifestError>> + Send;

    /// Delays an item until an instant, and then returns it. None if any free worker continues with it.
    fn postpone(
        &self,
        item: Self::Item,
        until: Instant,
        reason: String,
    ) -> impl Future<Output = Result<Option<Self::Item>, ManifestError>> + Send;

    /// Drops what an item on hold must not hold.
    fn rest(item: &mut Self::Item);

    /// Gives an item back: the run is to stop.
    fn release(&self, item: Self::Item) -> impl Future<Output = Result<(), ManifestError>> + Send;

    /// Records that a worker no longer has an item in hand.
    fn let_go(&self) -> impl Future<Output = ()> + Send;

    /// Gives back all waiting items when the last worker has ended.
    fn wind_up(&self) -> impl Future<Output = Result<(), ManifestError>> + Send;
}

/// What to request next for an item.
pub(super) enum NextRequest<R> {
    /// This request.
    Send(R),
    /// No request; this is the result for the item.
    Nothing(Step),
}

/// The state of an item after one step of its job.
pub(super) enum Step {
    /// It goes on.
    Onward,
    /// It is settled, or was given back.
    Settled,
}

/// What an answer proves besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerEvidence {
    /// Its request is good for repeating; the answer has this many bytes.
    GoodQuestion(u64),
    /// The source is there; the answer has this many bytes.
    SourceIsThere(u64),
    /// Key and address are good, and no more.
    KeyIsGood,
}

/// What the workers of one job share.
pub(super) struct RequestLoop<J: FetchJob> {
    job: J,
    context: RunContext,
    random: Mutex<Rng>,
    breaker: CircuitBreaker,
    health: SourceHealth<J::Id, J::Request>,
    auth_probe: AuthProbe<J::Item>,
    /// Held while the control request is sent: one response is enough for all.
    asking: tokio::sync::Mutex<()>,
}

/// The state of an item after one round.
enum Progress {
    Onward,
    Settled,
    Postponed { until: Instant, reason: String },
    Suspect { suspicion: Suspicion, reason: String },
    Stopped,
}

impl From<Step> for Progress {
    fn from(step: Step) -> Self {
        match step {
            Step::Onward => Self::Onward,
            Step::Settled => Self::Settled,
        }
    }
}

/// Works until the job has nothing more or the run is to stop. Then no worker has an item in hand.
///
/// # Errors
/// If the manifest can no longer be written.
pub(super) async fn run<J: FetchJob>(job: J, context: RunContext) -> Result<J, ManifestError> {
    let shared = Arc::new(RequestLoop::new(job, context));
    let mut workers = JoinSet::new();
    for _ in 0..shared.context.workers {
        let shared = Arc::clone(&shared);
        workers.spawn(async move { shared.work().await });
    }
    let mut outcome = Ok(());
    while let Some(worker) = workers.join_next().await {
        let ended = match worker {
            Ok(ended) => ended,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        if let Err(error) = ended {
            // The others must not wait for a manifest that cannot write.
            shared.context.stop.request(StopReason::Manifest);
            outcome = outcome.and(Err(error));
        }
    }
    outcome?;
    shared.wind_up().await?;
    // Every worker has ended: this is the only owner.
    Arc::into_inner(shared).map(|shared| shared.job).ok_or(ManifestError::Stopped)
}

impl<J: FetchJob> RequestLoop<J> {
    fn new(job: J, context: RunContext) -> Self {
        Self {
            job,
            random: Mutex::new(context.random.clone()),
            breaker: CircuitBreaker::new(context.retry_policy.max_time),
            health: SourceHealth::new(),
            auth_probe: AuthProbe::new(),
            asking: tokio::sync::Mutex::default(),
            context,
        }
    }

    async fn work(&self) -> Result<(), ManifestError> {
        let anything_came = || self.health.has_known_good();
        while let Some(item) = self.job.next(&anything_came).await? {
            self.fetch(item).await?;
        }
        Ok(())
    }

    /// Repeats rounds until an item is no longer in hand.
    async fn fetch(&self, mut item: J::Item) -> Result<(), ManifestError> {
        loop {
            match self.round(&mut item).await? {
                Progress::Onward => {}
                Progress::Settled => break,
                Progress::Postponed { until, reason } => {
                    match self.job.postpone(item, until, reason).await? {
                        Some(again) => item = again,
                        None => return Ok(()),
                    }
                }
                Progress::Suspect { suspicion, reason } => {
                    self.suspend(item, suspicion, reason);
                    break;
                }
                Progress::Stopped => {
                    self.job.release(item).await?;
                    break;
                }
            }
        }
        self.job.let_go().await;
        Ok(())
    }

    /// Sends one request and carries out what follows.
    async fn round(&self, item: &mut J::Item) -> Result<Progress, ManifestError> {
        let request = match self.job.request(item).await? {
            NextRequest::Send(request) => request,
            NextRequest::Nothing(step) => return Ok(step.into()),
        };
        let RunContext { stop, counters, .. } = &self.context;
        let Some(mut pass) = stop.unless_requested(self.breaker.acquire(self.jitter())).await else {
            return Ok(Progress::Stopped);
        };
        if !self.job.is_still_wanted(item, &request) {
            return Ok(Progress::Onward);
        }
        let Some(permit) = self.context.permit().await else { return Ok(Progress::Stopped) };
        let sent_at = Instant::now();
        if J::note_sent(item, &request) {
            counters.retried();
        }
        let answer = tokio::select! {
            answer = self.job.send(item, &request, &mut pass) => answer,
            () = stop.grace_is_over() => return Ok(Progress::Stopped),
        };
        match answer {
            Ok(answer) => self.take(item, &request, answer, sent_at).await,
            Err(error) => {
                let verdict = self.judge(item, &pass, permit, error, sent_at).await?;
                self.carry_out(item, verdict, sent_at).await
            }
        }
    }

    /// Handles an answer that fits its request.
    async fn take(
        &self,
        item: &mut J::Item,
        request: &J::Request,
        answer: J::Answer,
        sent_at: Instant,
    ) -> Result<Progress, ManifestError> {
        let RunContext { pacer, counters, .. } = &self.context;
        self.answered(sent_at).await?;
        match J::evidence(&answer) {
            AnswerEvidence::GoodQuestion(bytes) => {
                pacer.accepted();
                self.health.answer_came(request, bytes, sent_at);
                counters.received(bytes);
            }
            AnswerEvidence::SourceIsThere(bytes) => {
                pacer.accepted();
                self.health.vouched_for(sent_at);
                counters.received(bytes);
            }
            AnswerEvidence::KeyIsGood => {}
        }
        Ok(self.job.store(item, answer).await?.into())
    }

    async fn carry_out(
        &self,
        item: &mut J::Item,
        verdict: Verdict,
        sent_at: Instant,
    ) -> Result<Progress, ManifestError> {
        Ok(match verdict {
            Verdict::Again => Progress::Onward,
            Verdict::Retry { at, reason } => Progress::Postponed { until: at, reason },
            Verdict::Suspect { suspicion, reason } => Progress::Suspect { suspicion, reason },
            Verdict::Refused(refusal) => {
                if refusal.kind.is_an_answer() {
                    self.answered(sent_at).await?;
                }
                self.job.settle(item, refusal).await?.into()
            }
            Verdict::Stop(reason) => {
                self.context.stop.request(reason);
                Progress::Stopped
            }
            Verdict::Stopped => Progress::Stopped,
        })
    }

    /// Records that any response came except a refusal of key or address: both are good.
    async fn answered(&self, sent_at: Instant) -> Result<(), ManifestError> {
        self.breaker.success();
        for suspect in self.auth_probe.answered(sent_at) {
            self.job.settle_suspect(suspect.item, suspect.suspicion, suspect.reason).await?;
        }
        Ok(())
    }

    /// Puts an item on hold until it can be judged.
    fn suspend(&self, mut item: J::Item, suspicion: Suspicion, reason: String) {
        J::rest(&mut item);
        let subject = J::subject(&item);
        if self.auth_probe.suspend(item, subject, suspicion, reason.clone()) {
            self.context.stop.request(suspicion.confirmed(reason));
        }
    }

    /// Gives back what is left. A suspicion that no answer has cleared is taken to be true.
    async fn wind_up(&self) -> Result<(), ManifestError> {
        self.job.wind_up().await?;
        for suspect in self.auth_probe.leftovers() {
            self.context.stop.request(suspect.suspicion.confirmed(suspect.reason));
            self.job.release(suspect.item).await?;
        }
        self.save_pace().await
    }

    /// Saves the pace for the next run, if it is slower than the configured one.
    async fn save_pace(&self) -> Result<(), ManifestError> {
        let rate = self.context.rate.to_string();
        let pace = self.context.pacer.learned().map(|pace| (pace.per_second, pace.refused));
        self.context.manifest.call(move |writer| writer.save_pace(&rate, pace)).await
    }

    fn jitter(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}
