//! How often one question was asked, and with what success.

use std::time::Duration;

use tokio::time::Instant;

use super::health::RateLimitCounts;
use crate::pace::RetryPolicy;

/// The attempts at one question, from its first request until it is answered.
#[derive(Debug)]
pub(in crate::engine) struct Attempts {
    is_asked: bool,
    /// Failed attempts that were spent.
    failures: u32,
    /// How many of them were refused as badly asked.
    pub(super) bad_requests: u32,
    /// When the last request failed: what is decided about it is decided as of then.
    failed_at: Instant,
    /// When the first of them failed.
    failing_since: Option<Instant>,
    /// When the request left that was last refused as one too many, and what became of everybody's until then.
    pub(super) rate_limited: Option<(Instant, RateLimitCounts)>,
    /// Whether it was let off once because the source was down when it failed, and has not been seen down since.
    is_let_off: bool,
}

impl Attempts {
    /// Before the first request.
    pub(in crate::engine) fn new() -> Self {
        Self {
            is_asked: false,
            failures: 0,
            bad_requests: 0,
            failed_at: Instant::now(),
            failing_since: None,
            rate_limited: None,
            is_let_off: false,
        }
    }

    /// Notes that the request leaves. Returns whether it left before.
    pub(in crate::engine) fn note_sent(&mut self) -> bool {
        std::mem::replace(&mut self.is_asked, true)
    }

    /// The question changes in a part that does not matter for its failures: it was not asked like this before.
    pub(in crate::engine) fn ask_anew(&mut self) {
        self.is_asked = false;
    }

    /// Failed attempts that were spent.
    pub(in crate::engine) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the last request failed.
    pub(super) fn failed_at(&self) -> Instant {
        self.failed_at
    }

    /// Notes that the request failed. Whether that spends an attempt is not known yet.
    pub(super) fn note_failure(&mut self) {
        self.failed_at = Instant::now();
    }

    /// Spends an attempt. Returns the pause before the next one; None if none is left.
    pub(super) fn spend(&mut self, policy: RetryPolicy, jitter: f64) -> Option<Duration> {
        self.failures += 1;
        let since_first = self.failed_at - *self.failing_since.get_or_insert(self.failed_at);
        policy.pause(self.failures, since_first, jitter)
    }

    /// Lets a failure off that may be of an outage which is over by now. False if that was done before: then it is the
    /// question's own.
    pub(super) fn let_off(&mut self) -> bool {
        !std::mem::replace(&mut self.is_let_off, true)
    }

    /// The source was seen down: the next failure may be let off again.
    pub(super) fn note_outage(&mut self) {
        self.is_let_off = false;
    }

    /// Whether one more failure is the last.
    pub(super) fn is_spent(&self, policy: RetryPolicy) -> bool {
        let failing = self.failing_since.map_or(Duration::ZERO, |since| self.failed_at - since);
        policy.pause(self.failures + 1, failing, 0.0).is_none()
    }
}
