//! The pace of a run, from the snapshots of the last minutes.

use std::{collections::VecDeque, time::Duration};

use grab_core::manifest::{CompletedRequest, StatusSnapshot};

/// The period over which requests and bars are counted, in ms: the vendor's limits are per minute.
const MINUTE_MS: i64 = 60_000;

/// The period on which the remaining time is based, in ms.
const SPAN_MS: i64 = 5 * MINUTE_MS;

/// The least that is needed to estimate the remaining time: this period, in ms, and this many requests.
const LEAST_MS: i64 = 10_000;
const LEAST_STEPS: usize = 3;

/// The requests of the last minutes.
#[derive(Debug, Default)]
pub struct RecentPace {
    steps: VecDeque<CompletedRequest>,
    /// The time from which all of them are known, UTC ms.
    known_from_ms: i64,
    run: Option<i64>,
}

/// What was done recently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecentWork {
    /// The period: a minute, or less if no more is known.
    pub over: Duration,
    /// Requests that were answered or given up.
    pub requests: usize,
    /// How many of them fetched no page.
    pub failures: usize,
    /// Bars per second.
    pub bars_per_second: f64,
}

/// The estimate of the remaining time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemainingTime {
    /// Nothing is outstanding.
    Nothing,
    /// About this long, if the remaining days take as long as those of the period `over`.
    About {
        /// The remaining time.
        left: Duration,
        /// The period on which the estimate is based.
        over: Duration,
    },
    /// Too little is known so far.
    TooEarly,
    /// No day was covered for this long.
    Stalled(Duration),
}

impl RecentPace {
    /// Adds a snapshot.
    pub fn add(&mut self, snapshot: &StatusSnapshot, now_ms: i64) {
        let run = snapshot.run.as_ref().filter(|run| run.is_live);
        if let Some(known_from_ms) = snapshot.known_from_ms {
            self.steps.clear();
            // What precedes the run is not part of its pace.
            let begun_ms = run.map_or(i64::MIN, |run| run.started_at_ms);
            self.known_from_ms = known_from_ms.max(begun_ms).min(now_ms);
        } else if run.is_some_and(|run| self.run != Some(run.id)) {
            self.steps.clear();
            self.known_from_ms = now_ms;
        }
        self.run = run.map(|run| run.id).or(self.run);
        let known_from_ms = self.known_from_ms;
        self.steps.extend(snapshot.steps.iter().filter(|step| step.at_ms >= known_from_ms));
        let is_old = |step: &CompletedRequest| step.at_ms < now_ms - SPAN_MS;
        self.steps.retain(|step| !is_old(step));
    }

    /// What was done in the last minute.
    #[must_use]
    pub fn recent_work(&self, now_ms: i64) -> RecentWork {
        let (from_ms, over) = self.since(now_ms, MINUTE_MS);
        let steps = || self.steps.iter().filter(move |step| step.at_ms >= from_ms);
        let bars: u64 = steps().map(|step| step.bars).sum();
        RecentWork {
            over,
            requests: steps().count(),
            failures: steps().filter(|step| step.is_failure).count(),
            #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
            bars_per_second: bars as f64 / over.as_secs_f64().max(1.0),
        }
    }

    /// The estimated time to cover the outstanding days.
    #[must_use]
    pub fn remaining(&self, now_ms: i64, outstanding_days: u64) -> RemainingTime {
        let (from_ms, over) = self.since(now_ms, SPAN_MS);
        let steps = || self.steps.iter().filter(|step| step.at_ms >= from_ms);
        let days: u64 = steps().map(|step| u64::from(step.days)).sum();
        if outstanding_days == 0 {
            return RemainingTime::Nothing;
        }
        if now_ms - from_ms < LEAST_MS || (days > 0 && steps().count() < LEAST_STEPS) {
            return RemainingTime::TooEarly;
        }
        if days == 0 {
            return RemainingTime::Stalled(over);
        }
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        let seconds = over.as_secs_f64() * outstanding_days as f64 / days as f64;
        RemainingTime::About { left: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX), over }
    }

    /// The start of the last `span_ms`, as far as everything is known, and the time since.
    fn since(&self, now_ms: i64, span_ms: i64) -> (i64, Duration) {
        let from_ms = self.known_from_ms.max(now_ms - span_ms);
        (from_ms, Duration::from_millis(u64::try_from(now_ms - from_ms).unwrap_or_default()))
    }
}
