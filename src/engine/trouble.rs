//! What becomes of a task when a request brought no page: the dispositions of `source::error`, carried out.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Run, StopReason,
    line::{Ticket, Verdict},
    queue::Lease,
    worker::Step,
};
use crate::{
    manifest::{ManifestError, TaskEvent},
    source::{Disposition, FetchError, Source},
};

/// A well-formed request that is refused is asked again this often.
const RETRIES_OF_A_BAD_REQUEST: u32 = 2;

impl<S: Source> Run<S> {
    /// No connection: no attempt is spent, the task keeps its lease and waits with everyone else.
    async fn outage(
        &self,
        lease: &Lease,
        ticket: &Ticket<'_>,
        reason: String,
    ) -> Result<Step, ManifestError> {
        match self.line.down(ticket) {
            Verdict::Wait => return Ok(Step::Onward),
            Verdict::Unreachable => self.stop.because(StopReason::Unreachable(reason)),
            Verdict::Lost => self.stop.because(StopReason::ConnectionLost(reason)),
        }
        self.release(lease.task.id).await
    }

    /// A request that brought no page: what is to be done is the error's to say.
    pub(super) async fn failure(
        &self,
        lease: &mut Lease,
        ticket: &Ticket<'_>,
        error: &FetchError,
        sent_at: Instant,
    ) -> Result<Step, ManifestError> {
        let reason = self.note(lease, error);
        let disposition = error.disposition();
        if disposition == Disposition::UnknownRoute && self.line.is_untried() {
            self.stop.because(StopReason::Unreachable(reason));
            return self.release(lease.task.id).await;
        }
        if !matches!(disposition, Disposition::Outage | Disposition::KeyRefused) {
            self.line.up();
        }
        match disposition {
            Disposition::Outage => self.outage(lease, ticket, reason).await,
            Disposition::CursorForgets if lease.mistrust_cursors() => Ok(Step::Onward),
            Disposition::Retry | Disposition::CursorForgets => {
                self.retry(lease, reason, Duration::ZERO).await
            }
            Disposition::SlowDown { retry_after } => {
                let pause = self.pacer.slow_down(retry_after);
                self.retry(lease, reason, pause).await
            }
            Disposition::RetryTwice
                if lease.failures < RETRIES_OF_A_BAD_REQUEST.min(self.retry_policy.max_attempts - 1) =>
            {
                self.retry(lease, reason, Duration::ZERO).await
            }
            Disposition::RetryTwice | Disposition::NotFound | Disposition::UnknownRoute
                if lease.leave_cursor() =>
            {
                Ok(Step::Onward)
            }
            Disposition::RetryTwice => self.give_up(lease, &reason, lease.failures + 1).await,
            Disposition::KeyRefused => self.key_refused(lease, reason).await,
            Disposition::NotYet => {
                self.answered(sent_at).await?;
                Ok(Step::Defer(reason))
            }
            Disposition::NotEntitled => {
                self.answered(sent_at).await?;
                self.end(lease, TaskEvent::Refused, reason).await
            }
            Disposition::NotFound | Disposition::UnknownRoute => {
                self.answered(sent_at).await?;
                self.end(lease, TaskEvent::Unknown, reason).await
            }
        }
    }

    /// Tells whoever watches what went wrong.
    fn note(&self, lease: &Lease, error: &FetchError) -> String {
        let reason = error.chain();
        tracing::debug!(ticker = %lease.task.symbol, window = %lease.task.window, "{reason}");
        self.meter.trouble(format!("{}: {reason}", lease.task.symbol));
        reason
    }

    /// Parks the task for the policy's pause and `at_least` that long, or gives it up.
    async fn retry(
        &self,
        lease: &mut Lease,
        reason: String,
        at_least: Duration,
    ) -> Result<Step, ManifestError> {
        lease.failures += 1;
        let now = Instant::now();
        let since_first = now - *lease.failing_since.get_or_insert(now);
        let Some(pause) = self.retry_policy.pause(lease.failures, since_first, self.jitter()) else {
            return self.give_up(lease, &reason, lease.failures).await;
        };
        let (id, failures) = (lease.task.id, lease.failures);
        self.recorder.call(move |ledger| ledger.retry(id, failures, &reason)).await?;
        Ok(Step::Park(now + pause.max(at_least)))
    }

    async fn give_up(&self, lease: &mut Lease, reason: &str, asked: u32) -> Result<Step, ManifestError> {
        self.end(lease, TaskEvent::GivenUp, format!("{reason} (asked {asked} times)")).await
    }

    /// Asks the control question, and judges the task or the key by its answer.
    async fn key_refused(&self, lease: &mut Lease, reason: String) -> Result<Step, ManifestError> {
        let control = async {
            self.pacer.permit().await;
            // It is asked beyond the budget too: without it the task could not be judged.
            self.meter.take_request(None);
            self.source.key_is_good().await
        };
        match self.stop.unless_requested(control).await {
            None => return self.release(lease.task.id).await,
            Some(Some(true)) => {
                self.line.up();
                return self.end(lease, TaskEvent::Refused, reason).await;
            }
            Some(Some(false)) => self.stop.because(StopReason::KeyRefused(reason)),
            Some(None) => {
                if self.key.put_aside(lease.task.id, &lease.task.symbol, reason.clone()) {
                    self.stop.because(StopReason::KeyRefused(reason));
                }
                // It keeps its state until somebody can judge it.
                return Ok(Step::Settled);
            }
        }
        self.release(lease.task.id).await
    }

    /// Any answer but a 401 shows that the key is good.
    pub(super) async fn answered(&self, sent_at: Instant) -> Result<(), ManifestError> {
        self.line.up();
        for suspect in self.key.answered(sent_at) {
            self.meter.task_ended();
            self.recorder
                .call(move |ledger| ledger.end(suspect.task, TaskEvent::Refused, &suspect.reason))
                .await?;
        }
        Ok(())
    }

    /// Gives back what still waited when the last worker ended. A suspect that no answer followed says that the key is
    /// bad.
    pub(super) async fn settle_leftovers(&self) -> Result<(), ManifestError> {
        let leftovers = self.queue.leftovers().await;
        for id in leftovers.parked {
            self.release(id).await?;
        }
        for (id, reason) in leftovers.deferred {
            self.stop.because(StopReason::NotYet(reason));
            self.release(id).await?;
        }
        for suspect in self.key.leftovers() {
            self.stop.because(StopReason::KeyRefused(suspect.reason));
            self.release(suspect.task).await?;
        }
        Ok(())
    }
}
