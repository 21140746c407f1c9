//! Is the key refused altogether, or just for one window? Is this the service at all, or just no symbol of it?
//!
//! One answer cannot tell, so a control question follows it that every plan includes. If its answer does not tell either,
//! the task is put aside: another answer clears key and address; when many different symbols were refused and nothing
//! was answered in between, or nothing is left to ask, they are taken to be bad. No task is burnt by that.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use grab_model::Symbol;
use tokio::time::Instant;

use crate::manifest::{TaskEvent, TaskId};

/// So many different symbols in a row are no coincidence; a few may well stand together at the head of a list.
const SYMBOLS: usize = 20;

/// Refusals that nobody can judge yet.
#[derive(Debug, Default)]
pub(super) struct AuthProbe {
    suspects: Mutex<Vec<SuspectTask>>,
}

/// What an answer throws a doubt on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// 401: the key.
    Key,
    /// No such route: the base URL.
    Route,
    /// A redirect: the base URL.
    Redirect,
}

/// A task that was refused.
#[derive(Clone, Debug)]
pub(super) struct SuspectTask {
    pub(super) task: TaskId,
    pub(super) suspicion: Suspicion,
    pub(super) reason: String,
    symbol: Symbol,
    refused_at: Instant,
}

impl Suspicion {
    /// What becomes of the task if the rest is good.
    pub(super) fn cleared(self) -> TaskEvent {
        match self {
            Self::Key => TaskEvent::Refused,
            Self::Route => TaskEvent::Unknown,
            Self::Redirect => TaskEvent::GivenUp,
        }
    }
}

impl AuthProbe {
    /// A request was refused, and the control question did not help. True if the suspicion is to be taken for true.
    pub(super) fn put_aside(
        &self,
        task: TaskId,
        symbol: &Symbol,
        suspicion: Suspicion,
        reason: String,
    ) -> bool {
        let mut suspects = self.locked();
        let refused_at = Instant::now();
        suspects.push(SuspectTask { task, suspicion, reason, symbol: symbol.clone(), refused_at });
        let symbols: HashSet<_> = suspects.iter().map(|suspect| &suspect.symbol).collect();
        symbols.len() >= SYMBOLS
    }

    /// A request that left at `sent_at` was answered: the suspicions from before are cleared.
    ///
    /// An answer to a request from before a refusal proves nothing: the key may have been revoked in between.
    pub(super) fn answered(&self, sent_at: Instant) -> Vec<SuspectTask> {
        self.locked().extract_if(.., |suspect| suspect.refused_at <= sent_at).collect()
    }

    /// Whether nothing is in doubt.
    pub(super) fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// Those that are still in doubt when the run ends.
    pub(super) fn leftovers(&self) -> Vec<SuspectTask> {
        std::mem::take(&mut *self.locked())
    }

    /// The list is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, Vec<SuspectTask>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
