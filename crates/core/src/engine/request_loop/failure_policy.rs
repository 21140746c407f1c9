//! What to do about a failed request: turns the dispositions of `source::error` into a verdict.

use std::time::Duration;

use tokio::time::Instant;

use super::{BreakerPass, FetchJob, RequestLoop, Suspicion, circuit_breaker::BreakerState};
use crate::{
    engine::StopReason,
    manifest::ManifestError,
    pace::{LONGEST_PAUSE, Permit},
    source::{ControlAnswer, Disposition, FetchError, OutageSymptom, Source},
};

/// How often a well-formed request that was refused is repeated.
const RETRIES_OF_A_BAD_REQUEST: u32 = 2;

/// The decision about a failed request.
pub(super) enum Verdict {
    /// Send it again as soon as the breaker lets it pass. No attempt is spent.
    Again,
    /// Send it again at this instant.
    Retry { at: Instant, reason: String },
    /// Wait for another answer, which shows whether the key or the address is bad.
    Suspect { suspicion: Suspicion, reason: String },
    /// Do not send it again.
    Refused(Refusal),
    /// Stop the run for this reason.
    Stop(StopReason),
    /// The run is stopping already.
    Stopped,
}

/// Why an item is not requested again.
#[derive(Debug)]
pub(in crate::engine) struct Refusal {
    /// The kind of refusal.
    pub(in crate::engine) kind: RefusalKind,
    /// The last failure.
    pub(in crate::engine) error: FetchError,
    /// The error in one line.
    pub(in crate::engine) reason: String,
}

/// The kind of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RefusalKind {
    /// The plan does not include it.
    NotEntitled,
    /// The plan does not include the requested time.
    Timeframe,
    /// The key is good, and refused for this item.
    KeyRefused,
    /// It is not available yet.
    NotYet,
    /// The source does not know it.
    NotFound,
    /// The source has no such route.
    UnknownRoute,
    /// The request was refused as a bad one, after this many attempts.
    BadRequest { attempts: u32 },
    /// It was given up after this many attempts.
    GivenUp { attempts: u32 },
}

impl RefusalKind {
    /// Whether the refusal is the source's own response, which shows that key and address are good.
    pub(super) fn is_an_answer(self) -> bool {
        match self {
            Self::NotEntitled | Self::Timeframe | Self::NotYet | Self::NotFound | Self::UnknownRoute => true,
            // The control request has shown it.
            Self::KeyRefused | Self::BadRequest { .. } | Self::GivenUp { .. } => false,
        }
    }
}

/// A failed request.
struct Failure<'a> {
    pass: &'a BreakerPass<'a>,
    error: FetchError,
    /// The error in one line.
    reason: String,
    sent_at: Instant,
    /// Whether the source was down when the request failed, or refused it with a 429: that may be over by the time that
    /// the control request is answered, which waits for the same pause.
    may_be_over: bool,
    /// The least wait before it is sent again.
    at_least: Duration,
}

impl Failure<'_> {
    fn refused(self, kind: RefusalKind) -> Verdict {
        Verdict::Refused(Refusal { kind, error: self.error, reason: self.reason })
    }
}

impl<J: FetchJob> RequestLoop<J> {
    /// Decides about a failed request.
    pub(super) async fn judge(
        &self,
        item: &mut J::Item,
        pass: &BreakerPass<'_>,
        permit: Permit<'_>,
        error: FetchError,
        sent_at: Instant,
    ) -> Result<Verdict, ManifestError> {
        J::attempts(item).note_failure();
        let (disposition, reason) = (error.disposition(), self.note(item, &error));
        let is_in_trouble = error.symptom().is_some_and(|symptom| symptom != OutageSymptom::TooMany);
        if self.breaker.is_untried()
            && let Some(suspicion) = elsewhere(disposition)
        {
            match self.control_unless_in_vain().await {
                None => return Ok(Verdict::Stopped),
                Some(ControlAnswer::Good) => {}
                Some(ControlAnswer::KeyRefused | ControlAnswer::Evasive | ControlAnswer::Unwell(_)) => {
                    return Ok(Verdict::Suspect { suspicion, reason });
                }
            }
        }
        let may_be_over = self.breaker.is_down() || matches!(disposition, Disposition::SlowDown { .. });
        let is_an_answer = !is_in_trouble && disposition != Disposition::KeyRefused;
        if is_an_answer && (self.breaker.is_untried() || !disposition.may_be_foreign()) {
            self.breaker.success();
        }
        let failure = Failure { pass, error, reason, sent_at, may_be_over, at_least: Duration::ZERO };
        match disposition {
            Disposition::Outage => {
                permit.refund();
                Ok(self.outage(&failure))
            }
            Disposition::Unwell(_) => self.unwell(item, failure).await,
            Disposition::SlowDown { retry_after } => self.slow_down(item, failure, retry_after).await,
            Disposition::KeyRefused => Ok(self.key_refused(item, failure).await),
            Disposition::CursorForgets if self.job.alternative(item, disposition) => Ok(Verdict::Again),
            Disposition::Retry | Disposition::CursorForgets => Ok(self.retry(item, failure)),
            Disposition::RetryTwice => self.bad_request(item, failure).await,
            Disposition::NotEntitled => Ok(self.refused(item, failure, RefusalKind::NotEntitled)),
            Disposition::Timeframe => Ok(self.refused(item, failure, RefusalKind::Timeframe)),
            Disposition::NotYet => Ok(failure.refused(RefusalKind::NotYet)),
            // So many in a row are more likely a fault of the source.
            Disposition::NotFound if self.health.failed(J::id(item)) => {
                self.refused_if_well(item, failure, RefusalKind::NotFound).await
            }
            Disposition::NotFound => Ok(self.refused(item, failure, RefusalKind::NotFound)),
            Disposition::UnknownRoute => self.refused_if_well(item, failure, RefusalKind::UnknownRoute).await,
        }
    }

    /// Records the failure for display. Returns it in one line.
    fn note(&self, item: &J::Item, error: &FetchError) -> String {
        let (subject, reason) = (J::subject(item), error.error_chain());
        tracing::debug!(subject, "{reason}");
        self.context.counters.trouble(format!("{subject}: {reason}"));
        reason
    }

    /// The source refuses the item: an alternative request may do instead.
    fn refused(&self, item: &mut J::Item, failure: Failure<'_>, kind: RefusalKind) -> Verdict {
        if self.job.alternative(item, failure.error.disposition()) {
            return Verdict::Again;
        }
        failure.refused(kind)
    }

    /// Sends the request again after the policy's pause, or gives it up.
    fn retry(&self, item: &mut J::Item, failure: Failure<'_>) -> Verdict {
        let attempts = J::attempts(item);
        match attempts.spend(self.context.retry_policy, self.jitter()) {
            Some(pause) => {
                Verdict::Retry { at: Instant::now() + pause.max(failure.at_least), reason: failure.reason }
            }
            None => failure.refused(RefusalKind::GivenUp { attempts: attempts.failures() }),
        }
    }

    /// A well-formed request was refused: repeating it rarely helps.
    async fn bad_request(&self, item: &mut J::Item, failure: Failure<'_>) -> Result<Verdict, ManifestError> {
        let attempts = J::attempts(item);
        let is_last =
            attempts.bad_requests >= RETRIES_OF_A_BAD_REQUEST || attempts.is_spent(self.context.retry_policy);
        if is_last {
            let attempts = attempts.failures() + 1;
            if self.job.alternative(item, failure.error.disposition()) {
                return Ok(Verdict::Again);
            }
            return self.refused_if_well(item, failure, RefusalKind::BadRequest { attempts }).await;
        }
        if self.breaker.is_down()
            && let Some(verdict) = self.unless_well(item, &failure).await?
        {
            return Ok(verdict);
        }
        J::attempts(item).bad_requests += 1;
        Ok(self.retry(item, failure))
    }

    /// A refusal that a proxy or a source in trouble may have sent as well: it counts if the source answers another
    /// request.
    async fn refused_if_well(
        &self,
        item: &mut J::Item,
        failure: Failure<'_>,
        kind: RefusalKind,
    ) -> Result<Verdict, ManifestError> {
        Ok(match self.unless_well(item, &failure).await? {
            Some(verdict) => verdict,
            None if failure.may_be_over && J::attempts(item).let_off() => {
                Verdict::Retry { at: Instant::now(), reason: failure.reason }
            }
            None => self.refused(item, failure, kind),
        })
    }

    /// The verdict if the source is down, or the run is stopping; no attempt is spent. None if the source answers other
    /// requests, so that the failure is the item's own.
    async fn unless_well(
        &self,
        item: &mut J::Item,
        failure: &Failure<'_>,
    ) -> Result<Option<Verdict>, ManifestError> {
        let _asking = self.asking.lock().await;
        if self.breaker.is_down() && !failure.pass.is_probe() {
            return Ok(Some(self.outage(failure)));
        }
        if self.health.is_dry_since(failure.sent_at) && !self.is_the_only_one().await? {
            let asked_at = Instant::now();
            // Of a request that was answered before, a refusal of any kind shows trouble.
            let is_down = match self.control().await {
                None => return Ok(Some(Verdict::Stopped)),
                Some(ControlAnswer::Unwell(_)) => true,
                Some(ControlAnswer::Evasive) => self.health.has_known_good(),
                Some(ControlAnswer::Good | ControlAnswer::KeyRefused) => false,
            };
            if is_down {
                J::attempts(item).note_outage();
                return Ok(Some(self.outage(failure)));
            }
            self.health.vouched_for(asked_at);
        }
        self.breaker.success();
        Ok(None)
    }

    /// No connection, or no source behind it: no attempt is spent, the item waits with all others.
    fn outage(&self, failure: &Failure<'_>) -> Verdict {
        let reason = failure.reason.clone();
        match failure.pass.failure() {
            // Refusals in between close the breaker, but fetch nothing either.
            BreakerState::Wait if self.health.failing_for() > 2 * self.context.retry_policy.max_time => {
                Verdict::Stop(StopReason::SourceLost(reason))
            }
            BreakerState::Wait => Verdict::Again,
            BreakerState::Unreachable => Verdict::Stop(StopReason::Unreachable(reason)),
            BreakerState::Lost => Verdict::Stop(StopReason::SourceLost(reason)),
        }
    }

    /// The source is in trouble: with this request, or with all. In the latter case no attempt is spent.
    async fn unwell(&self, item: &mut J::Item, failure: Failure<'_>) -> Result<Verdict, ManifestError> {
        if self.breaker.is_untried() {
            // A response came, so the source is reachable.
            self.breaker.success();
        }
        if !self.is_unconfirmed(item) || self.is_the_only_one().await? {
            return Ok(self.retry(item, failure));
        }
        let _asking = self.asking.lock().await;
        if self.breaker.is_down() && !failure.pass.is_probe() {
            return Ok(self.outage(&failure));
        }
        // Another worker may have sent the control request meanwhile.
        if !self.is_unconfirmed(item) {
            return Ok(self.retry(item, failure));
        }
        let asked_at = Instant::now();
        Ok(match self.control().await {
            None => Verdict::Stopped,
            Some(ControlAnswer::Unwell(_)) if !self.health.has_known_good() && self.is_spent(item) => {
                // Nothing ever came, and one request may not take longer than this.
                Verdict::Stop(StopReason::SourceLost(failure.reason))
            }
            Some(ControlAnswer::Unwell(_)) => {
                J::attempts(item).note_outage();
                self.outage(&failure)
            }
            Some(ControlAnswer::Good | ControlAnswer::KeyRefused | ControlAnswer::Evasive) => {
                self.health.vouched_for(asked_at);
                self.breaker.success();
                self.retry_once_well(item, failure)
            }
        })
    }

    /// The source works by now. A request that failed while it may have been down is sent once more before it spends an
    /// attempt.
    fn retry_once_well(&self, item: &mut J::Item, failure: Failure<'_>) -> Verdict {
        if failure.may_be_over && J::attempts(item).let_off() {
            return Verdict::Retry { at: Instant::now() + failure.at_least, reason: failure.reason };
        }
        self.retry(item, failure)
    }

    /// Whether nothing ever came and nothing else is outstanding: then there are no other requests to compare with.
    async fn is_the_only_one(&self) -> Result<bool, ManifestError> {
        Ok(!self.health.has_known_good() && self.job.outstanding().await? <= 1)
    }

    /// Whether a failure of this item may be a failure of all.
    fn is_unconfirmed(&self, item: &mut J::Item) -> bool {
        self.health.failed(J::id(item)) || self.breaker.is_down() || self.is_last_chance(item)
    }

    /// Whether this failure gives the item up, and no later request has shown that the source is there.
    fn is_last_chance(&self, item: &mut J::Item) -> bool {
        self.is_spent(item) && self.health.is_dry_since(J::attempts(item).failed_at())
    }

    /// Whether one more failure gives the item up.
    fn is_spent(&self, item: &mut J::Item) -> bool {
        J::attempts(item).is_spent(self.context.retry_policy)
    }

    /// Handles a 429. It spends an attempt if only this item is refused, or most others are let in: else the pace is
    /// the reason, and all requests slow down.
    async fn slow_down(
        &self,
        item: &mut J::Item,
        mut failure: Failure<'_>,
        retry_after: Option<Duration>,
    ) -> Result<Verdict, ManifestError> {
        let attempts = J::attempts(item);
        let since = attempts.rate_limited.map_or(failure.sent_at, |(at, _)| at);
        let (counts, is_alone) = self.health.refused(J::id(item), since);
        let before = J::attempts(item).rate_limited.replace((failure.sent_at, counts));
        let is_own = before.is_some_and(|(_, before)| counts.most_were_let_in_since(before));
        failure.at_least = if is_own {
            // No pace would help.
            retry_after.unwrap_or_default().min(LONGEST_PAUSE)
        } else {
            let pause = self.context.pacer.slow_down(retry_after);
            self.save_pace().await?;
            pause
        };
        if (is_own || is_alone) && self.is_last_chance(item) {
            return self.unwell(item, failure).await;
        }
        if (is_own || is_alone) && self.is_spent(item) {
            return Ok(self.retry_once_well(item, failure));
        }
        if is_own || is_alone {
            return Ok(self.retry(item, failure));
        }
        if self.is_let_in().await {
            return Ok(self.retry_once_well(item, failure));
        }
        let (waited, longest) = (self.health.failing_for(), self.context.retry_policy.max_time);
        let is_in_vain = self.context.pacer.pauses_in_a_row() > 1 && waited + failure.at_least > longest;
        Ok(if is_in_vain || waited > longest {
            Verdict::Stop(StopReason::SourceLost(failure.reason))
        } else if self.context.stop.is_requested() {
            Verdict::Stopped
        } else {
            Verdict::Retry { at: Instant::now() + failure.at_least, reason: failure.reason }
        })
    }

    /// Whether a known good request is let in, when several pauses in a row let nothing in.
    async fn is_let_in(&self) -> bool {
        let pacer = &self.context.pacer;
        if pacer.pauses_in_a_row() < 2 || !self.health.has_known_good() {
            return false;
        }
        let _asking = self.asking.lock().await;
        if pacer.pauses_in_a_row() < 2 {
            return false;
        }
        let is_let_in = self.control().await == Some(ControlAnswer::Good);
        if is_let_in {
            pacer.accepted();
        }
        is_let_in
    }

    /// Finds out with the control request whether the item or the key is refused.
    async fn key_refused(&self, item: &mut J::Item, failure: Failure<'_>) -> Verdict {
        match self.control_unless_in_vain().await {
            None => Verdict::Stopped,
            Some(ControlAnswer::Good) => {
                self.breaker.success();
                self.refused(item, failure, RefusalKind::KeyRefused)
            }
            Some(ControlAnswer::KeyRefused) => Verdict::Stop(StopReason::KeyRefused(failure.reason)),
            Some(ControlAnswer::Evasive | ControlAnswer::Unwell(_)) => {
                Verdict::Suspect { suspicion: Suspicion::Key, reason: failure.reason }
            }
        }
    }

    /// Sends the control request, unless its response did not help before.
    async fn control_unless_in_vain(&self) -> Option<ControlAnswer> {
        if self.auth_probe.is_empty() { self.control().await } else { Some(ControlAnswer::Evasive) }
    }

    /// Repeats a request that was answered in this run, or else sends the control request. None if the run is to stop,
    /// or the budget of requests is spent.
    async fn control(&self) -> Option<ControlAnswer> {
        self.context.permit().await?;
        let probe = async {
            match self.health.known_good() {
                None => ControlAnswer::from(self.job.source().control().await),
                Some(request) => match self.job.send_again(&request).await {
                    Ok(()) => ControlAnswer::Good,
                    Err(error) => ControlAnswer::from(&error),
                },
            }
        };
        self.context.stop.unless_requested(probe).await
    }
}

/// What a first response that does not come from the service makes suspect.
fn elsewhere(disposition: Disposition) -> Option<Suspicion> {
    match disposition {
        Disposition::UnknownRoute => Some(Suspicion::Route),
        Disposition::Unwell(OutageSymptom::Redirect) => Some(Suspicion::Redirect),
        Disposition::Retry
        | Disposition::Unwell(_)
        | Disposition::RetryTwice
        | Disposition::SlowDown { .. }
        | Disposition::Outage
        | Disposition::CursorForgets
        | Disposition::KeyRefused
        | Disposition::NotYet
        | Disposition::NotEntitled
        | Disposition::Timeframe
        | Disposition::NotFound => None,
    }
}
