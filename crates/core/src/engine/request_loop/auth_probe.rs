//! Is the key refused altogether, or just for one question? Is this the service at all, or just without this?
//!
//! One answer cannot tell, so a control question follows it that every plan includes. If its answer does not tell either,
//! the item is put aside: another answer clears key and address; when many different subjects were refused and nothing
//! was answered in between, or nothing is left to ask, they are taken to be bad. No item is burnt by that.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::engine::StopReason;

/// So many different subjects in a row are no coincidence; a few may well stand together at the head of a list.
const SUBJECTS: usize = 20;

/// Items with refusals that cannot be judged yet.
#[derive(Debug)]
pub(super) struct AuthProbe<T> {
    suspects: Mutex<Vec<Suspect<T>>>,
}

/// What an answer throws a doubt on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Suspicion {
    /// 401: the key.
    Key,
    /// No such route: the base URL.
    Route,
    /// A redirect: the base URL.
    Redirect,
}

/// An item that was refused.
#[derive(Debug)]
pub(in crate::engine) struct Suspect<T> {
    pub(in crate::engine) item: T,
    pub(in crate::engine) suspicion: Suspicion,
    pub(in crate::engine) reason: String,
    subject: String,
    refused_at: Instant,
}

impl Suspicion {
    /// What the run stops for if the suspicion is taken for true.
    pub(super) fn confirmed(self, reason: String) -> StopReason {
        match self {
            Self::Key => StopReason::KeyRefused(reason),
            Self::Route | Self::Redirect => StopReason::Unreachable(reason),
        }
    }
}

impl<T> AuthProbe<T> {
    /// Without any suspicion.
    pub(super) fn new() -> Self {
        Self { suspects: Mutex::default() }
    }

    /// A request was refused, and the control question did not help. Returns whether the suspicion is to be taken for true.
    pub(super) fn put_aside(&self, item: T, subject: String, suspicion: Suspicion, reason: String) -> bool {
        let mut suspects = self.locked();
        suspects.push(Suspect { item, suspicion, reason, subject, refused_at: Instant::now() });
        let subjects: HashSet<_> = suspects.iter().map(|suspect| &suspect.subject).collect();
        subjects.len() >= SUBJECTS
    }

    /// A request that left at `sent_at` was answered: the suspicions from before are cleared.
    ///
    /// An answer to a request from before a refusal proves nothing: the key may have been revoked in between.
    pub(super) fn answered(&self, sent_at: Instant) -> Vec<Suspect<T>> {
        self.locked().extract_if(.., |suspect| suspect.refused_at <= sent_at).collect()
    }

    /// Whether nothing is in doubt.
    pub(super) fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// Those that are still in doubt when the run ends.
    pub(super) fn leftovers(&self) -> Vec<Suspect<T>> {
        std::mem::take(&mut *self.locked())
    }

    /// The list is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, Vec<Suspect<T>>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
