//! The number of tasks in each state: those that were requested, and repairs of them.

use serde::Serialize;

use super::TaskState;

/// The number of tasks in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaskCounts {
    /// All of them.
    pub total: u64,
    /// See [`TaskState::Pending`].
    pub pending: u64,
    /// See [`TaskState::Running`].
    pub running: u64,
    /// See [`TaskState::Done`].
    pub done: u64,
    /// See [`TaskState::Empty`].
    pub empty: u64,
    /// See [`TaskState::NotEntitled`].
    pub not_entitled: u64,
    /// See [`TaskState::NotFound`].
    pub not_found: u64,
    /// See [`TaskState::Failed`].
    pub failed: u64,
}

/// All tasks of a manifest. The outstanding work and the exit code of a run depend on both kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Tasks that the user has requested, or that an update has added.
    pub tasks: TaskCounts,
    /// Tasks that request days of these again: of repairs, and of updates for gaps.
    pub repairs: TaskCounts,
}

impl TaskCounts {
    /// Adds `tasks` tasks in `state`.
    pub(super) fn add(&mut self, state: TaskState, tasks: u64) {
        self.total += tasks;
        *self.of_mut(state) += tasks;
    }

    /// Subtracts `tasks` tasks in `state`.
    pub(super) fn take(&mut self, state: TaskState, tasks: u64) {
        self.total -= tasks;
        *self.of_mut(state) -= tasks;
    }

    fn of_mut(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Pending => &mut self.pending,
            TaskState::Running => &mut self.running,
            TaskState::Done => &mut self.done,
            TaskState::Empty => &mut self.empty,
            TaskState::NotEntitled => &mut self.not_entitled,
            TaskState::NotFound => &mut self.not_found,
            TaskState::Failed => &mut self.failed,
        }
    }

    fn all_released(mut self) -> Self {
        self.pending += std::mem::take(&mut self.running);
        self
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.pending + self.running
    }

    /// Tasks that ended neither with data nor with proof that there are no data.
    #[must_use]
    pub fn unsuccessful(&self) -> u64 {
        self.not_entitled + self.not_found + self.failed
    }
}

impl Workload {
    /// The counts once no process runs: running tasks count as pending.
    #[must_use]
    pub fn all_released(self) -> Self {
        Self { tasks: self.tasks.all_released(), repairs: self.repairs.all_released() }
    }

    /// Tasks of both kinds that have not ended.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.tasks.outstanding() + self.repairs.outstanding()
    }

    /// Tasks of both kinds that ended neither with data nor with proof that there are no data.
    #[must_use]
    pub fn unsuccessful(&self) -> u64 {
        self.tasks.unsuccessful() + self.repairs.unsuccessful()
    }

    /// Tasks of both kinds, including ended ones.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tasks.total + self.repairs.total
    }

    /// The tasks to watch: those that were requested, and repairs that have not ended.
    #[must_use]
    pub fn in_view(&self) -> TaskCounts {
        let TaskCounts { pending, running, .. } = self.repairs;
        let mut counts = self.tasks;
        counts.add(TaskState::Pending, pending);
        counts.add(TaskState::Running, running);
        counts
    }
}
