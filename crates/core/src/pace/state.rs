//! The state of a pacer, and what it says: when the next request may be sent, and how a 429 changes that.
//!
//! The clock is an argument and nothing here waits, so that the state may as well be one that processes share.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    LONGEST_PAUSE, Pace,
    rate_limit::{MARGIN, RateLimit, SHORTEST_RECOVERY},
};

/// A delay of up to this much is made up for, else every short delay would lower the pace for good.
const SLACK: Duration = Duration::from_secs(1);

/// Permits that make up for a delay do not come in a burst: their distance is at least this part of the normal one.
const CATCHING_UP: f64 = 0.8;

/// A timer may fire late by this much. Only permits that became due within this time are given at once.
const TIMER_GRAIN: Duration = Duration::from_millis(2);

/// The first pause after a 429 without `Retry-After`, where the rate has no longer period. It doubles from there.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The factors by which 429s lower the pace (a multiplicative decrease): one 429 among many responses is weak evidence,
/// several in a row are strong.
const AFTER_ONE: f64 = 0.85;
const AFTER_SEVERAL: f64 = 0.5;

/// The slowest learnt pace, in requests a second: one a minute.
const SLOWEST: f64 = 1.0 / 60.0;

/// Without a limit, the pace at a 429 is measured over this many requests.
const MEASURED: usize = 64;

/// After a run that may have used up its window, a window of at most this length is waited for.
const SHORT_PERIOD: Duration = Duration::from_secs(10);

/// For how long a limit holds for the processes that share it after one of them has asked for a permit under it.
const LIMIT_HOLDS: Duration = Duration::from_mins(1);

/// What is known of past requests and of the next one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PacerState {
    /// When the next permit is due. It may be in the past, if no worker waited for it.
    pub(super) next: Instant,
    /// The earliest instant for the next permit, if it makes up for a delay.
    pub(super) free: Instant,
    /// The number of the last permit.
    pub(super) given: u64,
    /// The last requests that were sent, oldest first: as many as the rate allows in its period.
    pub(super) sent: VecDeque<SentRequest>,
    /// The pace if it is lowered, and since when it recovers.
    pub(super) slowed: Option<(Pace, Instant)>,
    /// No permit is given before this instant.
    pub(super) paused_until: Instant,
    /// Pauses since the last accepted request.
    pub(super) pauses: u32,
    /// Responses since the last pause began: accepted, and refused.
    pub(super) since_pause: (u32, u32),
    /// The slowest limit of the processes that share this state, and until when it holds.
    pub(super) shared_limit: Option<(RateLimit, Instant)>,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SentRequest {
    /// The number of its permit.
    pub(super) number: u64,
    pub(super) at: Instant,
}

/// A permit that was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    number: u64,
    /// The state before it.
    next_before: Instant,
    free_before: Instant,
}

impl PacerState {
    /// The state before the first request: a permit is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now,
            free: now,
            given: 0,
            sent: VecDeque::new(),
            slowed: None,
            paused_until: now,
            pauses: 0,
            since_pause: (0, 0),
            shared_limit: None,
        }
    }

    /// Keeps the distance from an earlier run that may have sent its last request `ago`, and used up its window.
    pub(super) fn follow(&mut self, limit: Option<RateLimit>, ago: Duration, now: Instant) {
        let wait = match limit {
            Some(limit) if limit.period <= SHORT_PERIOD => limit.period.mul_f64(MARGIN),
            Some(_) | None => self.interval(limit, now),
        };
        self.next = now + wait.saturating_sub(ago);
        self.free = self.next;
    }

    /// Tells the processes that share this state of the limit of this one. The slowest one holds for all.
    pub(super) fn share_limit(&mut self, limit: RateLimit, now: Instant) {
        let is_slowest =
            self.limit_of_others(now).is_none_or(|other| limit.per_second() <= other.per_second());
        if is_slowest {
            self.shared_limit = Some((limit, now + LIMIT_HOLDS));
        }
    }

    /// Gives a permit for a request that is sent now.
    ///
    /// # Errors
    /// The instant to try again, if none is due yet.
    pub(super) fn take(&mut self, limit: Option<RateLimit>, now: Instant) -> Result<Slot, Instant> {
        let earliest = |grain: Duration| now.checked_sub(grain).unwrap_or(now);
        let scheduled = self.next.max(earliest(SLACK));
        let due = scheduled.max(self.free).max(self.paused_until).max(earliest(TIMER_GRAIN));
        let free_again = self.limits(limit, now).filter_map(|limit| self.window_opens(limit)).max();
        let due_in_window = free_again.map_or(due, |free| free.max(due));
        if due_in_window > now {
            return Err(due_in_window);
        }
        let interval = self.interval(limit, now);
        let slot = Slot { number: self.given + 1, next_before: self.next, free_before: self.free };
        self.next = scheduled + interval;
        self.free = due + interval.mul_f64(CATCHING_UP);
        self.given = slot.number;
        let most = self.limits(limit, now).map(|limit| limit.requests).max().unwrap_or(MEASURED);
        // Another process may need a longer window than this one.
        let most = most.max(self.sent.len());
        self.sent.push_back(SentRequest { number: slot.number, at: now });
        if self.sent.len() > most {
            self.sent.pop_front();
        }
        Ok(slot)
    }

    /// Takes a permit back. Only its own slot in the window becomes free, and its own time only if none was given after it.
    pub(super) fn refund(&mut self, slot: Slot) {
        self.sent.retain(|request| request.number != slot.number);
        if self.given == slot.number {
            // A pause that began meanwhile still applies.
            self.next = slot.next_before.max(self.paused_until);
            self.free = slot.free_before.max(self.paused_until);
        }
    }

    /// Begins a pause after a 429, or adds the 429 to the evidence of the present one. Returns the length of the pause.
    pub(super) fn slow_down(
        &mut self,
        limit: Option<RateLimit>,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> Duration {
        if self.paused_until <= now {
            let doubled = FIRST_PAUSE.saturating_mul(1 << self.pauses.min(16));
            let period = limit.map_or(Duration::ZERO, |limit| limit.period);
            let pause = retry_after.unwrap_or(doubled.max(period)).min(LONGEST_PAUSE);
            let factor = if self.pauses == 0 { AFTER_ONE } else { AFTER_SEVERAL };
            let pace = self.lowered(limit, now, factor);
            self.paused_until = now + pause;
            self.next = self.next.max(self.paused_until);
            self.free = self.free.max(self.paused_until);
            self.slowed = Some((pace, self.paused_until));
            self.since_pause = (0, 1);
            self.pauses += 1;
        } else {
            let (let_in, refused) = &mut self.since_pause;
            *refused += 1;
            let is_confirmed = *refused == 2 && *let_in < 2;
            if is_confirmed && self.pauses == 1 {
                let pace = self.lowered(limit, now, AFTER_SEVERAL / AFTER_ONE);
                self.slowed = Some((pace, self.paused_until));
            }
        }
        self.paused_until - now
    }

    /// Records an accepted request.
    pub(super) fn accepted(&mut self, now: Instant) {
        self.since_pause.0 += 1;
        if self.paused_until <= now {
            self.pauses = 0;
        }
    }

    /// Whether an accepted request tells anything: only if there was a pause.
    pub(super) fn is_pause_recent(&self) -> bool {
        self.pauses > 0
    }

    /// The lowered pace, as far as it has recovered. None if it has recovered fully.
    pub(super) fn slowed(&self, limit: Option<RateLimit>, now: Instant) -> Option<Pace> {
        let (pace, since) = self.slowed?;
        let time = limit.map_or(SHORTEST_RECOVERY, RateLimit::recovery);
        // Another process may have been refused at a lower rate than that of this one.
        let gain = limit.map_or(pace.refused, |limit| limit.per_second().max(pace.refused));
        let regained = now.saturating_duration_since(since).div_duration_f64(time) * gain;
        let per_second = pace.per_second + regained;
        // Without a limit the right pace is not known: it rises above the refused one.
        let whole = limit.map_or(2.0 * pace.refused, RateLimit::per_second);
        (per_second < whole).then_some(Pace { per_second, ..pace })
    }

    /// The present pace in requests a second, if it is below that of the limit.
    pub(super) fn below_limit(&self, limit: Option<RateLimit>, now: Instant) -> Option<f64> {
        let slowed = self.slowed(limit, now).map(|pace| pace.per_second);
        let others = self.limit_of_others(now).map(RateLimit::per_second);
        let others = others.filter(|others| limit.is_some_and(|limit| *others < limit.per_second()));
        slowed.into_iter().chain(others).reduce(f64::min)
    }

    /// The limits that hold now.
    fn limits(&self, limit: Option<RateLimit>, now: Instant) -> impl Iterator<Item = RateLimit> {
        limit.into_iter().chain(self.limit_of_others(now))
    }

    fn limit_of_others(&self, now: Instant) -> Option<RateLimit> {
        self.shared_limit.filter(|(_, until)| *until > now).map(|(limit, _)| limit)
    }

    /// When a request may be sent by the window of a limit. None if the window is not used up.
    fn window_opens(&self, limit: RateLimit) -> Option<Instant> {
        let first = self.sent.len().checked_sub(limit.requests).and_then(|first| self.sent.get(first))?;
        Some(first.at + limit.period.mul_f64(MARGIN))
    }

    /// The time from one permit to the next.
    fn interval(&self, limit: Option<RateLimit>, now: Instant) -> Duration {
        let slowed = self.slowed(limit, now).map(|pace| pace.per_second);
        let paces = self.limits(limit, now).map(RateLimit::per_second).chain(slowed);
        let pace = paces.reduce(f64::min);
        pace.map_or(Duration::ZERO, |per_second| Duration::from_secs_f64(MARGIN / per_second))
    }

    /// The pace after a refusal.
    fn lowered(&self, limit: Option<RateLimit>, now: Instant, factor: f64) -> Pace {
        let slowed = self.slowed(limit, now);
        let configured = self.limits(limit, now).map(RateLimit::per_second).reduce(f64::min);
        let pace = slowed.map(|pace| pace.per_second).or(configured);
        let pace = pace.unwrap_or_else(|| self.measured(now));
        Pace { per_second: (pace * factor).max(SLOWEST), refused: slowed.map_or(pace, |pace| pace.refused) }
    }

    /// The pace of the last requests.
    fn measured(&self, now: Instant) -> f64 {
        let over = self.sent.front().map_or(Duration::ZERO, |first| now.saturating_duration_since(first.at));
        #[expect(clippy::cast_precision_loss, reason = "a number of requests is small")]
        let requests = self.sent.len().max(1) as f64;
        requests / over.as_secs_f64().max(0.001)
    }
}
