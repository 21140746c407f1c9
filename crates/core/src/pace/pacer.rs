//! One pacer for all workers: no request, retry included, is sent without its permit.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use grab_model::Rate;

/// Permits are this much farther apart than the rate demands (3 %): a request that is delayed on its way must not fall
/// into one window with those after it.
const MARGIN: f64 = 1.03;

/// A delay of up to this much is made up for, else every short delay would lower the pace for good.
const SLACK: Duration = Duration::from_secs(1);

/// Permits that make up for a delay do not come in a burst: their distance is at least this part of the normal one.
const CATCHING_UP: f64 = 0.8;

/// The first pause after a 429 without `Retry-After`, where the rate has no longer period. It doubles from there.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause, with or without a `Retry-After`.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The factors by which 429s lower the pace (a multiplicative decrease): one 429 among many responses is weak evidence,
/// several in a row are strong.
const AFTER_ONE: f64 = 0.85;
const AFTER_SEVERAL: f64 = 0.5;

/// The slowest learnt pace, in requests a second: one a minute.
const SLOWEST: f64 = 1.0 / 60.0;

/// The additive increase regains the whole rate in this many of its periods, and in this time at least.
const PERIODS_TO_RECOVER: u32 = 10;
const SHORTEST_RECOVERY: Duration = Duration::from_mins(1);

/// Without a limit, the pace at a 429 is measured over this many requests.
const MEASURED: usize = 64;

/// After a run that may have used up its window, a window of at most this length is waited for.
const SHORT_PERIOD: Duration = Duration::from_secs(10);

/// Spaces requests evenly, and also limits them to the sliding window. A burst of five and then one every twelve
/// seconds would be nine in a sliding minute; the vendor's limit is on the window, not on the average. If the server
/// refuses a pace, it is lowered, and then raised step by step.
#[derive(Debug)]
pub struct Pacer {
    limit: Option<RateSetting>,
    state: Mutex<PacerState>,
}

/// The configured rate.
#[derive(Clone, Copy, Debug)]
struct RateSetting {
    requests: usize,
    period: Duration,
}

/// A pace below the configured one: the server has refused more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Requests a second.
    pub per_second: f64,
    /// The pace that was refused first, in requests a second.
    pub refused: f64,
}

/// The pace that an earlier run passes to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LearnedPace {
    /// The pace, and how long ago it was measured.
    pub pace: Option<(Pace, Duration)>,
    /// How long ago the last request may have been sent.
    pub last_request: Option<Duration>,
}

#[derive(Debug)]
struct PacerState {
    /// When the next permit is due. It may be in the past, if no worker waited for it.
    next: Instant,
    /// The earliest instant for the next permit in the queue.
    free: Instant,
    /// The number of the last permit that was reserved.
    reserved: u64,
    /// The last requests that were sent, oldest first: as many as the rate allows in its period.
    sent: VecDeque<SentRequest>,
    /// The pace if it is lowered, and since when it recovers.
    slowed: Option<(Pace, Instant)>,
    /// No permit is given before this instant.
    paused_until: Instant,
    /// Pauses since the last accepted request.
    pauses: u32,
    /// Responses since the last pause began: accepted, and refused.
    since_pause: (u32, u32),
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
struct SentRequest {
    /// The number of its permit.
    number: u64,
    at: Instant,
}

/// A reserved permit.
#[derive(Clone, Copy, Debug)]
struct Reservation {
    number: u64,
    due: Instant,
    /// The pacer's state before this reservation.
    next_before: Instant,
    free_before: Instant,
}

/// Permission to send one request. It counts as sent, unless it is refunded.
#[derive(Debug)]
pub struct Permit<'a> {
    pacer: &'a Pacer,
    reservation: Reservation,
}

impl Permit<'_> {
    /// Gives the permit back: the request found no connection, so the server has not counted it. Only its own slot in
    /// the window becomes free, and its own time only if no permit was reserved after it: later permits keep their
    /// times.
    pub fn refund(self) {
        let mut state = self.pacer.locked();
        state.sent.retain(|request| request.number != self.reservation.number);
        if state.reserved == self.reservation.number {
            // A pause that began meanwhile still applies.
            state.next = self.reservation.next_before.max(state.paused_until);
            state.free = self.reservation.free_before.max(state.paused_until);
        }
    }
}

impl Pacer {
    /// Makes a pacer whose first permit is due at once, unless an earlier run has sent requests just before.
    #[must_use]
    pub fn new(rate: Rate, learnt: LearnedPace) -> Self {
        let now = Instant::now();
        let limit = match rate {
            Rate::Unlimited => None,
            Rate::Limited { requests, period } => {
                Some(RateSetting { requests: requests.get() as usize, period })
            }
        };
        let slowed = learnt.pace.and_then(|(pace, ago)| Some((pace, now.checked_sub(ago)?)));
        let state = PacerState {
            next: now,
            free: now,
            reserved: 0,
            sent: VecDeque::new(),
            slowed,
            paused_until: now,
            pauses: 0,
            since_pause: (0, 0),
        };
        let pacer = Self { limit, state: Mutex::new(state) };
        if let Some(ago) = learnt.last_request {
            pacer.follow(ago);
        }
        pacer
    }

    /// Keeps the distance from an earlier run that may have sent its last request `ago`, and used up its window.
    fn follow(&self, ago: Duration) {
        let now = Instant::now();
        let mut state = self.locked();
        let wait = match self.limit {
            Some(limit) if limit.period <= SHORT_PERIOD => limit.period.mul_f64(MARGIN),
            Some(_) | None => self.interval(&state, now),
        };
        state.next = now + wait.saturating_sub(ago);
        state.free = state.next;
    }

    /// Waits for permission to send one request.
    ///
    /// # Cancellation
    /// A dropped permit is lost: the next one does not come earlier.
    pub async fn permit(&self) -> Permit<'_> {
        loop {
            let reservation = self.reserve();
            sleep_until(reservation.due).await;
            // A pause that began meanwhile has moved all permits behind it: reserve a new one.
            if self.locked().paused_until > reservation.due {
                continue;
            }
            while let Some(later) = self.record_sent(reservation.number) {
                sleep_until(later).await;
            }
            return Permit { pacer: self, reservation };
        }
    }

    /// Handles a 429: no request is sent for a while, then the pace is lower. Returns the length of the pause.
    ///
    /// Refusals during a pause belong to requests that were sent before it began: they count as evidence, but add no
    /// pause.
    pub fn slow_down(&self, retry_after: Option<Duration>) -> Duration {
        let now = Instant::now();
        let mut state = self.locked();
        if state.paused_until <= now {
            let doubled = FIRST_PAUSE.saturating_mul(1 << state.pauses.min(16));
            let period = self.limit.map_or(Duration::ZERO, |limit| limit.period);
            let pause = retry_after.unwrap_or(doubled.max(period)).min(LONGEST_PAUSE);
            let factor = if state.pauses == 0 { AFTER_ONE } else { AFTER_SEVERAL };
            let pace = self.lowered(&state, now, factor);
            state.paused_until = now + pause;
            state.next = state.next.max(state.paused_until);
            state.free = state.free.max(state.paused_until);
            state.slowed = Some((pace, state.paused_until));
            state.since_pause = (0, 1);
            state.pauses += 1;
        } else {
            let (let_in, refused) = &mut state.since_pause;
            *refused += 1;
            let is_confirmed = *refused == 2 && *let_in < 2;
            if is_confirmed && state.pauses == 1 {
                let pace = self.lowered(&state, now, AFTER_SEVERAL / AFTER_ONE);
                let until = state.paused_until;
                state.slowed = Some((pace, until));
            }
        }
        state.paused_until - now
    }

    /// Records an accepted request: the pauses were long enough.
    pub fn accepted(&self) {
        let mut state = self.locked();
        state.since_pause.0 += 1;
        if state.paused_until <= Instant::now() {
            state.pauses = 0;
        }
    }

    /// The number of pauses in a row, without an accepted request in between.
    #[must_use]
    pub fn pauses_in_a_row(&self) -> u32 {
        self.locked().pauses
    }

    /// The current pace. None if it is the configured one.
    #[must_use]
    pub fn learned(&self) -> Option<Pace> {
        self.slowed(&self.locked(), Instant::now())
    }

    /// Reserves the next permit.
    fn reserve(&self) -> Reservation {
        let now = Instant::now();
        let mut state = self.locked();
        let (next_before, free_before) = (state.next, state.free);
        let interval = self.interval(&state, now);
        let scheduled = state.next.max(now.checked_sub(SLACK).unwrap_or(now));
        state.next = scheduled + interval;
        let due = scheduled.max(now).max(state.free);
        state.free = due + interval.mul_f64(CATCHING_UP);
        state.reserved += 1;
        Reservation { number: state.reserved, due, next_before, free_before }
    }

    /// Records that a request is sent now. If the window is used up, returns when it may be sent instead.
    fn record_sent(&self, number: u64) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.locked();
        if let Some(limit) = self.limit
            && state.sent.len() >= limit.requests
            && let Some(free_again) = state.sent.front().map(|first| first.at + limit.period.mul_f64(MARGIN))
            && free_again > now
        {
            return Some(free_again);
        }
        state.sent.push_back(SentRequest { number, at: now });
        let most = self.limit.map_or(MEASURED, |limit| limit.requests);
        if state.sent.len() > most {
            state.sent.pop_front();
        }
        None
    }

    /// The time from one permit to the next.
    fn interval(&self, state: &PacerState, now: Instant) -> Duration {
        let set = self.limit.map(RateSetting::per_second);
        let pace = self.slowed(state, now).map(|pace| pace.per_second).or(set);
        pace.map_or(Duration::ZERO, |per_second| Duration::from_secs_f64(MARGIN / per_second))
    }

    /// The lowered pace, as far as it has recovered. None if it has recovered fully.
    fn slowed(&self, state: &PacerState, now: Instant) -> Option<Pace> {
        let (pace, since) = state.slowed?;
        let time = self.limit.map_or(SHORTEST_RECOVERY, RateSetting::recovery);
        let regained = now.saturating_duration_since(since).div_duration_f64(time) * pace.refused;
        let per_second = pace.per_second + regained;
        // Without a limit the right pace is not known: it rises above the refused one.
        let whole = self.limit.map_or(2.0 * pace.refused, RateSetting::per_second);
        (per_second < whole).then_some(Pace { per_second, ..pace })
    }

    /// The pace after a refusal.
    fn lowered(&self, state: &PacerState, now: Instant, factor: f64) -> Pace {
        let slowed = self.slowed(state, now);
        let pace = slowed.map(|pace| pace.per_second).or(self.limit.map(RateSetting::per_second));
        let pace = pace.unwrap_or_else(|| measured(state, now));
        Pace { per_second: (pace * factor).max(SLOWEST), refused: slowed.map_or(pace, |pace| pace.refused) }
    }

    /// The state is consistent between any two statements, so a panic elsewhere cannot have left it half-written.
    fn locked(&self) -> MutexGuard<'_, PacerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pace of the last requests.
fn measured(state: &PacerState, now: Instant) -> f64 {
    let over = state.sent.front().map_or(Duration::ZERO, |first| now.saturating_duration_since(first.at));
    #[expect(clippy::cast_precision_loss, reason = "a number of requests is small")]
    let requests = state.sent.len().max(1) as f64;
    requests / over.as_secs_f64().max(0.001)
}

impl RateSetting {
    fn per_second(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a number of requests is small")]
        let requests = self.requests as f64;
        requests / self.period.as_secs_f64()
    }

    /// How long the additive increase takes to regain the whole rate.
    fn recovery(self) -> Duration {
        self.period.saturating_mul(PERIODS_TO_RECOVER).max(SHORTEST_RECOVERY)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pacer(rate: &str) -> Pacer {
        Pacer::new(rate.parse().unwrap(), LearnedPace::default())
    }

    /// The instants of `count` permits that four workers wait for.
    async fn permits(pacer: &Arc<Pacer>, count: usize) -> Vec<Duration> {
        let begin = Instant::now();
        let workers = (0..4).map(|worker| {
            let pacer = Arc::clone(pacer);
            let share = count / 4 + usize::from(worker < count % 4);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for _ in 0..share {
                    pacer.permit().await;
                    taken.push(begin.elapsed());
                }
                taken
            })
        });
        let mut all = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            all.extend(worker.await.unwrap());
        }
        all.sort();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_five_in_any_sliding_minute_and_nearly_as_many() {
        let taken = permits(&Arc::new(pacer("5/min")), 100).await;
        assert_eq!(taken[0], Duration::ZERO);
        for first in 0..taken.len() - 5 {
            assert!(taken[first + 5].saturating_sub(taken[first]) > Duration::from_mins(1));
        }
        let used = 60.0 * 99.0 / taken[99].as_secs_f64();
        assert!(used >= 5.0 * 0.95, "{used} a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let taken = permits(&Arc::new(pacer("none")), 1000).await;
        assert_eq!(taken[999], Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_stops_everyone_also_those_who_wait_already() {
        let pacer = Arc::new(pacer("10/s"));
        let waiting = tokio::spawn({
            let pacer = Arc::clone(&pacer);
            async move { permits(&pacer, 8).await }
        });
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(pacer.slow_down(Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert!(pacer.slow_down(None) <= Duration::from_secs(30), "the same pause");
        let taken = waiting.await.unwrap();
        assert_eq!(taken.iter().filter(|at| at.as_millis() < 250).count(), 3);
        assert!(taken[3] >= Duration::from_millis(30_250));
        assert!(
            taken[4].saturating_sub(taken[3]) >= Duration::from_millis(100),
            "the line re-forms, it does not burst"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_late_catches_up_within_the_limit() {
        let pacer = Arc::new(pacer("10/s"));
        let begin = Instant::now();
        let mut taken = Vec::new();
        for request in 0..100 {
            pacer.permit().await;
            taken.push(begin.elapsed());
            if request % 10 == 5 {
                // In each second, the worker is late by a fifth of one.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        let used = 99.0 / taken[99].as_secs_f64();
        assert!(used >= 9.5, "{used} a second");
        for (first, eleventh) in taken.iter().zip(&taken[10..]) {
            assert!(eleventh.abs_diff(*first) > Duration::from_secs(1));
        }
    }

    /// The pace that is left of 100 a second after a sequence: `-` is a refusal, `+` a page that arrived during the
    /// pause, `|` the end of the pause, `.` a page after it.
    async fn after(story: &str) -> f64 {
        let pacer = pacer("100/s");
        for event in story.chars() {
            match event {
                '-' => drop(pacer.slow_down(Some(Duration::from_secs(1)))),
                '|' => tokio::time::sleep(Duration::from_secs(1)).await,
                _ => pacer.accepted(),
            }
        }
        pacer.learned().map_or(100.0, |pace| pace.per_second)
    }

    #[tokio::test(start_paused = true)]
    async fn one_refusal_lowers_the_pace_a_little_and_several_in_a_row_halve_it() {
        let close = |pace: f64, expected: f64| (pace - expected).abs() < 4.0;
        for (story, expected) in [
            ("-", 85.0),
            ("-+++++-", 85.0),
            ("--", 50.0),
            ("-----", 50.0),
            ("-|-", 43.0),
            ("-----|-|-", 13.0),
            ("-|.-", 73.0),
        ] {
            let pace = after(story).await;
            assert!(close(pace, expected), "{pace} after {story}, not {expected}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lowered_pace_recovers_step_by_step() {
        let pacer = pacer("100/s");
        pacer.slow_down(Some(Duration::ZERO));
        pacer.slow_down(Some(Duration::ZERO));
        let begin = pacer.learned().unwrap().per_second;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let regained = pacer.learned().unwrap().per_second - begin;
        assert!((regained - 10.0).abs() < 0.1, "{regained} in a tenth of the time");
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(pacer.learned(), None, "the rate that was set again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refund_gives_back_its_own_permit_and_no_other() {
        let pacer = pacer("2/min");
        let begin = Instant::now();
        let first = pacer.permit().await;
        let _second = pacer.permit().await;
        let second_at = begin.elapsed();
        first.refund();
        let mut taken = vec![second_at];
        for _ in 0..4 {
            pacer.permit().await;
            taken.push(begin.elapsed());
        }
        for (one, third) in taken.iter().zip(&taken[2..]) {
            assert!(third.saturating_sub(*one) > Duration::from_mins(1), "the second one left: {taken:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_costs_no_time_if_it_is_refunded_and_one_that_is_dropped_does() {
        let pacer = pacer("5/min");
        let begin = Instant::now();
        for _ in 0..3 {
            pacer.permit().await.refund();
        }
        pacer.permit().await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "three probes that reached no server");
        pacer.permit().await;
        assert_eq!(begin.elapsed().as_millis(), 12_360);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refund_does_not_end_a_pause() {
        for rate in ["none", "5/min"] {
            let pacer = pacer(rate);
            let permit = pacer.permit().await;
            let begin = Instant::now();
            pacer.slow_down(Some(Duration::from_secs(30)));
            permit.refund();
            pacer.permit().await;
            assert!(begin.elapsed() >= Duration::from_secs(30), "{rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_the_pace_is_learnt_from_what_was_sent() {
        let pacer = pacer("none");
        for _ in 0..100 {
            pacer.permit().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        pacer.slow_down(Some(Duration::ZERO));
        let pace = pacer.learned().unwrap();
        assert!((pace.per_second - 17.0).abs() < 0.5 && (pace.refused - 20.0).abs() < 0.5, "{pace:?}");
        let taken = permits(&Arc::new(pacer), 11).await;
        assert!(taken[10] > Duration::from_millis(500), "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_run_goes_on_where_the_last_one_was() {
        let pace = Pace { per_second: 25.0, refused: 100.0 };
        let nine_seconds_later =
            LearnedPace { pace: Some((pace, Duration::from_secs(9))), last_request: None };
        tokio::time::sleep(Duration::from_mins(1)).await;
        let learnt = Pacer::new("100/s".parse().unwrap(), nine_seconds_later).learned().unwrap();
        assert!((learnt.per_second - 40.0).abs() < 0.1, "{learnt:?}");
        let just_asked = LearnedPace { pace: None, last_request: Some(Duration::from_secs(2)) };
        let begin = Instant::now();
        Pacer::new("5/min".parse().unwrap(), just_asked).permit().await;
        assert_eq!(begin.elapsed().as_millis(), 10_360);
        let begin = Instant::now();
        Pacer::new("20/s".parse().unwrap(), just_asked).permit().await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "a window ago");
        let now = LearnedPace { last_request: Some(Duration::ZERO), ..just_asked };
        Pacer::new("20/s".parse().unwrap(), now).permit().await;
        assert_eq!(begin.elapsed().as_millis(), 1_030, "the last run may have used up its second");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_a_request_is_let_in_and_absurd_ones_are_cut() {
        let unlimited = pacer("none");
        for expected in [1, 2, 4] {
            assert_eq!(unlimited.slow_down(None).as_secs(), expected);
            unlimited.permit().await;
        }
        unlimited.accepted();
        assert_eq!(unlimited.slow_down(None).as_secs(), 1);
        unlimited.permit().await;
        assert_eq!(unlimited.slow_down(Some(Duration::from_secs(u64::MAX))), LONGEST_PAUSE);
        assert_eq!(pacer("5/min").slow_down(None).as_secs(), 60);
    }
}
