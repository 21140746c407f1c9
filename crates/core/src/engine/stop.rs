//! Why and when a run stops.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use crate::disk::DiskTrouble;

/// How long a request that is under way may still take once the run is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Why a run stopped before nothing was outstanding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// SIGINT or SIGTERM.
    Interrupted,
    /// `--max-duration` is over.
    Duration,
    /// `--max-requests` are spent.
    Requests,
    /// The key is refused altogether; what the server said.
    KeyRefused(String),
    /// There was no connection at all, not even at the start; what the system said.
    Unreachable(String),
    /// The source was there, and did not come back in time; what the system or the server said.
    SourceLost(String),
    /// Nothing else is outstanding but days that the plan does not serve yet; what the server said.
    NotYet(String),
    /// A file cannot be written.
    Disk {
        /// What the system said.
        what: String,
        /// What is wrong with the disk.
        trouble: DiskTrouble,
    },
    /// The manifest cannot be written.
    Manifest,
}

/// A flag that all workers watch. It keeps the first reason.
#[derive(Clone, Debug)]
pub struct Stop {
    reason: watch::Sender<Option<StopReason>>,
}

impl StopReason {
    /// The reason for a failure of the disk.
    #[must_use]
    pub fn disk(error: &(dyn std::error::Error + 'static), what: String) -> Self {
        Self::Disk { what, trouble: DiskTrouble::of(error) }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { reason: watch::Sender::new(None) }
    }
}

impl Stop {
    /// Asks all workers to stop.
    pub fn request(&self, reason: StopReason) {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    /// Returns a stop for one phase of a run: it stops with the run, but what stops the phase does not stop the run.
    #[must_use]
    pub fn of_phase(&self) -> Self {
        let (run, phase) = (self.clone(), Self::default());
        let follower = phase.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = run.requested() => run.reason().into_iter().for_each(|reason| follower.request(reason)),
                () = follower.requested() => {}
            }
        });
        phase
    }

    /// Why the run is to stop. None if it is not.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.borrow().clone()
    }

    /// Whether the run is to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Waits until the run is to stop.
    pub async fn requested(&self) {
        // The sender is in `self`, so the channel cannot be closed meanwhile.
        let _ = self.reason.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until the run is to stop and requests under way have had their grace period. Never returns if only a limit
    /// was reached: then a request may take as long as the client allows.
    pub async fn grace_is_over(&self) {
        self.requested().await;
        match self.reason() {
            Some(StopReason::Duration | StopReason::Requests) => std::future::pending().await,
            Some(
                StopReason::Interrupted
                | StopReason::KeyRefused(_)
                | StopReason::Unreachable(_)
                | StopReason::SourceLost(_)
                | StopReason::NotYet(_)
                | StopReason::Disk { .. }
                | StopReason::Manifest,
            )
            | None => sleep(GRACE).await,
        }
    }

    /// Returns the result of `work`, or None if the run is to stop first.
    ///
    /// # Cancellation
    /// `work` is dropped when the run is to stop.
    pub async fn unless_requested<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.requested() => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_stays_and_waiters_are_woken() {
        let stop = Stop::default();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.unless_requested(sleep(Duration::from_hours(1))).await }
        });
        tokio::task::yield_now().await;
        stop.request(StopReason::Requests);
        stop.request(StopReason::Interrupted);
        assert_eq!(waiting.await.unwrap(), None);
        assert_eq!(stop.reason(), Some(StopReason::Requests));
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_stops_with_its_run_and_not_the_reverse() {
        let run = Stop::default();
        let (lost, phase) = (run.of_phase(), run.of_phase());
        lost.request(StopReason::SourceLost("x".to_owned()));
        assert_eq!(run.reason(), None);
        run.request(StopReason::Interrupted);
        phase.requested().await;
        assert_eq!(phase.reason(), Some(StopReason::Interrupted));
        assert_eq!(lost.reason(), Some(StopReason::SourceLost("x".to_owned())));
    }
}
