//! One pacer for all workers: no request, retry included, is sent without its permit.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use grab_model::Rate;

use super::{
    LearnedPace, Pace, SharedPace,
    rate_limit::RateLimit,
    state::{PacerState, Slot},
};

/// The longest sleep of one that waits for a permit: then it looks again at what other processes have changed.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// Spaces requests evenly, and also limits them to the sliding window. A burst of five and then one every twelve
/// seconds would be nine in a sliding minute; the vendor's limit is on the window, not on the average. If the server
/// refuses a pace, it is lowered, and then raised step by step.
///
/// A shared pacer keeps its state in a file: all processes with that file together keep to the rate, a pause holds for all,
/// and as long as they have different rates, the slowest one holds for all. If the file fails, the pacer continues alone.
#[derive(Debug)]
pub struct Pacer {
    limit: Option<RateLimit>,
    /// No permit of this pacer is given before this instant, whatever the state says: an earlier run in the same data directory
    /// has just ended.
    begin: Instant,
    /// Held by the worker that waits for the next permit; the others wait behind it, in their order. So nothing is
    /// reserved that a process which ends would take along.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<LockedState>,
}

#[derive(Debug)]
struct LockedState {
    /// The state; of a shared pacer, as it was when this process used the file last.
    state: PacerState,
    shared: Option<SharedPace>,
}

/// Permission to send one request. It counts as sent, unless it is refunded.
#[derive(Debug)]
pub struct Permit<'a> {
    pacer: &'a Pacer,
    slot: Slot,
}

impl Permit<'_> {
    /// Gives the permit back: the request found no connection, so the server has not counted it. Only its own slot in
    /// the window becomes free, and its own time only if no permit was given after it: later permits keep their times.
    pub fn refund(self) {
        self.pacer.change(|state, _| state.refund(self.slot));
    }
}

impl Pacer {
    /// Makes a pacer whose first permit is due at once, unless an earlier run has sent requests just before.
    #[must_use]
    pub fn new(rate: Rate, learnt: LearnedPace) -> Self {
        let (limit, now) = (RateLimit::of(rate), Instant::now());
        Self::with(limit, now, after_earlier_run(limit, learnt, now), None)
    }

    /// Makes a pacer that shares its state. The pace that an earlier run has learnt counts only if the file has no state yet; the
    /// distance from its last request is kept by this pacer alone.
    #[must_use]
    pub fn shared(rate: Rate, learnt: LearnedPace, shared: SharedPace) -> Self {
        let (limit, now) = (RateLimit::of(rate).map(RateLimit::shareable), Instant::now());
        let state = after_earlier_run(limit, learnt, now);
        let pacer = Self::with(limit, state.next, state, Some(shared));
        // The first use of the file takes its state, or gives it this one.
        pacer.change(|_, _| ());
        pacer
    }

    fn with(limit: Option<RateLimit>, begin: Instant, state: PacerState, shared: Option<SharedPace>) -> Self {
        Self {
            limit,
            begin,
            turn: tokio::sync::Mutex::default(),
            known: Mutex::new(LockedState { state, shared }),
        }
    }

    /// Waits for permission to send one request.
    ///
    /// # Cancellation
    /// A permit that was given and is dropped is lost: the next one does not come earlier.
    pub async fn permit(&self) -> Permit<'_> {
        let _turn = self.turn.lock().await;
        sleep_until(self.begin).await;
        loop {
            let taken = self.change(|state, now| {
                if let Some(limit) = self.limit {
                    state.share_limit(limit, now);
                }
                state.take(self.limit, now).map_err(|due| due.min(now + LONGEST_SLEEP))
            });
            match taken {
                Ok(slot) => return Permit { pacer: self, slot },
                Err(due) => sleep_until(due).await,
            }
        }
    }

    /// Handles a 429: no request is sent for a while, then the pace is lower. Returns the length of the pause.
    ///
    /// Refusals during a pause belong to requests that were sent before it began: they count as evidence, but add no
    /// pause.
    pub fn slow_down(&self, retry_after: Option<Duration>) -> Duration {
        self.change(|state, now| state.slow_down(self.limit, retry_after, now))
    }

    /// Records an accepted request: the pauses were long enough.
    pub fn accepted(&self) {
        // Nothing is written for each of many answers, only after a pause.
        if self.look(PacerState::is_pause_recent) {
            self.change(PacerState::accepted);
        }
    }

    /// The number of pauses in a row, without an accepted request in between.
    #[must_use]
    pub fn pauses_in_a_row(&self) -> u32 {
        self.look(|state| state.pauses)
    }

    /// The pace that was learnt from refusals. None if it is the configured one.
    #[must_use]
    pub fn learned(&self) -> Option<Pace> {
        self.locked().state.slowed(self.limit, Instant::now())
    }

    /// The present pace in requests a second, if it is below the configured one: because of refusals, or because another
    /// process with this file is configured to be slower.
    #[must_use]
    pub fn slowed_to(&self) -> Option<f64> {
        self.locked().state.below_limit(self.limit, Instant::now())
    }

    /// Changes the state, in the file too if it is shared. A file that fails is not used again.
    fn change<T>(&self, change: impl FnOnce(&mut PacerState, Instant) -> T) -> T {
        let mut known = self.locked();
        let LockedState { state, shared } = &mut *known;
        let (outcome, written) = match shared.as_ref().map(SharedPace::lock) {
            None => return change(state, Instant::now()),
            Some(Err(error)) => (change(state, Instant::now()), Err(error)),
            Some(Ok(file)) => {
                let now = Instant::now();
                // What cannot be read counts as none: then the state as this process knows it is written.
                if let Ok(Some(of_all)) = file.read(now) {
                    *state = of_all;
                }
                let outcome = change(state, now);
                (outcome, file.write(state, now))
            }
        };
        if let Err(error) = written {
            tracing::debug!("the pace is no longer shared with other processes: {error}");
            *shared = None;
        }
        outcome
    }

    /// Looks at the state, in the file if it is shared.
    fn look<T>(&self, look: impl FnOnce(&PacerState) -> T) -> T {
        let mut known = self.locked();
        let LockedState { state, shared } = &mut *known;
        if let Some(Ok(file)) = shared.as_ref().map(SharedPace::lock)
            && let Ok(Some(of_all)) = file.read(Instant::now())
        {
            *state = of_all;
        }
        look(state)
    }

    /// The state is consistent between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, LockedState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state at the begin of a run, from what an earlier one has learnt.
fn after_earlier_run(limit: Option<RateLimit>, learnt: LearnedPace, now: Instant) -> PacerState {
    let mut state = PacerState::new(now);
    state.slowed = learnt.pace.and_then(|(pace, ago)| Some((pace, now.checked_sub(ago)?)));
    if let Some(ago) = learnt.last_request {
        state.follow(limit, ago, now);
    }
    state
}
