//! Is a failure the task's own fault, or everybody's?
//!
//! One failed page cannot tell. While pages of other tasks come, a failure is its task's own. When several tasks fail
//! in a row and no page comes in between, or a task would be given up, the source itself is in doubt. Then a page that
//! came in this run is asked for once more, or else the control question: if that fails too, it is the source, and
//! everyone waits.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    manifest::TaskId,
    source::{BarsRequest, PagePosition},
};

/// So many different tasks that fail in a row are no coincidence, even if a third of all answers is broken.
const TASKS: usize = 8;

/// What became of the latest requests of all tasks.
#[derive(Debug)]
pub(super) struct SourceHealth {
    state: Mutex<HealthState>,
}

#[derive(Debug)]
struct HealthState {
    /// When the first request failed after the last proof that the source is there.
    failing_since: Option<Instant>,
    /// The latest request that proved the source to be there, by a page or as the control question: when it left.
    last_proof: Option<Instant>,
    /// The smallest page that came: a question that is known to be good.
    good: Option<(KnownGood, u64)>,
    /// The tasks whose requests failed since then.
    failed: HashSet<TaskId>,
    tally: RateLimitCounts,
    /// The last two tasks that were refused as one request too many.
    refused: [Option<(TaskId, Instant)>; 2],
}

/// A question that was answered in this run.
#[derive(Clone, Debug)]
pub(super) struct KnownGood {
    pub(super) question: BarsRequest,
    pub(super) place: PagePosition,
}

/// How many requests of all tasks were let in so far, and how many refused as one too many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateLimitCounts {
    pages: u64,
    refusals: u64,
}

impl RateLimitCounts {
    /// Whether, between two refusals of one task, most others were let in.
    pub(super) fn most_were_let_in_since(self, before: Self) -> bool {
        self.pages - before.pages > self.refusals - before.refusals - 1
    }
}

impl SourceHealth {
    /// Good health, until something else is known.
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

    /// A page of so many bytes came, which was asked for at `sent_at`.
    pub(super) fn page_came(
        &self,
        question: &BarsRequest,
        place: &PagePosition,
        bytes: u64,
        sent_at: Instant,
    ) {
        let mut state = self.locked();
        state.failing_since = None;
        state.last_proof = state.last_proof.max(Some(sent_at));
        state.failed.clear();
        state.tally.pages += 1;
        if state.good.as_ref().is_none_or(|(_, smallest)| bytes < *smallest) {
            let good = KnownGood { question: question.clone(), place: place.clone() };
            state.good = Some((good, bytes));
        }
    }

    /// A question that was answered in this run.
    pub(super) fn known_good(&self) -> Option<KnownGood> {
        self.locked().good.as_ref().map(|(good, _)| good.clone())
    }

    /// The control question of `asked_at` was answered: what fails fails for reasons of its own.
    pub(super) fn vouched_for(&self, asked_at: Instant) {
        let mut state = self.locked();
        state.failing_since = None;
        state.last_proof = state.last_proof.max(Some(asked_at));
        state.failed.clear();
    }

    /// A request of `task` failed. True if too many tasks have failed in a row for that to be their own fault.
    pub(super) fn failed(&self, task: TaskId) -> bool {
        let mut state = self.locked();
        state.failing_since.get_or_insert_with(Instant::now);
        state.failed.insert(task);
        state.failed.len() >= TASKS
    }

    /// Whether nothing that was asked after `since` has shown that the source is there. A page that was under way then
    /// may have left the source before it went away.
    pub(super) fn is_dry_since(&self, since: Instant) -> bool {
        self.locked().last_proof.is_none_or(|last| last <= since)
    }

    /// For how long requests have failed, and none has shown that the source is there.
    pub(super) fn failing_for(&self) -> Duration {
        self.locked().failing_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// A request of `task` was refused as one too many. Answers how many were let in and refused so far, this one
    /// included, and whether no other task was refused since `since`.
    pub(super) fn refused(&self, task: TaskId, since: Instant) -> (RateLimitCounts, bool) {
        let mut state = self.locked();
        state.failing_since.get_or_insert_with(Instant::now);
        state.tally.refusals += 1;
        if state.refused[0].is_none_or(|(latest, _)| latest != task) {
            state.refused[1] = state.refused[0];
        }
        state.refused[0] = Some((task, Instant::now()));
        (state.tally, state.refused[1].is_none_or(|(_, at)| at < since))
    }

    /// The state is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grab_model::Month;

    fn page_came(health: &SourceHealth, symbol: &str, bytes: u64) {
        let window = Month::new(2024, 1).unwrap().window();
        let question = BarsRequest { symbol: symbol.parse().unwrap(), window };
        health.page_came(&question, &PagePosition::Start, bytes, Instant::now());
    }

    #[test]
    fn several_tasks_in_a_row_raise_a_doubt_and_a_page_ends_it() {
        let health = SourceHealth::new();
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
        let health = SourceHealth::new();
        assert!(health.known_good().is_none());
        for (symbol, bytes) in [("A", 50), ("B", 10), ("C", 30)] {
            page_came(&health, symbol, bytes);
        }
        assert_eq!(health.known_good().unwrap().question.symbol.as_str(), "B");
    }

    #[tokio::test(start_paused = true)]
    async fn who_alone_is_refused_is_known_and_who_is_refused_while_most_are_let_in() {
        let health = SourceHealth::new();
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
