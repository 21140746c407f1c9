//! The one loop of all requests: who may send one, and what follows from its answer or its failure.
//!
//! # Flow
//! N workers take items from a [`FetchJob`]. For each item a worker goes round, until the item is settled or parked:
//!
//! 1. The job says what to ask (or that there is nothing to ask).
//! 2. The circuit breaker lets the request pass: at once while it is closed, else as the only probe and after a pause.
//! 3. The pacer's permit is waited for, and the request taken out of the budget. A budget that is spent stops the run.
//! 4. The request is sent. A run that is to stop gives it five seconds.
//! 5. An answer closes the breaker, clears suspicions and counts for pace and health; the job stores it.
//! 6. A failure goes to the failure policy, whose verdict is carried out: the table below.
//!
//! A job is a set of tasks ([`super::task_job`]) or of single questions ([`super::question_job`]: reference lists with lookups,
//! market days, questions about absences). It says how to send, how to store an answer, what a refusal means for an item, and
//! whether a request that is to be sent again is parked, so that its worker takes another item, or awaited by its worker.
//!
//! # What follows from a failure
//! | disposition | breaker | attempt | what happens |
//! | --- | --- | --- | --- |
//! | `Outage` | opens | none | the permit is refunded; everyone waits behind one probe. The run stops after three failures before anything was reached (`Unreachable`), or when the connection has been gone for the policy's time (`SourceLost`) |
//! | `Unwell` | closes if nothing was reached yet | one, if it is the item's own fault | while answers to others come, asked again after a pause, or given up. If eight items fail in a row, the breaker is open, or this would be the last attempt, a question that was answered before is asked once more, or else the control question. If that fails too, it is everybody's fault: as `Outage`. If it is answered, an item that failed while the breaker was open is asked once more before it spends an attempt |
//! | `Unwell(Redirect)`, `UnknownRoute` before anything was reached | stays | none | the control question decides whether this is the service at all. If that does not tell, the item is put aside: another answer settles it; twenty subjects, or nothing else to ask, stop the run (`Unreachable`) |
//! | `SlowDown` | closes | one, if it alone is refused or most others are let in | everyone pauses and the pace is lowered. If this would be the last attempt: as `Unwell`, and it is asked once more first, because the pause may have ended the trouble. The run stops if nothing comes for the policy's time (`SourceLost`) |
//! | `Retry` | closes | one | asked again after a pause, or given up |
//! | `CursorForgets` | closes | none, if there is another way | goes on the other way, else as `Retry` |
//! | `RetryTwice` | closes | one | asked again twice at most; then another way, else given up |
//! | `KeyRefused` | stays | none | the control question decides: the key is good, then the item is settled as refused; it is refused, then the run stops (`KeyRefused`); that cannot be said, then the item is put aside as above |
//! | `NotFound`, `UnknownRoute` | closes | none | another way, else settled by the source's word |
//! | `NotEntitled`, `Timeframe` | closes | none | another way, else settled by the source's word |
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

/// A set of items that are fetched, and what becomes of their answers.
pub(super) trait FetchJob: Send + Sync + 'static {
    /// Who is asked.
    type Source: Source;
    /// What a worker has in hand until it is settled.
    type Item: Send + Sync;
    /// What tells items apart.
    type Id: Copy + Eq + Hash + Send + Sync;
    /// What is sent.
    type Request: Clone + Send + Sync;
    /// What comes back.
    type Answer: Send;

    /// Who is asked.
    fn source(&self) -> &Self::Source;

    /// Waits for the next item. None if there is no other, or the run is to stop. `anything_came` tells whether any request
    /// was answered yet.
    fn next(
        &self,
        anything_came: &(impl Fn() -> bool + Send + Sync),
    ) -> impl Future<Output = Result<Option<Self::Item>, ManifestError>> + Send;

    /// What tells this item from others.
    fn id(item: &Self::Item) -> Self::Id;

    /// What an item is about, in a few words.
    fn subject(item: &Self::Item) -> String;

    /// The attempts at an item's question.
    fn attempts(item: &mut Self::Item) -> &mut Attempts;

    /// How many items are not settled, those in hand included.
    fn outstanding(&self) -> impl Future<Output = Result<u64, ManifestError>> + Send;

    /// What an item asks next.
    fn request(
        &self,
        item: &mut Self::Item,
    ) -> impl Future<Output = Result<NextRequest<Self::Request>, ManifestError>> + Send;

    /// Whether the request is still to be sent, now that the breaker has let it pass.
    fn is_still_wanted(&self, item: &Self::Item, request: &Self::Request) -> bool;

    /// Notes that the request leaves. Returns whether it left before.
    fn note_sent(item: &mut Self::Item, request: &Self::Request) -> bool;

    /// Sends a request and reads its answer.
    fn send(
        &self,
        item: &Self::Item,
        request: &Self::Request,
        pass: &mut BreakerPass<'_>,
    ) -> impl Future<Output = Result<Self::Answer, FetchError>> + Send;

    /// Sends a request once more that was answered before: whether it is answered now is all that counts.
    fn send_again(&self, request: &Self::Request) -> impl Future<Output = Result<(), FetchError>> + Send;

    /// What an answer shows.
    fn evidence(answer: &Self::Answer) -> AnswerEvidence;

    /// Keeps an answer on stable storage, and sees what follows from it.
    fn store(
        &self,
        item: &mut Self::Item,
        answer: Self::Answer,
    ) -> impl Future<Output = Result<Step, ManifestError>> + Send;

    /// Turns an item to another question in place of one that fails like this. False if there is none.
    fn alternative(&self, item: &mut Self::Item, disposition: Disposition) -> bool;

    /// Settles an item whose question is refused or given up.
    fn settle(
        &self,
        item: &mut Self::Item,
        refusal: Refusal,
    ) -> impl Future<Output = Result<Step, ManifestError>> + Send;

    /// Settles an item that was put aside: what was in doubt is good, so that the refusal is about the item.
    fn settle_suspect(
        &self,
        item: Self::Item,
        suspicion: Suspicion,
        reason: String,
    ) -> impl Future<Output = Result<(), ManifestError>> + Send;

    /// Puts an item off until an instant. Returns it once that has come; None if whichever worker is free goes on with it.
    fn postpone(
        &self,
        item: Self::Item,
        until: Instant,
        reason: String,
    ) -> impl Future<Output = Result<Option<Self::Item>, ManifestError>> + Send;

    /// Lets go of what an item that is put aside may not hold.
    fn rest(item: &mut Self::Item);

    /// Gives back an item: the run is to stop.
    fn release(&self, item: Self::Item) -> impl Future<Output = Result<(), ManifestError>> + Send;

    /// A worker has an item in hand no more.
    fn let_go(&self) -> impl Future<Output = ()> + Send;

    /// Gives back what still waits when the last worker has ended.
    fn wind_up(&self) -> impl Future<Output = Result<(), ManifestError>> + Send;
}

/// What an item asks next.
pub(super) enum NextRequest<R> {
    /// This.
    Send(R),
    /// Nothing; this becomes of the item.
    Nothing(Step),
}

/// What becomes of an item after one step of its job.
pub(super) enum Step {
    /// It goes on.
    Onward,
    /// It is settled, or was given back.
    Settled,
}

/// What an answer shows besides what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerEvidence {
    /// That its question, of which the answer has so many bytes, is a good one to ask again.
    GoodQuestion(u64),
    /// That the source is there; it has so many bytes.
    SourceIsThere(u64),
    /// That key and address are good, and no more.
    KeyIsGood,
}

/// All that the workers of one job share.
pub(super) struct RequestLoop<J: FetchJob> {
    job: J,
    context: RunContext,
    random: Mutex<Rng>,
    breaker: CircuitBreaker,
    health: SourceHealth<J::Id, J::Request>,
    auth_probe: AuthProbe<J::Item>,
    /// Held while the control question is asked: one answer is enough for all.
    asking: tokio::sync::Mutex<()>,
}

/// How an item stands after one round.
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

/// Works until the job has nothing more or the run is to stop. Then no item is in hand any more.
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
    // Every worker has ended: nobody else holds it.
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

    /// Goes round until an item is no longer in hand.
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
                    self.put_aside(item, suspicion, reason);
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

    /// One request and what follows from it.
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

    /// An answer that fits its question.
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

    /// Any answer but a refusal of key or address shows that both are good.
    async fn answered(&self, sent_at: Instant) -> Result<(), ManifestError> {
        self.breaker.success();
        for suspect in self.auth_probe.answered(sent_at) {
            self.job.settle_suspect(suspect.item, suspect.suspicion, suspect.reason).await?;
        }
        Ok(())
    }

    /// The item waits until it can be judged.
    fn put_aside(&self, mut item: J::Item, suspicion: Suspicion, reason: String) {
        J::rest(&mut item);
        let subject = J::subject(&item);
        if self.auth_probe.put_aside(item, subject, suspicion, reason.clone()) {
            self.context.stop.request(suspicion.confirmed(reason));
        }
    }

    /// Gives back what is left. A suspicion that no answer has cleared is taken for true.
    async fn wind_up(&self) -> Result<(), ManifestError> {
        self.job.wind_up().await?;
        for suspect in self.auth_probe.leftovers() {
            self.context.stop.request(suspect.suspicion.confirmed(suspect.reason));
            self.job.release(suspect.item).await?;
        }
        self.save_pace().await
    }

    /// Keeps the pace for the next run, if it is slower than the one that was set.
    async fn save_pace(&self) -> Result<(), ManifestError> {
        let rate = self.context.rate.to_string();
        let pace = self.context.pacer.learned().map(|pace| (pace.per_second, pace.refused));
        self.context.manifest.call(move |writer| writer.save_pace(&rate, pace)).await
    }

    fn jitter(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}
