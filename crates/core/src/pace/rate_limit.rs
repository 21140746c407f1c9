//! The configured rate, as the pacer computes with it.

use std::time::Duration;

use grab_model::Rate;

/// Permits are this much farther apart than the rate demands (3 %): a request that is delayed on its way must not fall
/// into one window with those after it.
pub(super) const MARGIN: f64 = 1.03;

/// The additive increase regains the whole rate in this many of its periods, and in this time at least.
const PERIODS_TO_RECOVER: u32 = 10;
pub(super) const SHORTEST_RECOVERY: Duration = Duration::from_mins(1);

/// The longest window that processes share, in requests: the file of a shared pace has 16 bytes for each.
const LONGEST_SHARED_WINDOW: usize = 4096;

/// At most this many requests in any sliding period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RateLimit {
    pub(super) requests: usize,
    pub(super) period: Duration,
}

impl RateLimit {
    /// None if there is no limit.
    pub(super) fn of(rate: Rate) -> Option<Self> {
        match rate {
            Rate::Unlimited => None,
            Rate::Limited { requests, period } => Some(Self { requests: requests.get() as usize, period }),
        }
    }

    /// The same rate over a window that processes can share: a longer one is replaced by a part of it.
    pub(super) fn shareable(self) -> Self {
        if self.requests <= LONGEST_SHARED_WINDOW {
            return self;
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of requests is small")]
        let part = LONGEST_SHARED_WINDOW as f64 / self.requests as f64;
        Self { requests: LONGEST_SHARED_WINDOW, period: self.period.mul_f64(part) }
    }

    /// Requests a second.
    pub(super) fn per_second(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a number of requests is small")]
        let requests = self.requests as f64;
        requests / self.period.as_secs_f64()
    }

    /// How long the additive increase takes to regain the whole rate.
    pub(super) fn recovery(self) -> Duration {
        self.period.saturating_mul(PERIODS_TO_RECOVER).max(SHORTEST_RECOVERY)
    }
}
