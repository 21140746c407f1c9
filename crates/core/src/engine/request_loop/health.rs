//! Whether a failure concerns one item or all of them.
//!
//! One failed request cannot tell. While other requests are answered, a failure is the item's own. If several items
//! fail in a row without an answer in between, or one would be given up, the source itself is in doubt. Then a request
//! that was answered before is repeated, or else the control request is sent: if that fails too, the source is down,
//! and all wait.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// This many different items that fail in a row are no coincidence, even if a third of all responses is broken.
const ITEMS: usize = 8;

/// The results of the latest requests of all items. `I` tells items apart, `R` is a request.
#[derive(Debug)]
pub(super) struct SourceHealth<I, R> {
    state: Mutex<HealthState<I, R>>,
}

#[derive(Debug)]
struct HealthState<I, R> {
    /// When the first request failed after the last proof that the source is there.
    failing_since: Option<Instant>,
    /// When the latest request was sent that proved that the source can be reached, by its answer or as the control request.
    last_proof: Option<Instant>,
    /// The request with the smallest answer, and its bytes: it is known to be good.
    good: Option<(R, u64)>,
    /// The items whose requests failed since the last proof.
    failed: HashSet<I>,
    tally: RateLimitCounts,
    /// The last two items that were refused with a 429.
    refused: [Option<(I, Instant)>; 2],
}

/// The numbers of requests that were let in so far, and that were refused with a 429.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct RateLimitCounts {
    answers: u64,
    refusals: u64,
}

impl RateLimitCounts {
    /// Whether most other requests were let in between two refusals of one item.
    pub(super) fn most_were_let_in_since(self, before: Self) -> bool {
        self.answers - before.answers > self.refusals - before.refusals - 1
    }
}

impl<I: Copy + Eq + Hash, R: Clone> SourceHealth<I, R> {
    /// Starts in good health.
    pub(super) fn new() -> Self {
        let state = HealthState {
            failing_since: None,
            last_proof: None,
            good: None,
            failed: HashSet::new(),
            tally: RateLimitCounts::default(),
            refused: [None; 2],
        };
        Self { state: Mutex::new(state) }
    }

    /// Records the answer to a request that was sent at `sent_at`, and its bytes.
    pub(super) fn answer_came(&self, request: &R, bytes: u64, sent_at: Instant) {
        let mut state = self.locked();
        state.failing_since = None;
        state.last_proof = state.last_proof.max(Some(sent_at));
        state.failed.clear();
        state.tally.answers += 1;
        if state.good.as_ref().is_none_or(|(_, smallest)| bytes < *smallest) {
            state.good = Some((request.clone(), bytes));
        }
    }

    /// A request that was answered in this run.
    pub(super) fn known_good(&self) -> Option<R> {
        self.locked().good.as_ref().map(|(good, _)| good.clone())
    }

    /// Records that the control request of `asked_at` was answered: then failures are the items' own.
    pub(super) fn vouched_for(&self, asked_at: Instant) {
        let mut state = self.locked();
        state.failing_since = None;
        state.last_proof = state.last_proof.max(Some(asked_at));
        state.failed.clear();
    }

    /// Whether any request was answered in this run.
    pub(super) fn has_known_good(&self) -> bool {
        self.locked().good.is_some()
    }

    /// Records a failed request of `item`. Returns whether too many items have failed in a row for that to be their own fault.
    pub(super) fn failed(&self, item: I) -> bool {
        let mut state = self.locked();
        state.failing_since.get_or_insert_with(Instant::now);
        state.failed.insert(item);
        state.failed.len() >= ITEMS
    }

    /// Whether no request that was sent after `since` has shown that the source is there. An answer that was under way
    /// then may have left the source before it went away.
    pub(super) fn is_dry_since(&self, since: Instant) -> bool {
        self.locked().last_proof.is_none_or(|last| last <= since)
    }

    /// For how long requests have failed without a proof that the source is there.
    pub(super) fn failing_for(&self) -> Duration {
        self.locked().failing_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Records that a request of `item` was refused with a 429. Returns how many requests were let in and refused so
    /// far, this one included, and whether no other item was refused since `since`.
    pub(super) fn refused(&self, item: I, since: Instant) -> (RateLimitCounts, bool) {
        let mut state = self.locked();
        state.failing_since.get_or_insert_with(Instant::now);
        state.tally.refusals += 1;
        if state.refused[0].is_none_or(|(latest, _)| latest != item) {
            state.refused[1] = state.refused[0];
        }
        state.refused[0] = Some((item, Instant::now()));
        (state.tally, state.refused[1].is_none_or(|(_, at)| at < since))
    }

    /// The state is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, HealthState<I, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::TaskId;

    type Health = SourceHealth<TaskId, &'static str>;

    fn page_came(health: &Health, symbol: &'static str, bytes: u64) {
        health.answer_came(&symbol, bytes, Instant::now());
    }

    #[test]
    fn several_tasks_in_a_row_raise_a_doubt_and_a_page_ends_it() {
        let health = Health::new();
        let failed = |id| health.failed(TaskId::made_up(id));
        assert_eq!([failed(1), failed(1), failed(2), failed(1)], [false; 4]);
        page_came(&health, "A", 10);
        assert_eq!([3, 4, 5, 6, 7, 8, 9].map(failed), [false; 7]);
        assert!(failed(10));
        health.vouched_for(Instant::now());
        assert!(!failed(11));
    }

    #[test]
    fn the_smallest_page_is_the_one_to_ask_for_again() {
        let health = Health::new();
        assert!(health.known_good().is_none());
        for (symbol, bytes) in [("A", 50), ("B", 10), ("C", 30)] {
            page_came(&health, symbol, bytes);
        }
        assert_eq!(health.known_good(), Some("B"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_alone_is_refused_is_known_and_who_is_refused_while_most_are_let_in() {
        let health = Health::new();
        let (one, two) = (TaskId::made_up(1), TaskId::made_up(2));
        let begin = Instant::now();
        let (first, alone) = health.refused(one, begin);
        assert!(alone);
        assert!(!health.refused(two, begin).1, "1 was refused too");
        page_came(&health, "A", 10);
        let (second, _) = health.refused(one, begin);
        assert!(!second.most_were_let_in_since(first), "one was, and one was not");
        page_came(&health, "A", 10);
        assert!(health.refused(one, begin).0.most_were_let_in_since(second));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(health.refused(one, Instant::now()).1, "2 was refused long before");
    }
}
