//! Whether the key is refused altogether or just for one request, and whether this is the service at all.
//!
//! One response cannot tell, so a control request follows that every plan includes. If its response does not tell
//! either, the item is put on hold: any later answer clears key and address. They are taken to be bad if many different
//! subjects were refused without an answer in between, or if nothing else is left to request. No item is lost by that.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::engine::StopReason;

/// This many different subjects in a row are no coincidence; a few may well be together at the head of a list.
const SUBJECTS: usize = 20;

/// Items with refusals that cannot be judged yet.
#[derive(Debug)]
pub(super) struct AuthProbe<T> {
    suspects: Mutex<Vec<Suspect<T>>>,
}

/// What a refusal makes suspect.
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
    /// Why the run stops if the suspicion is taken to be true.
    pub(super) fn confirmed(self, reason: String) -> StopReason {
        match self {
            Self::Key => StopReason::KeyRefused(reason),
            Self::Route | Self::Redirect => StopReason::Unreachable(reason),
        }
    }
}

impl<T> AuthProbe<T> {
    /// Starts without any suspicion.
    pub(super) fn new() -> Self {
        Self { suspects: Mutex::default() }
    }

    /// Puts an item on hold that was refused and that the control request did not clear. Returns whether the suspicion
    /// is to be taken as true.
    pub(super) fn suspend(&self, item: T, subject: String, suspicion: Suspicion, reason: String) -> bool {
        let mut suspects = self.locked();
        suspects.push(Suspect { item, suspicion, reason, subject, refused_at: Instant::now() });
        let subjects: HashSet<_> = suspects.iter().map(|suspect| &suspect.subject).collect();
        subjects.len() >= SUBJECTS
    }

    /// Clears the suspicions from before `sent_at`: a request that was sent then was answered. Returns their items.
    ///
    /// An answer to a request that was sent before a refusal proves nothing: the key may have been revoked in between.
    pub(super) fn answered(&self, sent_at: Instant) -> Vec<Suspect<T>> {
        self.locked().extract_if(.., |suspect| suspect.refused_at <= sent_at).collect()
    }

    /// Whether nothing is suspect.
    pub(super) fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// The items that are still suspect when the run ends.
    pub(super) fn leftovers(&self) -> Vec<Suspect<T>> {
        std::mem::take(&mut *self.locked())
    }

    /// The list is whole between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, Vec<Suspect<T>>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
