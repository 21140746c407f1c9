//! What a run has done so far, for progress displays and reports.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::manifest::RunTotals;

/// Counters that workers increment; any thread may read them at any time.
#[derive(Debug, Default)]
pub struct RunCounters {
    requests: AtomicU64,
    retries: AtomicU64,
    bars: AtomicU64,
    revised: AtomicU64,
    partitions: AtomicU64,
    bytes: AtomicU64,
    tasks: AtomicU64,
    days: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// The counters at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// The totals for the run's row and report.
    pub totals: RunTotals,
    /// Tasks that ended.
    pub tasks: u64,
    /// Days of windows that were covered: the unit of progress.
    pub days: u64,
    /// The last failure.
    pub trouble: Option<String>,
}

impl RunCounters {
    /// Takes one request out of a budget. False if it is spent: then nothing is counted.
    pub(super) fn take_request(&self, budget: Option<u64>) -> bool {
        let within = |spent: u64| budget.is_none_or(|budget| spent < budget).then_some(spent + 1);
        self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    /// Whether a budget of requests is used up.
    pub(super) fn is_spent(&self, budget: Option<u64>) -> bool {
        budget.is_some_and(|budget| self.requests.load(Ordering::Relaxed) >= budget)
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn stored(&self, bars: u64, partitions: u64) {
        self.bars.fetch_add(bars, Ordering::Relaxed);
        self.partitions.fetch_add(partitions, Ordering::Relaxed);
    }

    pub(super) fn revised(&self, bars: u64) {
        self.revised.fetch_add(bars, Ordering::Relaxed);
    }

    pub(super) fn covered(&self, days: u32) {
        self.days.fetch_add(u64::from(days), Ordering::Relaxed);
    }

    pub(super) fn task_ended(&self) {
        self.tasks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn trouble(&self, what: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    /// Resets tasks and days: the next phase has other tasks. Requests, bars and bytes go on.
    pub fn begin_phase(&self) {
        self.tasks.store(0, Ordering::Relaxed);
        self.days.store(0, Ordering::Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CountersSnapshot {
            totals: RunTotals {
                requests: read(&self.requests),
                retries: read(&self.retries),
                bars: read(&self.bars),
                revised: read(&self.revised),
                partitions: read(&self.partitions),
                bytes_received: read(&self.bytes),
            },
            tasks: read(&self.tasks),
            days: read(&self.days),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
