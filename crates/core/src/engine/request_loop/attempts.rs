//! How often one request was sent, and with what result.

use std::time::Duration;

use tokio::time::Instant;

use super::health::RateLimitCounts;
use crate::pace::RetryPolicy;

/// The attempts at one request, from its first sending until it is answered.
#[derive(Debug)]
pub(in crate::engine) struct Attempts {
    is_requested: bool,
    /// Failed attempts that were spent.
    failures: u32,
    /// How many of them were refused as bad requests.
    pub(super) bad_requests: u32,
    /// When the last request failed: decisions about it are made as of then.
    failed_at: Instant,
    /// When the first of them failed.
    failing_since: Option<Instant>,
    /// When the request that was last refused with a 429 was sent, and the counts of all requests until then.
    pub(super) rate_limited: Option<(Instant, RateLimitCounts)>,
    /// Whether a failure was excused because the source was down then, and the source has not been down since.
    is_let_off: bool,
}

impl Attempts {
    /// Before the first request.
    pub(in crate::engine) fn new() -> Self {
        Self {
            is_requested: false,
            failures: 0,
            bad_requests: 0,
            failed_at: Instant::now(),
            failing_since: None,
            rate_limited: None,
            is_let_off: false,
        }
    }

    /// Records that the request is sent. Returns whether it was sent before.
    pub(in crate::engine) fn note_sent(&mut self) -> bool {
        std::mem::replace(&mut self.is_requested, true)
    }

    /// The request changes in a part that does not matter for its failures: it counts as not sent before.
    pub(in crate::engine) fn request_again(&mut self) {
        self.is_requested = false;
    }

    /// Failed attempts that were spent.
    pub(in crate::engine) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the last request failed.
    pub(super) fn failed_at(&self) -> Instant {
        self.failed_at
    }

    /// Records that the request failed. Whether that spends an attempt is not known yet.
    pub(super) fn note_failure(&mut self) {
        self.failed_at = Instant::now();
    }

    /// Spends an attempt. Returns the pause before the next one. None if no attempt is left.
    pub(super) fn spend(&mut self, policy: RetryPolicy, jitter: f64) -> Option<Duration> {
        self.failures += 1;
        let since_first = self.failed_at - *self.failing_since.get_or_insert(self.failed_at);
        policy.pause(self.failures, since_first, jitter)
    }

    /// Excuses a failure that may belong to an outage which is over by now. False if that was done before: then it is
    /// the request's own failure.
    pub(super) fn let_off(&mut self) -> bool {
        !std::mem::replace(&mut self.is_let_off, true)
    }

    /// Records that the source is down: the next failure may be excused again, and refusals until now do not count.
    pub(super) fn note_outage(&mut self) {
        self.is_let_off = false;
        self.bad_requests = 0;
    }

    /// Whether one more failure is the last.
    pub(super) fn is_spent(&self, policy: RetryPolicy) -> bool {
        let failing = self.failing_since.map_or(Duration::ZERO, |since| self.failed_at - since);
        policy.pause(self.failures + 1, failing, 0.0).is_none()
    }
}
