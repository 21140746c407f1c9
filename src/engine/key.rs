//! Is the key refused altogether, or just for one window?
//!
//! One 401 cannot tell. When two different tasks are refused and nothing was answered in between, the key is bad and
//! the run stops without burning any task. When another question is answered, the key is good, and those that were
//! refused before are not entitled.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::manifest::TaskId;

/// Refusals that nobody can judge yet.
#[derive(Debug, Default)]
pub(super) struct KeyDoubt {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    suspects: Vec<Suspect>,
    /// Whether any question of this run was answered.
    proven: bool,
}

/// A task whose request was refused with 401.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) task: TaskId,
    pub(super) reason: String,
    refused_at: Instant,
}

impl KeyDoubt {
    /// A request was refused. True if the key is: a different question was refused before.
    pub(super) fn refused(&self, task: TaskId, reason: String) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let altogether = state.suspects.iter().any(|suspect| suspect.task != task);
        state.suspects.push(Suspect { task, reason, refused_at: Instant::now() });
        altogether
    }

    /// A request that left at `sent_at` was answered: the suspects from before are not entitled.
    ///
    /// An answer to a request from before a refusal proves nothing: the key may have been revoked in between.
    pub(super) fn answered(&self, sent_at: Instant) -> Vec<Suspect> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.proven = true;
        state.suspects.extract_if(.., |suspect| suspect.refused_at <= sent_at).collect()
    }

    /// Those that are still in doubt when the run ends, and whether the key was ever good.
    pub(super) fn leftovers(&self) -> (Vec<Suspect>, bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.suspects), state.proven)
    }
}
