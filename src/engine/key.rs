//! Is the key refused altogether, or just for one window?
//!
//! One 401 cannot tell, so a control question follows it that every plan includes. If its answer does not tell either,
//! the task is put aside: another answer shows that the key is good; when a few different symbols were refused and
//! nothing was answered in between, or nothing is left to ask, the key is taken to be bad. No task is burnt by that.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::{manifest::TaskId, model::Symbol};

/// So many different symbols in a row are no coincidence.
const SYMBOLS: usize = 3;

/// Refusals that nobody can judge yet.
#[derive(Debug, Default)]
pub(super) struct KeyDoubt {
    suspects: Mutex<Vec<Suspect>>,
}

/// A task whose request was refused with 401.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) task: TaskId,
    pub(super) reason: String,
    symbol: Symbol,
    refused_at: Instant,
}

impl KeyDoubt {
    /// A request was refused, and the control question did not help. True if the key is to be taken for bad.
    pub(super) fn put_aside(&self, task: TaskId, symbol: &Symbol, reason: String) -> bool {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.push(Suspect { task, reason, symbol: symbol.clone(), refused_at: Instant::now() });
        let symbols: std::collections::HashSet<_> = suspects.iter().map(|suspect| &suspect.symbol).collect();
        symbols.len() >= SYMBOLS
    }

    /// A request that left at `sent_at` was answered: the suspects from before are not entitled.
    ///
    /// An answer to a request from before a refusal proves nothing: the key may have been revoked in between.
    pub(super) fn answered(&self, sent_at: Instant) -> Vec<Suspect> {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.extract_if(.., |suspect| suspect.refused_at <= sent_at).collect()
    }

    /// Those that are still in doubt when the run ends.
    pub(super) fn leftovers(&self) -> Vec<Suspect> {
        std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
