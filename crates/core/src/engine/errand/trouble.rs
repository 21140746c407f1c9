//! What becomes of a question when a request brought no answer to it: the dispositions of `source::error`, carried out.

use std::time::Duration;

use tokio::time::Instant;

use super::{Errand, Fetching, Next, Outcome, Tries};
use crate::{
    engine::{
        StopReason,
        line::{Ticket, Verdict},
        may_leave,
        trouble::{RETRIES_OF_A_BAD_REQUEST, elsewhere},
    },
    pace::LONGEST_PAUSE,
    source::{Control, Disposition, FetchError, Source},
};

impl<E: Errand> Fetching<E> {
    pub(super) async fn failure(
        &self,
        question: &E::Question,
        error: FetchError,
        ticket: &Ticket<'_>,
        tries: &mut Tries,
    ) -> Next<E::Question> {
        let (reason, disposition) = (error.chain(), error.disposition());
        let name = E::name(question);
        tracing::debug!(name, "{reason}");
        self.parts.meter.trouble(format!("{name}: {reason}"));
        if self.line.is_untried() && elsewhere(disposition).is_some() {
            match self.control().await {
                None => return Next::Stopped,
                Some(Control::Good) => {}
                Some(Control::KeyRefused | Control::Evasive | Control::Unwell(_)) => {
                    return self.stopped(StopReason::Unreachable(reason));
                }
            }
        }
        if !matches!(disposition, Disposition::Outage | Disposition::KeyRefused) {
            // Whoever answers is reached.
            self.line.up();
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
            Disposition::RetryTwice => self.answered(Outcome::Refused(reason)),
            Disposition::NotEntitled | Disposition::Timeframe => self.answered(Outcome::NotEntitled),
            Disposition::NotYet => self.answered(Outcome::NotYet),
            Disposition::NotFound => self.answered(Outcome::NotFound),
            Disposition::UnknownRoute => self.answered(Outcome::UnknownRoute),
        }
    }

    fn answered(&self, outcome: Outcome) -> Next<E::Question> {
        self.answers.came();
        Next::Settled(outcome)
    }

    fn stopped(&self, reason: StopReason) -> Next<E::Question> {
        self.parts.stop.because(reason);
        Next::Stopped
    }

    /// No connection: it is no question's fault.
    fn outage(&self, ticket: &Ticket<'_>, reason: String) -> Next<E::Question> {
        self.parts.pacer.give_back();
        match self.line.down(ticket) {
            // The line knows how long to wait.
            Verdict::Wait => Next::Again(Duration::ZERO),
            Verdict::Unreachable => self.stopped(StopReason::Unreachable(reason)),
            Verdict::Lost => self.stopped(StopReason::SourceLost(reason)),
        }
    }

    /// Judges the key by the control question.
    async fn key_refused(&self, reason: String, tries: &mut Tries) -> Next<E::Question> {
        match self.control().await {
            None => Next::Stopped,
            Some(Control::Good) => {
                self.line.up();
                self.answered(Outcome::NotEntitled)
            }
            Some(Control::KeyRefused | Control::Evasive) => self.stopped(StopReason::KeyRefused(reason)),
            Some(Control::Unwell(_)) => self.retry(&reason, Duration::ZERO, tries),
        }
    }

    /// One request too many: everyone waits. It spends an attempt of a question that alone is refused.
    fn slow_down(
        &self,
        reason: String,
        retry_after: Option<Duration>,
        tries: &mut Tries,
    ) -> Next<E::Question> {
        let answers = self.answers.count();
        let is_alone = tries.refused_at.replace(answers).is_some_and(|before| before < answers);
        if is_alone {
            return self.retry(&reason, retry_after.unwrap_or_default().min(LONGEST_PAUSE), tries);
        }
        // The permit of the next request waits for the end of the pause.
        self.parts.pacer.slow_down(retry_after);
        if self.answers.drought() > self.parts.retry_policy.max_time {
            return self.stopped(StopReason::SourceLost(reason));
        }
        Next::Again(Duration::ZERO)
    }

    /// Asks again after the policy's pause and `at_least` that long, or gives the question up.
    fn retry(&self, reason: &str, at_least: Duration, tries: &mut Tries) -> Next<E::Question> {
        tries.failures += 1;
        let now = Instant::now();
        let since_first = now - *tries.failing_since.get_or_insert(now);
        match self.parts.retry_policy.pause(tries.failures, since_first, self.jitter()) {
            Some(pause) => Next::Again(pause.max(at_least)),
            None => Next::Settled(Outcome::Failed(format!("{reason} (asked {} times)", tries.failures))),
        }
    }

    /// Asks something that every plan includes. None if the run is to stop.
    async fn control(&self) -> Option<Control> {
        let parts = &self.parts;
        if !may_leave(&parts.pacer, &parts.meter, &parts.stop, parts.max_requests).await {
            return None;
        }
        parts.stop.unless_requested(self.errand.source().control()).await
    }
}
