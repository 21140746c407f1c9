//! When the source has last answered anybody.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Answers of all workers.
#[derive(Debug)]
pub(super) struct LastAnswer {
    count: AtomicU64,
    last: Mutex<Instant>,
}

impl LastAnswer {
    pub(super) fn new() -> Self {
        Self { count: AtomicU64::new(0), last: Mutex::new(Instant::now()) }
    }

    /// Somebody was answered.
    pub(super) fn came(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// For how long nobody was answered.
    pub(super) fn drought(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
