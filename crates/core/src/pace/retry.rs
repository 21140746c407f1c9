//! How often and after which pause a failed page is requested again.

use std::time::Duration;

/// Retries of one page are bounded by their number and by the time since the first failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests for one page, the first one included.
    pub max_attempts: u32,
    /// From the first failure of a page to its last attempt.
    pub max_time: Duration,
}

/// The pause after the first failure.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST: Duration = Duration::from_mins(1);

impl RetryPolicy {
    /// The pause before the attempt after `failures` failures. None if no attempt is left.
    ///
    /// It doubles each time; `jitter`, from 0 to 1, shortens it by up to half, so that requests that failed together
    /// are not all sent again at once.
    #[must_use]
    pub fn pause(self, failures: u32, since_first: Duration, jitter: f64) -> Option<Duration> {
        if failures >= self.max_attempts {
            return None;
        }
        let pause = backoff(failures, jitter);
        (since_first + pause <= self.max_time).then_some(pause)
    }
}

/// The pause after `failures` failures in a row, without any bound on their number.
#[must_use]
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(LONGEST).mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { max_attempts: 8, max_time: Duration::from_mins(10) };

    #[test]
    fn eight_attempts_with_growing_pauses() {
        let pauses: Vec<_> =
            (1..=8).map(|n| POLICY.pause(n, Duration::ZERO, 0.0).map(|p| p.as_millis())).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 16_000, 32_000].map(Some).into_iter().chain([None]);
        assert_eq!(pauses, expected.collect::<Vec<_>>());
    }

    #[test]
    fn time_bounds_as_well_as_number() {
        assert!(POLICY.pause(3, Duration::from_secs(597), 0.0).is_some());
        assert_eq!(POLICY.pause(3, Duration::from_secs(599), 0.0), None);
    }

    #[test]
    fn jitter_takes_up_to_half_away_and_pauses_stay_within_a_minute() {
        assert_eq!(backoff(3, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(u32::MAX, 0.0), LONGEST);
    }
}
