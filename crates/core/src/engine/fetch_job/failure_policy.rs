//! What becomes of a question when a request brought no answer to it: the dispositions of `source::error`, carried out.

use std::time::Duration;

use tokio::time::Instant;

use super::{FailedAttempts, FetchJob, JobOutcome, JobRun, NextRequest};
use crate::{
    engine::{
        StopReason,
        circuit_breaker::{BreakerPass, BreakerState},
        failure_policy::{RETRIES_OF_A_BAD_REQUEST, elsewhere},
        may_leave,
    },
    pace::LONGEST_PAUSE,
    source::{ControlAnswer, Disposition, FetchError, Source},
};

impl<E: FetchJob> JobRun<E> {
    pub(super) async fn failure(
        &self,
        question: &E::Question,
        error: FetchError,
        ticket: &BreakerPass<'_>,
        tries: &mut FailedAttempts,
    ) -> NextRequest<E::Question> {
        let (reason, disposition) = (error.error_chain(), error.disposition());
        let name = E::name(question);
        tracing::debug!(name, "{reason}");
        self.context.counters.trouble(format!("{name}: {reason}"));
        if self.breaker.is_untried() && elsewhere(disposition).is_some() {
            match self.control().await {
                None => return NextRequest::Stopped,
                Some(ControlAnswer::Good) => {}
                Some(ControlAnswer::KeyRefused | ControlAnswer::Evasive | ControlAnswer::Unwell(_)) => {
                    return self.stopped(StopReason::Unreachable(reason));
                }
            }
        }
        if !matches!(disposition, Disposition::Outage | Disposition::KeyRefused) {
            // Whoever answers is reached.
            self.breaker.success();
        }
        match disposition {
            Disposition::Outage => self.outage(ticket, reason),
            Disposition::KeyRefused => self.key_refused(reason, tries).await,
            Disposition::SlowDown { retry_after } => self.slow_down(reason, retry_after, tries),
            Disposition::Unwell(_) | Disposition::Retry | Disposition::CursorForgets => {
                self.retry(&reason, Duration::ZERO, tries)
            }
            Disposition::RetryTwice if tries.bad_requests < RETRIES_OF_A_BAD_REQUEST => {
                tries.bad_requests += 1;
                self.retry(&reason, Duration::ZERO, tries)
            }
            Disposition::RetryTwice => self.answered(JobOutcome::Refused(reason)),
            Disposition::NotEntitled | Disposition::Timeframe => self.answered(JobOutcome::NotEntitled),
            Disposition::NotYet => self.answered(JobOutcome::NotYet),
            Disposition::NotFound => self.answered(JobOutcome::NotFound),
            Disposition::UnknownRoute => self.answered(JobOutcome::UnknownRoute),
        }
    }

    fn answered(&self, outcome: JobOutcome) -> NextRequest<E::Question> {
        self.last_answer.came();
        NextRequest::Settled(outcome)
    }

    fn stopped(&self, reason: StopReason) -> NextRequest<E::Question> {
        self.context.stop.request(reason);
        NextRequest::Stopped
    }

    /// No connection: it is no question's fault.
    fn outage(&self, ticket: &BreakerPass<'_>, reason: String) -> NextRequest<E::Question> {
        match self.breaker.failure(ticket) {
            // The line knows how long to wait.
            BreakerState::Wait => NextRequest::Again(Duration::ZERO),
            BreakerState::Unreachable => self.stopped(StopReason::Unreachable(reason)),
            BreakerState::Lost => self.stopped(StopReason::SourceLost(reason)),
        }
    }

    /// Judges the key by the control question.
    async fn key_refused(&self, reason: String, tries: &mut FailedAttempts) -> NextRequest<E::Question> {
        match self.control().await {
            None => NextRequest::Stopped,
            Some(ControlAnswer::Good) => {
                self.breaker.success();
                self.answered(JobOutcome::NotEntitled)
            }
            Some(ControlAnswer::KeyRefused | ControlAnswer::Evasive) => {
                self.stopped(StopReason::KeyRefused(reason))
            }
            Some(ControlAnswer::Unwell(_)) => self.retry(&reason, Duration::ZERO, tries),
        }
    }

    /// One request too many: everyone waits. It spends an attempt of a question that alone is refused.
    fn slow_down(
        &self,
        reason: String,
        retry_after: Option<Duration>,
        tries: &mut FailedAttempts,
    ) -> NextRequest<E::Question> {
        let answers = self.last_answer.count();
        let is_alone = tries.refused_at.replace(answers).is_some_and(|before| before < answers);
        if is_alone {
            return self.retry(&reason, retry_after.unwrap_or_default().min(LONGEST_PAUSE), tries);
        }
        // The permit of the next request waits for the end of the pause.
        self.context.pacer.slow_down(retry_after);
        if self.last_answer.drought() > self.context.retry_policy.max_time {
            return self.stopped(StopReason::SourceLost(reason));
        }
        NextRequest::Again(Duration::ZERO)
    }

    /// Asks again after the policy's pause and `at_least` that long, or gives the question up.
    fn retry(
        &self,
        reason: &str,
        at_least: Duration,
        tries: &mut FailedAttempts,
    ) -> NextRequest<E::Question> {
        tries.failures += 1;
        let now = Instant::now();
        let since_first = now - *tries.failing_since.get_or_insert(now);
        match self.context.retry_policy.pause(tries.failures, since_first, self.jitter()) {
            Some(pause) => NextRequest::Again(pause.max(at_least)),
            None => {
                NextRequest::Settled(JobOutcome::Failed(format!("{reason} (asked {} times)", tries.failures)))
            }
        }
    }

    /// Asks something that every plan includes. None if the run is to stop.
    async fn control(&self) -> Option<ControlAnswer> {
        let parts = &self.context;
        may_leave(&parts.pacer, &parts.counters, &parts.stop, parts.max_requests).await?;
        parts.stop.unless_requested(self.job.source().control()).await
    }
}
