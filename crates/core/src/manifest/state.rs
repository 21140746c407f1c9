//! The state machine of a task: one pure function.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The state of a task. The names are public: `status`, `--json` and the `tasks` table use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// Not begun, or released.
    Pending,
    /// Leased by a live process. If it is found at start, a process has crashed.
    Running,
    /// The server said that the traversal is complete, and every bar is stored.
    Done,
    /// The server sent 200 with no bars for the whole window; the pages are the evidence.
    Empty,
    /// The plan does not include this window: never treated as empty.
    NotEntitled,
    /// The server does not know the symbol.
    NotFound,
    /// All retries failed, or a response contradicts its request.
    Failed,
}

/// The events of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskEvent {
    /// A worker leased it.
    Leased,
    /// A page was stored and another one follows.
    PageStored,
    /// The last page was stored, and the task has bars.
    Completed,
    /// The last page was stored, and no page had a bar.
    ProvenEmpty,
    /// A request failed and will be repeated.
    RetryScheduled,
    /// The run stopped before the task's end; cursor and bars stay.
    Released,
    /// The process that had leased it crashed.
    Crashed,
    /// The server refused it because of the plan or the key.
    Refused,
    /// The server does not know the symbol.
    Unknown,
    /// It cannot be completed: all retries failed, or a response contradicts its request.
    GivenUp,
    /// Requested again, by `resume --retry-failed` or by a repair.
    Reopened,
}

/// A transition that the state machine forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a task that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// The state of the task.
    pub state: TaskState,
    /// The event.
    pub event: TaskEvent,
}

impl TaskState {
    /// Every state, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Done,
        Self::Empty,
        Self::NotEntitled,
        Self::NotFound,
        Self::Failed,
    ];

    /// The state after `event`.
    ///
    /// # Errors
    /// If the machine has no such transition.
    pub fn after(self, event: TaskEvent) -> Result<Self, IllegalTransition> {
        use TaskEvent as E;
        use TaskState as S;
        match (self, event) {
            (S::Pending, E::Leased) | (S::Running, E::PageStored | E::RetryScheduled) => Ok(S::Running),
            (S::Running, E::Completed) => Ok(S::Done),
            (S::Running, E::ProvenEmpty) => Ok(S::Empty),
            (S::Running, E::Refused) => Ok(S::NotEntitled),
            (S::Running, E::Unknown) => Ok(S::NotFound),
            (S::Running, E::GivenUp) => Ok(S::Failed),
            (S::Running, E::Released | E::Crashed)
            | (S::Done | S::Empty | S::NotEntitled | S::NotFound | S::Failed, E::Reopened) => Ok(S::Pending),
            (
                S::Pending | S::Running | S::Done | S::Empty | S::NotEntitled | S::NotFound | S::Failed,
                E::Leased
                | E::PageStored
                | E::Completed
                | E::ProvenEmpty
                | E::RetryScheduled
                | E::Released
                | E::Crashed
                | E::Refused
                | E::Unknown
                | E::GivenUp
                | E::Reopened,
            ) => Err(IllegalTransition { state: self, event }),
        }
    }

    /// Whether the task needs no more work, unless it is re-opened.
    #[must_use]
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Whether it was fetched to its end, with bars or without.
    #[must_use]
    pub fn is_covered(self) -> bool {
        matches!(self, Self::Done | Self::Empty)
    }

    /// The public name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Empty => "empty",
            Self::NotEntitled => "not_entitled",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TaskState {
    type Err = super::ManifestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || super::ManifestError::Corrupt(format!("a task in state {text:?}"));
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(unknown)
    }
}

impl TaskEvent {
    /// Every event.
    pub const ALL: [Self; 11] = [
        Self::Leased,
        Self::PageStored,
        Self::Completed,
        Self::ProvenEmpty,
        Self::RetryScheduled,
        Self::Released,
        Self::Crashed,
        Self::Refused,
        Self::Unknown,
        Self::GivenUp,
        Self::Reopened,
    ];

    /// The name in the `events` table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::PageStored => "page_stored",
            Self::Completed => "completed",
            Self::ProvenEmpty => "proven_empty",
            Self::RetryScheduled => "retry_scheduled",
            Self::Released => "released",
            Self::Crashed => "crashed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::GivenUp => "given_up",
            Self::Reopened => "reopened",
        }
    }
}

impl fmt::Display for TaskEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The legal transitions, written a second time as a table. Every pair that is not here must be refused.
    const LEGAL: &[(&str, &str, &str)] = &[
        ("pending", "leased", "running"),
        ("running", "page_stored", "running"),
        ("running", "retry_scheduled", "running"),
        ("running", "completed", "done"),
        ("running", "proven_empty", "empty"),
        ("running", "refused", "not_entitled"),
        ("running", "unknown", "not_found"),
        ("running", "given_up", "failed"),
        ("running", "released", "pending"),
        ("running", "crashed", "pending"),
        ("done", "reopened", "pending"),
        ("empty", "reopened", "pending"),
        ("not_entitled", "reopened", "pending"),
        ("not_found", "reopened", "pending"),
        ("failed", "reopened", "pending"),
    ];

    #[test]
    fn every_legal_and_every_illegal_step() {
        for state in TaskState::ALL {
            for event in TaskEvent::ALL {
                let row = LEGAL.iter().find(|(s, e, _)| (*s, *e) == (state.as_str(), event.as_str()));
                let expected = row.map(|(_, _, next)| next.parse::<TaskState>().unwrap());
                assert_eq!(state.after(event).ok(), expected, "{state} + {event}");
            }
        }
    }

    #[test]
    fn only_a_lease_leads_out_of_pending_and_every_other_state_can_return_there() {
        for state in TaskState::ALL.into_iter().filter(|s| *s != TaskState::Pending) {
            assert!(TaskEvent::ALL.iter().any(|e| state.after(*e) == Ok(TaskState::Pending)), "{state}");
        }
    }

    #[test]
    fn names_are_unique_and_read_back() {
        for state in TaskState::ALL {
            assert_eq!(state.as_str().parse::<TaskState>().unwrap(), state);
        }
        assert!("finished".parse::<TaskState>().is_err());
    }
}
