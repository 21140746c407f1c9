//! Is a failure the task's own fault, or everybody's?
//!
//! One failed page cannot tell. While pages of other tasks come, a failure is its task's own. When several tasks fail
//! in a row and no page comes in between, or pages came and a task would be given up although nobody has had one since,
//! the source itself is in doubt: a control question follows, and without an answer to it everyone waits.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::manifest::TaskId;

/// So many different tasks that fail in a row are no coincidence.
const TASKS: usize = 3;

/// What became of the latest requests of all tasks.
#[derive(Debug)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    begun: Instant,
    /// When the last page came.
    last_page: Option<Instant>,
    /// The tasks whose requests failed since then.
    failed: HashSet<TaskId>,
    /// The last two tasks that were refused as one request too many.
    refused: [Option<(TaskId, Instant)>; 2],
}

impl Health {
    /// Good health, until something else is known.
    pub(super) fn new() -> Self {
        let state =
            State { begun: Instant::now(), last_page: None, failed: HashSet::new(), refused: [None; 2] };
        Self { state: Mutex::new(state) }
    }

    /// A page came.
    pub(super) fn page_came(&self) {
        let mut state = self.locked();
        state.last_page = Some(Instant::now());
        state.failed.clear();
    }

    /// The control question was answered: what fails fails for reasons of its own.
    pub(super) fn vouched_for(&self) {
        self.locked().failed.clear();
    }

    /// A request of `task` failed. True if too many tasks have failed in a row for that to be their own fault.
    pub(super) fn failed(&self, task: TaskId) -> bool {
        let mut state = self.locked();
        state.failed.insert(task);
        state.failed.len() >= TASKS
    }

    /// Whether a page came after `since`.
    pub(super) fn has_page_since(&self, since: Instant) -> bool {
        self.locked().last_page.is_some_and(|last| last > since)
    }

    /// Whether pages came, but none after `since`.
    pub(super) fn is_dry_since(&self, since: Instant) -> bool {
        self.locked().last_page.is_some_and(|last| last <= since)
    }

    /// For how long no page came.
    pub(super) fn drought(&self) -> Duration {
        let state = self.locked();
        state.last_page.unwrap_or(state.begun).elapsed()
    }

    /// A request of `task` was refused as one too many. True if no other task was refused since `since`: then the
    /// pace is not the reason.
    pub(super) fn is_singled_out(&self, task: TaskId, since: Instant) -> bool {
        let mut state = self.locked();
        if state.refused[0].is_none_or(|(latest, _)| latest != task) {
            state.refused[1] = state.refused[0];
        }
        state.refused[0] = Some((task, Instant::now()));
        state.refused[1].is_none_or(|(_, at)| at < since)
    }

    /// The state is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_tasks_in_a_row_raise_a_doubt_and_a_page_ends_it() {
        let health = Health::new();
        let failed = |id| health.failed(TaskId::made_up(id));
        assert_eq!([failed(1), failed(1), failed(2), failed(1)], [false; 4]);
        health.page_came();
        assert_eq!([failed(3), failed(4), failed(5)], [false, false, true]);
        health.vouched_for();
        assert!(!failed(5));
    }

    #[tokio::test(start_paused = true)]
    async fn who_alone_is_refused_is_singled_out() {
        let health = Health::new();
        let (one, two) = (TaskId::made_up(1), TaskId::made_up(2));
        let begin = Instant::now();
        assert!(health.is_singled_out(one, begin));
        assert!(health.is_singled_out(one, begin));
        assert!(!health.is_singled_out(two, begin), "1 was refused too");
        tokio::time::advance(Duration::from_secs(5)).await;
        let later = Instant::now();
        assert!(health.is_singled_out(two, later), "1 was refused long before");
        assert!(!health.is_singled_out(one, later));
    }
}
