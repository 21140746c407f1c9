//! What becomes of a task when a request brought no page: the dispositions of `source::error`, carried out.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Run, StopReason,
    auth_probe::Suspicion,
    circuit_breaker::{BreakerPass, BreakerState},
    entitlement::SearchConclusion,
    queue::TaskLease,
    worker::PageStep,
};
use crate::{
    manifest::{ManifestError, TaskEvent},
    pace::LONGEST_PAUSE,
    source::{ControlAnswer, Disposition, FetchError, InvalidBarsPage, OutageSymptom, Source},
};

/// A well-formed request that is refused is asked again this often.
pub(super) const RETRIES_OF_A_BAD_REQUEST: u32 = 2;

impl<S: Source> Run<S> {
    /// No connection: no attempt is spent, the task keeps its lease and waits with everyone else.
    async fn outage(
        &self,
        lease: &TaskLease,
        ticket: &BreakerPass<'_>,
        reason: String,
    ) -> Result<PageStep, ManifestError> {
        match self.breaker.failure(ticket) {
            // Refusals in between keep the line up, but bring nothing either.
            BreakerState::Wait if self.health.failing_for() > 2 * self.retry_policy.max_time => {
                self.stop.request(StopReason::SourceLost(reason));
            }
            BreakerState::Wait => return Ok(PageStep::Onward),
            BreakerState::Unreachable => self.stop.request(StopReason::Unreachable(reason)),
            BreakerState::Lost => self.stop.request(StopReason::SourceLost(reason)),
        }
        self.release(lease.task.id).await
    }

    /// A request that brought no page: what is to be done is the error's to say.
    pub(super) async fn failure(
        &self,
        lease: &mut TaskLease,
        ticket: &BreakerPass<'_>,
        error: FetchError,
        sent_at: Instant,
    ) -> Result<PageStep, ManifestError> {
        lease.failed_at = Instant::now();
        let reason = self.note(lease, &error);
        let (disposition, words) = (error.disposition(), error.plan_words().map(str::to_owned));
        if self.breaker.is_untried()
            && let Some(suspicion) = elsewhere(disposition)
        {
            match self.control_unless_in_vain().await {
                None => return self.release(lease.task.id).await,
                Some(ControlAnswer::Good) => {}
                Some(ControlAnswer::KeyRefused | ControlAnswer::Evasive | ControlAnswer::Unwell(_)) => {
                    return Ok(self.put_aside(lease, suspicion, reason));
                }
            }
        }
        let is_in_trouble = error.symptom().is_some_and(|symptom| symptom != OutageSymptom::TooMany);
        if !is_in_trouble && disposition != Disposition::KeyRefused {
            self.breaker.success();
        }
        if let FetchError::BadBars(mixed) = error {
            return self.sift(lease, *mixed, reason).await;
        }
        match disposition {
            Disposition::Outage => self.outage(lease, ticket, reason).await,
            Disposition::CursorForgets if lease.mistrust_cursors() => Ok(PageStep::Onward),
            Disposition::Retry | Disposition::CursorForgets => {
                self.retry(lease, reason, Duration::ZERO).await
            }
            Disposition::Unwell(_) => self.unwell(lease, ticket, reason).await,
            Disposition::SlowDown { retry_after } => {
                self.slow_down(lease, ticket, reason, retry_after, sent_at).await
            }
            Disposition::RetryTwice
                if lease.bad_requests < RETRIES_OF_A_BAD_REQUEST && !self.is_spent(lease) =>
            {
                lease.bad_requests += 1;
                self.retry(lease, reason, Duration::ZERO).await
            }
            Disposition::RetryTwice | Disposition::NotFound | Disposition::UnknownRoute
                if lease.leave_cursor() =>
            {
                Ok(PageStep::Onward)
            }
            Disposition::RetryTwice => self.give_up(lease, &reason, lease.failures + 1).await,
            Disposition::KeyRefused => self.key_refused(lease, reason).await,
            Disposition::NotYet => {
                self.answered(sent_at).await?;
                Ok(PageStep::Defer(reason))
            }
            Disposition::NotEntitled | Disposition::Timeframe => {
                let is_about_time = disposition == Disposition::Timeframe;
                let is_asked_why = self.refused_by_plan(lease, reason.clone(), words, is_about_time);
                self.answered(sent_at).await?;
                if is_asked_why {
                    self.open_search(lease).await
                } else {
                    self.end(lease, TaskEvent::Refused, reason).await
                }
            }
            Disposition::NotFound | Disposition::UnknownRoute => {
                self.answered(sent_at).await?;
                self.end(lease, TaskEvent::Unknown, reason).await
            }
        }
    }

    /// Tells whoever watches what went wrong.
    fn note(&self, lease: &TaskLease, error: &FetchError) -> String {
        let reason = error.error_chain();
        tracing::debug!(ticker = %lease.task.symbol, window = %lease.task.window, "{reason}");
        self.counters.trouble(format!("{}: {reason}", lease.task.symbol));
        reason
    }

    /// Bars that cannot be: asked again as often as anything else. If they stay, the others are stored without them.
    async fn sift(
        &self,
        lease: &mut TaskLease,
        mixed: InvalidBarsPage,
        reason: String,
    ) -> Result<PageStep, ManifestError> {
        if mixed.good.bars.is_empty() || !self.is_spent(lease) {
            return self.retry(lease, reason, Duration::ZERO).await;
        }
        self.counters.received(mixed.good.bytes);
        self.store(lease, mixed.good, mixed.bad).await
    }

    /// Parks the task for the policy's pause and `at_least` that long, or gives it up.
    async fn retry(
        &self,
        lease: &mut TaskLease,
        reason: String,
        at_least: Duration,
    ) -> Result<PageStep, ManifestError> {
        lease.failures += 1;
        let since_first = lease.failed_at - *lease.failing_since.get_or_insert(lease.failed_at);
        let Some(pause) = self.retry_policy.pause(lease.failures, since_first, self.jitter()) else {
            return self.give_up(lease, &reason, lease.failures).await;
        };
        let (id, failures) = (lease.task.id, lease.failures);
        self.manifest.call(move |writer| writer.retry(id, failures, &reason)).await?;
        Ok(PageStep::Park(Instant::now() + pause.max(at_least)))
    }

    async fn give_up(
        &self,
        lease: &mut TaskLease,
        reason: &str,
        asked: u32,
    ) -> Result<PageStep, ManifestError> {
        if let Some(inquiry) = lease.inquiry.take() {
            // Only a question about a single day has no answer: what its page was told stands.
            return self.conclude(lease, inquiry, SearchConclusion::OtherReason).await;
        }
        self.end(lease, TaskEvent::GivenUp, format!("{reason} (asked {asked} times)")).await
    }

    /// The source is in trouble: with this page, or with all. In the latter case no attempt is spent.
    async fn unwell(
        &self,
        lease: &mut TaskLease,
        ticket: &BreakerPass<'_>,
        reason: String,
    ) -> Result<PageStep, ManifestError> {
        if self.breaker.is_untried() {
            // Whoever answers is reached.
            self.breaker.success();
        }
        if !self.is_in_doubt(lease) || self.is_the_only_one().await? {
            return self.retry(lease, reason, Duration::ZERO).await;
        }
        let _asking = self.asking.lock().await;
        if self.breaker.is_down() && !ticket.is_probe() {
            return self.outage(lease, ticket, reason).await;
        }
        // Somebody else may have asked meanwhile.
        if !self.is_in_doubt(lease) {
            return self.retry(lease, reason, Duration::ZERO).await;
        }
        let asked_at = Instant::now();
        match self.is_source_down().await {
            None => self.release(lease.task.id).await,
            Some(true) if self.health.known_good().is_none() && self.is_spent(lease) => {
                // Nothing ever came, and this is as long as one page may take.
                self.stop.request(StopReason::SourceLost(reason));
                self.release(lease.task.id).await
            }
            Some(true) => self.outage(lease, ticket, reason).await,
            Some(false) => {
                self.health.vouched_for(asked_at);
                self.breaker.success();
                self.retry(lease, reason, Duration::ZERO).await
            }
        }
    }

    /// Whether nothing ever came and nobody else is owed anything: then there is no "everybody" to compare with.
    async fn is_the_only_one(&self) -> Result<bool, ManifestError> {
        let nothing_came = self.health.known_good().is_none();
        Ok(nothing_came && self.manifest.call(|writer| writer.counts()).await?.owed() <= 1)
    }

    /// Whether a failure of this task may be everybody's.
    fn is_in_doubt(&self, lease: &TaskLease) -> bool {
        self.health.failed(lease.task.id) || self.breaker.is_down() || self.is_last_chance(lease)
    }

    /// Asks for something that should be answered, and fails only with its source. None if the run is to stop.
    async fn is_source_down(&self) -> Option<bool> {
        Some(match self.control().await? {
            ControlAnswer::Unwell(_) => true,
            ControlAnswer::Good | ControlAnswer::KeyRefused | ControlAnswer::Evasive => false,
        })
    }

    /// Whether this failure gives the task up, and nothing that was asked after it has shown that the source is there.
    fn is_last_chance(&self, lease: &TaskLease) -> bool {
        self.is_spent(lease) && self.health.is_dry_since(lease.failed_at)
    }

    /// Whether one more failure gives the task up.
    fn is_spent(&self, lease: &TaskLease) -> bool {
        let failing = lease.failing_since.map_or(Duration::ZERO, |since| lease.failed_at - since);
        self.retry_policy.pause(lease.failures + 1, failing, 0.0).is_none()
    }

    /// One request too many. It spends an attempt of a task that alone is refused, or while most others are let in:
    /// else the pace is the reason, which everyone lowers.
    async fn slow_down(
        &self,
        lease: &mut TaskLease,
        ticket: &BreakerPass<'_>,
        reason: String,
        retry_after: Option<Duration>,
        sent_at: Instant,
    ) -> Result<PageStep, ManifestError> {
        let since = lease.refused.map_or(sent_at, |(at, _)| at);
        let (tally, is_alone) = self.health.refused(lease.task.id, since);
        let before = lease.refused.replace((sent_at, tally));
        if before.is_some_and(|(_, before)| tally.most_were_let_in_since(before)) {
            // No pace will do.
            let pause = retry_after.unwrap_or_default().min(LONGEST_PAUSE);
            return self.retry(lease, reason, pause).await;
        }
        let pause = self.pacer.slow_down(retry_after);
        self.keep_pace().await?;
        if is_alone && self.is_last_chance(lease) {
            return self.unwell(lease, ticket, reason).await;
        }
        if is_alone || self.is_let_in().await {
            return self.retry(lease, reason, pause).await;
        }
        let waited = self.health.failing_for();
        let is_in_vain = self.pacer.pauses_in_a_row() > 1 && waited + pause > self.retry_policy.max_time;
        if is_in_vain || waited > self.retry_policy.max_time {
            self.stop.request(StopReason::SourceLost(reason.clone()));
        }
        if self.stop.is_requested() {
            return self.release(lease.task.id).await;
        }
        let (id, failures) = (lease.task.id, lease.failures);
        self.manifest.call(move |writer| writer.retry(id, failures, &reason)).await?;
        Ok(PageStep::Park(Instant::now() + pause))
    }

    /// Whether, when one pause has followed the other and nobody was let in, at least what is known to be good is.
    async fn is_let_in(&self) -> bool {
        if self.pacer.pauses_in_a_row() < 2 || self.health.known_good().is_none() {
            return false;
        }
        let _asking = self.asking.lock().await;
        if self.pacer.pauses_in_a_row() < 2 {
            return false;
        }
        let is_let_in = self.control().await == Some(ControlAnswer::Good);
        if is_let_in {
            self.pacer.accepted();
        }
        is_let_in
    }

    /// Asks once more for a page that came in this run; if there was none, the control question. None if the run is to
    /// stop, or the budget of requests is spent.
    async fn control(&self) -> Option<ControlAnswer> {
        if !self.counters.take_request(self.max_requests) {
            self.stop.request(StopReason::Requests);
            return None;
        }
        let asked = async {
            self.pacer.permit().await;
            let Some(good) = self.health.known_good() else { return self.source.control().await };
            let page = self.source.page(&good.question, &good.place).await;
            page.map_or_else(|error| ControlAnswer::from(&error), |_| ControlAnswer::Good)
        };
        self.stop.unless_requested(asked).await
    }

    /// Judges the task or the key by the control question.
    async fn key_refused(&self, lease: &mut TaskLease, reason: String) -> Result<PageStep, ManifestError> {
        match self.control_unless_in_vain().await {
            None => self.release(lease.task.id).await,
            Some(ControlAnswer::Good) => {
                self.breaker.success();
                self.end(lease, TaskEvent::Refused, reason).await
            }
            Some(ControlAnswer::KeyRefused) => {
                self.stop.request(StopReason::KeyRefused(reason));
                self.release(lease.task.id).await
            }
            Some(ControlAnswer::Evasive | ControlAnswer::Unwell(_)) => {
                Ok(self.put_aside(lease, Suspicion::Key, reason))
            }
        }
    }

    /// The control question, unless its answer did not help before.
    async fn control_unless_in_vain(&self) -> Option<ControlAnswer> {
        if self.auth_probe.is_empty() { self.control().await } else { Some(ControlAnswer::Evasive) }
    }

    /// The task keeps its state until somebody can judge it.
    fn put_aside(&self, lease: &TaskLease, suspicion: Suspicion, reason: String) -> PageStep {
        if self.auth_probe.put_aside(lease.task.id, &lease.task.symbol, suspicion, reason.clone()) {
            self.stop.request(suspected(suspicion, reason));
        }
        PageStep::Settled
    }

    /// Keeps the pace for the next run, if it is slower than the one that was set.
    pub(super) async fn keep_pace(&self) -> Result<(), ManifestError> {
        let rate = self.rate.to_string();
        let pace = self.pacer.learned().map(|pace| (pace.per_second, pace.refused));
        self.manifest.call(move |writer| writer.save_pace(&rate, pace)).await
    }

    /// Any answer but a refusal of key or address shows that both are good.
    pub(super) async fn answered(&self, sent_at: Instant) -> Result<(), ManifestError> {
        self.breaker.success();
        for suspect in self.auth_probe.answered(sent_at) {
            self.counters.task_ended();
            self.manifest
                .call(move |writer| writer.end(suspect.task, suspect.suspicion.cleared(), &suspect.reason))
                .await?;
        }
        Ok(())
    }

    /// Gives back what still waited when the last worker ended. A suspicion that no answer has cleared is
    /// taken for true.
    pub(super) async fn settle_leftovers(&self) -> Result<(), ManifestError> {
        let leftovers = self.queue.leftovers().await;
        for id in leftovers.parked {
            self.release(id).await?;
        }
        for (id, reason) in leftovers.deferred {
            self.stop.request(StopReason::NotYet(reason));
            self.release(id).await?;
        }
        for suspect in self.auth_probe.leftovers() {
            self.stop.request(suspected(suspect.suspicion, suspect.reason));
            self.release(suspect.task).await?;
        }
        Ok(())
    }
}

/// What a first answer that is none of the service throws a doubt on.
pub(super) fn elsewhere(disposition: Disposition) -> Option<Suspicion> {
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

/// What a suspicion that is taken for true stops the run for.
fn suspected(suspicion: Suspicion, reason: String) -> StopReason {
    match suspicion {
        Suspicion::Key => StopReason::KeyRefused(reason),
        Suspicion::Route | Suspicion::Redirect => StopReason::Unreachable(reason),
    }
}
