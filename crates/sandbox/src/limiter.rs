//! The rate limit: a number of requests a minute, with one of two definitions of that minute.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    options::{PlanRateLimit, RateWindow},
    refusal::Refusal,
};

const MINUTE: Duration = Duration::from_mins(1);

/// Accepts as many requests as a limit allows.
pub(super) struct Limiter {
    limit: PlanRateLimit,
    /// When the requests that still count were accepted, oldest first.
    admitted: Mutex<VecDeque<Instant>>,
}

impl Limiter {
    pub fn new(limit: PlanRateLimit) -> Self {
        Self { limit, admitted: Mutex::default() }
    }

    /// Accepts one more request, or refuses it. A refused request does not count.
    pub fn admit(&self, at: Instant) -> Result<(), Refusal> {
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |earlier: &Instant| at.duration_since(*earlier);
        let is_over = |earlier: Option<&Instant>| earlier.is_some_and(|earlier| age(earlier) >= MINUTE);
        match self.limit.window {
            RateWindow::Sliding => {
                while is_over(admitted.front()) {
                    admitted.pop_front();
                }
            }
            RateWindow::Fixed if is_over(admitted.front()) => admitted.clear(),
            RateWindow::Fixed => {}
        }
        let is_full = admitted.len() >= self.limit.per_minute.get() as usize;
        // Both kinds of window accept a request again once the oldest one that counts is a minute old.
        if let Some(oldest) = admitted.front().filter(|_| is_full) {
            return Err(self.refusal(MINUTE.saturating_sub(age(oldest))));
        }
        admitted.push_back(at);
        Ok(())
    }

    fn refusal(&self, wait: Duration) -> Refusal {
        // Rounded up: a client that waits this long is not too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let retry_after = self.limit.retry_after.then_some(seconds);
        Refusal::TooManyRequests { body: self.limit.body, retry_after }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{super::options::TooManyBody, *};

    /// Two requests a minute, with a `Retry-After` for further ones.
    const TWO: PlanRateLimit = PlanRateLimit {
        per_minute: NonZeroU32::new(2).unwrap(),
        window: RateWindow::Sliding,
        body: TooManyBody::Empty,
        retry_after: true,
    };

    /// How a limit treats requests at these ms: None if it accepts one, else the seconds of its `Retry-After`.
    fn waits<const N: usize>(limit: PlanRateLimit, times: [u64; N]) -> [Option<u64>; N] {
        let (limiter, start) = (Limiter::new(limit), Instant::now());
        let refusal = |ms| limiter.admit(start + Duration::from_millis(ms)).err();
        times.map(|ms| refusal(ms).map(|refusal| refusal.retry_after().unwrap()))
    }

    #[test]
    fn a_sliding_minute_has_no_room_for_two_bursts() {
        let times = [0, 50, 59, 60, 61, 110, 111].map(|second| second * 1_000);
        let sliding = [None, None, Some(1), None, Some(49), None, Some(9)];
        assert_eq!(waits(TWO, times), sliding);
    }

    #[test]
    fn a_fixed_minute_may_have_a_burst_at_its_end_and_the_next_one_at_its_beginning() {
        let fixed = PlanRateLimit { window: RateWindow::Fixed, ..TWO };
        let times = [0, 59, 59, 60, 60, 61, 119, 120].map(|second| second * 1_000);
        assert_eq!(waits(fixed, times), [None, None, Some(1), None, None, Some(59), Some(1), None]);
    }

    #[test]
    fn a_fixed_minute_begins_with_a_request() {
        let fixed = PlanRateLimit { window: RateWindow::Fixed, ..TWO };
        let times = [0, 100, 150, 155, 160].map(|second| second * 1_000);
        assert_eq!(waits(fixed, times), [None, None, None, Some(5), None]);
    }

    #[test]
    fn the_wait_is_rounded_up() {
        let times = [0, 0, 0, 1, 1_000, 58_999, 59_000, 59_001, 59_999, 60_000];
        let waits = waits(TWO, times).map(Option::unwrap_or_default);
        assert_eq!(waits, [0, 0, 60, 60, 59, 2, 1, 1, 1, 0]);
    }

    #[test]
    fn nothing_is_said_of_the_wait_unless_the_plan_says_it() {
        let limiter = Limiter::new(PlanRateLimit::per_minute(NonZeroU32::MIN));
        let now = Instant::now();
        let refusal = Refusal::TooManyRequests { body: TooManyBody::Json, retry_after: None };
        assert_eq!([limiter.admit(now), limiter.admit(now)], [Ok(()), Err(refusal)]);
    }
}
