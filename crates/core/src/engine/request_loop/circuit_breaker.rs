//! The circuit breaker of all requests: while the connection is gone, all wait and one request probes.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};

use crate::pace::backoff;

/// If nothing was ever reached, this many failures in a row mean that nothing will be: a wrong host, no route.
const FAILURES_AT_START: u32 = 3;

/// A circuit breaker that starts half-open: the first request of a loop is its probe, before any attempt is spent.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    state: Mutex<State>,
    probe: Semaphore,
    patience: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No request has succeeded yet.
    Untried { failures: u32 },
    /// The last request succeeded.
    Up,
    /// There was a connection, and it is gone.
    Down { since: Instant, failures: u32 },
}

/// The right to send a request. Unless the breaker is closed there is only one.
#[derive(Debug)]
pub(in crate::engine) struct BreakerPass<'a> {
    breaker: &'a CircuitBreaker,
    probe: Option<SemaphorePermit<'a>>,
}

/// What a failure to connect means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakerState {
    /// Try again: [`CircuitBreaker::acquire`] waits for the right time.
    Wait,
    /// Nothing was ever reached, and nothing will be.
    Unreachable,
    /// The connection has been gone for too long.
    Lost,
}

impl BreakerPass<'_> {
    /// Whether this is the probe, which finds out whether the connection is back.
    pub(super) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Closes an untried breaker as soon as the first response body is complete; decoding need not finish first.
    pub(in crate::engine) fn response_arrived(&mut self) {
        // A breaker that was open closes only when a response is good.
        if self.breaker.is_untried() {
            self.breaker.success();
            self.probe = None;
        }
    }

    /// Records that the request found no connection. Of requests that were under way together, only the first failure counts.
    pub(super) fn failure(&self) -> BreakerState {
        self.breaker.failure(self.is_probe())
    }
}

impl CircuitBreaker {
    /// Creates a breaker that gives up when it has been open for `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { state: Mutex::new(State::Untried { failures: 0 }), probe: Semaphore::new(1), patience }
    }

    /// Waits until a request may be sent: at once while the breaker is closed, else as the only probe and after a pause.
    pub(super) async fn acquire(&self, jitter: f64) -> BreakerPass<'_> {
        if matches!(self.state(), State::Up) {
            return BreakerPass { breaker: self, probe: None };
        }
        // The semaphore is never closed; without a permit the request would just not be the only probe.
        let probe = self.probe.acquire().await.ok();
        match self.state() {
            State::Up => return BreakerPass { breaker: self, probe: None },
            State::Untried { failures: 0 } => {}
            State::Untried { failures } | State::Down { failures, .. } => {
                sleep(backoff(failures, jitter)).await;
            }
        }
        BreakerPass { breaker: self, probe }
    }

    /// Whether no request has succeeded yet.
    pub(super) fn is_untried(&self) -> bool {
        matches!(self.state(), State::Untried { .. })
    }

    /// Whether the connection, or the source behind it, is gone.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state(), State::Down { .. })
    }

    /// Closes the breaker: a request got a response, whatever it was.
    pub(super) fn success(&self) {
        self.set(State::Up);
    }

    fn failure(&self, is_probe: bool) -> BreakerState {
        let now = Instant::now();
        let (state, verdict) = match self.state() {
            State::Untried { failures } if failures + 1 >= FAILURES_AT_START => {
                (State::Untried { failures: failures + 1 }, BreakerState::Unreachable)
            }
            State::Untried { failures } => (State::Untried { failures: failures + 1 }, BreakerState::Wait),
            State::Up => (State::Down { since: now, failures: 1 }, BreakerState::Wait),
            State::Down { .. } if !is_probe => return BreakerState::Wait,
            State::Down { since, failures } => {
                let verdict =
                    if now - since >= self.patience { BreakerState::Lost } else { BreakerState::Wait };
                (State::Down { since, failures: failures + 1 }, verdict)
            }
        };
        self.set(state);
        verdict
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_request_goes_alone_and_the_others_follow_it() {
        let line = CircuitBreaker::new(Duration::from_mins(10));
        let first = line.acquire(0.0).await;
        let second = tokio::time::timeout(Duration::from_hours(1), line.acquire(0.0));
        assert!(second.await.is_err(), "the second waits for the first");
        line.success();
        drop(first);
        let (_a, _b) = (line.acquire(0.0).await, line.acquire(0.0).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_others_do_not_wait_until_the_first_answer_is_read() {
        let line = CircuitBreaker::new(Duration::from_mins(10));
        let mut first = line.acquire(0.0).await;
        first.response_arrived();
        line.acquire(0.0).await;

        first.failure();
        let mut probe = line.acquire(0.0).await;
        probe.response_arrived();
        assert!(line.is_down() && probe.is_probe(), "a line that was down is up only when an answer is good");
    }

    #[tokio::test(start_paused = true)]
    async fn three_failures_at_the_start_are_enough() {
        let line = CircuitBreaker::new(Duration::from_mins(10));
        let mut verdicts = Vec::new();
        for _ in 0..3 {
            let ticket = line.acquire(0.0).await;
            verdicts.push(ticket.failure());
        }
        assert_eq!(verdicts, [BreakerState::Wait, BreakerState::Wait, BreakerState::Unreachable]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_were_under_way_together_fail_as_one() {
        let line = CircuitBreaker::new(Duration::from_mins(10));
        line.success();
        let together = [line.acquire(0.0).await, line.acquire(0.0).await, line.acquire(0.0).await];
        for ticket in &together {
            assert_eq!(ticket.failure(), BreakerState::Wait);
        }
        let before = Instant::now();
        let _probe = line.acquire(0.0).await;
        assert_eq!(before.elapsed(), backoff(1, 0.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_waited_for_with_growing_pauses() {
        let line = CircuitBreaker::new(Duration::from_mins(10));
        line.success();
        let ticket = line.acquire(0.0).await;
        assert_eq!(ticket.failure(), BreakerState::Wait);
        let lost = Instant::now();
        loop {
            let ticket = line.acquire(0.0).await;
            if ticket.failure() == BreakerState::Lost {
                break;
            }
        }
        let waited = lost.elapsed();
        assert!(waited >= Duration::from_mins(10) && waited < Duration::from_mins(12), "{waited:?}");
    }
}
