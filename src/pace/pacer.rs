//! One pacer for all workers: no request, retry included, leaves without its permit.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::model::Rate;

/// Permits are this much farther apart than the rate demands (2 %): a request that is delayed on its way must not
/// fall into one window with those behind it.
const MARGIN: f64 = 1.02;

/// The first pause after a 429 without `Retry-After`, where the rate has no longer period. It doubles from there.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that is taken of our own accord or on the server's word.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Spaces requests evenly. Evenly, because a burst of five and then one every twelve seconds would be nine in a
/// sliding minute; the vendor's limit is on the window, not on the average.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    period: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next permit is due.
    next: Instant,
    /// No permit is given before.
    paused_until: Instant,
    /// Pauses since the last request that was let in.
    pauses: u32,
}

impl Pacer {
    /// A pacer whose first permit is due at once.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let (interval, period) = match rate {
            Rate::Unlimited => (Duration::ZERO, Duration::ZERO),
            Rate::Limited { requests, period } => ((period / requests.get()).mul_f64(MARGIN), period),
        };
        let now = Instant::now();
        Self { interval, period, state: Mutex::new(State { next: now, paused_until: now, pauses: 0 }) }
    }

    /// Waits for leave to send one request.
    ///
    /// # Cancellation
    /// A permit that was waited for in vain is lost: the next one is not earlier.
    pub async fn permit(&self) {
        loop {
            let due = self.reserve();
            sleep_until(due).await;
            // A pause that began meanwhile has moved everyone behind it: take a new place in the line.
            if self.locked().paused_until <= due {
                return;
            }
        }
    }

    /// The server has refused a request as one too many: nobody asks for a while. Answers for how long.
    ///
    /// Refusals that come in during a pause belong to the requests that were under way when it began.
    pub fn slow_down(&self, retry_after: Option<Duration>) -> Duration {
        let now = Instant::now();
        let mut state = self.locked();
        if state.paused_until <= now {
            let doubled = FIRST_PAUSE.saturating_mul(1 << state.pauses.min(16));
            let pause = retry_after.unwrap_or(doubled.max(self.period)).min(LONGEST_PAUSE);
            state.pauses += 1;
            state.paused_until = now + pause;
            state.next = state.next.max(state.paused_until);
        }
        state.paused_until - now
    }

    /// The server has answered: the pauses were long enough.
    pub fn let_in(&self) {
        self.locked().pauses = 0;
    }

    fn reserve(&self) -> Instant {
        let mut state = self.locked();
        let due = state.next.max(Instant::now());
        state.next = due + self.interval;
        due
    }

    /// The state is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The instants of `count` permits taken by four workers.
    async fn permits(pacer: &Arc<Pacer>, count: usize) -> Vec<Duration> {
        let begin = Instant::now();
        let workers = (0..4).map(|worker| {
            let pacer = Arc::clone(pacer);
            let share = count / 4 + usize::from(worker < count % 4);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for _ in 0..share {
                    pacer.permit().await;
                    taken.push(begin.elapsed());
                }
                taken
            })
        });
        let mut all = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            all.extend(worker.await.unwrap());
        }
        all.sort();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_five_in_any_sliding_minute_and_nearly_as_many() {
        let taken = permits(&Arc::new(Pacer::new("5/min".parse().unwrap())), 100).await;
        assert_eq!(taken[0], Duration::ZERO);
        for first in 0..taken.len() - 5 {
            assert!(taken[first + 5].saturating_sub(taken[first]) > Duration::from_mins(1));
        }
        let used = 60.0 * 99.0 / taken[99].as_secs_f64();
        assert!(used >= 5.0 * 0.95, "{used} a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let taken = permits(&Arc::new(Pacer::new(Rate::Unlimited)), 1000).await;
        assert_eq!(taken[999], Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_stops_everyone_also_those_who_wait_already() {
        let pacer = Arc::new(Pacer::new("10/s".parse().unwrap()));
        let waiting = tokio::spawn({
            let pacer = Arc::clone(&pacer);
            async move { permits(&pacer, 8).await }
        });
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(pacer.slow_down(Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert!(pacer.slow_down(None) <= Duration::from_secs(30), "the same pause");
        let taken = waiting.await.unwrap();
        assert_eq!(taken.iter().filter(|at| at.as_millis() < 250).count(), 3);
        assert!(taken[3] >= Duration::from_millis(30_250));
        assert!(
            taken[4].saturating_sub(taken[3]) >= Duration::from_millis(100),
            "the line re-forms, it does not burst"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_a_request_is_let_in_and_absurd_ones_are_cut() {
        let pacer = Pacer::new(Rate::Unlimited);
        for expected in [1, 2, 4] {
            assert_eq!(pacer.slow_down(None).as_secs(), expected);
            pacer.permit().await;
        }
        pacer.let_in();
        assert_eq!(pacer.slow_down(None).as_secs(), 1);
        pacer.permit().await;
        assert_eq!(pacer.slow_down(Some(Duration::from_secs(u64::MAX))), LONGEST_PAUSE);
        assert_eq!(Pacer::new("5/min".parse().unwrap()).slow_down(None).as_secs(), 60);
    }
}
